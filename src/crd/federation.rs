//! `LlmCredential.spec.federation`: no key at all. The vendor exchanges a token of a ServiceAccount for a
//! short-lived one of its own.

use std::collections::BTreeMap;

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::rules;
use super::{ProviderType, common::LocalRef};

/// The scope that Azure OpenAI's clients ask for.
const ENTRA_SCOPE: &str = "https://cognitiveservices.azure.com/.default";
/// Where a Google provider's full name begins.
const GOOGLE_PREFIX: &str = "//iam.googleapis.com/";

/// A ServiceAccount whose tokens a vendor exchanges for its own, and the vendor's ids of that agreement.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Federation {
    /// The ServiceAccount, in this namespace, that the vendor knows by its tokens' subject.
    pub service_account_ref: LocalRef,
    /// Audience of the tokens, as the vendor is told to expect it. Not the cluster's issuer, the controller's own or the API's.
    #[schemars(length(min = 1, max = 255))]
    #[x_kube(validation = rules::AUDIENCE)]
    pub audience: String,
    /// Seconds that a token of the ServiceAccount lives before it is exchanged.
    #[serde(default = "Federation::default_expiration")]
    #[schemars(range(min = 600, max = 3600))]
    pub expiration_seconds: i32,
    /// Exchange at OpenAI, for a provider of type `OpenAI`.
    #[serde(rename = "openAI", default, skip_serializing_if = "Option::is_none")]
    pub open_ai: Option<OpenAiFederation>,
    /// Exchange at Anthropic, for a provider of type `Anthropic`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anthropic: Option<AnthropicFederation>,
    /// Exchange at AWS STS, for a provider of type `Bedrock`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aws: Option<AwsFederation>,
    /// Exchange at Microsoft Entra, for a provider of type `AzureOpenAI`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entra: Option<EntraFederation>,
    /// Exchange at Google, for a provider of type `OpenAICompatible` at Vertex AI.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub google: Option<GoogleFederation>,
    /// Exchange at OpenRouter, for a provider of type `OpenAICompatible`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_router: Option<OpenRouterFederation>,
}

impl Federation {
    fn default_expiration() -> i32 {
        3600
    }
}

/// Ids of an agreement with OpenAI.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct OpenAiFederation {
    /// The workload identity provider, for example `idp_abc123`.
    #[schemars(length(max = 128))]
    #[x_kube(validation = rules::VENDOR_ID)]
    pub identity_provider_id: String,
    /// The service account that the token acts as, for example `svc_acct_abc123`.
    #[schemars(length(max = 128))]
    #[x_kube(validation = rules::VENDOR_ID)]
    pub service_account_id: String,
}

/// Ids of an agreement with Anthropic.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct AnthropicFederation {
    /// The federation rule, `fdrl_...`.
    #[schemars(length(max = 128))]
    #[x_kube(validation = rules::ANTHROPIC_RULE)]
    pub federation_rule_id: String,
    /// The organization, a UUID.
    #[schemars(length(max = 36))]
    #[x_kube(validation = rules::UUID)]
    pub organization_id: String,
    /// The service account that the token acts as, `svac_...`.
    #[schemars(length(max = 128))]
    #[x_kube(validation = rules::ANTHROPIC_ACCOUNT)]
    pub service_account_id: String,
    /// The workspace, `wrkspc_...` or `default`: needed where the rule covers several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    #[x_kube(validation = rules::ANTHROPIC_WORKSPACE)]
    pub workspace_id: Option<String>,
}

/// Ids of an agreement with AWS.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct AwsFederation {
    /// The role that is assumed.
    #[schemars(length(max = 2048))]
    #[x_kube(validation = rules::AWS_ROLE_ARN)]
    pub role_arn: String,
    /// Name of the session in CloudTrail; namespace and name of the credential without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 64))]
    #[x_kube(validation = rules::AWS_SESSION)]
    pub session_name: Option<String>,
}

/// Ids of an agreement with Microsoft Entra.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct EntraFederation {
    /// The tenant, its id or a domain of it.
    #[schemars(length(max = 253))]
    #[x_kube(validation = rules::ENTRA_TENANT)]
    pub tenant_id: String,
    /// The application, or the user-assigned identity, that has the federated credential.
    #[schemars(length(max = 36))]
    #[x_kube(validation = rules::UUID)]
    pub client_id: String,
    /// What the token is for; Foundry's projects take `https://ai.azure.com/.default`.
    #[serde(default = "EntraFederation::default_scope")]
    #[schemars(length(max = 255))]
    #[x_kube(validation = rules::ENTRA_SCOPE)]
    pub scope: String,
}

impl EntraFederation {
    fn default_scope() -> String {
        ENTRA_SCOPE.to_owned()
    }
}

/// Ids of an agreement with Google.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct GoogleFederation {
    /// Resource name of the pool's provider:
    /// `projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER`.
    #[schemars(length(max = 300))]
    #[x_kube(validation = rules::GOOGLE_PROVIDER)]
    pub provider: String,
    /// The service account that is impersonated; without it the federated token itself is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    #[x_kube(validation = rules::GOOGLE_ACCOUNT)]
    pub service_account_email: Option<String>,
}

