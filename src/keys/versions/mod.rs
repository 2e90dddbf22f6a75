//! The life of a key's versions. Pure: what is stored and what the Secret holds go in, the steps
//! to take come out. Here are the steps; `judgement` is what the checks of one version say together.

mod judgement;

use std::time::Duration;

use jiff::Timestamp;

use crate::{
    crd::{
        ProviderType,
        credential::{KeyVersion, VersionState},
    },
    db::CredentialVersionRow,
};
pub use judgement::{OpenVerdict, VersionVerdict, judgement};

/// How long a new key that no check could judge waits before it is taken anyway.
const INCONCLUSIVE_WAIT: Duration = Duration::from_secs(15 * 60);

/// How long the key of a Secret that was deleted is kept, for one that is made again at once.
pub const SECRET_GONE_WAIT: Duration = Duration::from_secs(60);

/// What is known of the versions there were.
#[derive(Clone, Copy, Debug)]
pub struct KnownVersions<'a> {
    /// Those that are stored, newest first.
    pub rows: &'a [CredentialVersionRow],
    /// Those that the status tells of: a database that was restored knows less than it. What it calls
    /// destroyed stays so, and no number is used twice.
    pub told: &'a [KeyVersion],
    /// The stored ones that do not authenticate.
    pub unreadable: &'a [i32],
    /// The stored ones under a key-encryption key that was never the active one: sealed anew where the
    /// Secret holds their key, and else left as they are, for that key may yet come.
    pub unknown_kek: &'a [i32],
}

/// What the Secret holds now.
#[derive(Clone, Copy, Debug)]
pub struct SecretState<'a> {
    /// Fingerprint of the key.
    pub fingerprint: &'a str,
    /// The label.
    pub provider_type: ProviderType,
    /// The annotation.
    pub hosts: &'a [String],
}

/// What the Secret says of the key now.
#[derive(Clone, Copy, Debug)]
pub enum SecretView<'a> {
    /// Nothing is known: what is stored goes on as it is.
    Unknown,
    /// It holds this key.
    Holds(SecretState<'a>),
    /// It holds none any more.
    Lacks(KeyLoss),
    /// There is no Secret: the vendor exchanges tokens, of this provider type alone and, where that is
    /// known, for these hosts alone.
    Exchanged(ProviderType, Option<&'a [String]>),
}

/// Why the Secret holds no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyLoss {
    /// Its label or its annotation does not allow the use any more: what is stored is destroyed.
    Withdrawn,
    /// It is deleted: what is stored is destroyed unless it comes back within [`SECRET_GONE_WAIT`].
    SecretGone,
    /// Its entry is gone or cannot be a key: the version in use has its grace.
    EntryGone,
}

/// A change of a stored version's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateChange {
    /// Which version.
    pub version: i32,
    /// Its new state.
    pub state: VersionState,
    /// Until when it may be used: it becomes `Previous`, or its Secret holds it no more.
    pub grace_until: Option<Timestamp>,
}

/// A version to be sealed and stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VersionInsert {
    /// Its number.
    pub version: i32,
    /// Its first state.
    pub state: VersionState,
}

/// The steps to take, in one transaction: moves first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VersionSteps {
    /// Changes of stored versions, in an order that never has two current ones.
    pub moves: Vec<StateChange>,
    /// The new version, if the Secret holds another key than the newest.
    pub insert: Option<VersionInsert>,
    /// The stored version that holds the Secret's key and does not authenticate: it is sealed anew.
    pub reseal: Option<i32>,
    /// What is stored was older than what the status tells, and is corrected.
    pub rolled_back: bool,
    /// When time alone will make further steps.
    pub again_at: Option<Timestamp>,
    /// The pending version that no check could judge, and what it waits for.
    pub waits: Option<PendingWait>,
}

/// Why a version that no check could judge does not take over yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PendingWait {
    /// The pending version.
    pub version: i32,
    /// When it takes over, unless a check judges it before. `None`: it does not, for it was refused
    /// and the version in use was accepted.
    pub until: Option<Timestamp>,
}

/// What a credential asks of its versions.
#[derive(Clone, Copy, Debug)]
pub struct VersionRules {
    /// How long the key before stays usable.
    pub grace: Duration,
    /// Whether keys are checked at all.
    pub validated: bool,
    /// Whether the credential and its provider are switched on. Where they are not, nothing is kept
    /// that the Secret does not hold.
    pub on: bool,
}

