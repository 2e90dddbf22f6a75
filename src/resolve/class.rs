//! What a class means: the model that comes first among those that it names or asks for, and behind its
//! endpoints those of the others.

use std::sync::Arc;

use jiff::Timestamp;

use super::candidates::{Access, of_namespace};
use super::choose::Choice;
use super::request::{Need, Prefer, TypicalCall};
use super::targets::TargetFinder;
use super::{NoAnswer, Resolution, Unresolved};
use crate::crd::decimal::Decimal;
use crate::crd::model_class::MAX_MODELS;
use crate::crd::names;
use crate::snapshot::{ClassNeedView, Entry, ModelClassView, PreferView, Snapshot};

/// Classes among which a name that comes near is looked for.
const MAX_COMPARED: usize = 1000;

/// A class as it is declared.
#[derive(Clone, Debug, PartialEq)]
pub struct Class {
    namespace: String,
    /// Names of models; none: all of the namespace that meet the need.
    models: Option<Vec<String>>,
    need: Need,
    /// Whether the order of the names decides.
    is_ordered: bool,
}

impl Class {
    /// A class of this namespace: these models, or where there is a need what that says.
    pub fn new(
        namespace: &str,
        models: &[String],
        need: Option<&ClassNeedView>,
        prefer: PreferView,
        allow_deprecated: bool,
    ) -> Self {
        let asked = need.cloned().unwrap_or_default();
        Self {
            namespace: namespace.to_owned(),
            models: need.is_none().then(|| models.to_vec()),
            need: asked_for(asked, prefer, allow_deprecated),
            is_ordered: prefer == PreferView::Order,
        }
    }

    /// The class of a row.
    pub fn of(view: &ModelClassView) -> Self {
        Self::new(
            &view.common.namespace,
            &view.models,
            view.need.as_ref(),
            view.prefer,
            view.allow_deprecated,
        )
    }

    fn resolve(&self, finder: &TargetFinder<'_>, with_key: bool) -> Result<Resolution, Unresolved> {
        let snapshot = finder.snapshot;
        let mut choice = Choice::new(finder, &self.need, with_key).over_models(MAX_MODELS);
        let Some(names) = &self.models else {
            choice.rank(of_namespace(&snapshot.models, &self.namespace));
            return choice.made();
        };
        let (mut named, mut missing) = (Vec::new(), Vec::new());
        for name in names {
            match snapshot.models.by_name(&self.namespace, name) {
                Some(entry) => named.push(entry),
                None => missing.push(name.clone()),
            }
        }
        match self.is_ordered {
            true => choice.in_order(named.into_iter()),
            false => choice.rank(named.into_iter()),
        }
        match choice.made() {
            Ok(found) => Ok(Resolution {
                considered: found.considered.with_missing(&self.namespace, &missing),
                ..found
            }),
            Err(refused) => Err(Unresolved {
                considered: refused.considered.with_missing(&self.namespace, &missing),
                ..refused
            }),
        }
    }
}

/// A class's need as a request's. Every field of both is named here: what one may ask for the other may too.
fn asked_for(need: ClassNeedView, prefer: PreferView, allow_deprecated: bool) -> Need {
    let ClassNeedView {
        capabilities,
        min_score,
        min_context_window,
        min_output_tokens,
        max_input_price,
        max_output_price,
        currency,
        provider_types,
        regions,
        selector,
        exclude,
        input_modalities,
        output_modalities,
        embedding_dimensions,
        recommended_for,
        prompt_tokens,
        cached_tokens,
        output_tokens,
    } = need;
    let price = |text: Option<String>| text.as_deref().and_then(Decimal::parse);
    Need {
        capabilities,
        min_score,
        min_context_window,
        min_output_tokens,
        max_input_price: price(max_input_price),
        max_output_price: price(max_output_price),
        currency,
        prefer: match prefer {
            PreferView::Order | PreferView::Price => Prefer::Price,
            PreferView::Score => Prefer::Score,
            PreferView::Context => Prefer::Context,
        },
        provider_types,
        regions,
        selector,
        exclude,
        recommended_for,
        allow_deprecated,
        input_modalities,
        output_modalities,
        embedding_dimensions,
        // The schema refuses what can be no call.
        typical_call: TypicalCall::of(prompt_tokens, cached_tokens, output_tokens)
            .ok()
            .flatten(),
    }
}

/// What a class means that may not be in the snapshot, for who may see its namespace.
///
/// # Errors
///
/// Why it means no model.
pub fn resolve_class(
    snapshot: &Snapshot,
    class: &Class,
    with_key: bool,
    access: Access<'_>,
    now: Timestamp,
) -> Result<Resolution, Unresolved> {
    class.resolve(&TargetFinder::new(snapshot, access, now), with_key)
}

/// What the class of this name means.
pub(super) fn resolve(
    finder: &TargetFinder<'_>,
    name: &str,
    with_key: bool,
) -> Result<Resolution, Unresolved> {
    of_name(finder, name, with_key).unwrap_or_else(|| {
        let near = names::nearest(name, visible_names(finder, MAX_COMPARED));
        Err(Unresolved {
            near: near.into_iter().map(str::to_owned).collect(),
            ..Unresolved::new(finder, NoAnswer::ClassNotNamed)
        })
    })
}

/// The same; none where no class has the name. The first namespaces that have one decide, also where it is
/// switched off there; among theirs what is switched on.
pub(super) fn of_name(
    finder: &TargetFinder<'_>,
    name: &str,
    with_key: bool,
) -> Option<Result<Resolution, Unresolved>> {
    let mut tiers = finder.access.tiers.iter();
    let found = tiers.find_map(|tier| {
        let mut called = tier.classes_called(finder.snapshot, name);
        called.retain(|entry| (finder.access.may_see_classes)(&entry.view.common.namespace));
        (!called.is_empty()).then_some(called)
    })?;
    let is_on = |entry: &&Arc<Entry<ModelClassView>>| entry.view.common.is_active;
    let on: Vec<_> = found.iter().copied().filter(is_on).collect();
    Some(match on[..] {
        [class] => meant(finder, class, with_key),
        [] => Err(Unresolved {
            class: found.first().map(|entry| Arc::clone(entry)),
            ..Unresolved::new(finder, NoAnswer::ClassOff)
        }),
        _ => Err(Unresolved {
            near: on
                .iter()
                .map(|entry| entry.view.common.namespace.clone())
                .collect(),
            ..Unresolved::new(finder, NoAnswer::ClassAmbiguous)
        }),
    })
}

fn meant(
    finder: &TargetFinder<'_>,
    class: &Arc<Entry<ModelClassView>>,
    with_key: bool,
) -> Result<Resolution, Unresolved> {
    let by = Some(class.clone());
    match Class::of(&class.view).resolve(finder, with_key) {
        Ok(found) => Ok(Resolution { class: by, ..found }),
        Err(refused) => Err(Unresolved {
            class: by,
            ..refused
        }),
    }
}

/// Names of the classes that the caller may see, so many at most.
pub(super) fn visible_names<'s>(
    finder: &'s TargetFinder<'_>,
    at_most: usize,
) -> impl Iterator<Item = &'s str> {
    let tiers = finder.access.tiers.iter();
    tiers
        .flat_map(|tier| tier.classes(finder.snapshot))
        .take(at_most)
        .filter(|entry| (finder.access.may_see_classes)(&entry.view.common.namespace))
        .map(|entry| entry.view.common.name.as_str())
}
