//! What the five resources share.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};
use strum::{EnumCount, EnumString, IntoStaticStr, VariantArray};

use super::rules;
use super::words::words;

/// One of the five resources, parents first.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    EnumCount,
    EnumString,
    IntoStaticStr,
    VariantArray,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Kind {
    Provider,
    Endpoint,
    Credential,
    Model,
    ModelClass,
}

impl Kind {
    /// The Kubernetes kind.
    pub fn kubernetes(self) -> &'static str {
        match self {
            Self::Provider => "LlmProvider",
            Self::Endpoint => "LlmEndpoint",
            Self::Credential => "LlmCredential",
            Self::Model => "LlmModel",
            Self::ModelClass => "LlmModelClass",
        }
    }

    /// The Kubernetes resource, as RBAC names it.
    pub fn plural(self) -> &'static str {
        match self {
            Self::Provider => "llmproviders",
            Self::Endpoint => "llmendpoints",
            Self::Credential => "llmcredentials",
            Self::Model => "llmmodels",
            Self::ModelClass => "llmmodelclasses",
        }
    }

    /// The resource in the singular, as kubectl names one object.
    pub fn singular(self) -> &'static str {
        match self {
            Self::Provider => "llmprovider",
            Self::Endpoint => "llmendpoint",
            Self::Credential => "llmcredential",
            Self::Model => "llmmodel",
            Self::ModelClass => "llmmodelclass",
        }
    }

    /// The short name that kubectl takes.
    pub fn short_name(self) -> &'static str {
        match self {
            Self::Provider => "llmp",
            Self::Endpoint => "llme",
            Self::Credential => "llmc",
            Self::Model => "llmm",
            Self::ModelClass => "llmmc",
        }
    }
}

words!(Kind);

/// A reference to an object of the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
pub struct LocalRef {
    /// Name of the object, in this namespace.
    #[schemars(length(max = 253))]
    #[x_kube(validation = rules::OBJECT_NAME)]
    pub name: String,
}

pub(crate) fn yes() -> bool {
    true
}

pub(crate) fn default_priority() -> i32 {
    100
}
