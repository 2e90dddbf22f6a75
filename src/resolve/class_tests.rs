//! What a class means, by example; the rest is in the oracle's tests.

use std::sync::Arc;

use super::fixtures_tests::{
    ask, ask_in, at, class, class_of, credential, endpoint, health, model, named, priced, provider,
    reasons, snapshot, team,
};
use super::{Access, Class, NoAnswer, Request, Resolution, Tier, resolve, resolve_class};
use crate::crd::ProviderType;
use crate::snapshot::{HealthState, ModelClassView, ModelStatus, PreferView, Snapshot, Views};

/// Two providers in `team`, with a model at an endpoint of its own each, and a class of both.
fn two(health_of_first: HealthState, class: ModelClassView) -> Snapshot {
    let providers = [1, 2].map(|number| provider(number, "team", ProviderType::OpenAI));
    let [first, second] = &providers;
    let mut sick = endpoint(10, first, "first");
    sick.health = health(health_of_first);
    snapshot(Views {
        endpoints: vec![sick, endpoint(11, second, "second")],
        credentials: vec![credential(20, first, "a"), credential(21, second, "b")],
        models: vec![
            priced(100, first, "dear", ["0.5", "0.5"]),
            priced(101, second, "cheap", ["0.1", "0.1"]),
        ],
        model_classes: vec![class],
        providers: providers.to_vec(),
    })
}

fn both() -> ModelClassView {
    class(200, "team", "smart", &["dear", "cheap"])
}

fn places(found: &Resolution) -> Vec<(&str, &str)> {
    let targets = found.targets.iter();
    targets
        .map(|target| {
            let (model, endpoint) = (&target.model.view.common, &target.endpoint.view.common);
            (model.name.as_str(), endpoint.name.as_str())
        })
        .collect()
}

#[test]
fn targets_go_over_the_models_in_their_order_and_those_that_do_not_answer_come_last() {
    let snapshot = two(HealthState::Healthy, both());
    let found = ask(&snapshot, class_of("smart")).expect("an answer");
    assert_eq!(found.model.view.common.name, "dear");
    assert_eq!(places(&found), [("dear", "first"), ("cheap", "second")]);
    assert_eq!(reasons(&found.considered), [("cheap", "LessPreferred")]);
    assert_eq!(found.candidates, 2);
    let by = found.class.expect("it is told by which class");
    assert_eq!(by.view.common.name, "smart");

    let snapshot = two(HealthState::Unhealthy, both());
    let found = ask(&snapshot, class_of("smart")).expect("an answer");
    assert_eq!(found.model.view.common.name, "cheap");
    assert_eq!(places(&found), [("cheap", "second"), ("dear", "first")]);
    assert_eq!(reasons(&found.considered), [("dear", "EndpointsUnhealthy")]);
}

#[test]
fn a_class_may_prefer_something_else_than_its_order() {
    let cheapest = ModelClassView {
        prefer: PreferView::Price,
        ..both()
    };
    let found = ask(&two(HealthState::Healthy, cheapest), class_of("smart"));
    assert_eq!(found.expect("an answer").model.view.common.name, "cheap");
}

#[test]
fn a_model_comes_before_a_class_of_its_name_and_a_class_before_nothing() {
    let mut snapshot = two(HealthState::Healthy, class(200, "team", "dear", &["cheap"]));
    let found = ask(&snapshot, named("dear")).expect("an answer");
    assert_eq!(found.model.view.common.name, "dear");
    assert!(found.class.is_none());
    let found = ask(&snapshot, class_of("dear")).expect("an answer");
    assert_eq!(found.model.view.common.name, "cheap");
    let views = Views {
        model_classes: vec![both()],
        ..Views::default()
    };
    snapshot.put(views).expect("a row");
    let found = ask(&snapshot, named("smart")).expect("an answer");
    assert_eq!(found.model.view.common.name, "dear");
}

