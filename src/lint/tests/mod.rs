mod reading;

use super::documents::{Source, parse, read_all};
use super::report::{Report, Severity};
use super::*;

fn lint_text(text: &str) -> Report {
    lint(&[Source {
        file: "f.yaml".to_owned(),
        found: false,
        content: parse("f.yaml", text),
    }])
}

fn problems(text: &str) -> Vec<(String, String)> {
    let report = lint_text(text);
    report
        .problems
        .into_iter()
        .filter(|p| p.severity == Severity::Error)
        .map(|p| (p.field, p.message))
        .collect()
}

fn fields(text: &str) -> Vec<String> {
    problems(text).into_iter().map(|(field, _)| field).collect()
}

fn provider(spec: &str) -> String {
    format!(
        "apiVersion: llmplane.dev/v1alpha1\nkind: LlmProvider\nmetadata:\n  name: p\nspec: {spec}\n"
    )
}

fn endpoint(spec: &str) -> String {
    format!(
        "apiVersion: llmplane.dev/v1alpha1\nkind: LlmEndpoint\nmetadata:\n  name: e\nspec: {{providerRef: {{name: p}}, {spec}}}\n"
    )
}

#[test]
fn a_good_provider_has_no_problem() {
    assert_eq!(problems(&provider("{type: OpenAI}")), []);
}

#[test]
fn a_wrong_type_is_answered_with_the_nearest() {
    let found = problems(&provider("{type: OpenAi}"));
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].0, "spec.type");
    assert!(found[0].1.contains("did you mean \"OpenAI\""), "{found:?}");
}

#[test]
fn an_unknown_field_is_found_at_any_depth() {
    let found = problems(&provider("{type: OpenAI, modelSync: {enable: true}}"));
    assert_eq!(found[0].0, "spec.modelSync.enable");
    assert!(found[0].1.contains("\"enabled\""), "{found:?}");
}

#[test]
fn a_null_counts_as_a_field_that_is_not_there() {
    let spec = "{type: OpenAI, displayName: null, enabled: null, modelSync: null}";
    assert_eq!(problems(&provider(spec)), []);
    assert_eq!(fields(&provider("{type: null}")), ["spec.type"]);
}

/// Tried with kubectl 1.36: `create` and `apply` drop such a null, `apply --server-side` refuses it.
#[test]
fn a_null_that_one_way_of_applying_refuses_is_a_warning() {
    let warned = |text: &str| {
        let report = lint_text(text);
        let warnings = report.problems.into_iter();
        let warnings = warnings.filter(|p| p.severity == Severity::Warning);
        let of_null = warnings.filter(|p| p.message.contains("--server-side"));
        of_null.map(|p| p.field).collect::<Vec<_>>()
    };
    for (spec, fields) in [
        ("{type: OpenAI, displayName: }", &["spec.displayName"][..]),
        // Where there is a default, it takes the null's place.
        ("{type: OpenAI, enabled: , modelSync: }", &[]),
        (
            "{type: OpenAI, modelSync: {include: , periodSeconds: }}",
            &["spec.modelSync.include"],
        ),
        // Refused whatever the way.
        ("{type: }", &[]),
        ("{type: OpenAI, modelSync: {include: [null]}}", &[]),
    ] {
        assert_eq!(warned(&provider(spec)), fields, "{spec}");
    }
    let named = "metadata:\n  name: p\n";
    for (metadata, fields) in [
        (
            "metadata: {generateName: p-}\n",
            &["metadata.generateName"][..],
        ),
        ("metadata: {name: p, labels: , annotations: {a: }}\n", &[]),
        (
            "metadata: {name: p, managedFields: [{manager: a}]}\n",
            &["metadata.managedFields"],
        ),
        ("metadata: {name: p, managedFields: []}\n", &[]),
    ] {
        let text = provider("{type: OpenAI}").replace(named, metadata);
        let report = lint_text(&text);
        let of_way = report
            .problems
            .iter()
            .filter(|p| p.message.contains("kubectl"));
        let found: Vec<&str> = of_way.map(|p| p.field.as_str()).collect();
        assert_eq!(found, fields, "{metadata}: {}", report.text());
    }
    let parameters = "apiVersion: llmplane.dev/v1alpha1\nkind: LlmModel\nmetadata: {name: m}\nspec: {providerRef: {name: p}, modelId: m, defaultParameters: {a: , b: [null]}}";
    assert_eq!(warned(parameters), [""; 0]);
}

