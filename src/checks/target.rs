//! The endpoint that a check calls, the key that it calls with, and the call.

use std::time::Duration;

use tokio::time::Instant;
use url::Url;
use uuid::Uuid;

use super::{listings::ModelsById, run::Runner, schedule::Owner};
use crate::{
    crd::{ProviderType, reasons::Reason},
    db::{CredentialRow, CredentialVersionRow, DbError, EndpointRow, ProviderRow},
    keys::{
        BoundKey,
        open::{KeyError, UsableKey, open_for},
        select,
    },
    vendors::{
        Call, CheckResult, Driver, HttpClient, ListedModel, Retry, TestedModel, driver, vendor,
    },
};

/// An endpoint that can be called.
pub(super) struct Target {
    pub(super) provider: ProviderRow,
    pub(super) endpoint: EndpointRow,
    pub(super) driver: &'static dyn Driver,
    pub(super) url: Url,
    pub(super) headers: Vec<(String, String)>,
    pub(super) client: HttpClient,
}

/// The key that a check is made with.
#[derive(Default)]
pub(super) struct ChosenKey {
    /// The best that can be used here; `None` where there is none.
    pub(super) key: Option<UsableKey>,
    /// What proofs name the keys by that it was chosen from.
    pub(super) usable: Vec<String>,
    /// Why one of them could not be opened, where that is the keyring's trouble.
    pub(super) unopened: Option<String>,
}

/// Why an endpoint cannot be called.
pub(super) enum NoTarget {
    /// It is gone or switched off; nothing is to be said of it.
    Off,
    /// What is wrong with it.
    Unusable(Box<EndpointRow>, Box<CheckResult>),
}

/// How long a call took, and what it came to.
pub(super) struct TargetResult {
    pub(super) found: CheckResult,
    pub(super) took: Duration,
    /// How long the vendor asks to be left alone.
    pub(super) wait: Duration,
    /// Whether what it takes to ask was missing: nobody was asked anything that could cost.
    pub(super) unasked: bool,
}

/// What a vendor is asked.
#[derive(Clone, Copy, Debug)]
pub(super) enum CheckCall<'a> {
    /// Does the endpoint answer?
    Probe,
    /// Is the key taken?
    Validate,
    /// Is it, by a call that is for keys alone? `Unverifiable` where the server has none.
    ProveKey,
    /// Which models are there?
    List,
    /// Does this model answer?
    Test(TestedModel<'a>),
}

impl Runner {
    /// The credential that the endpoint's probes are to use, where it may be used there.
    pub(super) async fn probe_key(&self, target: &Target) -> Result<Option<UsableKey>, DbError> {
        let Some(wanted) = &target.endpoint.health_check.credential_ref else {
            return Ok(None);
        };
        let (rows, versions) = self.credentials(target).await?;
        let named = select::named(rows, &versions, &target.endpoint, &wanted.name);
        let chosen = self.first_usable(target, named, &versions, &[]);
        Ok(chosen.await?.key)
    }

    /// The best credential for reading lists and testing models, among those that are declared so (their
    /// rows may be behind), but for keys of these fingerprints.
    pub(super) async fn list_key(
        &self,
        target: &Target,
        declared: Option<&[String]>,
        but: &[String],
    ) -> Result<ChosenKey, DbError> {
        let (mut rows, versions) = self.credentials(target).await?;
        rows.retain(|row| declared.is_none_or(|names| names.contains(&row.name)));
        let candidates = select::candidates(rows, &versions, &target.endpoint);
        self.first_usable(target, candidates, &versions, but).await
    }

    /// The provider's credentials, and their versions.
    async fn credentials(
        &self,
        target: &Target,
    ) -> Result<(Vec<CredentialRow>, Vec<CredentialVersionRow>), DbError> {
        let db = &self.means.db;
        let rows = db
            .credential_rows_of_providers(&[target.provider.uid])
            .await?;
        let uids: Vec<Uuid> = rows.iter().map(|row| row.uid).collect();
        let versions = db.credential_version_rows(&uids).await?;
        Ok((rows, versions))
    }

