//! `llmplane init`: a first set of manifests for one provider type.

use std::io::Write;

use thiserror::Error;

use crate::crd::{ANNOTATION_ALLOWED_HOSTS, LABEL_CREDENTIAL, ProviderType};

/// Why no manifests are printed.
#[derive(Debug, Error)]
pub enum InitError {
    /// No such type.
    #[error("{0:?} is no provider type{1}; it is one of {2}")]
    UnknownType(String, String, String),
    /// A name that Kubernetes would refuse.
    #[error(
        "--{0} {1:?} is not a name: write at most {2} lower-case letters, digits and '-', beginning and ending with a letter or digit"
    )]
    BadName(&'static str, String, usize),
    /// Standard output cannot be written.
    #[error("cannot print: {0}")]
    Print(#[from] std::io::Error),
}

/// Prints a commented set of manifests for one provider type
#[derive(Debug, clap::Args)]
pub struct InitCommand {
    /// OpenAI, Anthropic, Bedrock, AzureOpenAI, DashScope, Qianfan, Gemini, Ollama, VLLM or
    /// OpenAICompatible
    #[arg(value_name = "TYPE")]
    provider_type: String,
    /// What the provider is called; its other objects begin with it [default: the type in lower
    /// case]
    #[arg(long)]
    name: Option<String>,
    /// Write this namespace into each object
    #[arg(long)]
    namespace: Option<String>,
}

impl InitCommand {
    /// Prints the manifests.
    ///
    /// # Errors
    /// Where the type or a name cannot be.
    pub fn run(&self) -> Result<(), InitError> {
        let provider_type = find_type(&self.provider_type)?;
        let default = provider_type.as_str().to_lowercase();
        let name = self.name.as_deref().unwrap_or(&default);
        let text = manifests(provider_type, name, self.namespace.as_deref())?;
        Ok(crate::output::stdout().write_all(text.as_bytes())?)
    }
}

/// The type of this name, in any case of letters.
fn find_type(name: &str) -> Result<ProviderType, InitError> {
    let words = ProviderType::ALL.map(ProviderType::as_str);
    ProviderType::ALL
        .into_iter()
        .find(|t| t.as_str().eq_ignore_ascii_case(name))
        .ok_or_else(|| {
            let near = crate::crd::names::did_you_mean(name, words);
            InitError::UnknownType(name.to_owned(), near, words.join(", "))
        })
}

/// The longest name: objects derived from it get a suffix.
const MAX_NAME: usize = 50;
/// The longest name of a namespace.
const MAX_NAMESPACE: usize = 63;

/// The manifests of one type, as YAML with comments.
///
/// # Errors
/// Where a name is none that Kubernetes takes.
pub fn manifests(
    provider_type: ProviderType,
    name: &str,
    namespace: Option<&str>,
) -> Result<String, InitError> {
    check_name("name", name, MAX_NAME)?;
    let namespace = match namespace {
        Some(namespace) => {
            check_name("namespace", namespace, MAX_NAMESPACE)?;
            format!("\n  namespace: {namespace}")
        }
        None => String::new(),
    };
    let outline = Outline::of(provider_type);
    let provider = provider(provider_type, name, &namespace);
    let endpoint = endpoint(&outline, name, &namespace);
    let key = [
        secret(&outline, provider_type, name, &namespace),
        credential(&outline, name, &namespace),
    ];
    let model = model(&outline, name, &namespace);
    if outline.keyless {
        let text = [provider, endpoint, model].join("---\n");
        let key = format!("---\n{}", key.join("---\n"));
        return Ok(format!("{text}# {UNCOMMENT}\n{}", commented(&key, "")));
    }
    let [secret, credential] = key;
    Ok([provider, endpoint, secret, credential, model].join("---\n"))
}

/// What stands above the part that is for servers with a key.
const UNCOMMENT: &str =
    "Where your server takes a key, uncomment what follows and the endpoint's credentialRef.";

/// Each line as a comment at this indentation.
fn commented(text: &str, indentation: &str) -> String {
    let comment = |line: &str| {
        let line = line.strip_prefix(indentation).unwrap_or(line);
        format!("{indentation}# {line}\n")
    };
    text.lines().map(comment).collect()
}

fn check_name(flag: &'static str, name: &str, longest: usize) -> Result<(), InitError> {
    let inner = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    let good = (1..=longest).contains(&name.len())
        && name.bytes().all(|c| inner(c) || c == b'-')
        && name.bytes().next().is_some_and(inner)
        && name.bytes().next_back().is_some_and(inner);
    if good {
        Ok(())
    } else {
        Err(InitError::BadName(flag, name.to_owned(), longest))
    }
}

/// What differs between the types. Hosts and headers are those of the vendors' documentation.
struct Outline {
    /// `baseUrl`, and what there is to say about it.
    base_url: (&'static str, &'static str),
    region: Option<&'static str>,
    api_version: Option<&'static str>,
    /// Hosts beyond the vendor's fixed ones.
    allowed_hosts: Option<&'static str>,
    /// Its servers take no key unless they are told to.
    keyless: bool,
    /// A pair of access key id and secret key, not one API key.
    key_pair: bool,
    /// What there is to say about the key.
    key_note: &'static str,
    model_id: &'static str,
    model_note: &'static str,
    context_window: u32,
}

impl Outline {
    fn of(provider_type: ProviderType) -> Self {
        let plain = Self {
            base_url: ("", ""),
            region: None,
            api_version: None,
            allowed_hosts: None,
            keyless: false,
            key_pair: false,
            key_note: "The key that the vendor's console gave you.",
            model_id: "",
            model_note: "The id as the vendor's API takes it.",
            context_window: 128_000,
        };
        match provider_type {
            ProviderType::OpenAI => Self {
                base_url: (
                    "https://api.openai.com/v1",
                    "Projects with data residency have their own host, for example https://eu.api.openai.com/v1.",
                ),
                model_id: "gpt-5.4-mini",
                context_window: 400_000,
                ..plain
            },
            ProviderType::Anthropic => Self {
                base_url: (
                    "https://api.anthropic.com",
                    "Without /v1: the paths begin with it.",
                ),
                api_version: Some("2023-06-01"),
                model_id: "claude-sonnet-5-5",
                context_window: 1_000_000,
                ..plain
            },
            ProviderType::Bedrock => Self {
                base_url: (
                    "https://bedrock-runtime.us-east-1.amazonaws.com",
                    "The host of the region below: without baseUrl that is the one. A VPC endpoint or a gateway is named here, and its host in the Secret's annotation llmplane.dev/allowed-hosts.",
                ),
                region: Some("us-east-1"),
                key_pair: true,
                key_note: "An IAM user's access key, which needs bedrock:ListFoundationModels, ListInferenceProfiles, GetInferenceProfile, GetFoundationModelAvailability and, to call models, InvokeModel. A session token goes in a third entry, named by accessToken below. A Bedrock API key works too: store it as api-key, and name apiKey alone below.",
                model_id: "us.amazon.nova-pro-v1:0",
                model_note: "A model's id, an inference profile's id (most newer models answer to no other), or an ARN.",
                context_window: 300_000,
                ..plain
            },
            ProviderType::AzureOpenAI => Self {
                base_url: (
                    "https://my-resource.openai.azure.com",
                    "Put your resource's name in the place of my-resource, here and in the Secret's annotation.",
                ),
                api_version: Some("2024-10-21"),
                allowed_hosts: Some("my-resource.openai.azure.com"),
                key_note: "One of the resource's two keys. The annotation names the resource's host: a key goes nowhere else.",
                model_id: "my-deployment",
                model_note: "The deployment's name, not the model's.",
                ..plain
            },
            ProviderType::DashScope => Self {
                base_url: (
                    "https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
                    "Keys belong to a region: dashscope.aliyuncs.com is Beijing, dashscope-intl Singapore, dashscope-us Virginia.",
                ),
                region: Some("ap-southeast-1"),
                allowed_hosts: Some("dashscope-intl.aliyuncs.com"),
                model_id: "qwen-plus",
                context_window: 1_000_000,
                ..plain
            },
            ProviderType::Qianfan => Self {
                base_url: (
                    "https://qianfan.baidubce.com/v2",
                    "The second version of the API; the first is offline.",
                ),
                key_note: "A key that begins with bce-v3/.",
                model_id: "ernie-4.5-turbo-128k",
                ..plain
            },
            ProviderType::Gemini => Self {
                base_url: (
                    "https://generativelanguage.googleapis.com",
                    "Without /v1beta: the paths begin with it.",
                ),
                api_version: Some("v1beta"),
                model_id: "gemini-2.5-flash",
                model_note: "The id as the vendor lists it, without models/.",
                context_window: 1_048_576,
                ..plain
            },
            ProviderType::Ollama => Self {
                base_url: (
                    "http://localhost:11434",
                    "The controller has to be allowed to reach it: LLMPLANE_ALLOW_CIDRS.",
                ),
                allowed_hosts: Some("localhost"),
                keyless: true,
                key_note: "The key that a proxy before the server asks for.",
                model_id: "gpt-oss:20b",
                model_note: "As `ollama list` shows it.",
                context_window: 131_072,
                ..plain
            },
            ProviderType::VLLM => Self {
                base_url: (
                    "http://vllm.models.svc:8000/v1",
                    "The controller has to be allowed to reach it: LLMPLANE_ALLOW_CIDRS.",
                ),
                allowed_hosts: Some("http://vllm.models.svc:8000"),
                keyless: true,
                key_note: "The key that the server was started with (--api-key).",
                model_id: "openai/gpt-oss-120b",
                model_note: "As the server was told with --served-model-name.",
                context_window: 131_072,
                ..plain
            },
            ProviderType::OpenAICompatible => Self {
                base_url: (
                    "https://gateway.example.com/v1",
                    "Put your server's address here, and its host in the Secret's annotation.",
                ),
                allowed_hosts: Some("gateway.example.com"),
                key_note: "Where your server takes no key, leave out this Secret, the LlmCredential and the endpoint's credentialRef.",
                model_id: "my-model",
                model_note: "As the server's GET /models lists it.",
                ..plain
            },
        }
    }
}

fn head(kind: &str, name: &str, namespace: &str) -> String {
    format!(
        "apiVersion: llmplane.dev/v1alpha1\nkind: {kind}\nmetadata:\n  name: {name}{namespace}\n"
    )
}

fn provider(provider_type: ProviderType, name: &str, namespace: &str) -> String {
    format!(
        "# The vendor or server. Its type cannot be changed later.\n{}spec:
  type: {provider_type}
  # Makes an LlmModel for each model that the vendor lists and nobody declared.
  modelSync:
    enabled: false
",
        head("LlmProvider", name, namespace)
    )
}

fn endpoint(outline: &Outline, name: &str, namespace: &str) -> String {
    let (url, note) = outline.base_url;
    let mut text = format!(
        "# Where it answers. Give a provider up to ten; the lowest priority is tried first.\n{}spec:
  providerRef:
    name: {name}
  # {note}
  baseUrl: {url}
",
        head("LlmEndpoint", name, namespace)
    );
    if let Some(region) = outline.region {
        text += &format!("  region: {region}\n");
    }
    if let Some(version) = outline.api_version {
        text += &format!("  apiVersion: \"{version}\"\n");
    }
    let reference = format!("    credentialRef:\n      name: {name}\n");
    let reference = match outline.keyless {
        true => commented(&reference, "    "),
        false => reference,
    };
    let note = "    # The key that the probe sends. Without it the probe asks without one.\n";
    text + "  healthCheck:\n    periodSeconds: 60\n" + note + &reference
}

fn secret(outline: &Outline, provider_type: ProviderType, name: &str, namespace: &str) -> String {
    let annotations = match outline.allowed_hosts {
        Some(hosts) => format!(
            "
  annotations:
    # Hosts that the key may be sent to, exact and separated by commas.
    {ANNOTATION_ALLOWED_HOSTS}: {hosts}"
        ),
        None => String::new(),
    };
    let entries = if outline.key_pair {
        "  access-key-id: REPLACE-ME-access-key-id\n  secret-access-key: REPLACE-ME-secret-access-key\n"
    } else {
        "  api-key: REPLACE-ME-api-key\n"
    };
    format!(
        "# {}
# The values below are placeholders. Do not commit a real key: create the Secret with
# `kubectl create secret`, or from your secret manager, with this label.
apiVersion: v1
kind: Secret
metadata:
  name: {name}-key{namespace}
  labels:
    # Lets llmplane read the Secret, and says whose key it is.
    {LABEL_CREDENTIAL}: {provider_type}{annotations}
stringData:
{entries}",
        outline.key_note
    )
}

fn credential(outline: &Outline, name: &str, namespace: &str) -> String {
    let keys = if outline.key_pair {
        "      apiKey: access-key-id\n      secretKey: secret-access-key\n"
    } else {
        "      apiKey: api-key\n"
    };
    format!(
        "# The key, by reference. Who creates this must be allowed to get the Secret.\n{}spec:
  providerRef:
    name: {name}
  secretRef:
    name: {name}-key
    # Which entry of the Secret holds what.
    keys:
{keys}",
        head("LlmCredential", name, namespace)
    )
}

fn model(outline: &Outline, name: &str, namespace: &str) -> String {
    format!(
        "# A model that agents may ask for.\n{}spec:
  providerRef:
    name: {name}
  # {}
  modelId: {:?}
  type: Chat
  # What you leave out is taken from the vendor, then from the built-in catalog.
  contextWindow: {}
  capabilities:
    - name: Chat
    - name: Streaming
",
        head("LlmModel", &format!("{name}-chat"), namespace),
        outline.model_note,
        outline.model_id,
        outline.context_window
    )
}

/// The manifests for a server with a key, as a user makes them of what is printed.
#[cfg(test)]
pub(crate) fn uncommented(text: &str) -> String {
    let (open, key) = text.split_once(UNCOMMENT).expect("a keyless type");
    let uncomment = |line: &str| line.replacen("# ", "", 1) + "\n";
    let mut lines = open.strip_suffix("# ").unwrap_or(open).lines();
    let mut text = String::new();
    while let Some(line) = lines.next() {
        if line == "    # credentialRef:" {
            text += &uncomment(line);
            text += &uncomment(lines.next().unwrap_or_default());
        } else {
            text += &format!("{line}\n");
        }
    }
    text + &key.trim_start().lines().map(uncomment).collect::<String>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_found_in_any_case_of_letters() {
        assert_eq!(find_type("openai").unwrap(), ProviderType::OpenAI);
        assert_eq!(find_type("vllm").unwrap(), ProviderType::VLLM);
        let message = find_type("opnai").unwrap_err().to_string();
        assert!(message.contains("did you mean \"OpenAI\""), "{message}");
    }

    #[test]
    fn a_name_that_kubernetes_would_refuse_is_refused() {
        for name in ["", "A", "a_b", "-a", "a-", &"a".repeat(51), "a\nb: c"] {
            assert!(
                manifests(ProviderType::OpenAI, name, None).is_err(),
                "{name}"
            );
        }
        assert!(manifests(ProviderType::OpenAI, "a", Some("x.y")).is_err());
    }
}
