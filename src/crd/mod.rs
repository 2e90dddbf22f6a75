//! What users write and read: the five resources, their conditions and reasons.
//!
//! Everything here is plain data and pure functions; nothing calls out. The schemas in `crds/`
//! are generated from these types ([`crds`]), so a doc comment here is what `kubectl explain`
//! shows.

pub mod base_url;
pub mod ca_bundle;
pub mod common;
pub mod conditions;
pub mod credential;
pub mod decimal;
pub mod endpoint;
pub mod federation;
pub mod field_schemas;
pub mod fields;
pub mod generate;
pub mod gitops;
pub mod hosts;
pub mod json_schema;
pub mod labels;
pub mod manifest;
pub mod model;
pub mod model_class;
pub mod names;
pub mod ownership;
pub mod pricing;
pub mod provider;
pub mod provider_type;
pub mod reasons;
pub mod reference;
pub mod remedy;
pub mod rules;
pub mod token_services;
pub(crate) mod words;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

pub use common::{Kind, LocalRef};
pub use credential::{LlmCredential, LlmCredentialSpec, LlmCredentialStatus};
pub use endpoint::{LlmEndpoint, LlmEndpointSpec, LlmEndpointStatus};
pub use model::{Capability, LlmModel, LlmModelSpec, LlmModelStatus};
pub use model_class::{LlmModelClass, LlmModelClassSpec, LlmModelClassStatus};
pub use provider::{LlmProvider, LlmProviderSpec, LlmProviderStatus};
pub use provider_type::ProviderType;

/// API group of the five resources.
pub const GROUP: &str = "llmplane.dev";
/// Version of the five resources.
pub const VERSION: &str = "v1alpha1";

/// On a Secret: whose key it holds (a [`ProviderType`]); opts the Secret in.
pub const LABEL_CREDENTIAL: &str = "llmplane.dev/credential";
/// On a Secret: further hosts its key may be sent to, comma-separated and exact.
pub const ANNOTATION_ALLOWED_HOSTS: &str = "llmplane.dev/allowed-hosts";
/// On a generated object: what made it.
pub const LABEL_GENERATED_BY: &str = "llmplane.dev/generated-by";
/// On any of the five: an opaque value; a new one asks for its checks now.
pub const ANNOTATION_RECONCILE_REQUESTED_AT: &str = "llmplane.dev/reconcile-requested-at";

/// Endpoints a provider may have.
pub const MAX_ENDPOINTS_PER_PROVIDER: usize = 10;
/// Credentials a provider may have.
pub const MAX_CREDENTIALS_PER_PROVIDER: usize = 20;

/// The five definitions as they are applied to a cluster.
pub fn crds() -> Vec<CustomResourceDefinition> {
    let mut crds = vec![
        LlmProvider::crd(),
        LlmEndpoint::crd(),
        LlmCredential::crd(),
        LlmModel::crd(),
        LlmModelClass::crd(),
    ];
    for crd in &mut crds {
        generate::finish(crd);
    }
    crds
}
