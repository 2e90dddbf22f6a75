//! The model, or the class, that a name means.

use std::sync::Arc;

use super::candidates::Tier;
use super::considered::{Considered, Refused};
use super::filter::out_of_use;
use super::targets::TargetFinder;
use super::{NoAnswer, Reason, Resolution, Unresolved, class};
use crate::crd::names;
use crate::snapshot::{Entry, ModelView};

/// Models among which a name that comes near is looked for.
const MAX_COMPARED: usize = 1000;

/// How exactly a model is named, the most exact first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Precision {
    Name,
    DisplayName,
    ModelId,
}

fn precision(model: &ModelView, name: &str) -> Option<Precision> {
    if model.common.name == name {
        Some(Precision::Name)
    } else if model.display_name.as_deref() == Some(name) {
        Some(Precision::DisplayName)
    } else if model.model_id == name {
        Some(Precision::ModelId)
    } else {
        None
    }
}

/// The model that a name means. The first namespaces that have it decide, also where the model is
/// out of use there; among theirs the most exact name; among those of one exactness what is in use.
/// Where several are left, the name is ambiguous. Where no model has it, a class may.
pub(super) fn resolve(
    finder: &TargetFinder<'_>,
    name: &str,
    with_key: bool,
) -> Result<Resolution, Unresolved> {
    let (snapshot, tiers) = (finder.snapshot, finder.access.tiers);
    let mut found: Vec<(usize, Precision, &Arc<Entry<ModelView>>)> = Vec::new();
    for (number, tier) in tiers.iter().enumerate() {
        let called = tier.called(snapshot, name);
        let named = called.into_iter().filter_map(|entry| {
            let precision = precision(&entry.view, name)?;
            Some((number, precision, entry))
        });
        found.extend(named);
    }
    found.sort_by_key(|(tier, precision, _)| (*tier, *precision));
    let Some((tier, precision, _)) = found.first().copied() else {
        if let Some(answer) = class::of_name(finder, name, with_key) {
            return answer;
        }
        return Err(Unresolved {
            near: near(finder, tiers, name),
            ..unresolved(finder, NoAnswer::NotNamed, Considered::default())
        });
    };
    let meant = |(t, p, entry): &(usize, Precision, &Arc<Entry<ModelView>>)| {
        *t == tier && *p == precision && out_of_use(&entry.view).is_none()
    };
    let in_use: Vec<_> = found.iter().filter(|one| meant(one)).collect();
    let passed_over = |but: Option<&Arc<Entry<ModelView>>>, reason: &dyn Fn(bool) -> Reason| {
        let others = found.iter().filter(|(_, _, entry)| {
            but.is_none_or(|chosen| chosen.view.common.id != entry.view.common.id)
        });
        let refused = others.map(|one| {
            let why = out_of_use(&one.2.view).unwrap_or_else(|| reason(meant(one)));
            (one.2, why)
        });
        refused.collect::<Vec<Refused<'_>>>()
    };
    let chosen = match in_use[..] {
        [(_, _, chosen)] => *chosen,
        [] => {
            let passed = passed_over(None, &|_| Reason::LessPreferred);
            let considered = Considered::of(passed, Vec::new(), None);
            return Err(unresolved(finder, NoAnswer::NotNamed, considered));
        }
        _ => {
            let passed = passed_over(None, &|meant| match meant {
                true => Reason::Ambiguous,
                false => Reason::LessPreferred,
            });
            let considered = Considered::of(Vec::new(), passed, None);
            return Err(unresolved(finder, NoAnswer::Ambiguous, considered));
        }
    };
    let others = passed_over(Some(chosen), &|_| Reason::LessPreferred);
    match finder.targets(chosen, &[]) {
        Ok(targets) => Ok(Resolution {
            model: chosen.clone(),
            class: None,
            targets,
            candidates: 1,
            considered: Considered::of(others, Vec::new(), None),
            revision: snapshot.revision,
            changes_at: finder.changes_at(),
        }),
        Err(reason) => {
            let considered = Considered::of(vec![(chosen, reason)], others, None);
            Err(unresolved(finder, NoAnswer::NotNamed, considered))
        }
    }
}

fn unresolved(finder: &TargetFinder<'_>, why: NoAnswer, considered: Considered) -> Unresolved {
    Unresolved {
        considered,
        ..Unresolved::new(finder, why)
    }
}

/// Names and ids of models, and names of classes, that come near one that nothing has.
fn near(finder: &TargetFinder<'_>, tiers: &[Tier], name: &str) -> Vec<String> {
    let snapshot = finder.snapshot;
    let models = tiers.iter().flat_map(|tier| tier.models(snapshot));
    let called = models.take(MAX_COMPARED).flat_map(|entry| {
        let model = &entry.view;
        [model.common.name.as_str(), model.model_id.as_str()]
    });
    let near = names::nearest(
        name,
        called.chain(class::visible_names(finder, MAX_COMPARED)),
    );
    near.into_iter().map(str::to_owned).collect()
}
