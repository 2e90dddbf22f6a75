//! `kubectl llm resolve`.

use std::io::Write;

use clap::Args;
use serde_json::{Map, Value, json};

use super::complete::words;
use super::objects::{self, State};
use super::paint::Paint;
use super::{Format, write_document};
use crate::api_client::{ApiArgs, Cluster, problem};
use crate::crd::model::Capability;
use crate::crd::{Kind, ProviderType};
use crate::output::printable;
use crate::resolve::Prefer;

/// What an agent would ask for. No key is asked for.
#[derive(Debug, Args)]
pub struct ResolveArgs {
    /// A model by its name, display name or the vendor's id, or a class by its name; without it by need
    #[arg(conflicts_with_all = ["class", "capability", "min_score", "min_context_window", "min_output_tokens",
        "max_input_price", "max_output_price", "currency", "prefer", "provider_type", "region", "exclude",
        "recommended_for", "allow_deprecated", "prompt_tokens", "cached_tokens", "output_tokens"])]
    model: Option<String>,
    /// What this class means now
    #[arg(long, value_name = "NAME", conflicts_with_all = ["capability", "min_score", "min_context_window",
        "min_output_tokens", "max_input_price", "max_output_price", "currency", "prefer", "provider_type", "region",
        "exclude", "recommended_for", "allow_deprecated"])]
    class: Option<String>,
    /// What it must be able to do, for example FunctionCalling; repeat it for several
    #[arg(long, value_name = "CAPABILITY", add = words(Capability::ALL.map(Capability::as_str)))]
    capability: Vec<String>,
    /// The least score in each of these, 1 to 5
    #[arg(long, value_name = "SCORE")]
    min_score: Option<u8>,
    /// The least context window, in tokens
    #[arg(long, value_name = "TOKENS")]
    min_context_window: Option<u64>,
    /// The least length of an answer, in tokens
    #[arg(long, value_name = "TOKENS")]
    min_output_tokens: Option<u64>,
    /// The highest price of 1,000 tokens of prompt
    #[arg(long, value_name = "PRICE")]
    max_input_price: Option<String>,
    /// The highest price of 1,000 tokens of an answer
    #[arg(long, value_name = "PRICE")]
    max_output_price: Option<String>,
    /// The currency of these prices, for example USD
    #[arg(long, value_name = "CODE")]
    currency: Option<String>,
    /// Tokens of prompt in a typical call, which prices are compared for
    #[arg(long, value_name = "TOKENS")]
    prompt_tokens: Option<u64>,
    /// Of those, the tokens that the vendor's cache holds
    #[arg(long, value_name = "TOKENS")]
    cached_tokens: Option<u64>,
    /// Tokens of answer in a typical call
    #[arg(long, value_name = "TOKENS")]
    output_tokens: Option<u64>,
    /// What decides between those that fit: price, score or context
    #[arg(long, value_name = "WORD", add = words(Prefer::ALL.map(Prefer::as_str)))]
    prefer: Option<String>,
    /// Only of these provider types
    #[arg(long, value_name = "TYPE", add = words(ProviderType::ALL.map(ProviderType::as_str)))]
    provider_type: Vec<String>,
    /// Only at endpoints in these regions
    #[arg(long, value_name = "REGION")]
    region: Vec<String>,
    /// Not these models
    #[arg(long, value_name = "NAME")]
    exclude: Vec<String>,
    /// Only what its platform team recommends for this
    #[arg(long, value_name = "WORD")]
    recommended_for: Option<String>,
    /// Also deprecated models
    #[arg(long)]
    allow_deprecated: bool,
    /// How the answer is printed
    #[arg(long, short, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    api: ApiArgs,
}

impl ResolveArgs {
    pub async fn run(self, cluster: &Cluster) -> anyhow::Result<u8> {
        let api = self.api.open(cluster).await?;
        let request = api
            .post("/resolve", &[("namespace", &cluster.namespace)])?
            .json(&self.body());
        let (status, answer) = api.send(request).await?;
        let has_answer = status == 200;
        if !has_answer && !answer["considered"].is_array() {
            return Err(problem(&answer));
        }
        let mut out = crate::output::stdout();
        match self.output {
            Format::Text => write!(out, "{}", text(&answer, &api.user, Paint::of_stdout()))?,
            Format::Name if has_answer => {
                let name = objects::resource_name(Kind::Model, word(&answer["model"]["name"]));
                writeln!(out, "{}", printable(&name))?;
            }
            Format::Name => {}
            format => write_document(&mut out, format, &answer)?,
        }
        out.flush()?;
        Ok(u8::from(!has_answer))
    }

