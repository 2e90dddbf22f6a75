//! What a PostgreSQL server and the account at it are, before anything is installed on them.

use sqlx::PgConnection;

use super::{Db, DbError};

/// The roles of an installation.
pub const ROLES: [&str; 3] = ["llmplane_owner", "llmplane_controller", "llmplane_api"];

/// A server, and the account that is connected to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerFacts {
    /// `150004` for 15.4.
    pub version_number: u32,
    /// The account.
    pub user: String,
    /// Whether no right is denied to it.
    pub is_superuser: bool,
    /// Those of [`ROLES`] that are there.
    pub roles: Vec<String>,
    /// Those of [`ROLES`] whose rights the account has.
    pub own_roles: Vec<String>,
    /// Whether the account may make a schema in the database.
    pub may_create: bool,
    /// Whether the connection is encrypted.
    pub is_encrypted: bool,
    /// Whether the connection leaves the machine.
    pub is_remote: bool,
}

impl ServerFacts {
    /// The oldest server that the schema can be made on: PostgreSQL 15.
    pub const LEAST_VERSION: u32 = 150_000;

    /// As people write it: `15.4`.
    pub fn version(&self) -> String {
        version(self.version_number)
    }
}

/// Refuses a server that the schema cannot be made on. One that does not say what it is has to be tried.
pub(super) fn check_version(number: Option<u32>) -> Result<(), DbError> {
    match number {
        Some(number) if number < ServerFacts::LEAST_VERSION => {
            Err(DbError::ServerTooOld(version(number)))
        }
        _ => Ok(()),
    }
}

fn version(number: u32) -> String {
    format!("{}.{}", number / 10_000, number % 10_000)
}

impl Db {
    /// What the server and the account are.
    pub async fn server_facts(&self) -> Result<ServerFacts, DbError> {
        self.in_time(async {
            let mut connection = self.pool.acquire().await?;
            facts(&mut connection).await
        })
        .await
    }
}

async fn facts(connection: &mut PgConnection) -> Result<ServerFacts, DbError> {
    let names = ROLES.map(str::to_owned);
    let row = sqlx::query!(
        r#"SELECT current_setting('server_version_num') AS "number!",
                  current_user::text AS "user!",
                  (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS "is_superuser!",
                  ARRAY(SELECT rolname::text FROM pg_roles WHERE rolname = ANY ($1::text[])) AS "roles!",
                  ARRAY(SELECT rolname::text FROM pg_roles
                        WHERE rolname = ANY ($1::text[]) AND pg_has_role(current_user, oid, 'USAGE')) AS "own_roles!",
                  has_database_privilege(current_database(), 'CREATE')
                      AND has_schema_privilege('public', 'CREATE') AS "may_create!",
                  coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false) AS "is_encrypted!",
                  coalesce(host(inet_client_addr()) <> host(inet_server_addr()), false) AS "is_remote!""#,
        &names as &[String],
    )
    .fetch_one(connection)
    .await?;
    Ok(ServerFacts {
        version_number: row.number.parse().unwrap_or_default(),
        user: row.user,
        is_superuser: row.is_superuser,
        roles: row.roles,
        own_roles: row.own_roles,
        may_create: row.may_create,
        is_encrypted: row.is_encrypted,
        is_remote: row.is_remote,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_before_postgresql_15_is_refused_in_one_line() {
        let refused = check_version(Some(140_019)).unwrap_err().to_string();
        assert_eq!(
            refused,
            "PostgreSQL 14.19 is too old; use PostgreSQL 15 or later"
        );
        for number in [Some(150_000), Some(180_001), None] {
            check_version(number).unwrap();
        }
    }
}