    async fn first_usable(
        &self,
        target: &Target,
        credentials: Vec<CredentialRow>,
        versions: &[CredentialVersionRow],
        but: &[String],
    ) -> Result<ChosenKey, DbError> {
        let current = |credential| select::current(versions, credential);
        let usable = credentials.iter().filter_map(current);
        let usable = usable.map(|version| version.identity().to_owned());
        let mut chosen = ChosenKey {
            usable: usable.collect(),
            ..ChosenKey::default()
        };
        let db = &self.means.db;
        for credential in &credentials {
            let Some(version) = select::current(versions, credential) else {
                continue;
            };
            if but.contains(&version.fingerprint) {
                continue;
            }
            let type_ = target.provider.type_;
            let ring = &self.means.keyring;
            match open_for(db, ring, credential, version, vendor(type_), &target.url).await {
                Ok(key) => {
                    chosen.key = Some(key);
                    return Ok(chosen);
                }
                Err(KeyError::Db(error)) => return Err(error),
                Err(KeyError::NotAllowed(_) | KeyError::Gone) => {}
                Err(KeyError::Unreadable(_)) => {
                    self.tell_credential(Owner::of_credential(credential))
                }
                Err(error) => {
                    tracing::warn!(credential = %credential.name, %error, "a stored key cannot be used");
                    chosen.unopened = Some(error.to_string());
                }
            }
        }
        Ok(chosen)
    }

    pub(super) async fn target(&self, endpoint: Uuid) -> Result<Result<Target, NoTarget>, DbError> {
        let db = &self.means.db;
        let active = |e: &EndpointRow| e.is_active && e.deleted_at.is_none();
        let Some(endpoint) = db.endpoint_row(endpoint).await?.filter(active) else {
            return Ok(Err(NoTarget::Off));
        };
        let Some(provider) = db.provider_row(endpoint.provider_uid).await? else {
            return Ok(Err(NoTarget::Off));
        };
        let driver = driver(provider.type_);
        Ok(self.reach(provider, endpoint, driver))
    }

    fn reach(
        &self,
        provider: ProviderRow,
        endpoint: EndpointRow,
        driver: &'static dyn Driver,
    ) -> Result<Target, NoTarget> {
        let Some(url) = endpoint.base_url.url() else {
            let found = CheckResult::new(Reason::InvalidSpec, "spec.baseUrl is not a URL");
            return Err(NoTarget::Unusable(Box::new(endpoint), Box::new(found)));
        };
        let mut url = url.clone();
        let path = url.path().trim_end_matches('/').to_owned();
        url.set_path(&path);
        let bundle = own_certificates(endpoint.ca_bundle.as_deref(), &url);
        let client = match self.means.clients.client(&endpoint.namespace, &url, bundle) {
            Ok(client) => client,
            Err(error) => {
                let found = CheckResult::new(Reason::ProbeFailed, error.to_string());
                return Err(NoTarget::Unusable(Box::new(endpoint), Box::new(found)));
            }
        };
        let headers = endpoint
            .headers
            .iter()
            .map(|h| (h.name.clone(), h.value.clone()))
            .collect();
        Ok(Target {
            provider,
            endpoint,
            driver,
            url,
            headers,
            client,
        })
    }

    /// Asks what takes a key. Without one a vendor's own hosts are not asked at all; a server of
    /// one's own may need none, and one that does says so.
    pub(super) async fn ask_with_key(
        &self,
        target: &Target,
        keys: &ChosenKey,
        timeout: Duration,
        question: CheckCall<'_>,
    ) -> (TargetResult, Option<ModelsById>) {
        let key = keys.key.as_ref();
        if let (None, Some(why)) = (key, &keys.unopened) {
            let found = CheckResult::new(
                Reason::CheckInconclusive,
                format!("the stored key cannot be opened: {why}"),
            );
            return (TargetResult::unasked(found), None);
        }
        if key.is_none() && vendor(target.provider.type_).owns(&target.url) {
            return (TargetResult::unasked(no_key()), None);
        }
        let bound = key.map(|key| &key.bound);
        let (mut called, listing) = self.ask(target, bound, timeout, question).await;
        if key.is_none() && matches!(called.found.http_status, Some(401 | 403)) {
            called.unasked = true;
            called.found = CheckResult {
                http_status: called.found.http_status,
                ..no_key()
            };
        }
        (called, listing)
    }