#[test]
fn a_value_of_another_type_is_told_what_to_write() {
    for (spec, field, says) in [
        (
            "{type: OpenAI, displayName: 1.10}",
            "spec.displayName",
            "1.1 is a number to YAML; write text: put it in quotes",
        ),
        (
            "{type: OpenAI, displayName: no}",
            "spec.displayName",
            "false is true or false to YAML, as yes, no, on and off are; write text: put it in quotes",
        ),
        (
            "{type: OpenAI, displayName: [a]}",
            "spec.displayName",
            "[\"a\"] is a list; write text",
        ),
        (
            "{type: OpenAI, enabled: 'true'}",
            "spec.enabled",
            "\"true\" is text; write true or false without quotes",
        ),
        (
            "{type: OpenAI, enabled: ja}",
            "spec.enabled",
            "\"ja\" is text; write true or false",
        ),
        (
            "{type: OpenAI, modelSync: {periodSeconds: '60'}}",
            "spec.modelSync.periodSeconds",
            "\"60\" is text; write the number without quotes",
        ),
        (
            "{type: OpenAI, modelSync: {periodSeconds: 60.5}}",
            "spec.modelSync.periodSeconds",
            "60.5 is a number to YAML; write a whole number",
        ),
        (
            "{type: OpenAI, modelSync: {include: a}}",
            "spec.modelSync.include",
            "\"a\" is text; write a list, each item on a line of its own after `- `",
        ),
        (
            "{type: OpenAI, modelSync: {include: [null]}}",
            "spec.modelSync.include[0]",
            "null is no value; write text",
        ),
        (
            "{type: OpenAI, modelSync: on}",
            "spec.modelSync",
            "true is true or false to YAML, as yes, no, on and off are; write fields, each as `name: value` on a line of its own",
        ),
    ] {
        let found = problems(&provider(spec));
        assert_eq!(found, [(field.to_owned(), says.to_owned())], "{spec}");
    }
}

#[test]
fn a_time_that_is_none_is_said_once_with_one_that_is() {
    let credential = |expires: &str| {
        format!(
            "apiVersion: llmplane.dev/v1alpha1\nkind: LlmCredential\nmetadata: {{name: c}}\nspec: {{providerRef: {{name: p}}, secretRef: {{name: s}}, expiresAt: {expires}}}"
        )
    };
    for (written, example) in [
        ("2027-01-31", "2027-01-31T00:00:00Z"),
        ("'2027-02-30T00:00:00Z'", "2027-01-31T00:00:00Z"),
        ("2027-01-31 10:00", "2027-01-31T00:00:00Z"),
        ("tomorrow", "2027-01-31T00:00:00Z"),
    ] {
        let found = problems(&credential(written));
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].0, "spec.expiresAt");
        let says = format!("in quotes: \"{example}\"");
        assert!(found[0].1.ends_with(&says), "{found:?}");
    }
    let number = problems(&credential("2027"));
    assert_eq!(number.len(), 1, "{number:?}");
    assert!(number[0].1.contains("put it in quotes"), "{number:?}");
    assert_eq!(problems(&credential("2027-01-31T00:00:00Z")), []);
}

