//! What the proof of a credential depends on. Pure.

use uuid::Uuid;

use super::{dereference::CredentialInputs, validate::ValidatedCredential};
use crate::{
    crd::{
        credential::{LlmCredentialSpec, SecretKeys},
        federation::Federation,
    },
    db::CredentialRow,
};

/// Where its key is checked, and which Secret holds it. How often it is checked and how long that
/// may take is not part of it.
#[derive(Debug, PartialEq)]
struct ValidationInputs<'a> {
    provider_uid: Uuid,
    endpoint_uids: &'a [Uuid],
    secret: &'a str,
    federation: Option<&'a Federation>,
}

/// Whether a proof of what is stored is one of what is declared: at the same endpoints and, where
/// the Secret was read, of the same key, whatever its entries are called.
pub fn still_holds(
    row: &CredentialRow,
    input: &CredentialInputs,
    desired: &ValidatedCredential,
) -> bool {
    let stored = ValidationInputs {
        provider_uid: row.provider_uid,
        endpoint_uids: &row.endpoint_uids,
        secret: &row.secret_name,
        federation: row.federation.as_ref(),
    };
    let same_key = match input.holding() {
        Some(holding) => row.fingerprint.as_ref() == Some(&holding.fingerprint),
        None => true,
    };
    same_key && stored == declared(&input.object.spec, desired).0
}

/// Every field is named here, so that a new one is sorted into what a check depends on or not. The
/// names of the Secret's entries say which key it is; a row keeps its fingerprint instead.
fn declared<'a>(
    spec: &'a LlmCredentialSpec,
    desired: &'a ValidatedCredential,
) -> (ValidationInputs<'a>, Option<&'a SecretKeys>) {
    let LlmCredentialSpec {
        provider_ref: _,
        endpoint_refs: _,
        secret_ref,
        federation,
        alias: _,
        description: _,
        enabled: _,
        expires_at: _,
        quota: _,
        priority: _,
        rotation: _,
        validation: _,
    } = spec;
    let inputs = ValidationInputs {
        provider_uid: desired.provider_uid,
        endpoint_uids: &desired.endpoint_uids,
        secret: secret_ref.as_ref().map_or("", |secret| &secret.name),
        federation: federation.as_ref(),
    };
    (inputs, secret_ref.as_ref().map(|secret| &secret.keys))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        controller::kinds::proof_table::{Table, uid},
        crd::ProviderType,
    };

    #[test]
    fn every_field_is_one_that_a_check_depends_on_or_not() {
        let base = json!({ "providerRef": { "name": "p" }, "secretRef": { "name": "s" } });
        let inputs = |spec: &LlmCredentialSpec| {
            let desired = ValidatedCredential {
                provider_uid: uid(&spec.provider_ref.name),
                provider_type: ProviderType::OpenAI,
                endpoint_uids: spec.endpoint_refs.iter().map(|r| uid(&r.name)).collect(),
                on: true,
            };
            format!("{:?}", declared(spec, &desired))
        };
        let table = Table::of::<crate::crd::LlmCredential, _>(base, inputs);
        table.depends_on(&[
            ("providerRef", json!({ "name": "q" })),
            ("endpointRefs", json!([{ "name": "e" }])),
            ("secretRef", json!({ "name": "t" })),
            (
                "secretRef",
                json!({ "name": "s", "keys": { "apiKey": "other" } }),
            ),
        ]);
        table.depends_on(&[(
            "federation",
            json!({
                "serviceAccountRef": { "name": "llm" }, "audience": "a",
                "openRouter": { "federationPolicyId": "p" },
            }),
        )]);
        table.ignores(&[
            ("alias", json!("A")),
            ("description", json!("A")),
            ("enabled", json!(false)),
            ("expiresAt", json!("2030-01-01T00:00:00Z")),
            (
                "quota",
                json!({ "limit": 7, "unit": "Requests", "period": "Day" }),
            ),
            ("priority", json!(7)),
            ("rotation", json!({ "graceSeconds": 7 })),
            ("validation", json!({ "enabled": false })),
            ("validation", json!({ "periodSeconds": 77 })),
            ("validation", json!({ "timeoutSeconds": 7 })),
        ]);
        table.is_complete();
    }
}
