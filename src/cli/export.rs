//! `llmplane export`.

use std::io::Write;

use anyhow::{Context, bail};
use kube::api::ListParams;
use kube::core::object::HasSpec;
use kube::core::{DeserializeGuard, NamespaceResourceScope};
use kube::{Api, Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::config::cluster::KubectlArgs;
use crate::crd::manifest::{Declaration, Format, ManifestWriter};
use crate::crd::{Kind, LlmCredential, LlmEndpoint, LlmModel, LlmModelClass, LlmProvider};
use crate::output::{Output, printable, stdout};

/// Objects that are read, and held, at once.
const PAGE: u32 = 250;

/// Prints what is declared in the cluster, as manifests that `kubectl apply` takes.
///
/// Secrets are named, never shown. What model sync made and nobody touched is left out: it comes
/// back by itself.
#[derive(Debug, clap::Args)]
pub struct ExportCommand {
    /// The namespace; without it the kubeconfig's. Its manifests do not name it, so that they can
    /// be applied to any
    #[arg(long, short)]
    namespace: Option<String>,
    /// All namespaces
    #[arg(long, short = 'A', conflicts_with = "namespace")]
    all_namespaces: bool,
    /// Documents, or one List
    #[arg(long, value_parser = format, default_value = "yaml", value_name = "yaml|json")]
    format: Format,
    #[command(flatten)]
    cluster: KubectlArgs,
}

fn format(word: &str) -> Result<Format, String> {
    Format::parse(word).ok_or_else(|| "expected yaml or json".to_owned())
}

impl ExportCommand {
    /// Reads the cluster and prints.
    ///
    /// # Errors
    /// Where the cluster does not answer, or an object is none of its kind: it is named, after all
    /// others were printed.
    pub async fn run(&self) -> anyhow::Result<()> {
        let config = self.cluster.config().await?;
        let namespace = match (self.all_namespaces, &self.namespace) {
            (true, _) => None,
            (false, Some(named)) => Some(named.clone()),
            (false, None) => Some(config.default_namespace.clone()),
        };
        let mut export = Export {
            client: Client::try_from(config).context("the cluster cannot be reached")?,
            namespace,
            writer: ManifestWriter::new(self.format),
            out: stdout(),
            generated: 0,
            not_understood: Vec::new(),
        };
        export.run().await
    }
}

struct Export {
    client: Client,
    /// None for all.
    namespace: Option<String>,
    writer: ManifestWriter,
    out: Output,
    generated: usize,
    /// Objects that are in the cluster and none of their kind.
    not_understood: Vec<String>,
}

impl Export {
    async fn run(&mut self) -> anyhow::Result<()> {
        write!(self.out, "{}", self.writer.begin(&[]))?;
        self.kind::<LlmProvider>(Kind::Provider).await?;
        self.kind::<LlmEndpoint>(Kind::Endpoint).await?;
        self.kind::<LlmCredential>(Kind::Credential).await?;
        self.kind::<LlmModel>(Kind::Model).await?;
        self.kind::<LlmModelClass>(Kind::ModelClass).await?;
        write!(self.out, "{}", self.writer.end(&[]))?;
        if self.generated > 0 {
            eprintln!(
                "{} models that model sync made are left out: their providers bring them back",
                self.generated
            );
        }
        if !self.not_understood.is_empty() {
            let names = self.not_understood.join(", ");
            bail!("not exported, for they do not decode; apply them anew: {names}");
        }
        Ok(())
    }

    async fn kind<K>(&mut self, kind: Kind) -> anyhow::Result<()>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + HasSpec<Spec: Serialize>
            + DeserializeOwned
            + Clone
            + std::fmt::Debug,
    {
        let api: Api<DeserializeGuard<K>> = match &self.namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        };
        let mut params = ListParams::default().limit(PAGE);
        loop {
            let page = api
                .list(&params)
                .await
                .with_context(|| format!("{} cannot be listed in the cluster", kind.plural()))?;
            for object in page.items {
                self.object(kind, object)?;
            }
            match page.metadata.continue_.filter(|more| !more.is_empty()) {
                Some(more) => params.continue_token = Some(more),
                None => return Ok(()),
            }
        }
    }

    fn object<K>(&mut self, kind: Kind, object: DeserializeGuard<K>) -> anyhow::Result<()>
    where
        K: Resource + HasSpec<Spec: Serialize>,
    {
        let object = match object.0 {
            Ok(object) => object,
            Err(invalid) => {
                let name = invalid.metadata.name.unwrap_or_default();
                let name = format!("{} {name}", kind.kubernetes());
                self.not_understood.push(printable(&name).into_owned());
                return Ok(());
            }
        };
        let declaration = Declaration::of(&object);
        if declaration.generated {
            self.generated += 1;
            return Ok(());
        }
        let own = object.namespace();
        let namespace = self.namespace.is_none().then_some(own.as_deref());
        let name = object.name_any();
        let text = (self.writer).object(kind, namespace.flatten(), &name, &declaration)?;
        self.out.write_all(text.as_bytes())?;
        Ok(())
    }
}
