//! `llmplane federation show`: what to configure at a vendor that exchanges tokens.

use std::fmt::Write as _;
use std::io::Write as _;

use anyhow::{Context, bail};
use http::Request;
use kube::{Api, Client};
use serde_json::Value;

use crate::config::cluster::KubectlArgs;
use crate::crd::LlmCredential;
use crate::crd::federation::{ExchangeStatus, Exchanger, Federation};
use crate::output::{printable, stdout};

/// Credentials without a key: what their vendors have to know.
#[derive(Debug, clap::Subcommand)]
pub enum FederationCommand {
    /// Print what to configure at the vendor: issuer, subject, audience, and the keys to upload
    Show(ShowCommand),
}

/// Which credential.
#[derive(Debug, clap::Args)]
pub struct ShowCommand {
    /// The LlmCredential
    name: String,
    /// Its namespace; without it the kubeconfig's
    #[arg(long, short)]
    namespace: Option<String>,
    /// Print the cluster's signing keys alone, as a JSON Web Key Set to upload
    #[arg(long)]
    jwks: bool,
    #[command(flatten)]
    cluster: KubectlArgs,
}

/// The cluster's own documents, which vendors fetch where they can reach it.
struct Discovery {
    issuer: String,
    jwks: Value,
}

impl FederationCommand {
    /// Reads the cluster and prints.
    ///
    /// # Errors
    /// Where there is no such credential, or the cluster's documents may not be read.
    pub async fn run(&self) -> anyhow::Result<()> {
        match self {
            Self::Show(show) => show.run().await,
        }
    }
}

impl ShowCommand {
    async fn run(&self) -> anyhow::Result<()> {
        let config = self.cluster.config().await?;
        let namespace = self.namespace.clone();
        let namespace = namespace.unwrap_or_else(|| config.default_namespace.clone());
        let client = Client::try_from(config).context("the cluster cannot be reached")?;
        let api: Api<LlmCredential> = Api::namespaced(client.clone(), &namespace);
        let name = &self.name;
        let credential = api
            .get_opt(name)
            .await
            .with_context(|| format!("LlmCredential {name} cannot be read"))?
            .with_context(|| format!("there is no LlmCredential {name} in {namespace}"))?;
        let Some(federation) = &credential.spec.federation else {
            bail!("LlmCredential {name} has a key in a Secret; there is nothing to exchange");
        };
        let Some(exchanger) = federation.exchanger() else {
            bail!("spec.federation of LlmCredential {name} names not exactly one vendor");
        };
        let discovery = discovery(&client).await?;
        let text = match self.jwks {
            true => serde_json::to_string_pretty(&discovery.jwks)? + "\n",
            false => {
                let last = credential.status.as_ref().and_then(|s| s.exchange.as_ref());
                let subject = (namespace.as_str(), name.as_str());
                told(subject, (federation, exchanger), &discovery, last)?
            }
        };
        stdout().write_all(text.as_bytes())?;
        Ok(())
    }
}

async fn discovery(client: &Client) -> anyhow::Result<Discovery> {
    const RIGHT: &str = "the cluster's discovery documents cannot be read; the ClusterRole \
                         system:service-account-issuer-discovery gives the right to";
    let get = async |path: &str| {
        let request = Request::get(path).body(Vec::new())?;
        let document: Value = client.request(request).await.context(RIGHT)?;
        anyhow::Ok(document)
    };
    let document = get("/.well-known/openid-configuration").await?;
    let issuer = document.get("issuer").and_then(Value::as_str);
    let issuer = issuer.context("the cluster's discovery document names no issuer")?;
    Ok(Discovery {
        issuer: issuer.to_owned(),
        jwks: get("/openid/v1/jwks").await?,
    })
}

