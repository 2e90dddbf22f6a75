//! ServiceAccounts and their tokens.

use std::time::Duration;

use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding, RoleRef, Subject};
use kube::api::{Api, ObjectMeta, Patch, PatchParams, PostParams};
use serde_json::json;

use crate::fleet::AGENTS;
use crate::plane::Plane;

/// How long the read API counts on what the kube-apiserver said of a caller.
pub const REMEMBERED: Duration = Duration::from_secs(10);
/// ServiceAccounts that read at the same time.
const ACCOUNTS: usize = 100;
const ROLE: &str = "reader";

/// The right to read.
pub const READS: [&str; 3] = ["get", "list", "watch"];
/// That, and the right to get keys.
pub const READS_AND_USES: [&str; 4] = ["get", "list", "watch", "use"];

/// The agents: ServiceAccounts of one namespace, each with a token for the read API alone.
pub struct Agents {
    pub tokens: Vec<String>,
}

impl Agents {
    /// Makes them, and the right to read and to get keys for every ServiceAccount of their namespace.
    pub async fn make(plane: &Plane) -> Result<Self> {
        grant(plane).await?;
        let tokens = tokens(plane, "agent", ACCOUNTS).await?;
        Ok(Self { tokens })
    }

    /// One of them.
    pub fn one(&self) -> &str {
        &self.tokens[0]
    }
}

/// New ServiceAccounts, each with a token that nobody has shown yet.
pub async fn tokens(plane: &Plane, prefix: &str, count: usize) -> Result<Vec<String>> {
    stream::iter(0..count)
        .map(|number| token(plane, format!("{prefix}-{number}")))
        .buffered(16)
        .try_collect()
        .await
}

/// Tokens of as many new ServiceAccounts for the kube-apiserver itself.
pub async fn apiserver_tokens(plane: &Plane) -> Result<Vec<String>> {
    stream::iter(0..ACCOUNTS)
        .map(|number| token_for(plane, format!("direct-{number}"), Vec::new()))
        .buffered(16)
        .try_collect()
        .await
}

async fn token(plane: &Plane, name: String) -> Result<String> {
    token_for(plane, name, vec!["llmplane".to_owned()]).await
}

/// A token of these audiences; none: the kube-apiserver's own.
async fn token_for(plane: &Plane, name: String, audiences: Vec<String>) -> Result<String> {
    let accounts: Api<ServiceAccount> = Api::namespaced(plane.client.clone(), AGENTS);
    let account = ServiceAccount {
        metadata: named(&name),
        ..ServiceAccount::default()
    };
    let create = PostParams::default();
    accounts.create(&create, &account).await?;
    let request = TokenRequest {
        spec: TokenRequestSpec {
            audiences,
            ..TokenRequestSpec::default()
        },
        ..TokenRequest::default()
    };
    let made = accounts
        .create_token_request(&name, &create, &request)
        .await?;
    Ok(made.status.context("a TokenRequest is answered")?.token)
}

/// Allows every ServiceAccount of the agents' namespace these verbs, and no other.
pub async fn allow(plane: &Plane, verbs: &[&str]) -> Result<()> {
    let rule = json!({ "apiGroups": ["llmplane.dev"], "resources": ["*"], "verbs": verbs });
    let roles: Api<Role> = Api::namespaced(plane.client.clone(), AGENTS);
    let patch = Patch::Merge(json!({ "rules": [rule] }));
    roles.patch(ROLE, &PatchParams::default(), &patch).await?;
    Ok(())
}

async fn grant(plane: &Plane) -> Result<()> {
    let create = PostParams::default();
    let role = Role {
        metadata: named(ROLE),
        rules: None,
    };
    let roles: Api<Role> = Api::namespaced(plane.client.clone(), AGENTS);
    roles.create(&create, &role).await?;
    allow(plane, &READS_AND_USES).await?;
    let group = "rbac.authorization.k8s.io".to_owned();
    let binding = RoleBinding {
        metadata: named(ROLE),
        role_ref: RoleRef {
            api_group: group.clone(),
            kind: "Role".to_owned(),
            name: ROLE.to_owned(),
        },
        subjects: Some(vec![Subject {
            api_group: Some(group),
            kind: "Group".to_owned(),
            name: format!("system:serviceaccounts:{AGENTS}"),
            namespace: None,
        }]),
    };
    let bindings: Api<RoleBinding> = Api::namespaced(plane.client.clone(), AGENTS);
    bindings.create(&create, &binding).await?;
    Ok(())
}

fn named(name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        ..ObjectMeta::default()
    }
}
