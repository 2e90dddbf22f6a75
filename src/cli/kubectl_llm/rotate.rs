//! `kubectl llm rotate`.

use std::io::{IsTerminal, Read, Write};
use std::time::Duration;

use anyhow::{Context, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use kube::api::{Patch, PatchParams};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::check::{checked, verdict};
use super::complete::words;
use super::objects::{self, Declared, State, status_text};
use super::paint::Paint;
use super::{Format, write_document};
use crate::api_client::Cluster;
use crate::crd::Kind;
use crate::crd::conditions::ConditionType;
use crate::crd::gitops::Manager;
use crate::crd::remedy;
use crate::output::printable;

/// Longest key that is read; the controller says what is too long for a key.
const MAX_KEY: u64 = 64 * 1024;
/// What `spec.secretRef.keys` may have.
const FIELDS: [&str; 3] = ["apiKey", "secretKey", "accessToken"];
/// Ends of the groups of labels, annotations and owners of operators that write Secrets themselves, and would
/// undo a change: External Secrets, Sealed Secrets, Vault's.
const OPERATORS: [&str; 3] = [
    "external-secrets.io",
    "bitnami.com",
    "secrets.hashicorp.com",
];

#[derive(Debug, Args)]
pub struct RotateArgs {
    /// The LlmCredential
    name: String,
    /// Which entry of its Secret the new key is for: apiKey, secretKey or accessToken
    #[arg(long, default_value = "apiKey", value_name = "FIELD", add = words(FIELDS))]
    field: String,
    /// How long to wait for the vendor's verdict, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    timeout_seconds: u64,
    /// Write the Secret also where another tool keeps it
    #[arg(long)]
    force: bool,
    /// How the answer is printed
    #[arg(long, short, value_enum, default_value_t)]
    output: Format,
}

/// What became of the key that the Secret holds now.
#[derive(Debug, Serialize)]
struct Rotated<'a> {
    kind: &'static str,
    namespace: &'a str,
    name: &'a str,
    is_in_use: bool,
    /// Whether the Secret held another one before.
    secret_changed: bool,
    /// Whether it became a new version of the credential's key.
    is_new_version: bool,
    /// The version that it is, where it is in use.
    version: Option<i64>,
    /// The key that is in use, this one or the one before.
    masked_key: Option<&'a str>,
    condition: Option<&'a str>,
    reason: Option<&'a str>,
    message: Option<&'a str>,
    /// What to do.
    remedy: Option<&'static str>,
}

impl RotateArgs {
    pub async fn run(self, cluster: &Cluster) -> anyhow::Result<u8> {
        let credential =
            objects::get(cluster, Kind::Credential, &cluster.namespace, &self.name).await?;
        let Some(credential) = credential else {
            bail!(
                "there is no LlmCredential {} in namespace {}",
                self.name,
                cluster.namespace
            );
        };
        let Some(secret) = credential.spec("/secretRef/name") else {
            bail!(
                "LlmCredential {} names no Secret: there is no key to rotate",
                self.name
            );
        };
        let entry = |field: &str| credential.spec(&format!("/secretRef/keys/{field}"));
        let Some(entry) = entry(&self.field) else {
            let named = FIELDS.into_iter().filter(|field| entry(field).is_some());
            bail!(
                "spec.secretRef.keys of LlmCredential {} has no {}: give --field with what it has ({})",
                self.name,
                self.field,
                named.collect::<Vec<_>>().join(", ")
            );
        };
        let secrets: Api<Secret> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
        let kept = secrets.get_metadata(secret).await;
        let kept = kept.with_context(|| format!("Secret {secret} cannot be read"))?;
        if let (Some(writer), false) = (writer(&kept.metadata), self.force) {
            bail!(
                "Secret {secret} is written by {writer}, which would undo a change: put the new key where that takes \
                 it from, or give --force"
            );
        }
        let key = key_on_standard_input()?;
        let data = Zeroizing::new(STANDARD.encode(key.expose_secret()));
        let change = json!({
            "metadata": { "resourceVersion": kept.metadata.resource_version },
            "data": { entry: data.as_str() },
        });
        drop(key);
        let written = secrets
            .patch(secret, &PatchParams::default(), &Patch::Merge(&change))
            .await;
        wipe(change);
        let written = written.map_err(|error| without_object(&error, secret));
        let is_new = written?.metadata.resource_version != kept.metadata.resource_version;
        self.tell(cluster, &credential, is_new).await
    }

