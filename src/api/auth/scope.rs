//! Which namespaces a request is about.

use std::sync::Arc;

use super::{Auth, Caller, Right};
use crate::api::problem::{Problem, ProblemType};
use crate::crd::Kind;
use crate::crd::names::is_namespace;

/// The namespaces that a request is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All of them: `namespace=*`.
    All,
    /// This one.
    One(Arc<str>),
}

impl Scope {
    /// What was asked for; without it the caller's own namespace.
    ///
    /// # Errors
    ///
    /// 400 for what is no namespace, and for a caller who is in none and names none.
    pub fn of(asked: Option<&str>, caller: &Caller) -> Result<Self, Problem> {
        match asked {
            Some("*") => Ok(Self::All),
            Some(name) if is_namespace(name) => Ok(Self::One(name.into())),
            Some(_) => Err(Problem::parameter(
                "namespace",
                "expected the name of a namespace, or * for all",
            )),
            None => caller.namespace().map(|own| Self::One(own.clone())).ok_or_else(|| {
                Problem::new(
                    ProblemType::NamespaceRequired,
                    "you are no ServiceAccount, so that no namespace is yours: name one with ?namespace=",
                )
            }),
        }
    }

    /// The one namespace; none for all.
    pub fn namespace(&self) -> Option<&str> {
        match self {
            Self::All => None,
            Self::One(namespace) => Some(namespace),
        }
    }

    /// Whether a namespace is among them.
    pub fn holds(&self, namespace: &str) -> bool {
        self.namespace().is_none_or(|one| one == namespace)
    }

    /// Makes sure that the caller may list this kind here.
    ///
    /// # Errors
    ///
    /// 403 when not.
    pub async fn require_list(
        &self,
        auth: &Auth,
        caller: &Caller,
        kind: Kind,
    ) -> Result<(), Problem> {
        self.require(auth, caller, "list", kind.plural()).await
    }

    /// Makes sure that the caller may get every one of this kind here.
    ///
    /// # Errors
    ///
    /// 403 when not.
    pub async fn require_get(
        &self,
        auth: &Auth,
        caller: &Caller,
        kind: Kind,
    ) -> Result<(), Problem> {
        self.require(auth, caller, "get", kind.plural()).await
    }

    /// Makes sure that the caller may watch this kind here.
    ///
    /// # Errors
    ///
    /// 403 when not.
    pub async fn require_watch(
        &self,
        auth: &Auth,
        caller: &Caller,
        kind: Kind,
    ) -> Result<(), Problem> {
        self.require(auth, caller, "watch", kind.plural()).await
    }

    /// Makes sure that the caller may read the audit here, and so what was deleted.
    ///
    /// # Errors
    ///
    /// 403 when not.
    pub async fn require_audit(&self, auth: &Auth, caller: &Caller) -> Result<(), Problem> {
        self.require(auth, caller, "get", "auditlogs").await
    }

    async fn require(
        &self,
        auth: &Auth,
        caller: &Caller,
        verb: &'static str,
        resource: &'static str,
    ) -> Result<(), Problem> {
        let namespace = match self {
            Self::All => None,
            Self::One(namespace) => Some(namespace.clone()),
        };
        let right = Right {
            verb,
            resource,
            namespace,
            name: None,
        };
        if auth.allowed(caller, right).await? {
            return Ok(());
        }
        let place = match self.namespace() {
            None => "in all namespaces".to_owned(),
            Some(namespace) => format!("in namespace {namespace}"),
        };
        Err(Problem::new(
            ProblemType::Forbidden,
            format!(
                "{} may not {verb} {resource}.llmplane.dev {place}",
                caller.username
            ),
        ))
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::authentication::v1::UserInfo;

    use super::*;

    fn caller(username: &str) -> Caller {
        let user = UserInfo {
            username: Some(username.to_owned()),
            ..UserInfo::default()
        };
        Caller::new([0; 32], user, None)
    }

    #[test]
    fn a_service_account_is_at_home_in_its_namespace() {
        let agent = caller("system:serviceaccount:team-a:agent");
        assert_eq!(Scope::of(None, &agent), Ok(Scope::One("team-a".into())));
        assert_eq!(Scope::of(Some("b"), &agent), Ok(Scope::One("b".into())));
        assert_eq!(Scope::of(Some("*"), &agent), Ok(Scope::All));
    }

    #[test]
    fn anyone_else_names_one_that_can_be_one() {
        let kind = |asked| Scope::of(asked, &caller("alice")).map_err(|problem| problem.kind);
        assert_eq!(kind(None), Err(ProblemType::NamespaceRequired));
        for bad in ["", "../x", "A", "-a", "a-", "a\0b"] {
            assert_eq!(
                kind(Some(bad)),
                Err(ProblemType::InvalidParameter),
                "{bad:?}"
            );
        }
    }
}
