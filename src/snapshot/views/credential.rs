//! Credentials as they are shown, with the versions of their keys; and what is known of a key in force beside the key.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::ser::Error;
use serde::{Serialize, Serializer};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Common, EndpointView};
use crate::crd::ProviderType;
use crate::crd::credential::{QuotaPeriod, QuotaUnit, VersionState};
use crate::crd::federation::Federation;
use crate::crd::fields;
use crate::db::{CredentialRow, CredentialVersionRow};
use crate::snapshot::schema;
use crate::snapshot::state::Validity;

/// Versions of a key that are shown, newest first; as many as the resource's status holds.
const SHOWN_VERSIONS: usize = 10;

/// A key of a provider; never the key itself.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = Credential)]
pub struct CredentialView {
    #[serde(flatten)]
    pub common: Common,
    /// Its provider.
    pub provider_id: Uuid,
    /// The endpoints it is for; empty: all of its provider's.
    pub endpoint_ids: Vec<Uuid>,
    /// Name shown to people.
    pub alias: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// The key in force, masked.
    pub masked_key: Option<String>,
    /// Changes when the key does, and reveals nothing of it.
    pub fingerprint: Option<String>,
    /// Version of the key in force.
    pub version: Option<i32>,
    /// Its versions, newest first; at most 10.
    pub versions: Vec<CredentialVersionView>,
    /// When it stops being given out.
    pub expires_at: Option<Timestamp>,
    /// How much may be used in a period.
    pub quota_limit: Option<i64>,
    /// Of what: `Disclosures`, `Requests`, `Tokens` or `Cost`.
    #[schema(schema_with = schema::quota_unit)]
    pub quota_unit: Option<QuotaUnit>,
    /// In which period: `Minute`, `Hour`, `Day` or `Month`.
    #[schema(schema_with = schema::quota_period)]
    pub quota_period: Option<QuotaPeriod>,
    /// Preference among the provider's credentials: lower is given first.
    pub priority: i32,
    /// Whether the vendor takes the key.
    pub validity: Validity,
    /// The key in force, as far as no secret is in it; none where there is none. Not shown.
    #[serde(skip)]
    pub key: Option<KeyInForce>,
    /// By what agreement the vendor exchanges tokens of a ServiceAccount, in the place of a key; null where
    /// there is a key.
    #[serde(serialize_with = "in_snake_case")]
    #[schema(schema_with = schema::federation)]
    pub federation: Option<Federation>,
}

fn in_snake_case<S: Serializer>(
    federation: &Option<Federation>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let declared = serde_json::to_value(federation).map_err(S::Error::custom)?;
    fields::part_shown(&declared).serialize(serializer)
}

/// What is known of a key in force beside the key.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyInForce {
    /// Whose key it is, as its Secret says. A hint: what was sealed with the key decides.
    pub provider_type: ProviderType,
    /// Hosts that its owner allows. A hint, as above.
    pub allowed_hosts: Vec<String>,
    /// Endpoints whose vendor refuses it, each with the hash of what it was called with.
    pub refused_at: Vec<(Uuid, String)>,
    /// When it ends, where it is a vendor's token.
    pub ends: Option<Timestamp>,
}

/// A version of a key.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = CredentialVersion)]
pub struct CredentialVersionView {
    /// Its number: 1 for the first.
    pub version: i32,
    /// Fingerprint of the key.
    pub fingerprint: String,
    /// `Pending`, `Current`, `Previous` or `Destroyed`.
    #[schema(schema_with = schema::version_state)]
    pub state: VersionState,
    /// Since when it is in this state.
    pub since: Timestamp,
}

impl CredentialView {
    /// Credentials; the versions of each are found among these.
    pub fn all_of(rows: &[CredentialRow], versions: &[CredentialVersionRow]) -> Vec<Self> {
        let mut grouped: HashMap<Uuid, Vec<&CredentialVersionRow>> = HashMap::new();
        for version in versions {
            grouped
                .entry(version.credential_uid)
                .or_default()
                .push(version);
        }
        rows.iter()
            .map(|row| Self::of(row, grouped.remove(&row.uid).unwrap_or_default()))
            .collect()
    }

    /// A credential; its versions are found among these.
    pub fn of<'v>(
        row: &CredentialRow,
        versions: impl IntoIterator<Item = &'v CredentialVersionRow>,
    ) -> Self {
        let mut newest_first: Vec<_> = versions
            .into_iter()
            .filter(|version| version.credential_uid == row.uid)
            .collect();
        newest_first.sort_by_key(|version| std::cmp::Reverse(version.version));
        let in_force = newest_first
            .iter()
            .find(|version| Some(version.version) == row.version);
        let key = in_force.map(|version| KeyInForce::of(version));
        Self {
            common: Common::of(row, row.validation.enabled),
            provider_id: row.provider_uid,
            endpoint_ids: row.endpoint_uids.clone(),
            alias: row.alias.clone(),
            description: row.description.clone(),
            masked_key: row.masked_key.clone(),
            fingerprint: row.fingerprint.clone(),
            version: row.version,
            versions: newest_first
                .into_iter()
                .take(SHOWN_VERSIONS)
                .map(|version| CredentialVersionView {
                    version: version.version,
                    fingerprint: version.fingerprint.clone(),
                    state: version.state,
                    since: version.since,
                })
                .collect(),
            expires_at: row.expires_at,
            quota_limit: row.quota_limit,
            quota_unit: row.quota_unit,
            quota_period: row.quota_period,
            priority: row.priority,
            validity: Validity::of(&row.conditions),
            key,
            federation: row.federation.clone(),
        }
    }
}

impl KeyInForce {
    fn of(version: &CredentialVersionRow) -> Self {
        let verdicts = version.verdicts.iter();
        let refused = verdicts.filter(|(_, verdict)| verdict.reason.is_against_the_key());
        Self {
            provider_type: version.provider_type,
            allowed_hosts: version.allowed_hosts.clone(),
            refused_at: refused
                .map(|(endpoint, verdict)| (*endpoint, verdict.inputs.clone()))
                .collect(),
            ends: version.token_end(),
        }
    }

    /// Whether it is a vendor's token that has ended.
    pub fn has_ended(&self, now: Timestamp) -> bool {
        self.ends.is_some_and(|end| end <= now)
    }

    /// Whether the vendor refuses it at an endpoint, as that is called now.
    pub fn is_refused_at(&self, endpoint: &EndpointView) -> bool {
        self.refused_at.iter().any(|(uid, inputs)| {
            *uid == endpoint.common.id && !inputs.is_empty() && *inputs == endpoint.check_inputs
        })
    }
}
