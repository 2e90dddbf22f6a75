//! The body of an answer with keys. Where it is ours it is wiped once it was sent; what the HTTP
//! library and TLS copy of it is theirs.

use std::io;

use axum::body::Body;
use bytes::Bytes;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::{Serialize, Serializer};
use utoipa::ToSchema;
use zeroize::Zeroizing;

use crate::keys::disclose::DisclosedKey;

/// A key. Never logged, never kept.
#[derive(Serialize, ToSchema)]
#[schema(as = Secret)]
pub struct SecretView {
    /// The API key, or the access key's id where the vendor has a pair.
    #[serde(serialize_with = "expose")]
    #[schema(value_type = Option<String>, format = Password)]
    pub api_key: Option<SecretString>,
    /// The second half of a key pair.
    #[serde(serialize_with = "expose")]
    #[schema(value_type = Option<String>, format = Password)]
    pub secret_key: Option<SecretString>,
    /// A session token or an access token.
    #[serde(serialize_with = "expose")]
    #[schema(value_type = Option<String>, format = Password)]
    pub access_token: Option<SecretString>,
    /// Until when it may be used: the credential's expiry, or the end of the grace of a key that was
    /// replaced. Null: nobody set an end.
    pub valid_until: Option<Timestamp>,
}

impl From<DisclosedKey> for SecretView {
    fn from(key: DisclosedKey) -> Self {
        Self {
            api_key: key.fields.api_key,
            secret_key: key.fields.secret_key,
            access_token: key.fields.access_token,
            valid_until: key.valid_until,
        }
    }
}

fn expose<S: Serializer>(secret: &Option<SecretString>, serializer: S) -> Result<S::Ok, S::Error> {
    secret
        .as_ref()
        .map(ExposeSecret::expose_secret)
        .serialize(serializer)
}

/// A document that holds keys, written out.
pub struct SecretBody(Zeroizing<Vec<u8>>);

impl SecretBody {
    /// Writes it out. Its size is counted first: a buffer that grew while it was written would leave
    /// copies of the keys behind.
    ///
    /// # Errors
    ///
    /// Where it is no JSON document.
    pub fn write(document: &impl Serialize) -> Result<Self, serde_json::Error> {
        Self::between(&[], document, &[])
    }

    /// Writes it between these texts, which hold no key.
    ///
    /// # Errors
    ///
    /// Where it is no JSON document.
    pub fn between(
        before: &[u8],
        document: &impl Serialize,
        behind: &[u8],
    ) -> Result<Self, serde_json::Error> {
        let mut counted = Counter(before.len() + behind.len());
        serde_json::to_writer(&mut counted, document)?;
        let mut written = Zeroizing::new(Vec::with_capacity(counted.0));
        written.extend_from_slice(before);
        serde_json::to_writer(&mut *written, document)?;
        written.extend_from_slice(behind);
        debug_assert_eq!(written.capacity(), counted.0, "it was never grown");
        Ok(Self(written))
    }

    /// Bytes of it.
    pub fn size(&self) -> usize {
        self.0.len()
    }

    /// Its bytes, which are wiped when the last part of them is dropped.
    pub fn into_bytes(self) -> Bytes {
        Bytes::from_owner(self.0)
    }
}

impl From<SecretBody> for Body {
    fn from(body: SecretBody) -> Self {
        Self::from(body.into_bytes())
    }
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
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_key_is_written_as_it_is_into_a_buffer_of_its_size() {
        let key = "sk \"quoted\" \n é";
        let secret = SecretView {
            api_key: Some(key.into()),
            secret_key: None,
            access_token: None,
            valid_until: Some(Timestamp::UNIX_EPOCH),
        };
        let body = SecretBody::write(&secret).unwrap();
        assert_eq!(body.0.capacity(), body.0.len());
        let read: Value = serde_json::from_slice(&body.into_bytes()).unwrap();
        let wanted = json!({
            "api_key": key, "secret_key": null, "access_token": null,
            "valid_until": "1970-01-01T00:00:00Z",
        });
        assert_eq!(read, wanted);
    }
}
