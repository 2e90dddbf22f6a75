//! What causes what: a model that has no key waits for the credential that was rejected. Pure.

use std::collections::{BTreeSet, HashMap};

use super::objects::{Declared, State};
use crate::crd::Kind;
use crate::crd::reasons::Reason;

/// An object that does not work.
#[derive(Clone, Debug)]
pub struct Trouble<'a> {
    pub object: &'a Declared,
    pub state: State,
    /// The word of its deciding condition; none before the controller has seen it.
    pub reason: Option<&'a str>,
    /// Place among the troubles of what causes it in the end; none: nothing else here does.
    pub cause: Option<usize>,
}

/// What does not work among these, in their order. What is given belongs together: the causes of a
/// model are its provider, that one's endpoints and credentials; those of a class the models that it
/// names, and theirs.
pub fn troubles(all: &[Declared]) -> Vec<Trouble<'_>> {
    let mut troubles: Vec<Trouble<'_>> = all
        .iter()
        .filter(|object| object.state() != State::Works)
        .map(|object| Trouble {
            object,
            state: object.state(),
            reason: object.deciding().map(|decided| decided.reason.as_str()),
            cause: None,
        })
        .collect();
    let mut family = Families::new();
    for (place, trouble) in troubles.iter().enumerate() {
        let object = trouble.object;
        let key = (object.namespace.as_str(), object.provider());
        family.entry(key).or_default().push(place);
    }
    let nearest: Vec<Option<usize>> = troubles
        .iter()
        .enumerate()
        .map(|(place, trouble)| {
            let object = trouble.object;
            shared(&troubles, place).or_else(|| {
                let relatives = match object.kind {
                    Kind::ModelClass => of_class(&troubles, &family, all, object),
                    _ => family[&(object.namespace.as_str(), object.provider())].clone(),
                };
                within(&troubles, trouble, &relatives)
            })
        })
        .collect();
    for (place, trouble) in troubles.iter_mut().enumerate() {
        trouble.cause = last(&nearest, place);
    }
    troubles
}

/// Places of troubles by namespace and provider.
type Families<'a> = HashMap<(&'a str, &'a str), Vec<usize>>;

