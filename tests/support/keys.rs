//! What a world's database holds of keys, decrypted as who may use them would.

use llmplane::{
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
