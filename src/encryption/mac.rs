//! HMAC-SHA-256 under a key of the keyring.

use hmac::{Hmac, KeyInit};
use secrecy::ExposeSecret;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::types::{KEY_BYTES, KeyBytes};

/// SHA-256's block, to which HMAC pads a shorter key with zeros (RFC 2104, section 2).
const BLOCK_BYTES: usize = 64;

/// A MAC that has taken its key and nothing else yet.
pub(super) fn keyed(key: &KeyBytes) -> Hmac<Sha256> {
    let mut block = Zeroizing::new([0; BLOCK_BYTES]);
    block[..KEY_BYTES].copy_from_slice(key.expose_secret());
    Hmac::new((&*block).into())
}

#[cfg(test)]
mod tests {
    use hmac::Mac;

    use super::*;

    #[test]
    fn a_padded_key_is_the_key_itself() {
        let mut ours = keyed(&KeyBytes::new(Box::new([7; KEY_BYTES])));
        ours.update(b"message");
        let mut direct = Hmac::<Sha256>::new_from_slice(&[7; KEY_BYTES]).unwrap();
        direct.update(b"message");
        assert_eq!(ours.finalize().into_bytes(), direct.finalize().into_bytes());
    }
}
