//! What the database decides, whatever a replica's snapshot says.

use futures::future::join_all;
use futures::stream::{self, StreamExt};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use llmplane::crd::Kind;
use llmplane::crd::credential::{QuotaPeriod, QuotaUnit};
use llmplane::db::DeclaredCredential;
use llmplane::keys::disclose::Refusal;

use super::{Vault, request};
use crate::support::plane::eventually;

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_tells_who_got_which_key_why_and_for_what() {
    let vault = Vault::new().await;
    let uid = vault.credential("c", "sk-1").await;
    let replica = vault.replica();
    assert_eq!(
        replica.ask("alice", (uid, "c")).await,
        Ok("sk-1".to_owned())
    );
    let [row] = &vault.audited("Disclosed").await[..] else {
        panic!("one row");
    };
    let said = |text: &str| Some(text.to_owned());
    assert_eq!(row.actor, "alice");
    assert_eq!(row.actor_uid, said("uid-1"));
    assert_eq!(row.actor_groups, ["system:authenticated"]);
    assert_eq!(
        (&row.pod, &row.pod_uid),
        (&said("pod-1"), &said("pod-uid-1"))
    );
    assert_eq!(
        (&row.node, &row.token_id),
        (&said("node-1"), &said("JTI=1"))
    );
    assert_eq!((&row.namespace, &row.name), (&said("team"), &said("c")));
    assert_eq!(row.object_uid, Some(uid));
    assert_eq!(row.credential_version, Some(1));
    assert_eq!(row.purpose, said("nightly run"));
    assert!(row.detail.contains("endpoint"), "{}", row.detail);
    let versions = vault.db.credential_version_rows(&[uid]).await.unwrap();
    assert_eq!(row.fingerprint.as_ref(), Some(&versions[0].fingerprint));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_that_must_not_be_used_gives_no_key_and_the_refusal_is_recorded() {
    let vault = Vault::new().await;
    let replica = vault.replica();
    let disabled = vault
        .credential_with("disabled", "k", |row| row.is_active = false)
        .await;
    let past = Timestamp::now() - SignedDuration::from_secs(1);
    let expired = vault
        .credential_with("expired", "k", |row| row.expires_at = Some(past))
        .await;
    let invalid = vault
        .credential_with("invalid", "k", |row| {
            row.conditions = vec![Condition {
                type_: "Valid".to_owned(),
                status: "False".to_owned(),
                reason: "KeyRejected".to_owned(),
                message: String::new(),
                last_transition_time: Time(past),
                observed_generation: Some(1),
            }];
        })
        .await;
    let gone = vault.credential("gone", "k").await;
    vault
        .db
        .write(vault.epoch, move |tx| {
            Box::pin(async move { tx.soft_delete(Kind::Credential, &[gone]).await })
        })
        .await
        .unwrap();
    for (uid, name, refusal) in [
        (disabled, "disabled", Refusal::Disabled),
        (expired, "expired", Refusal::Expired),
        (invalid, "invalid", Refusal::Invalid),
        (gone, "gone", Refusal::Gone),
    ] {
        assert_eq!(replica.ask("a", (uid, name)).await, Err(refusal));
    }
    // What the database decides is recorded with the decision; what never got there, soon after.
    for result in ["Disabled", "Expired", "Invalid"] {
        assert_eq!(vault.audited(result).await.len(), 1, "{result}");
    }
    eventually("the refusal of what is gone is told of", async || {
        vault.audited("Gone").await.len() == 1
    })
    .await;
    assert_eq!(vault.audited("Disclosed").await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_key_is_given_out_as_the_new_one_at_once_by_every_replica() {
    let vault = Vault::new().await;
    let uid = vault.credential("c", "old").await;
    let replica = vault.replica();
    assert_eq!(replica.ask("a", (uid, "c")).await, Ok("old".to_owned()));
    let grace = Timestamp::now() + SignedDuration::from_secs(3600);
    vault.rotate(uid, "c", 2, "new", Some(grace)).await;
    assert_eq!(replica.ask("a", (uid, "c")).await, Ok("new".to_owned()));
    vault.rotate(uid, "c", 3, "newest", None).await;
    assert_eq!(replica.ask("a", (uid, "c")).await, Ok("newest".to_owned()));
    let versions: Vec<_> = (vault.audited("Disclosed").await.iter())
        .map(|row| row.credential_version)
        .collect();
    assert_eq!(versions, [Some(1), Some(2), Some(3)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_comes_with_the_time_at_which_it_ends() {
    let vault = Vault::new().await;
    let ends = "2031-02-03T04:05:06Z".parse().unwrap();
    let uid = vault
        .credential_with("c", "k", |row| row.expires_at = Some(ends))
        .await;
    let replica = vault.replica();
    let key = replica.discloser.disclose(request("a", (uid, "c"))).await;
    assert_eq!(key.unwrap().valid_until, Some(ends));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_is_exact_over_replicas_that_ask_at_once() {
    const LIMIT: i64 = 40;
    let vault = Vault::new().await;
    let limited = |row: &mut DeclaredCredential| {
        row.quota_limit = Some(LIMIT);
        row.quota_unit = Some(QuotaUnit::Disclosures);
        row.quota_period = Some(QuotaPeriod::Month);
    };
    let uid = vault.credential_with("c", "k", limited).await;
    let free = vault.credential("free", "f").await;
    let replicas = [vault.replica(), vault.replica(), vault.replica()];
    let asks = (0..150).map(|number| {
        let replica = &replicas[number % replicas.len()];
        let actor = format!("a-{number}");
        async move {
            let of_limited = replica.ask(&actor, (uid, "c"));
            tokio::join!(of_limited, replica.ask(&actor, (free, "free")))
        }
    });
    let answers = join_all(asks).await;
    let given = answers
        .iter()
        .filter(|(limited, _)| limited.is_ok())
        .count();
    assert_eq!(given, LIMIT as usize);
    assert!(answers.iter().all(|(_, free)| free.is_ok()), "others go on");
    for (refused, _) in answers.iter().filter(|(limited, _)| limited.is_err()) {
        let Err(Refusal::QuotaExhausted { retry_after }) = refused else {
            panic!("{refused:?}");
        };
        assert!(retry_after.as_secs() >= 1 && retry_after.as_secs() <= 31 * 24 * 3600);
    }
    assert_eq!(vault.audited("Disclosed").await.len(), LIMIT as usize + 150);
    assert_eq!(
        vault.audited("QuotaExhausted").await.len(),
        150 - LIMIT as usize
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_begins_anew_with_its_period_and_not_because_a_clock_went_back() {
    let vault = Vault::new().await;
    let limited = |row: &mut DeclaredCredential| {
        row.quota_limit = Some(2);
        row.quota_unit = Some(QuotaUnit::Disclosures);
        row.quota_period = Some(QuotaPeriod::Month);
    };
    let uid = vault.credential_with("c", "k", limited).await;
    let replica = vault.replica();
    let all_are_given = async || {
        for _ in 0..2 {
            assert_eq!(replica.ask("a", (uid, "c")).await, Ok("k".to_owned()));
        }
    };
    let none_is_given = async || {
        let answer = replica.ask("a", (uid, "c")).await;
        assert!(
            matches!(answer, Err(Refusal::QuotaExhausted { .. })),
            "{answer:?}"
        );
    };
    all_are_given().await;
    none_is_given().await;
    vault
        .edit("UPDATE disclosure_counts SET period_start = period_start - interval '1 month'")
        .await;
    all_are_given().await;
    none_is_given().await;
    // What was counted is of a moment that has not come.
    vault
        .edit("UPDATE disclosure_counts SET period_start = period_start + interval '2 months'")
        .await;
    none_is_given().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn under_load_there_are_as_many_rows_as_keys() {
    let vault = Vault::new().await;
    let uid = vault.credential("c", "k").await;
    let replicas = [vault.replica(), vault.replica()];
    let asks = (0..1000).map(|number| {
        let replica = &replicas[number % 2];
        async move { replica.ask(&format!("a-{number}"), (uid, "c")).await }
    });
    let answers: Vec<_> = stream::iter(asks).buffer_unordered(200).collect().await;
    assert!(answers.iter().all(Result::is_ok));
    let mut actors: Vec<_> = (vault.audited("Disclosed").await.into_iter())
        .map(|row| row.actor)
        .collect();
    actors.sort();
    actors.dedup();
    assert_eq!(actors.len(), 1000, "each caller has its own row");
    assert_eq!(vault.audited("Disclosed").await.len(), 1000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_was_never_compared_with_the_cluster_gives_out_nothing() {
    let vault = Vault::new().await;
    let uid = vault.credential("c", "k").await;
    let replica = vault.replica();
    vault
        .edit("UPDATE swept_database SET marker = 'another'")
        .await;
    assert_eq!(
        replica.ask("a", (uid, "c")).await,
        Err(Refusal::NotSweptYet)
    );
    assert_eq!(vault.audited("NotSweptYet").await.len(), 1);
    vault.mark_swept().await;
    assert_eq!(replica.ask("a", (uid, "c")).await, Ok("k".to_owned()));
}
