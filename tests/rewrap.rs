//! Key-encryption keys rotate: every stored key moves under the active one in the background, whatever
//! happens meanwhile, and none is unreadable at any moment.

use k8s_openapi::api::events::v1::Event;
use kube::{Api, api::ListParams};
use llmplane::db::{AuditFilter, Db};
use llmplane::encryption::{KekId, kek::folder};
use serde_json::json;
use sqlx::PgConnection;

use crate::support::{
    fake_vendor::FakeVendor,
    keys::keys,
    plane::eventually,
    process::Process,
    sealed_fleet::{Readers, under},
    world::World,
};

const KEY: &str = "sk-test-0123456789abcdef";
/// Moves what there is at once: the test delivers the key to everybody.
const SETTLED: (&str, &str) = ("LLMPLANE_REWRAP_SETTLING_SECONDS", "0");

/// Adds a key to the world's keyring and makes it the active one.
fn rotate(world: &World) -> KekId {
    let kek = folder::add(&world.keyring_dir()).unwrap();
    folder::activate(&world.keyring_dir(), &kek).unwrap();
    kek
}

fn active(world: &World) -> KekId {
    folder::Keyring::load(&world.keyring_dir())
        .unwrap()
        .active()
}

/// Holds up re-wrapping in the middle of a transaction: what it counts is locked.
struct Held(PgConnection);

