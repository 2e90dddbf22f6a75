//! Keys go where their Secret's owner sealed that they may, whatever the database says.

use llmplane::{
    crd::{
        ProviderType::{self, OpenAICompatible, VLLM},
        reasons::Reason,
    },
    db::CheckKind,
};
use sqlx::{AssertSqlSafe, Executor};
use uuid::Uuid;

use super::asking::{KEY, api_key};
use crate::support::{
    checks::RunningChecks,
    vendors::{Fake, attacker::Attacker},
};

const HOST: &str = "127.0.0.1";

/// A provider whose one endpoint and key are in order.
struct Scene {
    checks: RunningChecks,
    vendor: Fake,
    attacker: Attacker,
    provider: Uuid,
    endpoint: Uuid,
    credential: Uuid,
}

impl Scene {
    async fn set(type_: ProviderType) -> Self {
        let vendor = Fake::of(type_).await;
        vendor.accept(KEY);
        let attacker = Attacker::listen("127.0.0.2:0").await;
        let checks = RunningChecks::start().await;
        let provider = checks.provider(type_).await;
        let endpoint = checks.endpoint(provider, &vendor.url(), Some("c")).await;
        let sealed = (type_, [HOST].as_slice());
        let credential = checks.credential(provider, "c", api_key(KEY), sealed).await;
        Self {
            checks,
            vendor,
            attacker,
            provider,
            endpoint,
            credential,
        }
    }

    /// Changes what is stored, past everything that guards it.
    async fn edit(&self, statement: &str) {
        let mut connection = self.checks.database.connect("llmplane_owner").await;
        let done = connection
            .execute(AssertSqlSafe(statement.to_owned()))
            .await;
        assert_eq!(done.unwrap().rows_affected(), 1, "{statement}");
    }

    async fn move_to_the_attacker(&self) {
        let url = format!("http://{}/v1", self.attacker.address);
        self.edit(&format!(
            "UPDATE endpoints SET base_url = '{url}' WHERE uid = '{}'",
            self.endpoint
        ))
        .await;
    }

    async fn validate(&self) -> Option<Reason> {
        let (credential, endpoint) = (self.credential, self.endpoint);
        self.checks
            .made(CheckKind::Validation, credential, endpoint)
            .await
    }

    /// Every check there is, at the endpoint as it is stored.
    async fn check_everything(&self) -> Option<Reason> {
        let said = self.validate().await;
        let (endpoint, checks) = (self.endpoint, &self.checks);
        checks.made(CheckKind::Probe, endpoint, endpoint).await;
        checks.made(CheckKind::ModelList, endpoint, endpoint).await;
        let model = checks.model(self.provider, "m").await;
        checks.made(CheckKind::ModelTest, model, Uuid::nil()).await;
        said
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn as_stored_by_a_reconciler_the_key_is_used() {
    let scene = Scene::set(OpenAICompatible).await;
    assert_eq!(scene.check_everything().await, Some(Reason::KeyAccepted));
    let keyed = scene
        .vendor
        .requests()
        .iter()
        .filter(|r| r.holds(KEY))
        .count();
    assert!(keyed >= 4, "{keyed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edited_url_gets_the_request_and_not_the_key() {
    for type_ in [OpenAICompatible, VLLM] {
        let scene = Scene::set(type_).await;
        scene.move_to_the_attacker().await;
        assert_eq!(scene.check_everything().await, Some(Reason::HostNotAllowed));
        assert!(scene.attacker.connections() > 0, "the probe went there");
        scene.attacker.must_not_know(KEY);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn edited_columns_of_type_and_hosts_open_nothing() {
    let scene = Scene::set(OpenAICompatible).await;
    scene.move_to_the_attacker().await;
    let credential = scene.credential;
    scene
        .edit(&format!(
            "UPDATE credential_versions SET provider_type = 'VLLM',
                allowed_hosts = '{{127.0.0.2,http://{}}}' WHERE credential_uid = '{credential}'",
            scene.attacker.address
        ))
        .await;
    scene
        .edit(&format!(
            "UPDATE providers SET type = 'VLLM' WHERE uid = '{}'",
            scene.provider
        ))
        .await;
    assert_eq!(scene.check_everything().await, Some(Reason::HostNotAllowed));
    scene.attacker.must_not_know(KEY);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_of_another_type_gets_no_key_at_the_same_host_either() {
    let scene = Scene::set(OpenAICompatible).await;
    scene
        .edit(&format!(
            "UPDATE providers SET type = 'VLLM' WHERE uid = '{}'",
            scene.provider
        ))
        .await;
    assert_eq!(scene.check_everything().await, Some(Reason::HostNotAllowed));
    assert!(scene.vendor.requests().iter().all(|r| !r.holds(KEY)));
}

/// Whoever can write rows could pass one credential's key for another's, whose hosts are wider.
#[tokio::test(flavor = "multi_thread")]
async fn a_payload_moved_to_another_credential_does_not_open() {
    let scene = Scene::set(OpenAICompatible).await;
    scene.move_to_the_attacker().await;
    let wide = (OpenAICompatible, ["127.0.0.2"].as_slice());
    let other = scene
        .checks
        .credential(
            scene.provider,
            "wide",
            api_key("another-key-of-no-worth"),
            wide,
        )
        .await;
    scene
        .edit(&format!(
            "UPDATE credential_versions w SET payload = n.payload, wrapped_key = n.wrapped_key
             FROM credential_versions n
             WHERE w.credential_uid = '{other}' AND n.credential_uid = '{}'",
            scene.credential
        ))
        .await;
    let said = scene
        .checks
        .made(CheckKind::Validation, other, scene.endpoint)
        .await;
    assert_eq!(said, Some(Reason::CheckInconclusive));
    scene.check_everything().await;
    scene.attacker.must_not_know(KEY);
}

/// The credential's row put in another namespace, or under another name, is another credential.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_was_renamed_does_not_open() {
    for change in ["namespace = 'other'", "name = 'other'"] {
        let scene = Scene::set(OpenAICompatible).await;
        let credential = scene.credential;
        scene
            .edit(&format!(
                "UPDATE credentials SET {change} WHERE uid = '{credential}'"
            ))
            .await;
        assert_eq!(
            scene.validate().await,
            Some(Reason::CheckInconclusive),
            "{change}"
        );
        assert!(scene.vendor.requests().iter().all(|r| !r.holds(KEY)));
    }
}
