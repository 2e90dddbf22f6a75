//! One reconcile, and what becomes of its outcome: the one place that decides log, metric, status
//! and requeue.

use std::sync::Arc;

use k8s_openapi::NamespaceResourceScope;
use kube::Resource;
use serde::{Serialize, de::DeserializeOwned};
use uuid::Uuid;

use super::{
    context::Context,
    index::Declared,
    metrics::ReconcileLabels,
    object_key::{ObjectKey, Wake},
    queue::Next,
};
use crate::controller::{
    error::{Class, Error},
    kinds::{credential, endpoint, identity, model, model_class, provider},
    maintenance::repair::repair,
    status::{unavailable, write},
};
use crate::crd::{
    Kind, LlmCredential, LlmEndpoint, LlmModel, LlmModelClass, LlmProvider,
    conditions::ConditionInput,
};
use crate::db::DbError;
use crate::telemetry::spans;

/// Reconciles one object.
///
/// # Errors
/// What must end the process; everything else is seen to here.
pub async fn reconcile(context: Arc<Context>, key: ObjectKey) -> Result<Next, Error> {
    let uid = context.index().uid(&key);
    // Before: one that comes while this is under way wakes its endpoints again.
    let provider = provider_of(&context, &key);
    let made = uid.and_then(|uid| context.checks.request_made(uid));
    let outcome = match key.kind {
        Kind::Provider => provider::reconcile(&context, &key).await,
        Kind::Endpoint => endpoint::reconcile(&context, &key).await,
        Kind::Credential => credential::reconcile(&context, &key).await,
        Kind::Model => model::reconcile(&context, &key).await,
        Kind::ModelClass => model_class::reconcile(&context, &key).await,
    };
    if let (Kind::Endpoint, Some(uid)) = (key.kind, uid)
        && outcome.as_ref().map_or_else(is_stored, |_| true)
    {
        let waited = context.endpoints_seen.note(uid, provider);
        context.waker.wake_all(waited.into_iter().map(Wake::now));
    }
    if let (Kind::Credential, Some(uid)) = (key.kind, uid) {
        note_credential(&context, uid, outcome.as_ref().err());
    }
    if let Some(made) = made
        && outcome.as_ref().map_or_else(is_stored, |_| true)
    {
        context.checks.request_told(&made);
    }
    let (result, next) = match outcome {
        Ok(next) => ("done", next),
        Err(error) => {
            let Some(next) = error.next() else {
                return Err(error);
            };
            tell(&context, &key, &error).await;
            let result = match error.class() {
                Class::Waiting => "waiting",
                Class::User => "refused",
                Class::Transient | Class::Fatal => "retry",
            };
            (result, next)
        }
    };
    forget_if_gone(&context, &key, uid);
    let labels = ReconcileLabels {
        kind: key.kind.as_str(),
        result,
    };
    context.metrics.reconciles.get_or_create(&labels).inc();
    spans::reconciled(result);
    Ok(next)
}

/// The provider that an endpoint has now; none of other kinds.
fn provider_of(context: &Context, key: &ObjectKey) -> Option<Uuid> {
    let index = context.index();
    let endpoint = (key.kind == Kind::Endpoint)
        .then(|| index.get::<LlmEndpoint>(&key.namespace, &key.name))
        .flatten()?;
    let provider = index.get::<LlmProvider>(&key.namespace, &endpoint.spec.provider_ref.name)?;
    Some(identity::uid(&*provider))
}

/// Notes whether a credential's row says now what the cluster says. An outage, of the keyring too, and what
/// passes by itself at once, is no news of the credential.
fn note_credential(context: &Context, uid: Uuid, failed: Option<&Error>) {
    let seen = &context.credentials_seen;
    match failed {
        None => seen.stored(uid),
        Some(error) if error.class() == Class::User => seen.refused(uid),
        Some(Error::Db(lost)) if lost.is_outage() => {}
        Some(Error::Kube(_)) if context.apiserver.is_lost() => {}
        Some(Error::Keyring(_) | Error::Stale | Error::Task(_)) => {}
        Some(_) => seen.failed(uid),
    }
}

/// Whether an object whose reconcile failed so has a row for what it declares, or is refused for good.
fn is_stored(error: &Error) -> bool {
    matches!(error, Error::Stale) || error.class() == Class::User
}

/// An object that was deleted meanwhile may have been swept before this reconcile stored its row and
/// planned its checks, and another of its name may hide that.
fn forget_if_gone(context: &Context, key: &ObjectKey, uid: Option<Uuid>) {
    let Some(uid) = uid else { return };
    if context.index().uid(key) != Some(uid) {
        context.forget(&[uid]);
        context.sweeper.ask(key.kind);
    }
}

async fn tell(context: &Context, key: &ObjectKey, error: &Error) {
    match error {
        Error::Stale | Error::Waiting(_) => {
            tracing::debug!(object = %key, %error, "comes back")
        }
        // Said once, of the database: one line for each object would bury it.
        Error::Db(lost) if lost.is_outage() => {
            tracing::debug!(object = %key, %error, "waits for the database");
        }
        Error::Kube(_) if context.apiserver.is_lost() => {
            tracing::debug!(object = %key, %error, "waits for the kube-apiserver");
        }
        _ => tracing::warn!(object = %key, %error, "a reconcile failed; it is tried again"),
    }
    if matches!(error, Error::Db(DbError::Unreadable(_)))
        && let Err(error) = repair(context).await
    {
        tracing::warn!(object = %key, %error, "rows that cannot be read could not be repaired");
    }
    let Some(finding) = error.finding() else {
        return;
    };
    // A connection that broke may be one that another leader ended, after which this one says
    // nothing: the next look at the database tells which it is.
    if matches!(error, Error::Db(lost) if lost.is_outage()) && !context.database.is_lost() {
        return;
    }
    let told = match key.kind {
        Kind::Provider => tell_status::<LlmProvider>(context, key, &finding).await,
        Kind::Endpoint => tell_status::<LlmEndpoint>(context, key, &finding).await,
        Kind::Credential => tell_status::<LlmCredential>(context, key, &finding).await,
        Kind::Model => tell_status::<LlmModel>(context, key, &finding).await,
        Kind::ModelClass => tell_status::<LlmModelClass>(context, key, &finding).await,
    };
    if let Err(error) = told {
        tracing::debug!(object = %key, %error, "the trouble could not be told in the status");
    }
}

async fn tell_status<K>(
    context: &Context,
    key: &ObjectKey,
    why: &ConditionInput,
) -> Result<(), Error>
where
    K: Declared
        + Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Serialize
        + DeserializeOwned
        + std::fmt::Debug,
{
    let Some(object) = context.index().get::<K>(&key.namespace, &key.name) else {
        return Ok(());
    };
    let conditions = unavailable::conditions_of(&*object, why, context.now());
    let status = unavailable::status_with(&*object, why, &conditions);
    write::write(context, &*object, &status, &conditions).await?;
    Ok(())
}
