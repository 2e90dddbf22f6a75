//! The Secrets that pods mount, by the names of the chart's values.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use secrecy::SecretString;
use zeroize::Zeroize;

use super::Urls;
use super::contradictions::{FIXED, OWN};
use super::report::Report;
use super::values::Values;
use crate::encryption::{KEY_BYTES, KekId, KeyBytes};

struct Secrets<'a> {
    api: Api<Secret>,
    namespace: &'a str,
    report: &'a mut Report,
}

/// Entries of a Secret, wiped when they are dropped.
struct Entries(BTreeMap<String, ByteString>);

impl Drop for Entries {
    fn drop(&mut self) {
        self.0.values_mut().for_each(|value| value.0.zeroize());
    }
}

/// Looks at each, and takes the URLs that are not given from them.
pub(super) async fn check(
    client: &Client,
    namespace: &str,
    values: &Values,
    urls: &mut Urls,
    report: &mut Report,
) {
    let mut secrets = Secrets {
        api: Api::namespaced(client.clone(), namespace),
        namespace,
        report,
    };
    for (role, url) in [("controller", &mut urls.controller), ("api", &mut urls.api)] {
        if values.text(&["database", role, "url"]).is_empty() {
            secrets.url(&values.database_secret(role), role, url).await;
        }
    }
    let owner = values.text(&["database", "owner", "existingSecret"]);
    if !owner.is_empty() {
        secrets.url(owner, "owner", &mut urls.owner).await;
    }
    secrets.keyring(values).await;
    secrets.certificate(values).await;
    secrets.settings(values).await;
}

impl Secrets<'_> {
    /// A Secret's entries. Where it is not there, or cannot be read, that is said.
    async fn entries(&mut self, name: &str, make: &str) -> Option<Entries> {
        let check = format!("secret/{name}");
        let namespace = self.namespace;
        match self.api.get_opt(name).await {
            Ok(Some(secret)) => Some(Entries(secret.data.unwrap_or_default())),
            Ok(None) => {
                let found = format!("it is not in namespace {namespace}");
                let remedy = format!("kubectl -n {namespace} create secret {make}");
                self.report.fail(check, found, remedy);
                None
            }
            Err(kube::Error::Api(status)) => {
                let found = format!("it cannot be read: {}", status.message);
                let remedy = "let the account get this Secret, or run this as somebody who may";
                self.report.warn(check, found, remedy);
                None
            }
            // An error of reading an answer may hold the answer.
            Err(_) => {
                self.report
                    .warn(check, "it cannot be read", "run this again");
                None
            }
        }
    }

    async fn url(&mut self, name: &str, role: &str, url: &mut Option<SecretString>) {
        let make =
            format!("generic {name} --from-literal=DATABASE_URL=<the URL of llmplane_{role}>");
        let Some(entries) = self.entries(name, &make).await else {
            return;
        };
        let found = entries
            .0
            .get("DATABASE_URL")
            .map(|it| std::str::from_utf8(&it.0));
        let fault = match found {
            Some(Ok("")) => Some("DATABASE_URL is empty"),
            // A URL keeps a line's end that an editor or `echo` added.
            Some(Ok(text)) if text.trim() != text => {
                Some("DATABASE_URL begins or ends with a space or a line's end")
            }
            Some(Ok(text)) => {
                url.get_or_insert_with(|| SecretString::from(text));
                None
            }
            Some(Err(_)) => Some("DATABASE_URL is no text"),
            None => Some("it has no entry DATABASE_URL"),
        };
        self.said(name, fault.map(str::to_owned), "DATABASE_URL", &make);
    }

    /// What `llmplane keyring new` makes, in two Secrets.
    async fn keyring(&mut self, values: &Values) {
        let name = values.text(&["keyring", "existingSecret"]);
        let make = format!(
            "generic {name} --from-file=./keyring, a folder that llmplane keyring new made, without audit.key"
        );
        if let Some(entries) = self.entries(name, &make).await {
            let fault = ring_fault(&entries.0);
            self.said(name, fault, "a keyring without audit.key", &make);
        }
        let name = values.text(&["keyring", "auditKeySecret"]);
        let make = format!("generic {name} --from-file=audit.key");
        if let Some(entries) = self.entries(name, &make).await {
            let fault = key_fault(&entries.0, "audit.key");
            self.said(name, fault, "audit.key", &make);
        }
    }

    async fn certificate(&mut self, values: &Values) {
        if values.is_on(&["api", "tls", "certManager", "enabled"]) {
            return;
        }
        let name = values.tls_secret();
        let make = format!(
            "generic {name} --type=kubernetes.io/tls --from-file=tls.crt --from-file=tls.key --from-file=ca.crt \
             (ca.crt where no public authority signed)"
        );
        if let Some(entries) = self.entries(name, &make).await {
            let begins = |entry: &str| {
                let pem = entries.0.get(entry).map(|it| it.0.as_slice());
                pem.is_some_and(|pem| pem.windows(10).any(|part| part == b"-----BEGIN"))
            };
            let fault = ["tls.crt", "tls.key"]
                .into_iter()
                .find(|entry| !begins(entry));
            let fault = fault.map(|entry| format!("{entry} is missing, or no PEM"));
            self.said(name, fault, "a certificate and its key", &make);
        }
    }

    /// Settings that are secret, where the values name a Secret for them.
    async fn settings(&mut self, values: &Values) {
        let name = values.text(&["settingsFromSecret"]);
        if name.is_empty() {
            return;
        }
        let make = format!("generic {name} --from-literal=LLMPLANE_HTTPS_PROXY=<the URL>");
        if let Some(entries) = self.entries(name, &make).await {
            let fault = settings_fault(&entries.0);
            self.said(name, fault, "settings", &make);
        }
    }

    fn said(&mut self, name: &str, fault: Option<String>, holds: &str, make: &str) {
        let check = format!("secret/{name}");
        match fault {
            None => self.report.ok(check, format!("it holds {holds}")),
            Some(fault) => {
                let remedy = format!("make it anew: kubectl create secret {make}");
                self.report.fail(check, fault, remedy);
            }
        }
    }
}

