//! The same verdict as the apiserver, offline, from nothing but the generated CRDs.
//!
//! [`documents`] reads files into objects with line numbers, for which `stream` splits them as kubectl
//! does and `node` reads one document; [`schema`] judges one object as the apiserver would,
//! `ways_to_apply` finds what one way of applying takes and another refuses, [`metadata`] looks at names,
//! labels and Secrets, [`references`] at what the objects say of each other, [`report`] prints.
//! Nothing here calls out, and no value of a Secret is ever shown.

pub mod documents;
mod explain;
pub mod metadata;
mod node;
pub mod references;
pub mod report;
pub mod schema;
mod stream;
#[cfg(test)]
mod tests;
mod ways_to_apply;

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use crate::crd::{GROUP, Kind, ca_bundle, model::parameters_out_of_bounds};

use documents::{Document, Source};
use references::Elsewhere;
use report::{Problem, Report, Severity};
use schema::{Schemas, Violation};

/// Judges everything that was read.
///
/// Objects of other groups are passed over, but for Secrets and ServiceAccounts that concern a credential.
pub fn lint(sources: &[Source]) -> Report {
    lint_beside(sources, &|_, _, _| false)
}

/// The same, where other objects are there beside the files: what refers to them is in order.
pub fn lint_beside(sources: &[Source], elsewhere: Elsewhere<'_>) -> Report {
    let schemas = Schemas::generated();
    let mut report = Report::default();
    let mut objects = Vec::new();
    for source in sources {
        report.files += 1;
        let (ours, strangers): (Vec<_>, Vec<_>) = (source.content.documents.iter())
            .filter(|d| concerns_us(d))
            .partition(|d| !source.found || says_what_it_is(d));
        objects.extend(ours);
        report
            .problems
            .extend(strangers.into_iter().map(passed_over));
        let unreadable = source.content.errors.iter();
        report
            .problems
            .extend(unreadable.map(|error| Problem::of_file(source, error)));
    }
    report.objects = objects.len();
    for object in &objects {
        let errors = one_a_field(judge(schemas, object));
        let wrong: HashSet<&str> = errors.iter().map(|error| error.field.as_str()).collect();
        let mut warnings = match schemas.find(object.api_version(), object.kind().unwrap_or("")) {
            Ok(schema) => ways_to_apply::differences(schema, object),
            Err(_) => Vec::new(),
        };
        warnings.retain(|warning| !wrong.contains(warning.field.as_str()));
        let problem = |severity| move |violation| Problem::new(severity, object, violation);
        let errors = errors.into_iter().map(problem(Severity::Error));
        report.problems.extend(errors);
        let warnings = warnings.into_iter().map(problem(Severity::Warning));
        report.problems.extend(warnings);
    }
    duplicates(&objects, &mut report);
    references::check(&objects, elsewhere, &mut report);
    report.problems.sort_by(|a, b| a.place().cmp(&b.place()));
    report
}

/// What breaks both a pattern and a format is said once, by the format: it says what to write.
fn one_a_field(mut violations: Vec<Violation>) -> Vec<Violation> {
    let formats: HashSet<String> = violations
        .iter()
        .filter(|violation| violation.keyword == "format")
        .map(|violation| violation.field.clone())
        .collect();
    violations.retain(|it| it.keyword != "pattern" || !formats.contains(&it.field));
    violations
}

/// A folder also holds what is no manifest: values of a chart, a kustomization without its kind.
fn says_what_it_is(document: &Document) -> bool {
    document.api_version().is_some() || document.kind().is_some()
}

fn passed_over(document: &Document) -> Problem {
    let message = "passed over: it has neither apiVersion nor kind";
    let violation = Violation::new("kind", message);
    Problem::new(Severity::Warning, document, violation)
}

/// One of our kinds concerns us under any `apiVersion`: a wrong one is a mistake, not another
/// group's object. So does what does not say what it is.
fn concerns_us(document: &Document) -> bool {
    let is_our_kind = |kind: &str| {
        let mut ours = Schemas::generated().kinds();
        ours.any(|our| our.eq_ignore_ascii_case(kind))
    };
    document.group() == Some(GROUP)
        || document.is_secret()
        || document.is_service_account()
        || document.is_list_without_items()
        || document.api_version().is_none()
        || document.kind().is_none_or(is_our_kind)
}

fn judge(schemas: &Schemas, object: &Document) -> Vec<Violation> {
    let Some(kind) = object.kind() else {
        return vec![Violation::new(
            "kind",
            "write apiVersion and kind: without them nobody knows what this document is",
        )];
    };
    if object.is_list_without_items() {
        let message = "list the objects here: there are none in this list";
        return vec![Violation::new("items", message)];
    }
    if object.is_secret() {
        return metadata::check_secret(object);
    }
    if object.is_service_account() {
        return metadata::check_hosts(object);
    }
    match schemas.find(object.api_version(), kind) {
        Ok(schema) => {
            let mut violations = metadata::check(object);
            violations.extend(schema.violations(&object.value));
            let parameters = (object.value.get("spec")).and_then(parameters_out_of_bounds);
            violations.extend(parameters.map(|why| Violation::new("spec.defaultParameters", why)));
            if kind == Kind::Endpoint.kubernetes()
                && violations.iter().all(|v| v.field != CA_BUNDLE)
            {
                violations.extend(bad_ca_bundle(object));
            }
            violations
        }
        Err(unknown) => vec![unknown],
    }
}

/// The field of an endpoint's own certificates.
const CA_BUNDLE: &str = "spec.caBundle";

/// Certificates that the schema's rules take and that are none: the controller would refuse them.
fn bad_ca_bundle(endpoint: &Document) -> Option<Violation> {
    let bundle = endpoint.value.pointer("/spec/caBundle");
    let why = ca_bundle::certificates(bundle.and_then(Value::as_str)?).err()?;
    Some(Violation::new(CA_BUNDLE, why.to_string()))
}

fn duplicates(objects: &[&Document], report: &mut Report) {
    let mut seen: HashMap<(&str, Option<&str>, &str), &Document> = HashMap::new();
    for object in objects {
        let (Some(kind), Some(name)) = (object.kind(), object.name()) else {
            continue;
        };
        let Some(first) = seen.insert((kind, object.namespace(), name), object) else {
            continue;
        };
        let message = format!(
            "{kind}/{name} is declared already at {}:{}; keep one of the two",
            first.file, first.document
        );
        seen.insert((kind, object.namespace(), name), first);
        report.problems.push(Problem::new(
            Severity::Error,
            object,
            Violation::new("metadata.name", message),
        ));
    }
}
