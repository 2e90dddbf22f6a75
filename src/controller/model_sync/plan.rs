//! What is to be made, updated and withdrawn, from the vendor's lists and the declared objects.
//! Pure: the same input gives the same plan, and a plan that was carried out is followed by one
//! with nothing in it.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use kube::ResourceExt;

use super::{
    fields::{Fields, is_model_id},
    globs::Globs,
    names::object_name,
};
use crate::{
    checks::ModelsById,
    crd::{
        LlmModel, ProviderType,
        ownership::{ForeignFields, belongs_to, is_generated},
    },
    vendors::{ListedModel, driver, is_pattern},
};

/// What a plan is made from.
pub struct PlanInputs<'a> {
    /// The provider's name.
    pub provider: &'a str,
    /// Its type, which says what ids are one model's.
    pub provider_type: ProviderType,
    /// Its UID: objects of an earlier provider of its name are not its own.
    pub provider_uid: &'a str,
    /// Which ids are taken.
    pub globs: &'a Globs,
    /// The last complete list at each endpoint, by the endpoint's name, in failover order.
    pub lists: &'a [(String, Arc<ModelsById>)],
    /// Whether the list of an endpoint that may have one could not be read: where a model is listed is not known
    /// then, and what was known stays.
    pub is_partial: bool,
    /// Every model of the provider, generated or declared.
    pub models: &'a [Arc<LlmModel>],
    /// Names of models that were not understood.
    pub undecodable: &'a HashSet<String>,
    /// Whether a model of any provider of the namespace has this name.
    pub has_model: &'a dyn Fn(&str) -> bool,
    /// Most generated objects.
    pub limit: usize,
}

/// An object as it is to be.
#[derive(Clone, Debug, PartialEq)]
pub struct WantedModel {
    /// Its name.
    pub name: String,
    /// `spec.modelId`.
    pub model_id: String,
    /// What else the vendor says.
    pub fields: Fields,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Make it.
    Make(WantedModel),
    /// Bring it up to date.
    Update(WantedModel),
    /// Delete it, for somebody declares its id now, where it is still as it was made.
    Withdraw(String),
}

/// What is to be done, and what there is to be said of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// Withdrawals first, for they make room.
    pub steps: Vec<Step>,
    /// Ids that are listed and taken.
    pub ids: usize,
    /// Of those: how many have a generated object when this is done.
    pub generated: usize,
    /// Of those: how many have none, for the limit is reached.
    pub over_limit: usize,
    /// Listed ids that the schema does not take.
    pub unusable: usize,
    /// Listed patterns, which name no model.
    pub patterns: usize,
    /// Names that objects of ids would have, and somebody else's objects have.
    pub names_taken: Vec<String>,
}

/// Plans.
pub fn plan(sources: &PlanInputs<'_>) -> Plan {
    let known = DeclaredModels::of(sources);
    let mut plan = Plan::default();
    let mut generated = known.generated;
    for of_id in known.by_id.values() {
        if let Claim::Declared(superseded) = of_id {
            generated -= superseded.len();
            let withdrawn = superseded.iter().filter(|m| is_untouched(m));
            plan.steps
                .extend(withdrawn.map(|m| Step::Withdraw(m.name_any())));
        }
    }
    let mut missing = Vec::new();
    for (id, seen) in listed(sources) {
        if is_pattern(id) {
            plan.patterns += 1;
            continue;
        }
        if !is_model_id(id) {
            plan.unusable += 1;
            continue;
        }
        if !sources.globs.take(id) {
            continue;
        }
        plan.ids += 1;
        match known.by_id.get(&driver(sources.provider_type).same_id(id)) {
            Some(Claim::Declared(_) | Claim::Leaving) => {}
            Some(Claim::Generated(model)) => {
                plan.generated += 1;
                plan.steps.extend(update(sources, &seen, model));
            }
            None => missing.push((id, seen)),
        }
    }
    for (id, seen) in missing {
        let name = object_name(sources.provider, id);
        if sources.undecodable.contains(&name) || (sources.has_model)(&name) {
            plan.names_taken.push(name);
        } else if generated >= sources.limit {
            plan.over_limit += 1;
        } else {
            generated += 1;
            plan.generated += 1;
            plan.steps
                .push(Step::Make(wanted(sources, name, id, &seen)));
        }
    }
    plan
}

