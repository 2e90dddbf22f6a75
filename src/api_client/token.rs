//! Tokens of a ServiceAccount, made by the kube-apiserver as they are needed.

use std::time::Duration;

use anyhow::Context;
use jiff::Timestamp;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Api;
use kube::api::PostParams;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::cluster::Cluster;

/// Least time for which the kube-apiserver makes a token.
pub const TOKEN_LIFETIME: Duration = Duration::from_secs(600);

/// Where tokens of one ServiceAccount come from. One is used for four fifths of its life.
pub struct TokenSource {
    accounts: Api<ServiceAccount>,
    namespace: String,
    account: String,
    audience: String,
    lifetime: Duration,
    held: Mutex<Option<HeldToken>>,
}

struct HeldToken {
    token: SecretString,
    renew_at: Instant,
}

impl TokenSource {
    /// Tokens of this account, of the namespace that is looked at.
    pub fn new(cluster: &Cluster, account: &str, audience: &str, lifetime: Duration) -> Self {
        Self {
            accounts: Api::namespaced(cluster.client.clone(), &cluster.namespace),
            namespace: cluster.namespace.clone(),
            account: account.to_owned(),
            audience: audience.to_owned(),
            lifetime: lifetime.max(TOKEN_LIFETIME),
            held: Mutex::default(),
        }
    }

    /// The account, as the kube-apiserver names it.
    pub fn user(&self) -> String {
        format!("system:serviceaccount:{}:{}", self.namespace, self.account)
    }

    /// A token that counts for a while yet. Who asks meanwhile waits for the same one.
    ///
    /// # Errors
    /// Where the user may make none, or the account is not there.
    pub async fn token(&self) -> anyhow::Result<SecretString> {
        let mut held = self.held.lock().await;
        if let Some(held) = held.as_ref().filter(|held| Instant::now() < held.renew_at) {
            return Ok(held.token.clone());
        }
        let made = self.make().await?;
        let token = made.token.clone();
        *held = Some(made);
        Ok(token)
    }

    /// Uses this token no more: the API does not take it.
    pub async fn refuse(&self, token: &SecretString) {
        let mut held = self.held.lock().await;
        let is_held = |held: &HeldToken| held.token.expose_secret() == token.expose_secret();
        if held.as_ref().is_some_and(is_held) {
            *held = None;
        }
    }

    async fn make(&self) -> anyhow::Result<HeldToken> {
        let request = TokenRequest {
            spec: TokenRequestSpec {
                audiences: vec![self.audience.clone()],
                expiration_seconds: i64::try_from(self.lifetime.as_secs()).ok(),
                bound_object_ref: None,
            },
            ..TokenRequest::default()
        };
        let made = self
            .accounts
            .create_token_request(&self.account, &PostParams::default(), &request)
            .await
            .with_context(|| {
                format!(
                    "no token of ServiceAccount {} in namespace {} can be made; name another with --service-account",
                    self.account, self.namespace
                )
            })?;
        let status = made.status.context("the kube-apiserver made no token")?;
        // The cluster may allow less than was asked for. Its clock is another: of what cannot be, half
        // of what was asked for is taken.
        let left = status
            .expiration_timestamp
            .0
            .duration_since(Timestamp::now());
        let left = Duration::try_from(left).unwrap_or(self.lifetime / 2);
        Ok(HeldToken {
            token: status.token.into(),
            renew_at: Instant::now() + left.min(self.lifetime) * 4 / 5,
        })
    }
}
