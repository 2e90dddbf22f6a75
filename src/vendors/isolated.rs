//! A driver's calls, apart from the rest of the process: on a runtime of their own, so that a host
//! that keeps its caller busy keeps nobody else waiting, and without the key in what they say.

use std::{borrow::Cow, sync::LazyLock};

use async_trait::async_trait;
use futures::future::BoxFuture;
use tokio::{runtime::Runtime, task::JoinHandle, time::Instant};
use tracing::Instrument;
use url::Url;

use super::{
    Call, CheckResult, ClientConfig, ClientInput, Driver, HttpClient, KeyFields, ListedModel,
    ModelList, Retry, TestedBy, TestedModel, http::key_echo::KeyForms,
};
use crate::{
    crd::{
        model::{ModelType, PriceTier, Pricing},
        reasons::Reason,
    },
    encryption::SecretFields,
    keys::BoundKey,
};

/// Threads for calls to vendors: as many as what else there is to do leaves on a small machine.
const THREADS: usize = 2;

/// Without threads there is no process either.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .thread_name("vendors")
        .enable_all()
        .build()
        .expect("threads can be started")
});

/// A driver whose calls are made apart. Each method of the driver's is passed on here: one that is not
/// would silently be the trait's own, so that it is an error of clippy.
pub(super) struct Isolated(pub &'static dyn Driver);

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Driver for Isolated {
    fn default_base_url(&self, region: Option<&str>) -> Option<String> {
        self.0.default_base_url(region)
    }

    fn no_default(&self, region: Option<&str>) -> String {
        self.0.no_default(region)
    }

    fn check_endpoint(&self, base_url: &Url, region: Option<&str>) -> Result<(), String> {
        self.0.check_endpoint(base_url, region)
    }

    fn trusted_hosts(&self) -> &'static [&'static str] {
        self.0.trusted_hosts()
    }

    fn key_fields(&self) -> KeyFields {
        self.0.key_fields()
    }

    fn check_key(&self, key: &SecretFields) -> Result<(), String> {
        self.0.check_key(key)
    }

    async fn probe(&self, call: &Call<'_>) -> CheckResult {
        let driver = self.0;
        let result = apart(call, move |call| {
            Box::pin(async move { driver.probe(&call.get()).await })
        });
        without_key(call, result.await)
    }

    async fn validate(&self, call: &Call<'_>) -> CheckResult {
        let driver = self.0;
        let result = apart(call, move |call| {
            Box::pin(async move { driver.validate(&call.get()).await })
        });
        without_key(call, result.await)
    }

    async fn prove_key(&self, call: &Call<'_>) -> Option<CheckResult> {
        let driver = self.0;
        let proof = apart(call, move |call| {
            Box::pin(async move { driver.prove_key(&call.get()).await })
        });
        proof.await.map(|result| without_key(call, result))
    }

    async fn list_models(&self, call: &Call<'_>) -> Result<ModelList, CheckResult> {
        let driver = self.0;
        let list = apart(call, move |call| {
            Box::pin(async move {
                let list = driver.list_models(&call.get()).await?;
                match call.forms().are_in(texts(&list)) {
                    true => Err(echoes_the_key()),
                    false => Ok(list),
                }
            })
        });
        list.await.map_err(|result| without_key(call, result))
    }

    fn spellings<'a>(&self, model_id: &'a str) -> Vec<Cow<'a, str>> {
        self.0.spellings(model_id)
    }

    fn same_id<'a>(&self, model_id: &'a str) -> Cow<'a, str> {
        self.0.same_id(model_id)
    }

    fn tested_by(&self, type_: Option<ModelType>) -> TestedBy {
        self.0.tested_by(type_)
    }

    async fn test_model(&self, call: &Call<'_>, model: &TestedModel<'_>) -> CheckResult {
        let driver = self.0;
        let id = model.id.to_owned();
        let (type_, tested_for): (Option<ModelType>, _) = (model.type_, model.tested_for);
        let result = apart(call, move |call| {
            Box::pin(async move {
                let model = TestedModel {
                    id: &id,
                    type_,
                    tested_for,
                };
                driver.test_model(&call.get(), &model).await
            })
        });
        without_key(call, result.await)
    }

    fn client_config(&self, input: &ClientInput<'_>) -> ClientConfig {
        self.0.client_config(input)
    }
}

/// A call that owns what it is made with.
struct OwnedCall {
    base_url: Url,
    region: Option<String>,
    api_version: Option<String>,
    headers: Vec<(String, String)>,
    key: Option<BoundKey>,
    client: HttpClient,
    deadline: Instant,
}

impl OwnedCall {
    fn of(call: &Call<'_>) -> Self {
        Self {
            base_url: call.base_url.clone(),
            region: call.region.map(str::to_owned),
            api_version: call.api_version.map(str::to_owned),
            headers: call.headers.to_vec(),
            key: call.key.cloned(),
            client: call.client.clone(),
            deadline: call.deadline,
        }
    }

