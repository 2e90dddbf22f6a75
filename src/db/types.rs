//! How Rust's types and PostgreSQL's meet: words, JSON documents and times.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArguments, PgRow, PgTypeInfo, PgValueRef};
use sqlx::types::Json;
use sqlx::{Arguments, Decode, Encode, Postgres, Row, Type};
use uuid::Uuid;

use super::StoredCheck;
use crate::crd::base_url::BaseUrl;
use crate::crd::credential::{QuotaPeriod, QuotaUnit, Validation, VersionState};
use crate::crd::endpoint::{Header, HealthCheck};
use crate::crd::federation::{ExchangeStatus, Federation};
use crate::crd::manifest::Declaration;
use crate::crd::model::{
    AvailabilityTest, Lifecycle, Modality, ModelCapability, ModelLimit, ModelType, Origin,
    PriceTier,
};
use crate::crd::model_class::{ClassNeed, CurrentModel, Preferred};
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

/// Enums are stored as their words, which are the resources' own.
macro_rules! column_words {
    ($($enum:ty),+ $(,)?) => {$(
        impl Type<Postgres> for $enum {
            fn type_info() -> PgTypeInfo {
                <str as Type<Postgres>>::type_info()
            }
            fn compatible(ty: &PgTypeInfo) -> bool {
                <str as Type<Postgres>>::compatible(ty)
            }
        }
        impl sqlx::Encode<'_, Postgres> for $enum {
            fn encode_by_ref(
                &self,
                buffer: &mut sqlx::postgres::PgArgumentBuffer,
            ) -> Result<sqlx::encode::IsNull, BoxDynError> {
                sqlx::Encode::<Postgres>::encode_by_ref(&self.as_str(), buffer)
            }
        }
        impl<'r> Decode<'r, Postgres> for $enum {
            fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
                let word = <&str as Decode<Postgres>>::decode(value)?;
                Self::parse(word).ok_or_else(|| {
                    format!("{word:?} is no {}", stringify!($enum)).into()
                })
            }
        }
    )+};
}
pub(super) use column_words;

column_words!(
    Kind,
    ProviderType,
    QuotaUnit,
    QuotaPeriod,
    VersionState,
    ModelType,
    Lifecycle,
    Preferred,
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

/// A `jsonb` column that turns into what it holds.
pub(super) struct Jsonb<T>(Json<T>);

impl<'r, T: DeserializeOwned> Decode<'r, Postgres> for Jsonb<T> {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        <Json<T> as Decode<Postgres>>::decode(value).map(Self)
    }
}

impl From<Jsonb<BTreeMap<Uuid, StoredCheck>>> for BTreeMap<Uuid, StoredCheck> {
    fn from(json: Jsonb<Self>) -> Self {
        json.0.0
    }
}

/// The type of a field that is a column: how its value is read and written.
pub trait Column: Sized {
    /// Whether it is read with its row; else it is written alone, and others read it.
    const IS_READ: bool = true;
    /// Reads it from a row.
    ///
    /// # Errors
    /// Where the column holds what is no value of this type.
    fn read(row: &PgRow, name: &str) -> Result<Self, sqlx::Error>;
    /// Adds it to a statement's arguments.
    ///
    /// # Errors
    /// Where it cannot be written.
    fn write(&self, arguments: &mut PgArguments) -> Result<(), sqlx::Error>;
    /// The SQL of what the column of this name is emptied to, where it may hold what cannot be read.
    fn emptied(name: &str) -> Option<String>;
}

fn add<'q, T>(arguments: &mut PgArguments, value: T) -> Result<(), sqlx::Error>
where
    T: Encode<'q, Postgres> + Type<Postgres>,
{
    arguments.add(value).map_err(sqlx::Error::Encode)
}

/// Types that sqlx reads and writes as they are.
macro_rules! plain {
    ($($type:ty $(= $emptied:literal)?),+ $(,)?) => {$(
        impl Column for $type {
            fn read(row: &PgRow, name: &str) -> Result<Self, sqlx::Error> {
                row.try_get(name)
            }
            fn write(&self, arguments: &mut PgArguments) -> Result<(), sqlx::Error> {
                add(arguments, self)
            }
            fn emptied(_: &str) -> Option<String> {
                None$(.or(Some($emptied.to_owned())))?
            }
        }
    )+};
}

