//! LiteLLM's `config.yaml`: its models become models with endpoints and credentials, its groups, aliases
//! and fallbacks classes; what its proxy does with them (routing, budgets, callbacks) is a gateway's
//! business.

mod classes;
mod keys;
mod model;
mod params;
pub use params::header;
mod settings;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Map;

use super::manifests::Manifest;
use super::plan::{Place, Placed, Plan};
use super::secrets;
use super::source::{Field, Ledger};
use super::vendor::{self, Vendor};
use crate::crd::Kind;

use classes::Groups;
use keys::{Found, Shared};
use params::Params;
use settings::Defaults;

/// Converts configurations. Which names mean several models is known when all were read: they are read
/// twice, and what is said the first time is not heard.
pub fn convert(sources: &[Field<'_>], namespace: Option<&str>) -> Vec<Manifest> {
    let unheard = Ledger::default();
    let first: Vec<Field<'_>> = sources
        .iter()
        .map(|source| Field::root(source.document(), &unheard))
        .collect();
    let mut classes: Vec<BTreeSet<String>> = vec![BTreeSet::new(); sources.len()];
    let (_, groups) = read(&first, namespace, &classes);
    for ((classes, source), groups) in classes.iter_mut().zip(&first).zip(&groups) {
        *classes = classes::names(source, groups);
    }
    let (mut plan, groups) = read(sources, namespace, &classes);
    for ((classes, source), groups) in classes.iter().zip(sources).zip(&groups) {
        classes::declare(source, groups, classes, &mut plan);
        settings::tell(source);
    }
    plan.finish()
}

/// Reads the models of all configurations; with each come the names that are classes.
fn read<'a>(
    sources: &[Field<'a>],
    namespace: Option<&str>,
    classes: &[BTreeSet<String>],
) -> (Plan<'a>, Vec<Groups>) {
    let mut plan = Plan::new(namespace);
    let mut secrets = keys::SecretNames::default();
    let mut groups = Vec::with_capacity(sources.len());
    for (source, classes) in sources.iter().zip(classes) {
        let shared = Shared::read(source);
        let mut reading = Reading {
            plan: &mut plan,
            defaults: Defaults::read(source),
            secrets: &mut secrets,
            named: BTreeMap::new(),
            groups: Groups::new(),
            classes,
        };
        for entry in source.get("model_list").iter().flat_map(Field::items) {
            reading.entry(&entry, &shared);
        }
        groups.push(reading.groups);
        shared.tell_unused();
    }
    (plan, groups)
}

struct Reading<'p, 'a> {
    plan: &'p mut Plan<'a>,
    defaults: Defaults,
    secrets: &'p mut keys::SecretNames,
    /// How many deployments have a name that clients ask for.
    named: BTreeMap<&'a str, usize>,
    /// The models that it means.
    groups: Groups,
    /// Names that are classes.
    classes: &'p BTreeSet<String>,
}

impl<'a> Reading<'_, 'a> {
    /// One deployment of a model.
    fn entry(&mut self, entry: &Field<'a>, shared: &Shared<'a>) {
        let Some(own) = entry.get("litellm_params") else {
            return entry.manual("not converted: it has no litellm_params");
        };
        let params = match shared.with(own) {
            Ok(params) => params,
            Err((field, why)) => {
                field.manual(why);
                return entry.manual("not converted: the credential that it names is not known");
            }
        };
        let Some(model) = params.get("model").filter(|model| model.text().is_some()) else {
            return entry.manual("not converted: litellm_params.model names no model");
        };
        let Some((vendor, id)) = vendor_of(entry, &params, &model) else {
            return;
        };
        let Some(call) = params::call(&params, &vendor, &self.defaults) else {
            return entry.manual("not converted: its address cannot be carried over");
        };
        if let Some(lacking) = vendor.lacks(&call) {
            return entry.manual(format!(
                "not converted: an endpoint of type {} needs {lacking}; write api_base, or aws_region_name for Bedrock",
                vendor.type_
            ));
        }
        let name = entry.text_at("model_name").unwrap_or(id);
        if [name, id].iter().any(|text| secrets::looks_like_key(text)) {
            return entry.manual("not converted: the model's name or id looks like a key");
        }
        let key = keys::read(&params, name, self.secrets);
        let known = match &key {
            Found::Key(key, _) => Some(key),
            _ => None,
        };
        let place = self.plan.place(&vendor, call, known);
        params::tell_endpoint(&params, &self.plan.endpoint_title(place));
        if let Found::Key(key, sources) = key {
            let (spec, described) = shared.description(&params);
            let name = self.plan.credential(place, key, spec, sources);
            if let Some(described) = described {
                described.exact(format!("LlmCredential/{name} spec.description"));
            }
        }
        match id.contains('*') {
            true => self.pattern(entry, &model, place, id),
            false => self.model(entry, &params, &model, place, id),
        }
    }

    /// `openai/*`: all that the vendor lists.
    fn pattern(&mut self, entry: &Field<'a>, model: &Field<'a>, place: Place, id: &str) {
        let title = self.plan.provider_title(place);
        let sync = self.plan.provider_spec(place).entry("modelSync");
        let sync = sync.or_insert_with(|| serde_json::json!({ "enabled": true, "include": [] }));
        if let Some(include) = sync["include"].as_array_mut()
            && !include.contains(&id.into())
        {
            include.push(id.into());
        }
        model.exact(format!("{title} spec.modelSync.include"));
        if let Some(name) = entry.get("model_name") {
            name.approximate(
                format!("{title} spec.modelSync.include"),
                "models are asked for by the vendor's ids, without a prefix",
            );
        }
    }

    fn model(
        &mut self,
        entry: &Field<'a>,
        params: &Params<'a>,
        model: &Field<'a>,
        place: Place,
        id: &'a str,
    ) {
        let name = entry.text_at("model_name").unwrap_or(id);
        if model.fitting(Kind::Model, "modelId", id.into()).is_none() {
            return entry.manual("not converted: its model's id cannot be carried over");
        }
        let (spec, told) = model::spec(entry, params);
        let count = self.named.entry(name).or_default();
        *count += 1;
        let count = *count;
        // A name that a class has is no model's: whoever asks for it as a model's gets the class.
        let is_class = self.classes.contains(name) && classes::can_be_asked_for(name);
        let (wanted, spec) = match is_class {
            true => (format!("{name}-{id}"), spec),
            false => (name.to_owned(), named(entry, name, count, spec)),
        };
        let order = params.get("order").and_then(|it| it.value().as_i64());
        match self.plan.model(place, id, &wanted, spec) {
            Placed::New(object) => {
                let title = format!("LlmModel/{object}");
                model.exact(format!("{title} spec.modelId"));
                model::tell(&told, &title);
                match is_class {
                    true => classes::tell_member(entry, name),
                    false => model::tell_name(entry, &title, name, count),
                }
                classes::add(&mut self.groups, name, order, object);
            }
            Placed::Known(object) => {
                let title = format!("LlmModel/{object}");
                model.exact(format!("{title} spec.modelId"));
                model::tell_known(entry, &told, &title);
                classes::add(&mut self.groups, name, order, object);
            }
        }
    }
}