    fn get(&self) -> Call<'_> {
        Call {
            base_url: &self.base_url,
            region: self.region.as_deref(),
            api_version: self.api_version.as_deref(),
            headers: &self.headers,
            key: self.key.as_ref(),
            client: &self.client,
            deadline: self.deadline,
        }
    }

    fn forms(&self) -> KeyForms {
        forms(&self.get())
    }
}

/// Makes the call on the vendors' runtime. It ends with the future that waits for it.
async fn apart<T: Send + 'static>(
    call: &Call<'_>,
    make: impl FnOnce(OwnedCall) -> BoxFuture<'static, T>,
) -> T {
    let made = make(OwnedCall::of(call));
    // A script has no network, and may stand in a test's own time.
    #[cfg(any(test, fuzzing))]
    if call.client.script.is_some() {
        return made.await;
    }
    let mut task = AbortOnDrop(RUNTIME.spawn(made.in_current_span()));
    match (&mut task.0).await {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        // The process ends.
        Err(_) => std::future::pending().await,
    }
}

struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The forms of the keys that the call's answers may not show.
fn forms(call: &Call<'_>) -> KeyForms {
    let keys = [call.key, call.client.hidden_key()];
    KeyForms::of(keys.into_iter().flatten().flat_map(BoundKey::texts))
}

/// The result without a vendor's words that show the key.
fn without_key(call: &Call<'_>, mut result: CheckResult) -> CheckResult {
    if result.code.is_none() && result.request_id.is_none() {
        return result;
    }
    let forms = forms(call);
    let shows = |word: &String| forms.are_in([word.as_str()]);
    result.code = result.code.filter(|code| !shows(code));
    result.request_id = result.request_id.filter(|id| !shows(id));
    result
}

/// All that is kept of a list and that a vendor may write as it likes.
fn texts(list: &ModelList) -> impl Iterator<Item = &str> {
    list.models.iter().flat_map(texts_of_model)
}

/// The same of one model. Every field is named here, so that a new one is sorted into what is searched or not.
fn texts_of_model(model: &ListedModel) -> impl Iterator<Item = &str> {
    let ListedModel {
        id,
        display_name,
        base_model,
        replacement,
        pricing,
        // Numbers, times, and words of which each is one of ours.
        context_window: _,
        max_input_tokens: _,
        max_output_tokens: _,
        type_: _,
        capabilities: _,
        embedding_dimensions: _,
        modalities: _,
        deprecated_at: _,
        retires_at: _,
        phase: _,
    } = model;
    let own = [Some(id), display_name.as_ref()];
    let of_others = [base_model.as_ref(), replacement.as_ref()];
    let texts = own.into_iter().chain(of_others).flatten();
    let prices = pricing.iter().flat_map(texts_of_pricing);
    texts.map(String::as_str).chain(prices)
}

fn texts_of_pricing(pricing: &Pricing) -> impl Iterator<Item = &str> {
    let tiers = pricing.tiers.iter().flat_map(PriceTier::token_prices);
    let prices = pricing.prices().chain(tiers);
    std::iter::once(pricing.currency.as_str()).chain(prices.filter_map(|(_, price)| price))
}

