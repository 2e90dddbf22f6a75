//! What the tables of the five kinds have in common. A column is one line: a field of the struct that
//! says what is declared, or of the one that says what checks found. Statements are made from these, once;
//! `tests/database/plans.rs` prepares each of them on the real schema.

use std::ops::{Deref, DerefMut};
use std::sync::LazyLock;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::{FromRow, PgConnection, Row};
use uuid::Uuid;

use super::statements::Statements;
use super::{
    credentials::DeclaredCredential, endpoints::DeclaredEndpoint,
    model_classes::DeclaredModelClass, models::DeclaredModel, providers::DeclaredProvider,
};
use crate::crd::Kind;
use crate::crd::manifest::Declaration;
use crate::db::types::Column;
use crate::db::{DbError, WriteTx};

/// A struct whose fields are columns.
pub trait Columns: Sized + Send + Sync + Unpin {
    /// The columns' names, in the order of the fields.
    fn names() -> Vec<&'static str>;
    /// Those among them that are not read with a row.
    fn unread() -> Vec<&'static str>;
    /// By column that may hold what cannot be read: the SQL of what it is emptied to.
    fn emptied() -> Vec<(&'static str, String)>;
    /// Reads the fields from a row that has all the columns.
    ///
    /// # Errors
    /// Those of a value that is none of its field's type.
    fn read(row: &PgRow) -> Result<Self, sqlx::Error>;
    /// Adds the fields to a statement's arguments, in their order.
    ///
    /// # Errors
    /// Those of a value that cannot be written.
    fn write(&self, arguments: &mut PgArguments) -> Result<(), sqlx::Error>;
}

/// Declares a struct of columns. A field is named as its column, but for a `_` at its end where the
/// column's name is a word of Rust. With `: ObjectColumns` it has the columns of all kinds first.
macro_rules! columns {
    (
        $(#[$meta:meta])*
        pub struct $name:ident $(: $common:ident)? {
            $($(#[$doc:meta])* pub $field:ident: $type:ty),* $(,)?
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name {
            $(/// What all kinds share.
            pub object: $common,)?
            $($(#[$doc])* pub $field: $type,)*
        }

        impl $crate::db::tables::object::Columns for $name {
            fn names() -> Vec<&'static str> {
                #[allow(unused_mut)] // Where nothing is shared.
                let mut names = Vec::new();
                $(names.extend($common::names());)?
                names.extend([$(stringify!($field).trim_end_matches('_')),*]);
                names
            }

            fn unread() -> Vec<&'static str> {
                #[allow(unused_mut)] // Where nothing is shared.
                let mut unread = Vec::new();
                $(unread.extend($common::unread());)?
                $(if !<$type as $crate::db::types::Column>::IS_READ {
                    unread.push(stringify!($field).trim_end_matches('_'));
                })*
                unread
            }

            fn emptied() -> Vec<(&'static str, String)> {
                #[allow(unused_mut)] // Where nothing is shared.
                let mut emptied = Vec::new();
                $(emptied.extend($common::emptied());)?
                $({
                    let name = stringify!($field).trim_end_matches('_');
                    let to = <$type as $crate::db::types::Column>::emptied(name);
                    emptied.extend(to.map(|to| (name, to)));
                })*
                emptied
            }

            fn read(row: &sqlx::postgres::PgRow) -> Result<Self, sqlx::Error> {
                Ok(Self {
                    $(object: $common::read(row)?,)?
                    $($field: $crate::db::types::Column::read(
                        row,
                        stringify!($field).trim_end_matches('_'),
                    )?,)*
                })
            }

            fn write(&self, arguments: &mut sqlx::postgres::PgArguments) -> Result<(), sqlx::Error> {
                $(<$common as $crate::db::tables::object::Columns>::write(&self.object, arguments)?;)?
                $($crate::db::types::Column::write(&self.$field, arguments)?;)*
                Ok(())
            }
        }

        $(impl std::ops::Deref for $name {
            type Target = $common;
            fn deref(&self) -> &$common {
                &self.object
            }
        }

        impl std::ops::DerefMut for $name {
            fn deref_mut(&mut self) -> &mut $common {
                &mut self.object
            }
        })?
    };
}
pub(in crate::db) use columns;

columns! {
    /// What the reconciler derives for an object of any kind.
    #[derive(Default)]
    pub struct ObjectColumns {
        /// UID of the object.
        pub uid: Uuid,
        /// Its namespace.
        pub namespace: String,
        /// Its name.
        pub name: String,
        /// The generation that this row was derived from.
        pub generation: i64,
        /// `spec.enabled`.
        pub enabled: bool,
        /// Whether it is in force: its own switch, its provider's, and nothing wrong.
        pub is_active: bool,
        /// Its conditions, as in its status.
        pub conditions: Vec<Condition>,
        /// The last generation whose check passed.
        pub verified_generation: Option<i64>,
        /// What the checks that passed then were made with, each as a hash.
        pub verified_with: Vec<String>,
        /// The last request for a reconcile that was answered.
        pub last_handled_reconcile_at: Option<String>,
        /// The object's creation.
        pub created_at: Timestamp,
        /// What its user declares, for the export.
        pub declaration: Declaration,
    }
}

impl Columns for () {
    fn names() -> Vec<&'static str> {
        Vec::new()
    }
    fn unread() -> Vec<&'static str> {
        Vec::new()
    }
    fn emptied() -> Vec<(&'static str, String)> {
        Vec::new()
    }
    fn read(_: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(())
    }
    fn write(&self, _: &mut PgArguments) -> Result<(), sqlx::Error> {
        Ok(())
    }
}

/// What the reconciler derives for an object of one kind: the part of a row that it writes.
pub trait DeclaredRow: Columns + Deref<Target = ObjectColumns> + DerefMut + 'static {
    /// The kind.
    const KIND: Kind;
    /// Its table.
    const TABLE: &'static str;
    /// Columns by which one live row alone may be in force: storing another switches it off.
    const ONE_ACTIVE_BY: &'static [&'static str] = &[];
    /// What checks found: the part of a row that the reconciler does not write. Every column of it may
    /// be NULL, and is when the object is deleted.
    type Found: Columns;
}

/// A row: what was declared, which it reads as, and what has come to it since.
#[derive(Clone, Debug, PartialEq)]
pub struct ObjectRow<D: DeclaredRow> {
    /// What the reconciler derived.
    pub declared: D,
    /// What checks found.
    pub found: D::Found,
    /// When something visible last changed.
    pub updated_at: Timestamp,
    /// When it was found deleted.
    pub deleted_at: Option<Timestamp>,
    /// Revision of its last change.
    pub revision: i64,
}

impl<D: DeclaredRow> Deref for ObjectRow<D> {
    type Target = D;
    fn deref(&self) -> &D {
        &self.declared
    }
}

impl<'r, D: DeclaredRow> FromRow<'r, PgRow> for ObjectRow<D> {
    fn from_row(row: &'r PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            declared: D::read(row)?,
            found: D::Found::read(row)?,
            updated_at: Column::read(row, "updated_at")?,
            deleted_at: Column::read(row, "deleted_at")?,
            revision: Column::read(row, "revision")?,
        })
    }
}

