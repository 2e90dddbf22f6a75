//! The samples, judged offline, by a real apiserver and through a real kubectl, which have to agree;
//! and each rule of the schemas, which has to have a sample that breaks it.

mod cluster;
mod invalid;
mod json_schemas;
mod rules;

use std::path::{Path, PathBuf};

use llmplane::lint::documents::{ReadError, read_all};
use llmplane::lint::report::Severity;
use llmplane::lint::{self, schema::Violation};

use invalid::{Expected, Sample, invalid_samples, judged};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("manifests/samples")
        .join(name)
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
        lint_says_what_is_expected(sample, &violations);
    }
}

fn lint_says_what_is_expected(sample: &Sample, violations: &[Violation]) {
    let place = &sample.place;
    let refusal = match &sample.expected {
        Expected::Taken => return assert_eq!(violations, [], "{place}"),
        Expected::Unreadable { line, .. } => {
            let error = sample.object.as_ref().unwrap_err();
            let at = matches!(error, ReadError::Yaml { line: Some(at), .. } if at == line);
            return assert!(at, "{place}: {error:?}");
        }
        Expected::Refused(refusal) | Expected::RefusedAsUpdate(refusal) => refusal,
    };
    let named = violations
        .iter()
        .any(|v| refusal.is_said_by(&v.field, &v.message));
    let elsewhere = violations.iter().any(|v| !refusal.covers(&v.field));
    assert!(
        named && !elsewhere,
        "{place}: expected {refusal:?}, lint says {violations:#?}"
    );
    // A field may have several rules: what is said tells which of them refused.
    let by_rule = violations
        .iter()
        .all(|v| v.keyword == "x-kubernetes-validations");
    assert!(
        !by_rule || !refusal.says.is_empty(),
        "{place}: write what its rule says: {violations:#?}"
    );
}

#[test]
fn the_lint_command_prints_the_field_of_an_invalid_sample() {
    let path = folder("invalid").join("words.yaml");
    let report = lint::lint(&read_all(&[path], &mut std::io::empty()));
    assert_eq!(report.count(Severity::Error), 6, "{}", report.text());
    assert!(report.text().contains(" LlmProvider/words-1 spec.type: "));
}
