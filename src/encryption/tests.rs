//! What the envelope and the fingerprint promise.

use proptest::prelude::*;
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;
use uuid::Uuid;

use super::envelope::{Nonces, seal_with};
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

fn one_key() -> Keyring {
    Keyring::for_tests(&[[1; 32]], 0, [9; 32])
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

fn flip(bytes: &[u8], bit: usize) -> Vec<u8> {
    let mut flipped = bytes.to_vec();
    flipped[bit / 8] ^= 1 << (bit % 8);
    flipped
}

#[test]
fn a_changed_binding_does_not_open() {
    let sealed = seal(&one_key(), &binding(), &payload("sk-canary")).unwrap();
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
        assert_eq!(
            open(&one_key(), &other, &sealed).unwrap_err(),
            OpenError::Tampered
        );
    }
}

#[test]
fn every_single_bit_of_wrap_and_payload_is_authenticated() {
    let sealed = seal(&one_key(), &binding(), &payload("sk-canary")).unwrap();
    for bit in 0..sealed.wrapped_key.len() * 8 {
        let changed = Sealed {
            wrapped_key: flip(&sealed.wrapped_key, bit),
            ..sealed.clone()
        };
        assert!(
            open(&one_key(), &binding(), &changed).is_err(),
            "wrap bit {bit}"
        );
    }
    for bit in 0..sealed.payload.len() * 8 {
        let changed = Sealed {
            payload: flip(&sealed.payload, bit),
            ..sealed.clone()
        };
        assert!(
            open(&one_key(), &binding(), &changed).is_err(),
            "payload bit {bit}"
        );
    }
}

#[test]
fn truncated_columns_are_refused_without_a_panic() {
    let sealed = seal(&one_key(), &binding(), &payload("sk-canary")).unwrap();
    for end in 0..sealed.wrapped_key.len() {
        let cut = Sealed {
            wrapped_key: sealed.wrapped_key[..end].to_vec(),
            ..sealed.clone()
        };
        assert!(open(&one_key(), &binding(), &cut).is_err());
    }
    for end in 0..sealed.payload.len() {
        let cut = Sealed {
            payload: sealed.payload[..end].to_vec(),
            ..sealed.clone()
        };
        assert!(open(&one_key(), &binding(), &cut).is_err());
    }
}

#[test]
fn payload_and_wrap_of_different_rows_do_not_open_together() {
    let first = seal(&one_key(), &binding(), &payload("sk-first")).unwrap();
    let second = seal(&one_key(), &binding(), &payload("sk-second")).unwrap();
    assert_ne!(first, second);
    let mixed = Sealed {
        payload: second.payload,
        ..first
    };
    assert_eq!(
        open(&one_key(), &binding(), &mixed).unwrap_err(),
        OpenError::Tampered
    );
}

#[test]
fn rewrapping_keeps_the_payload_and_needs_the_new_key_alone() {
    let old = one_key();
    let both = Keyring::for_tests(&[[1; 32], [2; 32]], 1, [9; 32]);
    let new = Keyring::for_tests(&[[2; 32]], 0, [9; 32]);
    let sealed = seal(&old, &binding(), &payload("sk-canary")).unwrap();
    let rewrapped = rewrap(&both, &binding(), &sealed).unwrap();
    assert_eq!(rewrapped.payload, sealed.payload);
    assert_eq!(rewrapped.kek_id, new.active());
    let opened = open(&new, &binding(), &rewrapped).unwrap();
    assert!(bool::from(
        opened.fields.ct_eq(&payload("sk-canary").fields)
    ));
    let kek = rewrapped.kek_id;
    assert_eq!(
        open(&old, &binding(), &rewrapped).unwrap_err(),
        OpenError::UnknownKek { kek }
    );
    let relabelled = Sealed {
        kek_id: kek,
        ..sealed
    };
    assert_eq!(
        open(&both, &binding(), &relabelled).unwrap_err(),
        OpenError::Tampered
    );
}

#[test]
fn a_row_sealed_with_fixed_inputs_has_the_pinned_bytes() {
    let data_key = KeyBytes::new(Box::new([5; 32]));
    let nonces = Nonces {
        payload: [3; 12],
        wrap: [4; 12],
    };
    let sealed = seal_with(
        &one_key(),
        &binding(),
        &payload("sk-canary"),
        &data_key,
        &nonces,
    )
    .unwrap();
    let text = format!(
        "{}\n{}\n{}",
        sealed.kek_id,
        hex::encode(&sealed.wrapped_key),
        hex::encode(&sealed.payload)
    );
    assert_eq!(text, PINNED);
    assert!(open(&one_key(), &binding(), &sealed).is_ok());
}

// Computed from the documented layout by another implementation of AES-GCM.
const PINNED: &str = "72cd6e8422c407fb\n\
    01040404040404040404040404eaa45e459cbdbe4ca2499bb99550a987701deca22929e031ce86f8b8c63dbe105024781b26f12ca53d5c48f17384b873\n\
    010303030303030303030303037dd3f56a449dfcd74bc41093c4330f2cb1077c541d8595a3003213577069f607242fad4f6f54a157bb8401106ec1dc3ec939b006a9eb45d469dea441b9de34748825e2b02c35c1ff417d935e63686ac8e6e5657e7ca6ad8f2af665bb54c6cd63950d9f72ac327e9aa5cfd706018d11c652a1ce04a6e474836402df69a0de95aefaae3f7830be4ff29577ec1673123eb8c9524e9348";

#[test]
fn fingerprints_differ_by_uid_by_field_and_by_presence() {
    let keyring = one_key();
    let of = |api: Option<&str>, secret: Option<&str>| {
        let fields = SecretFields {
            api_key: api.map(SecretString::from),
            secret_key: secret.map(SecretString::from),
            access_token: None,
        };
        Fingerprint::of(&keyring, UID, &fields)
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
    let elsewhere = Fingerprint::of(&keyring, Uuid::from_u128(1), &payload("k").fields);
    assert_ne!(elsewhere, all[0]);
}

#[test]
fn debug_output_shows_no_secret() {
    let payload = payload("sk-canary-sk-canary-sk-canary");
    let sealed = seal(&one_key(), &binding(), &payload).unwrap();
    let shown = format!("{payload:?} {sealed:?} {:?}", one_key());
    assert!(!shown.contains("canary"), "{shown}");
    assert!(!shown.contains("1, 1, 1"), "{shown}");
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
        let sealed = seal(&one_key(), &binding(), &payload).unwrap();
        let opened = open(&one_key(), &binding(), &sealed).unwrap();
        let text = |field: &Option<SecretString>| field.as_ref().map(|s| s.expose_secret().to_owned());
        prop_assert_eq!(text(&opened.fields.api_key), api);
        prop_assert_eq!(text(&opened.fields.secret_key), secret);
        prop_assert_eq!(text(&opened.fields.access_token), token);
        prop_assert_eq!(opened.allowed_hosts, hosts);
    }
}
