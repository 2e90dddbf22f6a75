//! One test of a model: at which endpoint, and what stands afterwards.

use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use super::{
    fold::{self, Found},
    run::{Done, Runner, probe_row},
    target::{Called, Question, Target},
};
use crate::{
    crd::reasons::Reason,
    db::{CheckKind, DbError, EndpointRow, ModelRow, Verdict},
};

impl Runner {
    /// Tests a model at the best endpoint that serves it.
    pub(super) async fn model_test(&self, model: Uuid, timeout: Duration) -> Result<Done, DbError> {
        let db = &self.means.db;
        let Some(model) = db.model_row(model).await?.filter(|m| m.is_active) else {
            return Ok(Done::unmade());
        };
        let endpoints = self.serving(&model).await?;
        let mut at = None;
        let mut key = None;
        let called = match self.first_target(&endpoints).await? {
            None => Called::unmade(Found::new(
                Reason::NoEndpoint,
                "no active endpoint serves this model",
            )),
            Some(target) => {
                key = self.list_key(&target).await?;
                let bound = key.as_ref().map(|key| &key.bound);
                let question = Question::Test(&model.model_id);
                let called = self.ask(&target, bound, timeout, question).await.0;
                at = Some(target.endpoint);
                called
            }
        };
        self.count(CheckKind::ModelTest, &called);
        // What one endpoint proved stands for as long as the model is served there.
        let stored = (model.test_verdict.as_ref())
            .filter(|stored| endpoints.iter().any(|e| stored.is_of(&e.base_url)));
        let url = match stored {
            Some(stored) if called.found.success().is_none() => stored.url.clone(),
            _ => at.as_ref().map(|endpoint| endpoint.base_url.clone()),
        };
        let new = Verdict {
            url,
            ..called.found.verdict(model.generation, Timestamp::now())
        };
        let verdict = fold::after(stored, new);
        let at = at.map(|endpoint| endpoint.uid);
        let probe = probe_row(
            CheckKind::ModelTest,
            model.uid,
            at,
            key.map(|key| key.fingerprint),
            &called,
        );
        let uid = model.uid;
        let changed = db
            .write_unversioned(self.means.epoch, move |tx| {
                Box::pin(async move {
                    tx.health_probe_insert(&probe).await?;
                    tx.model_test_verdict_set(uid, &verdict).await
                })
            })
            .await?;
        Ok(Done::made(&called, changed))
    }

    /// The active endpoints that serve a model: healthy ones first, in failover order.
    async fn serving(&self, model: &ModelRow) -> Result<Vec<EndpointRow>, DbError> {
        let mut endpoints = self
            .means
            .db
            .endpoint_rows_of_providers(&[model.provider_uid])
            .await?;
        endpoints.retain(|e| {
            e.is_active && (model.endpoint_uids.is_empty() || model.endpoint_uids.contains(&e.uid))
        });
        let healthy = |e: &EndpointRow| {
            (e.verdict.as_ref()).is_some_and(|v| v.reason == Reason::ProbeSucceeded)
        };
        endpoints.sort_by_key(|e| (!healthy(e), !e.is_default, e.priority, e.created_at));
        Ok(endpoints)
    }

    /// The first of these that can be called.
    async fn first_target(&self, endpoints: &[EndpointRow]) -> Result<Option<Target>, DbError> {
        for endpoint in endpoints {
            if let Ok(target) = self.target(endpoint.uid).await? {
                return Ok(Some(target));
            }
        }
        Ok(None)
    }
}
