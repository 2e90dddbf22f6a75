//! What is known of models that neither their declaration nor their vendor tells: windows, prices,
//! capabilities, the end of their lives.
//!
//! The built-in file names the source of each entry. `--catalog FILE` lays another of the same form
//! over it; what would change an entry beyond belief is held back and shown.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::LazyLock,
};

use jiff::{Timestamp, civil::Date};
use regex::Regex;
use serde::{Deserialize, Serialize};

use crate::crd::{
    ProviderType,
    decimal::Decimal,
    model::{Capability, Modalities, ModelType, Pricing},
    rules,
};

pub mod refresh;

const BUILTIN: &str = include_str!("models.json");

/// One model of one vendor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CatalogEntry {
    /// Whose model it is.
    pub provider: ProviderType,
    /// The vendor's id.
    pub model_id: String,
    /// Name shown to people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// What kind of model it is.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub type_: Option<ModelType>,
    /// Tokens of prompt and answer together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_window: Option<i64>,
    /// Tokens of prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_input_tokens: Option<i64>,
    /// Tokens of answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<i64>,
    /// Numbers in a vector that it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedding_dimensions: Option<i64>,
    /// What it takes and what it gives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modalities: Option<Modalities>,
    /// What it costs; without it: unknown, which is not free.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pricing: Option<Pricing>,
    /// What it can do. None has a score: nobody measured.
    #[serde(default)]
    pub capabilities: Vec<Capability>,
    /// Abilities that the source names and the schema has no word for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unmapped: Vec<String>,
    /// Since when the vendor advises against it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deprecated_at: Option<Timestamp>,
    /// When it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retires_at: Option<Timestamp>,
    /// The vendor's id of the model to use in its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replacement: Option<String>,
    /// Where the figures come from.
    pub source: String,
    /// The day of which they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<Date>,
}

/// Models by vendor and id.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    entries: BTreeMap<(ProviderType, String), CatalogEntry>,
    held: Vec<CatalogSources>,
}

/// A change that was not taken over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogSources {
    /// Whose model it is.
    pub provider: ProviderType,
    /// The vendor's id.
    pub model_id: String,
    /// What the overlay wanted, and why it was held back.
    pub why: String,
}

/// Why a catalog cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// The file cannot be opened.
    #[error("the catalog {} cannot be read: {source}", path.display())]
    Unreadable {
        path: PathBuf,
        source: std::io::Error,
    },
    /// The file is not a catalog.
    #[error("the catalog {} is not a JSON list of entries: {source}", path.display())]
    Malformed {
        path: PathBuf,
        source: serde_json::Error,
    },
    /// The file is no list of models that others publish.
    #[error("the list {} is not a JSON object of models: {source}", path.display())]
    NoList {
        path: PathBuf,
        source: serde_json::Error,
    },
    /// An entry cannot be.
    #[error("the catalog {} says of {model}: {field}: {what}", path.display())]
    Invalid {
        path: PathBuf,
        model: String,
        field: &'static str,
        what: &'static str,
    },
}

impl Catalog {
    /// The built-in catalog.
    ///
    /// # Errors
    /// Never in a build whose tests passed: they read it.
    pub fn builtin() -> Result<Self, CatalogError> {
        let path = Path::new("(built in)");
        let mut catalog = Self::default();
        for entry in parse(path, BUILTIN)? {
            catalog
                .entries
                .insert((entry.provider, entry.model_id.clone()), entry);
        }
        Ok(catalog)
    }

