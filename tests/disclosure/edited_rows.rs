//! Rows that somebody changes past the controller: no key goes out, and none elsewhere.

use std::sync::Arc;

use llmplane::encryption::KeyringHandle;
use llmplane::keys::disclose::{KeyRequest, Refusal, WantedKey};

use super::{Vault, request, wanted};
use crate::support::plane::eventually;

const KEY: &str = "sk-canary-0123456789abcdef";

#[tokio::test(flavor = "multi_thread")]
async fn no_key_goes_out_of_a_row_in_which_any_bit_is_flipped() {
    let vault = Vault::new().await;
    let uid = vault.credential("c", KEY).await;
    let replica = vault.replica();
    for (column, bytes) in [("wrapped_key", 61), ("payload", 150)] {
        // Every fifth bit: all positions within a byte, and each part of the layout.
        for bit in (0..bytes * 8).step_by(5) {
            let flip = format!(
                "UPDATE credential_versions SET {column} = set_bit({column}, {bit}, 1 - get_bit({column}, {bit}))"
            );
            vault.edit(&flip).await;
            let answer = replica.ask("a", (uid, "c")).await;
            assert_eq!(answer, Err(Refusal::Unreadable), "bit {bit} of {column}");
            vault.edit(&flip).await;
        }
    }
    assert_eq!(replica.ask("a", (uid, "c")).await, Ok(KEY.to_owned()));
    let asked_for = vault.db.check_requests().await.unwrap();
    assert_eq!(asked_for.len(), 1, "the controller is told");
    assert_eq!(asked_for[0].uid, uid);
    eventually("all refusals are told of", async || {
        let rows = vault.audited("Unreadable").await;
        rows.iter().map(|row| row.count).sum::<i32>() > 300
    })
    .await;
    assert_eq!(vault.audited("Disclosed").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ciphertext_opens_in_no_other_row() {
    let vault = Vault::new().await;
    let a = vault.credential("a", "sk-a").await;
    let b = vault.credential("b", "sk-b").await;
    let replica = vault.replica();
    // Swapped.
    vault
        .edit(
            "UPDATE credential_versions v SET kek_id = o.kek_id, wrapped_key = o.wrapped_key,
                 payload = o.payload, fingerprint = o.fingerprint
             FROM credential_versions o WHERE o.credential_uid <> v.credential_uid",
        )
        .await;
    for credential in [(a, "a"), (b, "b")] {
        assert_eq!(replica.ask("x", credential).await, Err(Refusal::Unreadable));
    }
    // A credential of one's own that is made to hold another's key: by its name, by its namespace.
    let mine = KeyRequest {
        key: Arc::new(WantedKey {
            namespace: "mine".to_owned(),
            ..wanted(b, "b")
        }),
        ..request("x", (b, "b"))
    };
    assert_eq!(replica.send(mine).await, Err(Refusal::Unreadable));
    let mine = request("x", (b, "mine"));
    assert_eq!(replica.send(mine).await, Err(Refusal::Unreadable));
    assert_eq!(vault.audited("Disclosed").await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn edited_columns_move_no_key_to_another_host_or_name() {
    let vault = Vault::new().await;
    let uid = vault.credential("c", KEY).await;
    let replica = vault.replica();
    vault
        .edit("UPDATE credential_versions SET allowed_hosts = ARRAY['evil.example'], provider_type = 'OpenAICompatible'")
        .await;
    let elsewhere = KeyRequest {
        key: Arc::new(WantedKey {
            url: "https://evil.example/v1".parse().unwrap(),
            ..wanted(uid, "c")
        }),
        ..request("x", (uid, "c"))
    };
    let refused = replica.send(elsewhere).await;
    assert!(
        matches!(refused, Err(Refusal::HostNotAllowed(_))),
        "{refused:?}"
    );
    // What is sealed decides: it may still go where it was meant for.
    assert_eq!(replica.ask("x", (uid, "c")).await, Ok(KEY.to_owned()));
    // The audit must name the key that went out.
    vault
        .edit("UPDATE credential_versions SET fingerprint = repeat('0', 32)")
        .await;
    assert_eq!(replica.ask("x", (uid, "c")).await, Err(Refusal::Unreadable));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_whose_kek_is_not_there_yet_is_given_out_when_it_comes() {
    let vault = Vault::new().await;
    let uid = vault.credential("c", KEY).await;
    let dir = vault.keyring_dir();
    let [kek] = &std::fs::read_dir(&dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let name = path.file_name().unwrap().to_str().unwrap();
            name.ends_with(".key") && !["fingerprint.key", "audit.key"].contains(&name)
        })
        .collect::<Vec<_>>()[..]
    else {
        panic!("a new keyring has one");
    };
    // Another one is active, and the one that the row needs has not been delivered.
    let other = llmplane::encryption::kek::folder::add(&dir).unwrap();
    llmplane::encryption::kek::folder::activate(&dir, &other).unwrap();
    let away = vault.keyring.path().join("away");
    std::fs::rename(kek, &away).unwrap();
    let replica = vault.replica();
    assert_eq!(
        replica.ask("x", (uid, "c")).await,
        Err(Refusal::KeyringUnavailable)
    );
    std::fs::rename(&away, kek).unwrap();
    assert_eq!(replica.ask("x", (uid, "c")).await, Ok(KEY.to_owned()));
    assert_eq!(
        vault.db.check_requests().await.unwrap(),
        [],
        "the row is whole"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keyring_with_another_fingerprint_key_is_told_of_and_no_row_is_blamed() {
    let vault = Vault::new().await;
    let uid = vault.credential("c", KEY).await;
    let own = KeyringHandle::open(&vault.keyring_dir()).unwrap();
    let own = own.fingerprint_check();
    let stores = vault.db.write_unversioned(vault.epoch, move |tx| {
        Box::pin(async move { tx.keyring_check(&own).await })
    });
    stores.await.unwrap();
    let file = vault.keyring_dir().join("fingerprint.key");
    let right = std::fs::read(&file).unwrap();
    std::fs::write(&file, (0..32).collect::<Vec<u8>>()).unwrap();
    let replica = vault.replica();
    for _ in 0..2 {
        let answer = replica.ask("x", (uid, "c")).await;
        assert_eq!(answer, Err(Refusal::KeyringUnavailable));
    }
    assert_eq!(vault.db.check_requests().await.unwrap(), []);
    assert_eq!(vault.audited("Disclosed").await, []);
    std::fs::write(&file, right).unwrap();
    let replica = vault.replica();
    assert_eq!(replica.ask("x", (uid, "c")).await, Ok(KEY.to_owned()));
    // The keyring is the right one: it is the row.
    vault
        .edit("UPDATE credential_versions SET fingerprint = repeat('0', 32)")
        .await;
    let answer = replica.ask("x", (uid, "c")).await;
    assert_eq!(answer, Err(Refusal::Unreadable));
}
