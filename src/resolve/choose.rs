//! The model that is answered, and why each other is not.

use std::sync::Arc;

use jiff::Timestamp;

use super::candidates::Access;
use super::considered::{Considered, Refused};
use super::preference::Preference;
use super::request::{Need, Prefer, Request, Wanted};
use super::targets::{Target, TargetFinder};
use super::{NoAnswer, Reason, Resolution, Unresolved, class, named};
use crate::snapshot::{Entry, ModelView, Snapshot};

/// The model that a request means, or that meets its need best, with the endpoints to call it at.
///
/// # Errors
///
/// Why there is none.
pub fn resolve(
    snapshot: &Snapshot,
    request: &Request,
    access: Access<'_>,
    now: Timestamp,
) -> Result<Resolution, Unresolved> {
    let finder = TargetFinder::new(snapshot, access, now);
    match &request.wanted {
        Wanted::Named(name) => named::resolve(&finder, name, request.with_key),
        Wanted::Class(name) => class::resolve(&finder, name, request.with_key),
        Wanted::Need(need) => {
            let mut choice = Choice::new(&finder, need, request.with_key);
            for tier in finder.access.tiers {
                choice.rank(tier.models(snapshot));
            }
            choice.made()
        }
    }
}

/// A choice among the models that a caller may see.
pub(super) struct Choice<'a> {
    finder: &'a TargetFinder<'a>,
    need: &'a Need,
    with_key: bool,
    /// Whether they come in an order that somebody gave, and not by what is preferred.
    is_ordered: bool,
    /// Models at most whose endpoints are answered, those that answer first.
    most: usize,
    /// Those that meet the need, the best first.
    meeting: Vec<&'a Arc<Entry<ModelView>>>,
    /// Those that do not.
    others: Vec<Refused<'a>>,
}

/// A model that can be called.
struct Callable {
    /// Its place among those that meet the need.
    place: usize,
    targets: Vec<Target>,
    /// Whether no endpoint of it is known to answer, for each is known not to.
    is_unhealthy: bool,
}

impl<'a> Choice<'a> {
    /// Among no models yet.
    pub fn new(finder: &'a TargetFinder<'a>, need: &'a Need, with_key: bool) -> Self {
        Self {
            finder,
            need,
            with_key,
            is_ordered: false,
            most: 1,
            meeting: Vec::new(),
            others: Vec::new(),
        }
    }

    /// Goes on at the endpoints of this many models in all.
    pub fn over_models(self, most: usize) -> Self {
        Self { most, ..self }
    }

    /// Takes up models, the preferred ones first, behind those that were taken up before.
    pub fn rank(&mut self, entries: impl Iterator<Item = &'a Arc<Entry<ModelView>>>) {
        let before = self.meeting.len();
        self.take(entries);
        let mut ranked: Vec<_> = self
            .meeting
            .drain(before..)
            .map(|entry| (Preference::of(self.need, &entry.view), entry))
            .collect();
        ranked.sort_by(|(a, _), (b, _)| a.cmp(b));
        self.meeting
            .extend(ranked.into_iter().map(|(_, entry)| entry));
    }

    /// Takes up models in the order in which they come.
    pub fn in_order(&mut self, entries: impl Iterator<Item = &'a Arc<Entry<ModelView>>>) {
        self.is_ordered = true;
        self.take(entries);
    }

    fn take(&mut self, entries: impl Iterator<Item = &'a Arc<Entry<ModelView>>>) {
        for entry in entries {
            match self.need.refuses(self.finder.snapshot, &entry.view) {
                Some(reason) => self.others.push((entry, reason)),
                None => self.meeting.push(entry),
            }
        }
    }

    /// The first that can be called; one of which no endpoint answers only where all are like that.
    pub fn made(mut self) -> Result<Resolution, Unresolved> {
        let mut passed: Vec<Option<Reason>> = vec![None; self.meeting.len()];
        let found = self.callable(&mut passed);
        let answering = found.iter().find(|one| !one.is_unhealthy);
        let chosen = answering.or(found.first()).map(|one| one.place);
        let meeting = std::mem::take(&mut self.meeting);
        let (revision, changes_at) = (self.finder.snapshot.revision, self.finder.changes_at());
        let currency = chosen.and_then(|place| meeting.get(place)?.view.currency.as_ref());
        let refused = meeting
            .iter()
            .zip(passed)
            .enumerate()
            .filter(|(place, _)| Some(*place) != chosen);
        let refused: Vec<Refused<'_>> = refused
            .map(|(_, (entry, found))| {
                let reason = found.unwrap_or_else(|| self.beaten(&entry.view, currency));
                (*entry, reason)
            })
            .collect();
        let considered = Considered::of(refused, self.others, Some(self.need));
        let candidates = meeting.len();
        match chosen.and_then(|place| meeting.get(place)) {
            Some(model) => Ok(Resolution {
                model: Arc::clone(model),
                class: None,
                targets: failover(found, self.most),
                candidates,
                considered,
                revision,
                changes_at,
            }),
            None => Err(Unresolved {
                considered,
                candidates,
                ..Unresolved::new(self.finder, NoAnswer::NotMet)
            }),
        }
    }

    /// Those that can be called, in their order, up to as many that answer as are wanted; of those that
    /// are passed over it is noted why.
    fn callable(&self, passed: &mut [Option<Reason>]) -> Vec<Callable> {
        let mut found: Vec<Callable> = Vec::new();
        let mut answering = 0;
        for ((place, entry), passed) in self.meeting.iter().enumerate().zip(passed) {
            if answering == self.most {
                break;
            }
            match self.targets(entry) {
                Err(reason) => *passed = Some(reason),
                Ok(targets) => {
                    let is_unhealthy = targets.iter().all(Target::is_unhealthy);
                    match is_unhealthy {
                        true => *passed = Some(Reason::EndpointsUnhealthy),
                        false => answering += 1,
                    }
                    found.push(Callable {
                        place,
                        targets,
                        is_unhealthy,
                    });
                }
            }
        }
        found
    }

    fn targets(&self, model: &Arc<Entry<ModelView>>) -> Result<Vec<Target>, Reason> {
        let targets = self.finder.targets(model, &self.need.regions)?;
        match self.with_key && !targets.iter().any(Target::is_callable) {
            true => Err(Reason::NoCredential),
            false => Ok(targets),
        }
    }

    /// Why one that would do comes after the model of this currency.
    fn beaten(&self, model: &ModelView, currency: Option<&String>) -> Reason {
        let other = matches!((currency, &model.currency), (Some(a), Some(b)) if a != b);
        match self.need.prefer == Prefer::Price && !self.is_ordered && other {
            true => Reason::CurrencyMismatch,
            false => Reason::LessPreferred,
        }
    }
}

/// The endpoints of so many models at most, those that answer before the others, in the models' order;
/// those that are known not to answer come last.
fn failover(found: Vec<Callable>, most: usize) -> Vec<Target> {
    let answering = found.iter().filter(|one| !one.is_unhealthy).count();
    let mut unhealthy_left = most.saturating_sub(answering);
    let kept = found.into_iter().filter(|one| {
        if !one.is_unhealthy {
            return true;
        }
        let is_kept = unhealthy_left > 0;
        unhealthy_left = unhealthy_left.saturating_sub(1);
        is_kept
    });
    let mut targets: Vec<Target> = kept.flat_map(|one| one.targets).collect();
    targets.sort_by_key(Target::is_unhealthy);
    targets
}
