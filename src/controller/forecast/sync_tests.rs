//! What model sync would do, as far as the lists are known.

use std::collections::HashMap;

use serde_json::json;

use super::*;
use crate::checks::ModelsById;
use crate::controller::forecast::{DeclaredObjects, Forecast, StoredState, forecast};
use crate::db::ChangedRows;
use crate::vendors::{ListedModel, catalog::Catalog};

fn object<K: serde::de::DeserializeOwned>(kind: &str, name: &str, spec: Value) -> K {
    let object = json!({
        "apiVersion": "llmplane.dev/v1alpha1", "kind": kind, "spec": spec,
        "metadata": {
            "name": name, "namespace": "team", "uid": assumed_uid(Kind::Model, kind, name),
            "creationTimestamp": "2026-01-01T00:00:00Z", "generation": 1,
        },
    });
    serde_json::from_value(object).unwrap()
}

fn declared(sync: Value, models: Vec<LlmModel>) -> DeclaredObjects {
    let provider = json!({ "name": "p" });
    let spec = json!({ "type": "OpenAI", "modelSync": sync });
    let endpoint = json!({ "providerRef": provider });
    DeclaredObjects {
        providers: vec![object("LlmProvider", "p", spec)],
        endpoints: vec![object("LlmEndpoint", "main", endpoint)],
        models,
        ..DeclaredObjects::default()
    }
}

fn foreseen(declared: DeclaredObjects, rows: &ChangedRows, ids: &[&str]) -> Forecast {
    let list: ModelsById = (ids.iter())
        .map(|id| {
            let listed = ListedModel {
                id: (*id).to_owned(),
                ..ListedModel::default()
            };
            ((*id).to_owned(), listed)
        })
        .collect();
    let lists = rows.endpoints.iter();
    let lists: HashMap<_, _> = lists
        .map(|row| (row.uid, (row.base_url.as_str().to_owned(), list.clone())))
        .collect();
    let stored = StoredState {
        rows,
        lists: &lists,
        catalog: &Catalog::builtin().unwrap(),
        sync_limit: 2,
    };
    forecast(declared, stored, Timestamp::UNIX_EPOCH)
}

/// Rows of an endpoint whose list was read.
fn read() -> ChangedRows {
    foreseen(
        declared(json!({}), Vec::new()),
        &ChangedRows::default(),
        &[],
    )
    .rows
}

#[test]
fn of_a_list_that_is_known_models_are_made_as_the_filter_says() {
    let sync = json!({ "enabled": true, "include": ["gpt-*"], "exclude": ["*-mini"] });
    let ids = ["gpt-a", "gpt-a-mini", "o3"];
    let found = foreseen(declared(sync, Vec::new()), &read(), &ids);
    let [synced] = &found.synced[..] else {
        panic!("{:?}", found.synced);
    };
    assert_eq!(synced.made, ["gpt-a"]);
    assert_eq!((synced.deleted.len(), synced.over_limit), (0, 0));
    let [row] = &found.rows.models[..] else {
        panic!("{:?}", found.rows.models);
    };
    assert_eq!(row.model_id, "gpt-a");
    assert!(row.is_active);

    let all = json!({ "enabled": true });
    let found = foreseen(declared(all, Vec::new()), &read(), &ids);
    assert_eq!(found.synced[0].over_limit, 1);
    let off = foreseen(declared(json!({}), Vec::new()), &read(), &ids);
    assert_eq!((off.synced.len(), off.rows.models.len()), (0, 0));
}

#[test]
fn what_was_made_goes_where_it_is_declared_and_stays_where_the_filter_leaves_it_out() {
    let all = json!({ "enabled": true });
    let ids = ["gpt-a", "gpt-b"];
    let uid = assumed_uid(Kind::Model, "LlmProvider", "p");
    let owner = SyncedProvider {
        namespace: "team".to_owned(),
        name: "p".to_owned(),
        uid: uid.to_string(),
    };
    let made: Vec<LlmModel> = (ids.iter())
        .map(|id| {
            let wanted = WantedModel {
                name: format!("made-{id}"),
                model_id: (*id).to_owned(),
                fields: Default::default(),
            };
            made(&owner, &wanted, Timestamp::UNIX_EPOCH).unwrap()
        })
        .collect();
    let spec = json!({ "providerRef": { "name": "p" }, "modelId": "gpt-a" });
    let mut models = made.clone();
    models.push(object("LlmModel", "mine", spec));
    let found = foreseen(declared(all, models), &read(), &ids);
    assert_eq!(found.synced[0].deleted, ["gpt-a"]);
    assert_eq!(found.synced[0].left, [] as [&str; 0]);
    let names: Vec<&str> = (found.rows.models.iter()).map(|row| &*row.name).collect();
    assert_eq!(names, ["made-gpt-b", "mine"]);

    let narrow = json!({ "enabled": true, "include": ["gpt-a"] });
    let found = foreseen(declared(narrow, made), &read(), &ids);
    assert_eq!(found.synced[0].left, ["gpt-b"]);
    let told = found.synced[0].clone();
    assert_eq!(told.clone().beyond(&[]), told);
    let nothing = told.clone().beyond(&[told]);
    assert_eq!((nothing.left.len(), nothing.made.len()), (0, 0));
    assert_eq!(found.rows.models.len(), 2);
}

#[test]
fn of_a_list_that_is_not_known_nothing_is_made_and_that_is_said() {
    let all = json!({ "enabled": true });
    let found = foreseen(declared(all, Vec::new()), &ChangedRows::default(), &[]);
    assert_eq!(found.synced, []);
    let mut assumed = found.assumed.iter();
    assert!(assumed.any(|one| one.what == Assumed::SyncsNothing && one.name == "p"));
}
