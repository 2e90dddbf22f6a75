//! What can go wrong with the database, by what the caller can do about it.

use sqlx::postgres::PgDatabaseError;

/// An error of the database. Neither `Display` nor `Debug` holds a URL, a password or a value.
#[derive(Clone, Debug, strum::IntoStaticStr, thiserror::Error)]
pub enum DbError {
    /// PostgreSQL cannot be reached, is shutting down, or took too long. Try again later; whether
    /// a commit that was under way took place is unknown.
    #[error("PostgreSQL is not available: {0}")]
    Unavailable(String),
    /// Another controller leads. Stop: nothing that this one writes is accepted any more.
    #[error("another controller has taken over; this one may not write any more")]
    Fenced,
    /// The database holds what another cluster declared.
    #[error(
        "this database belongs to the cluster {recorded}, not to {this}; use another database, or \
         start once with --adopt-cluster"
    )]
    OtherCluster {
        /// The cluster that the database belongs to (the UID of its namespace `kube-system`).
        recorded: String,
        /// The cluster that was found.
        this: String,
    },
    /// The schema is not the one that this binary was built for.
    #[error("{0}")]
    SchemaUnknown(String),
    /// The server is older than what the schema needs.
    #[error("PostgreSQL {0} is too old; use PostgreSQL 15 or later")]
    ServerTooOld(String),
    /// Another transaction got in the way, or a row that this one needs is not there (yet). Read
    /// again, then try again.
    #[error("conflicts with another write: {0}")]
    Conflict(String),
    /// A value that PostgreSQL refuses: a NUL character, a number out of range, one that a
    /// constraint forbids, a text too long for its index. Trying again does not help.
    #[error("PostgreSQL refuses a value: {0}")]
    Unstorable(String),
    /// The session takes no writes: `default_transaction_read_only` is set, or the server is a
    /// standby. Try again later, on another connection; see [`super::Db::takes_writes`].
    #[error(
        "PostgreSQL takes no writes ({0}): look for default_transaction_read_only on the database, \
         the role or the server, and whether DATABASE_URL names a standby"
    )]
    ReadOnly(String),
    /// No controller has ever led with this database: what is in force is not known yet.
    #[error("no controller has led with this database yet")]
    NeverLed,
    /// A row holds what this binary does not know, such as a word of a newer release.
    #[error("a row cannot be read: {0}")]
    Unreadable(String),
    /// The URL or its options cannot be understood.
    #[error("the database URL cannot be used: {0}")]
    Url(String),
    /// Anything else: a missing right, a defect.
    #[error("PostgreSQL refused: {0}")]
    Other(String),
}

impl DbError {
    /// Whether PostgreSQL did not answer at all or takes no writes of anybody, which is no news of
    /// the call that noticed it.
    pub fn is_outage(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::ReadOnly(_))
    }

    /// Whether the same call may succeed later without anyone's doing.
    pub fn is_transient(&self) -> bool {
        self.is_outage() || matches!(self, Self::Conflict(_))
    }
}

impl From<sqlx::Error> for DbError {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::Error as E;
        match error {
            E::Database(refusal) => {
                let code = refusal.code().unwrap_or_default();
                let details = refusal.try_downcast_ref::<PgDatabaseError>();
                let column = details.and_then(PgDatabaseError::column);
                let hint = details.and_then(PgDatabaseError::hint);
                let mut message = refusal.message().to_owned();
                for (what, name) in [("column ", column), ("", hint)] {
                    if let Some(name) = name {
                        message.push_str(&format!(" ({what}{name})"));
                    }
                }
                refused(&code, message)
            }
            E::Io(error) => Self::Unavailable(error.to_string()),
            E::Tls(error) => Self::Unavailable(format!("TLS: {error}")),
            E::PoolTimedOut => Self::Unavailable("no connection in time".to_owned()),
            E::PoolClosed | E::WorkerCrashed => {
                Self::Unavailable("the connections are closed".to_owned())
            }
            E::Protocol(message) => Self::Unavailable(message),
            E::Configuration(error) => Self::Url(error.to_string()),
            E::Encode(error) => Self::Unstorable(error.to_string()),
            E::RowNotFound => Self::Other("a row that must exist is missing".to_owned()),
            E::ColumnDecode { index, source } => {
                Self::Unreadable(format!("column {index}: {source}"))
            }
            other => Self::Other(other.to_string()),
        }
    }
}

/// By SQLSTATE, <https://www.postgresql.org/docs/current/errcodes-appendix.html>. Message and hint
/// alone are kept: the detail beside them quotes whole rows.
fn refused(code: &str, message: impl Into<String>) -> DbError {
    let message = message.into();
    match code {
        "40001" | "40P01" | "23505" | "23503" => DbError::Conflict(message),
        "25006" => DbError::ReadOnly(message),
        // Not null and check constraints, and limits such as the size of an index's row.
        "23502" | "23514" | "54000" => DbError::Unstorable(message),
        "42P01" | "42703" | "42883" | "3F000" => DbError::SchemaUnknown(format!(
            "the database's schema is not this binary's ({message}); run llmplane migrate"
        )),
        // Lock and statement timeouts, and the idle transaction that the server ended.
        "55P03" | "57014" | "25P03" => DbError::Unavailable(message),
        _ => match code.get(..2) {
            // Data exceptions: no value of another attempt would be another.
            Some("22") => DbError::Unstorable(message),
            Some("08" | "53" | "57" | "58") => DbError::Unavailable(message),
            _ => DbError::Other(message),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_by_what_can_be_done_about_it() {
        assert!(matches!(refused("40P01", "deadlock"), DbError::Conflict(_)));
        assert!(matches!(
            refused("57P01", "shutdown"),
            DbError::Unavailable(_)
        ));
        for code in [
            "22021", "22003", "22P02", "22001", "22008", "23502", "23514", "54000",
        ] {
            let refused = refused(code, "a value");
            assert!(matches!(refused, DbError::Unstorable(_)), "{code}");
            assert!(!refused.is_transient() && !refused.is_outage(), "{code}");
        }
        let read_only = refused("25006", "cannot execute INSERT in a read-only transaction");
        assert!(matches!(read_only, DbError::ReadOnly(_)));
        assert!(read_only.is_transient() && read_only.is_outage());
        assert!(matches!(
            refused("42501", "permission denied"),
            DbError::Other(_)
        ));
        assert!(refused("55P03", "lock timeout").is_transient());
        assert!(!DbError::Fenced.is_transient());
    }
}