/// What to do at the vendor, and what has changed since an exchange worked.
fn told(
    (namespace, name): (&str, &str),
    (federation, exchanger): (&Federation, Exchanger<'_>),
    discovery: &Discovery,
    last: Option<&ExchangeStatus>,
) -> anyhow::Result<String> {
    let account = &federation.service_account_ref.name;
    let vendor = exchanger.vendor();
    let mut text = String::new();
    let subject = format!("system:serviceaccount:{namespace}:{account}");
    let lines = [
        ("vendor", vendor),
        ("issuer", discovery.issuer.as_str()),
        ("subject", subject.as_str()),
        ("audience", federation.audience.as_str()),
    ];
    for (label, value) in lines {
        writeln!(text, "{label:<10}{}", printable(value))?;
    }
    for (id, value) in exchanger.ids() {
        writeln!(text, "{id} {}", printable(&value))?;
    }
    writeln!(text, "\n{}", steps(exchanger))?;
    for warning in warnings(exchanger, discovery, last) {
        writeln!(text, "\nwarning: {}", printable(&warning))?;
    }
    if exchanger.takes_uploaded_keys() {
        let jwks = serde_json::to_string_pretty(&discovery.jwks)?;
        writeln!(
            text,
            "\nWhere {vendor} cannot reach the issuer, upload the cluster's keys (llmplane federation show {name} -n {namespace} --jwks):\n{jwks}"
        )?;
    } else {
        writeln!(
            text,
            "\n{vendor} fetches the cluster's keys itself: the issuer has to be a public https URL that serves \
             /.well-known/openid-configuration."
        )?;
    }
    Ok(text)
}

/// Where each vendor is told.
fn steps(exchanger: Exchanger<'_>) -> &'static str {
    match exchanger {
        Exchanger::OpenAi(_) => {
            "At OpenAI: Organization settings > Security > Workload identity provider. Enter issuer and audience, \
             upload the keys below, and map the subject (key sub) to a service account."
        }
        Exchanger::Anthropic(_) => {
            "At Anthropic: Settings > Workload identity. Make an issuer (keys inline, or by discovery), a service \
             account that is a member of the workspace, and a rule with exactly this subject and audience."
        }
        Exchanger::Aws(_) => {
            "At AWS: an IAM OIDC provider with this issuer and audience, and a role whose trust policy wants \
             exactly this sub and aud and which may bedrock:ListFoundationModels, \
             bedrock:ListInferenceProfiles and bedrock:InvokeModel."
        }
        Exchanger::Entra(_) => {
            "At Microsoft Entra: a federated credential of the application with exactly this issuer, subject and \
             audience, and the role Cognitive Services OpenAI User on the resource."
        }
        Exchanger::Google(_) => {
            "At Google: a workload identity pool with an OIDC provider of this issuer, the audience among its \
             allowed audiences, and google.subject=assertion.sub; grant the subject aiplatform.endpoints.predict, \
             or roles/iam.workloadIdentityUser on the service account."
        }
        Exchanger::OpenRouter(_) => {
            "At OpenRouter: Settings > Workload identity. Make an issuer, and a policy with exactly this issuer, \
             subject and audience for a workspace API key."
        }
    }
}

/// What has changed in the cluster since the last exchange that worked.
fn warnings(
    exchanger: Exchanger<'_>,
    discovery: &Discovery,
    last: Option<&ExchangeStatus>,
) -> Vec<String> {
    let mut warnings = Vec::new();
    let Some(last) = last else {
        return warnings;
    };
    if last.issuer != discovery.issuer {
        warnings.push(format!(
            "the cluster's issuer is {} now, and was {} when an exchange last worked: tell the vendor",
            discovery.issuer, last.issuer
        ));
    }
    let keys = discovery.jwks.get("keys").and_then(Value::as_array);
    let ids = keys
        .into_iter()
        .flatten()
        .filter_map(|key| key.get("kid")?.as_str());
    let ids: Vec<&str> = ids.collect();
    let Some(used) = last.key_id.as_deref() else {
        return warnings;
    };
    let upload = match exchanger.takes_uploaded_keys() {
        true => "upload the keys below anew, unless the vendor fetches them",
        false => "the vendor fetches them, and may need minutes to",
    };
    if !ids.contains(&used) {
        warnings.push(format!(
            "the cluster's signing keys have changed since an exchange last worked: {used} is gone; {upload}"
        ));
    } else if ids.len() > 1 {
        let others: Vec<&str> = ids.into_iter().filter(|id| *id != used).collect();
        warnings.push(format!(
            "the cluster has signing keys beside {used}, by which an exchange last worked: {}; before it signs \
             with them, {upload}",
            others.join(", ")
        ));
    }
    warnings
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn federation() -> Federation {
        serde_json::from_value(json!({
            "serviceAccountRef": { "name": "llm" }, "audience": "https://api.anthropic.com",
            "anthropic": {
                "federationRuleId": "fdrl_1", "serviceAccountId": "svac_1",
                "organizationId": "11111111-2222-3333-4444-555555555555",
            },
        }))
        .unwrap()
    }

    fn shown(keys: &[&str], last: Option<&str>) -> String {
        let federation = federation();
        let keys: Vec<Value> = keys.iter().map(|kid| json!({ "kid": kid })).collect();
        let discovery = Discovery {
            issuer: "https://cluster.example".to_owned(),
            jwks: json!({ "keys": keys }),
        };
        let last = last.map(|kid| ExchangeStatus {
            issuer: "https://cluster.example".to_owned(),
            key_id: Some(kid.to_owned()),
            ..ExchangeStatus::default()
        });
        let exchanger = federation.exchanger().unwrap();
        told(
            ("team", "main"),
            (&federation, exchanger),
            &discovery,
            last.as_ref(),
        )
        .unwrap()
    }

    #[test]
    fn it_tells_what_the_vendor_compares() {
        let text = shown(&["a"], Some("a"));
        for line in [
            "issuer    https://cluster.example",
            "subject   system:serviceaccount:team:llm",
            "audience  https://api.anthropic.com",
            "federation_rule_id fdrl_1",
            "\"kid\": \"a\"",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
        assert!(!text.contains("warning"), "{text}");
    }

    #[test]
    fn it_warns_where_the_clusters_keys_are_others_than_those_that_worked() {
        assert!(
            shown(&["b"], Some("a"))
                .contains("have changed since an exchange last worked: a is gone")
        );
        assert!(shown(&["a", "b"], Some("a")).contains("signing keys beside a"));
        assert!(!shown(&["b"], None).contains("warning"));
    }
}