/// Decides the steps. `judged` is what the checks say of a stored version.
pub fn steps(
    known: KnownVersions<'_>,
    secret: SecretView<'_>,
    judged: &dyn Fn(&CredentialVersionRow) -> VersionVerdict,
    terms: VersionRules,
    now: Timestamp,
) -> VersionSteps {
    let mut steps = VersionSteps::default();
    let live: Vec<&CredentialVersionRow> = known
        .rows
        .iter()
        .filter(|row| row.state != VersionState::Destroyed)
        .collect();
    end_graces(&live, now, &mut steps);
    end_tokens(&live, now, &mut steps);
    withdraw(known, &live, &mut steps);
    let still = match secret {
        SecretView::Holds(seen) => follow_secret(known, &live, seen, (terms, now), &mut steps),
        SecretView::Lacks(loss) => {
            end_lost(&live, loss, (terms, now), &mut steps);
            steps.left(&live)
        }
        SecretView::Exchanged(provider_type, hosts) => {
            end_foreign(known, &live, (provider_type, hosts), &mut steps);
            // The Secret is not named any more: a token has the time of a grace to take its key's place.
            let of_secret = live.iter().filter(|row| row.exchanged_with.is_none());
            let of_secret: Vec<_> = of_secret.copied().collect();
            end_lost(&of_secret, KeyLoss::EntryGone, (terms, now), &mut steps);
            steps.left(&live)
        }
        SecretView::Unknown => steps.left(&live),
    };
    promote(known, &still, judged, (terms, now), &mut steps);
    if matches!(secret, SecretView::Holds(_)) {
        keep_found(&live, &mut steps);
    }
    steps
}

/// The Secret holds no key: each version has the time that this leaves it, counted from when it was
/// first seen.
fn end_lost(
    live: &[&CredentialVersionRow],
    loss: KeyLoss,
    (terms, now): (VersionRules, Timestamp),
    steps: &mut VersionSteps,
) {
    for row in live {
        let wait = match (loss, row.state) {
            _ if !terms.on => Duration::ZERO,
            (KeyLoss::Withdrawn, _) | (_, VersionState::Pending) => Duration::ZERO,
            (KeyLoss::SecretGone, _) => SECRET_GONE_WAIT,
            (KeyLoss::EntryGone, VersionState::Previous) => continue,
            (KeyLoss::EntryGone, _) => terms.grace,
        };
        let until = (row.grace_until).map_or(now + wait, |until| until.min(now + wait));
        if until <= now {
            steps.destroy(row.version);
        } else if !steps.destroys(row.version) {
            if row.grace_until != Some(until) {
                steps.moves.push(StateChange {
                    version: row.version,
                    state: row.state,
                    grace_until: Some(until),
                });
            }
            steps.soonest(until);
        }
    }
}

/// The Secret holds a key again: the version in use has no end any more.
fn keep_found(live: &[&CredentialVersionRow], steps: &mut VersionSteps) {
    for row in live.iter().filter(|row| row.exchanged_with.is_none()) {
        let ends = row.state == VersionState::Current && row.grace_until.is_some();
        if ends && steps.moves.iter().all(|m| m.version != row.version) {
            steps.moves.push(StateChange {
                version: row.version,
                state: row.state,
                grace_until: None,
            });
        }
    }
}

fn end_graces(live: &[&CredentialVersionRow], now: Timestamp, steps: &mut VersionSteps) {
    for row in live.iter().filter(|r| r.state == VersionState::Previous) {
        match row.grace_until {
            Some(until) if until > now => steps.soonest(until),
            _ => steps.destroy(row.version),
        }
    }
}

/// A vendor's token ends by itself, whatever state it is in.
fn end_tokens(live: &[&CredentialVersionRow], now: Timestamp, steps: &mut VersionSteps) {
    for row in live {
        match row.token_end() {
            Some(end) if end <= now => steps.destroy(row.version),
            Some(end) => steps.soonest(end),
            None => {}
        }
    }
}

