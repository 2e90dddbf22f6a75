//! A Secret's entries, and what is stored of them: what is read is what was written, what is
//! sealed opens as it was and in its own row alone, and no message holds a key.
#![no_main]

use std::{collections::BTreeMap, sync::OnceLock};

use arbitrary::Arbitrary;
use k8s_openapi::ByteString;
use libfuzzer_sys::fuzz_target;
use llmplane::{
    controller::fuzzing::read,
    crd::credential::SecretKeys,
    encryption::{
        Binding, Fingerprint, Frame, KeyringHandle, MaskedKey, OpenError, Payload, Sealed,
        SecretFields, kek::folder, open, payload, rewrap, seal,
    },
};
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

#[derive(Arbitrary, Debug)]
struct Input {
    entries: [Option<Vec<u8>>; 3],
    hosts: Vec<String>,
    uid: u128,
    version: i32,
    flip: u16,
    raw: Vec<u8>,
}

fuzz_target!(|input: Input| {
    raw_bytes(&input.raw);
    let names = ["api-key", "secret", "token"];
    let named = |at: usize| input.entries[at].as_ref().map(|_| names[at].to_owned());
    let keys = SecretKeys {
        api_key: named(0),
        secret_key: named(1),
        access_token: named(2),
    };
    let data: BTreeMap<_, _> = names
        .into_iter()
        .zip(&input.entries)
        .filter_map(|(name, value)| Some((name.to_owned(), ByteString(value.clone()?))))
        .collect();
    match read(&keys, "s", &data) {
        Err(finding) => refused(&finding.message, &data),
        Ok(taken) => {
            let fields = &taken.fields;
            let each = [&fields.api_key, &fields.secret_key, &fields.access_token];
            for (at, field) in each.into_iter().enumerate() {
                let longest = if at == 2 { 16 * 1024 } else { 500 };
                as_written(field.as_ref(), input.entries[at].as_deref(), longest);
            }
            masked(fields.api_key.as_ref());
            sealed(&input, taken.fields);
        }
    }
});

/// What is stored, as anybody with the database could leave it.
fn raw_bytes(raw: &[u8]) {
    if let Ok(payload) = payload::decode(raw) {
        assert!(payload.provider_type.len() + payload.allowed_hosts.len() <= raw.len());
    }
    if let Ok(frame) = Frame::parse(raw) {
        assert_eq!(1 + frame.nonce.len() + frame.ciphertext.len(), raw.len());
    }
    let (wrapped_key, payload) = raw.split_at(raw.len() / 2);
    let forged = Sealed {
        kek_id: active(),
        wrapped_key: wrapped_key.to_vec(),
        payload: payload.to_vec(),
    };
    assert!(opened(&binding("n", 0, 1), &forged).is_err());
}

/// A refusal repeats nothing of a value that it refuses. (One that holds a control character, no
/// text or too much cannot stand in the message by chance.)
fn refused(message: &str, data: &BTreeMap<String, ByteString>) {
    assert!(message.len() <= 300, "{message}");
    for value in data.values() {
        let text = String::from_utf8_lossy(&value.0);
        let longest_part = text.split(char::is_control).max_by_key(|part| part.len());
        let part = longest_part.unwrap_or_default();
        assert!(part.len() < 24 || !message.contains(part), "{message}");
    }
}

fn as_written(field: Option<&SecretString>, entry: Option<&[u8]>, longest: usize) {
    assert_eq!(field.is_some(), entry.is_some());
    let (Some(field), Some(entry)) = (field, entry) else {
        return;
    };
    let field = field.expose_secret();
    let rest = entry.strip_prefix(field.as_bytes()).expect("its beginning");
    assert!(rest.iter().all(|b| matches!(b, b'\r' | b'\n')));
    assert!(!field.is_empty() && field.chars().count() <= longest);
    assert!(field.bytes().all(|b| b.is_ascii_graphic()));
}

/// At most three characters of the beginning and four of the end, and those of long keys alone.
fn masked(api_key: Option<&SecretString>) {
    let masked = MaskedKey::of(api_key);
    let key = api_key.map_or("", |key| key.expose_secret());
    let (head, tail) = masked.as_str().split_once("********").expect("a mask");
    match key.chars().count() {
        0..20 => assert!(head.is_empty() && tail.is_empty()),
        _ => {
            assert_eq!((head.chars().count(), tail.chars().count()), (3, 4));
            assert!(key.starts_with(head) && key.ends_with(tail));
        }
    }
}

fn sealed(input: &Input, fields: SecretFields) {
    let row = binding("team-a", input.uid, input.version);
    let key = ring().fingerprint_key().expect("it has one");
    let print = Fingerprint::of(&key, row.uid, &fields);
    let whole = Payload {
        fields,
        provider_type: "OpenAI".to_owned(),
        allowed_hosts: input.hosts.clone(),
    };
    let first = block_on(seal(ring().keks(), &row, &whole)).expect("it is sealed");
    let from = (&first.kek_id, &first.wrapped_key[..]);
    let wrapped = block_on(rewrap(ring().keks(), from, &active(), &row));
    let again = Sealed {
        wrapped_key: wrapped.expect("it is wrapped anew"),
        ..first.clone()
    };
    for stored in [&first, &again] {
        let opened = opened(&row, stored).expect("it opens");
        assert_eq!(opened.allowed_hosts, whole.allowed_hosts);
        assert_eq!(opened.provider_type, whole.provider_type);
        assert_eq!(Fingerprint::of(&key, row.uid, &opened.fields), print);
    }
    let others = [
        binding("team-b", input.uid, input.version),
        binding("team-a", !input.uid, input.version),
        binding("team-a", input.uid, input.version.wrapping_add(1)),
    ];
    assert!(others.iter().all(|row| opened(row, &first).is_err()));
    let mut changed = first.clone();
    let half = match input.flip & 1 {
        0 => &mut changed.wrapped_key,
        _ => &mut changed.payload,
    };
    let bit = usize::from(input.flip >> 1) % (half.len() * 8);
    half[bit / 8] ^= 1 << (bit % 8);
    assert!(opened(&row, &changed).is_err());
}

fn binding(namespace: &'static str, uid: u128, version: i32) -> Binding<'static> {
    Binding {
        namespace,
        name: "c",
        uid: Uuid::from_u128(uid),
        version,
    }
}

fn opened(row: &Binding<'_>, stored: &Sealed) -> Result<Payload, OpenError> {
    block_on(open(ring().keks(), row, stored))
}

fn active() -> llmplane::encryption::KekId {
    block_on(ring().keks().active()).expect("it is known").id
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.expect("a runtime").block_on(work)
}

fn ring() -> &'static KeyringHandle {
    static RING: OnceLock<KeyringHandle> = OnceLock::new();
    RING.get_or_init(|| {
        let folder = std::env::temp_dir().join(format!("llmplane-fuzz-{}", std::process::id()));
        folder::create(&folder).expect("a keyring is made");
        let ring = KeyringHandle::open(&folder).expect("it is read");
        std::fs::remove_dir_all(&folder).expect("it is removed");
        ring
    })
}
