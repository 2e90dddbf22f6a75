//! Keys that agents were given and would be given no more. Pure.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;

use crate::db::GivenKeys;
use crate::resolve::{CredentialReason, withheld};
use crate::snapshot::{CredentialView, EndpointView, Snapshot};

/// Names of callers and models that are told.
const MAX_NAMES: usize = 3;

/// Why a key would not be given any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhyNot {
    /// The credential is gone, or not in force.
    CredentialGone,
    /// The endpoint is gone, or not in force.
    EndpointGone,
    /// The endpoint is switched off.
    EndpointInactive,
    /// The credential does not fit the endpoint.
    Misfit(CredentialReason),
}

impl WhyNot {
    /// In one word; of a credential that does not fit, the one that `POST /resolve` has for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CredentialGone => "CredentialGone",
            Self::EndpointGone => "EndpointGone",
            Self::EndpointInactive => "EndpointInactive",
            Self::Misfit(reason) => reason.as_str(),
        }
    }

    /// In a few words.
    pub fn text(self) -> &'static str {
        match self {
            Self::CredentialGone => "the credential is gone, or not in force",
            Self::EndpointGone => "the endpoint is gone, or not in force",
            Self::EndpointInactive => "the endpoint is switched off",
            Self::Misfit(reason) => match reason {
                CredentialReason::NoCredential => "there is no credential",
                CredentialReason::NotForEndpoint => "the credential is for other endpoints",
                CredentialReason::NoKey => "the credential holds no key that can be used",
                CredentialReason::HostNotAllowed => "the key may not go to the endpoint's host",
                CredentialReason::Inactive => "the credential, or its provider, is switched off",
                CredentialReason::Expired => "the credential has expired",
                CredentialReason::Invalid => "the vendor refuses the key",
                CredentialReason::QuotaExhausted => "the credential's quota is used up",
            },
        }
    }
}

/// A key that is given now, and would not be for some endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WithheldKey {
    /// Namespace of the credential.
    pub namespace: String,
    /// Its name.
    pub credential: String,
    /// The endpoints, and why not for each.
    pub at: BTreeMap<String, WhyNot>,
    /// Why for none, where it is for none.
    pub everywhere: Option<WhyNot>,
}

/// What is told of keys that were given out.
#[derive(Debug, Serialize)]
pub struct KeysReport {
    /// Days that were looked at.
    pub days: i32,
    /// The keys that would not be given any more.
    pub lost: Vec<LostKey>,
    /// Callers of such keys, by endpoint and model, that were not looked at: they are too many.
    pub left_out: usize,
}

/// A key that was given for an endpoint, and would not be any more.
#[derive(Debug, PartialEq, Serialize)]
pub struct LostKey {
    pub namespace: String,
    pub credential: String,
    /// The endpoint that it was given for; null: that was not recorded.
    pub endpoint: Option<String>,
    /// Why it would not be given, in one word.
    pub why: &'static str,
    /// The same in a few words.
    #[serde(skip)]
    pub text: &'static str,
    /// How often it was given.
    pub given: i64,
    /// Whether it was given more often than that: not all of the audit was looked at.
    pub is_at_least: bool,
    /// How many callers it was given to.
    pub callers: usize,
    /// The names of those that it was given to last.
    pub last_callers: Vec<String>,
    /// Some of the models that it was given for.
    pub models: Vec<String>,
    /// When it was given last.
    pub last_given_at: Timestamp,
}

/// The keys that are given before, and after not, or not for all endpoints.
pub fn withheld_keys(before: &Snapshot, after: &Snapshot, now: Timestamp) -> Vec<WithheldKey> {
    let credentials = before.credentials.from_key("");
    let keys = credentials.filter_map(|entry| {
        let credential = &entry.view;
        let (mut at, mut is_kept) = (BTreeMap::new(), false);
        let endpoints = before.endpoints.of_provider(credential.provider_id, "");
        for endpoint in endpoints.map(|entry| &entry.view) {
            if !endpoint.common.is_active || withheld(before, credential, endpoint, now).is_some() {
                continue;
            }
            match why_not(after, credential, endpoint, now) {
                Some(why) => drop(at.insert(endpoint.common.name.clone(), why)),
                None => is_kept = true,
            }
        }
        let first = at.values().next().copied()?;
        Some(WithheldKey {
            namespace: credential.common.namespace.clone(),
            credential: credential.common.name.clone(),
            everywhere: (!is_kept).then_some(first),
            at,
        })
    });
    keys.collect()
}