/// The name that clients know a model by. Of several with one name the first has it.
fn named(
    entry: &Field<'_>,
    name: &str,
    count: usize,
    mut spec: Map<String, serde_json::Value>,
) -> Map<String, serde_json::Value> {
    let takes = || super::manifests::misfit(Kind::Model, "displayName", &name.into()).is_none();
    if entry.get("model_name").is_some() && count == 1 && takes() {
        spec.insert("displayName".to_owned(), name.into());
    }
    spec
}

/// The provider that a model's name begins with, and the rest; where there is none that is said.
fn vendor_of<'a>(
    entry: &Field<'a>,
    params: &Params<'a>,
    model: &Field<'a>,
) -> Option<(Vendor, &'a str)> {
    let text = model.text()?;
    let given = params.get("custom_llm_provider");
    let (word, id) = match (given.as_ref().and_then(Field::text), text.split_once('/')) {
        (Some(word), Some((prefix, id))) if prefix == word => (word, id),
        (Some(word), _) => (word, text),
        (None, Some((prefix, id))) if known(prefix) => (prefix, id),
        (None, _) => (guessed(text), text),
    };
    let Some(vendor) = vendor::named(word) else {
        let what = match word {
            "" => "its provider is not named: write it in front, as in openai/gpt-4o".to_owned(),
            word if vendor::is_out_of_reach(word) => format!(
                "llmplane has no driver for {word}; where it has an OpenAI-compatible address, declare that as OpenAICompatible"
            ),
            word => format!("{word:?} is no provider that llmplane knows"),
        };
        entry.unsupported(format!("not converted: {what}"));
        return None;
    };
    let vendor = vendor.at(params::address(params));
    if let Some(given) = given {
        given.exact("LlmProvider spec.type");
    }
    let id = id.strip_prefix("converse/").unwrap_or(id);
    let id = id.strip_prefix("invoke/").unwrap_or(id);
    Some((vendor, id))
}

fn known(word: &str) -> bool {
    vendor::named(word).is_some() || vendor::is_out_of_reach(word)
}

/// LiteLLM knows some models without their provider.
fn guessed(model: &str) -> &'static str {
    const OPENAI: [&str; 8] = [
        "gpt-",
        "o1",
        "o3",
        "o4",
        "chatgpt-",
        "text-embedding-",
        "dall-e-",
        "whisper-",
    ];
    if OPENAI.iter().any(|prefix| model.starts_with(prefix)) {
        "openai"
    } else if model.starts_with("claude-") {
        "anthropic"
    } else {
        ""
    }
}
