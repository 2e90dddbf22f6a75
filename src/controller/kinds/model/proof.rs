//! What the proof of a model depends on. Pure.

use uuid::Uuid;

use super::validate::ValidatedModel;
use crate::{
    crd::model::{AvailabilityTest, LlmModelSpec, ModelType},
    db::ModelRow,
};

/// What is looked for in the vendor's lists and asked by tests. How often it is tested and how long
/// that may take is not part of it.
#[derive(Debug, PartialEq)]
struct TestInputs<'a> {
    provider_uid: Uuid,
    endpoint_uids: &'a [Uuid],
    model_id: &'a str,
    type_: Option<ModelType>,
    tested: bool,
}

/// Whether a proof of what is stored is one of what is declared.
pub fn still_holds(row: &ModelRow, spec: &LlmModelSpec, desired: &ValidatedModel) -> bool {
    let stored = TestInputs {
        provider_uid: row.provider_uid,
        endpoint_uids: &row.endpoint_uids,
        model_id: &row.model_id,
        type_: row.type_,
        tested: row.availability_test.enabled,
    };
    stored == declared(spec, desired)
}

/// Every field is named here, so that a new one is sorted into what a check depends on or not. The
/// type is the effective one: it may be the vendor's word or the catalog's.
fn declared<'a>(spec: &'a LlmModelSpec, desired: &'a ValidatedModel) -> TestInputs<'a> {
    let LlmModelSpec {
        provider_ref: _,
        endpoint_refs: _,
        model_id,
        type_: _,
        availability_test:
            AvailabilityTest {
                enabled: tested,
                period_seconds: _,
                timeout_seconds: _,
            },
        base_model: _,
        display_name: _,
        version: _,
        enabled: _,
        context_window: _,
        max_input_tokens: _,
        max_output_tokens: _,
        embedding_dimensions: _,
        modalities: _,
        pricing: _,
        limits: _,
        lifecycle: _,
        deprecated_at: _,
        retires_at: _,
        replacement: _,
        capabilities: _,
        recommended_for: _,
        default_parameters: _,
    } = spec;
    TestInputs {
        provider_uid: desired.provider_uid,
        endpoint_uids: &desired.endpoint_uids,
        model_id,
        type_: desired.effective.type_,
        tested: *tested,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        controller::kinds::proof_table::{Table, uid},
        crd::model::EffectiveModel,
    };

    #[test]
    fn every_field_is_one_that_a_check_depends_on_or_not() {
        let base = json!({ "providerRef": { "name": "p" }, "modelId": "m" });
        let inputs = |spec: &LlmModelSpec| {
            let desired = ValidatedModel {
                provider_uid: uid(&spec.provider_ref.name),
                endpoint_uids: spec.endpoint_refs.iter().map(|r| uid(&r.name)).collect(),
                effective: EffectiveModel {
                    type_: spec.type_,
                    ..EffectiveModel::default()
                },
                on: true,
            };
            format!("{:?}", declared(spec, &desired))
        };
        let table = Table::of::<crate::crd::LlmModel, _>(base, inputs);
        table.depends_on(&[
            ("providerRef", json!({ "name": "q" })),
            ("endpointRefs", json!([{ "name": "e" }])),
            ("modelId", json!("n")),
            ("type", json!("Embedding")),
            ("availabilityTest", json!({ "enabled": true })),
        ]);
        table.ignores(&[
            ("displayName", json!("M")),
            ("version", json!("2")),
            ("enabled", json!(false)),
            ("contextWindow", json!(7)),
            ("maxInputTokens", json!(7)),
            ("maxOutputTokens", json!(7)),
            ("baseModel", json!("b")),
            ("embeddingDimensions", json!(7)),
            ("modalities", json!({ "input": ["Text"] })),
            ("pricing", json!({ "currency": "EUR" })),
            (
                "limits",
                json!([{ "unit": "Requests", "limit": 7, "period": "Day" }]),
            ),
            ("lifecycle", json!("Deprecated")),
            ("deprecatedAt", json!("2027-01-01T00:00:00Z")),
            ("retiresAt", json!("2027-01-01T00:00:00Z")),
            ("replacement", json!({ "modelId": "n" })),
            ("capabilities", json!([{ "name": "Chat" }])),
            ("recommendedFor", json!(["a"])),
            ("defaultParameters", json!({ "a": 1 })),
            ("availabilityTest", json!({ "periodSeconds": 77 })),
            ("availabilityTest", json!({ "timeoutSeconds": 7 })),
        ]);
        table.is_complete();
    }
}
