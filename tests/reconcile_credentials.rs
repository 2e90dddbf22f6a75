//! Keys: what is taken from a Secret, what is not, and where a key must never show.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::events::v1::Event;
use kube::{Api, api::ListParams};
use llmplane::crd::credential::VersionState;
use llmplane::crd::reasons::Reason;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::support::{fake_vendor::FakeVendor, plane::eventually, vendors::Recorded, world::World};

const KEY: &str = "sk-test-0123456789abcdef";
const CANARY: &str = "sk-canary-7d1f0c5e9b2a4863";

fn secret(name: &str, label: Option<&str>, data: Value) -> Value {
    let labels = label.map_or(json!({}), |l| json!({ "llmplane.dev/credential": l }));
    json!({
        "metadata": {
            "name": name, "labels": labels,
            "annotations": { "llmplane.dev/allowed-hosts": "127.0.0.1" },
        },
        "data": data,
    })
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_a_key_is_refused_with_its_reason_and_nothing_is_stored() {
    let vendor = FakeVendor::start(&[KEY], &[]).await;
    let world = World::started("secrets").await;
    world.provider("p", json!({})).await;
    world.endpoint("e", &vendor.url(), json!({})).await;
    let own = Some("OpenAICompatible");
    let key = |bytes: &[u8]| json!({ "api-key": base64(bytes) });
    let cases = [
        ("absent", None, "SecretNotFound"),
        (
            "unlabelled",
            Some((None, key(b"sk-x"))),
            "SecretNotLabelled",
        ),
        (
            "other-type",
            Some((Some("OpenAI"), key(b"sk-x"))),
            "HostNotAllowed",
        ),
        (
            "missing",
            Some((own, json!({ "other": base64(b"x") }))),
            "SecretFieldMissing",
        ),
        ("empty", Some((own, key(b""))), "KeyMalformed"),
        ("too-long", Some((own, key(&[b'k'; 501]))), "KeyMalformed"),
        ("line-break", Some((own, key(b"a\nb"))), "KeyMalformed"),
        ("nul", Some((own, key(b"a\0b"))), "KeyMalformed"),
        ("not-utf8", Some((own, key(b"\xff\xfe"))), "KeyMalformed"),
        (
            "huge",
            Some((own, key(&vec![b'k'; 700 * 1024]))),
            "KeyMalformed",
        ),
        ("blanks", Some((own, key(b"   "))), "KeyMalformed"),
    ];
    for (name, given, _) in &cases {
        if let Some((label, data)) = given {
            let object = secret(name, *label, data.clone());
            world.apply_object("Secret", object).await;
        }
        world.credential(name, name).await;
    }
    for (name, _, reason) in &cases {
        world
            .says("LlmCredential", name, "Valid", "False", reason)
            .await;
        world
            .says("LlmCredential", name, "Ready", "False", reason)
            .await;
    }
    let db = world.db().await;
    let rows = db.credential_rows_all(false).await.unwrap();
    assert_eq!(rows.len(), cases.len());
    let uids: Vec<_> = rows.iter().map(|row| row.uid).collect();
    assert!(db.credential_version_rows(&uids).await.unwrap().is_empty());

    let unlabelled = secret("unlabelled", own, key(KEY.as_bytes()));
    world.apply_object("Secret", unlabelled).await;
    world.ready("LlmCredential", "unlabelled").await;
}

/// What a clipboard, an editor or a shell puts around or into a key.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_odd_about_a_key_is_named_and_the_vendor_is_not_asked() {
    let vendor = FakeVendor::start(&[KEY], &[]).await;
    let world = World::started("odd-keys").await;
    world.provider("p", json!({})).await;
    world.endpoint("e", &vendor.url(), json!({})).await;
    let cases = [
        ("bom", format!("\u{feff}{KEY}"), "byte order mark (U+FEFF)"),
        (
            "zero-width",
            KEY.replace("0123", "01\u{200b}23"),
            "zero-width space (U+200B)",
        ),
        (
            "no-break",
            format!("{KEY}\u{a0}"),
            "no-break space (U+00A0)",
        ),
        (
            "en-dash",
            KEY.replacen('-', "\u{2013}", 1),
            "en dash (U+2013)",
        ),
        (
            "bearer",
            format!("Bearer {KEY}"),
            "begins with the word Bearer",
        ),
        ("quoted", format!("\"{KEY}\""), "quotation marks"),
        ("leading", format!(" {KEY}"), "a blank at its beginning"),
        ("trailing", format!("{KEY} \n"), "a blank at its end"),
    ];
    for (name, text, _) in &cases {
        let data = json!({ "api-key": base64(text.as_bytes()) });
        let object = secret(name, Some("OpenAICompatible"), data);
        world.apply_object("Secret", object).await;
        world.credential(name, name).await;
    }
    for (name, _, words) in &cases {
        let (kind, reason) = ("LlmCredential", "KeyMalformed");
        world.says(kind, name, "Valid", "False", reason).await;
        let message = world.message(kind, name, "Valid").await;
        assert!(message.contains(words), "{name}: {message}");
        assert!(!message.contains(&KEY[8..]), "{name}: {message}");
    }
    let asked_with_it = |request: &Recorded| request.header("authorization").is_some();
    assert!(!vendor.requests().iter().any(asked_with_it));
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_that_the_providers_type_does_not_take_are_named() {
    let world = World::started("entries").await;
    world.provider("p", json!({})).await;
    let data = json!({ "one": base64(KEY.as_bytes()), "two": base64(b"sk-two-0123456789") });
    let object = secret("s", Some("OpenAICompatible"), data);
    world.apply_object("Secret", object).await;
    for (name, keys, reason, named) in [
        (
            "pair",
            json!({ "apiKey": "one", "secretKey": "two" }),
            "KeyMalformed",
            "secretKey",
        ),
        (
            "both",
            json!({ "apiKey": "one", "accessToken": "two" }),
            "KeyMalformed",
            "accessToken",
        ),
    ] {
        let spec =
            json!({ "providerRef": { "name": "p" }, "secretRef": { "name": "s", "keys": keys } });
        world.apply("LlmCredential", name, spec).await;
        world
            .says("LlmCredential", name, "Ready", "False", reason)
            .await;
        let message = world.message("LlmCredential", name, "Ready").await;
        assert!(message.contains(named), "{name}: {message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_comes_without_its_label_is_found_and_heals_when_it_is_labelled() {
    let vendor = FakeVendor::start(&[KEY], &[]).await;
    let world = World::started("later").await;
    world.apply_basics(&vendor.url()).await;
    world
        .says("LlmCredential", "c", "Valid", "False", "SecretNotFound")
        .await;
    let data = json!({ "api-key": base64(KEY.as_bytes()) });
    world.apply_object("Secret", secret("s", None, data)).await;
    world
        .says("LlmCredential", "c", "Valid", "False", "SecretNotLabelled")
        .await;
    world.delete("Secret", "s").await;
    world
        .says("LlmCredential", "c", "Valid", "False", "SecretNotFound")
        .await;
    world.secret("s", KEY).await;
    world.ready("LlmCredential", "c").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trailing_newline_is_left_out_and_said() {
    let vendor = FakeVendor::start(&[KEY], &[]).await;
    let world = World::started("newline").await;
    world.secret("s", &format!("{KEY}\n")).await;
    world.apply_basics(&vendor.url()).await;
    world.ready("LlmCredential", "c").await;
    let message = world.message("LlmCredential", "c", "Valid").await;
    assert!(message.contains("trailing newline"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_the_secrets_owner_did_not_name_gets_no_key() {
    let vendor = FakeVendor::start(&[KEY], &[]).await;
    let world = World::started("hosts").await;
    let mut stranger = secret(
        "s",
        Some("OpenAICompatible"),
        json!({ "api-key": base64(KEY.as_bytes()) }),
    );
    stranger["metadata"]["annotations"]["llmplane.dev/allowed-hosts"] = "gw.example.com".into();
    world.apply_object("Secret", stranger).await;
    world.apply_basics(&vendor.url()).await;
    world
        .says("LlmCredential", "c", "Valid", "False", "HostNotAllowed")
        .await;
    world.secret("s", KEY).await;
    world.ready("LlmCredential", "c").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_key_takes_over_when_accepted_and_a_rejected_one_leaves_the_old_in_use() {
    let vendor = FakeVendor::start(&[KEY], &[]).await;
    let world = World::started("rotate").await;
    world.secret("s", KEY).await;
    world.apply_basics(&vendor.url()).await;
    world.ready("LlmCredential", "c").await;

    world.secret("s", "sk-rejected-0123456789").await;
    world
        .says("LlmCredential", "c", "Ready", "False", "KeyRejected")
        .await;
    let valid = world.said("LlmCredential", "c", "Valid").await;
    assert_eq!(valid, Some(("True".into(), "KeyAccepted".into())));
    assert_eq!(
        states(&world).await,
        [VersionState::Pending, VersionState::Current]
    );

    vendor.accept("sk-second-0123456789ab");
    world.secret("s", "sk-second-0123456789ab").await;
    let taken = [
        VersionState::Current,
        VersionState::Destroyed,
        VersionState::Previous,
    ];
    eventually("the third key is in use", async || {
        states(&world).await == taken
    })
    .await;
    world.ready("LlmCredential", "c").await;

    vendor.refuse("sk-second-0123456789ab");
    world.check_key("1").await;
    world
        .says("LlmCredential", "c", "Valid", "False", "KeyRejected")
        .await;
}

/// The endpoint that accepted it moves to a vendor that does not know it: the acceptance is not one
/// there, and what was said of an endpoint that is gone is forgotten.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_key_is_not_judged_by_what_was_said_elsewhere() {
    let vendor = FakeVendor::start(&[KEY], &[]).await;
    let other = FakeVendor::start(&[KEY], &[]).await;
    let world = World::started("elsewhere").await;
    world.secret("s", KEY).await;
    world.apply_basics(&vendor.url()).await;
    world.endpoint("second", &other.url(), json!({})).await;
    world.ready("LlmCredential", "c").await;
    eventually("it was checked at both", async || {
        verdicts(&world).await == [2]
    })
    .await;

    world.delete("LlmEndpoint", "second").await;
    eventually("what was said at the second is forgotten", async || {
        verdicts(&world).await == [1]
    })
    .await;

    world.secret("s", "sk-rejected-0123456789").await;
    world
        .says("LlmCredential", "c", "Ready", "False", "KeyRejected")
        .await;
    other.accept("sk-rejected-0123456789");
    other.break_with(500);
    world.endpoint("e", &other.url(), json!({})).await;
    world
        .says(
            "LlmCredential",
            "c",
            "Valid",
            "Unknown",
            "CheckInconclusive",
        )
        .await;
    assert_eq!(
        states(&world).await,
        [VersionState::Pending, VersionState::Current]
    );
    other.mend();
    eventually("it is accepted where the endpoint is now", async || {
        states(&world).await == [VersionState::Current, VersionState::Previous]
    })
    .await;
}

/// How many verdicts each version has that is in use, the newest first.
async fn verdicts(world: &World) -> Vec<usize> {
    let db = world.db().await;
    let Some(row) = db.credential_rows_all(false).await.unwrap().pop() else {
        return Vec::new();
    };
    let versions = db.credential_version_rows(&[row.uid]).await.unwrap();
    versions.iter().map(|v| v.verdicts.len()).collect()
}

async fn states(world: &World) -> Vec<VersionState> {
    let db = world.db().await;
    let uid = db.credential_rows_all(false).await.unwrap()[0].uid;
    let versions = db.credential_version_rows(&[uid]).await.unwrap();
    versions.iter().map(|version| version.state).collect()
}

/// The vendor refuses the key and repeats it in its message, as OpenAI does.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_shows_neither_in_a_status_nor_in_an_event_nor_in_the_database() {
    let vendor = FakeVendor::start(&[], &["m"]).await;
    let world = World::started("canary").await;
    world.secret("s", CANARY).await;
    world.apply_basics(&vendor.url()).await;
    world.model("m", "m").await;
    world
        .says("LlmCredential", "c", "Ready", "False", "KeyRejected")
        .await;
    let events: Api<Event> = Api::namespaced(world.client.clone(), world.ns());
    eventually("the rejection is an Event", async || {
        let listed = events.list(&ListParams::default()).await.unwrap();
        let text = serde_json::to_string(&listed.items).unwrap();
        assert!(!text.contains(CANARY));
        text.contains("KeyRejected")
    })
    .await;
    for (kind, name) in [
        ("LlmProvider", "p"),
        ("LlmEndpoint", "e"),
        ("LlmCredential", "c"),
        ("LlmModel", "m"),
    ] {
        let text = world.get(kind, name).await.to_string();
        assert!(!text.contains(CANARY), "{kind}");
    }
    let dump = dump(&world.database.owner_url).await;
    assert!(dump.contains("KeyRejected"), "the dump holds the tables");
    assert!(!dump.contains(CANARY) && !dump.contains(&hex::encode(CANARY)));
}

async fn dump(url: &str) -> String {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT format('%I.%I', table_schema, table_name) FROM information_schema.tables
         WHERE table_schema NOT IN ('pg_catalog', 'information_schema') AND table_type = 'BASE TABLE'",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    let mut dump = String::new();
    for table in tables {
        let rows: Vec<String> =
            sqlx::query_scalar(AssertSqlSafe(format!("SELECT t::text FROM {table} t")))
                .fetch_all(&mut connection)
                .await
                .unwrap();
        dump.push_str(&rows.join("\n"));
    }
    dump
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_warns_before_it_expires_and_ends_when_it_does() {
    let vendor = FakeVendor::start(&[KEY], &[]).await;
    let world = World::started("expires").await;
    world.secret("s", KEY).await;
    world.apply_basics(&vendor.url()).await;
    world.ready("LlmCredential", "c").await;
    let until = |left: SignedDuration| {
        json!({
            "providerRef": { "name": "p" }, "secretRef": { "name": "s" },
            "expiresAt": (Timestamp::now() + left).to_string(),
        })
    };
    let day = SignedDuration::from_hours(24);
    let soon = until(day + SignedDuration::from_secs(8));
    world.apply("LlmCredential", "c", soon).await;
    world
        .apply(
            "LlmCredential",
            "short",
            until(SignedDuration::from_secs(8)),
        )
        .await;
    world
        .says("LlmCredential", "c", "Valid", "True", "ExpiresSoon")
        .await;
    let events: Api<Event> = Api::namespaced(world.client.clone(), world.ns());
    for left in ["7 days", "1 day"] {
        let what = format!("it is told that less than {left} are left");
        eventually(&what, async || {
            let listed = events.list(&ListParams::default()).await.unwrap();
            listed.items.iter().any(|event| {
                let note = event.note.as_deref().unwrap_or_default();
                event.reason.as_deref() == Some("ExpiresSoon")
                    && event.regarding.as_ref().and_then(|r| r.name.as_deref()) == Some("c")
                    && note.contains(&format!("in less than {left};"))
            })
        })
        .await;
    }
    world.ready("LlmCredential", "c").await;
    world
        .says("LlmCredential", "short", "Ready", "False", "Expired")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keyring_of_another_fingerprint_key_destroys_nothing() {
    let vendor = FakeVendor::start(&[KEY], &[]).await;
    let mut world = World::started("otherring").await;
    world.secret("s", KEY).await;
    world.apply_basics(&vendor.url()).await;
    world
        .says("LlmCredential", "c", "Valid", "True", "KeyAccepted")
        .await;
    let db = world.db().await;
    let versions = async || {
        let uid = db.credential_rows_all(false).await.unwrap()[0].uid;
        let rows = db.credential_version_rows(&[uid]).await.unwrap();
        let told = rows.into_iter().map(|row| (row.version, row.state));
        told.collect::<Vec<_>>()
    };
    let before = versions().await;
    let file = world.keyring_dir().join("fingerprint.key");
    let right = std::fs::read(&file).unwrap();
    world.stop().await;
    std::fs::write(&file, *b"another key of thirty-two bytes!").unwrap();
    world.start().await;
    world
        .says(
            "LlmCredential",
            "c",
            "Synced",
            "False",
            "KeyringUnavailable",
        )
        .await;
    let said = world.message("LlmCredential", "c", "Synced").await;
    assert!(said.contains("restore that one"), "{said}");
    let ready = world.said("LlmCredential", "c", "Ready").await;
    assert_eq!(ready.unwrap().0, "True", "as it was");
    assert_eq!(versions().await, before);
    std::fs::write(&file, right).unwrap();
    world
        .says("LlmCredential", "c", "Synced", "True", "Reconciled")
        .await;
    assert_eq!(versions().await, before);
}

#[tokio::test]
async fn a_key_whose_kek_is_gone_says_so_and_heals_when_it_is_back() {
    let vendor = FakeVendor::start(&[KEY], &[]).await;
    let mut world = World::started("kekgone").await;
    world.secret("s", KEY).await;
    world.apply_basics(&vendor.url()).await;
    world
        .says("LlmCredential", "c", "Valid", "True", "KeyAccepted")
        .await;
    let ring = world.keyring_dir();
    let old = std::fs::read_to_string(ring.join("active")).unwrap();
    let old = ring.join(format!("{}.key", old.trim()));
    let sealed_under = std::fs::read(&old).unwrap();
    world.stop().await;
    let new = llmplane::encryption::kek::folder::add(&ring).unwrap();
    llmplane::encryption::kek::folder::activate(&ring, &new).unwrap();
    std::fs::remove_file(&old).unwrap();
    world.start().await;
    world.check_key("without").await;
    world
        .says("LlmCredential", "c", "Valid", "False", "KeyringUnavailable")
        .await;
    let said = world.message("LlmCredential", "c", "Valid").await;
    let kek = old.file_stem().unwrap().to_str().unwrap();
    assert!(said.contains(kek), "{said}");
    let ready = world.said("LlmCredential", "c", "Ready").await;
    assert_eq!(ready.unwrap().0, "True", "as it was");
    // What the vendor said of it stands: a replica that has the key gives it out.
    let db = world.db().await;
    let row = db.credential_rows_all(false).await.unwrap().remove(0);
    let versions = db.credential_version_rows(&[row.uid]).await.unwrap();
    let verdicts: Vec<_> = versions[0].verdicts.values().map(|v| v.reason).collect();
    assert_eq!(verdicts, [Reason::KeyAccepted]);
    let with_key = || (vendor.requests().iter().filter(|r| r.bearer() == Some(KEY))).count();
    let asked = with_key();
    std::fs::write(&old, sealed_under).unwrap();
    // Nobody asks: the key's return is enough.
    world
        .says("LlmCredential", "c", "Valid", "True", "KeyAccepted")
        .await;
    eventually("the check that could not be made is made", async || {
        with_key() > asked
    })
    .await;
}

/// A script that writes the Secret in a loop: what it wrote last is in use, and the vendor is asked about each key
/// a few times at most.
#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_changes_a_hundred_times_ends_at_its_last_key_without_a_storm() {
    const CHANGES: usize = 100;
    let key = |number: usize| format!("sk-test-0123456789abcdef-{number:03}");
    let keys: Vec<String> = (0..CHANGES).map(key).collect();
    let accepted: Vec<&str> = keys.iter().map(String::as_str).collect();
    let vendor = FakeVendor::start(&accepted, &[]).await;
    let world = World::started("churn").await;
    world.secret("s", &keys[0]).await;
    world.apply_basics(&vendor.url()).await;
    world
        .says("LlmCredential", "c", "Valid", "True", "KeyAccepted")
        .await;
    let mut pace = tokio::time::interval(std::time::Duration::from_millis(100));
    for key in &keys[1..] {
        pace.tick().await;
        world.secret("s", key).await;
    }
    let db = world.db().await;
    let uid = db.credential_rows_all(false).await.unwrap()[0].uid;
    let in_use = async || {
        let rows = db.credential_version_rows(&[uid]).await.unwrap();
        let current = rows.into_iter().find(|v| v.state == VersionState::Current);
        let version = current?.version.to_string();
        let stored = crate::support::keys::keys(&world, &db).await;
        stored["c"][&version].as_str().map(str::to_owned)
    };
    eventually("the last key is in use", async || {
        in_use().await.as_ref() == keys.last()
    })
    .await;
    world
        .says("LlmCredential", "c", "Valid", "True", "KeyAccepted")
        .await;
    let rows = db.credential_version_rows(&[uid]).await.unwrap();
    assert!(rows.len() <= CHANGES, "one for each key at most");
    let pending = (rows.iter()).filter(|v| v.state == VersionState::Pending);
    assert_eq!(pending.count(), 0);
    let told = world.get("LlmCredential", "c").await["status"]["versions"].clone();
    assert!(told.as_array().unwrap().len() <= 10, "{told}");
    // Of a version that is new and the one before it, before and after it takes over; and once more.
    let asked = vendor.requests();
    let of_ours = |r: &&Recorded| r.bearer().is_some_and(|key| accepted.contains(&key));
    let asked = asked.iter().filter(of_ours).count();
    assert!(asked <= 5 * CHANGES, "{asked} calls for {CHANGES} keys");
}
