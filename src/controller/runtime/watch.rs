//! The watches: they feed the index, and the index says whom to wake.
//!
//! Every object is decoded behind a guard, so that one that does not decode is logged, counted and
//! passed over. Of Secrets only metadata is watched, and of that only what is ours is kept.

use std::{
    collections::{HashMap, HashSet},
    fmt::Debug,
    sync::Arc,
    time::Duration,
};

use backon::ExponentialBuilder;
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::NamespaceResourceScope;
use kube::{
    Api, Client, Resource,
    core::ObjectMeta,
    runtime::{
        WatchStreamExt,
        watcher::{self, Event, ExponentialBackoff, watcher},
    },
};
use serde::{Serialize, de::DeserializeOwned};
use tokio_util::sync::CancellationToken;

use super::{
    context::Context,
    decode::Decoded,
    index::{Declared, SecretMeta},
    metrics::KindLabel,
};
use crate::controller::status::write;
use crate::crd::{GROUP, LABEL_CREDENTIAL, ownership};

/// Waits between two attempts to take up a watch. The library's own grow to half a minute, and a
/// kube-apiserver that comes back without its history costs two of them.
fn backoff() -> ExponentialBackoff {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(800))
        .with_max_delay(Duration::from_secs(5))
        .with_factor(2.0)
        .with_jitter()
        .without_max_times()
        .into()
}

/// One watch of a kind, in one namespace or in all, until `shutdown`. The watch itself goes on
/// through every fault of the apiserver, with a backoff.
pub async fn objects<K>(
    context: Arc<Context>,
    scope: Option<String>,
    synced: impl FnOnce() + Send,
    shutdown: CancellationToken,
) where
    K: Declared
        + Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Serialize
        + DeserializeOwned
        + Debug,
{
    let api: Api<Decoded<K>> = scoped(&context.client, scope.as_deref());
    let mut events = std::pin::pin!(watcher(api, watcher::Config::default()).backoff(backoff()));
    let mut listing = ModelsById::<K>::default();
    let mut synced = Some(synced);
    loop {
        let event = tokio::select! {
            () = shutdown.cancelled() => return,
            event = events.next() => event,
        };
        match event {
            None => return,
            Some(Err(error)) => {
                interrupted(&context, K::KIND.as_str(), &error);
            }
            Some(Ok(event)) => {
                let listed = matches!(event, Event::InitDone);
                // What is gone may be hidden at once by another object of its name, or was never
                // understood: no reconcile finds it missing.
                let swept = listed || matches!(event, Event::Delete(_));
                let wakes = take(&context, scope.as_deref(), &mut listing, event);
                context.waker.wake_all(wakes);
                if swept {
                    context.sweeper.ask(K::KIND);
                }
                if listed && let Some(synced) = synced.take() {
                    synced();
                }
            }
        }
    }
}

/// Every watch is taken up again, with a backoff. A kube-apiserver that does not answer is said once, not by each watch at each attempt.
fn interrupted(context: &Context, kind: &str, error: &watcher::Error) {
    use watcher::Error as E;
    match error {
        // A connection that broke says nothing yet: the next attempt does.
        E::WatchFailed(_) => {
            tracing::debug!(kind, %error, "a watch was interrupted; it is taken up again");
        }
        E::InitialListFailed(cause) | E::WatchStartFailed(cause) if !is_refusal(cause) => {
            tracing::debug!(kind, %error, "a watch was interrupted; it is taken up again");
            context.apiserver.lost(error);
        }
        _ => tracing::warn!(kind, %error, "a watch was interrupted; it is taken up again"),
    }
}

/// Whether the kube-apiserver answered, and said no.
fn is_refusal(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code < 500)
}

struct ModelsById<K> {
    objects: Vec<K>,
    undecodable: HashSet<(String, String)>,
    /// Versions of the undecodable objects that were told of: a relist is no news.
    told: HashMap<(String, String), Option<String>>,
}

impl<K> Default for ModelsById<K> {
    fn default() -> Self {
        Self {
            objects: Vec::new(),
            undecodable: HashSet::new(),
            told: HashMap::new(),
        }
    }
}

fn take<K: Declared + Serialize>(
    context: &Context,
    scope: Option<&str>,
    listing: &mut ModelsById<K>,
    event: Event<Decoded<K>>,
) -> Vec<super::object_key::Wake> {
    match event {
        Event::Init => {
            listing.objects.clear();
            listing.undecodable.clear();
            Vec::new()
        }
        Event::InitApply(guard) => {
            match decode(context, guard, &mut listing.told) {
                Ok(object) => listing.objects.push(object),
                Err(name) => {
                    listing.undecodable.insert(name);
                }
            }
            Vec::new()
        }
        Event::InitDone => {
            let objects = std::mem::take(&mut listing.objects);
            let undecodable = std::mem::take(&mut listing.undecodable);
            listing.told.retain(|name, _| undecodable.contains(name));
            context.index_mut().replace(scope, objects, &undecodable)
        }
        Event::Apply(guard) => match decode(context, guard, &mut listing.told) {
            Ok(object) => {
                let repair = write::repair(context, &object);
                let mut wakes = context.index_mut().apply(object);
                wakes.extend(repair);
                wakes
            }
            Err((namespace, name)) => {
                (context.index_mut()).apply_undecodable::<K>(&namespace, &name);
                Vec::new()
            }
        },
        Event::Delete(guard) => {
            let (namespace, name) = match &guard.0 {
                Ok(object) => name_of(object.meta()),
                Err(invalid) => name_of(&invalid.metadata),
            };
            let wakes = context.index_mut().delete::<K>(&namespace, &name);
            listing.told.remove(&(namespace, name));
            wakes
        }
    }
}

