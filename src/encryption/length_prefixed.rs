//! `lp`: the length-prefixed encoding under every associated data and fingerprint.
//!
//! Each part is its length in bytes as a big-endian `u64`, then the part. Two different lists of
//! parts never encode alike, whatever the parts hold.

/// Feeds the encoding of `parts` to `sink`, piece by piece, without a buffer that would have to be
/// wiped.
pub(super) fn feed<'a>(parts: impl IntoIterator<Item = &'a [u8]>, mut sink: impl FnMut(&[u8])) {
    for part in parts {
        sink(&(part.len() as u64).to_be_bytes());
        sink(part);
    }
}

/// The encoding of `parts`.
pub(super) fn encode(parts: &[&[u8]]) -> Vec<u8> {
    let mut encoded = Vec::with_capacity(parts.iter().map(|part| 8 + part.len()).sum());
    feed(parts.iter().copied(), |piece| {
        encoded.extend_from_slice(piece)
    });
    encoded
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::encode;

    #[test]
    fn moving_a_boundary_changes_the_encoding() {
        assert_ne!(encode(&[b"ab", b"c"]), encode(&[b"a", b"bc"]));
        assert_ne!(encode(&[b"ab"]), encode(&[b"ab", b""]));
    }

    #[test]
    fn the_encoding_is_the_documented_one() {
        assert_eq!(
            encode(&[b"hi", b""]),
            [0, 0, 0, 0, 0, 0, 0, 2, b'h', b'i', 0, 0, 0, 0, 0, 0, 0, 0]
        );
    }

    proptest! {
        #[test]
        fn different_lists_encode_differently(
            a in prop::collection::vec(prop::collection::vec(0u8..3, 0..4), 0..4),
            b in prop::collection::vec(prop::collection::vec(0u8..3, 0..4), 0..4),
        ) {
            let encoded = |list: &[Vec<u8>]| encode(&list.iter().map(Vec::as_slice).collect::<Vec<_>>());
            prop_assert_eq!(a == b, encoded(&a) == encoded(&b));
        }
    }
}
