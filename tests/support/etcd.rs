//! What only etcd itself can be asked for, by its JSON gateway.

use base64::{Engine, engine::general_purpose::STANDARD};
use llmplane::local::state::Component;
use serde_json::{Value, json};

use super::plane::Plane;

/// Forgets all history up to now: no watch can be taken up from before.
pub async fn compact(plane: &Plane) {
    let pki = plane.state_dir().path().join("pki");
    let read = |name: &str| std::fs::read(pki.join(name)).unwrap();
    let identity = [read("etcd-client.crt"), read("etcd-client.key")].concat();
    let client = reqwest::Client::builder()
        .tls_certs_only([reqwest::Certificate::from_pem(&read("etcd-ca.crt")).unwrap()])
        .identity(reqwest::Identity::from_pem(&identity).unwrap())
        .no_proxy()
        .build()
        .unwrap();
    let url = listens_at(plane);
    let ask = async |path: &str, body: Value| -> Value {
        let answer = client
            .post(format!("{url}/v3/kv/{path}"))
            .json(&body)
            .send();
        let answer = answer.await.unwrap().error_for_status().unwrap();
        answer.json().await.unwrap()
    };
    let any = ask("range", json!({ "key": STANDARD.encode("x") })).await;
    let revision = any["header"]["revision"].clone();
    let whole = json!({ "revision": revision, "physical": true });
    ask("compaction", whole).await;
}

/// Its address, from its command line.
fn listens_at(plane: &Plane) -> String {
    let pid = plane.process(Component::Etcd).pid;
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap();
    let line = String::from_utf8(line).unwrap();
    let flag = "--listen-client-urls=";
    let url = line.split('\0').find_map(|word| word.strip_prefix(flag));
    url.expect("etcd is told where to listen").to_owned()
}