fn decode<K: Declared>(
    context: &Context,
    guard: Decoded<K>,
    told: &mut HashMap<(String, String), Option<String>>,
) -> Result<K, (String, String)> {
    match guard.0 {
        Ok(mut object) => {
            ownership::prune(object.meta_mut());
            told.remove(&name_of(object.meta()));
            Ok(object)
        }
        Err(invalid) => {
            let name = name_of(&invalid.metadata);
            let version = invalid.metadata.resource_version;
            if told.insert(name.clone(), version.clone()) == Some(version) {
                return Err(name);
            }
            let label = KindLabel::of(K::KIND);
            context.metrics.undecodable.get_or_create(&label).inc();
            tracing::warn!(
                kind = %K::KIND, namespace = %name.0, name = %name.1, error = %invalid.error,
                "an object does not decode and is passed over; apply it anew"
            );
            Err(name)
        }
    }
}

fn name_of(meta: &ObjectMeta) -> (String, String) {
    (
        meta.namespace.clone().unwrap_or_default(),
        meta.name.clone().unwrap_or_default(),
    )
}

/// The watch of the opted-in Secrets' metadata.
pub async fn secrets(
    context: Arc<Context>,
    scope: Option<String>,
    synced: impl FnOnce() + Send,
    shutdown: CancellationToken,
) {
    let api: Api<SecretMeta> = scoped(&context.client, scope.as_deref());
    let config = watcher::Config::default().labels(LABEL_CREDENTIAL);
    let events = watcher(api, config)
        .backoff(backoff())
        .map_ok(|event| event.modify(prune));
    let mut events = std::pin::pin!(events);
    let mut listing: Vec<SecretMeta> = Vec::new();
    let mut synced = Some(synced);
    loop {
        let event = tokio::select! {
            () = shutdown.cancelled() => return,
            event = events.next() => event,
        };
        let wakes = match event {
            None => return,
            Some(Err(error)) => {
                interrupted(&context, "secret", &error);
                // Credentials ask for their Secret by name all the same: this watch only says when.
                if let Some(synced) = synced.take() {
                    synced();
                }
                Vec::new()
            }
            Some(Ok(Event::Init)) => {
                listing.clear();
                Vec::new()
            }
            Some(Ok(Event::InitApply(secret))) => {
                listing.push(secret);
                Vec::new()
            }
            Some(Ok(Event::InitDone)) => {
                let listed = std::mem::take(&mut listing);
                let wakes = context
                    .index_mut()
                    .replace_secrets(scope.as_deref(), listed);
                if let Some(synced) = synced.take() {
                    synced();
                }
                wakes
            }
            Some(Ok(Event::Apply(secret))) => context.index_mut().apply_secret(secret),
            Some(Ok(Event::Delete(secret))) => {
                let (namespace, name) = name_of(secret.meta());
                context.index_mut().delete_secret(&namespace, &name)
            }
        };
        context.waker.wake_all(wakes);
    }
}

/// Keeps our labels and annotations alone: `kubectl apply` leaves a Secret's data in an annotation.
fn prune(secret: &mut SecretMeta) {
    let ours = |key: &String| {
        key.strip_prefix(GROUP)
            .is_some_and(|rest| rest.starts_with('/'))
    };
    let meta = secret.meta_mut();
    meta.managed_fields = None;
    if let Some(labels) = &mut meta.labels {
        labels.retain(|key, _| ours(key));
    }
    if let Some(annotations) = &mut meta.annotations {
        annotations.retain(|key, _| ours(key));
    }
}

fn scoped<K>(client: &Client, scope: Option<&str>) -> Api<K>
where
    K: Resource<Scope = NamespaceResourceScope>,
    K::DynamicType: Default,
{
    match scope {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

#[cfg(test)]
mod tests {
    use kube::ResourceExt;
    use serde_json::json;

    use super::*;

    #[test]
    fn of_a_secret_only_what_is_ours_is_kept() {
        let mut secret: SecretMeta = serde_json::from_value(json!({
            "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata",
            "metadata": {
                "name": "s",
                "labels": { "llmplane.dev/credential": "OpenAI", "app": "x" },
                "annotations": {
                    "llmplane.dev/allowed-hosts": "a.example",
                    "llmplane.dev.evil/x": "y",
                    "kubectl.kubernetes.io/last-applied-configuration": "{\"stringData\":{\"api-key\":\"canary\"}}",
                },
                "managedFields": [{ "manager": "kubectl" }],
            },
        }))
        .unwrap();
        prune(&mut secret);
        let kept = serde_json::to_string(&secret).unwrap();
        assert!(!kept.contains("canary") && !kept.contains("kubectl") && !kept.contains("evil"));
        assert_eq!(secret.labels().len(), 1);
        assert_eq!(secret.annotations().len(), 1);
    }
}
