//! The OpenAI-compatible fake in few words, for tests that are about something else than vendors.

use std::ops::Deref;

use llmplane::crd::ProviderType;

use super::vendors::{Fake, Fault};

/// A running fake; it ends when dropped.
pub struct FakeVendor(Fake);

impl FakeVendor {
    /// Starts one that takes these keys and lists these models. A key that it does not take is
    /// repeated in its message, as OpenAI does. The empty key stands for a server that wants none.
    pub async fn start(keys: &[&str], models: &[&str]) -> Self {
        let fake = Fake::of(ProviderType::OpenAICompatible).await;
        for key in keys {
            fake.accept(key);
        }
        if keys.contains(&"") {
            fake.shop().wants_key = false;
        }
        fake.list_only(models);
        Self(fake)
    }

    pub fn unlist_model(&self, model: &str) {
        self.shop().models.retain(|entry| entry["id"] != model);
    }

    /// Lists a model with its context window, as vLLM's list tells it.
    pub fn list_window(&self, model: &str, window: i64) {
        self.unlist_model(model);
        self.list_model(model);
        if let Some(entry) = self.shop().models.last_mut() {
            entry["max_model_len"] = window.into();
        }
    }

    /// Answers everything with this status.
    pub fn break_with(&self, status: u16) {
        self.fail(Fault::Status(status));
    }
}

impl Deref for FakeVendor {
    type Target = Fake;

    fn deref(&self) -> &Fake {
        &self.0
    }
}
