//! What is told, of what, and in which order.

use futures::FutureExt;
use llmplane::crd::Kind;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use uuid::Uuid;

use super::{KIND_WORDS, follow, names, open, watch, watcher};
use crate::support::api::{TestApi, answer, models};
use crate::support::events::Held;
use crate::support::rows;

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_begins_with_all_that_is_there_and_goes_on_with_what_changes() {
    let api = TestApi::start().await;
    let watcher = watcher(&api).await;
    let provider = api.provider("p").await;
    let at = api
        .write(models(vec![
            api.model(provider, "a"),
            api.model(provider, "b"),
        ]))
        .await;
    let mut events = open(&api, &watcher.token, "", None).await;
    let begun = events.until_id().await;
    assert_eq!(
        names(&begun),
        ["reset", "upsert", "upsert", "upsert", "heartbeat"]
    );
    assert!(events.retry.is_some_and(|ms| (500..5_000).contains(&ms)));
    let kinds: Vec<_> = begun[1..4]
        .iter()
        .map(|event| event.data["kind"].clone())
        .collect();
    assert_eq!(kinds, ["LlmProvider", "LlmModel", "LlmModel"]);
    let whole = begun.last().unwrap();
    assert_eq!(whole.id.as_deref(), Some(&*at.0.to_string()));
    assert_eq!(whole.data["revision"], at.0);
    let row = watcher.get("/models/a").await.json();
    assert_eq!(begun[2].data["row"], row);
    assert_eq!(begun[2].data["namespace"], api.namespace.name);

    // Two of one revision: the last alone has the id.
    let gone = api.model(provider, "c");
    let uid = gone.uid;
    let at = api
        .write(models(vec![gone, api.model(provider, "d")]))
        .await;
    let told = events.until_id().await;
    assert_eq!(names(&told), ["upsert", "upsert"]);
    assert_eq!(told[1].id.as_deref(), Some(&*at.0.to_string()));
    api.delete(Kind::Model, &[uid]).await;
    let told = events.until_id().await;
    assert_eq!(names(&told), ["delete"]);
    let data = &told[0].data;
    assert_eq!(data["id"], uid.to_string());
    assert_eq!((&data["name"], &data["row"]), (&"c".into(), &().into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_of_the_kinds_and_the_namespace_that_are_asked_for() {
    let api = TestApi::start().await;
    let watcher = watcher(&api).await;
    let provider = api.provider("p").await;
    let mut elsewhere = api.model(provider, "hidden");
    elsewhere.namespace = "elsewhere".to_owned();
    let query = "?kind=LlmModel&kind=LlmEndpoint";
    let mut events = open(&api, &watcher.token, query, None).await;
    assert_eq!(names(&events.until_id().await), ["reset", "heartbeat"]);
    api.write(models(vec![elsewhere])).await;
    api.provider("q").await;
    let at = api.write(models(vec![api.model(provider, "seen")])).await;
    let told = events.until_id().await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].data["name"], "seen");
    assert_eq!(told[0].id.as_deref(), Some(&*at.0.to_string()));

    let refused = async |query: &str| answer(watch(&api, &watcher.token, query)).await;
    for (query, status, problem) in [
        ("?kind=Model", 400, "invalid-parameter"),
        ("?kind=", 400, "invalid-parameter"),
        ("?limit=1", 400, "unknown-parameter"),
        ("?last_event_id=-1", 400, "invalid-parameter"),
        ("?last_event_id=x", 400, "invalid-parameter"),
        ("?namespace=*", 403, "forbidden"),
        ("?namespace=elsewhere", 403, "forbidden"),
    ] {
        let answer = refused(query).await;
        assert_eq!(
            (answer.status, &*answer.problem()),
            (status, problem),
            "{query}"
        );
    }
    for id in ["x", "-1", "1.5", "9223372036854775808", "\u{e9}"] {
        let request = watch(&api, &watcher.token, "").header("last-event-id", id);
        let answer = answer(request).await;
        assert_eq!(
            (answer.status, &*answer.problem()),
            (400, "invalid-parameter"),
            "{id}"
        );
        assert!(answer.detail().contains("Last-Event-ID"), "{}", answer.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn to_watch_takes_the_verb_on_every_kind_that_is_watched() {
    let api = TestApi::start().await;
    let reader = api.viewer().await;
    let models = api.account("models", &["watch"], &["llmmodels"]).await;
    let stranger = api.account("stranger", &[], &[]).await;
    for (caller, query, refused) in [
        (&reader, "", "llmproviders"),
        (&models, "", "llmproviders"),
        (
            &models,
            "?kind=LlmModel&kind=LlmCredential",
            "llmcredentials",
        ),
        (&stranger, "?kind=LlmModel", "llmmodels"),
    ] {
        let answer = answer(watch(&api, &caller.token, query)).await;
        assert_eq!(
            (answer.status, &*answer.problem()),
            (403, "forbidden"),
            "{query}"
        );
        let detail = answer.detail();
        assert!(detail.contains(&format!("watch {refused}")), "{detail}");
    }
    let mut events = open(&api, &models.token, "?kind=LlmModel", None).await;
    assert_eq!(names(&events.until_id().await), ["reset", "heartbeat"]);
    let nobody = answer(watch(&api, "x.y.z", "")).await;
    assert_eq!(nobody.status, 401);
}

/// What is done to one of a few models, or to the provider.
#[derive(Clone, Debug)]
enum Deed {
    Store(u8, bool),
    Delete(u8),
    Rename(u8),
}

fn deeds() -> Vec<Vec<Deed>> {
    let deed = prop_oneof![
        4 => (0u8..6, any::<bool>()).prop_map(|(which, active)| Deed::Store(which, active)),
        2 => (0u8..6).prop_map(Deed::Delete),
        1 => (0u8..6).prop_map(Deed::Rename),
    ];
    let revisions = prop::collection::vec(prop::collection::vec(deed, 1..4), 40);
    let mut runner = TestRunner::deterministic();
    revisions.new_tree(&mut runner).unwrap().current()
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_applies_every_event_holds_what_a_list_says() {
    let api = TestApi::start().await;
    let watcher = watcher(&api).await;
    let provider = api.provider("p").await;
    let mut uids: Vec<Uuid> = (0..6).map(|_| Uuid::new_v4()).collect();
    let (mut steady, mut comes_back) = (Held::default(), Held::default());
    let mut events = open(&api, &watcher.token, "", None).await;
    let mut last_id = None;
    for (number, revision) in deeds().into_iter().enumerate() {
        let mut rows = Vec::new();
        let mut deleted = Vec::new();
        for deed in revision {
            let (which, row) = match deed {
                Deed::Store(which, active) => (which, Some((active, format!("m-{which}")))),
                Deed::Delete(which) => (which, None),
                Deed::Rename(which) => {
                    // The same name, as another object.
                    let which = usize::from(which);
                    deleted.push(std::mem::replace(&mut uids[which], Uuid::new_v4()));
                    (which as u8, Some((true, format!("m-{which}"))))
                }
            };
            let uid = uids[usize::from(which)];
            rows.retain(|row: &llmplane::db::DeclaredModel| row.uid != uid);
            match row {
                None => deleted.push(uid),
                Some((active, name)) => {
                    deleted.retain(|gone| *gone != uid);
                    let mut row = rows::model(provider, &name);
                    row.namespace.clone_from(&api.namespace.name);
                    row.display_name = Some(format!("at {number}"));
                    row.model_id = format!("id-{uid}");
                    row.is_active = active;
                    row.uid = uid;
                    rows.push(row);
                }
            }
        }
        let write = api.db.write(api.epoch, move |tx| {
            async move {
                tx.soft_delete(Kind::Model, &deleted).await?;
                for row in &rows {
                    tx.upsert(row).await?;
                }
                Ok(())
            }
            .boxed()
        });
        let (_, at) = write.await.unwrap();
        let Some(at) = at else { continue };
        if number % 5 == 0 {
            // Another reader comes and goes, each time behind what it heard last.
            let mut again = open(&api, &watcher.token, "", last_id.as_deref()).await;
            follow(&mut again, &mut comes_back, at.0).await;
            last_id.clone_from(&again.last_id);
        }
    }
    let end = api.provider("q").await;
    let at = watcher.get(&format!("/providers/{end}")).await.revision();
    follow(&mut events, &mut steady, at).await;
    let mut again = open(&api, &watcher.token, "", last_id.as_deref()).await;
    follow(&mut again, &mut comes_back, at).await;

    let mut listed = Held::default();
    for (kind, path) in [(KIND_WORDS[0], "/providers"), (KIND_WORDS[3], "/models")] {
        for row in watcher.get(path).await.items() {
            let id = row["id"].as_str().unwrap().to_owned();
            listed.0.insert((kind.to_owned(), id), row);
        }
    }
    assert!(listed.0.len() > 3, "{listed:?}");
    assert_eq!(steady, listed);
    assert_eq!(comes_back, listed);
}
