use std::collections::BTreeMap;

use jiff::Timestamp;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::crd::ProviderType;
use crate::crd::model::ModelCapability;
use crate::crd::provider::ModelSync;
use crate::db::{
    DeclaredModel, DeclaredProvider, FoundModel, FoundProvider, ModelRow, ObjectColumns,
    ProviderRow,
};

const CAPABILITIES: [Capability; 3] = [Capability::Chat, Capability::Vision, Capability::Reasoning];

fn provider(number: u8, name: u8, deleted: bool) -> ProviderRow {
    ProviderRow {
        declared: DeclaredProvider {
            object: ObjectColumns {
                uid: Uuid::from_u128(u128::from(number)),
                namespace: "team-a".to_owned(),
                name: format!("provider-{name}"),
                is_active: true,
                ..ObjectColumns::default()
            },
            type_: ProviderType::OpenAI,
            display_name: None,
            description: None,
            default_endpoint: None,
            model_sync: ModelSync::default(),
        },
        found: FoundProvider::default(),
        updated_at: Timestamp::UNIX_EPOCH,
        deleted_at: deleted.then_some(Timestamp::UNIX_EPOCH),
        revision: 1,
    }
}

fn model(number: u8, name: u8, provider: u8, capabilities: &[Capability]) -> ModelRow {
    ModelRow {
        declared: DeclaredModel {
            object: ObjectColumns {
                uid: Uuid::from_u128(1000 + u128::from(number)),
                namespace: format!("team-{}", name % 2),
                name: format!("model-{name}"),
                is_active: true,
                ..ObjectColumns::default()
            },
            provider_uid: Uuid::from_u128(u128::from(provider)),
            model_id: format!("id-{number}"),
            capabilities: capabilities
                .iter()
                .map(|name| ModelCapability {
                    name: *name,
                    score: None,
                })
                .collect(),
            ..DeclaredModel::default()
        },
        found: FoundModel::default(),
        updated_at: Timestamp::UNIX_EPOCH,
        deleted_at: None,
        revision: 1,
    }
}

/// Everything that a reader can see of a snapshot, by every index.
fn seen(snapshot: &Snapshot) -> Vec<String> {
    let row = |entry: &Arc<Entry<ModelView>>| String::from_utf8_lossy(&entry.json).into_owned();
    let mut lines: Vec<_> = snapshot.models.from_key("").map(row).collect();
    lines.push(format!("{} models", snapshot.models.len()));
    for provider in 0..3 {
        lines.push(format!("of provider {provider}"));
        let uid = Uuid::from_u128(provider);
        lines.extend(snapshot.models.of_provider(uid, "").map(row));
    }
    for capability in CAPABILITIES {
        lines.push(format!("with {capability:?}"));
        lines.extend(snapshot.with_capability(capability, "").map(row));
    }
    for number in 0..12 {
        for call in [format!("model-{number}"), format!("id-{number}")] {
            lines.push(format!("called {call}"));
            lines.extend(snapshot.called(&call, "").map(row));
            let prefix = format!("team-{}\0", number % 2);
            lines.extend(snapshot.called(&call, &prefix).map(row));
        }
    }
    for entry in snapshot.models.from_key("") {
        let common = &entry.view.common;
        let by_uid = snapshot.models.by_uid(common.id).map(row);
        let by_name = snapshot
            .models
            .by_name(&common.namespace, &common.name)
            .map(row);
        lines.push(format!("{by_uid:?} {by_name:?}"));
    }
    lines
}

#[derive(Clone, Debug)]
enum Step {
    Upsert(u8, u8, u8, Vec<Capability>),
    Delete(u8),
}

fn step() -> impl Strategy<Value = Step> {
    let capabilities = proptest::sample::subsequence(&CAPABILITIES[..], 0..=3);
    prop_oneof![
        3 => (0u8..12, 0u8..3, capabilities).prop_map(|(n, p, c)| Step::Upsert(n, n, p, c)),
        1 => (0u8..12).prop_map(Step::Delete),
    ]
}

proptest! {
    #[test]
    fn changes_one_by_one_give_what_reading_everything_gives(steps in proptest::collection::vec(step(), 0..60)) {
        let mut live: BTreeMap<u8, ModelRow> = BTreeMap::new();
        let mut grown = Snapshot::default();
        for (at, step) in steps.iter().enumerate() {
            let changed = match step {
                Step::Upsert(number, name, provider, capabilities) => {
                    let row = model(*number, *name, *provider, capabilities);
                    live.insert(*number, row.clone());
                    row
                }
                Step::Delete(number) => {
                    let mut row = live.remove(number).unwrap_or_else(|| model(*number, *number, 0, &[]));
                    row.deleted_at = Some(Timestamp::UNIX_EPOCH);
                    row
                }
            };
            let rows = ChangedRows { models: vec![changed], ..ChangedRows::default() };
            grown = grown.apply(&rows, Revision(at as i64)).expect("rows have a form in JSON");
        }
        let all = ChangedRows { models: live.into_values().collect(), ..ChangedRows::default() };
        let full = Snapshot::full(&all, grown.revision).expect("rows have a form in JSON");
        prop_assert_eq!(seen(&grown), seen(&full));
    }
}

#[test]
fn a_name_used_again_belongs_to_the_new_row_whatever_the_order() {
    let old = ChangedRows {
        providers: vec![provider(1, 7, false)],
        ..ChangedRows::default()
    };
    let before = Snapshot::full(&old, Revision(1)).expect("rows have a form in JSON");
    for rows in [
        vec![provider(1, 7, true), provider(2, 7, false)],
        vec![provider(2, 7, false), provider(1, 7, true)],
    ] {
        let changed = ChangedRows {
            providers: rows,
            ..ChangedRows::default()
        };
        let after = before
            .apply(&changed, Revision(2))
            .expect("rows have a form in JSON");
        let named = after
            .providers
            .by_name("team-a", "provider-7")
            .expect("it is there");
        assert_eq!(named.view.common.id, Uuid::from_u128(2));
        assert_eq!(after.providers.len(), 1);
    }
}

#[test]
fn a_reader_keeps_the_snapshot_that_it_took() {
    let rows = |name| ChangedRows {
        models: vec![model(1, name, 1, &[Capability::Chat])],
        ..ChangedRows::default()
    };
    let before = Snapshot::full(&rows(1), Revision(1)).expect("rows have a form in JSON");
    let after = before
        .apply(&rows(3), Revision(2))
        .expect("rows have a form in JSON");
    assert!(before.models.by_name("team-1", "model-1").is_some());
    assert!(after.models.by_name("team-1", "model-1").is_none());
    assert_eq!(after.with_capability(Capability::Chat, "").count(), 1);
}
