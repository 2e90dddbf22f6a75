//! The layout of a stored ciphertext: one version byte, the nonce, the ciphertext with its tag.

/// The one layout there is.
pub(super) const FRAME_VERSION: u8 = 1;
pub(super) const NONCE_BYTES: usize = 12;
pub(super) const TAG_BYTES: usize = 16;
pub(super) const HEADER_BYTES: usize = 1 + NONCE_BYTES;

/// A stored ciphertext, taken apart. Nothing in it has been authenticated yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The 96-bit nonce.
    pub nonce: &'a [u8; NONCE_BYTES],
    /// The ciphertext, with the 16-byte tag at its end.
    pub ciphertext: &'a [u8],
}

/// Why bytes are no stored ciphertext.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Fewer bytes than version, nonce and tag take.
    #[error("too short: {length} bytes")]
    TooShort {
        /// How many bytes there were.
        length: usize,
    },
    /// A layout that this release does not know: a newer one wrote it, or the byte was changed.
    #[error("unknown layout version {version}")]
    UnknownVersion {
        /// The version byte.
        version: u8,
    },
}

impl<'a> Frame<'a> {
    /// Takes stored bytes apart.
    ///
    /// # Errors
    /// [`FrameError`] where they cannot be a ciphertext; it never panics.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, FrameError> {
        let too_short = FrameError::TooShort {
            length: bytes.len(),
        };
        if bytes.len() < HEADER_BYTES + TAG_BYTES {
            return Err(too_short);
        }
        let (&version, rest) = bytes.split_first().ok_or(too_short)?;
        if version != FRAME_VERSION {
            return Err(FrameError::UnknownVersion { version });
        }
        let (nonce, ciphertext) = rest.split_first_chunk().ok_or(too_short)?;
        Ok(Self { nonce, ciphertext })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_length_short_of_header_and_tag_is_refused() {
        for length in 0..HEADER_BYTES + TAG_BYTES {
            assert_eq!(
                Frame::parse(&vec![FRAME_VERSION; length]),
                Err(FrameError::TooShort { length })
            );
        }
        assert!(Frame::parse(&[FRAME_VERSION; HEADER_BYTES + TAG_BYTES]).is_ok());
    }

    proptest! {
        #[test]
        fn what_parses_is_the_bytes_that_were_given(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            if let Ok(frame) = Frame::parse(&bytes) {
                let rebuilt = [&[FRAME_VERSION], &frame.nonce[..], frame.ciphertext].concat();
                prop_assert_eq!(rebuilt, bytes);
            }
        }
    }
}
