//! `llmplane plan`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;
use jiff::Timestamp;
use kube::api::ListParams;
use kube::core::{DeserializeGuard, NamespaceResourceScope};
use kube::{Api, Client, Resource, ResourceExt};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::needs::read_needs;
use crate::checks::models_of;
use crate::config::cluster::KubectlArgs;
use crate::controller::settings::MODEL_SYNC_LIMIT;
use crate::crd::conditions::seconds;
use crate::crd::{Kind, LlmCredential, LlmEndpoint, LlmModel, LlmModelClass, LlmProvider};
use crate::db::{Db, DbOptions, GivenBounds, GivenKeys};
use crate::lint::documents::{Source, read_all};
use crate::output::{printable, printable_json};
use crate::plan::keys::{KeysReport, WithheldKey};
use crate::plan::needs::Needs;
use crate::plan::objects::{Objects, Place, Prune};
use crate::plan::{PlanRequest, Present, StoredRows, plan};
use crate::vendors::catalog::Catalog;

/// Objects that are read at once.
const PAGE: u32 = 250;
/// Rows of the audit that are looked at for each key that would be withheld, the newest.
const MAX_GIVEN: usize = 50_000;
/// Callers of each, by endpoint and model.
const MAX_CALLERS: usize = 1000;

/// Say what manifests would do: which objects change, and what agents would be answered otherwise
///
/// Ends with 0 where nobody is answered otherwise and nothing is warned of, with 3 where there are warnings, 4
/// where somebody is answered otherwise, 5 where somebody is left without an answer or a key, 6 where the
/// manifests would be refused; with 1 where it could not find out, 2 where it was called wrongly.
#[derive(Debug, Args)]
pub struct PlanCommand {
    /// Manifests: files, folders (all .yaml, .yml and .json in them but for hidden ones), or - for standard input;
    /// may be given several times
    #[arg(long = "filename", short = 'f', required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// What there is now, from what `llmplane export` or `kubectl get` printed, in place of the cluster; may be
    /// given several times
    #[arg(long, value_name = "FILE")]
    against: Vec<PathBuf>,
    /// The namespace of manifests that name none; without it the kubeconfig's, or `default`
    #[arg(long, short)]
    namespace: Option<String>,
    /// What is in the manifests' namespaces and not in the manifests goes, as with `kubectl apply --prune`. What
    /// model sync made stays
    #[arg(long)]
    prune: bool,
    /// Only what has these labels goes: KEY=VALUE,...
    #[arg(long, short = 'l', value_name = "LABELS", requires = "prune", value_parser = labels)]
    selector: Option<BTreeMap<String, String>>,
    /// What agents asked for, as `llmplane needs` prints it, in place of the database; may be given several times
    #[arg(long, value_name = "FILE")]
    needs: Vec<PathBuf>,
    /// Days of which it is looked at what agents asked for and what keys they were given, today among them
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(i32).range(1..=400))]
    days: i32,
    /// PostgreSQL URL, for what checks have found, what agents asked for and what keys they were given; the API's
    /// role suffices
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    database_url: Option<SecretString>,
    /// Tell of needs that would be answered as now too
    #[arg(long)]
    all: bool,
    /// A catalog of models that is laid over the built-in one: the controller's
    #[arg(long, env = "LLMPLANE_CATALOG", value_name = "FILE")]
    catalog: Option<PathBuf>,
    /// Most models that model sync makes for one provider: the controller's
    #[arg(long, env = "LLMPLANE_MODEL_SYNC_LIMIT", default_value_t = MODEL_SYNC_LIMIT, value_name = "COUNT")]
    model_sync_limit: u32,
    /// How the plan is printed
    #[arg(long, short, value_enum, default_value_t = Output::Text)]
    output: Output,
    #[command(flatten)]
    cluster: KubectlArgs,
}

/// How a plan is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// For people.
    Text,
    /// For machines.
    Json,
    /// As a comment on a pull request.
    Markdown,
}