#[test]
fn what_acts_on_a_terminal_is_escaped_in_a_report() {
    let text = "apiVersion: llmplane.dev/v1alpha1\nkind: LlmProvider\nmetadata: {name: \"a\\e[31m\", labels: {\"\\e]0;x\\a\": b}}\nspec: {\"ty\\x9bpe\": OpenAI, type: \"\\u202eOpenAI\\n\"}\n";
    let source = Source {
        file: "f\u{1b}.yaml".to_owned(),
        found: false,
        content: parse("f\u{1b}.yaml", text),
    };
    let shown = lint(&[source]).text();
    assert!(shown.lines().count() >= 4, "{shown:?}");
    for line in shown.lines() {
        assert!(line.starts_with("f\\u{1b}.yaml:1:"), "{line:?}");
        assert!(
            !line.contains(|c: char| c.is_control() || c == '\u{202e}'),
            "{line:?}"
        );
    }
}

#[test]
fn a_label_s_problem_stands_at_its_line() {
    let text = provider("{type: OpenAI}").replace(
        "  name: p\n",
        "  name: p\n  labels:\n    a: b\n    example.com/x: '-'\n",
    );
    let report = lint_text(&text);
    assert_eq!(report.problems[0].field, "metadata.labels[example.com/x]");
    assert_eq!(report.problems[0].line, Some(7));
}

#[test]
fn rules_see_defaults() {
    let credential = "apiVersion: llmplane.dev/v1alpha1\nkind: LlmCredential\nmetadata: {name: c}\nspec: {providerRef: {name: p}, secretRef: {name: s, keys: KEYS}}";
    assert_eq!(problems(&credential.replace(", keys: KEYS", "")), []);
    assert_eq!(
        fields(&credential.replace("KEYS", "{}")),
        ["spec.secretRef.keys"]
    );
}

#[test]
fn a_ca_bundle_whose_certificate_is_none_is_refused_on_its_field() {
    let bundle = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
    let found = problems(&endpoint(&format!(
        "caBundle: {}",
        serde_json::json!(bundle)
    )));
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].0, "spec.caBundle");
    assert!(found[0].1.contains("certificate 1"), "{found:?}");
    // What the schema refuses already is said once.
    assert_eq!(fields(&endpoint("caBundle: none")), ["spec.caBundle"]);
}

#[test]
fn urls_that_hide_something_are_refused() {
    for url in [
        "api.openai.com/v1",
        "//api.openai.com",
        "file:///etc/passwd",
        "https:h",
        "https:/h",
        "https://",
        "https:///v1",
        "https://user@api.openai.com",
        "https://user:pw@api.openai.com/v1",
        "https://api.openai.com/v1#f",
        "https://api.openai.com/v1?key=x",
        "https://api.openai.com:0/",
        "https://api.openai.com:65536/",
        "https://api.openai.com:/v1",
        "https://api.openai.com\\@evil.example",
        "https://0x7f000001/",
        "https://2130706433/",
        "https://1.2.3.4.5/",
        "https://a..b/",
        "https://-a.b/",
        " https://a.b/",
        "https://a.b/%zz",
        "HTTPS://a.b",
        "https://a.b/v1\nx",
        "https://[...]",
        "https://[:::::]/",
        "https://[::1::]/",
        "https://[1:2:3:4:5:6:7]/",
        "https://[1:2:3:4:5:6:7:8:9]/",
        "https://[::12345]/",
        "https://[]/",
    ] {
        let text = endpoint(&format!("baseUrl: {}", serde_json::json!(url)));
        assert_eq!(fields(&text), ["spec.baseUrl"], "{url}");
    }
    for url in [
        "https://api.openai.com/v1",
        "http://localhost:11434",
        "http://127.0.0.1:8000/v1/",
        "https://[2001:db8::1]:8443/x",
        "https://[::]/",
        "https://[::1]/",
        "https://[1:2:3:4:5:6:7:8]/",
        "https://[1:2:3:4:5:6:7::]/",
        "https://[1::3:4:5:6:7:8]/",
        "https://my_host.internal/a%20b",
        "https://my.openai.azure.com",
    ] {
        let text = endpoint(&format!("baseUrl: {}", serde_json::json!(url)));
        assert_eq!(problems(&text), [], "{url}");
    }
}

