//! The schema: brought up to date by the owner, and checked by everyone else.

use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{ConnectOptions, Connection, PgConnection, PgPool};

use super::database_url::connect_options;
use super::server_facts::check_version;
use super::transactions::deadline::within;
use super::{Db, DbError};

/// How long the owner may take to connect. What he then does takes as long as it takes.
const OWNER_TIMEOUT: Duration = Duration::from_secs(10);

static MIGRATOR: Migrator = sqlx::migrate!();

/// Brings the schema up to date. `url` is the owner's; what is made belongs to the role
/// `llmplane_owner` where there is one that may make it here, else to the account itself.
pub async fn migrate(url: &str) -> Result<(), DbError> {
    let mut connection = owner(url).await?;
    MIGRATOR
        .run_direct(None, &mut connection, false)
        .await
        .map_err(refused)?;
    connection.close().await?;
    Ok(())
}

/// Takes back every migration newer than `version` (0: all of them), newest first. Data that only
/// they knew is lost.
pub async fn revert(url: &str, version: i64) -> Result<(), DbError> {
    let mut connection = owner(url).await?;
    MIGRATOR
        .undo(&mut connection, version)
        .await
        .map_err(refused)?;
    connection.close().await?;
    Ok(())
}

/// A schema, compared with the one that this binary was built for. Migrations are named by their versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchemaState {
    /// It is that one.
    Current,
    /// There is none.
    Absent,
    /// It is older: this migration is missing.
    Behind(i64),
    /// It is newer: nobody here knows this migration.
    Ahead(i64),
    /// This migration was another.
    Altered(i64),
}

impl SchemaState {
    /// What is so.
    pub fn in_words(self) -> String {
        match self {
            Self::Current => "the database's schema is this binary's".to_owned(),
            Self::Absent => "the database has no llmplane schema".to_owned(),
            Self::Behind(version) => format!(
                "the database's schema is older than this binary (migration {version} is missing)"
            ),
            Self::Ahead(version) => format!(
                "the database's schema is newer than this binary (migration {version} is unknown to it)"
            ),
            Self::Altered(version) => format!(
                "the database's schema was made by another build (migration {version} differs)"
            ),
        }
    }

    /// What to do about it.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::Current => "nothing",
            Self::Absent | Self::Behind(_) => "run llmplane migrate with the owner's URL",
            Self::Ahead(_) => {
                "run a newer llmplane, or take the schema back with the llmplane that made it"
            }
            Self::Altered(_) => "run the llmplane that made it",
        }
    }

    fn refusal(self) -> DbError {
        DbError::SchemaUnknown(format!("{}; {}", self.in_words(), self.remedy()))
    }
}

/// Whether the schema is exactly the one that this binary was built for.
///
/// # Errors
///
/// [`DbError::SchemaUnknown`], in one line that says what to do, when it is older, newer or another.
pub async fn check_schema(pool: &PgPool) -> Result<(), DbError> {
    match schema_state(pool).await? {
        SchemaState::Current => Ok(()),
        other => Err(other.refusal()),
    }
}

async fn schema_state(pool: &PgPool) -> Result<SchemaState, DbError> {
    let migrated = sqlx::query_scalar!(
        r#"SELECT to_regclass('public._sqlx_migrations') IS NOT NULL AS "migrated!""#
    )
    .fetch_one(pool)
    .await?;
    if !migrated {
        return Ok(SchemaState::Absent);
    }
    let applied = sqlx::query!(
        "SELECT version, checksum FROM public._sqlx_migrations WHERE success ORDER BY version"
    )
    .fetch_all(pool)
    .await?;
    for row in &applied {
        match MIGRATOR.iter().find(|m| m.version == row.version) {
            None => return Ok(SchemaState::Ahead(row.version)),
            Some(known) if *known.checksum != *row.checksum => {
                return Ok(SchemaState::Altered(row.version));
            }
            Some(_) => {}
        }
    }
    let missing = MIGRATOR.iter().find(|known| {
        known.migration_type.is_up_migration()
            && !applied.iter().any(|row| row.version == known.version)
    });
    Ok(missing.map_or(SchemaState::Current, |migration| {
        SchemaState::Behind(migration.version)
    }))
}

impl Db {
    /// [`check_schema`] of this database.
    pub async fn check_schema(&self) -> Result<(), DbError> {
        self.in_time(check_schema(&self.pool)).await
    }

    /// How this database's schema compares with this binary's.
    pub async fn schema_state(&self) -> Result<SchemaState, DbError> {
        self.in_time(schema_state(&self.pool)).await
    }
}

async fn owner(url: &str) -> Result<PgConnection, DbError> {
    within(OWNER_TIMEOUT, connect(url)).await
}

async fn connect(url: &str) -> Result<PgConnection, DbError> {
    let mut connection = connect_options(url)?
        .application_name("llmplane-migrate")
        .connect()
        .await?;
    check_version(connection.server_version_num())?;
    let takes_the_role = sqlx::query_scalar!(
        r#"SELECT EXISTS (
               SELECT FROM pg_roles
               WHERE rolname = 'llmplane_owner' AND rolname <> current_user
                 AND pg_has_role(current_user, oid, 'MEMBER')
                 AND has_database_privilege(oid, current_database(), 'CREATE')
                 AND has_schema_privilege(oid, 'public', 'CREATE')) AS "takes_the_role!""#
    )
    .fetch_one(&mut connection)
    .await?;
    if takes_the_role {
        sqlx::query!("SET ROLE llmplane_owner")
            .execute(&mut connection)
            .await?;
    }
    Ok(connection)
}

fn refused(error: MigrateError) -> DbError {
    match error {
        MigrateError::VersionMissing(version) => SchemaState::Ahead(version).refusal(),
        MigrateError::VersionMismatch(version) => SchemaState::Altered(version).refusal(),
        MigrateError::Execute(error) => error.into(),
        MigrateError::ExecuteMigration(error, version) => match error.into() {
            DbError::Other(message) => DbError::Other(format!("migration {version}: {message}")),
            other => other,
        },
        other => DbError::Other(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn each_version_is_of_one_migration_that_goes_both_ways() {
        let mut ways: BTreeMap<i64, Vec<_>> = BTreeMap::new();
        for migration in MIGRATOR.iter() {
            ways.entry(migration.version)
                .or_default()
                .push(migration.migration_type.is_down_migration());
        }
        for (version, mut ways) in ways {
            ways.sort_unstable();
            assert_eq!(ways, [false, true], "migration {version}");
        }
    }
}
