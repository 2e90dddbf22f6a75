//! The kube-apiserver, asked with the caller's own token.
//!
//! The token goes to the kube-apiserver and nowhere else: it is added to each request on its way out,
//! marked so that nothing shows it, and is wiped when the write ends. The process's own account is
//! not in this client.

use std::time::Duration;

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderValue, Request};
use kube::api::{
    ApiResource, DeleteParams, DynamicObject, ListParams, ObjectMeta, PartialObjectMeta, Patch,
    PatchParams, PostParams, Preconditions,
};
use kube::client::Body;
use kube::config::AuthInfo;
use kube::{Api, Client, Config, ResourceExt};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use zeroize::Zeroizing;

use super::refusal::Refused;
use crate::crd::{Kind, LlmCredential, LlmEndpoint, LlmModel, LlmModelClass, LlmProvider};

/// How long one call may take; the kube-apiserver gives a webhook 10 s unless its owner says otherwise.
pub(super) const CALL_TIMEOUT: Duration = Duration::from_secs(12);
/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Who the kube-apiserver says made a field what it is.
const FIELD_MANAGER: &str = "llmplane-api";

/// A client of this cluster without an account, and without attempts that nobody asked for.
pub(super) fn anonymous(cluster: &Config) -> Result<Client, kube::Error> {
    let mut config = cluster.clone();
    config.auth_info = AuthInfo::default();
    config.headers = Vec::new();
    config.default_retry = false;
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    Client::try_from(config)
}

/// The cluster, as the caller may see and change it.
#[derive(Clone)]
pub struct AsCaller {
    client: Client,
}

impl AsCaller {
    /// Through this client, with this token.
    pub(super) fn new(anonymous: Client, token: SecretString) -> Self {
        let with_token = tower::service_fn(move |mut request: Request<Body>| {
            // A token that was read from a header is one's value.
            let value = Zeroizing::new(format!("Bearer {}", token.expose_secret()));
            if let Ok(mut value) = HeaderValue::from_str(&value) {
                value.set_sensitive(true);
                request.headers_mut().insert(AUTHORIZATION, value);
            }
            let anonymous = anonymous.clone();
            async move { anonymous.send(request).await }
        });
        Self {
            client: Client::new(with_token, "default"),
        }
    }

    /// The client, for what is no resource of `llmplane.dev`.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    fn api(&self, kind: Kind, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), namespace, &resource(kind))
    }

    /// An object.
    ///
    /// # Errors
    ///
    /// What the kube-apiserver says.
    pub async fn get(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
    ) -> Result<DynamicObject, Refused> {
        answered(self.api(kind, namespace).get(name)).await
    }

    /// What kind of children a provider has, by their metadata.
    ///
    /// # Errors
    ///
    /// What the kube-apiserver says.
    pub async fn children(
        &self,
        kind: Kind,
        namespace: &str,
        provider: &str,
    ) -> Result<Vec<ObjectMeta>, Refused> {
        let of_provider = format!("spec.providerRef.name={provider}");
        self.list(kind, namespace, &ListParams::default().fields(&of_provider))
            .await
    }

    /// The metadata of all objects of a kind.
    ///
    /// # Errors
    ///
    /// What the kube-apiserver says.
    pub async fn all(&self, kind: Kind, namespace: &str) -> Result<Vec<ObjectMeta>, Refused> {
        self.list(kind, namespace, &ListParams::default()).await
    }

    async fn list(
        &self,
        kind: Kind,
        namespace: &str,
        which: &ListParams,
    ) -> Result<Vec<ObjectMeta>, Refused> {
        let api = self.api(kind, namespace);
        let found = answered(api.list_metadata(which)).await?;
        let metadata = |object: PartialObjectMeta<DynamicObject>| object.metadata;
        Ok(found.items.into_iter().map(metadata).collect())
    }

    /// Creates an object.
    ///
    /// # Errors
    ///
    /// What the kube-apiserver says.
    pub async fn create(
        &self,
        kind: Kind,
        object: &DynamicObject,
        dry_run: bool,
    ) -> Result<DynamicObject, Refused> {
        let namespace = object.namespace().unwrap_or_default();
        let api = self.api(kind, &namespace);
        answered(api.create(&post(dry_run), object)).await
    }

    /// Replaces an object that nobody changed since it was read.
    ///
    /// # Errors
    ///
    /// What the kube-apiserver says.
    pub async fn replace(
        &self,
        kind: Kind,
        object: &DynamicObject,
        dry_run: bool,
    ) -> Result<DynamicObject, Refused> {
        let namespace = object.namespace().unwrap_or_default();
        let api = self.api(kind, &namespace);
        answered(api.replace(&object.name_any(), &post(dry_run), object)).await
    }

    /// Changes an object by a merge patch.
    ///
    /// # Errors
    ///
    /// What the kube-apiserver says.
    pub async fn patch(
        &self,
        kind: Kind,
        object: &DynamicObject,
        patch: &Value,
        dry_run: bool,
    ) -> Result<DynamicObject, Refused> {
        let namespace = object.namespace().unwrap_or_default();
        let api = self.api(kind, &namespace);
        let params = PatchParams {
            dry_run,
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        answered(api.patch(&object.name_any(), &params, &Patch::Merge(patch))).await
    }

    /// Deletes this very object; one that is gone already is deleted.
    ///
    /// # Errors
    ///
    /// What the kube-apiserver says.
    pub async fn delete(
        &self,
        kind: Kind,
        object: &ObjectMeta,
        dry_run: bool,
    ) -> Result<(), Refused> {
        let (namespace, name) = (object.namespace.as_deref(), object.name.as_deref());
        let api = self.api(kind, namespace.unwrap_or_default());
        let params = DeleteParams {
            dry_run,
            preconditions: Some(Preconditions {
                uid: object.uid.clone(),
                resource_version: None,
            }),
            ..DeleteParams::default()
        };
        match answered(api.delete(name.unwrap_or_default(), &params)).await {
            Ok(_) | Err(Refused::NotFound(_)) => Ok(()),
            Err(refused) => Err(refused),
        }
    }
}

/// The resource of a kind.
pub(super) fn resource(kind: Kind) -> ApiResource {
    match kind {
        Kind::Provider => ApiResource::erase::<LlmProvider>(&()),
        Kind::Endpoint => ApiResource::erase::<LlmEndpoint>(&()),
        Kind::Credential => ApiResource::erase::<LlmCredential>(&()),
        Kind::Model => ApiResource::erase::<LlmModel>(&()),
        Kind::ModelClass => ApiResource::erase::<LlmModelClass>(&()),
    }
}

/// What is asked of every object that is sent as a whole.
pub(super) fn post(dry_run: bool) -> PostParams {
    PostParams {
        dry_run,
        field_manager: Some(FIELD_MANAGER.to_owned()),
    }
}

/// The answer to a call, within its time.
pub(super) async fn answered<T>(
    call: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, Refused> {
    match tokio::time::timeout(CALL_TIMEOUT, call).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(Refused::from(error)),
        Err(_) => Err(Refused::Unanswered),
    }
}
