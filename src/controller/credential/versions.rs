//! The life of a key's versions. Pure: what is stored and what the Secret holds go in, the steps
//! to take come out.

use std::time::Duration;

use jiff::Timestamp;

use crate::{
    crd::{ProviderType, credential::VersionState, reasons::Reason},
    db::{CredentialVersionRow, Verdict},
};

/// How long a new key that no check could judge waits before it is taken anyway.
const INCONCLUSIVE_WAIT: Duration = Duration::from_secs(15 * 60);

/// What the Secret holds now.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// Fingerprint of the key.
    pub fingerprint: &'a str,
    /// The label.
    pub provider_type: ProviderType,
    /// The annotation.
    pub hosts: &'a [String],
    /// The newest version that was ever told of: numbers are not used twice, also where a restored
    /// database has forgotten some.
    pub newest_told: i32,
}

/// A change of a stored version's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    /// Which version.
    pub version: i32,
    /// Its new state.
    pub state: VersionState,
    /// Until when it may be used, where it becomes `Previous`.
    pub grace_until: Option<Timestamp>,
}

/// A version to be sealed and stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Insert {
    /// Its number.
    pub version: i32,
    /// Its first state.
    pub state: VersionState,
}

/// The steps to take, in one transaction: moves first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Steps {
    /// Changes of stored versions, in an order that never has two current ones.
    pub moves: Vec<Move>,
    /// The new version, if the Secret holds another key than the newest.
    pub insert: Option<Insert>,
    /// When time alone will make further steps.
    pub again_at: Option<Timestamp>,
}

/// What a credential asks of its versions.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// How long the key before stays usable.
    pub grace: Duration,
    /// Whether keys are checked at all.
    pub validated: bool,
}

/// Decides the steps. `rows` are the stored versions, newest first; `seen` is `None` where the
/// Secret cannot be read now, and what is stored then goes on as it is. `judged` is what the checks
/// say of a stored version.
pub fn steps(
    rows: &[CredentialVersionRow],
    seen: Option<Seen<'_>>,
    judged: &dyn Fn(&CredentialVersionRow) -> Judgement,
    terms: Terms,
    now: Timestamp,
) -> Steps {
    let mut steps = Steps::default();
    let live: Vec<&CredentialVersionRow> = rows
        .iter()
        .filter(|row| row.state != VersionState::Destroyed)
        .collect();
    end_graces(&live, now, &mut steps);
    match seen {
        Some(seen) => {
            let still = follow_secret(rows, &live, seen, &mut steps);
            promote(&still, judged, terms, now, &mut steps);
        }
        None => promote(&live, judged, terms, now, &mut steps),
    }
    steps
}

fn end_graces(live: &[&CredentialVersionRow], now: Timestamp, steps: &mut Steps) {
    for row in live.iter().filter(|r| r.state == VersionState::Previous) {
        match row.grace_until {
            Some(until) if until > now => steps.soonest(until),
            _ => steps.destroy(row.version),
        }
    }
}

/// Follows what the Secret holds; answers the versions of which one may take over now.
fn follow_secret<'a>(
    rows: &[CredentialVersionRow],
    live: &[&'a CredentialVersionRow],
    seen: Seen<'_>,
    steps: &mut Steps,
) -> Vec<&'a CredentialVersionRow> {
    let next_version = rows
        .iter()
        .map(|row| row.version)
        .max()
        .unwrap_or(0)
        .max(seen.newest_told)
        + 1;
    let in_use = live
        .iter()
        .filter(|r| matches!(r.state, VersionState::Current | VersionState::Pending));
    // Hosts or type changed: what was sealed under the old ones must not be used any more.
    let disowned: Vec<i32> = live
        .iter()
        .filter(|r| {
            r.provider_type != seen.provider_type || !same_hosts(&r.allowed_hosts, seen.hosts)
        })
        .map(|r| r.version)
        .collect();
    let matching = in_use
        .clone()
        .find(|r| r.fingerprint == seen.fingerprint && !disowned.contains(&r.version));
    for version in &disowned {
        steps.destroy(*version);
    }
    let Some(matching) = matching else {
        // A key that was never judged is replaced by the next one.
        for row in in_use.clone().filter(|r| r.state == VersionState::Pending) {
            steps.destroy(row.version);
        }
        let others = live
            .iter()
            .any(|r| r.state == VersionState::Current && !steps.destroys(r.version));
        steps.insert = Some(Insert {
            version: next_version,
            state: if others {
                VersionState::Pending
            } else {
                VersionState::Current
            },
        });
        return Vec::new();
    };
    for row in in_use.filter(|r| r.state == VersionState::Pending && r.version != matching.version)
    {
        steps.destroy(row.version);
    }
    live.iter()
        .copied()
        .filter(|r| !steps.destroys(r.version))
        .collect()
}

