//! What the envelope and the fingerprint promise.

use futures::executor::block_on;
use proptest::prelude::*;
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;
use uuid::Uuid;

use super::envelope::{encrypt_payload, wrap_aad};
use super::kek::folder::{Folder, wrap_with};
use super::kek::{KekError, MacKeySource};
use super::*;

const UID: Uuid = Uuid::from_u128(0x11111111_2222_4333_8444_555555555555);

fn binding() -> Binding<'static> {
    Binding {
        namespace: "team-a",
        name: "openai",
        uid: UID,
        version: 1,
    }
}

fn one_key() -> Folder {
    Folder::for_tests(&[[1; 32]], 0)
}

fn payload(api_key: &str) -> Payload {
    Payload {
        fields: SecretFields {
            api_key: Some(api_key.into()),
            ..SecretFields::default()
        },
        provider_type: "OpenAI".into(),
        allowed_hosts: vec!["gateway.example:8443".into()],
    }
}

fn sealed(payload: &Payload) -> Sealed {
    block_on(seal(&one_key(), &binding(), payload)).unwrap()
}

fn opened(binding: &Binding<'_>, sealed: &Sealed) -> Result<Payload, OpenError> {
    block_on(open(&one_key(), binding, sealed))
}

fn flip(bytes: &[u8], bit: usize) -> Vec<u8> {
    let mut flipped = bytes.to_vec();
    flipped[bit / 8] ^= 1 << (bit % 8);
    flipped
}

#[test]
fn a_changed_binding_does_not_open() {
    let sealed = sealed(&payload("sk-canary"));
    let others = [
        Binding {
            namespace: "team-b",
            ..binding()
        },
        Binding {
            name: "openai2",
            ..binding()
        },
        Binding {
            namespace: "team-",
            name: "aopenai",
            ..binding()
        },
        Binding {
            uid: Uuid::from_u128(7),
            ..binding()
        },
        Binding {
            version: 2,
            ..binding()
        },
    ];
    for other in others {
        assert_eq!(opened(&other, &sealed).unwrap_err(), OpenError::Tampered);
    }
}

#[test]
fn every_single_bit_of_wrap_and_payload_is_authenticated() {
    let sealed = sealed(&payload("sk-canary"));
    for bit in 0..sealed.wrapped_key.len() * 8 {
        let changed = Sealed {
            wrapped_key: flip(&sealed.wrapped_key, bit),
            ..sealed.clone()
        };
        assert!(opened(&binding(), &changed).is_err(), "wrap bit {bit}");
    }
    for bit in 0..sealed.payload.len() * 8 {
        let changed = Sealed {
            payload: flip(&sealed.payload, bit),
            ..sealed.clone()
        };
        assert!(opened(&binding(), &changed).is_err(), "payload bit {bit}");
    }
}

#[test]
fn truncated_columns_are_refused_without_a_panic() {
    let sealed = sealed(&payload("sk-canary"));
    for end in 0..sealed.wrapped_key.len() {
        let cut = Sealed {
            wrapped_key: sealed.wrapped_key[..end].to_vec(),
            ..sealed.clone()
        };
        assert!(opened(&binding(), &cut).is_err());
    }
    for end in 0..sealed.payload.len() {
        let cut = Sealed {
            payload: sealed.payload[..end].to_vec(),
            ..sealed.clone()
        };
        assert!(opened(&binding(), &cut).is_err());
    }
}

#[test]
fn payload_and_wrap_of_different_rows_do_not_open_together() {
    let first = sealed(&payload("sk-first"));
    let second = sealed(&payload("sk-second"));
    assert_ne!(first, second);
    let mixed = Sealed {
        payload: second.payload,
        ..first
    };
    assert_eq!(opened(&binding(), &mixed).unwrap_err(), OpenError::Tampered);
}

