use serde_json::json;

use super::*;
use crate::crd::model::Capability;

struct Files {
    folder: tempfile::TempDir,
    lists: Vec<List>,
}

impl Files {
    fn of(lists: &[(ListKind, Value)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let lists = lists.iter().enumerate().map(|(number, (kind, list))| {
            let path = folder.path().join(format!("{number}.json"));
            std::fs::write(&path, list.to_string()).expect("written");
            List {
                kind: *kind,
                path,
                source: format!("list {number}"),
            }
        });
        let lists = lists.collect();
        Self { folder, lists }
    }

    fn refresh(&self, before: &Catalog) -> Refreshed {
        refresh(before, &self.lists, day()).expect("they are lists")
    }

    /// The entries, read back as a catalog.
    fn catalog(&self, refreshed: &Refreshed) -> Catalog {
        let path = self.folder.path().join("catalog.json");
        std::fs::write(&path, json!(refreshed.entries).to_string()).expect("written");
        Catalog::default().overlay(&path).expect("it is a catalog")
    }
}

fn day() -> Date {
    "2026-11-28".parse().expect("a day")
}

fn litellm() -> Value {
    json!({
        "sample_spec": { "litellm_provider": "one of", "mode": "chat" },
        "m": {
            "litellm_provider": "openai", "mode": "chat", "max_input_tokens": 272_000, "max_output_tokens": 128_000,
            "input_cost_per_token": 1e-6, "output_cost_per_token": 8e-6, "supports_reasoning": true,
            "deprecation_date": "2027-04-01", "successor_model": "openai/n",
        },
        "azure/eu/m": { "litellm_provider": "azure", "mode": "chat", "input_cost_per_token": 2e-6 },
        "azure/e": {
            "litellm_provider": "azure", "mode": "embedding", "max_input_tokens": 8191, "output_vector_size": 3072,
            "input_cost_per_token": 1.3e-7, "output_cost_per_token": 0.0,
        },
        "gemini/free": { "litellm_provider": "gemini", "mode": "chat", "input_cost_per_token": 0, "output_cost_per_token": 0 },
        "other/x": { "litellm_provider": "groq", "mode": "chat" },
    })
}

fn models_dev() -> Value {
    json!({
        "openai": { "models": { "m": {
            "id": "m", "name": "M", "tool_call": true, "limit": { "context": 400_000, "output": 128_000 },
            "modalities": { "input": ["text", "image"], "output": ["text"] }, "cost": { "input": 9, "output": 9 },
        } } },
        "somebody": { "models": { "x": {}, "y": {} } },
    })
}

#[test]
fn an_entry_is_put_together_of_what_each_list_knows_best() {
    let files = Files::of(&[
        (ListKind::LiteLlm, litellm()),
        (ListKind::ModelsDev, models_dev()),
    ]);
    let refreshed = files.refresh(&Catalog::default());
    assert_eq!((refreshed.added, refreshed.changed), (3, 0));
    assert_eq!(refreshed.passed_over, 3 + 2);
    let catalog = files.catalog(&refreshed);
    let model = catalog
        .lookup(ProviderType::OpenAI, "m")
        .expect("it is there");
    assert_eq!(model.context_window, Some(400_000));
    assert_eq!(model.max_input_tokens, Some(272_000));
    assert_eq!(super::super::prices(model), [Some("0.001"), Some("0.008")]);
    assert_eq!(model.replacement.as_deref(), Some("n"));
    assert_eq!(model.retires_at, "2027-04-01T00:00:00Z".parse().ok());
    assert_eq!(
        model.capabilities,
        [
            Capability::TextGeneration,
            Capability::Chat,
            Capability::FunctionCalling,
            Capability::Vision,
            Capability::Reasoning
        ]
    );
    assert_eq!(
        (&*model.source, model.as_of),
        ("list 0 m; list 1 openai/m", Some(day()))
    );
    let embeds = catalog
        .lookup(ProviderType::AzureOpenAI, "e")
        .expect("it is there");
    assert_eq!(embeds.embedding_dimensions, Some(3072));
    assert_eq!(super::super::prices(embeds), [Some("0.00013"), Some("0")]);
    let free = catalog
        .lookup(ProviderType::Gemini, "free")
        .expect("it is there");
    assert_eq!(free.pricing, None, "zero is unknown");
    // A second time nothing changes.
    let again = files.refresh(&catalog);
    assert_eq!((again.added, again.changed, again.held.len()), (0, 0, 0));
}

#[test]
fn what_would_change_beyond_belief_stays_and_is_told() {
    let before = Files::of(&[(ListKind::LiteLlm, litellm())]);
    let catalog = before.catalog(&before.refresh(&Catalog::default()));
    let mut dearer = litellm();
    dearer["m"]["output_cost_per_token"] = json!(8e-5);
    dearer["m"]["max_output_tokens"] = json!(64_000);
    let after = Files::of(&[(ListKind::LiteLlm, dearer)]);
    let refreshed = after.refresh(&catalog);
    assert_eq!((refreshed.held.len(), refreshed.changed), (1, 1));
    assert!(refreshed.held[0].2.starts_with("outputPer1kTokens"));
    let catalog = after.catalog(&refreshed);
    let model = catalog
        .lookup(ProviderType::OpenAI, "m")
        .expect("it is there");
    assert_eq!(super::super::prices(model), [Some("0.001"), Some("0.008")]);
    assert_eq!(model.max_output_tokens, Some(64_000));
}

#[test]
fn what_no_list_has_any_more_stays_as_it_was() {
    let files = Files::of(&[(ListKind::ModelsDev, models_dev())]);
    let builtin = Catalog::builtin().expect("it reads");
    let refreshed = files.refresh(&builtin);
    assert_eq!(refreshed.entries.len(), builtin.entries().count() + 1);
    assert_eq!((refreshed.added, refreshed.changed), (1, 0));
}

#[test]
fn what_is_no_list_is_refused_by_its_file() {
    let files = Files::of(&[(ListKind::LiteLlm, json!([1, 2]))]);
    let refused = refresh(&Catalog::default(), &files.lists, day()).expect_err("refused");
    let said = refused.to_string();
    assert!(
        said.contains("0.json") && said.contains("JSON object"),
        "{said}"
    );
    let gone = List {
        path: "/nowhere/list.json".into(),
        ..files.lists[0].clone()
    };
    let refused = refresh(&Catalog::default(), &[gone], day()).expect_err("refused");
    assert!(refused.to_string().contains("/nowhere/list.json"));
}
