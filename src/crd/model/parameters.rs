//! `defaultParameters`: any object, within bounds of which no schema can say the whole.

/// Levels of objects and lists that `defaultParameters` may have, itself the first.
const MAX_PARAMETER_LEVELS: usize = 32;

/// Bytes that `defaultParameters` may have, as JSON without spaces between its parts.
const MAX_PARAMETER_BYTES: usize = 16 * 1024;

/// What is wrong with a model's spec whose `defaultParameters` are nested too deeply or too long, of
/// which no schema can say the whole.
pub fn parameters_out_of_bounds(spec: &serde_json::Value) -> Option<String> {
    let parameters = spec.get("defaultParameters")?;
    if has_more_levels(parameters, MAX_PARAMETER_LEVELS) {
        return Some(format!(
            "spec.defaultParameters is nested more than {MAX_PARAMETER_LEVELS} levels deep; make it flatter"
        ));
    }
    let bytes = parameters.to_string().len();
    (bytes > MAX_PARAMETER_BYTES).then(|| {
        format!(
            "spec.defaultParameters has {bytes} bytes as JSON, and {MAX_PARAMETER_BYTES} (16 KiB) at most are kept; take out what clients do not need"
        )
    })
}

fn has_more_levels(value: &serde_json::Value, levels: usize) -> bool {
    use serde_json::Value;
    match value {
        Value::Array(items) => {
            levels == 0 || items.iter().any(|item| has_more_levels(item, levels - 1))
        }
        Value::Object(fields) => {
            levels == 0
                || fields
                    .values()
                    .any(|value| has_more_levels(value, levels - 1))
        }
        _ => false,
    }
}

pub fn free_form_object(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    // Of the whole a schema cannot say how long it is, but of each value, without refusing one that
    // fits: an item takes two bytes at least, a field four.
    schemars::json_schema!({
        "type": "object",
        "maxProperties": 100,
        "additionalProperties": {
            "x-kubernetes-preserve-unknown-fields": true,
            "nullable": true,
            "maxLength": MAX_PARAMETER_BYTES,
            "maxItems": MAX_PARAMETER_BYTES / 2,
            "maxProperties": MAX_PARAMETER_BYTES / 4,
        },
    })
}