/// What is wrong with a keyring as a Secret.
fn ring_fault(entries: &BTreeMap<String, ByteString>) -> Option<String> {
    if entries.contains_key("audit.key") {
        return Some("it holds audit.key, which the API must never get".to_owned());
    }
    let active = entries
        .get("active")
        .map(|it| String::from_utf8_lossy(&it.0));
    let Some(active) = active.as_deref().map(str::trim) else {
        return Some("it has no entry `active`".to_owned());
    };
    let keks = entries
        .keys()
        .filter(|name| name.ends_with(".key") && *name != "fingerprint.key");
    let faults = keks.clone().filter_map(|name| key_fault(entries, name));
    let faults: Vec<String> = faults
        .chain(key_fault(entries, "fingerprint.key"))
        .collect();
    if let Some(fault) = faults.into_iter().next() {
        return Some(fault);
    }
    let known = keks
        .into_iter()
        .any(|name| entries.get(name).is_some_and(|key| is_key(&key.0, active)));
    (!known).then(|| "`active` names a key that is not in it".to_owned())
}

/// Whether these bytes are the key of this id.
fn is_key(bytes: &[u8], id: &str) -> bool {
    let key: Option<Box<[u8; KEY_BYTES]>> = bytes.try_into().ok().map(Box::new);
    key.is_some_and(|key| KekId::of(&KeyBytes::new(key)).to_string() == id)
}

/// What is wrong with a Secret of settings. Its names may be anything, and are repeated only where they are known.
fn settings_fault(entries: &BTreeMap<String, ByteString>) -> Option<String> {
    if let Some((name, decides)) = OWN.iter().find(|(name, _)| entries.contains_key(*name)) {
        return Some(format!("it holds {name}, which {decides} decides"));
    }
    if let Some(name) = FIXED.iter().find(|name| entries.contains_key(**name)) {
        return Some(format!(
            "it holds {name}, whose port probes, Services and policies name"
        ));
    }
    let url = entries.keys().find(|name| name.ends_with("DATABASE_URL"))?;
    Some(format!(
        "it holds {url}, which both processes would get: use database.controller and database.api"
    ))
}

fn key_fault(entries: &BTreeMap<String, ByteString>, name: &str) -> Option<String> {
    match entries.get(name).map(|key| key.0.len()) {
        None => Some(format!("it has no entry {name}")),
        Some(KEY_BYTES) => None,
        Some(bytes) => Some(format!("{name} has {bytes} bytes, not {KEY_BYTES}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring() -> BTreeMap<String, ByteString> {
        let folder = tempfile::tempdir().unwrap();
        let ring = folder.path().join("ring");
        crate::encryption::kek::folder::create(&ring).unwrap();
        let files = std::fs::read_dir(&ring).unwrap().map(|entry| {
            let entry = entry.unwrap();
            let bytes = ByteString(std::fs::read(entry.path()).unwrap());
            (entry.file_name().into_string().unwrap(), bytes)
        });
        files.collect()
    }

    #[test]
    fn a_keyring_is_told_from_what_is_none() {
        let whole = ring();
        assert!(ring_fault(&whole).unwrap().contains("audit.key"));
        let mut ring = whole.clone();
        ring.remove("audit.key").expect("keyring new makes it");
        assert_eq!(ring_fault(&ring), None);
        assert_eq!(key_fault(&whole, "audit.key"), None);
        let mut other = ring.clone();
        other.insert(
            "active".to_owned(),
            ByteString(b"0123456789abcdef".to_vec()),
        );
        assert!(ring_fault(&other).unwrap().contains("`active` names a key"));
        let mut short = ring.clone();
        short.insert("fingerprint.key".to_owned(), ByteString(vec![1; 33]));
        assert!(ring_fault(&short).unwrap().contains("33 bytes"));
        ring.remove("active");
        assert!(ring_fault(&ring).unwrap().contains("no entry `active`"));
    }
}
