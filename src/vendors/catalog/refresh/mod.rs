//! A catalog made anew from public lists that are given as files. Pure but for reading them.
//!
//! Each list becomes entries of its own; then a model's entry is put together field by field: what it takes and
//! gives by models.dev, prices, the longest answer and the end of its life by LiteLLM, the window by the larger, what one of them lacks by the
//! other, and what both lack as it was. What would change beyond belief stays as it was and is told.

mod litellm;
mod models_dev;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::civil::Date;
use serde_json::{Map, Value};

use super::{Catalog, CatalogEntry, CatalogError, impossible, suspicious};
use crate::crd::ProviderType;
use crate::crd::model::{Modalities, ModelType, Pricing};

/// A list of models that others publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ListKind {
    /// LiteLLM's `model_prices_and_context_window.json`.
    LiteLlm,
    /// The `api.json` of models.dev.
    ModelsDev,
}

/// A list that is read.
#[derive(Clone, Debug)]
pub struct List {
    /// Whose it is.
    pub kind: ListKind,
    /// Its file.
    pub path: PathBuf,
    /// What its entries are said to be from: the list's name and version.
    pub source: String,
}

/// What was made.
#[derive(Clone, Debug, Default)]
pub struct Refreshed {
    /// The entries, by vendor and id.
    pub entries: Vec<CatalogEntry>,
    /// How many were not there before.
    pub added: usize,
    /// How many say something else than before.
    pub changed: usize,
    /// Models in which something was not believed or cannot be, and why.
    pub held: Vec<(ProviderType, String, String)>,
    /// Rows of the lists that are of no vendor that the catalog knows.
    pub passed_over: usize,
}

/// What one list says, and how many of its rows are of other vendors.
struct Said {
    models: Vec<CatalogEntry>,
    passed_over: usize,
}

type Key = (ProviderType, String);

/// Makes a catalog of these lists and of what was known before.
///
/// # Errors
/// Where a file cannot be read or is no such list.
pub fn refresh(before: &Catalog, lists: &[List], as_of: Date) -> Result<Refreshed, CatalogError> {
    let mut said: BTreeMap<Key, BTreeMap<ListKind, CatalogEntry>> = BTreeMap::new();
    let mut refreshed = Refreshed::default();
    for list in lists {
        let rows = read(&list.path)?;
        let found = match list.kind {
            ListKind::LiteLlm => litellm::entries(&rows, &list.source),
            ListKind::ModelsDev => models_dev::entries(&rows, &list.source),
        };
        refreshed.passed_over += found.passed_over;
        for entry in found.models {
            let key = (entry.provider, entry.model_id.clone());
            said.entry(key).or_default().insert(list.kind, entry);
        }
    }
    let mut made: BTreeMap<Key, CatalogEntry> = before
        .entries()
        .map(|entry| ((entry.provider, entry.model_id.clone()), entry.clone()))
        .collect();
    for (key, by_list) in said {
        let old = made.get(&key);
        let mut new = merged(old, by_list, as_of);
        for why in believe(old, &mut new) {
            refreshed.held.push((key.0, key.1.clone(), why));
        }
        if let Some((field, what)) = impossible(&new) {
            let why = format!("left out: {field}: {what}");
            refreshed.held.push((key.0, key.1, why));
            continue;
        }
        match old {
            None => refreshed.added += 1,
            Some(old) if !same(old, &new) => refreshed.changed += 1,
            Some(_) => {}
        }
        made.insert(key, new);
    }
    refreshed.entries = made.into_values().collect();
    Ok(refreshed)
}