#[tokio::test]
async fn rewrapping_needs_the_new_key_alone_afterwards() {
    let both = Folder::for_tests(&[[1; 32], [2; 32]], 1);
    let new = Folder::for_tests(&[[2; 32]], 0);
    let old = sealed(&payload("sk-canary"));
    let to = new.active().await.unwrap().id;
    let from = (&old.kek_id, &old.wrapped_key[..]);
    let wrapped_key = rewrap(&both, from, &to, &binding()).await.unwrap();
    let again = Sealed {
        kek_id: to,
        wrapped_key,
        payload: old.payload.clone(),
    };
    let opened = open(&new, &binding(), &again).await.unwrap();
    assert!(bool::from(
        opened.fields.ct_eq(&payload("sk-canary").fields)
    ));
    let lacks = open(&one_key(), &binding(), &again).await.unwrap_err();
    assert!(
        matches!(lacks, OpenError::Kek(_)) && !lacks.is_of_the_row(),
        "{lacks}"
    );
    // A wrap says under which key it is; another's label does not open it.
    for relabelled in [
        Sealed {
            kek_id: to,
            ..old.clone()
        },
        Sealed {
            kek_id: old.kek_id,
            ..again.clone()
        },
    ] {
        assert_eq!(
            open(&both, &binding(), &relabelled).await.unwrap_err(),
            OpenError::Tampered
        );
    }
}

#[tokio::test]
async fn a_wrap_that_does_not_authenticate_is_not_wrapped_anew() {
    let both = Folder::for_tests(&[[1; 32], [2; 32]], 1);
    let to = both.active().await.unwrap().id;
    let old = sealed(&payload("sk-canary"));
    for bit in 0..old.wrapped_key.len() * 8 {
        let changed = flip(&old.wrapped_key, bit);
        let refused = rewrap(&both, (&old.kek_id, &changed), &to, &binding()).await;
        assert!(
            matches!(refused, Err(RewrapError::Open(why)) if why.is_of_the_row()),
            "bit {bit}"
        );
    }
    let elsewhere = Binding {
        name: "another",
        ..binding()
    };
    let from = (&old.kek_id, &old.wrapped_key[..]);
    let moved = rewrap(&both, from, &to, &elsewhere).await;
    assert!(matches!(moved, Err(RewrapError::Open(OpenError::Tampered))));
}

#[test]
fn a_row_sealed_with_fixed_inputs_has_the_pinned_bytes() {
    let data_key = KeyBytes::new(Box::new([5; 32]));
    let folder = one_key();
    let kek_id = block_on(folder.active()).unwrap().id;
    let payload = encrypt_payload(&binding(), &payload("sk-canary"), &data_key, &[3; 12]).unwrap();
    let kek = folder.kek_for_tests(&kek_id);
    let aad = wrap_aad(&kek_id, &binding());
    let wrapped_key = wrap_with(&kek, &data_key, &aad, &[4; 12]).unwrap();
    let sealed = Sealed {
        kek_id,
        wrapped_key,
        payload,
    };
    let text = format!(
        "{}\n{}\n{}",
        sealed.kek_id,
        hex::encode(&sealed.wrapped_key),
        hex::encode(&sealed.payload)
    );
    assert_eq!(text, PINNED);
    assert!(opened(&binding(), &sealed).is_ok());
}

// Computed from the documented layout by another implementation of AES-GCM.
const PINNED: &str = "72cd6e8422c407fb\n\
    01040404040404040404040404eaa45e459cbdbe4ca2499bb99550a987701deca22929e031ce86f8b8c63dbe105024781b26f12ca53d5c48f17384b873\n\
    010303030303030303030303037dd3f56a449dfcd74bc41093c4330f2cb1077c541d8595a3003213577069f607242fad4f6f54a157bb8401106ec1dc3ec939b006a9eb45d469dea441b9de34748825e2b02c35c1ff417d935e63686ac8e6e5657e7ca6ad8f2af665bb54c6cd63950d9f72ac327e9aa5cfd706018d11c652a1ce04a6e474836402df69a0de95aefaae3f7830be4ff29577ec1673123eb8c9524e9348";