/// What storing an object did, see [`WriteTx::upsert`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpsertedRow {
    /// Whether anything visible changed.
    pub changed: bool,
    /// Objects that had its name until now: they were deleted unseen, and are marked so.
    pub replaced: Vec<Uuid>,
    /// Names, in its namespace, of models that were in force for its `modelId` and were switched
    /// off: they are to be reconciled.
    pub displaced: Vec<String>,
}

/// The statements of a kind's table.
pub(in crate::db) fn statements_of(kind: Kind) -> &'static Statements {
    // In the order of `Kind::ALL`.
    static ALL: LazyLock<[Statements; Kind::ALL.len()]> = LazyLock::new(|| {
        [
            Statements::of::<DeclaredProvider>(),
            Statements::of::<DeclaredEndpoint>(),
            Statements::of::<DeclaredCredential>(),
            Statements::of::<DeclaredModel>(),
            Statements::of::<DeclaredModelClass>(),
        ]
    });
    &ALL[kind as usize]
}

/// Every statement that is made from columns, each with the kind whose table it is of: what the
/// macros of sqlx cannot check at compile time.
pub fn made_statements() -> Vec<(Kind, &'static str)> {
    let of = |kind| {
        statements_of(kind)
            .all()
            .into_iter()
            .map(move |s| (kind, s))
    };
    Kind::ALL.into_iter().flat_map(of).collect()
}