fn read(path: &Path) -> Result<Map<String, Value>, CatalogError> {
    let text = std::fs::read_to_string(path).map_err(|source| CatalogError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    serde_json::from_str(&text).map_err(|source| CatalogError::NoList {
        path: path.to_owned(),
        source,
    })
}

/// One entry of what each list says, and of what was known before.
fn merged(
    old: Option<&CatalogEntry>,
    mut by_list: BTreeMap<ListKind, CatalogEntry>,
    as_of: Date,
) -> CatalogEntry {
    let litellm = by_list.remove(&ListKind::LiteLlm);
    let models_dev = by_list.remove(&ListKind::ModelsDev);
    let what = [models_dev.as_ref(), litellm.as_ref(), old];
    let costs = [litellm.as_ref(), models_dev.as_ref(), old];
    fn first<T>(
        entries: [Option<&CatalogEntry>; 3],
        read: impl Fn(&CatalogEntry) -> Option<T>,
    ) -> Option<T> {
        entries.into_iter().flatten().find_map(read)
    }
    let mut capabilities: Vec<_> = [litellm.as_ref(), models_dev.as_ref()]
        .into_iter()
        .flatten()
        .flat_map(|entry| entry.capabilities.clone())
        .collect();
    if capabilities.is_empty() {
        capabilities = old.map(|old| old.capabilities.clone()).unwrap_or_default();
    }
    capabilities.sort_unstable();
    capabilities.dedup();
    // What fits into a prompt by one of them fits into the window, which the other may have from earlier.
    let said = [&models_dev, &litellm];
    let window = said
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.context_window)
        .max();
    let sources: Vec<&str> = [litellm.as_ref(), models_dev.as_ref()]
        .into_iter()
        .flatten()
        .map(|entry| entry.source.as_str())
        .collect();
    // One of the two was given, or there would be nothing to put together.
    let named = models_dev.as_ref().or(litellm.as_ref()).or(old);
    let mut entry = CatalogEntry {
        provider: named.map_or(ProviderType::OpenAICompatible, |entry| entry.provider),
        model_id: named
            .map(|entry| entry.model_id.clone())
            .unwrap_or_default(),
        display_name: first(what, |entry| entry.display_name.clone()),
        type_: first(costs, |entry| entry.type_),
        context_window: window.or_else(|| old?.context_window),
        max_input_tokens: first(what, |entry| entry.max_input_tokens),
        max_output_tokens: first(costs, |entry| entry.max_output_tokens),
        embedding_dimensions: first(costs, |entry| entry.embedding_dimensions),
        modalities: first(what, |entry| entry.modalities.clone()),
        pricing: first(costs, |entry| entry.pricing.clone()),
        capabilities,
        unmapped: old.map(|old| old.unmapped.clone()).unwrap_or_default(),
        deprecated_at: first(costs, |entry| entry.deprecated_at),
        retires_at: first(costs, |entry| entry.retires_at),
        replacement: first(costs, |entry| entry.replacement.clone()),
        source: sources.join("; "),
        as_of: Some(as_of),
    };
    fit(&mut entry);
    entry
}

/// What a resource's schema does not take together is left out: an answer is no longer than the window.
fn fit(entry: &mut CatalogEntry) {
    if entry.type_ == Some(ModelType::Embedding) {
        // The lists write the length of a vector there, and call a vector text.
        entry.max_output_tokens = None;
        let takes = entry.modalities.take().map(|modalities| modalities.input);
        entry.modalities = takes
            .filter(|input| !input.is_empty())
            .map(|input| Modalities {
                input,
                output: Vec::new(),
            });
    }
    let window = entry.context_window;
    let fits = |count: &i64| window.is_none_or(|window| *count <= window);
    entry.max_input_tokens = entry.max_input_tokens.filter(fits);
    entry.max_output_tokens = entry.max_output_tokens.filter(fits);
    if let (Some(deprecated), Some(retires)) = (entry.deprecated_at, entry.retires_at)
        && deprecated > retires
    {
        entry.deprecated_at = None;
    }
    entry.replacement = (entry.replacement.take()).filter(|id| *id != entry.model_id);
}

