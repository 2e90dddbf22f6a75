//! The versions of a credential's key that may be used. Pure.

use std::time::Duration;

use jiff::Timestamp;

use super::dereference::CredentialInputs;
use crate::{
    crd::credential::VersionState,
    db::{CredentialVersionRow, EndpointRow, StoredCheck},
    keys::versions::VersionSteps,
};

/// A version that may be used, after the steps.
pub struct Usable<'a> {
    pub version: i32,
    pub state: VersionState,
    pub fingerprint: String,
    pub masked_key: String,
    /// Until when it may be used, where that is decided.
    pub until: Option<Timestamp>,
    /// Stored already, with what was said of it.
    pub row: Option<&'a CredentialVersionRow>,
}

/// The versions as the steps leave them, without the destroyed ones, newest first.
pub fn after_steps<'a>(input: &'a CredentialInputs, steps: &VersionSteps) -> Vec<Usable<'a>> {
    let mut usable: Vec<Usable<'a>> = input
        .versions
        .iter()
        .map(|row| {
            let moved = steps.moves.iter().find(|m| m.version == row.version);
            Usable {
                version: row.version,
                state: moved.map_or(row.state, |m| m.state),
                until: moved.map_or(row.grace_until, |m| m.grace_until),
                fingerprint: row.fingerprint.clone(),
                masked_key: row.masked_key.clone(),
                row: Some(row),
            }
        })
        .filter(|usable| usable.state != VersionState::Destroyed)
        .collect();
    if let (Some(insert), Some(holding)) = (steps.insert, input.holding()) {
        usable.insert(
            0,
            Usable {
                version: insert.version,
                state: insert.state,
                fingerprint: holding.fingerprint.clone(),
                masked_key: holding.masked_key.clone(),
                until: None,
                row: None,
            },
        );
    }
    usable
}

impl<'a> Usable<'a> {
    /// A hash of the declaration by which the vendor gave it; `None`: the key of a Secret.
    pub fn exchanged_with(&self) -> Option<&'a str> {
        self.row?.exchanged_with.as_deref()
    }

    /// How long a vendor's token lives in all.
    pub fn life(&self) -> Option<Duration> {
        let row = self.row?;
        let life = row.token_end()?.duration_since(row.created_at);
        Duration::try_from(life).ok()
    }

    /// What was said of it at this endpoint, with what the endpoint is called with now.
    pub fn verdict(&self, endpoint: &EndpointRow) -> Option<&'a StoredCheck> {
        let verdict = self.row?.verdicts.get(&endpoint.uid)?;
        verdict.is_of(&endpoint.check_inputs).then_some(verdict)
    }
}

/// The version of this state.
pub fn in_state<'a, 'b>(versions: &'b [Usable<'a>], state: VersionState) -> Option<&'b Usable<'a>> {
    versions.iter().find(|v| v.state == state)
}
