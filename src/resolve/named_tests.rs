use std::sync::Arc;

use super::fixtures_tests::{
    ask, ask_in, endpoint, model, named, provider, reasons, snapshot, team, with_models,
};
use super::{NoAnswer, Tier};
use crate::crd::ProviderType;
use crate::snapshot::{ModelStatus, ModelView, ProviderView, Snapshot, Views};

fn displayed(number: u128, provider: &ProviderView, name: &str, display: &str) -> ModelView {
    ModelView {
        display_name: Some(display.to_owned()),
        ..model(number, provider, name)
    }
}

fn name_of(found: &Result<super::Resolution, super::Unresolved>) -> &str {
    &found.as_ref().expect("an answer").model.view.common.name
}

#[test]
fn a_name_comes_before_a_display_name_and_that_before_the_vendors_id() {
    let snapshot = with_models(|provider| {
        vec![
            displayed(100, provider, "a", "b"),
            model(101, provider, "b"),
            displayed(102, provider, "c", "id-b"),
            displayed(103, provider, "d", "Large"),
        ]
    });
    assert_eq!(name_of(&ask(&snapshot, named("b"))), "b");
    assert_eq!(name_of(&ask(&snapshot, named("id-b"))), "c");
    assert_eq!(name_of(&ask(&snapshot, named("Large"))), "d");
    assert_eq!(name_of(&ask(&snapshot, named("id-a"))), "a");
    let passed = ask(&snapshot, named("b")).expect("an answer").considered;
    assert_eq!(reasons(&passed), [("a", "LessPreferred")]);
}

#[test]
fn a_name_that_two_models_have_names_both_and_takes_neither() {
    let snapshot = with_models(|provider| {
        vec![
            displayed(100, provider, "a", "Large"),
            displayed(101, provider, "b", "Large"),
        ]
    });
    let refused = ask(&snapshot, named("Large")).expect_err("two have it");
    assert_eq!(refused.why, NoAnswer::Ambiguous);
    let both = [("a", "Ambiguous"), ("b", "Ambiguous")];
    assert_eq!(reasons(&refused.considered), both);
}

#[test]
fn of_two_with_one_display_name_the_one_in_use_is_meant() {
    let snapshot = with_models(|provider| {
        let mut off = displayed(100, provider, "a", "Large");
        off.common.is_active = false;
        vec![off, displayed(101, provider, "b", "Large")]
    });
    let found = ask(&snapshot, named("Large"));
    assert_eq!(name_of(&found), "b");
    let considered = found.expect("an answer").considered;
    assert_eq!(reasons(&considered), [("a", "Inactive")]);
}

fn in_namespaces(namespaces: &[&str]) -> Snapshot {
    let mut views = Views::default();
    for (number, namespace) in (1u128..).zip(namespaces) {
        let provider = provider(number, namespace, ProviderType::OpenAI);
        views
            .endpoints
            .push(endpoint(10 + number, &provider, "main"));
        views.models.push(model(100 + number, &provider, "gpt"));
        views.providers.push(provider);
    }
    snapshot(views)
}

fn shared(namespaces: &[&str]) -> Tier {
    Tier::Namespaces(namespaces.iter().map(|name| Arc::from(*name)).collect())
}

#[test]
fn ones_own_namespace_comes_before_shared_ones() {
    let snapshot = in_namespaces(&["a", "team", "z"]);
    let tiers = [team(), shared(&["a", "z"])];
    let found = ask_in(&snapshot, named("gpt"), &tiers).expect("an answer");
    assert_eq!(found.model.view.common.namespace, "team");
    let others = found.considered.models;
    let others: Vec<_> = others.iter().map(|other| &*other.namespace).collect();
    assert_eq!(others, ["a", "z"]);
}

#[test]
fn two_shared_namespaces_with_one_name_are_ambiguous() {
    let snapshot = in_namespaces(&["a", "z"]);
    let both = ask_in(&snapshot, named("gpt"), &[team(), shared(&["a", "z"])]);
    assert_eq!(both.expect_err("two have it").why, NoAnswer::Ambiguous);
    let one = ask_in(&snapshot, named("gpt"), &[team(), shared(&["z"])]);
    let one = one.expect("an answer");
    assert_eq!(one.model.view.common.namespace, "z");
    assert!(
        one.considered.models.is_empty(),
        "the other is not looked at"
    );
    let all = ask_in(&snapshot, named("gpt"), &[Tier::All]);
    assert_eq!(all.expect_err("two have it").why, NoAnswer::Ambiguous);
}

/// A name means the same whether it is in use or not: nobody is sent elsewhere without a word.
#[test]
fn what_is_off_in_ones_own_namespace_is_not_replaced_by_a_shared_one() {
    let mut snapshot = in_namespaces(&["team", "z"]);
    let mut off = model(101, &provider(1, "team", ProviderType::OpenAI), "gpt");
    off.common.is_active = false;
    let models = vec![off];
    let views = Views {
        models,
        ..Views::default()
    };
    snapshot.put(views).expect("a row");
    let refused = ask_in(&snapshot, named("gpt"), &[team(), shared(&["z"])]);
    let refused = refused.expect_err("it is off");
    assert_eq!(refused.why, NoAnswer::NotNamed);
    assert_eq!(refused.considered.models[0].namespace, "team");
    let told = [("gpt", "Inactive"), ("gpt", "LessPreferred")];
    assert_eq!(reasons(&refused.considered), told);
}

#[test]
fn what_is_named_is_answered_though_it_is_deprecated_and_not_under_maintenance() {
    let with = |status| {
        with_models(|provider| {
            vec![ModelView {
                status,
                ..model(100, provider, "gpt")
            }]
        })
    };
    assert!(ask(&with(ModelStatus::Deprecated), named("gpt")).is_ok());
    let refused = ask(&with(ModelStatus::Maintenance), named("gpt")).expect_err("not now");
    assert_eq!(reasons(&refused.considered), [("gpt", "UnderMaintenance")]);
}

#[test]
fn a_name_that_nothing_has_is_told_what_comes_near() {
    let snapshot = with_models(|provider| vec![model(100, provider, "gpt-large")]);
    let refused = ask(&snapshot, named("gpt-lagre")).expect_err("nothing has it");
    assert_eq!(refused.why, NoAnswer::NotNamed);
    assert!(refused.considered.models.is_empty());
    assert_eq!(refused.near, ["gpt-large", "id-gpt-large"]);
    let elsewhere = ask_in(&snapshot, named("gpt-lagre"), &[shared(&["z"])]);
    assert!(elsewhere.expect_err("nothing has it").near.is_empty());
}
