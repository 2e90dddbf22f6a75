//! Answers with a key that are written out but for the key.
//!
//! Whoever looks in the same places for the same is answered the same, but for the key: it is chosen and
//! written out once, for as long as nothing is declared anew and no credential in it ends. Whether a
//! caller may use the credential, and whether its key may leave now, is asked each time.

use std::sync::Arc;

use jiff::Timestamp;
use secrecy::SecretString;
use uuid::Uuid;

use super::MAX_CACHED_BODY;
use super::places::Places;
use crate::api::disclosure::{SecretBody, SecretView};
use crate::api::read::revision_cache::{CacheSize, RevisionCache};
use crate::encryption::SecretFields;
use crate::keys::disclose::{DisclosedKey, WantedKey};
use crate::resolve::{Request, Resolution};

/// Answers by where is looked and what is asked. At most 8 MiB of text are kept.
pub type PreparedAnswers = RevisionCache<Arc<Prepared>, { 8 << 20 }>;

/// A choice, and the answer where the key of one of its credentials goes with it.
#[derive(Debug)]
pub struct Prepared {
    /// What was chosen.
    pub found: Arc<Resolution>,
    /// Places of the target, and of the credential among the target's own.
    pub place: (usize, usize),
    /// The key, as it is asked for.
    pub wanted: Arc<WantedKey>,
    /// The answer.
    pub template: Template,
}

impl CacheSize for Arc<Prepared> {
    fn size(&self) -> usize {
        let considered = self.found.considered.models.iter().map(|model| {
            let detail = model.detail.as_ref().map_or(0, String::len);
            size_of_val(model) + model.namespace.len() + model.model.len() + detail
        });
        let targets = size_of_val(&*self.found.targets) + size_of::<Prepared>();
        self.template.before.len()
            + self.template.behind.len()
            + targets
            + considered.sum::<usize>()
    }
}

impl Prepared {
    /// Whether it counts at this moment.
    pub fn is_current(&self, now: Timestamp) -> bool {
        self.found.changes_at.is_none_or(|until| until > now)
    }
}

/// An answer with a gap where the key goes, for keys that have the same fields.
#[derive(Debug)]
pub struct Template {
    fields: [bool; 3],
    before: Box<[u8]>,
    behind: Box<[u8]>,
}

/// What tells an answer from others of its revision; none for a question that is not worth its place.
/// What the key is wanted for is the audit's alone.
pub fn cache_key(places: &Places, asked: &Request) -> Option<String> {
    let key = format!("{}{asked:?}", places.key());
    (key.len() <= MAX_CACHED_BODY).then_some(key)
}

/// Which fields a key has.
pub fn fields_of(key: &SecretFields) -> [bool; 3] {
    [
        key.api_key.is_some(),
        key.secret_key.is_some(),
        key.access_token.is_some(),
    ]
}

impl Template {
    /// What `write` makes of a key with these fields; none where the answer holds more of a key than that.
    pub fn new(
        fields: [bool; 3],
        write: impl FnOnce(DisclosedKey) -> Result<Vec<u8>, serde_json::Error>,
    ) -> Option<Self> {
        // A key that is nobody's: nothing else in the answer is taken for it.
        let mark = Uuid::new_v4().to_string();
        let body = write(blank(&mark, fields)).ok()?;
        let secret = serde_json::to_vec(&SecretView::from(blank(&mark, fields))).ok()?;
        let begin = find(&body, &secret)?;
        let (before, behind) = (&body[..begin], &body[begin + secret.len()..]);
        let is_once = [before, behind].map(|part| find(part, mark.as_bytes()).is_none());
        (fields.contains(&true) && is_once == [true; 2]).then(|| Self {
            fields,
            before: before.into(),
            behind: behind.into(),
        })
    }

    /// Whether it is for keys with the fields of this one.
    pub fn is_for(&self, key: &SecretFields) -> bool {
        fields_of(key) == self.fields
    }

    /// The answer with this key.
    ///
    /// # Errors
    ///
    /// Where it is no JSON document.
    pub fn with(&self, key: DisclosedKey) -> Result<SecretBody, serde_json::Error> {
        SecretBody::between(&self.before, &SecretView::from(key), &self.behind)
    }
}

/// A key of these fields, each of which is this text.
fn blank(text: &str, fields: [bool; 3]) -> DisclosedKey {
    let [api_key, secret_key, access_token] =
        fields.map(|there| there.then(|| SecretString::from(text)));
    DisclosedKey {
        fields: SecretFields {
            api_key,
            secret_key,
            access_token,
        },
        version: 0,
        valid_until: None,
    }
}

/// Where this part begins first.
fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

#[cfg(test)]
mod tests {
    use serde::Serialize;

    use super::*;

    const FIELDS: [bool; 3] = [true, false, true];

    /// An answer: what stands before the key, the key, and what stands behind it.
    #[derive(Serialize)]
    struct Answer<'a> {
        before: &'a str,
        secret: Option<&'a SecretView>,
        behind: Option<&'a SecretView>,
    }

    fn answer(secret: &SecretView) -> Answer<'_> {
        Answer {
            before: "é",
            secret: Some(secret),
            behind: None,
        }
    }

    fn template(answer: impl Fn(&SecretView) -> Answer<'_>) -> Option<Template> {
        Template::new(FIELDS, |key| serde_json::to_vec(&answer(&key.into())))
    }

    #[test]
    fn an_answer_is_what_it_would_be_if_it_were_written_with_its_key() {
        let key = || blank("sk \"quoted\" \n", FIELDS);
        let body = template(answer).unwrap().with(key()).unwrap();
        let wanted = serde_json::to_vec(&answer(&key().into())).unwrap();
        assert_eq!(body.into_bytes(), wanted);
    }

    #[test]
    fn an_answer_that_tells_of_its_key_elsewhere_is_not_prepared() {
        fn twice(secret: &SecretView) -> Answer<'_> {
            Answer {
                behind: Some(secret),
                ..answer(secret)
            }
        }
        fn nowhere(secret: &SecretView) -> Answer<'_> {
            Answer {
                secret: None,
                ..answer(secret)
            }
        }
        assert!(template(twice).is_none());
        assert!(template(nowhere).is_none());
    }

    #[test]
    fn an_answer_is_for_keys_of_the_same_fields() {
        let template = template(answer).unwrap();
        assert!(template.is_for(&blank("sk", FIELDS).fields));
        assert!(!template.is_for(&blank("sk", [true, false, false]).fields));
    }
}