/// Why a key is not given for an endpoint of the same names; `None`: it is.
fn why_not(
    after: &Snapshot,
    credential: &CredentialView,
    endpoint: &EndpointView,
    now: Timestamp,
) -> Option<WhyNot> {
    let (credential, endpoint) = (&credential.common, &endpoint.common);
    let credential = (after.credentials).by_name(&credential.namespace, &credential.name);
    let Some(credential) = credential else {
        return Some(WhyNot::CredentialGone);
    };
    let endpoint = (after.endpoints).by_name(&endpoint.namespace, &endpoint.name);
    let Some(endpoint) = endpoint else {
        return Some(WhyNot::EndpointGone);
    };
    if !endpoint.view.common.is_active {
        return Some(WhyNot::EndpointInactive);
    }
    withheld(after, &credential.view, &endpoint.view, now).map(WhyNot::Misfit)
}

impl KeysReport {
    /// Of keys that would not be given, and to whom each was given in so many days.
    pub fn of(given: &[(WithheldKey, GivenKeys)], days: i32) -> Self {
        let mut lost: Vec<LostKey> = (given.iter())
            .flat_map(|(key, given)| {
                let at = (key.at.iter()).map(|(endpoint, why)| (Some(endpoint), *why));
                let unrecorded = key.everywhere.map(|why| (None, why));
                let all = at.chain(unrecorded);
                all.filter_map(|(endpoint, why)| lost(key, given, endpoint, why))
            })
            .collect();
        lost.sort_by_key(|key| std::cmp::Reverse(key.given));
        Self {
            days,
            lost,
            left_out: given.iter().map(|(_, given)| given.left_out).sum(),
        }
    }
}

fn lost(
    key: &WithheldKey,
    given: &GivenKeys,
    endpoint: Option<&String>,
    why: WhyNot,
) -> Option<LostKey> {
    let groups = given.groups.iter();
    let groups = groups.filter(|group| group.endpoint.as_ref() == endpoint);
    let last_given_at = groups.clone().map(|group| group.last_at).max()?;
    let (mut callers, mut last_callers) = (BTreeSet::new(), Vec::new());
    for group in groups.clone() {
        if callers.insert(&group.actor) && last_callers.len() < MAX_NAMES {
            last_callers.push(group.actor.clone());
        }
    }
    let models: BTreeSet<&String> = groups.clone().filter_map(|it| it.model.as_ref()).collect();
    Some(LostKey {
        namespace: key.namespace.clone(),
        credential: key.credential.clone(),
        endpoint: endpoint.cloned(),
        why: why.as_str(),
        text: why.text(),
        given: groups.map(|group| group.count).sum(),
        is_at_least: given.is_cut || given.left_out > 0,
        callers: callers.len(),
        last_callers,
        models: models.into_iter().take(MAX_NAMES).cloned().collect(),
        last_given_at,
    })
}

impl LostKey {
    /// Which key, and for what.
    pub fn title(&self) -> String {
        let mut said = format!("{}/{}", self.namespace, self.credential);
        if let Some(endpoint) = &self.endpoint {
            said.push_str(&format!(" at {endpoint}"));
        }
        if !self.models.is_empty() {
            said.push_str(&format!(" for {}", self.models.join(", ")));
        }
        said
    }

    /// How often it was given.
    pub fn times(&self) -> String {
        let least = if self.is_at_least { "at least " } else { "" };
        match self.given {
            1 => format!("{least}once"),
            given => format!("{least}{given} times"),
        }
    }

    /// To whom, the last ones by name.
    pub fn to_whom(&self) -> String {
        let names = self.last_callers.join(", ");
        match self.callers - self.last_callers.len() {
            0 => names,
            more => format!("{names} and {more} more"),
        }
    }
}

#[cfg(test)]
#[path = "keys_tests.rs"]
mod tests;
