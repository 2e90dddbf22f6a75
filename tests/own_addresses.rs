//! No check connects to llmplane's own infrastructure, whatever the operator has opened.

use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::{
    Api,
    api::{DeleteParams, PostParams},
};
use serde_json::json;

use crate::support::{process::Process, world::World};

#[tokio::test(flavor = "multi_thread")]
async fn the_kube_apiservers_and_the_admin_port_are_refused_in_ranges_that_are_open() {
    let world = World::new("own-addresses").await;
    // As each kube-apiserver of a real cluster writes itself down.
    let slices: Api<EndpointSlice> = Api::namespaced(world.client.clone(), "default");
    let slice = json!({
        "metadata": {
            "name": world.ns(),
            "labels": { "kubernetes.io/service-name": "kubernetes" },
        },
        "addressType": "IPv4",
        "endpoints": [{ "addresses": ["10.123.45.67"] }],
        "ports": [{ "name": "https", "port": 6443 }],
    });
    let slice = serde_json::from_value(slice).unwrap();
    slices.create(&PostParams::default(), &slice).await.unwrap();

    let open = [("LLMPLANE_ALLOW_CIDRS", "127.0.0.0/8,10.0.0.0/8")];
    let controller = Process::controller(&world, &open);
    world.provider("p", json!({})).await;
    let admin = format!("http://{}", controller.admin_address());
    for (name, url) in [
        ("apiserver", "https://10.123.45.67:6443"),
        ("admin", &admin),
    ] {
        world.endpoint(name, url, json!({})).await;
        world
            .says("LlmEndpoint", name, "Healthy", "False", "AddressRefused")
            .await;
        let why = world.message("LlmEndpoint", name, "Healthy").await;
        assert!(why.contains("may never be called"), "{why}");
    }
    let delete = DeleteParams::default();
    slices.delete(world.ns(), &delete).await.unwrap();
}