impl Held {
    /// After at least so many versions were moved.
    async fn after(world: &World, db: &Db, moved: i64) -> Self {
        eventually("some versions are re-wrapped", async || {
            let state = db.rewrap_state().await.unwrap();
            state.is_some_and(|state| state.rewrapped >= moved)
        })
        .await;
        let mut owner = world.owner().await;
        sqlx::raw_sql("BEGIN; SELECT FROM rewrap FOR UPDATE")
            .execute(&mut owner)
            .await
            .unwrap();
        let own: i32 = sqlx::query_scalar("SELECT pg_backend_pid()")
            .fetch_one(&mut owner)
            .await
            .unwrap();
        let mut watching = world.owner().await;
        let waits =
            "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE $1 = ANY (pg_blocking_pids(pid)))";
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while !sqlx::query_scalar::<_, bool>(waits)
            .bind(own)
            .fetch_one(&mut watching)
            .await
            .unwrap()
        {
            let state = db.rewrap_state().await.unwrap().unwrap();
            assert!(
                state.ended_at.is_none(),
                "it has ended before it could be held up"
            );
            assert!(
                std::time::Instant::now() < deadline,
                "it is held up within a minute"
            );
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        Self(owner)
    }

    async fn release(mut self) {
        sqlx::raw_sql("ROLLBACK")
            .execute(&mut self.0)
            .await
            .unwrap();
    }
}

async fn ended(db: &Db, kek: KekId) {
    eventually("re-wrapping has ended", async || {
        let state = db.rewrap_state().await.unwrap();
        state.is_some_and(|state| state.active_kek == kek.to_string() && state.ended_at.is_some())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_killed_goes_on_where_it_was_and_every_key_is_readable_throughout() {
    let world = World::new("rewrap").await;
    let fleet = world.fleet(20, 150).await;
    let (db, old) = (world.db().await, active(&world));
    let readers = Readers::start(&db, &fleet, &world.keyring_dir());
    let new = rotate(&world);
    let mut first = Process::controller(&world, &[SETTLED]);
    let held = Held::after(&world, &db, 300).await;
    first.kill().await;
    held.release().await;
    let moved = under(&db, new).await;
    assert!(moved >= 300 && moved < fleet.len(), "{moved}");
    assert_eq!(
        moved % 100,
        0,
        "a transaction that was cut off left nothing"
    );
    let state = db.rewrap_state().await.unwrap().unwrap();
    assert_eq!(state.rewrapped, moved);

    let second = Process::controller(&world, &[SETTLED]);
    ended(&db, new).await;
    assert_eq!(
        (under(&db, old).await, under(&db, new).await),
        (0, fleet.len())
    );
    let after = db.rewrap_state().await.unwrap().unwrap();
    assert_eq!(
        (after.rewrapped, after.started_at),
        (fleet.len(), state.started_at)
    );
    eventually("the metrics say so", async || {
        second.metric("llmplane_rewrap_remaining").await == Some(0.0)
    })
    .await;
    let counted = second.metric("llmplane_rewrapped_versions_total").await;
    assert_eq!(counted, Some((fleet.len() - moved) as f64));
    assert!(readers.end().await > 0);
    for action in ["KeyringActivate", "Rewrap"] {
        let filter = AuditFilter {
            action: Some(action.to_owned()),
            ..AuditFilter::default()
        };
        // What a transaction leaves for the audit is chained soon after it.
        eventually(&format!("{action} is in the chain"), async || {
            !db.audit_rows(&filter, None, 10).await.unwrap().is_empty()
        })
        .await;
        let rows = db.audit_rows(&filter, None, 10).await.unwrap();
        assert_eq!(rows.len(), 1, "{action} is told once: {rows:?}");
        assert!(rows[0].detail.contains(&new.to_string()), "{:?}", rows[0]);
    }
    // What the old key's file holds is needed no more.
    folder::remove(&world.keyring_dir(), &old).unwrap();
    assert_eq!(fleet.opened(&db, &world.keyring_dir()).await, fleet.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn another_leader_goes_on_and_a_paused_one_moves_nothing_when_it_wakes() {
    let world = World::new("rewrap-led").await;
    let fleet = world.fleet(20, 100).await;
    let (db, new) = (world.db().await, rotate(&world));
    let readers = Readers::start(&db, &fleet, &world.keyring_dir());
    crate::failover::grant_lease(&world).await;
    let elected = [SETTLED, ("LLMPLANE_LEADER_ELECTION", "true")];
    let mut paused = Process::controller(&world, &elected);
    let held = Held::after(&world, &db, 200).await;
    let other = Process::controller(&world, &elected);
    paused.pause();
    eventually("the other leads", async || {
        other.metric("llmplane_leading").await == Some(1.0)
    })
    .await;
    held.release().await;
    ended(&db, new).await;
    assert_eq!(under(&db, new).await, fleet.len());
    paused.resume();
    assert!(!paused.ended().await.success(), "it has been replaced");
    let state = db.rewrap_state().await.unwrap().unwrap();
    assert_eq!(state.rewrapped, fleet.len(), "each was moved once");
    assert!(readers.end().await > 0);
    let events: Api<Event> = Api::namespaced(world.client.clone(), world.ns());
    eventually(
        "Events of the Lease tell of its beginning and its end",
        async || {
            let told = events.list(&ListParams::default()).await.unwrap().items;
            let of_lease = |event: &&Event| {
                event
                    .regarding
                    .as_ref()
                    .is_some_and(|it| it.kind.as_deref() == Some("Lease"))
            };
            let reasons: Vec<_> = told
                .iter()
                .filter(of_lease)
                .filter_map(|e| e.reason.clone())
                .collect();
            ["RewrapStarted", "RewrapEnded"]
                .iter()
                .all(|it| reasons.iter().any(|reason| reason == it))
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_third_key_that_is_activated_meanwhile_gets_everything() {
    let world = World::new("rewrap-third").await;
    let fleet = world.fleet(20, 100).await;
    let (db, first) = (world.db().await, active(&world));
    let readers = Readers::start(&db, &fleet, &world.keyring_dir());
    let second = rotate(&world);
    let controller = Process::controller(&world, &[SETTLED]);
    let held = Held::after(&world, &db, 200).await;
    let moved = db.rewrap_state().await.unwrap().unwrap().rewrapped;
    let third = rotate(&world);
    eventually("the controller has read the third", async || {
        controller.log().contains(&third.to_string())
    })
    .await;
    held.release().await;
    ended(&db, third).await;
    // What was under way when the third came was the last that went to the second.
    let counted = controller.metric("llmplane_rewrapped_versions_total").await;
    assert_eq!(counted, Some((moved + 100 + fleet.len()) as f64));
    for gone in [first, second] {
        assert_eq!(under(&db, gone).await, 0);
    }
    assert_eq!(under(&db, third).await, fleet.len());
    assert!(readers.end().await > 0);
    for gone in [first, second] {
        folder::remove(&world.keyring_dir(), &gone).unwrap();
    }
    assert_eq!(fleet.opened(&db, &world.keyring_dir()).await, fleet.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_moved_before_the_key_has_settled_and_new_rows_are_under_it_at_once() {
    let vendor = FakeVendor::start(&[KEY], &[]).await;
    let world = World::new("rewrap-settles").await;
    let fleet = world.fleet(1, 10).await;
    let (db, old) = (world.db().await, active(&world));
    let controller = Process::controller(&world, &[]);
    controller.ready().await;
    let new = rotate(&world);
    eventually(
        "the controller knows the new key as the active one",
        async || {
            let state = db.rewrap_state().await.unwrap();
            state.is_some_and(|state| state.active_kek == new.to_string())
        },
    )
    .await;
    world.secret("s", KEY).await;
    world.apply_basics(&vendor.url()).await;
    world.ready("LlmCredential", "c").await;
    eventually("it counts what is left", async || {
        controller.metric("llmplane_rewrap_remaining").await == Some(fleet.len() as f64)
    })
    .await;
    assert_eq!(
        (under(&db, old).await, under(&db, new).await),
        (fleet.len(), 1)
    );
    assert!(!db.rewrap_state().await.unwrap().unwrap().is_under_way());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_authenticate_stops_nothing_and_is_sealed_anew_where_its_secret_is() {
    let vendor = FakeVendor::start(&[KEY], &[]).await;
    let world = World::new("rewrap-tampered").await;
    let fleet = world.fleet(2, 150).await;
    let (db, old) = (world.db().await, active(&world));
    let mut before = Process::controller(&world, &[]);
    world.secret("s", KEY).await;
    world.apply_basics(&vendor.url()).await;
    world.ready("LlmCredential", "c").await;
    before.kill().await;
    // A wrap of the controller's own credential, and one of a credential that it does not watch.
    let tampered = "UPDATE credential_versions SET wrapped_key = set_byte(wrapped_key, 20, get_byte(wrapped_key, 20) # 1)
                    WHERE version = 1 AND credential_uid <> $1";
    sqlx::query(tampered)
        .bind(fleet.credentials[1])
        .execute(&mut world.owner().await)
        .await
        .unwrap();
    let new = rotate(&world);
    let controller = Process::controller(&world, &[SETTLED]);
    eventually("all but one are under the new key", async || {
        (under(&db, old).await, under(&db, new).await) == (1, fleet.len())
    })
    .await;
    assert_eq!(keys(&world, &db).await["c"], json!({ "1": KEY }));
    assert_eq!(
        fleet.opened(&db, &world.keyring_dir()).await,
        fleet.len() - 1
    );
    let log = controller.log();
    assert!(log.contains("a stored key cannot be re-wrapped"), "{log}");
    // The controller's own is sealed anew behind the pass that told of it; the next pass counts.
    eventually("one is counted", async || {
        controller.metric("llmplane_rewrap_remaining").await == Some(1.0)
    })
    .await;
    assert!(!log.contains(KEY));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_missing_key_wraps_stays_and_is_told_of_until_the_key_is_back() {
    let world = World::new("rewrap-missing").await;
    let fleet = world.fleet(2, 50).await;
    let (db, first) = (world.db().await, active(&world));
    let second = rotate(&world);
    let later = world.fleet(2, 50).await;
    let third = rotate(&world);
    let file = world.keyring_dir().join(format!("{first}.key"));
    let kept = std::fs::read(&file).unwrap();
    for half in [&[][..], &kept[..31]] {
        std::fs::write(&file, half).unwrap();
        let refused = folder::Keyring::load(&world.keyring_dir()).unwrap_err();
        assert!(
            refused
                .to_string()
                .contains("a key is exactly 32 raw bytes"),
            "{refused}"
        );
    }
    std::fs::remove_file(&file).unwrap();
    let controller = Process::controller(&world, &[SETTLED]);
    eventually("the others are moved", async || {
        (under(&db, second).await, under(&db, third).await) == (0, later.len())
    })
    .await;
    eventually("what is left is counted", async || {
        controller.metric("llmplane_versions_without_kek").await == Some(fleet.len() as f64)
    })
    .await;
    let log = controller.log();
    assert!(
        log.contains("lacks a key-encryption key") && log.contains(&first.to_string()),
        "{log}"
    );
    assert_eq!(under(&db, first).await, fleet.len());
    assert_eq!(db.rewrap_state().await.unwrap().unwrap().ended_at, None);
    // Half of it first, as a careless copy would leave it.
    std::fs::write(&file, &kept[..31]).unwrap();
    eventually("the fault is told of", async || {
        controller.log().contains("is 31 bytes long")
    })
    .await;
    assert_eq!(under(&db, first).await, fleet.len());
    std::fs::write(&file, &kept).unwrap();
    ended(&db, third).await;
    assert_eq!(under(&db, third).await, fleet.len() + later.len());
    assert_eq!(fleet.opened(&db, &world.keyring_dir()).await, fleet.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keyring_that_is_older_than_what_is_stored_undoes_nothing() {
    let world = World::new("rewrap-stale").await;
    let fleet = world.fleet(1, 20).await;
    let (db, old) = (world.db().await, active(&world));
    let late = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(world.keyring_dir()).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), late.path().join(entry.file_name())).unwrap();
    }
    let new = rotate(&world);
    let mut first = Process::controller(&world, &[SETTLED]);
    ended(&db, new).await;
    first.kill().await;
    let undelivered = ("LLMPLANE_KEYRING_DIR", late.path().to_str().unwrap());
    let second = Process::controller(&world, &[SETTLED, undelivered]);
    eventually("it says what it lacks", async || {
        let log = second.log();
        log.contains("nothing is re-wrapped") && log.contains(&new.to_string())
    })
    .await;
    assert_eq!(
        (under(&db, old).await, under(&db, new).await),
        (0, fleet.len())
    );
    let file = format!("{new}.key");
    std::fs::copy(world.keyring_dir().join(&file), late.path().join(&file)).unwrap();
    folder::activate(late.path(), &new).unwrap();
    let third = folder::add(late.path()).unwrap();
    folder::activate(late.path(), &third).unwrap();
    ended(&db, third).await;
    assert_eq!(under(&db, third).await, fleet.len());
}

/// A transaction of the controller that is held up at a statement, until it is let go.
struct Gate {
    owner: PgConnection,
}

impl Gate {
    /// Holds up whoever counts versions that were re-wrapped: by then their rows are written, and not
    /// committed.
    async fn before_the_count(world: &World) -> Self {
        let mut owner = world.owner().await;
        sqlx::raw_sql(
            "SELECT pg_advisory_lock(4711);
             CREATE FUNCTION public.hold() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN PERFORM pg_advisory_xact_lock_shared(4711); RETURN NEW; END $$;
             CREATE TRIGGER hold BEFORE UPDATE ON rewrap FOR EACH ROW
             WHEN (NEW.rewrapped > OLD.rewrapped) EXECUTE FUNCTION public.hold()",
        )
        .execute(&mut owner)
        .await
        .unwrap();
        Self { owner }
    }

    /// Waits until somebody waits for a lock of this kind: for the gate (`advisory`), or for rows of who
    /// waits there (`transactionid`).
    async fn until(&mut self, what: &str, lock: &str) {
        let waits = "SELECT EXISTS (SELECT FROM pg_locks JOIN pg_stat_activity a USING (pid)
                         WHERE NOT granted AND locktype = $1 AND a.datname = current_database())";
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while !sqlx::query_scalar::<_, bool>(waits)
            .bind(lock)
            .fetch_one(&mut self.owner)
            .await
            .unwrap()
        {
            assert!(
                std::time::Instant::now() < deadline,
                "within a minute: {what}"
            );
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }

    async fn open(mut self) {
        sqlx::raw_sql("SELECT pg_advisory_unlock(4711); DROP TRIGGER hold ON rewrap")
            .execute(&mut self.owner)
            .await
            .unwrap();
    }
}

/// The two change the same rows: one their wraps, the other their states, in which a destroyed one has no
/// wrap. Whichever is first, neither undoes the other.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_rotated_while_its_version_is_re_wrapped_is_what_both_made_of_it() {
    const OTHER: &str = "sk-test-fedcba9876543210";
    let vendor = FakeVendor::start(&[KEY, OTHER], &[]).await;
    let world = World::new("rewrap-rotation").await;
    let (db, old) = (world.db().await, active(&world));
    let controller = Process::controller(&world, &[SETTLED]);
    world.secret("s", KEY).await;
    world.secret("t", KEY).await;
    world.apply_basics(&vendor.url()).await;
    // The former key of one goes at once, that of the other has its grace.
    let spec = json!({
        "providerRef": { "name": "p" }, "secretRef": { "name": "t" }, "rotation": { "graceSeconds": 0 },
    });
    world.apply("LlmCredential", "gone", spec).await;
    for name in ["c", "gone"] {
        world.ready("LlmCredential", name).await;
    }
    assert_eq!(under(&db, old).await, 2);

    let mut gate = Gate::before_the_count(&world).await;
    let new = rotate(&world);
    gate.until("the versions are being moved", "advisory").await;
    world.secret("s", OTHER).await;
    world.secret("t", OTHER).await;
    let in_use = async |version: i32| {
        let states = ["c", "gone"].map(async |name| {
            let status = world.get("LlmCredential", name).await["status"].clone();
            status["versions"][0]["version"] == version
                && status["versions"][0]["state"] == "Current"
        });
        futures::future::join_all(states).await == [true, true]
    };
    // New versions are rows of their own, and wait for nobody; the former ones do.
    gate.until("the former versions are being left", "transactionid")
        .await;
    gate.open().await;
    eventually("the new versions are in use", async || in_use(2).await).await;
    ended(&db, new).await;
    eventually("all that is left is under the new key", async || {
        (under(&db, old).await, under(&db, new).await) == (0, 3)
    })
    .await;
    let stored = keys(&world, &db).await;
    assert_eq!(
        stored,
        json!({ "c": { "1": KEY, "2": OTHER }, "gone": { "2": OTHER } })
    );
    assert!(!controller.log().contains("does not authenticate"));
    folder::remove(&world.keyring_dir(), &old).unwrap();
    assert_eq!(keys(&world, &db).await, stored);
}
