//! What `POST /resolve` answers.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::api::disclosure::SecretView;
use crate::api::openapi;
use crate::api::problem::{Problem, ProblemType};
use crate::keys::disclose::DisclosedKey;
use crate::resolve::{
    Considered, CredentialReason, NoAnswer, Reason, Resolution, Target, Unresolved, Wanted,
    client_config,
};
use crate::snapshot::{CredentialView, EndpointView, ModelView};

/// A model and where to call it.
#[derive(Serialize, ToSchema)]
pub struct ResolveAnswer<'a> {
    /// The model.
    pub model: &'a ModelView,
    /// The endpoints that serve it, in the order in which they are to be tried.
    pub targets: Vec<TargetAnswer<'a>>,
    /// The other models, those first that came nearest to what was asked for; at most 200.
    pub considered: Vec<ConsideredModel>,
    /// How many there are beyond these.
    pub considered_omitted: usize,
    /// The revision that the answer is of.
    pub revision: i64,
}

/// An endpoint, and what to call it with.
#[derive(Serialize, ToSchema)]
#[schema(as = Target)]
pub struct TargetAnswer<'a> {
    /// The endpoint.
    pub endpoint: &'a EndpointView,
    /// The credential that fits it; null: there is none that the caller may see.
    pub credential: Option<&'a CredentialView>,
    /// Why there is none; null where there is one.
    #[schema(schema_with = credential_reasons)]
    pub credential_reason: Option<&'static str>,
    /// The key, only where it is asked for; on the first target that has one, or on each with
    /// `all_targets`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretView>,
    /// How to exchange the caller's own token for one of the vendor's; null: no credential is of that
    /// kind.
    #[schema(value_type = Option<Object>)]
    pub exchange: (),
    /// What a LangChain client is made with.
    pub langchain: LangChain,
}

/// Arguments of LangChain's `init_chat_model`.
#[derive(Serialize, ToSchema)]
pub struct LangChain {
    /// Its argument `model_provider`.
    pub model_provider: &'static str,
    /// Its argument `model`.
    pub model: String,
    /// All its other arguments.
    #[schema(value_type = Object)]
    pub kwargs: BTreeMap<String, Value>,
    /// By argument, the field of `secret` that goes into it; only beside a key. A name with dots is a
    /// path into nested arguments; what goes into one that ends in `Authorization` has `Bearer ` before
    /// it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = Object, required = false)]
    pub secret_kwargs: BTreeMap<&'static str, &'static str>,
}

/// A model that was passed over.
#[derive(Serialize, ToSchema)]
pub struct ConsideredModel {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub model: String,
    /// Why, in one word.
    #[schema(schema_with = reasons)]
    pub reason: &'static str,
    /// What of it, where the word alone does not say.
    pub detail: Option<String>,
}

/// The body where there is no answer: a problem that says of each model why it is none.
#[derive(ToSchema)]
#[schema(as = NoModelProblem)]
#[allow(dead_code)] // It is what is documented; the body is made of the problem and its members.
pub struct NoModelProblem {
    /// URL that names the kind of problem: `no-model` or `ambiguous-model`.
    r#type: String,
    /// The kind of problem in words.
    title: String,
    /// The HTTP status.
    status: u16,
    /// What is wrong with this request, and what to do.
    detail: String,
    /// The models that were looked at, those first that came nearest; at most 200.
    considered: Vec<ConsideredModel>,
    /// How many there are beyond these.
    considered_omitted: usize,
    /// The revision that the answer is of.
    revision: i64,
}

/// Members of such a problem.
#[derive(Serialize)]
struct NoModelMembers {
    considered: Vec<ConsideredModel>,
    considered_omitted: usize,
    revision: i64,
}

fn reasons() -> utoipa::openapi::schema::Object {
    openapi::one_of(Reason::ALL.iter().map(|reason| reason.as_str()))
}

fn credential_reasons() -> utoipa::openapi::schema::Object {
    use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};
    let words = CredentialReason::ALL
        .iter()
        .map(|reason| Some(reason.as_str()));
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
        .enum_values(Some(words.chain([None])))
        .build()
}

