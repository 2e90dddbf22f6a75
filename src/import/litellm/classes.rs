//! Names that clients ask for and that mean several models, one after the other: groups of deployments,
//! aliases and fallbacks. Each becomes a class.

use std::collections::{BTreeMap, BTreeSet};

use crate::crd::model_class::MAX_MODELS;
use crate::import::plan::Plan;
use crate::import::secrets;
use crate::import::source::Field;
use crate::import::values::slug;

/// By the name that clients ask for, its models: the order that the source gives, and the object's name.
pub type Groups = BTreeMap<String, Vec<(Option<i64>, String)>>;

/// Where fallbacks stand.
const FALLBACKS: [[&str; 2]; 2] = [
    ["router_settings", "fallbacks"],
    ["litellm_settings", "fallbacks"],
];
/// Where aliases stand.
const ALIASES: [&str; 2] = ["router_settings", "model_group_alias"];

/// Adds a model to a name.
pub fn add(groups: &mut Groups, name: &str, order: Option<i64>, object: String) {
    let models = groups.entry(name.to_owned()).or_default();
    if models.iter().all(|(_, known)| *known != object) {
        models.push((order, object));
    }
}

/// Whether agents can ask for a class of this name as they did for the group: as it is written.
pub fn can_be_asked_for(name: &str) -> bool {
    slug(name) == name
}

/// Says of a deployment's name that it is a class's.
pub fn tell_member(entry: &Field<'_>, name: &str) {
    if let Some(field) = entry.get("model_name") {
        field.exact(format!("LlmModelClass/{} spec.models", slug(name)));
    }
}

/// The names of models that become classes: those of several models, and those with fallbacks.
pub fn names(source: &Field<'_>, groups: &Groups) -> BTreeSet<String> {
    let several = groups.iter().filter(|(_, models)| models.len() > 1);
    let several = several.map(|(name, _)| name.clone());
    let with_fallbacks = fallbacks(source)
        .into_iter()
        .map(|(name, _)| name.to_owned())
        .filter(|name| groups.contains_key(name));
    several.chain(with_fallbacks).collect()
}

/// Declares the classes of a source, and says what became of its aliases and fallbacks.
pub fn declare(
    source: &Field<'_>,
    groups: &Groups,
    classes: &BTreeSet<String>,
    plan: &mut Plan<'_>,
) {
    let fallbacks = fallbacks(source);
    for class in classes {
        let name = plan.class_name(&slug(class));
        let mut models = members(groups, class);
        for (_, fallback) in fallbacks.iter().filter(|(of, _)| of == class) {
            take_fallback(fallback, groups, &name, &mut models);
        }
        models.truncate(MAX_MODELS);
        plan.class(name, display_name(class), models);
    }
    for (alias, field) in source.at(&ALIASES).iter().flat_map(Field::entries) {
        declare_alias(alias, &field, groups, plan);
    }
}

/// The models of a name, in the order that their deployments give, then in that of the source.
fn members(groups: &Groups, name: &str) -> Vec<String> {
    let mut models = groups.get(name).cloned().unwrap_or_default();
    models.sort_by_key(|(order, _)| order.unwrap_or(i64::MAX));
    models.into_iter().map(|(_, object)| object).collect()
}

/// Each name with the fields that say what to turn to where it fails.
fn fallbacks<'a>(source: &Field<'a>) -> Vec<(&'a str, Field<'a>)> {
    let lists = FALLBACKS.iter().filter_map(|path| source.at(path));
    let maps = lists.flat_map(|list| list.items());
    let entries = maps.flat_map(|map| map.entries());
    entries
        .flat_map(|(name, list)| list.items().into_iter().map(move |item| (name, item)))
        .collect()
}

/// Adds the models of a fallback behind those that are there.
fn take_fallback(field: &Field<'_>, groups: &Groups, class: &str, models: &mut Vec<String>) {
    let Some(name) = field.text().filter(|name| groups.contains_key(*name)) else {
        return field.manual("left out: no model of this configuration has this name");
    };
    for object in members(groups, name) {
        if !models.contains(&object) {
            models.push(object);
        }
    }
    let target = format!("LlmModelClass/{class} spec.models");
    match models.len() > MAX_MODELS {
        true => field.approximate(
            target,
            format!("left out beyond the first {MAX_MODELS}: a class names no more"),
        ),
        false => field.exact(target),
    }
}

fn declare_alias(alias: &str, field: &Field<'_>, groups: &Groups, plan: &mut Plan<'_>) {
    // An alias is a name, or an object that says whether it is shown.
    let named = field.get("model").unwrap_or_else(|| field.clone());
    let models = named.text().map(|name| members(groups, name));
    let Some(mut models) = models.filter(|models| !models.is_empty()) else {
        return field.manual("left out: no model of this configuration has this name");
    };
    if secrets::looks_like_key(alias) {
        return field.manual("left out: the alias looks like a key, and manifests hold none");
    }
    models.truncate(MAX_MODELS);
    let name = plan.class_name(&slug(alias));
    let target = format!("LlmModelClass/{name}");
    if let Some(hidden) = field.get("hidden") {
        hidden.approximate(
            target.clone(),
            "left out: who may list LlmModelClasses sees each of them",
        );
    }
    match name == alias {
        true => named.exact(format!("{target} spec.models")),
        false => named.approximate(
            format!("{target} spec.models"),
            format!("agents ask for the class {name:?}"),
        ),
    }
    plan.class(name, display_name(alias), models);
}

/// The name as it was written, where the object cannot have it.
fn display_name(name: &str) -> Option<String> {
    let field = crate::crd::Kind::ModelClass;
    let takes = || crate::import::manifests::misfit(field, "displayName", &name.into()).is_none();
    (!can_be_asked_for(name) && takes()).then(|| name.to_owned())
}