    /// Lays a file over it. Entries that would change a price tenfold or take a window away are
    /// held back.
    ///
    /// # Errors
    /// When the file cannot be read or an entry cannot be.
    pub fn overlay(mut self, path: &Path) -> Result<Self, CatalogError> {
        let text = std::fs::read_to_string(path).map_err(|source| CatalogError::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        for entry in parse(path, &text)? {
            let key = (entry.provider, entry.model_id.clone());
            match self
                .entries
                .get(&key)
                .and_then(|old| suspicious(old, &entry))
            {
                Some(why) => self.held.push(CatalogSources {
                    provider: key.0,
                    model_id: key.1,
                    why,
                }),
                None => {
                    self.entries.insert(key, entry);
                }
            }
        }
        Ok(self)
    }

    /// What is known of a model. Ollama's ids without a tag mean `:latest` (facts, 9).
    pub fn lookup(&self, provider: ProviderType, model_id: &str) -> Option<&CatalogEntry> {
        let find = |id: &str| self.entries.get(&(provider, id.to_owned()));
        find(model_id).or_else(|| match provider {
            ProviderType::Ollama => find(model_id.strip_suffix(":latest")?),
            _ => None,
        })
    }

    /// What is known of the model behind a deployment, a fine-tune or a local name. Where this vendor has no such
    /// model, another's of the same id says what it is, but not what it costs here or when it ends here.
    pub fn lookup_base(&self, provider: ProviderType, base: &str) -> Option<CatalogEntry> {
        if let Some(own) = self.lookup(provider, base) {
            return Some(own.clone());
        }
        let entry = |vendor: ProviderType| self.entries.get(&(vendor, base.to_owned()));
        let other = ProviderType::ALL.into_iter().find_map(entry)?;
        Some(CatalogEntry {
            pricing: None,
            deprecated_at: None,
            retires_at: None,
            replacement: None,
            ..other.clone()
        })
    }

    /// Every entry, by vendor and id.
    pub fn entries(&self) -> impl Iterator<Item = &CatalogEntry> {
        self.entries.values()
    }

    /// Why changes of this model were held back.
    pub fn held_of(&self, provider: ProviderType, model_id: &str) -> impl Iterator<Item = &str> {
        self.held
            .iter()
            .filter(move |held| held.provider == provider && held.model_id == model_id)
            .map(|held| held.why.as_str())
    }

    /// What an overlay wanted and did not get.
    pub fn held(&self) -> &[CatalogSources] {
        &self.held
    }
}

pub(crate) fn parse(path: &Path, text: &str) -> Result<Vec<CatalogEntry>, CatalogError> {
    let entries: Vec<CatalogEntry> =
        serde_json::from_str(text).map_err(|source| CatalogError::Malformed {
            path: path.to_owned(),
            source,
        })?;
    for entry in &entries {
        if let Some((field, what)) = impossible(entry) {
            return Err(CatalogError::Invalid {
                path: path.to_owned(),
                model: entry.model_id.clone(),
                field,
                what,
            });
        }
    }
    Ok(entries)
}

/// A pattern of the schemas, which is known to compile.
fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a constant pattern")
}

static CURRENCY: LazyLock<Regex> = LazyLock::new(|| pattern(rules::CURRENCY_PATTERN));
static PRICE: LazyLock<Regex> = LazyLock::new(|| pattern(rules::PRICE_PATTERN));

/// Most tokens, as in an LlmModel.
const MAX_TOKENS: i64 = 1_000_000_000;

/// The field of an entry that cannot be, and why. An entry becomes part of an LlmModel's status: what
/// its schema refuses would keep the whole status from being written.
fn impossible(entry: &CatalogEntry) -> Option<(&'static str, &'static str)> {
    if entry.model_id.is_empty() || entry.model_id.chars().count() > 256 {
        return Some(("modelId", "write 1 to 256 characters"));
    }
    let counts = [
        ("contextWindow", entry.context_window),
        ("maxInputTokens", entry.max_input_tokens),
        ("maxOutputTokens", entry.max_output_tokens),
    ];
    for (field, count) in counts {
        if count.is_some_and(|count| !(0..=MAX_TOKENS).contains(&count)) {
            return Some((field, "write a number of tokens from 0 to 1000000000"));
        }
    }
    let currency = entry.pricing.as_ref().map(|p| p.currency.as_str());
    if currency.is_some_and(|currency| !CURRENCY.is_match(currency)) {
        return Some(("pricing.currency", rules::CURRENCY.1));
    }
    if let Some(pricing) = &entry.pricing
        && let Some(wrong) = impossible_pricing(pricing)
    {
        return Some(wrong);
    }
    let dimensions = entry.embedding_dimensions;
    if dimensions.is_some_and(|count| !(1..=1_000_000).contains(&count)) {
        return Some(("embeddingDimensions", "write a number from 1 to 1000000"));
    }
    if let Some(modalities) = &entry.modalities {
        let distinct = |list: &[_]| list.iter().collect::<BTreeSet<_>>().len() == list.len();
        if !distinct(&modalities.input) || !distinct(&modalities.output) {
            return Some(("modalities", "name each modality once"));
        }
    }
    let is_id = |id: &str| (1..=256).contains(&id.chars().count()) && id.trim() == id;
    if entry
        .replacement
        .as_deref()
        .is_some_and(|id| !is_id(id) || id == entry.model_id)
    {
        return Some(("replacement", "name another model by its id"));
    }
    if let (Some(deprecated), Some(retires)) = (entry.deprecated_at, entry.retires_at)
        && deprecated > retires
    {
        return Some(("retiresAt", rules::END_FOLLOWS_MESSAGE));
    }
    let distinct: BTreeSet<Capability> = entry.capabilities.iter().copied().collect();
    if distinct.len() < entry.capabilities.len() {
        return Some(("capabilities", "name each capability once"));
    }
    let sourceless = entry.source.trim().is_empty();
    sourceless.then_some(("source", "say where the figures come from"))
}

