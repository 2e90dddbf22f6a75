//! What of a class decides which model it means. Pure.

use serde::Serialize;

use crate::{
    checks::inputs,
    crd::model_class::{ClassNeed, LlmModelClassSpec, Preferred},
    db::ModelClassRow,
};

#[derive(Debug, PartialEq, Serialize)]
struct AskedFor<'a> {
    models: Vec<&'a str>,
    need: Option<&'a ClassNeed>,
    prefer: Preferred,
    allow_deprecated: bool,
}

/// Whether what is stored asks for what is declared.
pub fn still_holds(row: &ModelClassRow, spec: &LlmModelClassSpec) -> bool {
    let stored = AskedFor {
        models: row.models.iter().map(String::as_str).collect(),
        need: row.need.as_ref(),
        prefer: row.prefer,
        allow_deprecated: row.allow_deprecated,
    };
    stored == declared(spec)
}

/// A hash of it.
pub fn inputs(spec: &LlmModelClassSpec) -> String {
    inputs::of_class(&declared(spec))
}

/// Every field is named here, so that a new one is sorted into what the meaning depends on or not.
fn declared(spec: &LlmModelClassSpec) -> AskedFor<'_> {
    let LlmModelClassSpec {
        display_name: _,
        description: _,
        enabled: _,
        models,
        need,
        prefer: _,
        allow_deprecated,
    } = spec;
    AskedFor {
        models: models.iter().map(|it| it.name.as_str()).collect(),
        need: need.as_ref(),
        prefer: spec.preferred(),
        allow_deprecated: *allow_deprecated,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{controller::kinds::proof_table::Table, crd::LlmModelClass};

    #[test]
    fn every_field_is_one_that_the_meaning_depends_on_or_not() {
        let base = json!({ "models": [{ "name": "a" }] });
        let table = Table::of::<LlmModelClass, LlmModelClassSpec>(base, inputs);
        table.depends_on(&[
            ("models", json!([{ "name": "b" }])),
            ("need", json!({ "capabilities": ["Chat"] })),
            ("prefer", json!("Price")),
            ("allowDeprecated", json!(true)),
        ]);
        table.ignores(&[
            ("displayName", json!("C")),
            ("description", json!("d")),
            ("enabled", json!(false)),
        ]);
        table.is_complete();
    }
}
