//! Where a model is to be called, and with which credentials.

use std::cell::Cell;
use std::cmp::Ordering;
use std::sync::{Arc, LazyLock};

use jiff::Timestamp;
use regex::Regex;
use url::Url;
use uuid::Uuid;

use super::candidates::Access;
use super::{CredentialReason, Reason};
use crate::crd::reasons::Reason as ConditionReason;
use crate::crd::rules::{self, BASE_URL_PATTERN};
use crate::keys::{Vendor, key_allowed};
use crate::snapshot::{
    CredentialView, EndpointView, Entry, HealthState, ModelView, ProviderView, Snapshot,
    ValidityState,
};
use crate::vendors::vendor;

/// An endpoint that serves a model.
#[derive(Clone, Debug)]
pub struct Target {
    /// The model.
    pub model: Arc<Entry<ModelView>>,
    /// Its provider.
    pub provider: Arc<Entry<ProviderView>>,
    /// The endpoint.
    pub endpoint: Arc<Entry<EndpointView>>,
    /// Its URL.
    pub base_url: Url,
    /// The credentials that fit it, the best first.
    pub credentials: Vec<Arc<Entry<CredentialView>>>,
    /// Why there is none; none where there is one.
    pub without_credential: Option<CredentialReason>,
    /// The credential by which a caller may exchange a token of its own, sealed or not.
    pub exchange: Option<Arc<Entry<CredentialView>>>,
}

impl Target {
    /// Whose keys may go there.
    pub fn vendor(&self) -> Vendor {
        vendor(self.provider.view.type_)
    }

    /// Whether a client may do without a credential here: servers of one's own often take none. Where one is
    /// declared for the endpoint, calls need it, whatever became of it.
    pub fn works_without_credential(&self) -> bool {
        use CredentialReason::{NoCredential, NotForEndpoint};
        let none_is_declared =
            matches!(self.without_credential, Some(NoCredential | NotForEndpoint));
        self.provider.view.type_.is_self_hosted() && none_is_declared
    }

    /// Whether it is known not to answer.
    pub fn is_unhealthy(&self) -> bool {
        self.endpoint.view.health.state == HealthState::Unhealthy
    }

    /// Whether someone who asks for a key can call it.
    pub(super) fn is_callable(&self) -> bool {
        !self.credentials.is_empty() || self.exchange.is_some() || self.works_without_credential()
    }
}

/// Finds targets, and notes when time alone will change them.
pub(super) struct TargetFinder<'a> {
    pub snapshot: &'a Snapshot,
    pub access: Access<'a>,
    pub now: Timestamp,
    changes_at: Cell<Option<Timestamp>>,
}

impl<'a> TargetFinder<'a> {
    pub fn new(snapshot: &'a Snapshot, access: Access<'a>, now: Timestamp) -> Self {
        Self {
            snapshot,
            access,
            now,
            changes_at: Cell::new(None),
        }
    }

    /// The first end of a credential that was looked at, if one of them has an end to come.
    pub fn changes_at(&self) -> Option<Timestamp> {
        self.changes_at.get()
    }

    /// The endpoints that serve a model in one of these regions (none named: in any), in the order
    /// in which they are to be tried: those that answer, those of which nothing is known, those that
    /// do not answer; then the provider's first one, then by priority, then the oldest, then by name.
    pub fn targets(
        &self,
        entry: &Arc<Entry<ModelView>>,
        regions: &[String],
    ) -> Result<Vec<Target>, Reason> {
        let model = &entry.view;
        let provider = self.snapshot.providers.by_uid(model.provider_id);
        let provider = provider.ok_or(Reason::NoEndpoint)?;
        let mut serving: Vec<_> = self
            .snapshot
            .endpoints
            .of_provider(model.provider_id, "")
            .filter(|entry| serves(&entry.view, model))
            .collect();
        if serving.is_empty() {
            return Err(Reason::NoEndpoint);
        }
        serving.retain(|entry| is_in(&entry.view, regions));
        serving.sort_by(|a, b| order(&a.view).cmp(&order(&b.view)));
        let targets: Vec<_> = serving
            .into_iter()
            .filter_map(|endpoint| self.target(entry, provider, endpoint))
            .collect();
        match targets.is_empty() {
            true => Err(Reason::RegionMismatch),
            false => Ok(targets),
        }
    }

