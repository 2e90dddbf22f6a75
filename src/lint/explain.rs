//! What the validator says, in plain words: what is there, and what to write instead.

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::paths::LocationSegment;
use jsonschema::{JsonType, ValidationError};
use serde_json::Value;

use super::schema::Violation;
use crate::crd::names::did_you_mean;

/// Most letters of a value that a message repeats.
const SHOWN: usize = 60;

/// What is wrong with a value, and what to write.
pub(super) fn explain(error: &ValidationError<'_>) -> Violation {
    let field = field_path(error);
    let value = error.instance().as_ref();
    match error.kind() {
        ValidationErrorKind::Required { property } => {
            let property = property.as_str().unwrap_or_default();
            Violation::of("required", join(&field, property), "this field is required")
        }
        ValidationErrorKind::Enum { options } => {
            Violation::of("enum", field, choice(value, options))
        }
        ValidationErrorKind::Type { kind } => Violation::of("type", field, wrong_type(value, kind)),
        ValidationErrorKind::Maximum { limit } => {
            Violation::of("maximum", field, format!("write at most {}", whole(limit)))
        }
        ValidationErrorKind::Minimum { limit } => {
            Violation::of("minimum", field, format!("write at least {}", whole(limit)))
        }
        ValidationErrorKind::MaxLength { limit } => Violation::of(
            "maxLength",
            field,
            format!("write at most {limit} characters"),
        ),
        ValidationErrorKind::MinLength { .. } => {
            let message = "is empty: write something, or leave the field out if it is optional";
            Violation::of("minLength", field, message)
        }
        ValidationErrorKind::MaxItems { limit } => {
            Violation::of("maxItems", field, format!("list at most {limit} items"))
        }
        ValidationErrorKind::MinItems { limit } => {
            Violation::of("minItems", field, format!("list at least {limit}"))
        }
        ValidationErrorKind::MinProperties { limit } => {
            Violation::of("minProperties", field, format!("write at least {limit}"))
        }
        ValidationErrorKind::MaxProperties { limit } => Violation::of(
            "maxProperties",
            field,
            format!("write at most {limit} fields"),
        ),
        ValidationErrorKind::Pattern { pattern } => Violation::of(
            "pattern",
            field,
            format!("write it in the form of {pattern}"),
        ),
        ValidationErrorKind::Format { .. } => Violation::of("format", field, time_format(value)),
        _ => Violation::of("schema", field, error.to_string()),
    }
}

/// A bound without the `.0` that schemas write.
fn whole(limit: &Value) -> String {
    let text = limit.to_string();
    text.strip_suffix(".0").unwrap_or(&text).to_owned()
}

fn choice(value: &Value, options: &Value) -> String {
    let words: Vec<&str> = options
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let near = did_you_mean(value.as_str().unwrap_or_default(), words.iter().copied());
    format!("{} is none of {}{near}", shown(value), words.join(", "))
}

fn field_path(error: &ValidationError<'_>) -> String {
    let mut path = String::new();
    for segment in error.instance_path() {
        match segment {
            LocationSegment::Property(name) => path = join(&path, &name),
            LocationSegment::Index(index) => path = format!("{path}[{index}]"),
        }
    }
    path
}

pub(super) fn join(path: &str, field: &str) -> String {
    if path.is_empty() {
        field.to_owned()
    } else {
        format!("{path}.{field}")
    }
}

/// A value as JSON, cut where it is long.
pub(super) fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

/// What stands where another type belongs. YAML reads `no`, `1.10` and `null` as something else than
/// text, and a quoted number as text.
fn wrong_type(value: &Value, kind: &TypeKind) -> String {
    let wanted = match kind {
        TypeKind::Single(wanted) => *wanted,
        TypeKind::Multiple(several) => match several.iter().next() {
            Some(wanted) => wanted,
            None => return format!("{} cannot be here", shown(value)),
        },
    };
    let is = match value {
        Value::Null => "is no value".to_owned(),
        Value::Bool(_) => "is true or false to YAML, as yes, no, on and off are".to_owned(),
        Value::Number(_) => "is a number to YAML".to_owned(),
        Value::String(_) => "is text".to_owned(),
        Value::Array(_) => "is a list".to_owned(),
        Value::Object(_) => "is a set of fields".to_owned(),
    };
    let is_quoted = |test: fn(&str) -> bool| value.as_str().is_some_and(test);
    let write = match wanted {
        JsonType::String if value.is_boolean() || value.is_number() => {
            "write text: put it in quotes"
        }
        JsonType::String => "write text",
        JsonType::Integer if is_quoted(|text| text.parse::<i64>().is_ok()) => {
            "write the number without quotes"
        }
        JsonType::Integer => "write a whole number",
        JsonType::Number if is_quoted(|text| text.parse::<f64>().is_ok()) => {
            "write the number without quotes"
        }
        JsonType::Number => "write a number",
        JsonType::Boolean if is_quoted(|text| matches!(text, "true" | "false")) => {
            "write true or false without quotes"
        }
        JsonType::Boolean => "write true or false",
        JsonType::Array => "write a list, each item on a line of its own after `- `",
        JsonType::Object => "write fields, each as `name: value` on a line of its own",
        JsonType::Null => "leave it out",
    };
    format!("{} {is}; {write}", shown(value))
}

/// A time that is none; a date alone gets its example.
fn time_format(value: &Value) -> String {
    let text = value.as_str().unwrap_or_default();
    let example = match text.parse::<jiff::civil::Date>() {
        Ok(date) => format!("{date}T00:00:00Z"),
        Err(_) => "2027-01-31T00:00:00Z".to_owned(),
    };
    format!(
        "{} is no time: write date and time as RFC 3339 has them, in quotes: \"{example}\"",
        shown(value)
    )
}
