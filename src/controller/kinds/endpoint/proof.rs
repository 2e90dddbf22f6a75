//! What the proof of an endpoint depends on. Pure.

use uuid::Uuid;

use super::validate::ValidatedEndpoint;
use crate::{
    crd::endpoint::{Header, HealthCheck, LlmEndpointSpec},
    db::EndpointRow,
};

/// What its probes are made with. How often they are made, how long they may take and how many
/// count is not part of it.
#[derive(Debug, PartialEq)]
struct ProbeInputs<'a> {
    provider_uid: Uuid,
    base_url: &'a str,
    api_version: Option<&'a str>,
    region: Option<&'a str>,
    headers: &'a [Header],
    ca_bundle: Option<&'a str>,
    credential: Option<&'a str>,
}

/// Whether a proof of what is stored is one of what is declared.
pub fn still_holds(row: &EndpointRow, spec: &LlmEndpointSpec, desired: &ValidatedEndpoint) -> bool {
    stored(row) == declared(spec, desired)
}

/// Every field is named here, so that a new one is sorted into what a probe depends on or not.
fn declared<'a>(spec: &'a LlmEndpointSpec, desired: &'a ValidatedEndpoint) -> ProbeInputs<'a> {
    let LlmEndpointSpec {
        provider_ref: _,
        base_url: _,
        api_version,
        region,
        headers,
        ca_bundle,
        health_check,
        display_name: _,
        connect_timeout_seconds: _,
        read_timeout_seconds: _,
        retry: _,
        priority: _,
        enabled: _,
    } = spec;
    let HealthCheck {
        credential_ref,
        enabled: _,
        period_seconds: _,
        timeout_seconds: _,
        failure_threshold: _,
        success_threshold: _,
    } = health_check;
    ProbeInputs {
        provider_uid: desired.provider_uid,
        base_url: &desired.base_url,
        api_version: api_version.as_deref(),
        region: region.as_deref(),
        headers,
        ca_bundle: ca_bundle.as_deref(),
        credential: credential_ref.as_ref().map(|r| r.name.as_str()),
    }
}

fn stored(row: &EndpointRow) -> ProbeInputs<'_> {
    let credential = row.health_check.credential_ref.as_ref();
    ProbeInputs {
        provider_uid: row.provider_uid,
        base_url: &row.base_url,
        api_version: row.api_version.as_deref(),
        region: row.region.as_deref(),
        headers: &row.headers,
        ca_bundle: row.ca_bundle.as_deref(),
        credential: credential.map(|r| r.name.as_str()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::controller::kinds::proof_table::{Table, uid};
    use crate::crd::base_url::BaseUrl;

    #[test]
    fn every_field_is_one_that_a_probe_depends_on_or_not() {
        let base = json!({ "providerRef": { "name": "p" }, "baseUrl": "https://a.example" });
        let inputs = |spec: &LlmEndpointSpec| {
            let desired = ValidatedEndpoint {
                provider_uid: uid(&spec.provider_ref.name),
                base_url: BaseUrl::new(spec.base_url.clone().unwrap_or_default()),
                check_inputs: String::new(),
                is_default: false,
                on: true,
            };
            format!("{:?}", declared(spec, &desired))
        };
        let table = Table::of::<crate::crd::LlmEndpoint, LlmEndpointSpec>(base, inputs);
        table.depends_on(&[
            ("providerRef", json!({ "name": "q" })),
            ("baseUrl", json!("https://b.example")),
            ("apiVersion", json!("v2")),
            ("region", json!("eu")),
            ("headers", json!([{ "name": "X-Team", "value": "a" }])),
            ("caBundle", json!("pem")),
            ("healthCheck", json!({ "credentialRef": { "name": "c" } })),
        ]);
        table.ignores(&[
            ("displayName", json!("E")),
            ("connectTimeoutSeconds", json!(7)),
            ("readTimeoutSeconds", json!(7)),
            ("retry", json!({ "count": 7 })),
            ("priority", json!(7)),
            ("enabled", json!(false)),
            ("healthCheck", json!({ "enabled": false })),
            ("healthCheck", json!({ "periodSeconds": 7 })),
            ("healthCheck", json!({ "timeoutSeconds": 7 })),
            ("healthCheck", json!({ "failureThreshold": 7 })),
            ("healthCheck", json!({ "successThreshold": 7 })),
        ]);
        table.is_complete();
    }
}
