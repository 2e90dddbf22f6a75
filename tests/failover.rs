//! Two controllers and one Lease: when the leader goes, however it goes, the other takes over.

use std::time::{Duration, Instant};

use k8s_openapi::api::{
    coordination::v1::Lease,
    rbac::v1::{Role, RoleBinding},
};
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
};
use nix::sys::signal::Signal;
use serde_json::json;

use crate::support::{plane::eventually, process::Process, world::World};

const ELECTED: [(&str, &str); 1] = [("LLMPLANE_LEADER_ELECTION", "true")];

/// The base grants the Lease in the installation's namespace; here it is the test's.
async fn grant_lease(world: &World) {
    let metadata = json!({ "name": "leader-election" });
    let role: Role = serde_json::from_value(json!({
        "metadata": metadata,
        "rules": [{
            "apiGroups": ["coordination.k8s.io"], "resources": ["leases"],
            "verbs": ["get", "create", "update", "patch", "list", "watch"],
        }],
    }))
    .unwrap();
    let binding: RoleBinding = serde_json::from_value(json!({
        "metadata": metadata,
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "leader-election" },
        "subjects": [{
            "kind": "User", "apiGroup": "rbac.authorization.k8s.io",
            "name": "system:serviceaccount:llmplane-system:llmplane-controller",
        }],
    }))
    .unwrap();
    let (client, create) = (&world.client, PostParams::default());
    let roles: Api<Role> = Api::namespaced(client.clone(), world.ns());
    roles.create(&create, &role).await.unwrap();
    let bindings: Api<RoleBinding> = Api::namespaced(client.clone(), world.ns());
    bindings.create(&create, &binding).await.unwrap();
}

async fn leads(controller: &Process) -> bool {
    controller.metric("llmplane_leading").await == Some(1.0)
}

/// A leader and one that waits, after the leader has written.
async fn two(world: &World) -> (Process, Process) {
    grant_lease(world).await;
    let leader = Process::controller(world, &ELECTED);
    eventually("the first leads", async || leads(&leader).await).await;
    let other = Process::controller(world, &ELECTED);
    world.provider("p", json!({})).await;
    world.ready("LlmProvider", "p").await;
    eventually("the other waits", async || {
        other.metric("llmplane_leading").await == Some(0.0)
    })
    .await;
    (leader, other)
}

/// How long it takes until a change is in force.
async fn until_written(world: &World) -> Duration {
    let since = Instant::now();
    world.provider("p", json!({ "displayName": "after" })).await;
    world.ready("LlmProvider", "p").await;
    since.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_asked_to_end_hands_over() {
    let world = World::new("handover").await;
    let (mut leader, mut other) = two(&world).await;
    let epoch = world.db().await.feed_state().await.unwrap().epoch;
    leader.signal(Signal::SIGTERM);
    assert!(leader.ended().await.success(), "{}", leader.log());
    let took = until_written(&world).await;
    // Five seconds on an idle machine; the bound leaves room for a busy one.
    assert!(took < Duration::from_secs(20), "{took:?}: {}", other.log());
    assert!(leads(&other).await && other.runs());
    assert!(world.db().await.feed_state().await.unwrap().epoch > epoch);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_killed_is_replaced_when_its_lease_is_up() {
    let world = World::new("replaced").await;
    let (mut leader, mut other) = two(&world).await;
    leader.kill().await;
    let took = until_written(&world).await;
    // Twenty seconds on an idle machine; the bound leaves room for a busy one.
    assert!(took < Duration::from_secs(45), "{took:?}: {}", other.log());
    assert!(leads(&other).await && other.runs());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_is_given_back_is_taken_long_before_it_would_end() {
    let world = World::new("given-back").await;
    grant_lease(&world).await;
    let leases: Api<Lease> = Api::namespaced(world.client.clone(), world.ns());
    let now = jiff::Timestamp::now();
    let an_hour = json!({
        "metadata": { "name": "llmplane-controller" },
        "spec": {
            "holderIdentity": "another", "leaseDurationSeconds": 3600,
            "acquireTime": format!("{now:.6}"), "renewTime": format!("{now:.6}"),
        },
    });
    let an_hour = serde_json::from_value(an_hour).unwrap();
    leases
        .create(&PostParams::default(), &an_hour)
        .await
        .unwrap();
    let mut controller = Process::controller(&world, &ELECTED);
    eventually("it waits", async || {
        controller.metric("llmplane_leading").await == Some(0.0)
    })
    .await;
    let free = json!({ "spec": {
        "holderIdentity": null, "leaseDurationSeconds": null, "acquireTime": null, "renewTime": null,
    } });
    let patch = Patch::Merge(free);
    leases
        .patch("llmplane-controller", &PatchParams::default(), &patch)
        .await
        .unwrap();
    eventually("it leads", async || leads(&controller).await).await;
    assert!(controller.runs());
}
