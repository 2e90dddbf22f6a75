//! The plaintext of a sealed payload: JSON of one private struct with a version in it.

use std::borrow::Cow;
use std::io;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use super::types::{Payload, SecretFields};

/// The encoding's version. A field that older releases must not overlook raises it.
const PAYLOAD_VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire<'a> {
    v: u32,
    #[serde(borrow)]
    api_key: Option<Text<'a>>,
    #[serde(borrow)]
    secret_key: Option<Text<'a>>,
    #[serde(borrow)]
    access_token: Option<Text<'a>>,
    provider_type: String,
    allowed_hosts: Vec<String>,
}

/// A secret in transit: borrowed from a wiped buffer where the JSON has no escapes, else owned,
/// and wiped.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl Drop for Text<'_> {
    fn drop(&mut self) {
        if let Cow::Owned(text) = &mut self.0 {
            text.zeroize();
        }
    }
}

impl<'a> Text<'a> {
    fn lend(secret: &'a Option<SecretString>) -> Option<Self> {
        let secret = secret.as_ref()?;
        Some(Self(Cow::Borrowed(secret.expose_secret())))
    }

    fn keep(text: Option<Self>) -> Option<SecretString> {
        text.map(|text| SecretString::from(text.0.as_ref()))
    }
}

/// The bytes are no payload of a version that this release knows. It says nothing about them, for
/// they are a key in clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the decrypted bytes are no payload of a known version")]
pub struct DecodeError;

/// Appends the encoding of `payload` to `buffer`, which the caller wipes.
///
/// The size is counted first and reserved at once: a buffer that grew while being written would
/// leave copies of the key behind.
pub(super) fn encode_into(
    payload: &Payload,
    buffer: &mut Zeroizing<Vec<u8>>,
    spare: usize,
) -> Result<(), serde_json::Error> {
    let wire = Wire {
        v: PAYLOAD_VERSION,
        api_key: Text::lend(&payload.fields.api_key),
        secret_key: Text::lend(&payload.fields.secret_key),
        access_token: Text::lend(&payload.fields.access_token),
        provider_type: payload.provider_type.clone(),
        allowed_hosts: payload.allowed_hosts.clone(),
    };
    let mut counter = Counter(0);
    serde_json::to_writer(&mut counter, &wire)?;
    let mut exact = Zeroizing::new(Vec::with_capacity(buffer.len() + counter.0 + spare));
    exact.extend_from_slice(buffer);
    serde_json::to_writer(&mut *exact, &wire)?;
    *buffer = exact;
    Ok(())
}

/// Reads a payload's plaintext. Public for fuzzing: its input is authenticated before it gets here.
///
/// # Errors
/// [`DecodeError`] for anything but the JSON of a known version; it never panics.
pub fn decode(plaintext: &[u8]) -> Result<Payload, DecodeError> {
    let mut wire: Wire<'_> = serde_json::from_slice(plaintext).map_err(|_| DecodeError)?;
    if wire.v != PAYLOAD_VERSION {
        return Err(DecodeError);
    }
    Ok(Payload {
        fields: SecretFields {
            api_key: Text::keep(wire.api_key.take()),
            secret_key: Text::keep(wire.secret_key.take()),
            access_token: Text::keep(wire.access_token.take()),
        },
        provider_type: wire.provider_type,
        allowed_hosts: wire.allowed_hosts,
    })
}

struct Counter(usize);

impl io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_payload_of_another_version_is_refused() {
        let json = |v: u32| {
            format!(
                r#"{{"v":{v},"api_key":"k","secret_key":null,"access_token":null,"provider_type":"OpenAI","allowed_hosts":[]}}"#
            )
        };
        assert!(decode(json(1).as_bytes()).is_ok());
        assert!(decode(json(2).as_bytes()).is_err());
    }

    #[test]
    fn a_field_that_is_not_known_is_refused_rather_than_dropped() {
        let json = r#"{"v":1,"api_key":"k","secret_key":null,"access_token":null,"second_key":"x","provider_type":"OpenAI","allowed_hosts":[]}"#;
        assert_eq!(decode(json.as_bytes()).unwrap_err(), DecodeError);
    }

    #[test]
    fn the_buffer_is_never_grown_while_the_key_is_written() {
        let payload = Payload {
            fields: SecretFields {
                api_key: Some("quote\" newline\n \u{1} é".into()),
                ..SecretFields::default()
            },
            provider_type: "OpenAI".into(),
            allowed_hosts: vec!["a.example".into()],
        };
        let mut buffer = Zeroizing::new(vec![0; 13]);
        encode_into(&payload, &mut buffer, 16).unwrap();
        assert_eq!(buffer.capacity(), buffer.len() + 16);
        let decoded = decode(&buffer[13..]).unwrap();
        assert_eq!(
            decoded.fields.api_key.unwrap().expose_secret(),
            "quote\" newline\n \u{1} é"
        );
    }

    proptest! {
        #[test]
        fn no_bytes_make_decode_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes);
        }
    }
}
