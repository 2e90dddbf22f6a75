//! The controller is killed before and after each of its writes, and ends where an undisturbed one
//! does: each write is found by a gate in front of the kube-apiserver and PostgreSQL.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{StreamExt, TryStreamExt, stream};
use llmplane::{db::Db, local::state::Component};
use serde_json::{Value, json};
use tokio::runtime::Handle;

use crate::support::{
    fake_vendor::FakeVendor,
    gate::{ApiserverProxy, Gate, PostgresProxy, Side},
    outcome::{assert_feed_tells_everything, outcome},
    plane::eventually,
    process::Process,
    world::World,
};

const KEY: &str = "sk-test-0123456789abcdef";
const ROTATED: &str = "sk-test-fedcba9876543210";
const REFUSED: &str = "sk-test-refused-0000000000";
/// Worlds at once.
const AT_ONCE: usize = 4;

/// What the controller finds when it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Story {
    /// Everything is new: nothing is stored yet.
    New,
    /// What was stored has been changed, rotated and deleted meanwhile.
    Changed,
}

impl Story {
    /// How its writes begin; the cluster is recorded with an UPDATE, once.
    fn kinds_of_writes(self) -> &'static [&'static str] {
        match self {
            Self::New => &["COMMIT", "PATCH", "UPDATE", "WITH"],
            Self::Changed => &["COMMIT", "PATCH", "WITH"],
        }
    }

    async fn tell(self, vendor: &FakeVendor) -> World {
        let mut world = World::new("kill").await;
        world.secret("s", KEY).await;
        world.apply_basics(&vendor.url()).await;
        world.model("m", "gpt-a").await;
        match self {
            Self::New => {
                world.secret("t", REFUSED).await;
                world.credential("refused", "t").await;
                world.model("absent", "gpt-none").await;
            }
            Self::Changed => {
                world.model("gone", "gpt-b").await;
                world.start().await;
                self.before(&world).await;
                world.stop().await;
                world.secret("s", ROTATED).await;
                world.delete("LlmModel", "gone").await;
                world.provider("p", json!({ "displayName": "new" })).await;
            }
        }
        world
    }

    async fn before(self, world: &World) {
        for (kind, name) in [
            ("LlmProvider", "p"),
            ("LlmEndpoint", "e"),
            ("LlmCredential", "c"),
            ("LlmModel", "m"),
            ("LlmModel", "gone"),
        ] {
            world.ready(kind, name).await;
        }
        eventually("the provider's summary is complete", async || {
            world.get("LlmProvider", "p").await["status"]["models"]["available"] == 2
        })
        .await;
    }

    /// Waits until nothing is left to do.
    async fn settled(self, world: &World) {
        for (kind, name) in [
            ("LlmEndpoint", "e"),
            ("LlmCredential", "c"),
            ("LlmModel", "m"),
            ("LlmProvider", "p"),
        ] {
            world.ready(kind, name).await;
        }
        match self {
            Self::New => {
                world
                    .says("LlmCredential", "refused", "Ready", "False", "KeyRejected")
                    .await;
                world
                    .says("LlmModel", "absent", "Ready", "False", "ModelNotFound")
                    .await;
            }
            Self::Changed => {
                let db = world.db().await;
                eventually(
                    "the rotated key is in use and the model is gone",
                    async || {
                        let status = world.get("LlmCredential", "c").await["status"].clone();
                        let current = &status["versions"][0];
                        let models = db.model_rows_all(false).await.unwrap();
                        current["version"] == 2
                            && current["state"] == "Current"
                            && models.len() == 1
                    },
                )
                .await;
                db.close().await;
            }
        }
        let wanted = match self {
            Self::New => [(1, 1), (2, 1), (2, 1)],
            Self::Changed => [(1, 1), (1, 1), (1, 1)],
        };
        eventually("the provider's summary is complete", async || {
            let status = world.get("LlmProvider", "p").await["status"].clone();
            let count = |of: &str, what: &str| status[of][what].as_i64().unwrap_or_default();
            [
                (count("endpoints", "total"), count("endpoints", "healthy")),
                (count("models", "total"), count("models", "available")),
                (count("credentials", "total"), count("credentials", "valid")),
            ] == wanted
        })
        .await;
    }
}

/// What one life through the gate wrote, and whether it was cut short.
struct Life {
    writes: Vec<String>,
    killed: bool,
    outcome: Value,
}

