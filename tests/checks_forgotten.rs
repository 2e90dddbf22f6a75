//! Of an endpoint that is gone nothing is kept, also where a check of it was under way.

use std::{sync::Arc, time::Duration};

use llmplane::{
    checks::{JobKey, ModelsById, Owner, PlannedJob, Stored},
    crd::{Kind, ProviderType},
    db::CheckKind,
};
use sqlx::Executor;
use uuid::Uuid;

use crate::support::{
    checks::RunningChecks, fake_vendor::FakeVendor, plane::eventually, vendors::Fault,
};

fn owner(kind: Kind, uid: Uuid) -> Owner {
    Owner {
        kind,
        uid,
        namespace: "team".to_owned(),
        name: "owner".to_owned(),
    }
}

fn list_of(endpoint: Uuid) -> PlannedJob {
    PlannedJob {
        key: JobKey {
            kind: CheckKind::ModelList,
            subject: endpoint,
            endpoint,
        },
        period: Duration::from_secs(3600),
        timeout: Duration::from_secs(30),
        trigger: 1,
        stored: Stored::Nothing,
        apart: Duration::ZERO,
        not_final: None,
        held: false,
        credentials: None,
    }
}

/// What is known of the list once its rows are gone; the endpoint is forgotten while it is read, or
/// not at all.
async fn remembered(forgotten: bool) -> Arc<ModelsById> {
    let vendor = FakeVendor::start(&[""], &["gpt-a"]).await;
    vendor.fail(Fault::Slow(Duration::from_secs(2)));
    let running = RunningChecks::start().await;
    let provider = running.provider(ProviderType::OpenAICompatible).await;
    let endpoint = running.endpoint(provider, &vendor.url(), None).await;
    let checks = &running.checks;
    let of_endpoint = owner(Kind::Endpoint, endpoint);
    checks.plan(&of_endpoint, Vec::new()).await.unwrap();
    // Lists are the provider's, who is told later that an endpoint is gone.
    let of_provider = owner(Kind::Provider, provider);
    checks
        .plan(&of_provider, vec![list_of(endpoint)])
        .await
        .unwrap();
    eventually("the list is being read", async || vendor.calls() > 0).await;
    if forgotten {
        checks.forget(endpoint);
    }
    eventually("the list was read", async || checks.settled(provider)).await;
    let mut rows = running.database.connect("llmplane_owner").await;
    let gone = rows.execute("DELETE FROM listed_models").await.unwrap();
    assert_eq!(gone.rows_affected(), 1);
    let row = running.db.endpoint_row(endpoint).await.unwrap().unwrap();
    checks.listing(&row).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_was_being_read_is_not_kept_of_an_endpoint_that_is_gone() {
    assert_eq!(remembered(false).await.len(), 1);
    assert_eq!(remembered(true).await.len(), 0);
}
