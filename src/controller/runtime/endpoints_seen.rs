//! Which endpoints this process has reconciled, and for which provider. What is concluded over all
//! endpoints of a provider (no host is allowed, no list has the model) waits until each of them was
//! reconciled for that very one: before, or for one of its name that is gone, it may have no row yet.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use kube::ResourceExt;
use parking_lot::{Mutex, MutexGuard};
use uuid::Uuid;

use super::object_key::ObjectKey;
use crate::controller::{error::Error, kinds::identity};
use crate::crd::LlmEndpoint;

/// The endpoints that were reconciled, and who waits for one that was not.
#[derive(Debug, Default)]
pub struct EndpointsSeen(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// The provider that each was reconciled for, where there was one.
    seen: HashMap<Uuid, Option<Uuid>>,
    waiting: HashMap<Uuid, HashSet<ObjectKey>>,
}

impl EndpointsSeen {
    /// Makes sure that each of these endpoints was reconciled for their provider.
    ///
    /// # Errors
    /// [`Error::Waiting`] where one was not yet; [`Self::note`] then names `child`.
    pub fn all(
        &self,
        provider: Uuid,
        endpoints: &[Arc<LlmEndpoint>],
        child: &ObjectKey,
    ) -> Result<(), Error> {
        let mut state = self.state();
        let unseen = endpoints
            .iter()
            .map(|endpoint| (identity::uid(&**endpoint), endpoint))
            .find(|(uid, _)| state.seen.get(uid) != Some(&Some(provider)));
        let Some((uid, endpoint)) = unseen else {
            return Ok(());
        };
        state.waiting.entry(uid).or_default().insert(child.clone());
        let name = endpoint.name_any();
        Err(Error::Waiting(format!(
            "LlmEndpoint {name} to be reconciled"
        )))
    }

    /// Notes an endpoint that was reconciled, and the provider that it had at the beginning; answers
    /// who waited for it.
    pub fn note(&self, endpoint: Uuid, provider: Option<Uuid>) -> HashSet<ObjectKey> {
        let mut state = self.state();
        state.seen.insert(endpoint, provider);
        state.waiting.remove(&endpoint).unwrap_or_default()
    }

    /// Forgets an endpoint that is gone.
    pub fn forget(&self, endpoint: Uuid) {
        let mut state = self.state();
        state.seen.remove(&endpoint);
        state.waiting.remove(&endpoint);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::crd::Kind;

    #[test]
    fn a_child_waits_until_every_endpoint_was_reconciled_and_is_named_then() {
        let endpoint = |name: &str, uid: Uuid| {
            let object = json!({
                "apiVersion": "llmplane.dev/v1alpha1", "kind": "LlmEndpoint",
                "metadata": { "name": name, "namespace": "team", "uid": uid },
                "spec": { "providerRef": { "name": "p" } },
            });
            Arc::new(serde_json::from_value::<LlmEndpoint>(object).unwrap())
        };
        let (a, b) = (Uuid::new_v4(), Uuid::new_v4());
        let both = [endpoint("a", a), endpoint("b", b)];
        let child = ObjectKey::new(Kind::Model, "team", "m");
        let (former, now) = (Uuid::new_v4(), Uuid::new_v4());
        let seen = EndpointsSeen::default();
        let all = || seen.all(now, &both, &child);
        assert_eq!(seen.note(a, Some(now)), HashSet::new());
        assert!(matches!(all(), Err(Error::Waiting(_))));
        for before in [None, Some(former)] {
            assert_eq!(seen.note(b, before), HashSet::from([child.clone()]));
            assert!(matches!(all(), Err(Error::Waiting(_))));
        }
        assert_eq!(seen.note(b, Some(now)), HashSet::from([child.clone()]));
        assert!(all().is_ok());
        assert_eq!(seen.note(b, Some(now)), HashSet::new());
        seen.forget(a);
        assert!(all().is_err());
    }
}