/// Where a model is listed: the endpoint's name, and what its list says.
type Seen<'a> = Vec<(&'a str, &'a ListedModel)>;

/// What is listed, each model once, by the first spelling of its id.
fn listed<'a>(sources: &PlanInputs<'a>) -> Vec<(&'a str, Seen<'a>)> {
    let driver = driver(sources.provider_type);
    let mut listed: BTreeMap<Cow<'a, str>, (&'a str, Seen<'a>)> = BTreeMap::new();
    for (endpoint, list) in sources.lists {
        for (id, model) in list.iter() {
            let (_, seen) = listed
                .entry(driver.same_id(id))
                .or_insert_with(|| (id, Vec::new()));
            if seen
                .last()
                .is_none_or(|(last, _)| *last != endpoint.as_str())
            {
                seen.push((endpoint, model));
            }
        }
    }
    listed.into_values().collect()
}

/// What objects there are for an id.
enum Claim<'a> {
    /// Somebody declares it; these generated ones are in the way.
    Declared(Vec<&'a LlmModel>),
    /// It is generated.
    Generated(&'a LlmModel),
    /// An earlier provider's generated object, which is being collected.
    Leaving,
}

struct DeclaredModels<'a> {
    by_id: BTreeMap<Cow<'a, str>, Claim<'a>>,
    generated: usize,
}

impl<'a> DeclaredModels<'a> {
    fn of(sources: &PlanInputs<'a>) -> Self {
        let ours = |m: &LlmModel| belongs_to(&m.metadata, sources.provider_uid);
        let driver = driver(sources.provider_type);
        let mut of_id: BTreeMap<Cow<'a, str>, Vec<&LlmModel>> = BTreeMap::new();
        for model in sources.models {
            let id = driver.same_id(&model.spec.model_id);
            of_id.entry(id).or_default().push(model);
        }
        let by_id = of_id
            .into_iter()
            .map(|(id, models)| {
                let declared = models.iter().any(|m| is_declared(m));
                let mut generated = models.into_iter().filter(|m| ours(m));
                let known = if declared {
                    Claim::Declared(generated.collect())
                } else {
                    generated.next().map_or(Claim::Leaving, Claim::Generated)
                };
                (id, known)
            })
            .collect();
        Self {
            by_id,
            generated: sources.models.iter().filter(|m| ours(m)).count(),
        }
    }
}

/// Whether a person declares it. One that is being deleted declares nothing any more.
fn is_declared(model: &LlmModel) -> bool {
    !is_generated(&model.metadata) && model.metadata.deletion_timestamp.is_none()
}

fn is_untouched(model: &LlmModel) -> bool {
    model.metadata.deletion_timestamp.is_none()
        && !ForeignFields::of(&model.metadata).have_touched()
}

fn update(sources: &PlanInputs<'_>, seen: &Seen<'_>, model: &LlmModel) -> Option<Step> {
    if model.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let others = ForeignFields::of(&model.metadata);
    let mut wanted = wanted(sources, model.name_any(), &model.spec.model_id, seen);
    let window = match others.own("contextWindow") {
        true => model.spec.context_window,
        false => wanted.fields.context_window,
    };
    wanted.fields = wanted.fields.within(window);
    if sources.is_partial {
        wanted.fields.endpoint_refs = model.spec.endpoint_refs.clone();
    }
    let is = Fields::of_spec(&model.spec).without(&others);
    (wanted.fields.clone().without(&others) != is).then_some(Step::Update(wanted))
}

fn wanted(sources: &PlanInputs<'_>, name: String, id: &str, seen: &Seen<'_>) -> WantedModel {
    let at = if seen.len() == sources.lists.len() {
        Vec::new()
    } else {
        seen.iter()
            .map(|(endpoint, _)| (*endpoint).to_owned())
            .collect()
    };
    let said: Vec<&ListedModel> = seen.iter().map(|(_, model)| *model).collect();
    let fields = Fields::of(&said, at);
    let window = fields.context_window;
    WantedModel {
        name,
        model_id: id.to_owned(),
        fields: fields.within(window),
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