#[test]
fn names_of_nothing_are_told_and_models_of_other_namespaces_are_nothing() {
    let elsewhere = provider(1, "other", ProviderType::OpenAI);
    let here = provider(2, "team", ProviderType::OpenAI);
    let mut old = model(101, &here, "old");
    old.status = ModelStatus::Deprecated;
    let itself = class(200, "team", "smart", &["theirs", "smart", "old"]);
    let snapshot = snapshot(Views {
        endpoints: vec![endpoint(10, &elsewhere, "e"), endpoint(11, &here, "f")],
        models: vec![model(100, &elsewhere, "theirs"), old],
        providers: vec![elsewhere, here],
        model_classes: vec![itself],
        ..Views::default()
    });
    let refused = ask_in(&snapshot, class_of("smart"), &[Tier::All]).expect_err("nothing");
    assert_eq!(refused.why, NoAnswer::NotMet);
    assert_eq!(
        reasons(&refused.considered),
        [
            ("old", "Deprecated"),
            ("theirs", "NotFound"),
            ("smart", "NotFound")
        ]
    );
    assert!(refused.class.is_some());
}

#[test]
fn what_is_off_hidden_or_several_is_no_answer() {
    let off = |mut class: ModelClassView| {
        class.common.is_active = false;
        class
    };
    let refused = ask(&two(HealthState::Healthy, off(both())), class_of("smart"));
    assert_eq!(refused.expect_err("it is off").why, NoAnswer::ClassOff);

    let snapshot = two(HealthState::Healthy, both());
    let refused = ask(&snapshot, class_of("smrat")).expect_err("there is none");
    assert_eq!(refused.why, NoAnswer::ClassNotNamed);
    assert_eq!(refused.near, ["smart"]);
    let refused = ask(&snapshot, named("smrat")).expect_err("there is none");
    assert_eq!(
        (refused.why, &*refused.near),
        (NoAnswer::NotNamed, &["smart".to_owned()][..])
    );
    let tiers = [team()];
    let hidden = Access {
        tiers: &tiers,
        may_have: &|_| true,
        may_see_classes: &|_| false,
        gave_no_key: &[],
    };
    for wanted in [class_of("smart"), named("smart")] {
        let request = Request {
            wanted,
            with_key: false,
        };
        let refused = resolve(&snapshot, &request, hidden, at(0)).expect_err("it is hidden");
        assert_eq!(refused.near, Vec::<String>::new());
        assert!(refused.class.is_none() && refused.considered.models.is_empty());
    }

    let classes = ["a", "b"].map(|namespace| class(7, namespace, "smart", &["m"]));
    let [mut first, second] = classes;
    first.common.id = super::fixtures_tests::uid(8);
    let snapshot = snapshot_of(vec![first, second]);
    let shared = Tier::Namespaces(["a", "b"].map(Arc::from).into());
    let refused = ask_in(&snapshot, class_of("smart"), &[team(), shared]).expect_err("two");
    assert_eq!(refused.why, NoAnswer::ClassAmbiguous);
    assert_eq!(refused.near, ["a", "b"]);
}

fn snapshot_of(model_classes: Vec<ModelClassView>) -> Snapshot {
    snapshot(Views {
        model_classes,
        ..Views::default()
    })
}

/// The controller says on each class what `POST /resolve` would answer.
#[test]
fn a_class_that_is_not_stored_yet_means_what_it_will() {
    let snapshot = two(HealthState::Healthy, both());
    let view = &snapshot.model_classes.by_name("team", "smart");
    let view = &view.expect("it is there").view;
    let tiers = [team()];
    let access = Access {
        tiers: &tiers,
        may_have: &|_| true,
        may_see_classes: &|_| true,
        gave_no_key: &[],
    };
    let found = resolve_class(&snapshot, &Class::of(view), false, access, at(100));
    let found = found.expect("an answer");
    let stored = ask(&snapshot, class_of("smart")).expect("an answer");
    assert_eq!(places(&found), places(&stored));
}
