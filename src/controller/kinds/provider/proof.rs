//! What the proof of a provider depends on. Pure.

use crate::{
    crd::{
        ProviderType,
        provider::{LlmProviderSpec, ModelSync},
    },
    db::ProviderRow,
};

/// What its sync is made with. How often lists are read and how long that may take is not part of it.
#[derive(Debug, PartialEq)]
struct SyncInputs<'a> {
    type_: ProviderType,
    enabled: bool,
    include: &'a [String],
    exclude: &'a [String],
}

/// Whether a proof of what is stored is one of what is declared.
pub fn still_holds(row: &ProviderRow, spec: &LlmProviderSpec) -> bool {
    sync(row.type_, &row.model_sync) == declared(spec)
}

/// Every field is named here, so that a new one is sorted into what a sync depends on or not.
fn declared(spec: &LlmProviderSpec) -> SyncInputs<'_> {
    let LlmProviderSpec {
        type_,
        model_sync,
        display_name: _,
        description: _,
        enabled: _,
        default_endpoint_ref: _,
    } = spec;
    sync(*type_, model_sync)
}

fn sync(type_: ProviderType, model_sync: &ModelSync) -> SyncInputs<'_> {
    let ModelSync {
        enabled,
        include,
        exclude,
        period_seconds: _,
        timeout_seconds: _,
    } = model_sync;
    SyncInputs {
        type_,
        enabled: *enabled,
        include,
        exclude,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::controller::kinds::proof_table::Table;

    #[test]
    fn every_field_is_one_that_a_sync_depends_on_or_not() {
        let inputs = |spec: &LlmProviderSpec| format!("{:?}", declared(spec));
        let table = Table::of::<crate::crd::LlmProvider, _>(json!({ "type": "OpenAI" }), inputs);
        table.depends_on(&[
            ("type", json!("Anthropic")),
            ("modelSync", json!({ "enabled": true })),
            ("modelSync", json!({ "include": ["a"] })),
            ("modelSync", json!({ "exclude": ["a"] })),
        ]);
        table.ignores(&[
            ("displayName", json!("P")),
            ("description", json!("P")),
            ("enabled", json!(false)),
            ("defaultEndpointRef", json!({ "name": "e" })),
            ("modelSync", json!({ "periodSeconds": 77 })),
            ("modelSync", json!({ "timeoutSeconds": 7 })),
        ]);
        table.is_complete();
    }
}
