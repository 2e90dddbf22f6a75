//! Rows for the tests of this room.

use std::sync::Arc;

use jiff::Timestamp;
use uuid::Uuid;

use super::{Access, Need, Request, Resolution, Tier, Unresolved, Wanted, resolve};
use crate::crd::ProviderType;
use crate::crd::base_url::BaseUrl;
use crate::crd::model::Capability;
use crate::crd::reasons::Reason;
use crate::snapshot::{
    Availability, AvailabilityState, CapabilityView, Common, CredentialView, EndpointView, Health,
    HealthState, KeyInForce, ModelClassView, ModelStatus, ModelView, PreferView, ProviderView,
    Snapshot, Validity, ValidityState, Views,
};

pub const HOST: &str = "https://api.openai.com/v1";

/// A moment so many seconds after all rows were made.
pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + seconds).expect("a time")
}

pub fn uid(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn common(number: u128, namespace: &str, name: &str) -> Common {
    Common {
        id: uid(number),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        is_active: true,
        created_at: at(0),
        updated_at: at(0),
        deleted_at: None,
        conditions: Vec::new(),
        is_checked: true,
    }
}

pub fn provider(number: u128, namespace: &str, type_: ProviderType) -> ProviderView {
    ProviderView {
        common: common(number, namespace, &format!("provider-{number}")),
        type_,
        display_name: None,
        description: None,
    }
}

pub fn endpoint(number: u128, provider: &ProviderView, name: &str) -> EndpointView {
    EndpointView {
        common: common(number, &provider.common.namespace, name),
        provider_id: provider.common.id,
        display_name: None,
        base_url: BaseUrl::new(HOST),
        api_version: None,
        region: None,
        timeout_connect: 5,
        timeout_read: 60,
        retry_count: 2,
        retry_interval_ms: 500,
        is_default: false,
        priority: 100,
        health: health(HealthState::Healthy),
        headers: Vec::new(),
        check_inputs: "now".to_owned(),
    }
}

pub fn health(state: HealthState) -> Health {
    Health {
        state,
        since: None,
        reason: "Tested".to_owned(),
    }
}

pub fn credential(number: u128, provider: &ProviderView, name: &str) -> CredentialView {
    CredentialView {
        common: common(number, &provider.common.namespace, name),
        provider_id: provider.common.id,
        endpoint_ids: Vec::new(),
        alias: None,
        description: None,
        masked_key: None,
        fingerprint: None,
        version: Some(1),
        versions: Vec::new(),
        expires_at: None,
        quota_limit: None,
        quota_unit: None,
        quota_period: None,
        priority: 100,
        validity: Validity {
            state: ValidityState::Valid,
            since: None,
            reason: Reason::KeyAccepted.as_str().to_owned(),
        },
        key: Some(KeyInForce {
            provider_type: provider.type_,
            allowed_hosts: Vec::new(),
            refused_at: Vec::new(),
            ends: None,
        }),
        federation: None,
    }
}

pub fn model(number: u128, provider: &ProviderView, name: &str) -> ModelView {
    ModelView {
        common: common(number, &provider.common.namespace, name),
        provider_id: provider.common.id,
        endpoint_ids: Vec::new(),
        model_id: format!("id-{name}"),
        base_model: None,
        display_name: None,
        version: None,
        type_: None,
        context_window: None,
        max_input_tokens: None,
        max_output_tokens: None,
        embedding_dimensions: None,
        input_modalities: Vec::new(),
        output_modalities: Vec::new(),
        currency: None,
        input_price: None,
        output_price: None,
        cache_read_price: None,
        cache_write_price: None,
        reasoning_price: None,
        audio_input_price: None,
        audio_output_price: None,
        batch_input_price: None,
        batch_output_price: None,
        image_price: None,
        request_price: None,
        price_tiers: Vec::new(),
        limits: Vec::new(),
        capabilities: Vec::new(),
        recommended_for: Vec::new(),
        default_parameters: None,
        status: ModelStatus::Available,
        deprecated_at: None,
        retires_at: None,
        replacement_model_id: None,
        availability: Availability {
            state: AvailabilityState::Available,
            since: None,
            reason: Reason::ModelListed.as_str().to_owned(),
        },
        origin: Default::default(),
        labels: Default::default(),
        selectable_labels: Default::default(),
    }
}

/// A class of these models, in this order.
pub fn class(number: u128, namespace: &str, name: &str, models: &[&str]) -> ModelClassView {
    ModelClassView {
        common: common(number, namespace, name),
        display_name: None,
        description: None,
        models: models.iter().map(|name| (*name).to_owned()).collect(),
        need: None,
        prefer: PreferView::Order,
        allow_deprecated: false,
        current: None,
        candidates: 0,
        availability: Availability {
            state: AvailabilityState::Unknown,
            since: None,
            reason: Reason::NotCheckedYet.as_str().to_owned(),
        },
    }
}

/// As `model`, with these prices in dollars.
pub fn priced(number: u128, provider: &ProviderView, name: &str, prices: [&str; 2]) -> ModelView {
    let [input, output] = prices.map(|price| Some(price.to_owned()).filter(|p| !p.is_empty()));
    ModelView {
        currency: Some("USD".to_owned()),
        input_price: input,
        output_price: output,
        ..model(number, provider, name)
    }
}

pub fn can(capability: Capability, score: Option<i32>) -> CapabilityView {
    CapabilityView {
        name: capability,
        score,
    }
}

pub fn snapshot(views: Views) -> Snapshot {
    let mut snapshot = Snapshot::default();
    snapshot.put(views).expect("they are rows");
    snapshot
}

/// One provider in `team`, with one endpoint and one credential, and these models.
pub fn with_models(models: impl FnOnce(&ProviderView) -> Vec<ModelView>) -> Snapshot {
    let provider = provider(1, "team", ProviderType::OpenAI);
    snapshot(Views {
        endpoints: vec![endpoint(10, &provider, "main")],
        credentials: vec![credential(20, &provider, "key")],
        models: models(&provider),
        providers: vec![provider],
        model_classes: Vec::new(),
    })
}

/// What somebody of `team` gets who may have every credential.
pub fn ask(snapshot: &Snapshot, wanted: Wanted) -> Result<Resolution, Unresolved> {
    ask_in(snapshot, wanted, &[team()])
}

pub fn team() -> Tier {
    Tier::Namespaces(vec![Arc::from("team")])
}

pub fn ask_in(
    snapshot: &Snapshot,
    wanted: Wanted,
    tiers: &[Tier],
) -> Result<Resolution, Unresolved> {
    let request = Request {
        wanted,
        with_key: false,
    };
    let access = Access {
        tiers,
        may_have: &|_| true,
        may_see_classes: &|_| true,
        gave_no_key: &[],
    };
    resolve(snapshot, &request, access, at(100))
}

pub fn named(name: &str) -> Wanted {
    Wanted::Named(name.to_owned())
}

pub fn class_of(name: &str) -> Wanted {
    Wanted::Class(name.to_owned())
}

pub fn need(need: Need) -> Wanted {
    Wanted::Need(Box::new(need))
}

/// Name and reason of each model that was passed over.
pub fn reasons(considered: &super::Considered) -> Vec<(&str, &'static str)> {
    let told = considered.models.iter();
    told.map(|passed| (passed.model.as_str(), passed.reason.as_str()))
        .collect()
}
