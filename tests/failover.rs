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
pub async fn grant_lease(world: &World) {
    let metadata = json!({ "name": "leader-election" });
    let role: Role = serde_json::from_value(json!({
        "metadata": metadata,
        "rules": [{
            "apiGroups": ["coordination.k8s.io"], "resources": ["leases"],
            "verbs": ["get", "create", "update"],
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

/// A leader of another release, or on another machine: it renews the Lease by a clock of its own,
/// which is so many seconds from ours, until it falls silent.
struct Foreign {
    leases: Api<Lease>,
    skew: i64,
}

impl Foreign {
    async fn write(&self) {
        let now = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(self.skew);
        let lease = json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": { "name": "llmplane-controller" },
            "spec": {
                "holderIdentity": "another", "leaseDurationSeconds": 12,
                "acquireTime": format!("{now:.6}"), "renewTime": format!("{now:.6}"),
            },
        });
        let params = PatchParams::apply("another").force();
        let patch = Patch::Apply(lease);
        self.leases
            .patch("llmplane-controller", &params, &patch)
            .await
            .unwrap();
    }
}

async fn not_led_by_a_clock(skew: i64) {
    let world = World::new("skewed").await;
    grant_lease(&world).await;
    let leases: Api<Lease> = Api::namespaced(world.client.clone(), world.ns());
    let foreign = Foreign { leases, skew };
    foreign.write().await;
    let mut controller = Process::controller(&world, &ELECTED);
    eventually("it waits", async || {
        controller.metric("llmplane_leading").await == Some(0.0)
    })
    .await;
    // Longer than the Lease lasts.
    let since = Instant::now();
    while since.elapsed() < Duration::from_secs(15) {
        foreign.write().await;
        assert!(!leads(&controller).await, "{skew}: {}", controller.log());
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert_eq!(
        controller.admin("/readyz").await.0,
        200,
        "{skew}: somebody leads"
    );
    eventually("it says that nobody leads", async || {
        let (status, said) = controller.admin("/readyz").await;
        let silent = status == 503 && said.contains("leader: nobody leads: another");
        // On a busy machine it may lead by the time that it is asked.
        silent || leads(&controller).await
    })
    .await;
    eventually("it leads", async || leads(&controller).await).await;
    controller.ready().await;
    assert!(controller.runs(), "{}", controller.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_leads_while_it_renews_and_no_longer_whatever_its_clock_says() {
    let skews = [-86_400, -3600, 40, 86_400];
    futures::future::join_all(skews.map(not_led_by_a_clock)).await;
}
