//! An example of every answer and body, from `examples.json`: by the name of the schema, or by the
//! operation's id and media type where it has none. `{"$example": NAME}` stands for another one.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::Value;
use utoipa::openapi::path::Operation;
use utoipa::openapi::{Content, RefOr};

static EXAMPLES: LazyLock<BTreeMap<String, Value>> = LazyLock::new(|| {
    let written: BTreeMap<String, Value> = serde_json::from_str(include_str!("examples.json"))
        // Of this binary, and a test reads them.
        .unwrap_or_default();
    let whole = |example: &Value| filled_in(example, &written);
    written
        .iter()
        .map(|(name, one)| (name.clone(), whole(one)))
        .collect()
});

fn filled_in(example: &Value, written: &BTreeMap<String, Value>) -> Value {
    match example {
        Value::Object(fields) => match fields.get("$example").and_then(Value::as_str) {
            Some(name) => written
                .get(name)
                .map_or(Value::Null, |one| filled_in(one, written)),
            None => fields
                .iter()
                .map(|(name, field)| (name.clone(), filled_in(field, written)))
                .collect(),
        },
        Value::Array(items) => items.iter().map(|item| filled_in(item, written)).collect(),
        other => other.clone(),
    }
}

/// Adds the examples of an operation.
pub(super) fn complete(operation: &mut Operation) {
    let id = operation.operation_id.clone().unwrap_or_default();
    let mut contents = Vec::new();
    for response in operation.responses.responses.values_mut() {
        if let RefOr::T(response) = response {
            contents.extend(response.content.iter_mut());
        }
    }
    if let Some(RefOr::T(body)) = &mut operation.request_body {
        contents.extend(body.content.iter_mut());
    }
    for (media_type, content) in contents {
        if let RefOr::T(content) = content {
            add(content, &format!("{id} {media_type}"));
        }
    }
}

fn add(content: &mut Content, place: &str) {
    let name = match &content.schema {
        Some(RefOr::Ref(schema)) => schema.ref_location.rsplit('/').next().unwrap_or_default(),
        _ => place,
    };
    if content.example.is_none() {
        content.example = EXAMPLES.get(name).cloned();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    /// What an operation sends and takes, with its schema: where it stands, and the content.
    fn contents(operation: &Value) -> Vec<(String, &Value)> {
        let succeeds = |status: &&String| status.starts_with('2');
        let responses = operation["responses"].as_object().expect("responses");
        let answers = responses
            .keys()
            .filter(succeeds)
            .map(|status| &responses[status]["content"]);
        let all = answers.chain([&operation["requestBody"]["content"]]);
        let of_types = all.filter_map(Value::as_object).flatten();
        of_types
            .map(|(kind, content)| (kind.clone(), content))
            .collect()
    }

    #[test]
    fn every_answer_and_body_has_an_example_that_is_one() {
        let description: Value = serde_json::from_str(&super::super::json()).expect("JSON");
        let mut missing = Vec::new();
        for (path, item) in description["paths"].as_object().expect("paths") {
            for (method, operation) in item.as_object().expect("operations") {
                for (kind, content) in contents(operation) {
                    let place = format!("{method} {path}, {kind}");
                    let described = &content["schema"]["$ref"].as_str().map(|name| {
                        let name = name.rsplit('/').next().unwrap_or_default();
                        description["components"]["schemas"][name]["example"].clone()
                    });
                    let example = match &content["example"] {
                        Value::Null => described.clone().unwrap_or_default(),
                        example => example.clone(),
                    };
                    if example.is_null() {
                        missing.push(place);
                        continue;
                    }
                    let mut schema = content["schema"].clone();
                    schema["components"] =
                        json!({ "schemas": description["components"]["schemas"] });
                    let rules = jsonschema::validator_for(&schema).expect("a schema");
                    let wrong: Vec<_> =
                        rules.iter_errors(&example).map(|e| e.to_string()).collect();
                    assert!(wrong.is_empty(), "{place}: {wrong:?}");
                }
            }
        }
        // The description itself is example enough.
        missing.retain(|place| !place.contains("/openapi.json"));
        assert!(
            missing.is_empty(),
            "without an example in examples.json: {missing:#?}"
        );
    }
}