proptest::proptest! {
    #[test]
    fn what_passes_as_a_base_url_is_an_absolute_url_without_extras(
        url in "(https?:/{1,3})?([a-z0-9.@:\\[\\]_%\\\\-]{1,20})(:[0-9]{0,6})?(/[a-z0-9%@?#./]{0,12})?",
    ) {
        let text = endpoint(&format!("baseUrl: {}", serde_json::json!(url)));
        if fields(&text).is_empty() {
            let parsed = url::Url::parse(&url).unwrap();
            proptest::prop_assert!(parsed.host().is_some());
            proptest::prop_assert_eq!(parsed.username(), "");
            proptest::prop_assert_eq!(parsed.password(), None);
            proptest::prop_assert_eq!(parsed.query(), None);
            proptest::prop_assert_eq!(parsed.fragment(), None);
            let scheme = format!("{}://", parsed.scheme());
            proptest::prop_assert!(url.starts_with(&scheme));
        }
    }

    #[test]
    fn what_passes_as_an_address_in_brackets_is_one(address in "[0-9a-f]{0,2}(:{1,2}[0-9a-f]{0,5}){0,8}") {
        let text = endpoint(&format!("baseUrl: 'https://[{address}]/'"));
        let is_address = address.parse::<std::net::Ipv6Addr>().is_ok();
        proptest::prop_assert_eq!(fields(&text).is_empty(), is_address);
    }

    #[test]
    fn what_passes_as_a_glob_compiles(glob in "[a-c*?{},!\\[\\]^. \\\\-]{1,12}") {
        let text = provider(&format!("{{type: OpenAI, modelSync: {{include: [{}]}}}}", serde_json::json!(glob)));
        // A range that runs backwards is the one thing that a pattern cannot see.
        if fields(&text).is_empty() && !glob.contains('[') {
            proptest::prop_assert!(globset::Glob::new(&glob).is_ok());
        }
    }

    #[test]
    fn any_text_is_answered(text in "\\PC{0,300}") {
        lint_text(&text);
    }
}