    /// Tells what the vendor says of the key that the Secret holds now; `before` is the credential before it was
    /// written.
    async fn tell(&self, cluster: &Cluster, before: &Declared, is_new: bool) -> anyhow::Result<u8> {
        let deadline = Instant::now() + Duration::from_secs(self.timeout_seconds);
        // Who asks for checks has the Secret read anew, and is answered once its key was judged.
        let seen = checked(cluster, before, deadline).await;
        let seen = seen.context(match is_new {
            true => "the Secret holds the new key",
            false => "the Secret held this key already",
        })?;
        let rotated = Rotated::of(&seen, newest_version(before), is_new);
        let mut out = crate::output::stdout();
        match self.output {
            Format::Text => write!(out, "{}", rotated.text(&seen, Paint::of_stdout()))?,
            Format::Name => writeln!(out, "{}", printable(&seen.resource_name()))?,
            format => write_document(&mut out, format, &rotated)?,
        }
        out.flush()?;
        Ok(u8::from(!rotated.is_in_use))
    }
}

impl<'a> Rotated<'a> {
    /// From the credential as it is now, and the newest version that it had before.
    fn of(seen: &'a Declared, newest_before: i64, secret_changed: bool) -> Self {
        let is_in_use = newest_state(seen) == Some("Current") && !is_refused(seen);
        let version = newest_version(seen);
        let decided = seen.deciding();
        Self {
            kind: seen.kind.kubernetes(),
            namespace: &seen.namespace,
            name: &seen.name,
            is_in_use,
            secret_changed,
            is_new_version: is_in_use && version > newest_before,
            version: is_in_use.then_some(version),
            masked_key: status_text(&seen.object, "/maskedKey"),
            condition: decided.map(|condition| condition.type_.as_str()),
            reason: decided.map(|condition| condition.reason.as_str()),
            message: decided.map(|condition| condition.message.as_str()),
            remedy: decided
                .filter(|_| seen.state() != State::Works)
                .and_then(|condition| remedy::of(&condition.reason)),
        }
    }

    fn text(&self, seen: &Declared, paint: Paint) -> String {
        let masked = printable(self.masked_key.unwrap_or_default());
        if let (Some(version), true) = (self.version, self.is_new_version) {
            return format!(
                "version {version} ({masked}) is in use; the one before can be used until its grace ends\n\
                 `kubectl llm holders {}` says who has which\n",
                printable(self.name)
            );
        }
        if let Some(version) = self.version {
            let again = match self.secret_changed {
                true => "again holds",
                false => "held already",
            };
            return format!(
                "the Secret {again} the key that is in use: version {version} ({masked})\n"
            );
        }
        let mut text = verdict(seen, paint);
        // The vendor refuses the one before as well, or its time is over.
        let is_usable = !masked.is_empty() && !is_refused(seen);
        if is_usable {
            text.push_str(&format!(
                "the Secret holds this key; the one in use ({masked}) stays so until one is accepted\n"
            ));
        }
        text
    }
}

/// Whether the key in use is refused.
fn is_refused(credential: &Declared) -> bool {
    let valid = credential.condition(ConditionType::Valid);
    valid.is_some_and(|valid| valid.status == "False")
}

fn versions(credential: &Declared) -> impl Iterator<Item = &Value> {
    credential.object.data["status"]["versions"]
        .as_array()
        .into_iter()
        .flatten()
}

/// The newest version that is not destroyed: one of a key that the Secret holds no more may be.
fn newest(credential: &Declared) -> Option<&Value> {
    versions(credential)
        .filter(|version| version["state"] != "Destroyed")
        .max_by_key(|version| version["version"].as_i64())
}

fn newest_version(credential: &Declared) -> i64 {
    newest(credential)
        .and_then(|newest| newest["version"].as_i64())
        .unwrap_or(0)
}

