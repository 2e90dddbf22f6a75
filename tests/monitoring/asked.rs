//! Whether PostgreSQL and the kube-apiserver answer is said by who has asked them, and by nobody else: an alert on
//! an answer that nobody waited for would be false.

use llmplane::local::state::Component;

use crate::failover::grant_lease;
use crate::support::gate::{ApiserverProxy, Gate};
use crate::support::plane::eventually;
use crate::support::process::Process;
use crate::support::world::World;

/// What a controller says of PostgreSQL and of the kube-apiserver.
async fn up(controller: &Process) -> [Option<f64>; 2] {
    let database = controller.metric("llmplane_database_up").await;
    [database, controller.metric("llmplane_apiserver_up").await]
}

/// Waits until it leads and both answer it.
async fn leads(controller: &Process) {
    eventually("both answer", async || {
        up(controller).await == [Some(1.0), Some(1.0)]
    })
    .await;
    controller.ready().await;
}

async fn waits_for(controller: &Process, what: &str) {
    eventually(what, async || {
        let (status, said) = controller.admin("/readyz").await;
        status == 503 && said.contains(what)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_a_keyring_has_asked_nobody() {
    let world = World::new("unasked").await;
    let active = world.keyring_dir().join("active");
    let id = std::fs::read(&active).unwrap();
    std::fs::write(&active, "00112233445566ff").unwrap();
    let controller = Process::controller(&world, &[]);
    waits_for(&controller, "keyring: ").await;
    assert_eq!(up(&controller).await, [None, None]);
    assert_eq!(controller.metric("llmplane_leading").await, Some(0.0));

    std::fs::write(&active, id).unwrap();
    leads(&controller).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_the_lease_asks_the_apiserver_alone() {
    let world = World::new("asked").await;
    grant_lease(&world).await;
    let kubeconfig = world.plane.kubeconfig_of(Component::Controller);
    let proxy = ApiserverProxy::start(Gate::new(None), &kubeconfig).await;
    let through = proxy.kubeconfig().to_str().unwrap();
    let elected = [
        ("KUBECONFIG", through),
        ("LLMPLANE_LEADER_ELECTION", "true"),
    ];
    proxy.sever();
    let first = Process::controller(&world, &elected);
    waits_for(&first, "the Lease cannot be read").await;
    assert_eq!(up(&first).await, [None, Some(0.0)]);

    proxy.mend();
    leads(&first).await;
    let second = Process::controller(&world, &elected);
    second.ready().await;
    assert_eq!(up(&second).await, [None, Some(1.0)]);
    proxy.sever();
    waits_for(&second, "the Lease cannot be read").await;
    assert_eq!(up(&second).await, [None, Some(0.0)]);
}