fn echoes_the_key() -> CheckResult {
    CheckResult::new(
        Reason::SyncFailed,
        "the model list shows the key that it was asked for with, or a part of it, and nothing of \
         it is kept; see what stands at the endpoint's baseUrl, and replace the key",
    )
    .with_retry(Retry::Backoff)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        crd::{
            ProviderType,
            model::{Capability, Modalities, Modality, ModelCapability},
        },
        vendors::{
            VendorPhase,
            answers::refusal::testing::answer,
            driver,
            http::script::{
                Script,
                testing::{KEY, with_call},
            },
        },
    };

    async fn listed(body: serde_json::Value) -> Result<ModelList, CheckResult> {
        let script = Script::new([answer(200, &body.to_string())]);
        let gateway = driver(ProviderType::OpenAICompatible);
        with_call(&script, async |call| gateway.list_models(call).await).await
    }

    #[tokio::test]
    async fn a_list_that_shows_the_key_is_none() {
        for id in [
            hex::encode(KEY),
            KEY.chars().rev().collect(),
            KEY[..KEY.len() - 1].to_owned(),
        ] {
            let list = listed(json!({ "data": [{ "id": "gpt-4o" }, { "id": id }] })).await;
            let refused = list.expect_err("no list");
            assert_eq!(refused.reason, Reason::SyncFailed);
            assert!(
                refused.message.contains("shows the key"),
                "{}",
                refused.message
            );
        }
        assert!(
            listed(json!({ "data": [{ "id": "gpt-4o" }] }))
                .await
                .is_ok()
        );
    }

    #[tokio::test]
    async fn a_list_that_shows_the_key_beside_an_id_is_none() {
        for shown in [KEY.to_owned(), hex::encode(KEY)] {
            let entry = json!({
                "id": "m", "deprecation": "2027-01-01", "deprecation_replacement_model": shown,
            });
            let refused = listed(json!({ "data": [entry] })).await;
            let refused = refused.expect_err("no list");
            assert!(
                refused.message.contains("shows the key"),
                "{}",
                refused.message
            );
        }
        let entry = json!({ "id": "m", "deprecation_replacement_model": "n" });
        let list = listed(json!({ "data": [entry] })).await.expect("a list");
        assert_eq!(list.models[0].replacement.as_deref(), Some("n"));
    }

    /// A model of which everything is known.
    fn whole() -> ListedModel {
        let price = || Some("1".to_owned());
        let now = Some(Timestamp::UNIX_EPOCH);
        ListedModel {
            id: "m".to_owned(),
            display_name: Some("M".to_owned()),
            context_window: Some(1),
            max_input_tokens: Some(1),
            max_output_tokens: Some(1),
            type_: Some(ModelType::Chat),
            capabilities: Some(vec![ModelCapability {
                name: Capability::Chat,
                score: Some(1),
            }]),
            pricing: Some(Pricing {
                currency: "USD".to_owned(),
                input_per1k_tokens: price(),
                output_per1k_tokens: price(),
                cache_read_per1k_tokens: price(),
                cache_write_per1k_tokens: price(),
                reasoning_per1k_tokens: price(),
                audio_input_per1k_tokens: price(),
                audio_output_per1k_tokens: price(),
                batch_input_per1k_tokens: price(),
                batch_output_per1k_tokens: price(),
                per_image: price(),
                per_request: price(),
                tiers: vec![PriceTier {
                    from_input_tokens: 1,
                    input_per1k_tokens: price(),
                    output_per1k_tokens: price(),
                    cache_read_per1k_tokens: price(),
                    cache_write_per1k_tokens: price(),
                    reasoning_per1k_tokens: price(),
                    audio_input_per1k_tokens: price(),
                    audio_output_per1k_tokens: price(),
                    batch_input_per1k_tokens: price(),
                    batch_output_per1k_tokens: price(),
                }],
            }),
            base_model: Some("b".to_owned()),
            embedding_dimensions: Some(1),
            modalities: Some(Modalities {
                input: vec![Modality::Text],
                output: vec![Modality::Text],
            }),
            deprecated_at: now,
            retires_at: now,
            replacement: Some("r".to_owned()),
            phase: Some(VendorPhase::Active),
        }
    }

    /// Where the texts of a document stand, as JSON pointers.
    fn texts_in(document: &Value, at: &str, found: &mut Vec<String>) {
        match document {
            Value::String(_) => found.push(at.to_owned()),
            Value::Array(items) => {
                for (place, item) in items.iter().enumerate() {
                    texts_in(item, &format!("{at}/{place}"), found);
                }
            }
            Value::Object(fields) => {
                for (name, field) in fields {
                    texts_in(field, &format!("{at}/{name}"), found);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    #[test]
    fn every_text_that_is_kept_of_a_model_is_searched_for_the_key() {
        let forms = KeyForms::of(std::iter::once(KEY.as_bytes()));
        let kept = serde_json::to_value(whole()).expect("a document");
        let mut places = Vec::new();
        texts_in(&kept, "", &mut places);
        let mut free = Vec::new();
        for place in places {
            let mut shows = kept.clone();
            *shows.pointer_mut(&place).expect("a text") = KEY.into();
            // A time, or a word of ours, cannot be the key.
            let Ok(model) = serde_json::from_value(shows) else {
                continue;
            };
            let list = ModelList {
                models: vec![model],
                skipped: 0,
            };
            assert!(forms.are_in(texts(&list)), "{place}");
            free.push(place);
        }
        // The id, its name, two ids of other models, a currency, eleven prices and a tier's nine.
        assert_eq!(free.len(), 25, "{free:?}");
    }

    #[tokio::test]
    async fn a_request_id_that_shows_the_key_is_left_out() {
        let ids = [
            (hex::encode(KEY), None),
            (KEY.to_ascii_lowercase(), None),
            ("req-1".to_owned(), Some("req-1")),
        ];
        for (id, kept) in ids {
            let mut answer = answer(200, r#"{"data":[]}"#);
            let value = id.parse().expect("a header");
            answer.headers.insert("x-request-id", value);
            let gateway = driver(ProviderType::OpenAICompatible);
            let script = Script::new([answer]);
            let probed = with_call(&script, async |call| gateway.probe(call).await).await;
            assert_eq!(probed.request_id.as_deref(), kept, "{id}");
        }
    }
}
