//! Whose key a string is: for a key that was found where it should not be.

use secrecy::{ExposeSecret, SecretString};
use subtle::{Choice, ConstantTimeEq};
use uuid::Uuid;

use crate::db::{AuditAction, AuditActor, AuditEntry, AuditObject, StoredFingerprints};
use crate::encryption::{Fingerprint, FingerprintKey, SecretFields};

/// That someone asked, for the audit, whatever the answer: a row for each version that the string is, in
/// its own namespace; one where it is none, in the namespace that was searched (none: in all).
pub fn audited(
    actor: &AuditActor,
    namespace: Option<&str>,
    found: &[StoredFingerprints],
) -> Vec<AuditEntry> {
    let entry = |object| AuditEntry {
        action: AuditAction::WhoseKey,
        result: "Done".to_owned(),
        actor: actor.clone(),
        object,
        purpose: None,
        count: 1,
        detail: serde_json::json!({ "found": found.len() }),
    };
    if found.is_empty() {
        return vec![entry(AuditObject {
            namespace: namespace.map(str::to_owned),
            ..AuditObject::default()
        })];
    }
    found
        .iter()
        .map(|version| entry(version.audit_object()))
        .collect()
}

/// Words of a line at most: each is compared with every version.
const MAX_WORDS: usize = 64;

/// Names in a word at most behind which a key is looked for.
const MAX_NAMES: usize = 8;

/// A text of which it is not clear what in it may be a key.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("it has more than {MAX_WORDS} words; give the key alone, or the line that it stands in")]
pub struct TooManyWords;

/// What in a text that was found may be a key: the text, and its words without what cannot be of one. A key has no
/// blank and no quotation mark at its ends, and is not what stands before it in a header, an environment file or a
/// document.
///
/// # Errors
///
/// Where it is a text rather than a line.
pub fn strings_in(text: &SecretString) -> Result<Vec<SecretString>, TooManyWords> {
    let whole = text.expose_secret();
    let mut strings = vec![whole, whole.trim_matches(is_between)];
    let mut words = 0;
    for word in whole.split(is_between).filter(|word| !word.is_empty()) {
        words += 1;
        if words > MAX_WORDS {
            return Err(TooManyWords);
        }
        let ends = |c: char| ",;.\\".contains(c);
        strings.push(word);
        strings.push(word.trim_end_matches(ends));
        let bare = word.trim_matches(|c| ends(c) || "()[]{}<>".contains(c));
        strings.push(bare);
        // Behind a name, and before what follows in a URL: `OPENAI_API_KEY=`, `api_key:`, `?key=...&alt=sse`.
        for (at, _) in bare.match_indices(['=', ':']).take(MAX_NAMES) {
            let value = &bare[at + 1..];
            strings.push(value.trim_matches(ends));
            let before = value.split(['&', '#', '@', '?']).next();
            strings.extend(before.map(|value| value.trim_matches(ends)));
        }
    }
    strings.sort_unstable();
    strings.dedup();
    let strings = strings.into_iter().filter(|string| !string.is_empty());
    Ok(strings.map(SecretString::from).collect())
}

/// Whether a character stands between words: no key begins or ends with it, or has it inside, but for quotation
/// marks, with which the whole text is compared.
fn is_between(c: char) -> bool {
    !c.is_ascii_graphic() || matches!(c, '"' | '\'' | '`')
}

/// The stored versions whose key, or a field of whose key, one of these strings is. Every version is compared,
/// and each in constant time, so that the time tells nothing of the strings.
pub fn versions_with(
    key: &FingerprintKey,
    strings: &[SecretString],
    stored: Vec<StoredFingerprints>,
) -> Vec<StoredFingerprints> {
    let mut of_credential: Option<(Uuid, Vec<[Fingerprint; 2]>)> = None;
    let mut found = Vec::new();
    for version in stored {
        let uid = version.credential_uid;
        let known = of_credential.take().filter(|(of, _)| *of == uid);
        let (_, fingerprints) = of_credential.insert(known.unwrap_or_else(|| {
            let of_each = strings.iter().map(|string| of_string(key, uid, string));
            (uid, of_each.collect())
        }));
        let mut is_it = Choice::from(0);
        for [field, whole] in fingerprints.iter() {
            is_it |= matches(&version.fingerprint, *whole);
            for fingerprint in &version.field_fingerprints {
                is_it |= matches(fingerprint, *field);
            }
        }
        if bool::from(is_it) {
            found.push(version);
        }
    }
    found
}

