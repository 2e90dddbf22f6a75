//! Rows as a reconciler would store them.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use llmplane::crd::ProviderType;
use llmplane::crd::base_url::BaseUrl;
use llmplane::crd::credential::{QuotaPeriod, QuotaUnit, Validation, VersionState};
use llmplane::crd::endpoint::{Header, HealthCheck};
use llmplane::crd::manifest::Declaration;
use llmplane::crd::model::{
    AvailabilityTest, Capability, Lifecycle, LimitUnit, Modality, ModelCapability, ModelLimit,
    ModelType, Origin, PriceTier,
};
use llmplane::crd::model_class::{CurrentModel, Preferred};
use llmplane::crd::provider::ModelSync;
use llmplane::crd::reasons::Reason;
use llmplane::db::{
    DeclaredCredential, DeclaredEndpoint, DeclaredModel, DeclaredModelClass, DeclaredProvider,
    NewVersion, ObjectColumns, SealedVersion, StoredCheck,
};
use llmplane::vendors::CheckResult;
use uuid::Uuid;

fn creation() -> Timestamp {
    "2026-03-04T05:06:07Z".parse().unwrap()
}

fn ready() -> Vec<Condition> {
    vec![Condition {
        type_: "Ready".to_owned(),
        status: "True".to_owned(),
        reason: "Reconciled".to_owned(),
        message: "stored".to_owned(),
        last_transition_time: Time(creation()),
        observed_generation: Some(1),
    }]
}

/// What all kinds share.
fn object(name: &str) -> ObjectColumns {
    ObjectColumns {
        uid: Uuid::new_v4(),
        namespace: "team".to_owned(),
        name: name.to_owned(),
        generation: 1,
        enabled: true,
        is_active: true,
        conditions: ready(),
        verified_generation: None,
        verified_with: vec!["inputs".to_owned()],
        last_handled_reconcile_at: None,
        created_at: creation(),
        declaration: Declaration::default(),
    }
}

pub fn provider(name: &str) -> DeclaredProvider {
    DeclaredProvider {
        object: ObjectColumns {
            verified_generation: Some(1),
            last_handled_reconcile_at: Some("now".to_owned()),
            ..object(name)
        },
        type_: ProviderType::OpenAI,
        display_name: Some("Ünïcode".to_owned()),
        description: None,
        default_endpoint: Some("main".to_owned()),
        model_sync: ModelSync {
            include: vec!["gpt-*".to_owned()],
            ..ModelSync::default()
        },
    }
}

pub fn endpoint(provider_uid: Uuid, name: &str) -> DeclaredEndpoint {
    DeclaredEndpoint {
        object: object(name),
        provider_uid,
        display_name: None,
        base_url: BaseUrl::new("https://api.openai.com/v1"),
        api_version: None,
        region: Some("eu".to_owned()),
        timeout_connect: 5,
        timeout_read: 60,
        retry_count: 2,
        retry_interval_ms: 500,
        headers: vec![Header {
            name: "X-Team".to_owned(),
            value: "a".to_owned(),
        }],
        priority: 100,
        is_default: true,
        ca_bundle: None,
        check_inputs: "inputs".to_owned(),
        health_check: HealthCheck::default(),
    }
}

pub fn credential(provider_uid: Uuid, name: &str) -> DeclaredCredential {
    DeclaredCredential {
        object: object(name),
        provider_uid,
        endpoint_uids: vec![Uuid::new_v4()],
        alias: Some("main key".to_owned()),
        description: None,
        expires_at: Some("2030-01-01T00:00:00Z".parse().unwrap()),
        quota_limit: Some(10),
        quota_unit: Some(QuotaUnit::Requests),
        quota_period: Some(QuotaPeriod::Day),
        priority: 100,
        grace_seconds: 3600,
        validation: Validation::default(),
        secret_name: "key".to_owned(),
        secret_uid: None,
        secret_resource_version: None,
        masked_key: Some("sk-…1234".to_owned()),
        fingerprint: Some("f1".to_owned()),
        version: Some(1),
        federation: None,
        newest_version: 1,
    }
}

