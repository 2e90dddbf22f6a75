//! Values that are no values, and values that contradict each other: by helm, and by `llmplane preflight` before it.

use regex::Regex;

use super::helm::{CHART, Helm, read_values, template, template_args};

/// Values that contradict each other, and what the refusal has to name.
const CONTRADICTIONS: [(&str, &[&str]); 27] = [
    (
        "database: {api: {url: 'postgres://a:canary@db/x', existingSecret: s}}",
        &["database.api", "give one of them"],
    ),
    (
        "database: {owner: {url: 'postgres://a:canary@db/x', existingSecret: s}}",
        &["database.owner", "give one of them"],
    ),
    (
        "database: {api: {url: 'mysql://a:canary@db/x'}}",
        &["database.api.url is no PostgreSQL URL"],
    ),
    (
        "database: {controller: {url: 'postgres://a:canary@db/x'}, api: {url: 'postgres://a:canary@db/x?sslmode=require'}}",
        &[
            "database.controller.url and database.api.url",
            "the URL of its own role",
        ],
    ),
    (
        "database: {owner: {url: 'postgres://db/x?user=a&password=canary'}, api: {url: 'postgres://a:canary@db/x'}}",
        &[
            "database.api.url and database.owner.url",
            "the URL of its own role",
        ],
    ),
    (
        "api: {tls: {existingSecret: tls, certManager: {enabled: true, issuerRef: {name: ca}}}}",
        &["api.tls.existingSecret", "api.tls.certManager.enabled"],
    ),
    (
        "api: {tls: {certManager: {enabled: true}}}",
        &["needs api.tls.certManager.issuerRef.name"],
    ),
    (
        "api: {tls: {certManager: {issuerRef: {name: ca}}}}",
        &["set api.tls.certManager.enabled=true"],
    ),
    (
        "keyring: {auditKeySecret: llmplane-keyring}",
        &["audit.key needs one of its own"],
    ),
    (
        "database: {controller: {existingSecret: s}, api: {existingSecret: s}}",
        &["database.controller and database.api", "one of its own"],
    ),
    (
        "database: {controller: {existingSecret: llmplane-api-database}}",
        &["database.controller and database.api", "one of its own"],
    ),
    (
        "database: {owner: {existingSecret: llmplane-controller-database}}",
        &["database.controller and database.owner", "one of its own"],
    ),
    (
        "api: {tls: {existingSecret: llmplane-keyring}}",
        &["keyring.existingSecret and api.tls", "one of its own"],
    ),
    (
        "settingsFromSecret: llmplane-audit-key",
        &[
            "keyring.auditKeySecret and settingsFromSecret",
            "one of its own",
        ],
    ),
    (
        "namespaces: ['*', default]",
        &["namespaces has \"*\" beside other names"],
    ),
    (
        "sharedNamespaces: [llm-shared]",
        &["sharedNamespaces has llm-shared", "add it to namespaces"],
    ),
    (
        "federation: {team-b: [llm]}",
        &["federation has team-b", "add it to namespaces"],
    ),
    (
        "settings: {LLMPLANE_NAMESPACES: a}",
        &["settings.LLMPLANE_NAMESPACES", "namespaces decides it"],
    ),
    (
        "settings: {DATABASE_URL: 'postgres://a:canary@db/x'}",
        &["a password into a ConfigMap", "database.controller"],
    ),
    (
        "settings: {OTEL_EXPORTER_OTLP_HEADERS: authorization=canary}",
        &["settings.OTEL_EXPORTER_OTLP_HEADERS", "settingsFromSecret"],
    ),
    (
        "settings: {PROXY_PASSWORD: canary}",
        &["settings.PROXY_PASSWORD", "settingsFromSecret"],
    ),
    (
        "settings: {LLMPLANE_HTTPS_PROXY: 'http://u:canary@proxy:3128'}",
        &["settings.LLMPLANE_HTTPS_PROXY", "settingsFromSecret"],
    ),
    (
        "settings: {LLMPLANE_TOKEN_SERVICES: 'aws=https://sts.example,entra=https://canary@login.example'}",
        &["settings.LLMPLANE_TOKEN_SERVICES", "settingsFromSecret"],
    ),
    (
        "settings: {LLMPLANE_LISTEN: '0.0.0.0:9000'}",
        &["settings.LLMPLANE_LISTEN", "leave it out"],
    ),
    (
        "settings: {LLMPLANE_LEADER_ELECTION: false}",
        &["controller.replicas=1"],
    ),
    (
        "podDisruptionBudget: {enabled: false, maxUnavailable: 2}",
        &["podDisruptionBudget.enabled is false"],
    ),
    (
        "podDisruptionBudget: {enabled: false, maxUnavailable: 50%}",
        &["podDisruptionBudget.enabled is false"],
    ),
];