impl<'a> ResolveAnswer<'a> {
    /// Of a resolution, without keys.
    pub fn of(found: &'a Resolution) -> Self {
        let model = &found.model.view;
        let targets = found.targets.iter();
        Self {
            model,
            targets: targets
                .map(|target| TargetAnswer::of(model, target))
                .collect(),
            considered: told(&found.considered),
            considered_omitted: found.considered.omitted,
            revision: found.revision.0,
        }
    }
}

impl<'a> TargetAnswer<'a> {
    fn of(model: &ModelView, target: &'a Target) -> Self {
        Self {
            endpoint: &target.endpoint.view,
            credential: target.credentials.first().map(|entry| &entry.view),
            credential_reason: target.without_credential.map(CredentialReason::as_str),
            secret: None,
            exchange: (),
            langchain: LangChain::of(model, target, None),
        }
    }

    /// With the key of this one of its target's credentials.
    pub fn give(&mut self, model: &ModelView, target: &'a Target, place: usize, key: DisclosedKey) {
        self.credential = target.credentials.get(place).map(|entry| &entry.view);
        self.credential_reason = None;
        self.langchain = LangChain::of(model, target, Some(&key));
        self.secret = Some(key.into());
    }

    /// Without a credential, for its key was not to be had.
    pub fn withhold(&mut self, why: CredentialReason) {
        self.credential = None;
        self.credential_reason = Some(why.as_str());
    }
}

impl LangChain {
    fn of(model: &ModelView, target: &Target, key: Option<&DisclosedKey>) -> Self {
        let config = client_config(model, target, key.map(|key| &key.fields));
        let fields = config.secret_kwargs.into_iter().filter(|_| key.is_some());
        Self {
            model_provider: config.model_provider,
            model: config.model,
            kwargs: config.kwargs,
            secret_kwargs: fields.map(|(name, field)| (name, field.as_str())).collect(),
        }
    }
}

fn told(considered: &Considered) -> Vec<ConsideredModel> {
    let told = considered.models.iter().map(|passed| ConsideredModel {
        namespace: passed.namespace.clone(),
        model: passed.model.clone(),
        reason: passed.reason.as_str(),
        detail: passed.detail.clone(),
    });
    told.collect()
}

/// The problem that says why there is no answer, and its body.
pub fn no_answer(
    wanted: &Wanted,
    refused: &Unresolved,
) -> Result<(Problem, Vec<u8>), serde_json::Error> {
    let kind = match refused.why {
        NoAnswer::Ambiguous => ProblemType::AmbiguousModel,
        NoAnswer::NotNamed | NoAnswer::NotMet => ProblemType::NoModel,
    };
    let members = NoModelMembers {
        considered: told(&refused.considered),
        considered_omitted: refused.considered.omitted,
        revision: refused.revision.0,
    };
    let problem = Problem::new(kind, detail(wanted, refused));
    let body = problem.body_with(&members)?;
    Ok((problem, body))
}

fn detail(wanted: &Wanted, refused: &Unresolved) -> String {
    let name = match wanted {
        Wanted::Named(name) => name.chars().take(100).collect::<String>(),
        Wanted::Need(_) => String::new(),
    };
    let none_seen = refused.considered.models.is_empty();
    match (refused.why, none_seen) {
        (NoAnswer::Ambiguous, _) => format!(
            "{name:?} is the name of several models that you may see; ask for one of those in \
             considered by its own name, with ?namespace= where two have the same"
        ),
        (NoAnswer::NotNamed, true) => {
            let near: Vec<_> = refused
                .near
                .iter()
                .map(|near| format!("{near:?}"))
                .collect();
            let near = match near.is_empty() {
                true => String::new(),
                false => format!("; did you mean {}?", near.join(" or ")),
            };
            format!("no model that you may see is called {name:?}{near}")
        }
        (NoAnswer::NotNamed, false) => {
            format!("the model {name:?} cannot be called; considered says why")
        }
        (NoAnswer::NotMet, true) => {
            "there is no model in the namespaces that you may see; name another with ?namespace="
                .to_owned()
        }
        (NoAnswer::NotMet, false) => {
            "no model is what you need; considered says of each why not".to_owned()
        }
    }
}