    /// The request, with what was given and nothing else: the API's own defaults hold.
    fn body(&self) -> Value {
        let mut body = Map::new();
        let mut put = |name: &str, value: Value| {
            let is_given = !value.is_null() && value != json!([]) && value != json!(false);
            if is_given {
                body.insert(name.to_owned(), value);
            }
        };
        put("model", json!(self.model));
        put("class", json!(self.class));
        put("capabilities", json!(self.capability));
        put("min_score", json!(self.min_score));
        put("min_context_window", json!(self.min_context_window));
        put("min_output_tokens", json!(self.min_output_tokens));
        put("max_input_price", json!(self.max_input_price));
        put("max_output_price", json!(self.max_output_price));
        put("currency", json!(self.currency));
        put("prompt_tokens", json!(self.prompt_tokens));
        put("cached_tokens", json!(self.cached_tokens));
        put("output_tokens", json!(self.output_tokens));
        put("prefer", json!(self.prefer));
        put("provider_types", json!(self.provider_type));
        put("regions", json!(self.region));
        put("exclude", json!(self.exclude));
        put("recommended_for", json!(self.recommended_for));
        put("allow_deprecated", json!(self.allow_deprecated));
        Value::Object(body)
    }
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or("-")
}

fn text(answer: &Value, user: &str, paint: Paint) -> String {
    let mut text = format!("{}\n", paint.faint(format!("asked as {}", printable(user))));
    match answer["model"].is_object() {
        true => {
            let model = &answer["model"];
            let by = answer["class"].as_str();
            let by = by.map_or_else(String::new, |class| format!(", by the class {class}"));
            text.push_str(&format!(
                "{}  {}\n",
                paint.strong(printable(word(&model["name"]))),
                printable(&format!(
                    "{} in {}{by}",
                    word(&model["model_id"]),
                    word(&model["namespace"])
                ))
            ));
        }
        false => text.push_str(&format!(
            "{}  {}\n",
            paint.state(State::Broken, word(&answer["title"])),
            printable(word(&answer["detail"]))
        )),
    }
    let targets = answer["targets"].as_array().map_or(&[][..], Vec::as_slice);
    for (place, target) in targets.iter().enumerate() {
        let (endpoint, credential) = (&target["endpoint"], &target["credential"]);
        let state = match endpoint["health"]["state"].as_str() {
            Some("healthy") => State::Works,
            Some("unhealthy") => State::Fails,
            _ => State::Waits,
        };
        let key = match credential.as_object() {
            Some(_) => format!(
                "key {} ({})",
                word(&credential["name"]),
                word(&credential["masked_key"])
            ),
            None => format!("no key: {}", word(&target["credential_reason"])),
        };
        // A class goes on with its other models.
        let other = target["model"].as_str();
        let other = other.filter(|other| Some(*other) != answer["model"]["name"].as_str());
        let at = match other {
            Some(model) => format!("{model} at {}", word(&endpoint["name"])),
            None => word(&endpoint["name"]).to_owned(),
        };
        text.push_str(&format!(
            "  {}. {}  {}  {}  {}\n",
            place + 1,
            printable(&at),
            paint.state(state, word(&endpoint["health"]["state"])),
            printable(word(&endpoint["base_url"])),
            printable(&key)
        ));
    }
    let considered = answer["considered"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    if !considered.is_empty() {
        text.push_str("\npassed over\n");
    }
    for other in considered {
        let name = match &other["model"] {
            Value::String(name) => name.as_str(),
            model => word(&model["name"]),
        };
        text.push_str(&format!(
            "  {}  {}\n",
            printable(name),
            paint.faint(word(&other["reason"]))
        ));
    }
    if let Some(omitted) = answer["considered_omitted"]
        .as_u64()
        .filter(|omitted| *omitted > 0)
    {
        text.push_str(&format!("  and {omitted} more\n"));
    }
    text
}
