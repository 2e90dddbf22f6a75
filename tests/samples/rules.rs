//! Every rule of the schemas, found by walking them from their roots, has a sample that breaks it.

use std::collections::BTreeSet;

use llmplane::crd::crds;
use serde_json::{Map, Value};

use super::invalid::{invalid_samples, judged};

/// A rule of a schema.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rule {
    kind: String,
    /// With `[]` for any item. Of `unknown`, the object in which it is.
    field: String,
    keyword: String,
    /// Of a CEL rule alone.
    message: String,
}

#[test]
fn every_rule_has_a_sample_that_breaks_it() {
    let mut walk = Walk::default();
    for crd in crds() {
        let schema = crd.spec.versions[0].schema.as_ref().unwrap();
        let schema = serde_json::to_value(schema.open_api_v3_schema.as_ref().unwrap()).unwrap();
        walk.kind.clone_from(&crd.spec.names.kind);
        walk.schema("", &schema);
    }
    let broken = broken_by_samples();
    let untested: Vec<&Rule> = walk.rules.difference(&broken).collect();
    assert!(untested.is_empty(), "rules without a sample: {untested:#?}");
    let found = walk.rules.len();
    assert!(found > 280, "only {found} rules were found");
}

fn broken_by_samples() -> BTreeSet<Rule> {
    let samples = invalid_samples();
    let mut broken = BTreeSet::new();
    for (sample, violations) in samples.iter().zip(judged(&samples)) {
        for violation in violations {
            let field = without_indexes(&violation.field);
            broken.insert(Rule {
                kind: sample.kind().to_owned(),
                field: match violation.keyword {
                    "unknown" => parent(&field).to_owned(),
                    _ => field,
                },
                keyword: violation.keyword.to_owned(),
                message: match violation.keyword {
                    "x-kubernetes-validations" => violation.message,
                    _ => String::new(),
                },
            });
        }
    }
    broken
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

fn parent(field: &str) -> &str {
    field.rsplit_once('.').map_or("", |(parent, _)| parent)
}

fn below(path: &str, name: &str) -> String {
    match path {
        "" => name.to_owned(),
        path => format!("{path}.{name}"),
    }
}

/// Collects the rules of a kind. A keyword that it does not know ends it: whether that is a rule,
/// somebody has to say here.
#[derive(Default)]
struct Walk {
    kind: String,
    rules: BTreeSet<Rule>,
}

impl Walk {
    fn rule(&mut self, field: impl Into<String>, keyword: &str, message: &str) {
        self.rules.insert(Rule {
            kind: self.kind.clone(),
            field: field.into(),
            keyword: keyword.to_owned(),
            message: message.to_owned(),
        });
    }

    fn schema(&mut self, path: &str, schema: &Value) {
        let schema = schema.as_object().unwrap();
        for (keyword, value) in schema {
            self.keyword(path, schema, keyword, value);
        }
    }

    fn keyword(&mut self, path: &str, schema: &Map<String, Value>, keyword: &str, value: &Value) {
        match keyword {
            "title" | "description" | "default" => {}
            // Of the list's type; and how two appliers share an object, which refuses nothing.
            "x-kubernetes-list-map-keys" | "x-kubernetes-map-type" => {}
            // What is no object at all has no kind either.
            "type" if path.is_empty() => {}
            "type" | "enum" | "minimum" | "maximum" | "minLength" | "maxLength" | "pattern"
            | "minItems" | "maxItems" | "minProperties" | "maxProperties" => {
                self.rule(path, keyword, "");
            }
            "format" => self.format(path, schema, value.as_str().unwrap()),
            "required" => {
                for name in value.as_array().unwrap() {
                    self.rule(below(path, name.as_str().unwrap()), keyword, "");
                }
            }
            "x-kubernetes-list-type" => match value.as_str().unwrap() {
                "map" | "set" => self.rule(format!("{path}[]"), keyword, ""),
                "atomic" => {}
                other => panic!("{} {path}: a list of type {other}", self.kind),
            },
            "x-kubernetes-validations" => {
                for rule in value.as_array().unwrap() {
                    self.cel(path, rule.as_object().unwrap());
                }
            }
            // Any key is taken; in the samples it is this one.
            "additionalProperties" if path.ends_with("matchLabels") => {
                self.schema(&below(path, "stage"), value);
            }
            // Bounds of values that may be anything: `defaultParameters` is bounded as a whole, by lint, the
            // controller and the admission policy.
            "additionalProperties" => assert!(path.ends_with("defaultParameters"), "{path}"),
            // Any field is taken: there is no rule below.
            "x-kubernetes-preserve-unknown-fields" => assert_eq!(*value, true),
            "properties" => {
                self.rule(path, "unknown", "");
                for (name, schema) in value.as_object().unwrap() {
                    // Who creates an object has no say in its status: the apiserver drops it.
                    if path.is_empty() && name == "status" {
                        continue;
                    }
                    self.schema(&below(path, name), schema);
                }
            }
            "items" => self.schema(&format!("{path}[]"), value),
            other => panic!(
                "{} {path}: whether {other} is a rule is not known",
                self.kind
            ),
        }
    }

    fn format(&mut self, path: &str, schema: &Map<String, Value>, format: &str) {
        let within = |least: f64, most: f64| {
            let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
            bound("minimum").is_some_and(|bound| bound >= least)
                && bound("maximum").is_some_and(|bound| bound <= most)
        };
        match format {
            "date-time" => self.rule(path, "format", ""),
            // The bounds, which are rules of their own, say more.
            "int32" => assert!(within(i32::MIN.into(), i32::MAX.into()), "{path}"),
            // Beyond 2^53 two numbers of JSON may be one.
            "int64" => assert!(within(-(2_f64.powi(53)), 2_f64.powi(53)), "{path}"),
            other => panic!("{} {path}: the format {other}", self.kind),
        }
    }

    fn cel(&mut self, path: &str, rule: &Map<String, Value>) {
        for part in rule.keys() {
            let known = ["rule", "message", "fieldPath"].contains(&part.as_str());
            assert!(known, "{} {path}: {part} of a rule", self.kind);
        }
        let at = rule.get("fieldPath").and_then(Value::as_str);
        let message = rule.get("message").and_then(Value::as_str);
        let message = message.expect("every rule says what to do");
        let field = format!("{path}{}", at.unwrap_or_default());
        let field = field.trim_start_matches('.');
        self.rule(field, "x-kubernetes-validations", message);
    }
}
