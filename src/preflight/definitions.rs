//! The custom resource definitions against those of this release.

use std::collections::BTreeSet;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, CustomResourceDefinitionVersion,
};
use kube::{Api, Client, ResourceExt};
use serde_json::Value;

use super::report::Report;
use super::said;
use super::values::Values;
use crate::crd::crds;
use crate::crd::json_schema::of_version;

const APPLY: &str = "llmplane crds | kubectl apply --server-side -f -";
/// Fields that a line names at most.
const NAMED: usize = 3;

/// How a definition differs from this release's.
#[derive(Debug, Default, PartialEq, Eq)]
struct Difference {
    /// Fields that only this release has.
    lacks: BTreeSet<String>,
    /// Fields that this release does not have.
    beyond: BTreeSet<String>,
    /// Whether a rule, a limit or anything else is another.
    other: bool,
}

pub(super) async fn check(client: &Client, values: &Values, report: &mut Report) {
    const CHECK: &str = "definitions";
    let installs = values.is_on(&["crds", "install"]);
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let (mut there, mut absent, mut older, mut newer) = (0, Vec::new(), Vec::new(), Vec::new());
    for ours in crds() {
        let kind = ours.spec.names.kind.clone();
        let theirs = match api.get_opt(&ours.name_any()).await {
            Ok(Some(theirs)) => theirs,
            Ok(None) => {
                absent.push(kind);
                continue;
            }
            Err(error) => {
                let remedy = "let the account get customresourcedefinitions";
                return report.warn(
                    CHECK,
                    format!("they cannot be read: {}", said(&error)),
                    remedy,
                );
            }
        };
        there += 1;
        let difference = difference(&ours, &theirs);
        if !difference.beyond.is_empty() {
            newer.push(format!("{kind} has {}", names(&difference.beyond)));
        } else if !difference.lacks.is_empty() {
            older.push(format!("{kind} lacks {}", names(&difference.lacks)));
        } else if difference.other {
            older.push(format!("{kind} has other rules"));
        }
    }
    if !newer.is_empty() {
        return report.fail(
            CHECK,
            format!("they are of a newer release: {}", newer.join("; ")),
            "install that release or a newer one: this one would take fields away from what is declared",
        );
    }
    if there == 0 {
        return match installs {
            true => report.ok(
                CHECK,
                "there are none yet; the chart and manifests/base bring them",
            ),
            false => report.fail(
                CHECK,
                "there are none, and crds.install is false",
                format!("apply them first: {APPLY}"),
            ),
        };
    }
    let old: Vec<String> = absent
        .into_iter()
        .map(|kind| format!("{kind} is missing"))
        .chain(older)
        .collect();
    match (old.is_empty(), installs) {
        (true, _) => report.ok(CHECK, format!("all {there} are this release's")),
        (false, true) => report.warn(
            CHECK,
            format!("they are of an older release: {}", old.join("; ")),
            "helm upgrade brings this release's, and so does kubectl apply -k manifests/base",
        ),
        (false, false) => report.fail(
            CHECK,
            format!(
                "they are of an older release, and crds.install is false: {}",
                old.join("; ")
            ),
            format!("apply this release's first: {APPLY}"),
        ),
    }
}

fn names(fields: &BTreeSet<String>) -> String {
    let named: Vec<&str> = fields.iter().take(NAMED).map(String::as_str).collect();
    let more = fields.len() - named.len();
    match more {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

fn difference(ours: &CustomResourceDefinition, theirs: &CustomResourceDefinition) -> Difference {
    let mut found = Difference::default();
    for version in &ours.spec.versions {
        let same = |other: &&CustomResourceDefinitionVersion| other.name == version.name;
        let Some(other) = theirs.spec.versions.iter().find(same) else {
            found.lacks.insert(format!("version {}", version.name));
            continue;
        };
        let (ours, theirs) = (of_version(version), of_version(other));
        let (own_fields, their_fields) = (fields(&ours), fields(&theirs));
        found
            .lacks
            .extend(own_fields.difference(&their_fields).cloned());
        found
            .beyond
            .extend(their_fields.difference(&own_fields).cloned());
        found.other |= ours != theirs;
    }
    found
}

/// Paths of all fields, and of each word that a field takes.
fn fields(schema: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    walk(schema, "", &mut found);
    found
}

fn walk(schema: &Value, path: &str, found: &mut BTreeSet<String>) {
    let words = schema["enum"].as_array().into_iter().flatten();
    found.extend(
        words
            .filter_map(Value::as_str)
            .map(|word| format!("{path}={word}")),
    );
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let path = match path {
            "" => name.clone(),
            path => format!("{path}.{name}"),
        };
        found.insert(path.clone());
        walk(property, &path, found);
    }
    for inner in ["items", "additionalProperties"] {
        if schema[inner].is_object() {
            walk(&schema[inner], &format!("{path}[]"), found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn without(kind: &str, path: &str) -> (CustomResourceDefinition, CustomResourceDefinition) {
        let ours = crds().into_iter().find(|it| it.spec.names.kind == kind);
        let ours = ours.expect("it is one of ours");
        let mut theirs = serde_json::to_value(&ours).unwrap();
        let root = &mut theirs["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        let (parent, name) = path.rsplit_once('/').unwrap();
        let parent = root.pointer_mut(parent).unwrap();
        parent.as_object_mut().unwrap().remove(name).unwrap();
        (ours, serde_json::from_value(theirs).unwrap())
    }

    #[test]
    fn a_definition_without_a_field_is_older_and_one_with_more_is_newer() {
        let (ours, theirs) = without("LlmModel", "/properties/spec/properties/contextWindow");
        let older = difference(&ours, &theirs);
        assert_eq!(Vec::from_iter(&older.lacks), ["spec.contextWindow"]);
        assert!(older.beyond.is_empty());
        let newer = difference(&theirs, &ours);
        assert_eq!(Vec::from_iter(&newer.beyond), ["spec.contextWindow"]);
        assert_eq!(difference(&ours, &ours), Difference::default());
    }

    #[test]
    fn a_rule_that_is_another_is_a_difference() {
        let (ours, theirs) = without("LlmModel", "/properties/spec/properties/modelId/maxLength");
        let found = difference(&ours, &theirs);
        assert!(found.other && found.lacks.is_empty() && found.beyond.is_empty());
    }
}