/// What no exchange can give again: versions that do not authenticate, and those of another vendor, or for
/// other hosts than the ServiceAccount's owner names now.
fn end_foreign(
    known: KnownVersions<'_>,
    live: &[&CredentialVersionRow],
    (provider_type, hosts): (ProviderType, Option<&[String]>),
    steps: &mut VersionSteps,
) {
    for row in live {
        let elsewhere = row.exchanged_with.is_some()
            && hosts.is_some_and(|hosts| !same_hosts(&row.allowed_hosts, hosts));
        let foreign = row.provider_type != provider_type;
        if foreign || elsewhere || known.unreadable.contains(&row.version) {
            steps.destroy(row.version);
        }
    }
}

/// Destroys again what a restored database has brought back.
fn withdraw(known: KnownVersions<'_>, live: &[&CredentialVersionRow], steps: &mut VersionSteps) {
    for row in live.iter().filter(|row| known.was_withdrawn(row)) {
        steps.destroy(row.version);
        steps.rolled_back = true;
    }
}

/// Follows what the Secret holds; answers the versions of which one may take over now.
fn follow_secret<'a>(
    known: KnownVersions<'_>,
    live: &[&'a CredentialVersionRow],
    seen: SecretState<'_>,
    (terms, now): (VersionRules, Timestamp),
    steps: &mut VersionSteps,
) -> Vec<&'a CredentialVersionRow> {
    // Hosts or type changed: what was sealed under the old ones must not be used any more.
    for row in live.iter().filter(|r| !seen.owns(r)) {
        steps.destroy(row.version);
    }
    let matching = steps.left(live).into_iter().find(|r| {
        matches!(r.state, VersionState::Current | VersionState::Pending)
            && r.fingerprint == seen.fingerprint
    });
    // A key that was never judged is replaced by the next one. One that does not authenticate can
    // be sealed anew only where the Secret still holds it.
    for row in live
        .iter()
        .filter(|r| matching.is_none_or(|m| m.version != r.version))
    {
        let unused = row.state == VersionState::Pending || !terms.on;
        if unused || known.unreadable.contains(&row.version) {
            steps.destroy(row.version);
        }
    }
    if let Some(matching) = matching {
        let mut unreadable = known.unreadable.iter().chain(known.unknown_kek);
        let unreadable = unreadable.any(|version| *version == matching.version);
        steps.reseal = unreadable.then_some(matching.version);
        return steps.left(live);
    }
    let left = steps.left(live);
    let current = left.iter().find(|r| r.state == VersionState::Current);
    // No check is waited for where none is made.
    let at_once = known.was_current(seen.fingerprint) || !terms.validated;
    if let Some(current) = current
        && at_once
    {
        steps.demote(current, known, terms, now);
    }
    steps.insert = Some(VersionInsert {
        version: known.newest_told().max(known.newest_stored()) + 1,
        state: match current {
            Some(_) if !at_once => VersionState::Pending,
            _ => VersionState::Current,
        },
    });
    steps.rolled_back |= !known.rows.is_empty() && known.newest_told() > known.newest_stored();
    Vec::new()
}

/// A pending version takes over when it was accepted, when nothing could judge it for long enough,
/// when nothing will, or where there is no other. One that was refused, for whatever cause, never
/// takes the place of one that was accepted.
fn promote(
    known: KnownVersions<'_>,
    live: &[&CredentialVersionRow],
    judged: &dyn Fn(&CredentialVersionRow) -> VersionVerdict,
    (terms, now): (VersionRules, Timestamp),
    steps: &mut VersionSteps,
) {
    let in_state = |state| live.iter().find(|r| r.state == state);
    let Some(pending) = in_state(VersionState::Pending) else {
        return;
    };
    let current = in_state(VersionState::Current);
    let was_current = known.was_current(&pending.fingerprint);
    steps.rolled_back |= was_current;
    let takes_over = match judged(pending) {
        _ if current.is_none() || was_current || !terms.validated => true,
        VersionVerdict::Accepted | VersionVerdict::Unverifiable => true,
        VersionVerdict::Rejected => false,
        VersionVerdict::NotYet { .. } => false,
        VersionVerdict::Open(open) if open.refused && is_proved(current, judged) => {
            steps.waits(pending.version, None);
            false
        }
        VersionVerdict::Open(open) => {
            let begun = open.since.map_or(pending.since, |s| s.max(pending.since));
            let waited_until = begun + INCONCLUSIVE_WAIT;
            if waited_until > now {
                steps.soonest(waited_until);
                steps.waits(pending.version, Some(waited_until));
            }
            waited_until <= now
        }
    };
    if !takes_over {
        return;
    }
    if let Some(current) = current {
        steps.demote(current, known, terms, now);
    }
    steps.moves.push(StateChange {
        version: pending.version,
        state: VersionState::Current,
        grace_until: pending.token_end(),
    });
}

