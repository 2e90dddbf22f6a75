//! The samples, judged offline and by a real apiserver, which have to agree; and each rule of the
//! schemas, which has to have a sample that breaks it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use llmplane::crd::crds;
use llmplane::lint;
use llmplane::lint::documents::{Document, parse, read_all};
use llmplane::lint::report::Severity;
use llmplane::lint::schema::{Schemas, Violation};
use serde_json::{Value, json};

use crate::support::plane::Plane;

/// What a sample's first line says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Expected {
    Taken,
    Refused { field: String, says: String },
    RefusedAsUpdate { field: String, says: String },
}

struct Sample {
    place: String,
    expected: Expected,
    object: Document,
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("manifests/samples")
        .join(name)
}

/// Each document of `invalid/` with what its first line says.
fn invalid_samples() -> Vec<Sample> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder("invalid"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    let mut samples = Vec::new();
    for path in paths {
        let text = fs::read_to_string(&path).unwrap();
        for (index, document) in text.split("\n---\n").enumerate() {
            let file = path.file_name().unwrap().to_string_lossy();
            let place = format!("{file}:{}", index + 1);
            let mut objects = parse(&place, document).unwrap();
            assert_eq!(objects.len(), 1, "{place}");
            samples.push(Sample {
                expected: expectation(&place, document.lines().next().unwrap()),
                object: objects.remove(0),
                place,
            });
        }
    }
    assert!(samples.len() > 150, "only {} samples", samples.len());
    samples
}

fn expectation(place: &str, line: &str) -> Expected {
    if line == "# taken" {
        return Expected::Taken;
    }
    let split = |rest: &str| match rest.split_once(" contains ") {
        Some((field, says)) => (field.to_owned(), serde_json::from_str(says).unwrap()),
        None => (rest.to_owned(), String::new()),
    };
    if let Some(rest) = line.strip_prefix("# refused as an update: ") {
        let (field, says) = split(rest);
        Expected::RefusedAsUpdate { field, says }
    } else if let Some(rest) = line.strip_prefix("# refused: ") {
        let (field, says) = split(rest);
        Expected::Refused { field, says }
    } else {
        panic!("{place}: the first line has to say `# refused: <field>`, not {line:?}")
    }
}

/// What lint finds in each sample; the one before is what an update starts from.
fn judged(samples: &[Sample]) -> Vec<Vec<Violation>> {
    let mut before: Option<&Sample> = None;
    let mut all = Vec::new();
    for sample in samples {
        let kind = sample.object.kind().unwrap();
        let api_version = sample.object.api_version();
        let schema = Schemas::generated().find(api_version, kind).unwrap();
        let old = match sample.expected {
            Expected::RefusedAsUpdate { .. } => Some(&before.unwrap().object.value),
            _ => None,
        };
        all.push(schema.violations_of_update(&sample.object.value, old));
        before = Some(sample);
    }
    all
}

#[test]
fn lint_takes_every_valid_sample() {
    let sources = read_all(&[folder("valid")], &mut std::io::empty());
    let report = lint::lint(&sources);
    assert_eq!(report.text(), "");
    assert!(report.objects >= 45, "{} objects", report.objects);
}

#[test]
fn lint_refuses_every_invalid_sample_on_its_field() {
    let samples = invalid_samples();
    for (sample, violations) in samples.iter().zip(judged(&samples)) {
        let (field, says) = match &sample.expected {
            Expected::Taken => {
                assert_eq!(violations, [], "{}", sample.place);
                continue;
            }
            Expected::Refused { field, says } | Expected::RefusedAsUpdate { field, says } => {
                (field, says)
            }
        };
        let on_field = violations
            .iter()
            .any(|v| v.field == *field && v.message.to_lowercase().contains(&says.to_lowercase()));
        let elsewhere = violations
            .iter()
            .any(|v| !v.field.starts_with(field.as_str()));
        assert!(
            on_field && !elsewhere,
            "{}: expected {:?}, lint says {violations:#?}",
            sample.place,
            sample.expected
        );
    }
}