#[test]
fn headers_that_carry_a_key_or_open_a_door_are_refused() {
    for name in [
        "Authorization",
        "COOKIE",
        "host",
        "Proxy-Authorization",
        "proxy-anything",
        "Connection",
        "Transfer-Encoding",
        "TE",
        "Metadata-Flavor",
        "metadata",
        "X-aws-ec2-metadata-token",
        "X-Api-Key",
        "api-key",
        "a b",
        "a:b",
        "a\nb",
    ] {
        let header = serde_json::json!([{ "name": name, "value": "x" }]);
        let found = fields(&endpoint(&format!("headers: {header}")));
        assert_eq!(found, ["spec.headers[0].name"], "{name}");
    }
    let twice = r#"headers: [{name: X-A, value: "1"}, {name: x-a, value: "2"}]"#;
    assert_eq!(fields(&endpoint(twice)), ["spec.headers"]);
    let same = r#"headers: [{name: X-A, value: "1"}, {name: X-A, value: "2"}]"#;
    assert!(fields(&endpoint(same)).contains(&"spec.headers[1]".to_owned()));
    let value = endpoint(r#"headers: [{name: X-A, value: "1\r\nHost: x"}]"#);
    assert_eq!(fields(&value), ["spec.headers[0].value"]);
}

#[test]
fn a_problem_names_file_document_line_object_and_field() {
    let text = format!(
        "# first\n---\n{}---\n{}",
        provider("\n  type: OpenAI"),
        "apiVersion: llmplane.dev/v1alpha1\nkind: LlmEndpoint\nmetadata:\n  name: e\nspec:\n  providerRef:\n    name: p\n  retry:\n    count: 99\n"
    );
    let report = lint_text(&text);
    assert_eq!(
        report.text(),
        "f.yaml:2:18 LlmEndpoint/e spec.retry.count: write at most 10.0\n".replace("10.0", "10")
    );
    assert_eq!(
        report.summary(),
        "1 error and 0 warnings in 2 objects of 1 file"
    );
}

#[test]
fn every_item_of_a_list_is_judged() {
    let text = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: llmplane.dev/v1alpha1\n  kind: LlmProvider\n  metadata: {name: a}\n  spec: {type: OpenAI}\n- apiVersion: llmplane.dev/v1alpha1\n  kind: LlmProvider\n  metadata: {name: b}\n  spec: {type: Nobody}\n";
    let report = lint_text(text);
    assert_eq!(report.objects, 2);
    assert_eq!(report.problems.len(), 1);
    assert_eq!(report.problems[0].name.as_deref(), Some("b"));
    assert_eq!(report.problems[0].line, Some(11));
}

#[test]
fn a_list_whose_items_are_missing_is_an_error() {
    for text in [
        "apiVersion: v1\nkind: List\nitmes: []\n",
        "apiVersion: v1\nkind: List\nitems: {}\n",
        "apiVersion: llmplane.dev/v1alpha1\nkind: LlmProviderList\n",
    ] {
        assert_eq!(fields(text), ["items"], "{text}");
    }
    let other = "apiVersion: example.com/v1\nkind: AllowList\nmetadata: {name: a}\n";
    assert!(fields(other).is_empty());
}

#[test]
fn nothing_at_all_is_an_error_of_what_was_named() {
    for text in ["", "# nothing\n", "apiVersion: v1\nkind: List\nitems: []\n"] {
        let report = lint(&read_all(&["-".into()], &mut text.as_bytes()));
        assert_eq!(report.text(), "-: holds no object\n", "{text:?}");
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.yaml");
    std::fs::write(&file, "# nothing\n").unwrap();
    let report = lint(&read_all(&[file], &mut std::io::empty()));
    assert_eq!(report.count(Severity::Error), 1, "{}", report.text());
}

#[test]
fn a_folder_may_hold_what_is_no_manifest() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::create_dir(at(".github")).unwrap();
    for (name, text) in [
        (".github/workflow.yaml", "on: push\n"),
        (".hidden.yaml", "a: [\n"),
        ("comments.yaml", "# nothing\n"),
        ("kustomization.yaml", "resources: [p.yaml]\n"),
        ("values.yaml", "replicas: 1\n"),
        ("p.yaml", provider("{type: OpenAI}").as_str()),
    ] {
        std::fs::write(at(name), text).unwrap();
    }
    std::os::unix::fs::symlink(".", at("again")).unwrap();
    let names = [folder.path().to_owned(), at("p.yaml"), at("again/p.yaml")];
    let report = lint(&read_all(&names, &mut std::io::empty()));
    assert_eq!(report.count(Severity::Error), 0, "{}", report.text());
    assert_eq!(report.count(Severity::Warning), 2, "{}", report.text());
    assert_eq!(report.objects, 1);
}

#[test]
fn anchors_and_merges_are_understood() {
    let text = "apiVersion: llmplane.dev/v1alpha1\nkind: LlmProvider\nmetadata: {name: &n a}\nspec:\n  type: OpenAI\n  displayName: *n\n  modelSync:\n    <<: {enabled: true}\n    periodSeconds: 59\n";
    assert_eq!(fields(text), ["spec.modelSync.periodSeconds"]);
}

#[test]
fn a_key_twice_is_an_error_of_the_file() {
    let found = problems("a: 1\na: 2\n");
    assert_eq!(found.len(), 1);
    let message = &found[0].1;
    assert!(message.contains("not valid YAML"), "{message}");
    assert!(message.contains("duplicate mapping key `a`"), "{message}");
    // What whoever calls the library could do.
    assert!(!message.contains("Options"), "{message}");
}

#[test]
fn a_yaml_bomb_is_refused() {
    let mut text = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
    for level in 1..12 {
        let previous = level - 1;
        let aliases = vec![format!("*a{previous}"); 10].join(",");
        text += &format!("a{level}: &a{level} [{aliases}]\n");
    }
    let found = problems(&text);
    assert!(found[0].1.contains("not valid YAML"), "{found:?}");
}

#[test]
fn objects_of_other_groups_are_passed_over() {
    let report = lint_text(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\nspec: {anything: 1}\n",
    );
    assert_eq!((report.objects, report.problems.len()), (0, 0));
}

#[test]
fn an_unknown_kind_or_version_of_the_group_is_an_error() {
    assert_eq!(
        fields("apiVersion: llmplane.dev/v1alpha1\nkind: LLMProvider\nmetadata: {name: a}"),
        ["kind"]
    );
    assert_eq!(
        fields("apiVersion: llmplane.dev/v1\nkind: LlmProvider\nmetadata: {name: a}"),
        ["apiVersion"]
    );
    assert_eq!(fields("just: text"), ["kind"]);
}

#[test]
fn a_kind_of_ours_is_judged_under_any_api_version() {
    for line in [
        "apiVersion: v1alpha1",
        "apiVersion: llmplane.dev",
        "apiVersion: llmplane.io/v1alpha1",
        "apiVersion: 1",
        "apiversion: llmplane.dev/v1alpha1",
        "# none",
    ] {
        let text = provider("{type: OpenAI}").replace("apiVersion: llmplane.dev/v1alpha1", line);
        assert_eq!(fields(&text), ["apiVersion"], "{line}");
    }
    assert_eq!(
        fields("apiVersion: v1alpha1\nkind: LLMProvider\nmetadata: {name: a}"),
        ["kind"]
    );
    assert_eq!(
        fields("kind: Deployment\nmetadata: {name: a}"),
        ["apiVersion"]
    );
}

#[test]
fn names_and_labels_are_checked() {
    let with = |metadata: &str| {
        fields(&format!(
            "apiVersion: llmplane.dev/v1alpha1\nkind: LlmProvider\nmetadata: {metadata}\nspec: {{type: OpenAI}}"
        ))
    };
    assert_eq!(with("{}"), ["metadata.name"]);
    assert_eq!(with("{name: A_b}"), ["metadata.name"]);
    assert_eq!(with("{name: a, namespace: a.b}"), ["metadata.namespace"]);
    assert_eq!(
        with("{name: a, labels: {x: 'a b'}}"),
        ["metadata.labels[x]"]
    );
    assert_eq!(with("{name: a, labels: {x: 1}}"), ["metadata.labels[x]"]);
    assert_eq!(with("{name: a, nmae: b}"), ["metadata.nmae"]);
    assert_eq!(with("{name: a, clusterName: b}"), ["metadata.clusterName"]);
    for prefix in ["A-", "-", "a.", "a_b-", "é-"] {
        let found = with(&format!("{{generateName: '{prefix}'}}"));
        assert_eq!(found, ["metadata.generateName"], "{prefix}");
    }
    assert_eq!(with("{generateName: ''}"), ["metadata.name"]);
    assert!(with("{generateName: a-, annotations: {llmplane.dev/x: 'any text'}}").is_empty());
}

#[test]
fn an_object_twice_is_an_error() {
    let text = provider("{type: OpenAI}");
    assert_eq!(fields(&format!("{text}---\n{text}")), ["metadata.name"]);
}

#[test]
fn references_are_resolved_among_the_files() {
    let text = format!(
        "{}---\n{}",
        provider("{type: OpenAI}"),
        endpoint("region: a")
    )
    .replace("providerRef: {name: p}", "providerRef: {name: pp}");
    let report = lint_text(&text);
    assert_eq!(report.count(Severity::Error), 0);
    assert_eq!(report.problems.len(), 1);
    assert_eq!(report.problems[0].field, "spec.providerRef.name");
    assert!(report.problems[0].message.contains("did you mean \"p\"?"));
}

#[test]
fn a_secret_is_checked_and_its_data_never_shown() {
    let canary = "sk-canary-0123456789";
    let secret = format!(
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: s\n  labels: {{llmplane.dev/credential: OpenAi}}\n  annotations: {{llmplane.dev/allowed-hosts: '*.azure.com'}}\nstringData: {{key: {canary}}}\n"
    );
    let credential = "apiVersion: llmplane.dev/v1alpha1\nkind: LlmCredential\nmetadata: {name: c}\nspec: {providerRef: {name: p}, secretRef: {name: s}}";
    let text = format!(
        "{}---\n{secret}---\n{credential}",
        provider("{type: OpenAI}")
    );
    let report = lint_text(&text);
    let found: Vec<&str> = report.problems.iter().map(|p| p.field.as_str()).collect();
    assert_eq!(
        found,
        [
            "metadata.labels[llmplane.dev/credential]",
            "metadata.annotations[llmplane.dev/allowed-hosts]",
            "spec.secretRef.name",
            "spec.secretRef.name",
        ]
    );
    let broken = lint_text(&format!("{secret}  bad indent: [\n"));
    assert!(!broken.problems.is_empty());
    for report in [report, broken] {
        let all = format!("{report:?}{}", report.text());
        assert!(!all.contains(canary), "{all}");
    }
}

#[test]
fn what_init_prints_is_good_for_every_type() {
    use crate::cli::init::{manifests, uncommented};
    use crate::crd::ProviderType;
    for provider_type in ProviderType::ALL {
        let keyless = matches!(provider_type, ProviderType::Ollama | ProviderType::VLLM);
        for namespace in [None, Some("team-a")] {
            let text = manifests(provider_type, "first", namespace).unwrap();
            let report = lint_text(&text);
            assert_eq!(report.text(), "", "{provider_type}\n{text}");
            let objects = if keyless { 3 } else { 5 };
            assert_eq!(report.objects, objects, "{provider_type}");
            if keyless {
                let text = uncommented(&text);
                let report = lint_text(&text);
                assert_eq!(report.text(), "", "{provider_type}\n{text}");
                assert_eq!(report.objects, 5, "{provider_type}");
                assert!(text.contains("\n    credentialRef:\n"), "{text}");
            }
        }
    }
}

#[test]
fn parameters_that_are_nested_too_deeply_are_found_as_the_controller_finds_them() {
    let model = |levels: usize| {
        format!(
            "apiVersion: llmplane.dev/v1alpha1\nkind: LlmModel\nmetadata:\n  name: m\nspec: {{providerRef: {{name: p}}, modelId: m, defaultParameters: {}{}}}\n",
            "{a: ".repeat(levels - 1) + "{",
            "}".repeat(levels)
        )
    };
    assert_eq!(fields(&model(32)), [""; 0]);
    assert_eq!(fields(&model(33)), ["spec.defaultParameters"]);
}

#[test]
fn parameters_that_are_too_long_are_found_as_the_controller_finds_them() {
    let model = |bytes: usize| {
        let filler = "x".repeat(bytes / 2 - r#"{"a":"","#.len());
        format!(
            "apiVersion: llmplane.dev/v1alpha1\nkind: LlmModel\nmetadata:\n  name: m\nspec: {{providerRef: {{name: p}}, modelId: m, defaultParameters: {{a: {filler}, b: {filler}}}}}\n"
        )
    };
    assert_eq!(fields(&model(16_384)), [""; 0]);
    assert_eq!(fields(&model(16_400)), ["spec.defaultParameters"]);
}