    fn target(
        &self,
        model: &Arc<Entry<ModelView>>,
        provider: &Arc<Entry<ProviderView>>,
        endpoint: &Arc<Entry<EndpointView>>,
    ) -> Option<Target> {
        let base_url = endpoint.view.base_url.url()?;
        let can_be_declared = can_be_declared(&endpoint.view, base_url);
        let not_there = (!can_be_declared).then_some(CredentialReason::HostNotAllowed);
        let (mut fitting, mut exchanging) = (Vec::new(), Vec::new());
        let mut nearest = CredentialReason::NoCredential;
        for entry in self
            .snapshot
            .credentials
            .of_provider(provider.view.common.id, "")
        {
            if !(self.access.may_have)(&entry.view) {
                continue;
            }
            let gave_none = self.access.gave_no_key.contains(&entry.view.common.id);
            let exchanges = !gave_none && self.may_exchange(&entry.view, &endpoint.view);
            if can_be_declared && exchanges {
                exchanging.push(entry.clone());
            }
            let misfit = self.misfit(&entry.view, &provider.view, &endpoint.view, base_url);
            let gave_none = gave_none.then_some(CredentialReason::NoKey);
            match misfit.or(not_there).or(gave_none) {
                Some(reason) => nearest = nearest.max(reason),
                None => fitting.push(entry.clone()),
            }
        }
        fitting.sort_by(|a, b| credential_order(a, b));
        exchanging.sort_by(|a, b| credential_order(a, b));
        Some(Target {
            model: model.clone(),
            provider: provider.clone(),
            endpoint: endpoint.clone(),
            base_url: base_url.clone(),
            without_credential: fitting.is_empty().then_some(nearest),
            credentials: fitting,
            exchange: exchanging.into_iter().next(),
        })
    }

    /// Whether a caller may exchange a token of its own by a credential, at an endpoint: whatever became
    /// of ours.
    fn may_exchange(&self, credential: &CredentialView, endpoint: &EndpointView) -> bool {
        let named = &credential.endpoint_ids;
        credential.federation.is_some()
            && credential.common.is_active
            && !self.has_expired(credential)
            && (named.is_empty() || named.contains(&endpoint.common.id))
    }

    /// Whether a credential's time is up: by this clock, or once the controller has said so.
    fn has_expired(&self, credential: &CredentialView) -> bool {
        let said = ConditionReason::parse(&credential.validity.reason);
        said == Some(ConditionReason::Expired)
            || credential.expires_at.is_some_and(|end| end <= self.now)
    }

    fn note_change(&self, at: Timestamp) {
        let first = self.changes_at.get();
        self.changes_at
            .set(Some(first.map_or(at, |first| first.min(at))));
    }

    /// Why a credential does not fit an endpoint.
    fn misfit(
        &self,
        credential: &CredentialView,
        provider: &ProviderView,
        endpoint: &EndpointView,
        base_url: &Url,
    ) -> Option<CredentialReason> {
        let named = &credential.endpoint_ids;
        if !named.is_empty() && !named.contains(&endpoint.common.id) {
            return Some(CredentialReason::NotForEndpoint);
        }
        if self.has_expired(credential) {
            return Some(CredentialReason::Expired);
        }
        if let Some(end) = credential.expires_at {
            self.note_change(end);
        }
        if credential.validity.state == ValidityState::Invalid {
            let why = ConditionReason::parse(&credential.validity.reason);
            match why {
                // The key stays in use for its grace, a vendor's token until it ends; after it there
                // is none.
                Some(
                    ConditionReason::SecretFieldMissing
                    | ConditionReason::KeyMalformed
                    | ConditionReason::ExchangeRefused,
                ) => {}
                // What the controller lacks, whoever gives the key out may have.
                Some(why) if why.is_of_what_we_depend_on() => {}
                why => return Some(invalid(why)),
            }
        }
        if !credential.common.is_active {
            return Some(CredentialReason::Inactive);
        }
        let Some(key) = credential
            .key
            .as_ref()
            .filter(|key| !key.has_ended(self.now))
        else {
            return Some(CredentialReason::NoKey);
        };
        if let Some(end) = key.ends {
            self.note_change(end);
        }
        let (type_, hosts) = (key.provider_type.as_str(), &key.allowed_hosts);
        if key_allowed(type_, hosts, vendor(provider.type_), base_url).is_err() {
            return Some(CredentialReason::HostNotAllowed);
        }
        key.is_refused_at(endpoint)
            .then_some(CredentialReason::Invalid)
    }
}