/// Values that are none by themselves, and what the refusal has to name.
const NO_VALUES: [(&str, &[&str]); 16] = [
    ("replicas: 3", &["replicas", "not allowed"]),
    ("api: {replicas: 0}", &["/api/replicas", "minimum"]),
    ("api: {replicas: two}", &["/api/replicas", "integer"]),
    ("namespaces: null", &["missing property 'namespaces'"]),
    ("namespaces: [Team]", &["/namespaces/0", "pattern"]),
    (
        "image: {digest: 'sha256:12'}",
        &["/image/digest", "pattern"],
    ),
    (
        "image: {pullSecrets: [{name: Bad_Name}]}",
        &["/image/pullSecrets/0/name", "pattern"],
    ),
    (
        "database: {owner: {existingSecret: a..b}}",
        &["/database/owner/existingSecret", "pattern"],
    ),
    (
        "keyring: {existingSecret: Bad_Name}",
        &["/keyring/existingSecret", "pattern"],
    ),
    (
        "keyring: {auditKeySecret: ''}",
        &["/keyring/auditKeySecret", "pattern"],
    ),
    (
        "settingsFromSecret: Bad_Name",
        &["/settingsFromSecret", "pattern"],
    ),
    (
        "api: {tls: {existingSecret: Bad_Name}}",
        &["/api/tls/existingSecret", "pattern"],
    ),
    (
        "api: {tls: {certManager: {enabled: true, issuerRef: {name: Bad_Name}}}}",
        &["/api/tls/certManager/issuerRef/name", "pattern"],
    ),
    (
        "api: {tls: {certManager: {enabled: true, issuerRef: {name: ca}, dnsNames: ['https://llm.example.com']}}}",
        &["/api/tls/certManager/dnsNames/0", "pattern"],
    ),
    (
        "federation: {default: [a..b]}",
        &["/federation/default/0", "pattern"],
    ),
    (
        "priorityClassName: Bad_Name",
        &["/priorityClassName", "pattern"],
    ),
];

/// Why helm refuses these values.
async fn refusal(values: &str) -> String {
    let helm = Helm::offline();
    let file = helm.values(values);
    helm.refusal(&template_args(&file)).await
}

/// Why preflight says that it would.
fn faults(values: &str) -> Vec<String> {
    read_values(values).faults()
}

#[tokio::test]
async fn values_that_contradict_each_other_are_refused_with_what_to_do() {
    for (values, named) in CONTRADICTIONS.iter().chain(&NO_VALUES) {
        let said = refusal(values).await;
        for word in *named {
            assert!(said.contains(word), "{values}: {word:?} is not in {said}");
        }
    }
}

#[tokio::test]
async fn preflight_says_beforehand_what_helm_would_refuse_and_in_the_same_words() {
    for (values, _) in CONTRADICTIONS {
        let (said, faults) = (refusal(values).await, faults(values));
        assert!(
            faults.iter().any(|fault| said.contains(fault)),
            "{values}: helm says {said}, and preflight {faults:?}"
        );
    }
    for (values, _) in NO_VALUES {
        assert!(!faults(values).is_empty(), "preflight takes {values}");
    }
}

/// A rule that is added to the chart alone has no case above, or one that preflight takes.
#[tokio::test]
async fn each_rule_of_the_chart_refuses_something_here() {
    let rules = std::fs::read_to_string(format!("{CHART}/templates/_contradictions.tpl")).unwrap();
    let sentence = Regex::new(r#"fail (?:\(printf )?"((?:[^"\\]|\\.)*)""#).unwrap();
    let sentences: Vec<String> = sentence
        .captures_iter(&rules)
        .map(|found| found[1].replace("\\\"", "\""))
        .collect();
    assert_eq!(sentences.len(), rules.matches("fail ").count());
    let mut said = String::new();
    for (values, _) in CONTRADICTIONS {
        said += &refusal(values).await;
    }
    for sentence in sentences {
        // What stands in for names and roles is between the parts.
        for part in sentence.split("%s") {
            assert!(said.contains(part), "nothing is refused by {sentence:?}");
        }
    }
}

#[tokio::test]
async fn no_refusal_repeats_a_password() {
    for (values, _) in CONTRADICTIONS.iter().chain(&NO_VALUES) {
        let said = [refusal(values).await, faults(values).join("\n")].concat();
        assert!(!said.contains("canary"), "{values}: {said}");
    }
}

/// Definitions with selectable fields, and policies in CEL, need it.
#[tokio::test]
async fn a_cluster_that_is_too_old_is_refused_with_the_version_it_takes() {
    let args = ["template", "llmplane", CHART, "--kube-version", "1.29.0"];
    let said = Helm::offline().refusal(&args).await;
    assert!(
        said.contains("1.29.0") && said.contains(">=1.32.0-0"),
        "{said}"
    );
}

#[tokio::test]
async fn the_remedies_of_refusals_are_taken() {
    for values in [
        "{namespaces: [default, llm-shared], sharedNamespaces: [llm-shared]}",
        "{namespaces: ['*'], sharedNamespaces: [llm-shared], federation: {team-b: [llm]}}",
        "{namespaces: [default, team-b], federation: {team-b: [llm]}}",
        "settingsFromSecret: secret-settings",
        "settings: {LLMPLANE_HTTPS_PROXY: 'http://proxy:3128'}",
        "{controller: {replicas: 1}, settings: {LLMPLANE_LEADER_ELECTION: false}}",
    ] {
        assert_eq!(faults(values), [""; 0], "{values}");
        template(values).await;
    }
}