/// The columns of a kind's table.
pub fn table_columns(kind: Kind) -> Vec<&'static str> {
    statements_of(kind).columns.clone()
}

/// The rows of these objects, deleted or not, in no order.
pub(in crate::db) async fn by_uid<D: DeclaredRow>(
    connection: &mut PgConnection,
    uids: &[Uuid],
) -> Result<Vec<ObjectRow<D>>, DbError> {
    if uids.is_empty() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query_as(&*statements_of(D::KIND).by_uid).bind(uids);
    Ok(rows.fetch_all(connection).await?)
}

/// The live rows of the children of these providers, in no order.
pub(in crate::db) async fn of_providers<D: DeclaredRow>(
    connection: &mut PgConnection,
    providers: &[Uuid],
) -> Result<Vec<ObjectRow<D>>, DbError> {
    let rows = sqlx::query_as(&*statements_of(D::KIND).of_providers).bind(providers);
    Ok(rows.fetch_all(connection).await?)
}

/// All rows, in no order.
pub(in crate::db) async fn all<D: DeclaredRow>(
    connection: &mut PgConnection,
    include_deleted: bool,
) -> Result<Vec<ObjectRow<D>>, DbError> {
    let rows = sqlx::query_as(&*statements_of(D::KIND).all).bind(include_deleted);
    Ok(rows.fetch_all(connection).await?)
}

/// A kind's readings, by the names that its callers know.
macro_rules! readings {
    ($row:ty, $one:ident, $by_uid:ident, $all:ident $(, $of_providers:ident)?) => {
        impl $crate::db::Db {
            /// The row of an object, deleted or not.
            pub async fn $one(&self, uid: uuid::Uuid) -> Result<Option<$row>, $crate::db::DbError> {
                Ok(self.$by_uid(&[uid]).await?.pop())
            }

            /// The rows of these objects, deleted or not, in no order.
            pub async fn $by_uid(&self, uids: &[uuid::Uuid]) -> Result<Vec<$row>, $crate::db::DbError> {
                let rows = async {
                    $crate::db::tables::object::by_uid(&mut *self.pool.acquire().await?, uids).await
                };
                self.in_time(rows).await
            }

            /// All rows, in no order.
            pub async fn $all(&self, include_deleted: bool) -> Result<Vec<$row>, $crate::db::DbError> {
                let rows = async {
                    let connection = &mut *self.pool.acquire().await?;
                    $crate::db::tables::object::all(connection, include_deleted).await
                };
                self.in_time(rows).await
            }

            $(/// The live rows of the children of these providers, in no order.
            pub async fn $of_providers(
                &self,
                providers: &[uuid::Uuid],
            ) -> Result<Vec<$row>, $crate::db::DbError> {
                let rows = async {
                    let connection = &mut *self.pool.acquire().await?;
                    $crate::db::tables::object::of_providers(connection, providers).await
                };
                self.in_time(rows).await
            })?
        }
    };
}
pub(in crate::db) use readings;

impl WriteTx {
    /// Stores an object; answers what that did. Another live one of the same name is marked as deleted
    /// first, for a name used again is another object; and of what one alone may be in force
    /// ([`DeclaredRow::ONE_ACTIVE_BY`]) the other is switched off: two that swap their values would
    /// otherwise wait for each other for ever. Its own reconcile says what it is now.
    ///
    /// The row is written, and a revision taken, only where it differs in any column.
    pub async fn upsert<D: DeclaredRow>(&mut self, declared: &D) -> Result<UpsertedRow, DbError> {
        let mut arguments = PgArguments::default();
        declared.write(&mut arguments)?;
        let stored = sqlx::query_with(&*statements_of(D::KIND).upsert, arguments)
            .fetch_one(&mut *self.tx)
            .await?;
        let result = UpsertedRow {
            changed: stored.try_get("changed")?,
            replaced: stored.try_get("replaced")?,
            displaced: stored.try_get("displaced_names")?,
        };
        self.removed(D::KIND, &result.replaced).await?;
        let displaced: Vec<Uuid> = stored.try_get("displaced")?;
        for uid in displaced {
            self.changed(D::KIND, uid);
        }
        if result.changed {
            self.changed(D::KIND, declared.uid);
        }
        Ok(result)
    }
}