/// Why nobody is given a credential's key for calls at an endpoint; `None`: who may use it is.
pub fn withheld(
    snapshot: &Snapshot,
    credential: &CredentialView,
    endpoint: &EndpointView,
    now: Timestamp,
) -> Option<CredentialReason> {
    let access = Access {
        tiers: &[],
        may_have: &|_| true,
        may_see_classes: &|_| true,
        gave_no_key: &[],
    };
    let finder = TargetFinder::new(snapshot, access, now);
    if credential.provider_id != endpoint.provider_id {
        return Some(CredentialReason::NotForEndpoint);
    }
    let provider = snapshot.providers.by_uid(endpoint.provider_id);
    let (Some(provider), Some(base_url)) = (provider, endpoint.base_url.url()) else {
        return Some(CredentialReason::Inactive);
    };
    let misfit = finder.misfit(credential, &provider.view, endpoint, base_url);
    misfit.or_else(|| {
        let is_plain = can_be_declared(endpoint, base_url);
        (!is_plain).then_some(CredentialReason::HostNotAllowed)
    })
}

/// Whether the apiserver would take an endpoint's URL and headers. Whoever writes to the database is not
/// asked so, and a caller's own parser of URLs may find another host than ours in a text that is no plain
/// URL: by `https://api.openai.com\@evil.example/`, or by a header `Host`, a key would go elsewhere than
/// where it was decided that it may go.
fn can_be_declared(endpoint: &EndpointView, base_url: &Url) -> bool {
    static PLAIN: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(BASE_URL_PATTERN).expect("a constant pattern"));
    let said = endpoint.base_url.as_str();
    // What ours would write itself; most URLs are written so.
    let is_ours = base_url.as_str() == said && !said.contains(['@', '?', '#']);
    let is_plain = is_ours || PLAIN.is_match(said);
    let mut headers = endpoint.headers.iter();
    is_plain && !headers.any(|header| rules::is_of_the_http_client(&header.name))
}

fn credential_order(a: &Entry<CredentialView>, b: &Entry<CredentialView>) -> Ordering {
    let order = |view: &CredentialView| (view.priority, view.common.created_at);
    let by_order = order(&a.view).cmp(&order(&b.view));
    by_order.then_with(|| a.view.common.name.cmp(&b.view.common.name))
}

/// What a condition that says that a key is not valid tells a caller.
fn invalid(why: Option<ConditionReason>) -> CredentialReason {
    match why {
        Some(ConditionReason::QuotaExhausted) => CredentialReason::QuotaExhausted,
        Some(ConditionReason::Expired) => CredentialReason::Expired,
        Some(ConditionReason::HostNotAllowed) => CredentialReason::HostNotAllowed,
        _ => CredentialReason::Invalid,
    }
}

/// One whose URL cannot be read serves nothing.
fn serves(endpoint: &EndpointView, model: &ModelView) -> bool {
    let named = &model.endpoint_ids;
    endpoint.common.is_active
        && endpoint.base_url.url().is_some()
        && (named.is_empty() || named.contains(&endpoint.common.id))
}

/// Whether an endpoint is in one of these regions; none named: in any.
pub fn is_in(endpoint: &EndpointView, regions: &[String]) -> bool {
    let here = |region: &String| {
        let theirs = endpoint.region.as_deref();
        theirs.is_some_and(|theirs| theirs.eq_ignore_ascii_case(region))
    };
    regions.is_empty() || regions.iter().any(here)
}

type EndpointOrder<'a> = (u8, bool, i32, Timestamp, &'a str, Uuid);

fn order(endpoint: &EndpointView) -> EndpointOrder<'_> {
    let health = match endpoint.health.state {
        HealthState::Healthy => 0,
        HealthState::Unknown => 1,
        HealthState::Unhealthy => 2,
    };
    let common = &endpoint.common;
    (
        health,
        !endpoint.is_default,
        endpoint.priority,
        common.created_at,
        &common.name,
        common.id,
    )
}
