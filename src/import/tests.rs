use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::crd::Kind;
use crate::lint::documents::{Objects, parse};

const FIXTURES: [(&str, &str); 4] = [
    (
        "litellm",
        include_str!("../../tests/import_export/fixtures/litellm.yaml"),
    ),
    (
        "envoy",
        include_str!("../../tests/import_export/fixtures/envoy.yaml"),
    ),
    (
        "kagent",
        include_str!("../../tests/import_export/fixtures/kagent.yaml"),
    ),
    (
        "models-dev",
        include_str!("../../tests/import_export/fixtures/models-dev.json"),
    ),
];

fn objects(text: &str) -> Objects {
    let objects = parse("f", text);
    assert!(objects.errors.is_empty(), "{:?}", objects.errors);
    objects
}

fn converted(text: &str, format: Option<Format>) -> Conversion {
    let objects = objects(text);
    let documents: Vec<_> = objects.documents.iter().collect();
    convert(&documents, format, None).unwrap()
}

#[test]
fn each_source_becomes_this() {
    for (name, text) in FIXTURES {
        let conversion = converted(text, None);
        let findings = conversion.findings.iter().map(Finding::text);
        insta::assert_snapshot!(format!("{name}_findings"), findings.collect::<String>());
        insta::assert_snapshot!(
            format!("{name}_manifests"),
            to_yaml(&conversion.manifests).unwrap()
        );
        assert_eq!(judge(&conversion.manifests, &conversion.findings), []);
    }
}

#[test]
fn gemini_is_a_provider_of_its_own_type_and_needs_no_address() {
    let text = "model_list:\n- model_name: long\n  litellm_params: {model: gemini/gemini-2.5-flash, \
                api_key: os.environ/GEMINI_API_KEY}\n";
    let conversion = converted(text, None);
    let yaml = to_yaml(&conversion.manifests).unwrap();
    for says in ["type: Gemini", "modelId: gemini-2.5-flash"] {
        assert!(yaml.contains(says), "{yaml}");
    }
    assert!(!yaml.contains("baseUrl"), "{yaml}");
    let findings = conversion.findings.iter().map(Finding::text);
    let findings: String = findings.collect();
    assert!(
        findings.contains("llmplane.dev/credential=Gemini"),
        "{findings}"
    );
    assert!(!findings.contains("approximate"), "{findings}");
    assert_eq!(judge(&conversion.manifests, &conversion.findings), []);
}

/// Every scalar and every empty list and object, by its path.
fn leaves(value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Null => {}
        Value::Object(fields) if !fields.is_empty() => {
            for (key, inner) in fields {
                let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
                let path = match (key.bytes().all(plain), path) {
                    (true, "") => key.clone(),
                    (true, path) => format!("{path}.{key}"),
                    (false, path) => format!("{path}[{key}]"),
                };
                leaves(inner, &path, found);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (index, item) in items.iter().enumerate() {
                leaves(item, &format!("{path}[{index}]"), found);
            }
        }
        _ => found.push(path.to_owned()),
    }
}