fn impossible_pricing(pricing: &Pricing) -> Option<(&'static str, &'static str)> {
    let tiers = pricing.tiers.iter().flat_map(|tier| tier.token_prices());
    let wrong = |(_, price): &(_, Option<&str>)| price.is_some_and(|p| !PRICE.is_match(p));
    if let Some((name, _)) = pricing.prices().find(wrong) {
        return Some((place_of(name), rules::PRICE.1));
    }
    if tiers.into_iter().any(|tier| wrong(&tier)) {
        return Some(("pricing.tiers", rules::PRICE.1));
    }
    let out_of_bounds = |from: i64| !(1..=MAX_TOKENS).contains(&from);
    if pricing.tiers.len() > 10
        || (pricing.tiers.iter()).any(|tier| out_of_bounds(tier.from_input_tokens))
    {
        let what = "write at most 10 tiers, each from 1 to 1000000000 tokens on";
        return Some(("pricing.tiers", what));
    }
    pricing.wrong_tiers().map(|what| ("pricing.tiers", what))
}

/// Where a price stands in an entry.
fn place_of(name: &str) -> &'static str {
    const PLACES: [&str; 11] = [
        "pricing.inputPer1kTokens",
        "pricing.outputPer1kTokens",
        "pricing.cacheReadPer1kTokens",
        "pricing.cacheWritePer1kTokens",
        "pricing.reasoningPer1kTokens",
        "pricing.audioInputPer1kTokens",
        "pricing.audioOutputPer1kTokens",
        "pricing.batchInputPer1kTokens",
        "pricing.batchOutputPer1kTokens",
        "pricing.perImage",
        "pricing.perRequest",
    ];
    let place = PLACES
        .into_iter()
        .find(|place| place.strip_prefix("pricing.") == Some(name));
    place.unwrap_or("pricing")
}

pub(crate) fn prices(entry: &CatalogEntry) -> [Option<&str>; 2] {
    let pricing = entry.pricing.as_ref();
    [
        pricing.and_then(|p| p.input_per1k_tokens.as_deref()),
        pricing.and_then(|p| p.output_per1k_tokens.as_deref()),
    ]
}

/// Why a change is beyond belief, if it is.
fn suspicious(old: &CatalogEntry, new: &CatalogEntry) -> Option<String> {
    let windows = [
        ("contextWindow", old.context_window, new.context_window),
        (
            "maxOutputTokens",
            old.max_output_tokens,
            new.max_output_tokens,
        ),
    ];
    for (field, before, after) in windows {
        if before.is_some_and(|n| n > 0) && after == Some(0) {
            return Some(format!("{field} would go to zero"));
        }
    }
    let currency = |e: &CatalogEntry| e.pricing.as_ref().map(|p| p.currency.clone());
    if currency(old) != currency(new) {
        return None;
    }
    let (Some(old), Some(new)) = (&old.pricing, &new.pricing) else {
        return None;
    };
    for ((field, before), (_, after)) in old.prices().zip(new.prices()) {
        let (Some(before), Some(after)) = (before, after) else {
            continue;
        };
        let (Some(a), Some(b)) = (Decimal::parse(before), Decimal::parse(after)) else {
            continue;
        };
        if moved(&a, &b) {
            return Some(format!(
                "{field} would go from {before} to {after}; that is ten times or more"
            ));
        }
    }
    None
}

