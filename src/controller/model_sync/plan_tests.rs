use serde_json::{Value, json};

use super::*;
use crate::crd::provider::ModelSync;

/// An endpoint whose list cannot be read.
const UNREAD: &str = "unread";
const UID: &str = "11111111-1111-4111-8111-111111111111";

fn listing(models: &[(&str, Option<i64>)]) -> Arc<ModelsById> {
    let entry = |(id, window): &(&str, Option<i64>)| {
        let model = ListedModel {
            id: (*id).to_owned(),
            context_window: *window,
            ..ListedModel::default()
        };
        ((*id).to_owned(), model)
    };
    Arc::new(models.iter().map(entry).collect())
}

fn list(endpoint: &str, ids: &[&str]) -> (String, Arc<ModelsById>) {
    let models: Vec<_> = ids.iter().map(|id| (*id, None)).collect();
    (endpoint.to_owned(), listing(&models))
}

fn object(metadata: Value, spec: Value) -> Arc<LlmModel> {
    let mut object = json!({
        "apiVersion": "llmplane.dev/v1alpha1", "kind": "LlmModel",
        "metadata": { "namespace": "team" }, "spec": { "providerRef": { "name": "p" } },
    });
    for (part, more) in [("metadata", metadata), ("spec", spec)] {
        for (key, value) in more.as_object().unwrap() {
            object[part][key] = value.clone();
        }
    }
    Arc::new(serde_json::from_value(object).unwrap())
}

fn declared(name: &str, id: &str) -> Arc<LlmModel> {
    object(
        json!({ "name": name, "uid": name }),
        json!({ "modelId": id }),
    )
}

fn generated(id: &str, owner: &str, managed: Value, more: Value) -> Arc<LlmModel> {
    let mut spec = json!({ "modelId": id });
    for (key, value) in more.as_object().unwrap() {
        spec[key] = value.clone();
    }
    let metadata = json!({
        "name": object_name("p", id), "uid": id,
        "labels": { "llmplane.dev/generated-by": "model-sync" },
        "ownerReferences": [{ "apiVersion": "llmplane.dev/v1alpha1", "kind": "LlmProvider", "name": "p", "uid": owner }],
        "managedFields": managed,
    });
    object(metadata, spec)
}

fn made(id: &str) -> Arc<LlmModel> {
    generated(id, UID, json!([]), json!({}))
}

fn persons(fields: Value) -> Value {
    json!([{ "manager": "kubectl", "operation": "Update", "fieldsType": "FieldsV1", "fieldsV1": { "f:spec": fields } }])
}

fn planned(lists: &[(String, Arc<ModelsById>)], models: &[Arc<LlmModel>], sync: Value) -> Plan {
    limited(lists, models, sync, 100)
}

fn limited(
    lists: &[(String, Arc<ModelsById>)],
    models: &[Arc<LlmModel>],
    sync: Value,
    limit: usize,
) -> Plan {
    planned_of(ProviderType::OpenAI, lists, models, sync, limit)
}

fn planned_of(
    provider_type: ProviderType,
    lists: &[(String, Arc<ModelsById>)],
    models: &[Arc<LlmModel>],
    sync: Value,
    limit: usize,
) -> Plan {
    let sync: ModelSync = serde_json::from_value(sync).unwrap();
    plan(&PlanInputs {
        provider: "p",
        provider_type,
        provider_uid: UID,
        globs: &Globs::of(&sync).unwrap(),
        lists,
        is_partial: lists.iter().any(|(name, _)| name == UNREAD),
        models,
        undecodable: &HashSet::from([object_name("p", "undecodable")]),
        has_model: &|name| {
            let anothers = object_name("p", "anothers");
            name == anothers || models.iter().any(|model| model.name_any() == name)
        },
        limit,
    })
}

#[test]
fn a_list_that_cannot_be_read_takes_no_model_from_its_endpoint() {
    let everywhere = [made("gpt-a")];
    let lists = [list("main", &["gpt-a"]), list(UNREAD, &[])];
    let sync = || json!({ "enabled": true });
    assert_eq!(planned(&lists, &everywhere, sync()).steps, []);
    // One that is read, and does not hold it, does.
    let lists = [list("main", &["gpt-a"]), list("other", &[])];
    let steps = planned(&lists, &everywhere, sync()).steps;
    assert!(matches!(steps[..], [Step::Update(_)]), "{steps:?}");
}

fn made_ids(plan: &Plan) -> Vec<&str> {
    let make = |step: &'_ Step| matches!(step, Step::Make(_));
    assert!(plan.steps.iter().all(make), "{:?}", plan.steps);
    plan.steps
        .iter()
        .filter_map(|step| match step {
            Step::Make(wanted) => Some(wanted.model_id.as_str()),
            _ => None,
        })
        .collect()
}

#[test]
fn what_nobody_declared_and_the_globs_take_is_made() {
    let lists = [list("e", &["gpt-4o", "gpt-4o-mini", "o3", "dall-e"])];
    let sync = json!({ "include": ["gpt-*", "o?"], "exclude": ["*-mini"] });
    let plan = planned(&lists, &[declared("mine", "o3")], sync);
    assert_eq!(made_ids(&plan), ["gpt-4o"]);
    assert_eq!((plan.ids, plan.generated), (2, 1));
}

#[test]
fn a_name_in_another_spelling_is_declared_too() {
    let lists = [list("e", &["llama3:latest", "llama3:8b"])];
    let models = [declared("mine", "llama3")];
    let plan = |type_| planned_of(type_, &lists, &models, json!({}), 100);
    assert_eq!(made_ids(&plan(ProviderType::Ollama)), ["llama3:8b"]);
    let elsewhere = plan(ProviderType::OpenAI);
    assert_eq!(made_ids(&elsewhere), ["llama3:8b", "llama3:latest"]);
}