fn covers(finding: &str, leaf: &str) -> bool {
    let rest = leaf.strip_prefix(finding);
    finding.is_empty() || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// Leaves of which nothing was said.
fn dropped(value: &Value, conversion: &Conversion) -> Vec<String> {
    let mut all = Vec::new();
    leaves(value, "", &mut all);
    let told: BTreeSet<&str> = conversion
        .findings
        .iter()
        .map(|it| it.path.as_str())
        .collect();
    all.retain(|leaf| !told.iter().any(|finding| covers(finding, leaf)));
    all
}

#[test]
fn nothing_of_a_source_is_dropped_without_a_word() {
    for (name, text) in FIXTURES {
        let objects = objects(text);
        for document in &objects.documents {
            let all: Vec<_> = objects.documents.iter().collect();
            let mut conversion = convert(&all, None, None).unwrap();
            conversion
                .findings
                .retain(|it| it.document == document.document);
            assert_eq!(
                dropped(&document.value, &conversion),
                Vec::<String>::new(),
                "{name}"
            );
        }
    }
}

/// Everything that is written of a conversion.
fn written(conversion: &Conversion) -> String {
    let findings: String = conversion.findings.iter().map(Finding::text).collect();
    let json = serde_json::to_string(&conversion.findings).unwrap();
    format!(
        "{}{findings}{json}{conversion:?}",
        to_yaml(&conversion.manifests).unwrap()
    )
}

#[test]
fn no_key_of_a_source_is_written_anywhere() {
    let keys = [
        "sk-ant-literal",
        "sk-ant-other",
        "sk-proxy-master",
        "hunter2",
        "plain-secret-word",
        "sk-envoy",
        "sk-in-a-secret",
        "sk-kagent",
    ];
    for (name, text) in FIXTURES {
        let written = written(&converted(text, None));
        for key in keys {
            assert!(!written.contains(key), "{name}: {key}");
        }
    }
    // The fixtures do hold them.
    let all: String = FIXTURES.map(|(_, text)| text).concat();
    assert!(keys.iter().all(|key| all.contains(key)));
}

#[test]
fn what_was_converted_is_imported_as_it_is() {
    for (_, text) in FIXTURES {
        let first = converted(text, None);
        let again = converted(&to_yaml(&first.manifests).unwrap(), None);
        assert_eq!(again.format, Format::Llmplane);
        assert_eq!(again.manifests, first.manifests);
        assert_eq!(again.worst(), Level::Exact);
        assert_eq!(converted(text, None), first);
    }
}

#[test]
fn a_namespace_that_is_asked_for_is_every_manifests_own() {
    for (_, text) in FIXTURES {
        let objects = objects(text);
        let documents: Vec<_> = objects.documents.iter().collect();
        let conversion = convert(&documents, None, Some("team")).unwrap();
        assert!(
            conversion
                .manifests
                .iter()
                .all(|it| it.namespace() == Some("team"))
        );
    }
}

#[test]
fn what_cannot_be_told_is_refused_in_words() {
    let refused = |text: &str| {
        let objects = parse("f", text);
        let documents: Vec<_> = objects.documents.iter().collect();
        convert(&documents, None, None).unwrap_err().to_string()
    };
    assert_eq!(refused(""), "there is nothing to import");
    assert!(refused("a: 1").contains("f:1: this is no configuration"));
    assert!(refused("apiVersion: v1\nkind: Secret").contains("no configuration"));
    for text in ["[1]", "true", "a: 1\n---\nb"] {
        let objects = parse("f", text);
        let documents: Vec<_> = objects.documents.iter().collect();
        for format in Format::ALL.map(Some).into_iter().chain([None]) {
            let said = convert(&documents, format, None).unwrap_err().to_string();
            assert!(said.contains("it has no fields"), "{text}: {said}");
        }
    }
    assert!(convert(&[], Some(Format::LiteLlm), None).is_err());
    let two = "model_list: []\n---\napiVersion: kagent.dev/v1alpha2\nkind: ModelConfig";
    assert_eq!(
        refused(two),
        "f:1 is of litellm, and f:2 is of kagent: import them one after the other"
    );
}

#[test]
fn a_secret_never_comes_in_with_manifests_of_ours() {
    let text = "apiVersion: llmplane.dev/v1alpha1\nkind: LlmProvider\nmetadata: {name: p, uid: u}\n\
                spec: {type: OpenAI}\nstatus: {observedGeneration: 3}\n---\n\
                apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {api-key: sk-canary-12345678}\n";
    let conversion = converted(text, None);
    let titles: Vec<String> = conversion.manifests.iter().map(Manifest::title).collect();
    assert_eq!(titles, ["LlmProvider/p"]);
    assert!(!written(&conversion).contains("canary"));
    let object = &conversion.manifests[0].object;
    assert!(object.get("status").is_none() && object["metadata"].get("uid").is_none());
    assert_eq!(conversion.worst(), Level::Manual);
}

#[test]
fn eleven_endpoints_are_two_providers() {
    let entry = |number: usize| {
        json!({ "model_name": format!("m-{number}"), "litellm_params": {
            "model": format!("azure/d-{number}"), "api_base": format!("https://r{number}.openai.azure.com"),
            "api_version": "2024-10-21", "api_key": format!("os.environ/KEY_{number}"),
        } })
    };
    let list: Vec<Value> = (0..11).map(entry).collect();
    let conversion = converted(&json!({ "model_list": list }).to_string(), None);
    let count = |kind| {
        conversion
            .manifests
            .iter()
            .filter(|it| it.kind == kind)
            .count()
    };
    use crate::crd::Kind as K;
    let counts = [K::Provider, K::Endpoint, K::Credential, K::Model].map(count);
    assert_eq!(counts, [2, 11, 11, 11]);
}

/// Every name that a converter looks for, and some that none does.
const WORDS: [&str; 64] = [
    "model_list",
    "credential_list",
    "router_settings",
    "litellm_settings",
    "general_settings",
    "environment_variables",
    "litellm_params",
    "model_info",
    "model_name",
    "model",
    "api_key",
    "api_base",
    "api_version",
    "extra_headers",
    "organization",
    "timeout",
    "max_retries",
    "order",
    "temperature",
    "stop",
    "litellm_credential_name",
    "credential_name",
    "credential_values",
    "credential_info",
    "description",
    "aws_access_key_id",
    "aws_secret_access_key",
    "azure_ad_token",
    "client_secret",
    "aws_region_name",
    "mode",
    "max_input_tokens",
    "input_cost_per_token",
    "supports_vision",
    "custom_llm_provider",
    "rpm",
    "apiVersion",
    "kind",
    "metadata",
    "name",
    "namespace",
    "spec",
    "schema",
    "backendRef",
    "targetRefs",
    "type",
    "apiKey",
    "secretRef",
    "endpoints",
    "fqdn",
    "hostname",
    "port",
    "rules",
    "backendRefs",
    "modelNameOverride",
    "priority",
    "provider",
    "openAI",
    "apiKeySecret",
    "baseUrl",
    "defaultHeaders",
    "models",
    "cost",
    "unheard of.",
];

const TEXTS: [&str; 21] = [
    "openai/gpt-4o",
    "openai/sk-canary-0123456789abcdef",
    "azure/d",
    "bedrock/x",
    "vertex_ai/g",
    "groq/*",
    "gpt-4o",
    "sk-canary-0123456789abcdef",
    "Bearer sk-canary-0123456789abcdef",
    "os.environ/KEY",
    "os.environ/bad name",
    "https://a.example/v1",
    "https://u:sk-canary-0123456789@a.example/?key=sk-canary-0123456789",
    "OpenAI",
    "AIServiceBackend",
    "AIGatewayRoute",
    "aigateway.envoyproxy.io/v1beta1",
    "kagent.dev/v1alpha2",
    "ModelConfig",
    "a'b\n\"$(x)",
    "",
];

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop::sample::select(TEXTS.as_slice()).prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 60, 8, |inner| {
        let key = prop::sample::select(WORDS.as_slice()).prop_map(str::to_owned);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(key, inner, 0..8)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Values where a converter expects them.
fn shaped() -> impl Strategy<Value = Value> {
    let key = || prop::sample::select(WORDS.as_slice()).prop_map(str::to_owned);
    let map = || {
        prop::collection::btree_map(key(), value(), 0..8)
            .prop_map(|map| Value::Object(map.into_iter().collect()))
    };
    let text = prop::sample::select(TEXTS.as_slice());
    (map(), map(), map(), text).prop_map(|(mut params, info, spec, model)| {
        params["model"] = model.into();
        json!({
            "model_list": [{ "model_name": model, "litellm_params": params, "model_info": info }],
            "apiVersion": "kagent.dev/v1alpha2", "kind": "ModelConfig", "metadata": { "name": "m" }, "spec": spec,
            "models": { "m": params },
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn whatever_comes_nothing_is_dropped_no_key_is_written_and_all_of_it_is_taken(
        value in prop_oneof![value(), shaped()], format in prop::sample::select(Format::ALL.as_slice()),
    ) {
        let objects = parse("f", &value.to_string());
        let documents: Vec<_> = objects.documents.iter().collect();
        let Ok(conversion) = convert(&documents, Some(format), None) else {
            let has_fields = |one: &&Document| one.value.is_object();
            prop_assert!(documents.is_empty() || !documents.iter().all(has_fields));
            return Ok(());
        };
        if let [document] = documents[..] {
            prop_assert_eq!(dropped(&document.value, &conversion), Vec::<String>::new());
        }
        // Manifests of ours are judged before they are applied, and say what they say.
        if format != Format::Llmplane {
            prop_assert!(!written(&conversion).contains("canary"), "{}", written(&conversion));
            prop_assert_eq!(judge(&conversion.manifests, &conversion.findings), []);
        }
    }
}

/// Whose address is not known gets no key: not the vendor's own, which would be asked whether the
/// gateway's key is good.
#[test]
fn a_gateway_whose_address_is_not_said_is_not_taken_for_the_vendor() {
    for address in [
        "os.environ/GATEWAY_URL",
        "https://gateway.example/sk-proj-0123456789abcdef",
        "gateway",
        "7",
    ] {
        for model in [
            "anthropic/claude-x",
            "openai/gpt-4o",
            "groq/llama",
            "azure/d",
            "ollama/llama",
            "dashscope/*",
        ] {
            let text = format!(
                "model_list:\n- model_name: m\n  litellm_params: {{ model: \"{model}\", api_base: {address}, api_key: os.environ/GATEWAY_KEY }}\n"
            );
            let conversion = converted(&text, None);
            assert_eq!(conversion.manifests.len(), 0, "{text}");
            let findings: String = conversion.findings.iter().map(Finding::text).collect();
            assert!(
                findings.contains("not converted: its address cannot be carried over"),
                "{findings}"
            );
        }
    }
    let named = "model_list:\n- model_name: m\n  litellm_params: { model: anthropic/claude-x, api_base: https://api-management.corp.example/v1, api_key: os.environ/GATEWAY_KEY }\n";
    let manifests = to_yaml(&converted(named, None).manifests).unwrap();
    assert!(
        manifests.contains("baseUrl: https://api-management.corp.example/v1"),
        "{manifests}"
    );
}

/// Commands that are run one after the other, as they stand: none refuses what one before it did.
#[test]
fn a_key_of_several_providers_has_one_secret_a_type_and_its_commands_once() {
    let entry = |model: &str, rest: &str| {
        format!(
            "- model_name: m\n  litellm_params: {{ model: {model}, api_key: os.environ/SHARED_KEY{rest} }}\n"
        )
    };
    let text = [
        "model_list:\n".to_owned(),
        entry("openai/a", ", api_base: https://one.example/v1"),
        entry("openai/b", ", api_base: https://two.example/v1"),
        entry("anthropic/c", ", api_base: https://one.example"),
        entry("anthropic/d", ""),
    ]
    .concat();
    let conversion = converted(&text, None);
    let commands: Vec<&str> = (conversion.findings.iter())
        .flat_map(|it| it.commands.iter().map(String::as_str))
        .collect();
    assert_eq!(
        commands,
        [
            "kubectl create secret generic shared-key --from-literal=api-key=\"$SHARED_KEY\"",
            "kubectl label secret shared-key llmplane.dev/credential=OpenAICompatible",
            "kubectl annotate secret shared-key llmplane.dev/allowed-hosts='one.example,two.example'",
            "kubectl create secret generic shared-key-anthropic --from-literal=api-key=\"$SHARED_KEY\"",
            "kubectl label secret shared-key-anthropic llmplane.dev/credential=Anthropic",
            "kubectl annotate secret shared-key-anthropic llmplane.dev/allowed-hosts='one.example'",
        ]
    );
    let secrets: Vec<&Value> = (conversion.manifests.iter())
        .filter(|it| it.kind == Kind::Credential)
        .map(|it| &it.object["spec"]["secretRef"]["name"])
        .collect();
    assert_eq!(
        secrets,
        ["shared-key", "shared-key", "shared-key-anthropic"]
    );
}