#[test]
fn the_lint_command_prints_the_field_of_an_invalid_sample() {
    let path = folder("invalid").join("words.yaml");
    let report = lint::lint(&read_all(&[path], &mut std::io::empty()));
    assert_eq!(report.count(Severity::Error), 6, "{}", report.text());
    assert!(report.text().contains(" LlmProvider/words-1 spec.type: "));
}

/// A rule of a schema: kind, field with `[]` for any item, keyword, and for a CEL rule its message.
type Rule = (String, String, String, String);

#[test]
fn every_rule_has_a_sample_that_breaks_it() {
    let mut rules = BTreeSet::new();
    for crd in crds() {
        let schema = crd.spec.versions[0].schema.as_ref().unwrap();
        let schema = serde_json::to_value(schema.open_api_v3_schema.as_ref().unwrap()).unwrap();
        let kind = &crd.spec.names.kind;
        if schema["required"] == json!(["spec"]) {
            rules.insert(rule(kind, "spec", "required", ""));
        }
        collect_rules(kind, "spec", &schema["properties"]["spec"], &mut rules);
    }
    let samples = invalid_samples();
    let mut broken = BTreeSet::new();
    for (sample, violations) in samples.iter().zip(judged(&samples)) {
        for violation in violations {
            let message = match violation.keyword {
                "x-kubernetes-validations" => violation.message.as_str(),
                _ => "",
            };
            let field = without_indexes(&violation.field);
            broken.insert(rule(
                sample.object.kind().unwrap(),
                &field,
                violation.keyword,
                message,
            ));
        }
    }
    let untested: Vec<&Rule> = rules.difference(&broken).collect();
    assert!(untested.is_empty(), "rules without a sample: {untested:#?}");
    assert!(rules.len() > 120, "only {} rules were found", rules.len());
}

fn rule(kind: &str, field: &str, keyword: &str, message: &str) -> Rule {
    let [kind, field, keyword, message] = [kind, field, keyword, message].map(str::to_owned);
    (kind, field, keyword, message)
}

fn without_indexes(field: &str) -> String {
    let mut out = String::new();
    for part in field.split_inclusive(']') {
        match part.rsplit_once('[') {
            Some((before, _)) => out += &format!("{before}[]"),
            None => out += part,
        }
    }
    out
}

fn collect_rules(kind: &str, path: &str, schema: &Value, rules: &mut BTreeSet<Rule>) {
    for (keyword, value) in schema.as_object().unwrap() {
        match keyword.as_str() {
            "enum" | "minimum" | "maximum" | "minLength" | "maxLength" | "pattern" | "minItems"
            | "maxItems" | "minProperties" | "maxProperties" => {
                rules.insert(rule(kind, path, keyword, ""));
            }
            "format" if value == "date-time" => {
                rules.insert(rule(kind, path, keyword, ""));
            }
            "required" => {
                for name in value.as_array().unwrap() {
                    let field = format!("{path}.{}", name.as_str().unwrap());
                    rules.insert(rule(kind, &field, keyword, ""));
                }
            }
            "x-kubernetes-list-type" if value == "map" || value == "set" => {
                rules.insert(rule(kind, &format!("{path}[]"), keyword, ""));
            }
            "x-kubernetes-validations" => {
                for cel in value.as_array().unwrap() {
                    let field = format!("{path}{}", cel["fieldPath"].as_str().unwrap_or_default());
                    let message = cel["message"].as_str().expect("every rule says what to do");
                    rules.insert(rule(kind, &field, keyword, message));
                }
            }
            "properties" => {
                for (name, schema) in value.as_object().unwrap() {
                    collect_rules(kind, &format!("{path}.{name}"), schema, rules);
                }
            }
            "items" => collect_rules(kind, &format!("{path}[]"), value, rules),
            _ => {}
        }
    }
}