    /// Asks within the budget; the check's time begins when its turn has come. A list comes with
    /// what it said, where it was read whole.
    pub(super) async fn ask(
        &self,
        target: &Target,
        key: Option<&BoundKey>,
        timeout: Duration,
        question: CheckCall<'_>,
    ) -> (TargetResult, Option<ModelsById>) {
        let host = target.url.host_str().unwrap_or_default();
        let namespace = &target.endpoint.namespace;
        let _permit = self.budget.permit(namespace, host).await;
        let begun = Instant::now();
        let call = Call {
            base_url: &target.url,
            region: target.endpoint.region.as_deref(),
            api_version: target.endpoint.api_version.as_deref(),
            headers: &target.headers,
            key,
            client: &target.client.hiding(key),
            deadline: begun + timeout,
        };
        let (outcome, listing) = match question {
            CheckCall::Probe => (target.driver.probe(&call).await, None),
            CheckCall::Validate => (target.driver.validate(&call).await, None),
            CheckCall::ProveKey => {
                let none = || CheckResult::new(Reason::Unverifiable, "no call is for keys alone");
                (
                    target.driver.prove_key(&call).await.unwrap_or_else(none),
                    None,
                )
            }
            CheckCall::Test(model) => (target.driver.test_model(&call, &model).await, None),
            CheckCall::List => match target.driver.list_models(&call).await {
                Err(outcome) => (outcome, None),
                Ok(list) => {
                    let read = CheckResult::new(Reason::SyncSucceeded, read_whole(list.skipped));
                    let models = list.models.into_iter().filter(storable);
                    let models = models.map(|m| (m.id.clone(), m));
                    (read, Some(models.collect()))
                }
            },
        };
        let wait = match outcome.retry {
            Retry::After(wait) => wait,
            Retry::No | Retry::Backoff => Duration::ZERO,
        };
        let called = TargetResult {
            found: outcome.storable(),
            took: begun.elapsed(),
            wait,
            unasked: false,
        };
        (called, listing)
    }
}

fn no_key() -> CheckResult {
    CheckResult::new(
        Reason::NoValidCredential,
        "no credential may be used here; add an LlmCredential, or see why those that exist are not valid",
    )
}

/// What is said of a list that was read whole, and nothing was wrong with.
pub const LIST_READ: &str = "the model list was read whole";

fn read_whole(skipped: usize) -> String {
    if skipped == 0 {
        return LIST_READ.to_owned();
    }
    let entries = match skipped {
        1 => "1 entry".to_owned(),
        several => format!("{several} entries"),
    };
    format!(
        "{LIST_READ}, but for {entries} without an id, with control characters in it, or with more than 256 of any"
    )
}

impl TargetResult {
    /// No call was made.
    pub(super) fn not(found: CheckResult) -> Self {
        Self {
            found,
            took: Duration::ZERO,
            wait: Duration::ZERO,
            unasked: false,
        }
    }

    /// What it takes to ask is missing, for now.
    pub(super) fn unasked(found: CheckResult) -> Self {
        Self {
            unasked: true,
            ..Self::not(found)
        }
    }
}

/// A model that cannot be stored is passed over, so that the others are.
fn storable(model: &ListedModel) -> bool {
    let name = model.display_name.as_deref().unwrap_or_default();
    !model.id.contains('\0') && !name.contains('\0')
}

/// An endpoint's own certificates do not apply to any vendor's own hosts, whatever its provider's
/// type: a gateway's type may be used for them too.
fn own_certificates<'a>(ca_bundle: Option<&'a str>, url: &Url) -> Option<&'a str> {
    let fixed = || (ProviderType::ALL.into_iter()).any(|type_| vendor(type_).owns(url));
    ca_bundle.filter(|_| !fixed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_of_ones_own_do_not_apply_to_any_vendors_hosts() {
        let at = |url: &str| own_certificates(Some("pem"), &Url::parse(url).unwrap());
        assert_eq!(at("https://api.openai.com/v1"), None);
        assert_eq!(at("https://api.anthropic.com/v1"), None);
        assert_eq!(at("https://gateway.example/v1"), Some("pem"));
    }

    #[test]
    fn a_vendors_nul_characters_reach_no_row() {
        let model = |id: &str, name: &str| ListedModel {
            id: id.into(),
            display_name: Some(name.into()),
            ..ListedModel::default()
        };
        assert!(storable(&model("m", "M")));
        assert!(!storable(&model("m\0", "M")));
        assert!(!storable(&model("m", "M\0")));
        let mut outcome = CheckResult::new(Reason::ProbeFailed, "no\0");
        outcome.code = Some("\0".into());
        let found = outcome.storable();
        assert_eq!(
            (found.message.as_str(), found.code.as_deref()),
            ("no\u{fffd}", Some("\u{fffd}"))
        );
    }
}