#[test]
fn fingerprints_differ_by_uid_by_field_and_by_presence() {
    let key = one_key().fingerprint_key();
    let of = |api: Option<&str>, secret: Option<&str>| {
        let fields = SecretFields {
            api_key: api.map(SecretString::from),
            secret_key: secret.map(SecretString::from),
            access_token: None,
        };
        Fingerprint::of(&key, UID, &fields)
    };
    let all = [
        of(Some("k"), None),
        of(None, Some("k")),
        of(Some("k"), Some("")),
        of(None, None),
    ];
    for (i, a) in all.iter().enumerate() {
        assert!(all[i + 1..].iter().all(|b| a != b));
    }
    assert_eq!(of(Some("k"), None), all[0]);
    assert_eq!(all[0].to_string().parse(), Ok(all[0]));
    let elsewhere = Fingerprint::of(&key, Uuid::from_u128(1), &payload("k").fields);
    assert_ne!(elsewhere, all[0]);
}

#[test]
fn debug_output_shows_no_secret() {
    let payload = payload("sk-canary-sk-canary-sk-canary");
    let folder = one_key();
    let kek = folder.kek_for_tests(&block_on(folder.active()).unwrap().id);
    let shown = [
        format!("{payload:?} {:?}", payload.fields),
        format!("{:?}", sealed(&payload)),
        format!("{folder:?} {:?}", folder.fingerprint_key()),
        format!(
            "{kek:?} {:?}",
            MaskedKey::of(payload.fields.api_key.as_ref())
        ),
        format!("{:?}", OpenError::Kek(KekError::NotAuthentic)),
    ];
    for shown in shown {
        assert!(!shown.contains("canary"), "{shown}");
        assert!(!shown.contains("1, 1, 1"), "{shown}");
        assert!(!shown.contains("9, 9, 9"), "{shown}");
    }
}

proptest! {
    #[test]
    fn any_fields_come_back(
        api in any::<Option<String>>(),
        secret in any::<Option<String>>(),
        token in any::<Option<String>>(),
        hosts in any::<Vec<String>>(),
    ) {
        let payload = Payload {
            fields: SecretFields {
                api_key: api.clone().map(SecretString::from),
                secret_key: secret.clone().map(SecretString::from),
                access_token: token.clone().map(SecretString::from),
            },
            provider_type: "OpenAI".into(),
            allowed_hosts: hosts.clone(),
        };
        let opened = opened(&binding(), &sealed(&payload)).unwrap();
        let text = |field: &Option<SecretString>| field.as_ref().map(|s| s.expose_secret().to_owned());
        prop_assert_eq!(text(&opened.fields.api_key), api);
        prop_assert_eq!(text(&opened.fields.secret_key), secret);
        prop_assert_eq!(text(&opened.fields.access_token), token);
        prop_assert_eq!(opened.allowed_hosts, hosts);
    }
}

proptest! {
    #[test]
    fn any_flipped_bit_of_any_row_is_refused(
        key in "[ -~]{1,64}",
        namespace in "[a-z]{1,8}",
        version in 1i32..,
        at in any::<prop::sample::Index>(),
        in_wrap in any::<bool>(),
    ) {
        let binding = Binding { namespace: &namespace, version, ..binding() };
        let mut row = block_on(seal(&one_key(), &binding, &payload(&key))).unwrap();
        prop_assert!(opened(&binding, &row).is_ok());
        let part = if in_wrap { &mut row.wrapped_key } else { &mut row.payload };
        *part = flip(part, at.index(part.len() * 8));
        let refused = opened(&binding, &row).unwrap_err();
        prop_assert!(refused.is_of_the_row(), "{}", refused);
    }

    #[test]
    fn wraps_that_changed_places_are_refused(a in "[ -~]{1,64}", b in "[ -~]{1,64}", other in 2i32..) {
        let (mut first, binding_of_other) = (sealed(&payload(&a)), Binding { version: other, ..binding() });
        let mut second = block_on(seal(&one_key(), &binding_of_other, &payload(&b))).unwrap();
        std::mem::swap(&mut first.wrapped_key, &mut second.wrapped_key);
        prop_assert_eq!(opened(&binding(), &first).unwrap_err(), OpenError::Tampered);
        prop_assert_eq!(opened(&binding_of_other, &second).unwrap_err(), OpenError::Tampered);
        std::mem::swap(&mut first.payload, &mut second.payload);
        prop_assert_eq!(opened(&binding(), &first).unwrap_err(), OpenError::Tampered);
    }
}