pub fn model(provider_uid: Uuid, name: &str) -> DeclaredModel {
    DeclaredModel {
        object: object(name),
        provider_uid,
        endpoint_uids: Vec::new(),
        model_id: format!("vendor/{name}"),
        base_model: Some("base".to_owned()),
        display_name: None,
        version: None,
        type_: Some(ModelType::Chat),
        context_window: Some(128_000),
        max_input_tokens: None,
        max_output_tokens: Some(16_384),
        currency: Some("USD".to_owned()),
        input_price: Some("0.0025".to_owned()),
        output_price: Some("0.01".to_owned()),
        embedding_dimensions: Some(1024),
        input_modalities: vec![Modality::Text, Modality::Image],
        output_modalities: vec![Modality::Text],
        cache_read_price: Some("0.00025".to_owned()),
        cache_write_price: Some("0.003".to_owned()),
        reasoning_price: Some("0.011".to_owned()),
        audio_input_price: Some("0.04".to_owned()),
        audio_output_price: Some("0.08".to_owned()),
        batch_input_price: Some("0.00125".to_owned()),
        batch_output_price: Some("0.005".to_owned()),
        image_price: Some("0.04".to_owned()),
        request_price: Some("0.001".to_owned()),
        price_tiers: vec![PriceTier {
            from_input_tokens: 200_001,
            input_per1k_tokens: Some("0.005".to_owned()),
            output_per1k_tokens: Some("0.02".to_owned()),
            ..PriceTier::default()
        }],
        limits: vec![ModelLimit {
            unit: LimitUnit::Requests,
            limit: 500,
            period: Some(QuotaPeriod::Minute),
        }],
        capabilities: vec![ModelCapability {
            name: Capability::Chat,
            score: Some(5),
        }],
        recommended_for: vec!["summaries".to_owned()],
        default_parameters: serde_json::json!({ "temperature": 0.2 })
            .as_object()
            .cloned(),
        lifecycle: Lifecycle::Available,
        deprecated_at: Some("2029-01-01T00:00:00Z".parse().unwrap()),
        retires_at: Some("2030-01-01T00:00:00Z".parse().unwrap()),
        replacement_model_id: Some("next".to_owned()),
        origin: [("contextWindow".to_owned(), Origin::Catalog)].into(),
        labels: [("stage".to_owned(), "test".to_owned())].into(),
        shown_labels: [("app.kubernetes.io/part-of".to_owned(), "test".to_owned())].into(),
        availability_test: AvailabilityTest::default(),
    }
}

/// A class of these models, which means the first of them.
pub fn class(name: &str, models: &[&str]) -> DeclaredModelClass {
    DeclaredModelClass {
        object: object(name),
        display_name: Some("Smart".to_owned()),
        description: None,
        models: models.iter().map(|name| (*name).to_owned()).collect(),
        need: None,
        prefer: Preferred::Order,
        allow_deprecated: false,
        current: models.first().map(|model| CurrentModel {
            model: (*model).to_owned(),
            endpoint: "main".to_owned(),
        }),
        candidates: i32::try_from(models.len()).unwrap(),
    }
}

pub fn key_version(credential_uid: Uuid, version: i32, state: VersionState) -> NewVersion {
    NewVersion {
        sealed: SealedVersion {
            credential_uid,
            version,
            kek_id: "0011223344556677".to_owned(),
            wrapped_key: vec![1, 2, 3],
            payload: vec![4, 5, 6],
        },
        state,
        fingerprint: format!("f{version}"),
        masked_key: "sk-…1234".to_owned(),
        provider_type: ProviderType::OpenAI,
        allowed_hosts: vec!["gateway.example".to_owned()],
        field_fingerprints: vec![format!("field-f{version}")],
        ends: None,
        exchanged_with: None,
    }
}

pub fn verdict(reason: Reason, message: &str) -> StoredCheck {
    let answered = CheckResult {
        http_status: Some(200),
        request_id: Some("req-1".to_owned()),
        ..CheckResult::new(reason, message)
    };
    answered.verdict(1, "inputs".to_owned(), creation())
}