impl GoogleFederation {
    /// The provider's full name, as the exchange takes it.
    pub fn full_name(&self) -> String {
        let name = self.provider.strip_prefix(GOOGLE_PREFIX);
        format!("{GOOGLE_PREFIX}{}", name.unwrap_or(&self.provider))
    }
}

/// Ids of an agreement with OpenRouter.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct OpenRouterFederation {
    /// The federation policy.
    #[schemars(length(max = 128))]
    #[x_kube(validation = rules::VENDOR_ID)]
    pub federation_policy_id: String,
}

/// Who exchanges the tokens, with its ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exchanger<'a> {
    OpenAi(&'a OpenAiFederation),
    Anthropic(&'a AnthropicFederation),
    Aws(&'a AwsFederation),
    Entra(&'a EntraFederation),
    Google(&'a GoogleFederation),
    OpenRouter(&'a OpenRouterFederation),
}

/// The names of [`Exchanger`]s in `spec.federation`.
pub const EXCHANGERS: [&str; 6] = [
    "openAI",
    "anthropic",
    "aws",
    "entra",
    "google",
    "openRouter",
];

impl Federation {
    /// Who exchanges the tokens; `None` where it is not exactly one, which the schema refuses.
    pub fn exchanger(&self) -> Option<Exchanger<'_>> {
        let all = [
            self.open_ai.as_ref().map(Exchanger::OpenAi),
            self.anthropic.as_ref().map(Exchanger::Anthropic),
            self.aws.as_ref().map(Exchanger::Aws),
            self.entra.as_ref().map(Exchanger::Entra),
            self.google.as_ref().map(Exchanger::Google),
            self.open_router.as_ref().map(Exchanger::OpenRouter),
        ];
        let mut named = all.into_iter().flatten();
        let first = named.next();
        first.filter(|_| named.next().is_none())
    }

    /// Why it cannot be put in force for a provider of this type, in the words of a spec.
    pub fn misfit(&self, provider: ProviderType) -> Option<String> {
        self.misfit_told(provider, str::to_owned)
    }

    /// The same; `told` says what a place of the spec, such as `spec.federation.openAI`, is called.
    pub fn misfit_told(
        &self,
        provider: ProviderType,
        told: impl Fn(&str) -> String,
    ) -> Option<String> {
        let place = |field: &str| told(&format!("spec.federation.{field}"));
        let Some(exchanger) = self.exchanger() else {
            return Some(format!(
                "{} names not exactly one of its vendors; write one of {}",
                told("spec.federation"),
                EXCHANGERS.map(place).join(", ")
            ));
        };
        if exchanger.provider_type() == provider {
            return None;
        }
        let field = exchanger.field();
        let fitting = EXCHANGERS_BY_TYPE
            .iter()
            .filter(|(type_, _)| *type_ == provider);
        let fitting: Vec<String> = fitting.map(|(_, field)| place(field)).collect();
        let why = format!(
            "{} is for providers of type {}, and this one's is {provider}",
            place(field),
            exchanger.provider_type()
        );
        Some(match fitting.is_empty() {
            true => format!(
                "{why}, which takes no token in place of a key; name a Secret in {}",
                told("spec.secretRef.name")
            ),
            false => format!("{why}; write {}", fitting.join(" or ")),
        })
    }
}

/// Which exchanges a provider type has.
pub const EXCHANGERS_BY_TYPE: [(ProviderType, &str); 6] = [
    (ProviderType::OpenAI, EXCHANGERS[0]),
    (ProviderType::Anthropic, EXCHANGERS[1]),
    (ProviderType::Bedrock, EXCHANGERS[2]),
    (ProviderType::AzureOpenAI, EXCHANGERS[3]),
    (ProviderType::OpenAICompatible, EXCHANGERS[4]),
    (ProviderType::OpenAICompatible, EXCHANGERS[5]),
];

impl Exchanger<'_> {
    /// Its name in `spec.federation`.
    pub fn field(&self) -> &'static str {
        EXCHANGERS[self.place()]
    }

    /// The type of the providers that it is for.
    pub fn provider_type(&self) -> ProviderType {
        EXCHANGERS_BY_TYPE[self.place()].0
    }

    /// The vendor's name.
    pub fn vendor(&self) -> &'static str {
        [
            "OpenAI",
            "Anthropic",
            "AWS STS",
            "Microsoft Entra",
            "Google STS",
            "OpenRouter",
        ][self.place()]
    }

    /// Which protocol the exchange speaks.
    pub fn method(&self) -> &'static str {
        match self {
            Self::OpenAi(_) | Self::Google(_) | Self::OpenRouter(_) => "token_exchange",
            Self::Anthropic(_) => "jwt_bearer",
            Self::Aws(_) => "assume_role_with_web_identity",
            Self::Entra(_) => "client_assertion",
        }
    }

    /// Whether the vendor can do without reaching the cluster: its signing keys can be uploaded.
    pub fn takes_uploaded_keys(&self) -> bool {
        matches!(self, Self::OpenAi(_) | Self::Anthropic(_) | Self::Google(_))
    }

    /// The vendor's ids, by the vendor's own names of them; none of them is secret.
    pub fn ids(&self) -> BTreeMap<&'static str, String> {
        let ids: Vec<(&'static str, Option<&String>)> = match self {
            Self::OpenAi(ids) => vec![
                ("identity_provider_id", Some(&ids.identity_provider_id)),
                ("service_account_id", Some(&ids.service_account_id)),
            ],
            Self::Anthropic(ids) => vec![
                ("federation_rule_id", Some(&ids.federation_rule_id)),
                ("organization_id", Some(&ids.organization_id)),
                ("service_account_id", Some(&ids.service_account_id)),
                ("workspace_id", ids.workspace_id.as_ref()),
            ],
            Self::Aws(ids) => vec![
                ("role_arn", Some(&ids.role_arn)),
                ("session_name", ids.session_name.as_ref()),
            ],
            Self::Entra(ids) => vec![
                ("tenant_id", Some(&ids.tenant_id)),
                ("client_id", Some(&ids.client_id)),
                ("scope", Some(&ids.scope)),
            ],
            Self::Google(ids) => vec![
                ("provider", Some(&ids.provider)),
                ("service_account_email", ids.service_account_email.as_ref()),
            ],
            Self::OpenRouter(ids) => {
                vec![("federation_policy_id", Some(&ids.federation_policy_id))]
            }
        };
        let said = ids
            .into_iter()
            .filter_map(|(name, id)| Some((name, id?.clone())));
        said.collect()
    }

    fn place(&self) -> usize {
        match self {
            Self::OpenAi(_) => 0,
            Self::Anthropic(_) => 1,
            Self::Aws(_) => 2,
            Self::Entra(_) => 3,
            Self::Google(_) => 4,
            Self::OpenRouter(_) => 5,
        }
    }
}

