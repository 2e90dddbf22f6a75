//! The model that is answered, and why each other is not.

use std::sync::Arc;

use jiff::Timestamp;

use super::candidates::Access;
use super::considered::{Considered, Refused};
use super::preference::Preference;
use super::request::{Need, Prefer, Request, Wanted};
use super::targets::{Target, TargetFinder};
use super::{NoAnswer, Reason, Resolution, Unresolved, named};
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
        Wanted::Named(name) => named::resolve(&finder, name),
        Wanted::Need(need) => Choice::new(&finder, need, request.with_key).made(),
    }
}

/// A choice among the models that a caller may see.
struct Choice<'a> {
    finder: &'a TargetFinder<'a>,
    need: &'a Need,
    with_key: bool,
    /// Those that meet the need, the best first.
    meeting: Vec<&'a Arc<Entry<ModelView>>>,
    /// Those that do not.
    others: Vec<Refused<'a>>,
}

impl<'a> Choice<'a> {
    fn new(finder: &'a TargetFinder<'a>, need: &'a Need, with_key: bool) -> Self {
        let (mut meeting, mut others) = (Vec::new(), Vec::new());
        for tier in finder.access.tiers {
            let mut ranked = Vec::new();
            for entry in tier.models(finder.snapshot) {
                match need.refuses(finder.snapshot, &entry.view) {
                    Some(reason) => others.push((entry, reason)),
                    None => ranked.push((Preference::of(need, &entry.view), entry)),
                }
            }
            ranked.sort_by(|(a, _), (b, _)| a.cmp(b));
            meeting.extend(ranked.into_iter().map(|(_, entry)| entry));
        }
        Self {
            finder,
            need,
            with_key,
            meeting,
            others,
        }
    }

    /// The first that can be called; one of which no endpoint answers only where all are like that.
    fn made(mut self) -> Result<Resolution, Unresolved> {
        let mut passed: Vec<Option<Reason>> = Vec::with_capacity(self.meeting.len());
        let mut chosen: Option<(usize, Vec<Target>)> = None;
        for (place, entry) in self.meeting.iter().enumerate() {
            match self.targets(&entry.view) {
                Err(reason) => passed.push(Some(reason)),
                Ok(targets) if targets.iter().all(Target::is_unhealthy) => {
                    passed.push(Some(Reason::EndpointsUnhealthy));
                    chosen.get_or_insert((place, targets));
                }
                Ok(targets) => {
                    chosen = Some((place, targets));
                    break;
                }
            }
        }
        let meeting = std::mem::take(&mut self.meeting);
        let changes_at = self.finder.changes_at();
        let revision = self.finder.snapshot.revision;
        let currency = chosen
            .as_ref()
            .and_then(|(place, _)| meeting.get(*place)?.view.currency.as_ref());
        let is_chosen = |place: usize| chosen.as_ref().is_some_and(|(one, _)| *one == place);
        let refused = meeting
            .iter()
            .enumerate()
            .filter(|(place, _)| !is_chosen(*place));
        let refused: Vec<Refused<'_>> = refused
            .map(|(place, entry)| {
                let found = passed.get(place).copied().flatten();
                (
                    *entry,
                    found.unwrap_or_else(|| self.beaten(&entry.view, currency)),
                )
            })
            .collect();
        let considered = Considered::of(refused, self.others, Some(self.need));
        match chosen.and_then(|(place, targets)| Some((*meeting.get(place)?, targets))) {
            Some((model, targets)) => Ok(Resolution {
                model: model.clone(),
                targets,
                considered,
                revision,
                changes_at,
            }),
            None => Err(Unresolved {
                why: NoAnswer::NotMet,
                considered,
                near: Vec::new(),
                revision,
                changes_at,
            }),
        }
    }

    fn targets(&self, model: &ModelView) -> Result<Vec<Target>, Reason> {
        let targets = self.finder.targets(model, &self.need.regions)?;
        match self.with_key && !targets.iter().any(Target::is_callable) {
            true => Err(Reason::NoCredential),
            false => Ok(targets),
        }
    }

    /// Why one that would do comes after the model of this currency.
    fn beaten(&self, model: &ModelView, currency: Option<&String>) -> Reason {
        let other = matches!((currency, &model.currency), (Some(a), Some(b)) if a != b);
        match self.need.prefer == Prefer::Price && other {
            true => Reason::CurrencyMismatch,
            false => Reason::LessPreferred,
        }
    }
}
