//! Where a caller's request looks, as far as its rights go.

use std::sync::Arc;

use futures::future::try_join_all;

use crate::api::ApiState;
use crate::api::auth::{Caller, Right, Scope};
use crate::api::problem::Problem;
use crate::crd::Kind;
use crate::resolve::{Tier, Wanted};
use crate::snapshot::{CredentialView, Snapshot, name_key};

/// Where is looked, and where credentials may be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// The namespaces, those first that come first.
    pub tiers: Vec<Tier>,
    credentials: Tier,
    /// Where classes may be shown; nowhere, where none is asked for.
    classes: Tier,
}

impl Places {
    /// The namespace asked for; without it the caller's own, then the shared ones. Of the latter
    /// those where the caller has not the rights are as if they were empty.
    ///
    /// Models and endpoints are shown to who may list them, as lists are; a credential to who may
    /// list credentials there.
    ///
    /// # Errors
    ///
    /// 400 for what is no namespace, and where none is named and none is the caller's; 403 without
    /// the rights, where one is named or all are without.
    pub async fn of(
        state: &ApiState,
        caller: &Caller,
        asked: Option<&str>,
    ) -> Result<Self, Problem> {
        let own = match asked {
            None if caller.namespace().is_none() && !state.shared_namespaces.is_empty() => None,
            asked => Some(Scope::of(asked, caller)?),
        };
        match own {
            Some(Scope::All) => Self::everywhere(state, caller).await,
            Some(Scope::One(named)) if asked.is_some() => {
                Self::among(state, caller, vec![vec![named]]).await
            }
            own => {
                let own = own.as_ref().and_then(Scope::namespace).map(Arc::from);
                let shared = state.shared_namespaces.iter();
                let mut others = shared
                    .filter(|one| Some(*one) != own.as_ref())
                    .cloned()
                    .collect::<Vec<_>>();
                others.sort();
                others.dedup();
                let tiers = [own.into_iter().collect(), others];
                Self::among(state, caller, tiers.into()).await
            }
        }
    }

    /// With the namespaces where classes may be shown to the caller, if the request may mean one: to who
    /// may list them there.
    ///
    /// # Errors
    ///
    /// 503 where the rights cannot be looked up.
    pub async fn with_classes(
        self,
        state: &ApiState,
        caller: &Caller,
        snapshot: &Snapshot,
        wanted: &Wanted,
    ) -> Result<Self, Problem> {
        let may_be_class = match wanted {
            // A model of the name comes first. Whether there is such a class is not looked at: what is
            // hidden and what is not there are asked about alike.
            Wanted::Named(name) => !self
                .tiers
                .iter()
                .any(|tier| has_model(snapshot, tier, name)),
            Wanted::Class(_) => true,
            Wanted::Need(_) => false,
        };
        if !may_be_class {
            return Ok(self);
        }
        let may = |namespace| {
            state
                .auth
                .allowed(caller, list(Kind::ModelClass, namespace))
        };
        let mut shown = Vec::new();
        for tier in &self.tiers {
            let Tier::Namespaces(names) = tier else {
                if may(None).await? {
                    return Ok(Self {
                        classes: Tier::All,
                        ..self
                    });
                }
                continue;
            };
            for namespace in names {
                if may(Some(namespace.clone())).await? {
                    shown.push(namespace.clone());
                }
            }
        }
        Ok(Self {
            classes: Tier::Namespaces(shown),
            ..self
        })
    }

    /// The namespace that is looked in; none: several.
    pub fn namespace(&self) -> Option<&str> {
        match &self.tiers[..] {
            [Tier::Namespaces(names)] if names.len() == 1 => Some(&names[0]),
            _ => None,
        }
    }

    /// Whether a credential may be shown.
    pub fn show(&self, credential: &CredentialView) -> bool {
        self.show_credentials_of(&credential.common.namespace)
    }