/// What may keep a class from meaning a model: the models that it names, and what is of their providers.
fn of_class(
    troubles: &[Trouble<'_>],
    families: &Families<'_>,
    all: &[Declared],
    class: &Declared,
) -> Vec<usize> {
    let named = class.model_refs();
    let is_named =
        |object: &Declared| object.kind != Kind::Model || named.contains(&object.name.as_str());
    let models = all.iter().filter(|object| {
        object.kind == Kind::Model && object.namespace == class.namespace && is_named(object)
    });
    let providers: BTreeSet<&str> = models.map(Declared::provider).collect();
    let places = providers
        .into_iter()
        .filter_map(|provider| families.get(&(class.namespace.as_str(), provider)));
    let places = places.flatten().copied();
    places
        .filter(|place| is_named(troubles[*place].object))
        .collect()
}

/// What keeps every object from being stored has one cause, which is none of them: the first stands
/// for all.
fn shared(troubles: &[Trouble<'_>], place: usize) -> Option<usize> {
    let reason = troubles[place].reason?;
    let common = [Reason::DatabaseUnavailable, Reason::KeyringUnavailable].map(Reason::as_str);
    if !common.contains(&reason) {
        return None;
    }
    let first = troubles
        .iter()
        .position(|other| other.reason == Some(reason));
    first.filter(|first| *first != place)
}

/// What of the same provider keeps an object from working: something that is itself wrong before
/// something that only waits.
fn within(troubles: &[Trouble<'_>], of: &Trouble<'_>, relatives: &[usize]) -> Option<usize> {
    let kinds = causing(of);
    let named = of.object.endpoint_refs();
    let could = |place: &&usize| {
        let other = troubles[**place].object;
        kinds.contains(&other.kind)
            && other.kind != of.object.kind
            && (other.kind != Kind::Endpoint
                || named.is_empty()
                || named.contains(&other.name.as_str()))
    };
    relatives
        .iter()
        .filter(could)
        .max_by_key(|place| {
            let depth = kinds
                .iter()
                .rev()
                .position(|kind| *kind == troubles[**place].object.kind);
            (troubles[**place].state, depth, std::cmp::Reverse(**place))
        })
        .copied()
}

/// The kinds whose objects can be behind this trouble, the deepest first.
fn causing(of: &Trouble<'_>) -> &'static [Kind] {
    let reason = of.reason.and_then(Reason::parse);
    match (of.object.kind, reason) {
        (Kind::Provider, Some(Reason::NoValidCredential)) => &[Kind::Endpoint, Kind::Credential],
        (Kind::Provider, Some(Reason::NoEndpoint | Reason::SyncFailed)) => &[Kind::Endpoint],
        (Kind::Credential, Some(Reason::NoEndpoint | Reason::CheckInconclusive)) => {
            &[Kind::Provider, Kind::Endpoint]
        }
        (Kind::Model, Some(Reason::NoEndpoint)) => &[Kind::Provider, Kind::Endpoint],
        (
            Kind::Model,
            Some(Reason::NoValidCredential | Reason::NotCheckedYet | Reason::CheckInconclusive),
        ) => &[Kind::Provider, Kind::Endpoint, Kind::Credential],
        (Kind::Endpoint | Kind::Credential, Some(Reason::NotCheckedYet)) => &[Kind::Provider],
        (Kind::ModelClass, Some(Reason::CandidatesUnavailable | Reason::NoCandidate)) => &[
            Kind::Provider,
            Kind::Endpoint,
            Kind::Credential,
            Kind::Model,
        ],
        _ => &[],
    }
}

/// The last of a chain of causes. Kinds cause each other one way but for a provider and its endpoints,
/// so that a chain that comes back to where it was ends there.
fn last(nearest: &[Option<usize>], of: usize) -> Option<usize> {
    let mut found = None;
    let mut at = of;
    for _ in 0..nearest.len() {
        match nearest[at] {
            Some(next) if next != of => (found, at) = (Some(next), next),
            _ => break,
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use kube::api::DynamicObject;
    use serde_json::{Value, json};

    use super::*;
    use crate::crd::conditions::ConditionType;

    fn object(kind: Kind, name: &str, ready: (&str, &str), outside: (&str, &str)) -> Declared {
        let condition = |type_: &str, (status, reason): (&str, &str)| {
            json!({ "type": type_, "status": status, "reason": reason, "message": "",
                    "lastTransitionTime": "2026-01-01T00:00:00Z" })
        };
        let of: Value = json!({
            "apiVersion": "llmplane.dev/v1alpha1", "kind": kind.kubernetes(),
            "metadata": { "name": name, "namespace": "n", "generation": 1 },
            "spec": { "providerRef": { "name": "p" } },
            "status": { "observedGeneration": 1, "conditions": [
                condition("Ready", ready),
                condition(ConditionType::outside_of(kind).as_str(), outside),
            ] },
        });
        let object: DynamicObject = serde_json::from_value(of).unwrap();
        Declared::read(kind, object)
    }

    fn told(all: &[Declared]) -> Vec<(String, Option<String>)> {
        let found = troubles(all);
        let name = |place: usize| found[place].object.name.clone();
        found
            .iter()
            .map(|trouble| (trouble.object.name.clone(), trouble.cause.map(name)))
            .collect()
    }

    fn pair(of: &str, cause: Option<&str>) -> (String, Option<String>) {
        (of.to_owned(), cause.map(str::to_owned))
    }

    const WORKS: (&str, &str) = ("True", "Reconciled");

    #[test]
    fn what_waits_for_another_names_what_is_wrong_in_the_end() {
        let all = [
            object(Kind::Provider, "p", WORKS, ("Unknown", "SyncDisabled")),
            object(
                Kind::Endpoint,
                "e",
                ("True", "Reconciled"),
                ("True", "ProbeSucceeded"),
            ),
            object(
                Kind::Credential,
                "c",
                ("False", "KeyRejected"),
                ("False", "KeyRejected"),
            ),
            object(
                Kind::Model,
                "m",
                ("Unknown", "NoValidCredential"),
                ("Unknown", "NoValidCredential"),
            ),
            object(
                Kind::Model,
                "o",
                ("False", "ModelNotFound"),
                ("False", "ModelNotFound"),
            ),
        ];
        assert_eq!(
            told(&all),
            [pair("c", None), pair("m", Some("c")), pair("o", None)]
        );
    }

    #[test]
    fn an_endpoint_that_does_not_answer_is_behind_what_was_not_checked() {
        let all = [
            object(
                Kind::Endpoint,
                "e",
                ("False", "ProbeFailed"),
                ("False", "ProbeFailed"),
            ),
            object(
                Kind::Credential,
                "c",
                ("Unknown", "CheckInconclusive"),
                ("Unknown", "CheckInconclusive"),
            ),
            object(
                Kind::Model,
                "m",
                ("Unknown", "NotCheckedYet"),
                ("Unknown", "NotCheckedYet"),
            ),
        ];
        assert_eq!(
            told(&all),
            [pair("e", None), pair("c", Some("e")), pair("m", Some("e"))]
        );
    }

    #[test]
    fn a_class_waits_for_what_its_models_wait_for() {
        let mut class = object(
            Kind::ModelClass,
            "smart",
            ("True", "CandidatesUnavailable"),
            ("False", "CandidatesUnavailable"),
        );
        class.object.data["spec"] = json!({ "models": [{ "name": "m" }] });
        let down = |name| {
            let failed = ("False", "ProbeFailed");
            object(Kind::Endpoint, name, ("True", "ProbeFailed"), failed)
        };
        let model = object(Kind::Model, "m", WORKS, ("True", "ModelListed"));
        let all = [down("e"), model.clone(), class.clone()];
        assert_eq!(told(&all), [pair("e", None), pair("smart", Some("e"))]);
        class.object.data["spec"] = json!({ "models": [{ "name": "other" }] });
        let all = [down("e"), model, class];
        assert_eq!(told(&all), [pair("e", None), pair("smart", None)]);
    }

    #[test]
    fn a_database_that_is_away_is_one_trouble() {
        let away = ("True", "DatabaseUnavailable");
        let gone = |kind, name| object(kind, name, ("False", "DatabaseUnavailable"), away);
        let all = [
            gone(Kind::Provider, "p"),
            gone(Kind::Endpoint, "e"),
            gone(Kind::Model, "m"),
        ];
        assert_eq!(
            told(&all),
            [pair("p", None), pair("e", Some("p")), pair("m", Some("p"))]
        );
    }

    #[test]
    fn causes_that_name_each_other_end() {
        assert_eq!(last(&[Some(1), Some(0)], 0), Some(1));
        assert_eq!(last(&[Some(1), Some(2), Some(1)], 0), Some(1));
        assert_eq!(last(&[None], 0), None);
    }
}
