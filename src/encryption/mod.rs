//! Keys at rest: the keyring, the envelope around every credential version, fingerprints and
//! masked forms.
//!
//! The controller seals what it reads from a Secret and re-wraps rows after a key rotation; the
//! checks and the read API open rows to use or hand out a key. Everything here is pure but for the
//! source of key-encryption keys and the operating system's random numbers. Key material lives in `secrecy` and `zeroize` types; it never appears in `Debug`,
//! an error or a log. The buffers inside libraries (HMAC states, JSON scratch space) are theirs
//! and are not wiped by us.

pub mod envelope;
mod fingerprint;
mod frame;
mod gcm;
pub mod kek;
mod length_prefixed;
mod mac;
mod masking;
pub mod payload;
mod types;

#[cfg(test)]
mod tests;

pub use envelope::{OpenError, RewrapError, SealError, open, rewrap, seal};
pub use fingerprint::Fingerprint;
pub use frame::{Frame, FrameError};
pub use kek::folder::KeyringError;
pub use kek::{
    ActiveKek, AuditKey, FingerprintKey, KekError, KekSource, KeyringHandle, MacKeyError,
};
pub use masking::MaskedKey;
pub use types::{Binding, InvalidId, KEY_BYTES, KekId, KeyBytes, Payload, Sealed, SecretFields};
