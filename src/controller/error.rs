//! What goes wrong in a reconcile, and what that means: condition, log and requeue are decided
//! here, once.

use kube::core::response::StatusCause;

use super::runtime::queue::Next;
use crate::{
    crd::{conditions::ConditionInput, reasons::Reason},
    db::DbError,
    encryption::KekError,
};

/// A reconcile that did not get through. What a user must fix is no error but a [`Refusal`].
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// PostgreSQL.
    #[error(transparent)]
    Db(#[from] DbError),
    /// The kube-apiserver.
    #[error("the kube-apiserver: {0}")]
    Kube(#[source] Box<kube::Error>),
    /// The object moved on since it was read; what was computed is stale.
    #[error("the object has changed since it was read")]
    Stale,
    /// The keyring cannot be read, or cannot seal.
    #[error("the keyring: {0}")]
    Keyring(String),
    /// Another object's row must be stored first; its reconcile wakes this one.
    #[error("waits for {0}")]
    Waiting(String),
    /// A task panicked or was cancelled.
    #[error("a task ended: {0}")]
    Task(#[from] tokio::task::JoinError),
}

impl From<kube::Error> for Error {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) if status.code == 409 => Self::Stale,
            other => Self::Kube(Box::new(other)),
        }
    }
}

impl From<KekError> for Error {
    fn from(error: KekError) -> Self {
        Self::Keyring(error.to_string())
    }
}

/// Whether the kube-apiserver refuses a write because its namespace is being deleted or is gone:
/// everything in it goes too.
pub fn namespace_is_going(error: &kube::Error) -> bool {
    let kube::Error::Api(status) = error else {
        return false;
    };
    status.details.as_ref().is_some_and(|details| {
        let terminating = |cause: &StatusCause| cause.reason == "NamespaceTerminating";
        details.causes.iter().any(terminating) || status.code == 404 && details.kind == "namespaces"
    })
}

/// What kind of trouble it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// It passes by itself: again after a backoff.
    Transient,
    /// Another object's change wakes it.
    Waiting,
    /// The user's to fix: nothing changes until the object does.
    User,
    /// This process may not go on.
    Fatal,
}

impl Error {
    /// What kind of trouble it is.
    pub fn class(&self) -> Class {
        match self {
            Self::Db(DbError::Fenced | DbError::OtherCluster { .. }) | Self::Task(_) => {
                Class::Fatal
            }
            Self::Waiting(_) => Class::Waiting,
            Self::Db(DbError::Unstorable(_)) => Class::User,
            Self::Db(_) | Self::Kube(_) | Self::Stale | Self::Keyring(_) => Class::Transient,
        }
    }

    /// When the object is reconciled again; `None` ends the process.
    pub fn next(&self) -> Option<Next> {
        match self.class() {
            Class::Transient => Some(Next::Retry),
            Class::Waiting => Some(Next::After(WAITING_BACKSTOP)),
            Class::User => Some(Next::Done),
            Class::Fatal => None,
        }
    }

    /// What its `Synced` condition says, where the user can see the trouble at all.
    pub fn finding(&self) -> Option<ConditionInput> {
        match self {
            // A row that cannot be read is written anew, and this is tried again.
            Self::Db(DbError::Fenced | DbError::Conflict(_) | DbError::Unreadable(_)) => None,
            Self::Db(DbError::Unstorable(why)) => Some(ConditionInput::new(
                Reason::InvalidSpec,
                format!(
                    "the database refuses a value of this object: {why}; correct the field that \
                     this is about, the rest of it is not stored until then"
                ),
            )),
            Self::Db(_) => Some(ConditionInput::new(
                Reason::DatabaseUnavailable,
                "PostgreSQL cannot be reached, or refuses the controller; it keeps trying, and its log says why",
            )),
            Self::Keyring(why) => Some(ConditionInput::new(
                Reason::KeyringUnavailable,
                format!("the keyring cannot be used: {why}; the controller keeps trying"),
            )),
            Self::Kube(_) | Self::Stale | Self::Waiting(_) | Self::Task(_) => None,
        }
    }
}

/// A backstop: the wake-up that is waited for normally comes at once.
pub const WAITING_BACKSTOP: std::time::Duration = std::time::Duration::from_secs(10);

/// An object that cannot be put in force as it stands: it is not stored, and what was stored of it
/// is switched off. Its owner, or the appearance of another object, heals it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal(pub ConditionInput);

impl Refusal {
    /// A refusal with this reason.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self(ConditionInput::new(reason, message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losing_the_lead_ends_the_process_and_a_lost_database_does_not() {
        assert_eq!(Error::Db(DbError::Fenced).next(), None);
        let lost = Error::Db(DbError::Unavailable("gone".into()));
        assert_eq!(lost.next(), Some(Next::Retry));
        assert_eq!(
            lost.finding().map(|f| f.reason),
            Some(Reason::DatabaseUnavailable)
        );
    }

    #[test]
    fn what_the_database_cannot_hold_is_the_users_to_fix_and_not_tried_again() {
        let unstorable = Error::Db(DbError::Unstorable("NUL".into()));
        assert_eq!(unstorable.next(), Some(Next::Done));
        let told = unstorable.finding().map(|f| f.reason);
        assert_eq!(told, Some(Reason::InvalidSpec));
    }

    #[test]
    fn a_stale_read_is_nothing_that_a_user_sees() {
        assert_eq!(Error::Stale.finding(), None);
        assert_eq!(Error::Stale.next(), Some(Next::Retry));
    }
}