/// What the last exchange that worked was made with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExchangeStatus {
    /// Issuer of the ServiceAccount's token.
    pub issuer: String,
    /// Its subject.
    pub subject: String,
    /// Its audience.
    pub audience: String,
    /// Id of the key that the cluster signed it with: `kid`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_id: Option<String>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn federation(vendor: &str, ids: serde_json::Value) -> Federation {
        let mut spec = json!({ "serviceAccountRef": { "name": "llm" }, "audience": "a" });
        spec[vendor] = ids;
        serde_json::from_value(spec).unwrap()
    }

    #[test]
    fn an_exchange_fits_its_vendors_type_alone() {
        let open_ai = json!({ "identityProviderId": "idp_1", "serviceAccountId": "svc_1" });
        let one = federation("openAI", open_ai);
        assert_eq!(one.misfit(ProviderType::OpenAI), None);
        let why = one.misfit(ProviderType::Anthropic).unwrap();
        assert!(why.ends_with("write spec.federation.anthropic"), "{why}");
        let why = one.misfit(ProviderType::OpenAICompatible).unwrap();
        assert!(
            why.ends_with("google or spec.federation.openRouter"),
            "{why}"
        );
        let why = one.misfit(ProviderType::Gemini).unwrap();
        assert!(
            why.ends_with("name a Secret in spec.secretRef.name"),
            "{why}"
        );
        assert_eq!(one.expiration_seconds, 3600);
        let none: Federation = serde_json::from_value(
            json!({ "serviceAccountRef": { "name": "llm" }, "audience": "a" }),
        )
        .unwrap();
        assert!(
            none.misfit(ProviderType::OpenAI)
                .unwrap()
                .contains("exactly one")
        );
    }

    #[test]
    fn ids_have_their_vendors_names_and_absent_ones_are_left_out() {
        let aws = federation(
            "aws",
            json!({ "roleArn": "arn:aws:iam::123456789012:role/llm" }),
        );
        let ids = aws.exchanger().unwrap().ids();
        assert_eq!(ids.keys().copied().collect::<Vec<_>>(), ["role_arn"]);
        let entra = federation("entra", json!({ "tenantId": "t", "clientId": "c" }));
        assert_eq!(entra.exchanger().unwrap().ids()["scope"], ENTRA_SCOPE);
    }

    #[test]
    fn the_audiences_that_entra_takes_are_those_of_the_rule() {
        let named = rules::ENTRA_AUDIENCE.matches("'api://").count();
        assert_eq!(named, rules::ENTRA_AUDIENCES.len());
        for audience in rules::ENTRA_AUDIENCES {
            assert!(rules::ENTRA_AUDIENCE.contains(&format!("'{audience}'")));
        }
    }

    #[test]
    fn a_google_provider_has_one_full_name() {
        let name = "projects/1/locations/global/workloadIdentityPools/p/providers/q";
        for written in [name.to_owned(), format!("//iam.googleapis.com/{name}")] {
            let google = GoogleFederation {
                provider: written,
                service_account_email: None,
            };
            assert_eq!(google.full_name(), format!("//iam.googleapis.com/{name}"));
        }
    }
}
