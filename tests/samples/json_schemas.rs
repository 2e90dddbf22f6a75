//! The samples against the JSON schemas of `crds/schemas`, as kubeconform reads them.

use std::collections::HashMap;

use jsonschema::Validator;
use llmplane::crd::{crds, json_schema};
use llmplane::lint::documents::read_all;
use serde_json::Value;

use super::folder;
use super::invalid::{Expected, invalid_samples, judged};

/// The committed schemas by kind.
fn schemas() -> HashMap<String, Validator> {
    let schemas = crds().into_iter().map(|crd| {
        let path = json_schema::file_path(&crd);
        let path = format!("{}/crds/schemas/{path}", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
        let schema: Value = serde_json::from_str(&text).unwrap();
        let current = json_schema::json_schema(&crd);
        assert!(
            schema == current,
            "{path} is not current; run `make generate`"
        );
        (
            crd.spec.names.kind,
            jsonschema::validator_for(&schema).unwrap(),
        )
    });
    schemas.collect()
}

#[test]
fn the_json_schemas_take_every_valid_sample() {
    let schemas = schemas();
    let mut taken = 0;
    for source in read_all(&[folder("valid")], &mut std::io::empty()) {
        for object in source.content.documents {
            if let Some(schema) = object.kind().and_then(|kind| schemas.get(kind)) {
                let wrong: Vec<String> = schema
                    .iter_errors(&object.value)
                    .map(|e| e.to_string())
                    .collect();
                assert!(wrong.is_empty(), "{:?}: {wrong:?}", object.name());
                taken += 1;
            }
        }
    }
    assert!(taken > 40, "{taken} samples");
}

/// Keywords of violations that a JSON schema can express.
const EXPRESSED: [&str; 10] = [
    "unknown",
    "enum",
    "required",
    "type",
    "maximum",
    "minimum",
    "maxLength",
    "minLength",
    "maxItems",
    "maxProperties",
];

#[test]
fn the_json_schemas_refuse_every_invalid_sample_that_is_not_left_to_rules() {
    let schemas = schemas();
    let samples = invalid_samples();
    let (mut refused, mut wrong) = (0, Vec::new());
    for (sample, violations) in samples.iter().zip(judged(&samples)) {
        let Ok(object) = &sample.object else { continue };
        let expressed = violations.iter().any(|v| EXPRESSED.contains(&v.keyword));
        let taken = schemas[sample.kind()].is_valid(&object.value);
        if expressed && taken {
            wrong.push(format!("{}: taken", sample.place));
        }
        if matches!(sample.expected, Expected::Taken) && !taken {
            wrong.push(format!("{}: refused", sample.place));
        }
        refused += usize::from(!taken);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(refused > 100, "{refused} samples");
}