/// Puts back what would change beyond belief, and says what that is.
fn believe(old: Option<&CatalogEntry>, new: &mut CatalogEntry) -> Vec<String> {
    let Some(old) = old else { return Vec::new() };
    let mut held = Vec::new();
    let currency = |entry: &CatalogEntry| entry.pricing.as_ref().map(|p| p.currency.clone());
    if let (Some(before), Some(after)) = (currency(old), currency(new))
        && before != after
    {
        held.push(format!("the currency would go from {before} to {after}"));
        new.pricing.clone_from(&old.pricing);
    }
    while let Some(why) = suspicious(old, new) {
        if why.starts_with("contextWindow") || why.starts_with("maxOutputTokens") {
            new.context_window = old.context_window;
            new.max_output_tokens = old.max_output_tokens;
        } else {
            new.pricing.clone_from(&old.pricing);
        }
        held.push(why);
    }
    held
}

/// Whether two entries say the same, whenever and by whom it was said.
fn same(old: &CatalogEntry, new: &CatalogEntry) -> bool {
    let undated = |entry: &CatalogEntry| {
        let mut capabilities = entry.capabilities.clone();
        capabilities.sort_unstable();
        CatalogEntry {
            source: String::new(),
            as_of: None,
            capabilities,
            ..entry.clone()
        }
    };
    undated(old) == undated(new)
}

/// An entry of which nothing is known yet.
fn blank(provider: ProviderType, model_id: &str, source: String) -> CatalogEntry {
    CatalogEntry {
        provider,
        model_id: model_id.to_owned(),
        display_name: None,
        type_: None,
        context_window: None,
        max_input_tokens: None,
        max_output_tokens: None,
        embedding_dimensions: None,
        modalities: None,
        pricing: None,
        capabilities: Vec::new(),
        unmapped: Vec::new(),
        deprecated_at: None,
        retires_at: None,
        replacement: None,
        source,
        as_of: None,
    }
}

/// Tokens that may be: the lists write 0 where they do not know.
fn tokens(row: &Value, name: &str) -> Option<i64> {
    let count = row.get(name)?.as_f64()?;
    let is_count = count.fract() == 0.0 && (1.0..=1e9).contains(&count);
    is_count.then_some(count as i64)
}

/// Without prices of zero: the lists write it where nobody knows or nobody pays yet. What embeds or ranks has
/// no answer to pay for.
fn charged(pricing: Option<Pricing>, type_: Option<ModelType>) -> Option<Pricing> {
    let mut pricing = pricing?;
    let is_zero = |price: &Option<String>| price.as_deref() == Some("0");
    let answers_nothing = matches!(type_, Some(ModelType::Embedding | ModelType::Rerank));
    if is_zero(&pricing.input_per1k_tokens)
        || is_zero(&pricing.output_per1k_tokens) && !answers_nothing
    {
        return None;
    }
    for price in [
        &mut pricing.cache_read_per1k_tokens,
        &mut pricing.cache_write_per1k_tokens,
        &mut pricing.reasoning_per1k_tokens,
        &mut pricing.audio_input_per1k_tokens,
        &mut pricing.audio_output_per1k_tokens,
        &mut pricing.batch_input_per1k_tokens,
        &mut pricing.batch_output_per1k_tokens,
        &mut pricing.per_image,
        &mut pricing.per_request,
    ] {
        if is_zero(price) {
            *price = None;
        }
    }
    for tier in &mut pricing.tiers {
        for price in [
            &mut tier.cache_read_per1k_tokens,
            &mut tier.cache_write_per1k_tokens,
            &mut tier.reasoning_per1k_tokens,
            &mut tier.audio_input_per1k_tokens,
            &mut tier.audio_output_per1k_tokens,
        ] {
            if is_zero(price) {
                *price = None;
            }
        }
    }
    let says_something = pricing.prices().any(|(_, price)| price.is_some());
    says_something.then_some(pricing)
}

#[cfg(test)]
mod tests;