/// A pending version takes over when it was accepted, when nothing could judge it for long enough,
/// or when nothing will.
fn promote(
    live: &[&CredentialVersionRow],
    judged: &dyn Fn(&CredentialVersionRow) -> Judgement,
    terms: Terms,
    now: Timestamp,
    steps: &mut Steps,
) {
    let Some(pending) = live.iter().find(|r| r.state == VersionState::Pending) else {
        return;
    };
    let takes_over = match judged(pending) {
        Judgement::Accepted => true,
        Judgement::Rejected => false,
        _ if !terms.validated => true,
        Judgement::NotYet => false,
        Judgement::Open { since } => {
            let begun = since.map_or(pending.since, |since| since.max(pending.since));
            let waited_until = begun + INCONCLUSIVE_WAIT;
            if waited_until > now {
                steps.soonest(waited_until);
            }
            waited_until <= now
        }
    };
    if !takes_over {
        return;
    }
    if let Some(current) = live.iter().find(|r| r.state == VersionState::Current) {
        let until = now + terms.grace;
        if terms.grace.is_zero() {
            steps.destroy(current.version);
        } else {
            steps.moves.push(Move {
                version: current.version,
                state: VersionState::Previous,
                grace_until: Some(until),
            });
            steps.soonest(until);
        }
    }
    steps.moves.push(Move {
        version: pending.version,
        state: VersionState::Current,
        grace_until: None,
    });
}

impl Steps {
    fn destroy(&mut self, version: i32) {
        if !self.destroys(version) {
            self.moves.push(Move {
                version,
                state: VersionState::Destroyed,
                grace_until: None,
            });
        }
    }

    fn destroys(&self, version: i32) -> bool {
        self.moves
            .iter()
            .any(|m| m.version == version && m.state == VersionState::Destroyed)
    }

    fn soonest(&mut self, at: Timestamp) {
        self.again_at = Some(self.again_at.map_or(at, |earlier| earlier.min(at)));
    }
}

/// What the checks of one version say together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// The vendor takes it, at one endpoint at least.
    Accepted,
    /// The vendor refuses it wherever it was judged.
    Rejected,
    /// It was asked everywhere, and nothing was proved; at the first endpoint since then.
    Open {
        /// `None` where there is no endpoint to ask.
        since: Option<Timestamp>,
    },
    /// It has not been asked everywhere yet.
    NotYet,
}

/// What these verdicts say together: one for each endpoint that the key is for, `None` where it was
/// not asked yet.
pub fn judgement<'a>(at_endpoints: impl Iterator<Item = Option<&'a Verdict>>) -> Judgement {
    let (mut rejected, mut waits, mut since) = (false, false, None::<Timestamp>);
    for verdict in at_endpoints {
        match verdict.map(|v| v.reason) {
            Some(Reason::KeyAccepted | Reason::KeyRestricted) => return Judgement::Accepted,
            Some(Reason::KeyRejected) => rejected = true,
            // It could not be opened to be asked about.
            Some(Reason::KeyringUnavailable) => waits = true,
            Some(_) => since = since.into_iter().chain(verdict.map(|v| v.since)).min(),
            None => waits = true,
        }
    }
    if rejected {
        Judgement::Rejected
    } else if waits {
        Judgement::NotYet
    } else {
        Judgement::Open { since }
    }
}

fn same_hosts(stored: &[String], seen: &[String]) -> bool {
    stored.len() == seen.len() && seen.iter().all(|host| stored.contains(host))
}

#[cfg(test)]
#[path = "versions_tests.rs"]
mod tests;
