//! `llmplane preflight`.

use std::io::Write;
use std::path::PathBuf;

use clap::ValueEnum;
use kube::Client;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use super::ended;
use crate::config::cluster::KubectlArgs;
use crate::output::{printable, printable_json, stdout};
use crate::preflight::{self, NAMESPACE, Reading, Report, Target, Urls, Values, Verdict};

/// Say whether a cluster and a database have what an installation needs, and what to do where they have not
///
/// Nothing is changed. Ends with 0 where nothing keeps the installation from working, with 1 where something
/// does. URLs that are not given are read from the values, or from the Secrets that they name.
#[derive(Debug, clap::Args)]
pub struct PreflightCommand {
    /// The namespace that is installed into
    #[arg(long, short, default_value = NAMESPACE, value_name = "NAME")]
    namespace: String,
    /// The chart's values, as for `helm install -f`; without them its defaults
    #[arg(long, short = 'f', value_name = "FILE")]
    values: Vec<PathBuf>,
    /// Values over those of files, as for `helm install --set`: a.b=c,d[0]=e,f={g,h}; may be given several times
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<SecretString>,
    /// The same, of which every value is a text, as for `helm install --set-string`
    #[arg(long, value_name = "NAME=VALUE")]
    set_string: Vec<SecretString>,
    /// PostgreSQL URL of the controller's role
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    database_url: Option<SecretString>,
    /// PostgreSQL URL of the API's role
    #[arg(
        long,
        env = "LLMPLANE_API_DATABASE_URL",
        hide_env_values = true,
        value_name = "URL"
    )]
    api_database_url: Option<SecretString>,
    /// PostgreSQL URL of the owner
    #[arg(
        long,
        env = "LLMPLANE_OWNER_DATABASE_URL",
        hide_env_values = true,
        value_name = "URL"
    )]
    owner_database_url: Option<SecretString>,
    /// A keyring folder to look at
    #[arg(long, env = "LLMPLANE_KEYRING_DIR", value_name = "DIR")]
    keyring_dir: Option<PathBuf>,
    /// Audience of the API's tokens; without it the values', or llmplane
    #[arg(
        long,
        env = "LLMPLANE_AUDIENCE",
        value_name = "NAME",
        value_parser = clap::builder::NonEmptyStringValueParser::new()
    )]
    audience: Option<String>,
    #[command(flatten)]
    cluster: KubectlArgs,
    /// How the answer is printed
    #[arg(long, short, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// How the answer is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// One line a check.
    Text,
    /// For machines.
    Json,
}

impl PreflightCommand {
    /// Looks at everything, and prints it.
    ///
    /// # Errors
    /// Where the values cannot be read.
    pub async fn run(self) -> anyhow::Result<()> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let values = Values::read(&self.values)?
            .set(Reading::Typed, exposed(&self.set))?
            .set(Reading::Text, exposed(&self.set_string))?;
        let audience = self.audience.as_deref().or(values.audience());
        let target = Target {
            audience: audience.unwrap_or("llmplane").to_owned(),
            values,
            urls: Urls {
                controller: self.database_url,
                api: self.api_database_url,
                owner: self.owner_database_url,
            },
            installs: self.cluster.has_kubeconfig(),
            namespace: self.namespace,
            keyring_dir: self.keyring_dir,
        };
        let client = client(&self.cluster).await;
        let report = preflight::run(target, client).await;
        let mut out = stdout();
        match self.output {
            Output::Text => print(&report, &mut out)?,
            Output::Json => {
                let answer = json!({ "passes": report.passes(), "checks": report.checks });
                let json = serde_json::to_string_pretty(&answer)?;
                writeln!(out, "{}", printable_json(&json))?;
            }
        }
        out.flush()?;
        ended(i32::from(!report.passes()))
    }
}

fn exposed(assignments: &[SecretString]) -> impl Iterator<Item = &str> {
    assignments.iter().map(ExposeSecret::expose_secret)
}

async fn client(cluster: &KubectlArgs) -> Result<Client, String> {
    let config = cluster.config().await.map_err(|error| error.to_string())?;
    Client::try_from(config).map_err(|error| error.to_string())
}

fn print(report: &Report, out: &mut impl Write) -> std::io::Result<()> {
    let width = report.checks.iter().map(|it| it.check.len()).max();
    let width = width.unwrap_or_default();
    for finding in &report.checks {
        let verdict: &str = finding.verdict.into();
        let line = match finding.remedy.as_str() {
            "" => format!("{verdict:4}  {:width$}  {}", finding.check, finding.found),
            remedy => format!(
                "{verdict:4}  {:width$}  {}: {remedy}",
                finding.check, finding.found
            ),
        };
        writeln!(out, "{}", printable(&line))?;
    }
    writeln!(
        out,
        "{} ok, {} to look at, {} to mend",
        report.count(Verdict::Ok),
        report.count(Verdict::Warn),
        report.count(Verdict::Fail)
    )
}