    /// Whether the credentials of a namespace may be shown.
    pub fn show_credentials_of(&self, namespace: &str) -> bool {
        holds(&self.credentials, namespace)
    }

    /// Whether the classes of a namespace may be shown.
    pub fn show_classes(&self, namespace: &str) -> bool {
        holds(&self.classes, namespace)
    }

    /// What distinguishes its answers from those of others.
    pub fn key(&self) -> String {
        let mut key = String::new();
        let shown = [&self.credentials, &self.classes];
        for tier in self.tiers.iter().chain(shown) {
            match tier {
                Tier::All => key.push('*'),
                Tier::Namespaces(names) => key.push_str(&names.join(",")),
            }
            key.push('|');
        }
        key
    }

    async fn everywhere(state: &ApiState, caller: &Caller) -> Result<Self, Problem> {
        for kind in [Kind::Model, Kind::Endpoint] {
            Scope::All.require_list(&state.auth, caller, kind).await?;
        }
        let shown = state.auth.allowed(caller, list(Kind::Credential, None));
        Ok(Self {
            tiers: vec![Tier::All],
            credentials: match shown.await? {
                true => Tier::All,
                false => Tier::Namespaces(Vec::new()),
            },
            classes: Tier::Namespaces(Vec::new()),
        })
    }

    async fn among(
        state: &ApiState,
        caller: &Caller,
        tiers: Vec<Vec<Arc<str>>>,
    ) -> Result<Self, Problem> {
        let asked = tiers.iter().flatten();
        let rights = try_join_all(asked.clone().map(|name| rights(state, caller, name))).await?;
        let mut rights = rights.into_iter();
        let (mut allowed, mut credentials) = (Vec::new(), Vec::new());
        for tier in &tiers {
            let mut seen = Vec::new();
            for (name, rights) in tier.iter().zip(rights.by_ref()) {
                if rights.look {
                    seen.push(name.clone());
                }
                if rights.look && rights.credentials {
                    credentials.push(name.clone());
                }
            }
            if !seen.is_empty() {
                allowed.push(Tier::Namespaces(seen));
            }
        }
        if allowed.is_empty()
            && let Some(first) = tiers.into_iter().flatten().next()
        {
            // One of these says which right is missing where.
            let scope = Scope::One(first);
            for kind in [Kind::Model, Kind::Endpoint] {
                scope.require_list(&state.auth, caller, kind).await?;
            }
        }
        Ok(Self {
            tiers: allowed,
            credentials: Tier::Namespaces(credentials),
            classes: Tier::Namespaces(Vec::new()),
        })
    }
}

/// Whether a model of these namespaces is called so.
fn has_model(snapshot: &Snapshot, tier: &Tier, name: &str) -> bool {
    match tier {
        Tier::All => snapshot.called(name, "").next().is_some(),
        Tier::Namespaces(names) => names.iter().any(|namespace| {
            let prefix = name_key(namespace, "");
            snapshot.called(name, &prefix).next().is_some()
        }),
    }
}

/// Whether a namespace is among these.
fn holds(tier: &Tier, namespace: &str) -> bool {
    match tier {
        Tier::All => true,
        Tier::Namespaces(names) => names.iter().any(|one| **one == *namespace),
    }
}

struct Rights {
    look: bool,
    credentials: bool,
}

async fn rights(
    state: &ApiState,
    caller: &Caller,
    namespace: &Arc<str>,
) -> Result<Rights, Problem> {
    let may = |kind| {
        state
            .auth
            .allowed(caller, list(kind, Some(namespace.clone())))
    };
    let (models, endpoints, credentials) =
        futures::try_join!(may(Kind::Model), may(Kind::Endpoint), may(Kind::Credential))?;
    Ok(Rights {
        look: models && endpoints,
        credentials,
    })
}

fn list(kind: Kind, namespace: Option<Arc<str>>) -> Right {
    Right {
        verb: "list",
        resource: kind.plural(),
        namespace,
        name: None,
    }
}
