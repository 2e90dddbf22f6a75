//! Names of generated objects. Pure.

use sha2::{Digest, Sha256};

/// Characters of a name: at most those of a DNS label, so that it is a label's value too.
const LONGEST: usize = 63;
/// Characters of the provider's name that stand in front.
const PROVIDER: usize = 16;
/// Characters of the hash: five bits each, sixty in all.
const HASH: usize = 12;
/// What is left for the model's id.
const ID: usize = LONGEST - PROVIDER - HASH - 2;
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// The name of the object that is generated for a vendor's id: readable first, then a hash of the
/// whole id, for a name has no room for `:`, `/`, upper case or 200 characters. The same id of the
/// same provider has the same name always.
pub fn object_name(provider: &str, model_id: &str) -> String {
    let parts = [
        slug(provider, PROVIDER),
        slug(model_id, ID),
        hash(provider, model_id),
    ];
    parts
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("-")
}

/// Lower-case letters, digits and single hyphens between them.
fn slug(text: &str, longest: usize) -> String {
    let mut slug = String::with_capacity(longest);
    for c in text.chars() {
        if slug.len() == longest {
            break;
        }
        if c.is_ascii_alphanumeric() {
            slug.push(c.to_ascii_lowercase());
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    slug.truncate(slug.trim_end_matches('-').len());
    slug
}

fn hash(provider: &str, model_id: &str) -> String {
    // A provider's name holds no NUL, so that no other pair gives the same bytes.
    let digest = Sha256::new()
        .chain_update(provider)
        .chain_update([0])
        .chain_update(model_id)
        .finalize();
    let mut bits = digest[..8]
        .iter()
        .fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
    let mut hash = String::with_capacity(HASH);
    for _ in 0..HASH {
        hash.push(char::from(ALPHABET[(bits & 31) as usize]));
        bits >>= 5;
    }
    hash
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn is_label(name: &str) -> bool {
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        (1..=LONGEST).contains(&name.len())
            && name.chars().all(inner)
            && !name.starts_with('-')
            && !name.ends_with('-')
    }

    #[test]
    fn names_are_readable_and_do_not_change_between_releases() {
        let name = |id: &str| object_name("bedrock", id);
        assert_eq!(
            name("anthropic.claude-sonnet-4-5-20250929-v1:0"),
            "bedrock-anthropic-claude-sonnet-4-5-20250-sflxf7xla3fs"
        );
        assert!(name("meta-llama/Llama-3.1-8B").starts_with("bedrock-meta-llama-llama-3-1-8b-"));
        assert!(is_label(&object_name(&"P".repeat(253), &"X".repeat(256))));
    }

    #[test]
    fn ids_that_look_alike_have_different_names() {
        let ids = ["a:0", "a/0", "a-0", "A-0", "a-0-", "a--0", "模型", "型模"];
        let names: std::collections::BTreeSet<String> =
            ids.iter().map(|id| object_name("p", id)).collect();
        assert_eq!(names.len(), ids.len());
        assert_ne!(object_name("a", "b-c"), object_name("a-b", "c"));
    }

    proptest! {
        #[test]
        fn any_id_has_a_name_that_kubernetes_takes(provider in "[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", id in "\\PC{1,256}") {
            let name = object_name(&provider, &id);
            prop_assert!(is_label(&name), "{name}");
            prop_assert_eq!(name, object_name(&provider, &id));
        }

        #[test]
        fn different_ids_have_different_names(ids in prop::collection::btree_set("\\PC{1,256}", 2..40)) {
            let names: std::collections::BTreeSet<String> =
                ids.iter().map(|id| object_name("p", id)).collect();
            prop_assert_eq!(names.len(), ids.len());
        }
    }
}