/// Whether one price is ten times the other or more.
fn moved(a: &Decimal, b: &Decimal) -> bool {
    let (low, high) = if a <= b { (a, b) } else { (b, a) };
    low != high && low.times_ten() <= *high
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overlaid(json: &str) -> Result<Catalog, CatalogError> {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), json).expect("written");
        Catalog::builtin()?.overlay(file.path())
    }

    #[test]
    fn the_built_in_catalog_reads_and_names_its_sources() {
        let catalog = Catalog::builtin().expect("it reads");
        let entry = catalog
            .lookup(ProviderType::OpenAI, "gpt-5.1")
            .expect("it is there");
        assert_eq!(entry.context_window, Some(400_000));
        assert_eq!(prices(entry), [Some("0.00125"), Some("0.01")]);
        assert!(catalog.entries().all(|e| !e.source.is_empty()));
        assert!(catalog.entries().all(|e| e.as_of.is_some()));
        assert!(catalog.entries().count() >= 400);
        assert!(catalog.lookup(ProviderType::Anthropic, "gpt-5.1").is_none());
    }

    #[test]
    fn another_vendors_model_says_what_it_is_and_not_what_it_costs_here() {
        let catalog = Catalog::builtin().expect("it reads");
        let base = |type_| catalog.lookup_base(type_, "gpt-5.1").expect("it is known");
        let own = base(ProviderType::OpenAI);
        assert!(own.pricing.is_some());
        let elsewhere = base(ProviderType::VLLM);
        assert_eq!(elsewhere.context_window, own.context_window);
        assert_eq!((elsewhere.pricing, elsewhere.retires_at), (None, None));
        assert!(catalog.lookup_base(ProviderType::VLLM, "nobody").is_none());
    }

    #[test]
    fn an_overlay_adds_and_replaces() {
        let catalog = overlaid(
            r#"[{"provider":"OpenAI","modelId":"gpt-5.1","contextWindow":500000,"source":"us",
                 "pricing":{"currency":"USD","inputPer1kTokens":"0.002"}},
                {"provider":"VLLM","modelId":"ours","source":"us"}]"#,
        )
        .expect("it reads");
        let window = |t, id| catalog.lookup(t, id).and_then(|e| e.context_window);
        assert_eq!(window(ProviderType::OpenAI, "gpt-5.1"), Some(500_000));
        assert!(catalog.lookup(ProviderType::VLLM, "ours").is_some());
        assert!(catalog.held().is_empty());
    }

    #[test]
    fn what_is_beyond_belief_is_held_back_and_shown() {
        for (change, field) in [
            (r#""contextWindow":0"#, "contextWindow"),
            (
                r#""pricing":{"currency":"USD","inputPer1kTokens":"0.0125"}"#,
                "inputPer1kTokens",
            ),
            (
                r#""pricing":{"currency":"USD","outputPer1kTokens":"0.001"}"#,
                "outputPer1kTokens",
            ),
        ] {
            let json =
                format!(r#"[{{"provider":"OpenAI","modelId":"gpt-5.1","source":"us",{change}}}]"#);
            let catalog = overlaid(&json).expect("it reads");
            assert!(catalog.held()[0].why.starts_with(field), "{change}");
            let of = |id| catalog.held_of(ProviderType::OpenAI, id).count();
            assert_eq!((of("gpt-5.1"), of("gpt-4o")), (1, 0));
            let kept = catalog
                .lookup(ProviderType::OpenAI, "gpt-5.1")
                .expect("it is there");
            assert_eq!(
                (kept.context_window, prices(kept)),
                (Some(400_000), [Some("0.00125"), Some("0.01")])
            );
        }
    }

    #[test]
    fn an_overlay_that_cannot_be_is_refused_by_name() {
        let refused = |json: &str| overlaid(json).expect_err("refused").to_string();
        let priced =
            |price: &str| format!(r#""pricing":{{"currency":"USD","inputPer1kTokens":"{price}"}}"#);
        let fourteen = vec![r#""Chat""#; 14].join(",");
        for (change, field) in [
            (priced("-1"), "pricing.inputPer1kTokens"),
            (priced("00.5"), "pricing.inputPer1kTokens"),
            (priced("0.0000000000001"), "pricing.inputPer1kTokens"),
            (
                r#""pricing":{"currency":"usd"}"#.to_owned(),
                "pricing.currency",
            ),
            (
                r#""capabilities":["Chat","Vision","Chat"]"#.to_owned(),
                "capabilities",
            ),
            (format!(r#""capabilities":[{fourteen}]"#), "capabilities"),
            (
                r#""pricing":{"currency":"USD","cacheReadPer1kTokens":"x"}"#.to_owned(),
                "pricing.cacheReadPer1kTokens",
            ),
            (
                r#""pricing":{"currency":"USD","inputPer1kTokens":"1","tiers":[{"fromInputTokens":5}]}"#.to_owned(),
                "pricing.tiers",
            ),
            (r#""embeddingDimensions":0"#.to_owned(), "embeddingDimensions"),
            (
                r#""modalities":{"input":["Text","Text"]}"#.to_owned(),
                "modalities",
            ),
            (r#""replacement":"m""#.to_owned(), "replacement"),
            (
                r#""deprecatedAt":"2027-02-01T00:00:00Z","retiresAt":"2027-01-01T00:00:00Z""#.to_owned(),
                "retiresAt",
            ),
            (r#""contextWindow":-1"#.to_owned(), "contextWindow"),
            (
                r#""maxOutputTokens":1000000001"#.to_owned(),
                "maxOutputTokens",
            ),
        ] {
            let json = format!(r#"[{{"provider":"OpenAI","modelId":"m","source":"s",{change}}}]"#);
            let said = refused(&json);
            assert!(said.contains(&format!("says of m: {field}: ")), "{said}");
        }
        assert!(
            refused(r#"[{"provider":"OpenAI","modelId":"m","source":" "}]"#)
                .contains("says of m: source: ")
        );
        assert!(
            refused(r#"[{"provider":"Nobody","modelId":"m","source":"s"}]"#).contains("Nobody")
        );
        assert!(refused("{").contains("not a JSON list"));
    }
}
