//! What `POST /resolve` answers.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::api::disclosure::SecretView;
use crate::api::openapi;
use crate::api::problem::{Problem, ProblemType};
use crate::crd::token_services::TokenServices;
use crate::keys::disclose::DisclosedKey;
use crate::resolve::{
    Considered, CredentialReason, ExchangeOffer, NoAnswer, Reason, Resolution, Target, Unresolved,
    Wanted, client_config, exchange_offer,
};
use crate::snapshot::{CredentialView, EndpointView, ModelView};

/// A model and where to call it.
#[derive(Serialize, ToSchema)]
pub struct ResolveAnswer<'a> {
    /// The model.
    pub model: &'a ModelView,
    /// Name of the class that means it now, in the model's namespace; only where it was found by one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub class: Option<&'a str>,
    /// The endpoints that serve it, in the order in which they are to be tried. Of a class those of its
    /// other models follow, and those that are known not to answer come last.
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
    /// Name of the model that is called here, in the namespace of the endpoint.
    pub model: &'a str,
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
    #[schema(nullable = false)]
    pub secret: Option<SecretView>,
    /// How to exchange the caller's own token for one of the vendor's, where no key is given; null: no
    /// credential is of that kind.
    pub exchange: Option<ExchangeView>,
    /// What a LangChain client is made with.
    pub langchain: LangChain,
}

/// How a caller exchanges a token of its ServiceAccount for one of the vendor's. Nothing of it is secret.
#[derive(Serialize, ToSchema)]
#[schema(as = Exchange)]
pub struct ExchangeView {
    /// The protocol: `token_exchange` (RFC 8693), `jwt_bearer` (RFC 7523), `client_assertion` (RFC 7521) or
    /// `assume_role_with_web_identity` (AWS STS).
    pub method: &'static str,
    /// Where the token is sent to.
    pub token_url: String,
    /// Audience that the token must have.
    pub audience: String,
    /// The vendor's ids of the agreement, by the vendor's own names of them.
    #[schema(value_type = Object)]
    pub ids: BTreeMap<&'static str, String>,
}

impl From<ExchangeOffer> for ExchangeView {
    fn from(offer: ExchangeOffer) -> Self {
        Self {
            method: offer.method,
            token_url: offer.token_url,
            audience: offer.audience,
            ids: offer.ids.into_iter().collect(),
        }
    }
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
    /// Arguments that take a function in place of the token, which the client calls for each request; only
    /// where the credential is a short-lived token. Without one the client is made anew when its token ends.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    #[schema(value_type = Vec<String>, required = false)]
    pub callable_kwargs: &'static [&'static str],
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
    pub fn of(found: &'a Resolution, services: &TokenServices) -> Self {
        let model = &found.model.view;
        let targets = found.targets.iter();
        let class = found.class.as_ref();
        Self {
            model,
            class: class.map(|entry| entry.view.common.name.as_str()),
            targets: targets
                .map(|target| TargetAnswer::of(target, services))
                .collect(),
            considered: told(&found.considered),
            considered_omitted: found.considered.omitted,
            revision: found.revision.0,
        }
    }
}

impl<'a> TargetAnswer<'a> {
    fn of(target: &'a Target, services: &TokenServices) -> Self {
        let exchange = exchange_offer(target, services);
        let offered = target.exchange.as_ref().filter(|_| exchange.is_some());
        let credential = target.credentials.first().or(offered);
        let reason = target.without_credential.filter(|_| credential.is_none());
        Self {
            model: &target.model.view.common.name,
            endpoint: &target.endpoint.view,
            credential: credential.map(|entry| &entry.view),
            credential_reason: reason.map(CredentialReason::as_str),
            secret: None,
            exchange: exchange.map(ExchangeView::from),
            langchain: LangChain::of(target, None),
        }
    }

    /// With the key of this one of its target's credentials.
    pub fn give(&mut self, target: &'a Target, place: usize, key: DisclosedKey) {
        self.credential = target.credentials.get(place).map(|entry| &entry.view);
        self.credential_reason = None;
        self.exchange = None;
        self.langchain = LangChain::of(target, Some(&key));
        self.secret = Some(key.into());
    }

    /// Without a credential, for its key was not to be had; by an exchange of its own the caller may call it
    /// all the same.
    pub fn withhold(&mut self, target: &'a Target, why: CredentialReason) {
        let offered = target.exchange.as_ref().filter(|_| self.exchange.is_some());
        self.credential = offered.map(|entry| &entry.view);
        self.credential_reason = offered.is_none().then_some(why.as_str());
    }

    /// Without an exchange, for its credential is not one that the caller may see.
    pub fn conceal_exchange(&mut self, target: &Target) {
        self.exchange = None;
        if target.credentials.is_empty() {
            self.credential = None;
            let reason = target.without_credential;
            self.credential_reason = reason.map(CredentialReason::as_str);
        }
    }
}

impl LangChain {
    fn of(target: &Target, key: Option<&DisclosedKey>) -> Self {
        let model = &target.model.view;
        let config = client_config(model, target, key.map(|key| &key.fields));
        let fields = config.secret_kwargs.into_iter().filter(|_| key.is_some());
        let first = target.credentials.first().or(target.exchange.as_ref());
        let is_token = first.is_some_and(|entry| entry.view.federation.is_some());
        Self {
            model_provider: config.model_provider,
            model: config.model,
            kwargs: config.kwargs,
            secret_kwargs: fields.map(|(name, field)| (name, field.as_str())).collect(),
            callable_kwargs: if is_token {
                config.callable_kwargs
            } else {
                &[]
            },
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
        NoAnswer::Ambiguous | NoAnswer::ClassAmbiguous => ProblemType::AmbiguousModel,
        NoAnswer::NotNamed | NoAnswer::NotMet | NoAnswer::ClassNotNamed | NoAnswer::ClassOff => {
            ProblemType::NoModel
        }
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
        Wanted::Named(name) | Wanted::Class(name) => name.chars().take(100).collect::<String>(),
        Wanted::Need(_) => String::new(),
    };
    let none_seen = refused.considered.models.is_empty();
    match (refused.why, none_seen) {
        (NoAnswer::Ambiguous, _) => format!(
            "{name:?} is the name of several models that you may see; ask for one of those in \
             considered by its own name, with ?namespace= where two have the same"
        ),
        (NoAnswer::NotNamed, true) => {
            let near = did_you_mean(&refused.near);
            format!("no model that you may see is called {name:?}{near}")
        }
        (NoAnswer::ClassNotNamed, _) => {
            let near = did_you_mean(&refused.near);
            format!("no class that you may see is called {name:?}{near}")
        }
        (NoAnswer::ClassOff, _) => {
            format!("the class {name:?} is switched off; ask for another, or name a model")
        }
        (NoAnswer::ClassAmbiguous, _) => format!(
            "{name:?} is a class in several namespaces that you may see; name one with ?namespace=: {}",
            refused.near.join(", ")
        ),
        (NoAnswer::NotMet, true) if refused.class.is_some() => {
            format!("the class {name:?} means no model now: there is none in its namespace")
        }
        (NoAnswer::NotMet, false) if refused.class.is_some() => {
            format!("the class {name:?} means no model now; considered says of each why not")
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

/// Names that come near, as a question.
fn did_you_mean(near: &[String]) -> String {
    let near: Vec<_> = near.iter().map(|near| format!("{near:?}")).collect();
    match near.is_empty() {
        true => String::new(),
        false => format!("; did you mean {}?", near.join(" or ")),
    }
}
