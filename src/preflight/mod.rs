//! What an installation needs: the cluster, the namespace, the database, the keyring and the chart's values, each
//! looked at before anything is installed or upgraded. Nothing is changed: what is created is created as a dry run,
//! but for the token whose review is tried.

mod assignments;
mod cluster;
mod contradictions;
mod database;
mod definitions;
mod keyring;
mod namespace;
mod report;
mod rights;
mod secrets;
mod token;
mod values;

use std::path::PathBuf;

use kube::Client;
use secrecy::SecretString;

pub use assignments::Reading;
pub use report::{Finding, Report, Verdict};
pub use rights::{Installed, installed};
pub use values::Values;

/// Where an installation goes unless somebody says otherwise.
pub const NAMESPACE: &str = "llmplane-system";

/// What is looked at.
#[derive(Debug)]
pub struct Target {
    /// The namespace that is installed into.
    pub namespace: String,
    /// The chart's values, or its defaults.
    pub values: Values,
    /// URLs that are given, by whose they are. The others are read from the Secrets that the values name.
    pub urls: Urls,
    /// A folder with the keyring.
    pub keyring_dir: Option<PathBuf>,
    /// Audience of the API's tokens.
    pub audience: String,
    /// Whether the account that asks is the one that will install; a pod's is not.
    pub installs: bool,
}

/// PostgreSQL URLs by role.
#[derive(Debug, Default)]
pub struct Urls {
    pub controller: Option<SecretString>,
    pub api: Option<SecretString>,
    pub owner: Option<SecretString>,
}

/// Looks at everything. A part that cannot be looked at is a finding of its own, and keeps no other from being
/// looked at.
pub async fn run(target: Target, client: Result<Client, String>) -> Report {
    let mut report = Report::default();
    target.values.check(&mut report);
    let (client, cluster_uid) = match client {
        Ok(client) => {
            let uid = cluster::check(&client, &target, &mut report).await;
            (uid.is_some().then_some(client), uid)
        }
        Err(error) => {
            report.fail("cluster", error, cluster::REMEDY);
            (None, None)
        }
    };
    let mut urls = target.urls;
    if let Some(client) = &client {
        let (namespace, values) = (&target.namespace, &target.values);
        definitions::check(client, values, &mut report).await;
        rights::check(client, values, namespace, target.installs, &mut report).await;
        let there = namespace::check(client, namespace, values, &mut report).await;
        namespace::check_watched(client, values, &mut report).await;
        token::check(client, namespace, there, &target.audience, &mut report).await;
        secrets::check(client, namespace, values, &mut urls, &mut report).await;
    }
    urls.fill_from(&target.values);
    let migrates = target.values.migrates();
    let db = database::check(&urls, migrates, cluster_uid.as_deref(), &mut report).await;
    if let Some(folder) = &target.keyring_dir {
        keyring::check(folder, db.as_ref(), &mut report).await;
    }
    if let Some(db) = db {
        db.close().await;
    }
    report
}

/// What the kube-apiserver says, or why it says nothing.
fn said(error: &kube::Error) -> String {
    if let kube::Error::Api(status) = error {
        return status.message.clone();
    }
    // What wraps the cause names the client's layers.
    let mut innermost: &dyn std::error::Error = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    innermost.to_string()
}

impl Urls {
    /// Takes the values' URLs where none is given.
    fn fill_from(&mut self, values: &Values) {
        let from = |role| {
            let url = values.text(&["database", role, "url"]);
            (!url.is_empty()).then(|| SecretString::from(url))
        };
        self.controller = self.controller.take().or_else(|| from("controller"));
        self.api = self.api.take().or_else(|| from("api"));
        self.owner = self.owner.take().or_else(|| from("owner"));
    }
}
