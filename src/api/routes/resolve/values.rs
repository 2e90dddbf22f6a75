//! The values that a body may hold, each with the words that say what is expected in its place.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Unexpected, Visitor};

use crate::crd::model::Modality;
use crate::crd::names::did_you_mean;
use crate::crd::{Capability, ProviderType};
use crate::resolve::Prefer;
use crate::snapshot::Decimal;

/// Characters of a text at most.
const MAX_TEXT: usize = 256;
/// Entries of a list, or of an object, at most.
const MAX_ENTRIES: usize = 100;

/// A text of 1 to 256 characters without control characters.
#[derive(Clone, Debug, PartialEq)]
pub struct Text(pub String);

/// A whole number within these bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Whole<const MIN: i64, const MAX: i64>(pub i64);

/// An amount of money that is not negative, exact: a text, or a number as it is written.
#[derive(Clone, Debug, PartialEq)]
pub struct Amount(pub Decimal);

/// An ISO 4217 code.
#[derive(Clone, Debug, PartialEq)]
pub struct Currency(pub String);

/// `true` or `false`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Flag(pub bool);

/// One of the words of a type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Word<T>(pub T);

/// At most 100 of these.
#[derive(Clone, Debug, PartialEq)]
pub struct List<T>(pub Vec<T>);

/// One of these, or at most 100 in a list.
#[derive(Clone, Debug, PartialEq)]
pub struct OneOrMany<T>(pub Vec<T>);

/// At most 100 labels, by key. Kubernetes' own form, `{"matchLabels": {...}}`, is read too.
#[derive(Clone, Debug, PartialEq)]
pub struct Labels(pub BTreeMap<String, String>);

/// A type that has words.
pub trait Words: Copy + 'static {
    /// All of them, each with its word.
    fn all() -> Vec<(Self, &'static str)>;
}

impl Words for Capability {
    fn all() -> Vec<(Self, &'static str)> {
        let all = Self::ALL.iter();
        all.map(|one| (*one, one.as_str())).collect()
    }
}

impl Words for Modality {
    fn all() -> Vec<(Self, &'static str)> {
        Self::ALL.map(|one| (one, one.as_str())).to_vec()
    }
}

impl Words for ProviderType {
    fn all() -> Vec<(Self, &'static str)> {
        Self::ALL.map(|one| (one, one.as_str())).to_vec()
    }
}

impl Words for Prefer {
    fn all() -> Vec<(Self, &'static str)> {
        Self::ALL.map(|one| (one, one.as_str())).to_vec()
    }
}

/// What a visitor of one value is: what it expects, and the values that it takes.
macro_rules! value {
    ([$($generics:tt)*] $type:ty, $expected:expr, { $($visits:item)* }) => {
        impl<'de, $($generics)*> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(Reader::<Self>(PhantomData))
            }
        }

        impl<'de, $($generics)*> Visitor<'de> for Reader<$type> {
            type Value = $type;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&$expected)
            }

            $($visits)*
        }
    };
}

struct Reader<T>(PhantomData<T>);

value!([] Text, "a text of 1 to 256 characters without control characters", {
    fn visit_str<E: Error>(self, text: &str) -> Result<Text, E> {
        let length = text.chars().take(MAX_TEXT + 1).count();
        let fits = (1..=MAX_TEXT).contains(&length) && !text.chars().any(char::is_control);
        match fits {
            true => Ok(Text(text.to_owned())),
            false => Err(E::invalid_value(Unexpected::Other("this text"), &self)),
        }
    }
});