/// The fingerprint of a string as a field, and as a whole key: of versions that an earlier release stored, that alone
/// is known.
fn of_string(key: &FingerprintKey, uid: Uuid, string: &SecretString) -> [Fingerprint; 2] {
    let fields = SecretFields {
        api_key: Some(string.clone()),
        ..SecretFields::default()
    };
    [
        Fingerprint::of_field(key, uid, string),
        Fingerprint::of(key, uid, &fields),
    ]
}

fn matches(stored: &str, fingerprint: Fingerprint) -> Choice {
    stored
        .parse::<Fingerprint>()
        .map_or(Choice::from(0), |stored| stored.ct_eq(&fingerprint))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "sk-proj-4fK2_xx+9/=";

    fn strings(text: &str) -> Result<Vec<String>, TooManyWords> {
        let strings = strings_in(&SecretString::from(text))?;
        let exposed = strings
            .iter()
            .map(|string| string.expose_secret().to_owned());
        Ok(exposed.collect())
    }

    #[test]
    fn a_key_is_found_in_the_forms_in_which_keys_leak() {
        for text in [
            KEY.to_owned(),
            format!("{KEY}\n"),
            format!(" {KEY}\t\r\n"),
            format!("\u{feff}{KEY}\u{200b}"),
            format!("\"{KEY}\""),
            format!("'{KEY}',"),
            format!("`{KEY}`"),
            format!("\u{201c}{KEY}\u{201d}"),
            format!("Bearer {KEY}"),
            format!("authorization: bearer {KEY}"),
            format!("x-api-key:{KEY}"),
            format!("OPENAI_API_KEY={KEY}"),
            format!("export OPENAI_API_KEY=\"{KEY}\"; python x.py"),
            format!("{{\"api_key\":\"{KEY}\",\"model\":\"m\"}}"),
            format!("api_key: {KEY}"),
            format!("(key={KEY})"),
            format!("GET https://host.example/v1beta/models?key={KEY}"),
            format!("https://host.example/v1?key={KEY}&alt=sse"),
            format!("api_key={KEY}&x=1"),
            format!("--header=x-api-key:{KEY}"),
            format!("https://user:{KEY}@host.example/x"),
            format!(r#"{{"msg":"{{\"api_key\":\"{KEY}\"}}"}}"#),
            format!("The key is {KEY}."),
            format!("curl -H 'Authorization: Bearer {KEY}' https://api.example/v1"),
        ] {
            let found = strings(&text).unwrap();
            assert!(
                found.iter().any(|string| string == KEY),
                "{text}: {found:?}"
            );
        }
    }

    #[test]
    fn a_key_with_marks_inside_is_one_string() {
        for key in [
            "a\"b",
            "key:with:colons",
            "a=b",
            "a,b;c",
            "bce-v3/ALTAK-a/b",
        ] {
            for text in [key.to_owned(), format!("{key}\n"), format!("\"{key}\"")] {
                assert!(strings(&text).unwrap().contains(&key.to_owned()), "{text}");
            }
        }
        assert_eq!(strings(" \n\"\"").unwrap(), [" \n\"\""]);
    }

    #[test]
    fn a_text_is_not_searched_for_keys() {
        assert!(strings(&"word ".repeat(MAX_WORDS)).is_ok());
        assert_eq!(strings(&"word ".repeat(MAX_WORDS + 1)), Err(TooManyWords));
    }
}
