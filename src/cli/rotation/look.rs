//! What is stored of a key's versions, who holds them, and what the cluster says of both.

use std::collections::{BTreeMap, HashSet};

use anyhow::{Context, bail};
use futures::TryStreamExt;
use k8s_openapi::api::core::v1::{Pod, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};

use super::{CredentialArgs, Holder, VersionStatus};
use crate::crd::LlmCredential;
use crate::db::{CredentialHolder, CredentialRow, CredentialVersionRow, Db};

/// What is said where the cluster is not known.
const NO_CLUSTER: &str =
    "the cluster cannot be asked which pods still run; --without-cluster does not ask it";

/// A credential, where its versions and holders are looked for.
pub(super) struct LookedAt {
    db: Db,
    namespace: String,
    name: String,
    uid: uuid::Uuid,
    cluster: Option<Client>,
}

impl LookedAt {
    pub(super) async fn open(args: &CredentialArgs) -> anyhow::Result<Self> {
        let (cluster, usual) = match args.without_cluster {
            true => (None, "default".to_owned()),
            false => {
                let config = args.cluster.config().await.context(NO_CLUSTER)?;
                let usual = config.default_namespace.clone();
                let client = Client::try_from(config).context(NO_CLUSTER)?;
                (Some(client), usual)
            }
        };
        let namespace = args.namespace.clone().unwrap_or(usual);
        let (db, name) = (args.database.open().await?, args.name.clone());
        let Some(uid) = db.credential_uid(&namespace, &name).await? else {
            bail!("there is no LlmCredential {namespace}/{name} in the database");
        };
        Ok(Self {
            db,
            namespace,
            name,
            uid,
            cluster,
        })
    }

    /// What the controller has not taken yet of what is declared, in a sentence: a key that it has not seen is no
    /// version.
    pub(super) async fn untaken(&self) -> anyhow::Result<Option<String>> {
        let Some(cluster) = &self.cluster else {
            return Ok(None);
        };
        let (namespace, name) = (&self.namespace, &self.name);
        let credentials: Api<LlmCredential> = Api::namespaced(cluster.clone(), namespace);
        let declared = credentials.get_opt(name).await;
        let declared =
            declared.with_context(|| format!("LlmCredential {namespace}/{name} cannot be read"))?;
        // One that is deleted has no key to come.
        let Some(declared) = declared else {
            return Ok(None);
        };
        let secret = match &declared.spec.secret_ref {
            None => None,
            Some(secret) => {
                let secrets: Api<Secret> = Api::namespaced(cluster.clone(), namespace);
                let held = secrets.get_metadata_opt(&secret.name).await;
                let held = held.with_context(|| {
                    format!(
                        "Secret {namespace}/{} cannot be read, so that it is not known whether the controller has \
                         its key; to wait for a version, give --new-version",
                        secret.name
                    )
                })?;
                let held = held.map(|held| held.metadata).unwrap_or_default();
                Some((secret.name.as_str(), held))
            }
        };
        // Read last: it is as new as what it is compared with, or newer.
        let row = self.db.credential_row(self.uid).await?;
        Ok(untaken(row.as_ref(), &declared.metadata, secret))
    }

    pub(super) async fn versions(&self) -> anyhow::Result<Vec<VersionStatus>> {
        let mut rows = self.db.credential_version_rows(&[self.uid]).await?;
        rows.sort_by_key(|row| row.version);
        let mut holders = self.db.all_holders(self.uid, None).await?;
        if let Some(cluster) = &self.cluster {
            let running = running(cluster, &holders).await?;
            holders.retain(|holder| {
                holder
                    .pod_uid
                    .as_ref()
                    .is_none_or(|uid| running.contains(uid))
            });
        }
        Ok(versions(rows, holders))
    }
}

/// What a stored credential has not taken of its object and of its Secret, by their metadata. Pure.
pub(super) fn untaken(
    row: Option<&CredentialRow>,
    object: &ObjectMeta,
    secret: Option<(&str, ObjectMeta)>,
) -> Option<String> {
    let is_this = |row: &&CredentialRow| {
        object.uid.as_deref() == Some(row.uid.to_string().as_str())
            && object.generation == Some(row.generation)
    };
    let Some(row) = row.filter(is_this) else {
        return Some(
            "the controller has not taken up the LlmCredential as it is declared".to_owned(),
        );
    };
    let (name, secret) = secret?;
    let Some(uid) = secret.uid else {
        return Some(format!("there is no Secret {name}"));
    };
    let taken = (
        row.secret_uid.as_ref(),
        row.secret_resource_version.as_ref(),
    );
    (taken != (Some(&uid), secret.resource_version.as_ref())).then(|| {
        format!(
            "the controller has not taken the key that Secret {name} holds now; the condition Valid says what is \
             wrong with it, if anything is"
        )
    })
}

/// UIDs of the pods among these that have not ended.
async fn running(
    cluster: &Client,
    holders: &[CredentialHolder],
) -> anyhow::Result<HashSet<String>> {
    let namespaces: HashSet<&str> = holders
        .iter()
        .filter(|holder| holder.pod_uid.is_some())
        .filter_map(|holder| {
            holder
                .actor
                .strip_prefix("system:serviceaccount:")?
                .split(':')
                .next()
        })
        .collect();
    let lists = namespaces.into_iter().map(|namespace| async move {
        let pods: Api<Pod> = Api::namespaced(cluster.clone(), namespace);
        let list = pods.list(&ListParams::default()).await;
        list.with_context(|| format!("the pods of namespace {namespace} cannot be listed; give --without-cluster to count all of them as running"))
    });
    let lists: Vec<_> = futures::stream::iter(lists.map(Ok::<_, anyhow::Error>))
        .and_then(|list| list)
        .try_collect()
        .await?;
    Ok(lists
        .into_iter()
        .flat_map(|list| list.items)
        .filter(|pod| {
            let phase = pod
                .status
                .as_ref()
                .and_then(|status| status.phase.as_deref());
            !matches!(phase, Some("Succeeded" | "Failed"))
        })
        .filter_map(|pod| pod.uid())
        .collect())
}

/// The versions that are stored, and those that somebody holds all the same, each with its holders. Pure.
pub(super) fn versions(
    rows: Vec<CredentialVersionRow>,
    holders: Vec<CredentialHolder>,
) -> Vec<VersionStatus> {
    let mut versions: BTreeMap<i32, VersionStatus> = rows
        .into_iter()
        .map(|row| {
            let status = VersionStatus {
                version: row.version,
                state: row.state.as_str().to_owned(),
                since: Some(row.since),
                grace_until: row.grace_until,
                last_given_at: None,
                holders: Vec::new(),
            };
            (row.version, status)
        })
        .collect();
    for holder in holders {
        // A version that was destroyed long ago is forgotten; whoever holds it is not.
        let status = versions
            .entry(holder.version)
            .or_insert_with(|| VersionStatus {
                version: holder.version,
                state: "Forgotten".to_owned(),
                since: None,
                grace_until: None,
                last_given_at: None,
                holders: Vec::new(),
            });
        status.last_given_at = status.last_given_at.max(Some(holder.last_at));
        status.holders.push(Holder {
            user: holder.actor,
            pod: holder.pod,
            pod_uid: holder.pod_uid,
            node: holder.node,
            given_at: holder.last_at,
        });
    }
    versions.into_values().collect()
}
