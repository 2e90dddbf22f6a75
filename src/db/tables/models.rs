//! Models.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::object::{DeclaredRow, ObjectColumns, ObjectRow, columns, readings};
use super::verdict::set_verdict;
use crate::crd::Kind;
use crate::crd::model::{
    AvailabilityTest, Lifecycle, Modality, ModelCapability, ModelLimit, ModelType, Origin,
    PriceTier,
};
use crate::db::{Db, DbError, StoredCheck, WriteTx};

columns! {
    /// What the reconciler derives for a model.
    #[derive(Default)]
    pub struct DeclaredModel: ObjectColumns {
        /// Its provider.
        pub provider_uid: Uuid,
        /// The endpoints that serve it; empty: all of its provider's.
        pub endpoint_uids: Vec<Uuid>,
        /// The vendor's id of the model.
        pub model_id: String,
        /// The vendor's model behind it.
        pub base_model: Option<String>,
        /// Name shown to people.
        pub display_name: Option<String>,
        /// The model's version, in the vendor's words.
        pub version: Option<String>,
        /// What kind of model it is.
        pub type_: Option<ModelType>,
        /// Tokens of prompt and answer together.
        pub context_window: Option<i64>,
        /// Tokens of prompt.
        pub max_input_tokens: Option<i64>,
        /// Tokens of answer.
        pub max_output_tokens: Option<i64>,
        /// Numbers in a vector that it answers.
        pub embedding_dimensions: Option<i64>,
        /// What it takes; empty: unknown.
        pub input_modalities: Vec<Modality>,
        /// What it gives; empty: unknown.
        pub output_modalities: Vec<Modality>,
        /// ISO 4217 code of the prices' currency.
        pub currency: Option<String>,
        /// Price of 1,000 tokens of prompt: a decimal number.
        pub input_price: Option<String>,
        /// Price of 1,000 tokens of answer: a decimal number.
        pub output_price: Option<String>,
        /// Price of 1,000 tokens of prompt that the vendor's cache holds.
        pub cache_read_price: Option<String>,
        /// Price of 1,000 tokens of prompt that are written into the vendor's cache.
        pub cache_write_price: Option<String>,
        /// Price of 1,000 tokens of reasoning.
        pub reasoning_price: Option<String>,
        /// Price of 1,000 tokens of audio in the prompt.
        pub audio_input_price: Option<String>,
        /// Price of 1,000 tokens of audio in the answer.
        pub audio_output_price: Option<String>,
        /// Price of 1,000 tokens of prompt in a batch.
        pub batch_input_price: Option<String>,
        /// Price of 1,000 tokens of answer in a batch.
        pub batch_output_price: Option<String>,
        /// Price of one image that is made.
        pub image_price: Option<String>,
        /// Price of each call, beside its tokens.
        pub request_price: Option<String>,
        /// Prices of calls with longer prompts, by where they begin.
        pub price_tiers: Vec<PriceTier>,
        /// How much of it may be used, published for clients.
        pub limits: Vec<ModelLimit>,
        /// What it can do, and how well.
        pub capabilities: Vec<ModelCapability>,
        /// Tasks it is recommended for.
        pub recommended_for: Vec<String>,
        /// Parameters that clients send unless they know better.
        pub default_parameters: Option<Map<String, Value>>,
        /// Where it is in its life.
        pub lifecycle: Lifecycle,
        /// Since when the vendor advises against it.
        pub deprecated_at: Option<Timestamp>,
        /// When it ends.
        pub retires_at: Option<Timestamp>,
        /// `modelId` of the model to use in its place.
        pub replacement_model_id: Option<String>,
        /// By field: where its value comes from.
        pub origin: BTreeMap<String, Origin>,
        /// Labels of the object, as far as selectors are matched with them.
        pub labels: BTreeMap<String, String>,
        /// Those of its labels that rows show.
        pub shown_labels: BTreeMap<String, String>,
        /// How it is tested.
        pub availability_test: AvailabilityTest,
    }
}

columns! {
    /// What checks found of a model.
    #[derive(Default)]
    pub struct FoundModel {
        /// What the last test concluded.
        pub test_verdict: Option<StoredCheck>,
    }
}

impl DeclaredRow for DeclaredModel {
    const KIND: Kind = Kind::Model;
    const TABLE: &'static str = "models";
    const ONE_ACTIVE_BY: &'static [&'static str] = &["provider_uid", "model_id"];
    type Found = FoundModel;
}

/// A model as it is stored.
pub type ModelRow = ObjectRow<DeclaredModel>;

readings!(ModelRow, model_row, model_rows_by_uid, model_rows_all);

/// A key that a model's test has proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvedKey {
    /// Name of the model.
    pub model: String,
    /// A hash of what calls to the endpoint where it answered are made with.
    pub inputs: String,
    /// What proofs name the key by: [`CredentialVersionRow::identity`].
    ///
    /// [`CredentialVersionRow::identity`]: super::CredentialVersionRow::identity
    pub key: String,
}

impl Db {
    /// The keys that tests of a provider's models have proved, while these are tested.
    pub async fn proved_keys(&self, provider: Uuid) -> Result<Vec<ProvedKey>, DbError> {
        self.in_time(async {
            Ok(sqlx::query_as!(
                ProvedKey,
                r#"SELECT name AS model, test_verdict ->> 'proved_with' AS "inputs!",
                          test_verdict ->> 'proves_key' AS "key!"
                   FROM models
                   WHERE provider_uid = $1 AND coalesce(deleted_at, 'infinity') = 'infinity'
                     AND is_active AND availability_test @> '{"enabled": true}'
                     AND test_verdict ->> 'reason' IN ('ModelAnswered', 'ModelListed')
                     AND test_verdict ->> 'proved_with' IS NOT NULL
                     AND test_verdict ->> 'proves_key' IS NOT NULL
                   ORDER BY name"#,
                provider,
            )
            .fetch_all(&self.pool)
            .await?)
        })
        .await
    }
}

impl WriteTx {
    /// Notes what a test concluded, unless the stored verdict says the same. It takes no revision.
    pub async fn model_test_verdict_set(
        &mut self,
        uid: Uuid,
        verdict: &StoredCheck,
    ) -> Result<bool, DbError> {
        set_verdict!(self, "models", "test_verdict", uid, verdict)
    }
}