#[tokio::test]
async fn the_apiserver_takes_every_valid_sample() {
    let plane = Plane::shared().await;
    let namespace = plane.namespace("valid").await;
    let folder = folder("valid").to_string_lossy().into_owned();
    let args = [
        "apply",
        "--validate=strict",
        "--namespace",
        &namespace.name,
        "-f",
        &folder,
    ];
    let applied = plane.kubectl(&args).await;
    let said = String::from_utf8_lossy(&applied.stderr);
    assert!(applied.status.success(), "{said}");
    assert!(!said.contains("Warning"), "{said}");
}

#[tokio::test]
async fn the_apiserver_refuses_every_invalid_sample_on_the_same_field() {
    let plane = Plane::shared().await;
    let namespace = plane.namespace("invalid").await;
    let client = plane.client().await;
    let mut wrong = Vec::new();
    for sample in invalid_samples() {
        let answer = match sample.expected {
            Expected::RefusedAsUpdate { .. } => {
                replace(&client, &namespace.name, &sample.object).await
            }
            _ => create(&client, &namespace.name, &sample.object).await,
        };
        if let Err(difference) = as_expected(&sample.expected, answer) {
            wrong.push(format!("{}: {difference}", sample.place));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Whether the apiserver's answer is the one that the sample's first line says.
fn as_expected(expected: &Expected, answer: kube::Result<Value>) -> Result<(), String> {
    let (field, says) = match expected {
        Expected::Taken => return answer.map(drop).map_err(|e| e.to_string()),
        Expected::Refused { field, says } | Expected::RefusedAsUpdate { field, says } => {
            (field.as_str(), says.to_lowercase())
        }
    };
    let status = match answer {
        Err(kube::Error::Api(status)) => status,
        Err(other) => return Err(other.to_string()),
        Ok(_) => return Err("taken".to_owned()),
    };
    let shown: String = status.message.chars().take(600).collect();
    if status.code == 400
        && status
            .message
            .contains(&format!("unknown field \"{field}\""))
    {
        return Ok(());
    }
    let causes = status.details.map(|d| d.causes).unwrap_or_default();
    let named = causes
        .iter()
        .any(|c| c.field == field && c.message.to_lowercase().contains(&says));
    // Where an object is malformed the apiserver adds that it looked at no rule, on no field.
    let elsewhere = causes
        .iter()
        .find(|c| !c.field.starts_with(field) && c.field != "<nil>");
    match elsewhere {
        None if named && status.code == 422 => Ok(()),
        _ => Err(format!(
            "expected {field} {says:?}, got {}: {shown}",
            status.code
        )),
    }
}

/// Creates an object strictly: an unknown field is an error.
async fn create(client: &kube::Client, namespace: &str, object: &Document) -> kube::Result<Value> {
    let path = format!("{}?fieldValidation=Strict", collection(namespace, object));
    let body = serde_json::to_vec(&object.value).unwrap();
    client
        .request(http::Request::post(path).body(body).unwrap())
        .await
}

async fn replace(client: &kube::Client, namespace: &str, object: &Document) -> kube::Result<Value> {
    let path = format!(
        "{}/{}",
        collection(namespace, object),
        object.name().unwrap()
    );
    let current: Value = client
        .request(http::Request::get(&path).body(Vec::new()).unwrap())
        .await?;
    let mut value = object.value.clone();
    value["metadata"]["resourceVersion"] = current["metadata"]["resourceVersion"].clone();
    let body = serde_json::to_vec(&value).unwrap();
    client
        .request(http::Request::put(path).body(body).unwrap())
        .await
}

fn collection(namespace: &str, object: &Document) -> String {
    let plural = format!("{}s", object.kind().unwrap().to_lowercase());
    let api_version = object.api_version().unwrap();
    format!("/apis/{api_version}/namespaces/{namespace}/{plural}")
}
