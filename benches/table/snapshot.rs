//! What one change costs a snapshot of 10,000 models, beside one of 100.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::Result;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use llmplane::crd::model::{Capability, ModelCapability, ModelType, Origin};
use llmplane::db::{ChangedRows, DeclaredModel, FoundModel, ModelRow, ObjectColumns, Revision};
use llmplane::snapshot::Snapshot;
use uuid::Uuid;

use crate::figures::{Times, time};
use crate::report::{Figure, Report};

const FEW: u32 = 100;
const MANY: u32 = 10_000;
/// Changes of each side; the sides take turns.
const CHANGES: u32 = 20_000;
const BAR: f64 = 2.0;

/// Measures it in this process.
pub fn measure(report: &mut Report) -> Result<()> {
    eprintln!("{CHANGES} changes in memory");
    let (mut few, mut many) = (filled(FEW)?, filled(MANY)?);
    let (mut at_few, mut at_many) = (Vec::new(), Vec::new());
    for number in 0..CHANGES {
        at_few.push(change(&mut few, number * 37 % FEW, number)?);
        at_many.push(change(&mut many, number * 7919 % MANY, number)?);
    }
    let (few, many) = (
        Times::new(at_few).quantile(0.5),
        Times::new(at_many).quantile(0.5),
    );
    let ratio = many.as_secs_f64() / few.as_secs_f64();
    report.add(Figure {
        what: "one change in the snapshot, at 10,000 models against 100".to_owned(),
        bar: "at most 2 times".to_owned(),
        measured: format!("{ratio:.2} times ({} against {})", time(many), time(few)),
        kept: Some(ratio <= BAR),
    });
    Ok(())
}

fn filled(models: u32) -> Result<Snapshot> {
    let rows = ChangedRows {
        models: (0..models).map(|number| model(number, 0)).collect(),
        ..ChangedRows::default()
    };
    Ok(Snapshot::full(&rows, Revision(1))?)
}

/// The next snapshot, in place of the one before, which is dropped: as a reader-less store does.
fn change(snapshot: &mut Snapshot, number: u32, version: u32) -> Result<Duration> {
    let rows = ChangedRows {
        models: vec![model(number, version)],
        ..ChangedRows::default()
    };
    let revision = Revision(snapshot.revision.0 + 1);
    let start = Instant::now();
    *snapshot = black_box(snapshot.apply(black_box(&rows), revision)?);
    Ok(start.elapsed())
}

fn model(number: u32, version: u32) -> ModelRow {
    let condition = |type_: &str, reason: &str| Condition {
        type_: type_.to_owned(),
        status: "True".to_owned(),
        reason: reason.to_owned(),
        message: "the vendor lists it at main".to_owned(),
        last_transition_time: Time(Timestamp::UNIX_EPOCH),
        observed_generation: Some(1),
    };
    let can = |name, score| ModelCapability { name, score };
    ModelRow {
        declared: DeclaredModel {
            object: ObjectColumns {
                uid: Uuid::from_u128(u128::from(number)),
                namespace: "team-a".to_owned(),
                name: format!("model-{number}"),
                is_active: true,
                conditions: vec![
                    condition("Synced", "Reconciled"),
                    condition("Available", "ModelListed"),
                    condition("Ready", "ModelListed"),
                ],
                verified_generation: Some(1),
                ..ObjectColumns::default()
            },
            provider_uid: Uuid::from_u128(u128::from(number % 50) << 64),
            model_id: format!("id-{number}"),
            display_name: Some(format!("Version {version}")),
            type_: Some(ModelType::Chat),
            context_window: Some(128_000),
            max_output_tokens: Some(16_384),
            currency: Some("USD".to_owned()),
            input_price: Some("0.0025".to_owned()),
            output_price: Some("0.01".to_owned()),
            capabilities: vec![
                can(Capability::Chat, Some(4)),
                can(Capability::FunctionCalling, None),
            ],
            recommended_for: vec!["drafts".to_owned()],
            origin: BTreeMap::from([("contextWindow".to_owned(), Origin::Declared)]),
            ..DeclaredModel::default()
        },
        found: FoundModel::default(),
        updated_at: Timestamp::UNIX_EPOCH,
        deleted_at: None,
        revision: 1,
    }
}