#[test]
fn a_plan_that_was_carried_out_is_followed_by_an_empty_one() {
    let lists = [list("e", &["a", "b"])];
    let plan = planned(&lists, &[made("a"), made("b")], json!({}));
    assert_eq!(plan.steps, []);
    assert_eq!((plan.ids, plan.generated), (2, 2));
}

#[test]
fn what_vanished_is_left_alone_and_an_empty_list_takes_nothing_away() {
    assert_eq!(
        planned(&[list("e", &[])], &[made("a")], json!({})).steps,
        []
    );
    assert_eq!(planned(&[], &[made("a")], json!({})).steps, []);
}

#[test]
fn endpoints_are_named_only_where_not_all_list_it() {
    let lists = [list("b", &["x", "y"]), list("a", &["x", "z"])];
    let plan = planned(&lists, &[], json!({}));
    let refs: Vec<Vec<&str>> = plan
        .steps
        .iter()
        .map(|step| match step {
            Step::Make(w) => w
                .fields
                .endpoint_refs
                .iter()
                .map(|r| r.name.as_str())
                .collect(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(refs, [vec![], vec!["b"], vec!["a"]]);
}

#[test]
fn a_changed_fact_is_an_update_unless_somebody_else_owns_the_field() {
    let lists = [("e".to_owned(), listing(&[("a", Some(8192))]))];
    let old = json!({ "contextWindow": 4096 });
    let model = generated("a", UID, json!([]), old.clone());
    let Step::Update(wanted) = &planned(&lists, &[model], json!({})).steps[0] else {
        panic!("no update");
    };
    assert_eq!(wanted.fields.context_window, Some(8192));
    let theirs = generated("a", UID, persons(json!({ "f:contextWindow": {} })), old);
    assert_eq!(planned(&lists, &[theirs], json!({})).steps, []);
}

#[test]
fn a_fact_that_the_vendor_says_no_more_goes_and_a_persons_stays() {
    let lists = [list("e", &["a"])];
    let old = json!({ "contextWindow": 4096 });
    let model = generated("a", UID, json!([]), old.clone());
    assert!(matches!(
        planned(&lists, &[model], json!({})).steps[..],
        [Step::Update(_)]
    ));
    let theirs = generated("a", UID, persons(json!({ "f:contextWindow": {} })), old);
    assert_eq!(planned(&lists, &[theirs], json!({})).steps, []);
}

#[test]
fn a_persons_fields_that_the_vendor_never_says_are_no_reason_for_an_update() {
    let lists = [list("e", &["a"])];
    let spec = json!({ "version": "2", "lifecycle": "Deprecated", "recommendedFor": ["x"] });
    assert_eq!(
        planned(&lists, &[generated("a", UID, json!([]), spec)], json!({})).steps,
        []
    );
}

#[test]
fn a_declaration_withdraws_what_was_generated_unless_people_have_touched_it() {
    let lists = [list("e", &["a"])];
    let mine = declared("mine", "a");
    let plan = planned(&lists, &[made("a"), mine.clone()], json!({}));
    assert_eq!(plan.steps, [Step::Withdraw(object_name("p", "a"))]);
    assert_eq!(plan.generated, 0);
    let touched = generated("a", UID, persons(json!({ "f:version": {} })), json!({}));
    assert_eq!(planned(&lists, &[touched, mine], json!({})).steps, []);
}

#[test]
fn objects_that_are_not_ours_are_never_steps() {
    let lists = [list("e", &["a", "b"])];
    let earlier = generated("a", "another-uid", json!([]), json!({}));
    let taken = declared(&object_name("p", "b"), "other");
    let plan = planned(&lists, &[earlier, taken], json!({}));
    assert_eq!(plan.steps, []);
    assert_eq!(plan.names_taken, [object_name("p", "b")]);
}

#[test]
fn a_name_that_an_object_has_which_is_not_the_providers_is_taken_and_the_rest_is_made() {
    for id in ["undecodable", "anothers"] {
        let plan = planned(&[list("e", &["a", id])], &[], json!({}));
        assert_eq!(made_ids(&plan), ["a"]);
        assert_eq!(plan.names_taken, [object_name("p", id)]);
    }
}

#[test]
fn the_limit_keeps_what_there_is_and_counts_the_rest() {
    let lists = [list("e", &["a", "b", "c", "d"])];
    let plan = limited(&lists, &[made("d"), made("gone")], json!({}), 3);
    assert_eq!(made_ids(&plan), ["a"]);
    assert_eq!((plan.ids, plan.generated, plan.over_limit), (4, 2, 2));
}

#[test]
fn ids_that_the_schema_refuses_are_counted() {
    let long = "x".repeat(300);
    let plan = planned(&[list("e", &["a\u{1}", " b", &long, "c"])], &[], json!({}));
    assert_eq!(made_ids(&plan), ["c"]);
    assert_eq!(plan.unusable, 3);
}

#[test]
fn five_thousand_ids_are_planned_each_once() {
    let ids: Vec<String> = (0..5000).map(|n| format!("vendor/Model-{n}:0")).collect();
    let refs: Vec<&str> = ids.iter().map(String::as_str).collect();
    let plan = limited(&[list("e", &refs)], &[], json!({}), 5000);
    let names: HashSet<&str> = plan
        .steps
        .iter()
        .map(|step| match step {
            Step::Make(wanted) => wanted.name.as_str(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(names.len(), 5000);
}