fn labels(text: &str) -> Result<BTreeMap<String, String>, String> {
    let pair = |part: &str| {
        let (key, value) = part.split_once('=').filter(|(key, _)| !key.is_empty())?;
        Some((key.to_owned(), value.to_owned()))
    };
    let read: Option<BTreeMap<String, String>> = text.split(',').map(pair).collect();
    read.ok_or_else(|| "expected KEY=VALUE, several with commas between them".to_owned())
}

impl PlanCommand {
    /// Reads, looks, prints; answers the code to end with.
    ///
    /// # Errors
    /// What kept it from a plan, as a message for the user.
    pub async fn run(self) -> anyhow::Result<i32> {
        let files = read_all(&self.files, &mut std::io::stdin().lock());
        let db = match &self.database_url {
            Some(url) => Some(open(url).await?),
            None => None,
        };
        let (present, namespace) = match self.against.is_empty() {
            true => self.live(db.as_ref(), &files).await?,
            false => self.offline()?,
        };
        let catalog = match &self.catalog {
            Some(file) => Catalog::builtin()?.overlay(file)?,
            None => Catalog::builtin()?,
        };
        let request = PlanRequest {
            files: &files,
            namespace: &namespace,
            prune: self.prune.then(|| Prune {
                labels: self.selector.clone().unwrap_or_default(),
            }),
            needs: self.asked_for(db.as_ref()).await?,
            catalog: &catalog,
            sync_limit: usize::try_from(self.model_sync_limit).unwrap_or(usize::MAX),
            all_needs: self.all,
            now: seconds(Timestamp::now()),
        };
        let mut plan = plan(&present, request)?;
        if let Some(db) = db.as_ref().filter(|_| !plan.is_refused()) {
            let given = given(db, &plan.withheld, self.days).await?;
            plan.keys = Some(KeysReport::of(&given, self.days));
        }
        let mut out = crate::output::stdout();
        match self.output {
            Output::Text => write!(out, "{}", plan.text())?,
            Output::Json => writeln!(out, "{}", printable_json(&plan.json()?))?,
            Output::Markdown => write!(out, "{}", plan.markdown())?,
        }
        Ok(plan.finding().exit_code())
    }

    async fn asked_for(&self, db: Option<&Db>) -> anyhow::Result<Option<Needs>> {
        if self.needs.is_empty() {
            return match db {
                Some(db) => Ok(Some(read_needs(db, None, self.days).await?)),
                None => Ok(None),
            };
        }
        let texts = self.needs.iter().map(|file| {
            std::fs::read_to_string(file)
                .with_context(|| format!("{} cannot be read", file.display()))
        });
        let texts = texts.collect::<anyhow::Result<Vec<String>>>()?;
        let names: Vec<String> = self
            .needs
            .iter()
            .map(|it| it.display().to_string())
            .collect();
        let needs = Needs::read(&texts).with_context(|| names.join(", "))?;
        Ok(Some(needs))
    }

    fn offline(&self) -> anyhow::Result<(Present, String)> {
        let namespace = self.namespace.clone();
        let namespace = namespace.unwrap_or_else(|| "default".to_owned());
        let sources = read_all(&self.against, &mut std::io::empty());
        for source in &sources {
            if let Some(error) = source.content.errors.first() {
                bail!("{} {error}", printable(&source.file));
            }
        }
        let (objects, not_understood) = Objects::of_files(&sources, &namespace);
        if !not_understood.is_empty() {
            bail!(
                "not understood in what there is now: {}",
                not_understood.join(", ")
            );
        }
        let present = Present {
            objects,
            stored: None,
        };
        Ok((present, namespace))
    }

    async fn live(&self, db: Option<&Db>, files: &[Source]) -> anyhow::Result<(Present, String)> {
        let config = self.cluster.config().await?;
        let namespace = self.namespace.clone();
        let namespace = namespace.unwrap_or_else(|| config.default_namespace.clone());
        let client = Client::try_from(config).context("the cluster cannot be reached")?;
        let (declared, _) = Objects::of_files(files, &namespace);
        let namespaces = declared.namespaces();
        let stored = match db {
            Some(db) => Some(stored(db).await?),
            None => None,
        };
        // Without what is stored, what other namespaces hold is read as it is declared.
        let scope = stored.is_some().then_some(&namespaces);
        let objects = Cluster { client, scope }.objects(&namespaces).await?;
        Ok((Present { objects, stored }, namespace))
    }
}