/// Whether the version in use was accepted, and not rejected since.
fn is_proved(
    current: Option<&&CredentialVersionRow>,
    judged: &dyn Fn(&CredentialVersionRow) -> VersionVerdict,
) -> bool {
    current.is_some_and(|row| judged(row).is_proved())
}

impl KnownVersions<'_> {
    fn newest_stored(&self) -> i32 {
        self.rows.iter().map(|row| row.version).max().unwrap_or(0)
    }

    fn newest_told(&self) -> i32 {
        self.told.iter().map(|told| told.version).max().unwrap_or(0)
    }

    fn told(&self, version: i32) -> Option<&KeyVersion> {
        self.told.iter().find(|told| told.version == version)
    }

    /// Whether the status says that a key of this fingerprint is in use, and the rows do not know yet
    /// that it was. A status that is merely older than the rows tells of what they know.
    fn was_current(&self, fingerprint: &str) -> bool {
        let forgotten = |told: &KeyVersion| {
            let mut rows = self.rows.iter().filter(|row| row.version == told.version);
            rows.all(|row| row.state == VersionState::Pending)
        };
        self.told.iter().any(|told| {
            told.state == VersionState::Current
                && told.fingerprint == fingerprint
                && forgotten(told)
        })
    }

    /// Whether the status says of a stored version that it is destroyed, or tells of a newer one
    /// that is in use and of this one no more.
    fn was_withdrawn(&self, row: &CredentialVersionRow) -> bool {
        match self.told(row.version) {
            Some(told) => told.state == VersionState::Destroyed,
            None => {
                let replaced_by = |told: &KeyVersion| {
                    told.state == VersionState::Current && told.version > row.version
                };
                row.state == VersionState::Current && self.told.iter().any(replaced_by)
            }
        }
    }
}

impl SecretState<'_> {
    /// Whether a stored version is of this type and for these hosts.
    fn owns(&self, row: &CredentialVersionRow) -> bool {
        row.provider_type == self.provider_type && same_hosts(&row.allowed_hosts, self.hosts)
    }
}

impl VersionSteps {
    /// Whether a key is to be sealed, for which it must be at hand.
    pub fn seals(&self) -> bool {
        self.insert.is_some() || self.reseal.is_some()
    }

    /// Those of these versions that are not destroyed.
    fn left<'a>(&self, live: &[&'a CredentialVersionRow]) -> Vec<&'a CredentialVersionRow> {
        let left = live.iter().filter(|row| !self.destroys(row.version));
        left.copied().collect()
    }

    /// The version in use has been replaced: its grace begins, or began when the status says so.
    fn demote(
        &mut self,
        current: &CredentialVersionRow,
        known: KnownVersions<'_>,
        terms: VersionRules,
        now: Timestamp,
    ) {
        let told = known.told(current.version);
        let previous = told.filter(|told| told.state == VersionState::Previous);
        self.rolled_back |= previous.is_some();
        let grace = previous.map_or(now, |told| told.since.0) + terms.grace;
        let until = current.token_end().unwrap_or(grace);
        if until <= now {
            self.destroy(current.version);
            return;
        }
        self.moves.push(StateChange {
            version: current.version,
            state: VersionState::Previous,
            grace_until: Some(until),
        });
        self.soonest(until);
    }

    fn destroy(&mut self, version: i32) {
        if !self.destroys(version) {
            self.moves.push(StateChange {
                version,
                state: VersionState::Destroyed,
                grace_until: None,
            });
        }
    }

    /// Whether a version's key material goes.
    pub fn destroys(&self, version: i32) -> bool {
        self.moves
            .iter()
            .any(|m| m.version == version && m.state == VersionState::Destroyed)
    }

    fn waits(&mut self, version: i32, until: Option<Timestamp>) {
        self.waits = Some(PendingWait { version, until });
    }

    fn soonest(&mut self, at: Timestamp) {
        self.again_at = Some(self.again_at.map_or(at, |earlier| earlier.min(at)));
    }
}

fn same_hosts(stored: &[String], seen: &[String]) -> bool {
    stored.len() == seen.len() && seen.iter().all(|host| stored.contains(host))
}

#[cfg(test)]
mod tests;
