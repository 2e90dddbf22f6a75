//! What a world's database holds of keys, decrypted as who may use them would, and what a status says of
//! their versions.

use llmplane::{
    crd::credential::VersionState,
    db::Db,
    encryption::{Binding, KeyringHandle, Sealed, open},
};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::world::World;

/// The key in each version in the world's namespace that still holds one, decrypted.
pub async fn keys(world: &World, db: &Db) -> Value {
    let ring = KeyringHandle::open(&world.keyring_dir()).unwrap();
    let mut keys = json!({});
    let credentials = db.credential_rows_all(false).await.unwrap().into_iter();
    for credential in credentials.filter(|row| row.namespace == world.ns()) {
        let versions = db.credential_version_rows(&[credential.uid]).await.unwrap();
        for version in versions {
            let stored = db.sealed_version(credential.uid, version.version).await;
            let Some(stored) = stored.unwrap() else {
                continue;
            };
            let kek_id = stored.kek_id.parse().unwrap();
            let binding = Binding {
                namespace: &credential.namespace,
                name: &credential.name,
                uid: credential.uid,
                version: version.version,
            };
            let sealed = Sealed {
                kek_id,
                wrapped_key: stored.wrapped_key,
                payload: stored.payload,
            };
            let opened = open(ring.keks(), &binding, &sealed).await;
            let opened = opened.expect("what is stored decrypts");
            let key = opened.fields.api_key.unwrap();
            keys[&credential.name][version.version.to_string()] = key.expose_secret().into();
        }
    }
    keys
}

/// The versions of a credential's key by its status, newest first.
pub async fn states(world: &World, credential: &str) -> Vec<(i64, String)> {
    let status = world.get("LlmCredential", credential).await["status"].clone();
    let versions = status["versions"].as_array().cloned().unwrap_or_default();
    let state = |v: &Value| {
        let state = v["state"].as_str().unwrap_or_default().to_owned();
        (v["version"].as_i64().unwrap_or_default(), state)
    };
    versions.iter().map(state).collect()
}

/// Versions in the words of a status.
pub fn words(states: &[(i64, VersionState)]) -> Vec<(i64, String)> {
    let word = |state: &VersionState| serde_json::to_value(state).unwrap();
    let words = states.iter().map(|(n, s)| (*n, word(s)));
    words
        .map(|(n, s)| (n, s.as_str().unwrap().to_owned()))
        .collect()
}
