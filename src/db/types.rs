//! How Rust's types and PostgreSQL's meet: words, JSON documents and times.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgTypeInfo, PgValueRef};
use sqlx::types::Json;
use sqlx::{Decode, Postgres, Type, ValueRef};
use uuid::Uuid;

use super::StoredCheck;
use crate::crd::credential::{QuotaPeriod, QuotaUnit, Validation, VersionState};
use crate::crd::endpoint::{Header, HealthCheck};
use crate::crd::model::{AvailabilityTest, Lifecycle, ModelCapability, ModelType, Origin};
use crate::crd::provider::ModelSync;
use crate::crd::{Kind, ProviderType};

/// Position in the change feed. Grows with every visible change and is never used twice.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Revision(pub i64);

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<i64> for Revision {
    fn from(revision: i64) -> Self {
        Self(revision)
    }
}

/// A term of leadership. The database takes writes of the newest one only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Epoch(pub(super) i64);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The word that stands in the column.
pub(super) trait Word: Sized {
    fn word(&self) -> String;
    fn from_word(word: &str) -> Option<Self>;
}

/// Enums are stored as the words that serde writes, which are the resources' own.
macro_rules! words {
    ($($enum:ty),+ $(,)?) => {$(
        impl Word for $enum {
            fn word(&self) -> String {
                match serde_json::to_value(self) {
                    Ok(serde_json::Value::String(word)) => word,
                    other => unreachable!("an enum of plain words was written as {other:?}"),
                }
            }
            fn from_word(word: &str) -> Option<Self> {
                serde_json::from_value(word.into()).ok()
            }
        }
        impl Type<Postgres> for $enum {
            fn type_info() -> PgTypeInfo {
                <str as Type<Postgres>>::type_info()
            }
            fn compatible(ty: &PgTypeInfo) -> bool {
                <str as Type<Postgres>>::compatible(ty)
            }
        }
        impl<'r> Decode<'r, Postgres> for $enum {
            fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
                let word = <&str as Decode<Postgres>>::decode(value)?;
                Self::from_word(word).ok_or_else(|| {
                    format!("{word:?} is no {}", stringify!($enum)).into()
                })
            }
        }
    )+};
}
pub(super) use words;

words!(
    Kind,
    ProviderType,
    QuotaUnit,
    QuotaPeriod,
    VersionState,
    ModelType,
    Lifecycle,
);

/// A `timestamptz` that may be NULL, as a column type that turns into `Option<Timestamp>`.
pub(super) struct MaybeTime(Option<jiff_sqlx::Timestamp>);

impl<'r> Decode<'r, Postgres> for MaybeTime {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        Option::<jiff_sqlx::Timestamp>::decode(value).map(Self)
    }
}

impl From<MaybeTime> for Option<Timestamp> {
    fn from(time: MaybeTime) -> Self {
        time.0.map(Into::into)
    }
}

/// A `jsonb` column that turns into what it holds; NULL is read as JSON's `null`.
pub(super) struct Jsonb<T>(T);

impl<'r, T: DeserializeOwned> Decode<'r, Postgres> for Jsonb<T> {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        if value.is_null() {
            return Ok(Self(serde_json::from_str("null")?));
        }
        <Json<T> as Decode<Postgres>>::decode(value).map(|json| Self(json.0))
    }
}

macro_rules! documents {
    ($($document:ty),+ $(,)?) => {$(
        impl From<Jsonb<$document>> for $document {
            fn from(json: Jsonb<$document>) -> Self {
                json.0
            }
        }
    )+};
}

documents!(
    Vec<Condition>,
    Option<StoredCheck>,
    ModelSync,
    Vec<Header>,
    HealthCheck,
    Validation,
    Vec<ModelCapability>,
    Option<serde_json::Map<String, serde_json::Value>>,
    BTreeMap<String, Origin>,
    AvailabilityTest,
    BTreeMap<Uuid, StoredCheck>,
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_read_back_as_what_it_was_written_for() {
        for kind in Kind::ALL {
            assert_eq!(kind.word(), kind.as_str());
            assert_eq!(Kind::from_word(&kind.word()), Some(kind));
        }
        for provider_type in ProviderType::ALL {
            assert_eq!(provider_type.word(), provider_type.as_str());
        }
        assert_eq!(VersionState::from_word("Stolen"), None);
    }
}