value!([const MIN: i64, const MAX: i64] Whole<MIN, MAX>, format!("a whole number from {MIN} to {MAX}"), {
    fn visit_i64<E: Error>(self, number: i64) -> Result<Whole<MIN, MAX>, E> {
        match (MIN..=MAX).contains(&number) {
            true => Ok(Whole(number)),
            false => Err(E::invalid_value(Unexpected::Other("this number"), &self)),
        }
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Whole<MIN, MAX>, E> {
        self.visit_i64(i64::try_from(number).unwrap_or(i64::MAX))
    }

    // `5.0` is a whole number to JSON Schema, and to languages that know one kind of number.
    fn visit_f64<E: Error>(self, number: f64) -> Result<Whole<MIN, MAX>, E> {
        match number.fract() == 0.0 {
            true => self.visit_i64(number as i64),
            false => Err(E::invalid_type(Unexpected::Float(number), &self)),
        }
    }
});

value!([] Amount, "a decimal number that is not negative, such as \"0.0025\"", {
    fn visit_str<E: Error>(self, text: &str) -> Result<Amount, E> {
        let wrong = || E::invalid_value(Unexpected::Other("this text"), &self);
        Decimal::parse(text).map(Amount).ok_or_else(wrong)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Amount, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Amount, E> {
        self.visit_str(&number.to_string())
    }

    // The shortest number that reads as this one: what was written, to 15 digits.
    fn visit_f64<E: Error>(self, number: f64) -> Result<Amount, E> {
        self.visit_str(&number.to_string())
    }
});

value!([] Currency, "an ISO 4217 code such as \"USD\"", {
    fn visit_str<E: Error>(self, text: &str) -> Result<Currency, E> {
        match text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_uppercase()) {
            true => Ok(Currency(text.to_owned())),
            false => Err(E::invalid_value(Unexpected::Other("this text"), &self)),
        }
    }
});

value!([] Flag, "true or false", {
    fn visit_bool<E: Error>(self, flag: bool) -> Result<Flag, E> {
        Ok(Flag(flag))
    }
});

value!([T: Words] Word<T>, format!("one of {}", words::<T>().join(", ")), {
    fn visit_str<E: Error>(self, text: &str) -> Result<Word<T>, E> {
        let found = T::all().into_iter().find(|(_, word)| *word == text);
        found.map(|(one, _)| Word(one)).ok_or_else(|| {
            let short: String = text.chars().take(MAX_TEXT).collect();
            let near = did_you_mean(&short, words::<T>());
            E::custom(format!("expected one of {}{near}", words::<T>().join(", ")))
        })
    }
});

value!([T: Deserialize<'de>] List<T>, format!("a list of at most {MAX_ENTRIES} entries"), {
    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<List<T>, A::Error> {
        let mut list = Vec::new();
        while let Some(entry) = entries.next_element()? {
            if list.len() == MAX_ENTRIES {
                return Err(A::Error::invalid_length(MAX_ENTRIES + 1, &self));
            }
            list.push(entry);
        }
        Ok(List(list))
    }
});

value!([] OneOrMany<Text>, format!("a text, or a list of at most {MAX_ENTRIES}"), {
    fn visit_str<E: Error>(self, text: &str) -> Result<OneOrMany<Text>, E> {
        let one = Reader::<Text>(PhantomData).visit_str(text)?;
        Ok(OneOrMany(vec![one]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, entries: A) -> Result<OneOrMany<Text>, A::Error> {
        let many = Reader::<List<Text>>(PhantomData).visit_seq(entries)?;
        Ok(OneOrMany(many.0))
    }
});

value!([] Labels, "an object of label keys and their values, such as {\"tier\": \"gold\"}", {
    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Labels, A::Error> {
        let mut labels = BTreeMap::new();
        while let Some(key) = entries.next_key::<String>()? {
            match entries.next_value::<LabelOrLabels>()? {
                LabelOrLabels::Label(value) => {
                    if !is_label_key(&key) {
                        return Err(A::Error::custom("a key is not one that a label may have"));
                    }
                    if labels.insert(key, value).is_some() {
                        return Err(A::Error::custom("a label is given more than once"));
                    }
                }
                LabelOrLabels::Labels(inner) if key == "matchLabels" && labels.is_empty() => {
                    labels = inner.0;
                }
                LabelOrLabels::Labels(_) => {
                    return Err(A::Error::custom("expected a label's value, not an object"));
                }
            }
            if labels.len() > MAX_ENTRIES {
                return Err(A::Error::invalid_length(MAX_ENTRIES + 1, &self));
            }
        }
        Ok(Labels(labels))
    }
});

/// What stands behind a key of a selector.
enum LabelOrLabels {
    Label(String),
    Labels(Labels),
}

value!([] LabelOrLabels, "a label's value: at most 63 letters, digits, \"-\", \"_\" and \".\"", {
    fn visit_str<E: Error>(self, text: &str) -> Result<LabelOrLabels, E> {
        match text.is_empty() || is_label_part(text, 63) {
            true => Ok(LabelOrLabels::Label(text.to_owned())),
            false => Err(E::invalid_value(Unexpected::Other("this text"), &self)),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<LabelOrLabels, A::Error> {
        let mut labels = BTreeMap::new();
        while let Some((key, value)) = entries.next_entry::<String, LabelValue>()? {
            if !is_label_key(&key) || labels.insert(key, value.0).is_some() {
                return Err(A::Error::custom(
                    "a key is not one that a label may have, or is given more than once",
                ));
            }
            if labels.len() > MAX_ENTRIES {
                return Err(A::Error::invalid_length(MAX_ENTRIES + 1, &self));
            }
        }
        Ok(LabelOrLabels::Labels(Labels(labels)))
    }
});

struct LabelValue(String);

value!([] LabelValue, "a label's value: at most 63 letters, digits, \"-\", \"_\" and \".\"", {
    fn visit_str<E: Error>(self, text: &str) -> Result<LabelValue, E> {
        match text.is_empty() || is_label_part(text, 63) {
            true => Ok(LabelValue(text.to_owned())),
            false => Err(E::invalid_value(Unexpected::Other("this text"), &self)),
        }
    }
});

fn words<T: Words>() -> Vec<&'static str> {
    T::all().into_iter().map(|(_, word)| word).collect()
}

/// A label's key: a name, with a DNS name and a slash before it or not.
fn is_label_key(key: &str) -> bool {
    match key.split_once('/') {
        Some((domain, name)) => is_label_part(domain, 253) && is_label_part(name, 63),
        None => is_label_part(key, 63),
    }
}

fn is_label_part(text: &str, at_most: usize) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let ends = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    text.len() <= at_most
        && text.bytes().all(inner)
        && ends(text.bytes().next())
        && ends(text.bytes().next_back())
}