plain!(
    Uuid,
    String,
    Option<String>,
    bool,
    i32,
    Option<i32>,
    i64,
    Option<i64>,
    // Arrays of PostgreSQL may hold NULL.
    Vec<Uuid> = "'{}'",
    Vec<String> = "'{}'",
    ProviderType,
    Option<QuotaUnit>,
    Option<QuotaPeriod>,
    Option<ModelType>,
    Lifecycle,
    Preferred,
);

impl Column for BaseUrl {
    fn read(row: &PgRow, name: &str) -> Result<Self, sqlx::Error> {
        row.try_get::<String, _>(name).map(Self::new)
    }
    fn write(&self, arguments: &mut PgArguments) -> Result<(), sqlx::Error> {
        add(arguments, self.as_str())
    }
    fn emptied(_: &str) -> Option<String> {
        None
    }
}

impl Column for Timestamp {
    fn read(row: &PgRow, name: &str) -> Result<Self, sqlx::Error> {
        row.try_get::<jiff_sqlx::Timestamp, _>(name).map(Into::into)
    }
    fn write(&self, arguments: &mut PgArguments) -> Result<(), sqlx::Error> {
        add(arguments, self.to_sqlx())
    }
    fn emptied(name: &str) -> Option<String> {
        Some(format!(
            "CASE WHEN isfinite({name}) THEN {name} ELSE now() END"
        ))
    }
}

impl Column for Option<Timestamp> {
    fn read(row: &PgRow, name: &str) -> Result<Self, sqlx::Error> {
        let time: Option<jiff_sqlx::Timestamp> = row.try_get(name)?;
        Ok(time.map(Into::into))
    }
    fn write(&self, arguments: &mut PgArguments) -> Result<(), sqlx::Error> {
        add(arguments, self.map(ToSqlx::to_sqlx))
    }
    fn emptied(_: &str) -> Option<String> {
        Some("NULL".to_owned())
    }
}

/// Nobody but the export has use for it: it is a large part of a row, and a row that was read has none.
impl Column for Declaration {
    const IS_READ: bool = false;

    fn read(_: &PgRow, _: &str) -> Result<Self, sqlx::Error> {
        Ok(Self::default())
    }
    fn write(&self, arguments: &mut PgArguments) -> Result<(), sqlx::Error> {
        add(arguments, Json(self))
    }
    fn emptied(_: &str) -> Option<String> {
        Some("'{}'".to_owned())
    }
}

/// Types that are stored as JSON documents. An optional one that is absent is NULL, not JSON's `null`.
macro_rules! documents {
    ($($document:ty),+ ; $($optional:ty),+ $(,)?) => {
        $(impl Column for $document {
            fn read(row: &PgRow, name: &str) -> Result<Self, sqlx::Error> {
                row.try_get::<Json<Self>, _>(name).map(|json| json.0)
            }
            fn write(&self, arguments: &mut PgArguments) -> Result<(), sqlx::Error> {
                add(arguments, Json(self))
            }
            fn emptied(_: &str) -> Option<String> {
                let empty = serde_json::json!(Self::default()).to_string();
                Some(format!("'{}'", empty.replace('\'', "''")))
            }
        })+
        $(impl Column for Option<$optional> {
            fn read(row: &PgRow, name: &str) -> Result<Self, sqlx::Error> {
                let json: Option<Json<$optional>> = row.try_get(name)?;
                Ok(json.map(|json| json.0))
            }
            fn write(&self, arguments: &mut PgArguments) -> Result<(), sqlx::Error> {
                add(arguments, self.as_ref().map(Json))
            }
            fn emptied(_: &str) -> Option<String> {
                Some("NULL".to_owned())
            }
        })+
    };
}

documents!(
    Vec<Condition>,
    ModelSync,
    Vec<Header>,
    HealthCheck,
    Validation,
    Vec<ModelCapability>,
    Vec<Modality>,
    Vec<PriceTier>,
    Vec<ModelLimit>,
    BTreeMap<String, Origin>,
    BTreeMap<String, String>,
    AvailabilityTest;
    serde_json::Map<String, serde_json::Value>,
    StoredCheck,
    Federation,
    ExchangeStatus,
    ClassNeed,
    CurrentModel,
);