async fn open(url: &SecretString) -> anyhow::Result<Db> {
    let db = Db::connect(url.expose_secret(), &DbOptions::new("llmplane-cli")).await?;
    db.check_schema().await?;
    Ok(db)
}

async fn stored(db: &Db) -> anyhow::Result<StoredRows> {
    let all = db.read_all().await?;
    let mut stored = StoredRows {
        rows: all.rows,
        revision: all.revision,
        ..StoredRows::default()
    };
    for row in &stored.rows.endpoints {
        let listed = db.listed_models(row.uid, &row.base_url).await?;
        if !listed.is_empty() {
            let list = (row.base_url.as_str().to_owned(), models_of(listed));
            stored.lists.insert(row.uid, list);
        }
    }
    Ok(stored)
}

/// To whom each of these keys was given.
async fn given(
    db: &Db,
    keys: &[WithheldKey],
    days: i32,
) -> anyhow::Result<Vec<(WithheldKey, GivenKeys)>> {
    let within = GivenBounds {
        days,
        rows: MAX_GIVEN,
        groups: MAX_CALLERS,
    };
    let mut all = Vec::new();
    for key in keys {
        if let Some(uid) = db.credential_uid(&key.namespace, &key.credential).await? {
            all.push((key.clone(), db.given_keys(uid, within).await?));
        }
    }
    Ok(all)
}

/// The cluster's objects.
struct Cluster<'a> {
    client: Client,
    /// None: those of all namespaces, where that is allowed.
    scope: Option<&'a BTreeSet<String>>,
}

impl Cluster<'_> {
    async fn objects(&self, namespaces: &BTreeSet<String>) -> anyhow::Result<Objects> {
        if self.scope.is_none() {
            match self.those_of(None).await {
                Ok(objects) => return Ok(objects),
                Err(error) if is_forbidden(&error) => {}
                Err(error) => return Err(error),
            }
        }
        let mut all = Objects::default();
        for namespace in namespaces {
            all.extend(self.those_of(Some(namespace)).await?);
        }
        Ok(all)
    }

    async fn those_of(&self, namespace: Option<&str>) -> anyhow::Result<Objects> {
        let mut objects = Objects::default();
        self.kind::<LlmProvider>(Kind::Provider, namespace, &mut objects)
            .await?;
        self.kind::<LlmEndpoint>(Kind::Endpoint, namespace, &mut objects)
            .await?;
        self.kind::<LlmCredential>(Kind::Credential, namespace, &mut objects)
            .await?;
        self.kind::<LlmModel>(Kind::Model, namespace, &mut objects)
            .await?;
        self.kind::<LlmModelClass>(Kind::ModelClass, namespace, &mut objects)
            .await?;
        Ok(objects)
    }

    async fn kind<K>(
        &self,
        kind: Kind,
        namespace: Option<&str>,
        objects: &mut Objects,
    ) -> anyhow::Result<()>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Serialize
            + DeserializeOwned
            + Clone
            + std::fmt::Debug,
    {
        let api: Api<DeserializeGuard<K>> = match namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        };
        let mut params = ListParams::default().limit(PAGE);
        loop {
            let page = (api.list(&params).await)
                .with_context(|| format!("{} cannot be listed in the cluster", kind.plural()))?;
            for object in page.items {
                // What the controller does not understand is not in force.
                let Ok(object) = object.0 else { continue };
                let place = Place {
                    kind,
                    namespace: object.namespace().unwrap_or_default(),
                    name: object.name_any(),
                };
                objects.put(place, &serde_json::to_value(object)?);
            }
            match page.metadata.continue_.filter(|more| !more.is_empty()) {
                Some(more) => params.continue_token = Some(more),
                None => return Ok(()),
            }
        }
    }
}

fn is_forbidden(error: &anyhow::Error) -> bool {
    let cause = error.downcast_ref::<kube::Error>();
    matches!(cause, Some(kube::Error::Api(status)) if status.code == 403)
}