async fn live(story: Story, vendor: &FakeVendor, fatal: Option<(usize, Side)>) -> Life {
    let world = story.tell(vendor).await;
    let secret = world.get("Secret", "s").await["metadata"]["resourceVersion"].clone();
    let gate = Gate::new(fatal);
    let kubeconfig = world.plane.kubeconfig_of(Component::Controller);
    let apiserver = ApiserverProxy::start(gate.clone(), &kubeconfig).await;
    let postgres = PostgresProxy::start(gate.clone(), &world.database.controller_url).await;
    let mut gated = gate.watch(|| {
        let through = [
            ("KUBECONFIG", apiserver.kubeconfig().to_str().unwrap()),
            ("DATABASE_URL", postgres.url()),
        ];
        Process::controller(&world, &through)
    });
    let db = world.db().await;
    // On a busy machine the database may be late: what is told then is no rest.
    let at_rest = async || {
        loop {
            story.settled(&world).await;
            let last = steady(&world, &db).await;
            story.settled(&world).await;
            if outcome(&world, &db).await == last {
                break last;
            }
        }
    };
    let undisturbed = tokio::select! {
        () = gate.killed() => None,
        last = at_rest() => Some(last),
    };
    let (last, killed) = match undisturbed {
        Some(last) => (last, false),
        None => {
            assert!(!gated.ended().await.success());
            gated = Process::controller(&world, &[]);
            (at_rest().await, true)
        }
    };
    assert_feed_tells_everything(&db).await;
    let now = world.get("Secret", "s").await["metadata"]["resourceVersion"].clone();
    assert_eq!(now, secret, "the Secret was touched");
    db.close().await;
    assert!(gated.runs(), "{}", gated.log());
    gated.kill().await;
    Life {
        writes: gate.writes(),
        killed,
        outcome: last,
    }
}

/// What the world has come to once it stays so for longer than a wake-up or a patient status waits.
async fn steady(world: &World, db: &Db) -> Value {
    let deadline = Instant::now() + Duration::from_secs(60);
    let (mut last, mut since) = (outcome(world, db).await, Instant::now());
    while since.elapsed() < Duration::from_millis(1500) {
        assert!(Instant::now() < deadline, "it never comes to rest");
        tokio::time::sleep(Duration::from_millis(100)).await;
        let now = outcome(world, db).await;
        if now != last {
            (last, since) = (now, Instant::now());
        }
    }
    last
}

async fn walk(story: Story) {
    let vendor = Arc::new(FakeVendor::start(&[KEY, ROTATED], &["gpt-a", "gpt-b"]).await);
    let undisturbed = live(story, &vendor, None).await;
    let writes = undisturbed.writes.len();
    let kinds: BTreeSet<&str> = (undisturbed.writes.iter())
        .map(|write| write.split(' ').next().unwrap())
        .collect();
    for kind in story.kinds_of_writes() {
        assert!(kinds.contains(kind), "{kind}: {:?}", undisturbed.writes);
    }
    let moments = (1..=writes).flat_map(|n| [(n, Side::Before), (n, Side::After)]);
    let expected = &undisturbed.outcome;
    let lives: Vec<bool> = stream::iter(moments)
        .map(async |moment| {
            let vendor = vendor.clone();
            // On a thread of its own: dropping a world waits for what it leaves behind to go.
            let runtime = Handle::current();
            let life = tokio::task::spawn_blocking(move || {
                runtime.block_on(live(story, &vendor, Some(moment)))
            });
            let life = life.await.map_err(|error| format!("{moment:?}: {error}"))?;
            if life.outcome != *expected {
                let tell = |value: &Value| serde_json::to_string_pretty(value).unwrap();
                let (is, shall) = (tell(&life.outcome), tell(expected));
                let diff: Vec<_> = (is.lines().zip(shall.lines()))
                    .filter(|(is, shall)| is != shall)
                    .take(12)
                    .collect();
                return Err(format!("killed {moment:?} of {:?}: {diff:#?}", life.writes));
            }
            Ok(life.killed)
        })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await
        .unwrap();
    // Commits are grouped as they come, so that a life may have a few writes less than another.
    let killed = lives.iter().filter(|killed| **killed).count();
    eprintln!(
        "{story:?}: {writes} writes, {} lives, {killed} killed",
        lives.len()
    );
    assert!(killed * 4 >= lives.len() * 3, "{killed} of {}", lives.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn taking_in_what_is_new_ends_where_an_undisturbed_run_does() {
    walk(Story::New).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn taking_in_what_changed_ends_where_an_undisturbed_run_does() {
    walk(Story::Changed).await;
}