fn newest_state(credential: &Declared) -> Option<&str> {
    newest(credential)?["state"].as_str()
}

/// The tool that keeps this Secret, if one does.
fn writer(metadata: &ObjectMeta) -> Option<String> {
    let owners = metadata.owner_references.iter().flatten();
    let is_operator = |group: &str| OPERATORS.iter().any(|operator| group.ends_with(operator));
    let mut owners =
        owners.filter(|owner| is_operator(owner.api_version.split('/').next().unwrap_or_default()));
    if let Some(owner) = owners.next() {
        return Some(format!("{} {}", owner.kind, owner.name));
    }
    let mut marks = (metadata.labels.iter().flatten())
        .chain(metadata.annotations.iter().flatten())
        .filter(|(name, _)| name.split('/').next().is_some_and(is_operator));
    marks
        .next()
        .map(|(name, value)| format!("the tool that marked it {name}={value}"))
        .or_else(|| Manager::of(metadata).map(|manager| manager.told()))
}

/// The key, without the line break that a shell adds.
fn key_on_standard_input() -> anyhow::Result<SecretString> {
    let mut stdin = std::io::stdin();
    if stdin.is_terminal() {
        bail!(
            "give the new key on standard input, so that it stands in no shell history: for example `pbpaste | kubectl llm rotate NAME`"
        );
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_KEY as usize + 1));
    stdin.by_ref().take(MAX_KEY + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_KEY {
        bail!("what is on standard input is longer than any key");
    }
    let text = std::str::from_utf8(&bytes).context("what is on standard input is no text")?;
    match text.trim_end_matches(['\r', '\n']) {
        "" => bail!("standard input is empty: give the new key there"),
        key => Ok(SecretString::from(key)),
    }
}

/// Overwrites the key in what was sent.
fn wipe(mut change: Value) {
    use zeroize::Zeroize;
    for (_, entry) in change["data"].as_object_mut().into_iter().flatten() {
        if let Value::String(text) = entry {
            text.zeroize();
        }
    }
}

/// What the kube-apiserver refused, without its copy of the object: that holds the key.
fn without_object(error: &kube::Error, secret: &str) -> anyhow::Error {
    match objects::refusal(error) {
        Some(refused) if refused.code == 409 => {
            anyhow::anyhow!(
                "Secret {secret} was changed by somebody else meanwhile; nothing was written: try again"
            )
        }
        Some(refused) => anyhow::anyhow!(
            "Secret {secret} cannot be written: the kube-apiserver answers {} {}",
            refused.code,
            refused.reason
        ),
        None => {
            anyhow::anyhow!("Secret {secret} cannot be written: the kube-apiserver does not answer")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_a_tool_keeps_is_known_by_its_owner_or_its_label() {
        let metadata = |value: Value| serde_json::from_value::<ObjectMeta>(value).unwrap();
        let owned = metadata(json!({ "ownerReferences": [{
            "apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret", "name": "openai", "uid": "u" }] }));
        assert_eq!(writer(&owned).as_deref(), Some("ExternalSecret openai"));
        let labelled =
            metadata(json!({ "labels": { "reconcile.external-secrets.io/managed": "true" } }));
        assert!(writer(&labelled).is_some());
        for marks in [
            json!({ "labels": { "kustomize.toolkit.fluxcd.io/name": "team-a" } }),
            json!({ "labels": { "app.kubernetes.io/managed-by": "Helm" } }),
            json!({ "managedFields": [{ "manager": "kustomize-controller", "fieldsV1": { "f:data": {} } }] }),
            json!({ "annotations": { "argocd.argoproj.io/tracking-id": "a:/Secret:n/s" } }),
            json!({ "annotations": { "meta.helm.sh/release-name": "r" } }),
        ] {
            assert!(writer(&metadata(marks.clone())).is_some(), "{marks}");
        }
        for own in [
            json!({ "labels": { "llmplane.dev/credential": "OpenAI" } }),
            json!({ "labels": { "app.kubernetes.io/instance": "llm" } }),
        ] {
            assert_eq!(writer(&metadata(own.clone())), None, "{own}");
        }
    }
}
