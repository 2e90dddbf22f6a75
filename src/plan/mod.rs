//! What a change of what is declared would mean for those who ask, before it is made. Pure.
//!
//! [`objects`] says what becomes of the objects, the controller's own pure code (`controller::forecast`) what
//! would be stored of them, and the resolver that answers agents ([`answers`]) what each request that was
//! counted ([`needs`]) would be answered, and which keys ([`keys`]) would not be given. [`report`] tells it, to people, to machines, and as a comment.

pub mod answers;
pub mod keys;
mod markdown;
pub mod needs;
pub mod objects;
pub mod report;
#[cfg(test)]
mod tests;
mod text;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use uuid::Uuid;

use answers::{Effect, Outcome, answer};
use keys::withheld_keys;
use needs::{AskedFor, Needs};
use objects::{Applied, Objects, Place, Prune};
use report::{
    ClassChange, Ending, NeedChange, NeedsReport, ObjectChange, ObjectsReport, Plan, RefusedReport,
};

use crate::checks::ModelsById;
use crate::controller::forecast::{
    Assumed, Forecast, RefusedObject, StoredState, SyncForecast, forecast,
};
use crate::crd::Kind;
use crate::db::{ChangedRows, DeclaredRow, ObjectRow};
use crate::lint::documents::Source;
use crate::lint::lint_beside;
use crate::lint::report::Severity;
use crate::snapshot::{ModelView, Revision, Snapshot, View};
use crate::vendors::catalog::Catalog;

/// How long before a model's end one is warned of it.
const ENDS_SOON: SignedDuration = SignedDuration::from_hours(30 * 24);

/// What there is now.
pub struct Present {
    /// The declared objects.
    pub objects: Objects,
    /// What is stored of them; `None`: nothing is known of it.
    pub stored: Option<StoredRows>,
}

/// What is stored.
#[derive(Default)]
pub struct StoredRows {
    /// All live rows.
    pub rows: ChangedRows,
    /// By endpoint, the URL at which its model list was read, and the list.
    pub lists: HashMap<Uuid, (String, ModelsById)>,
    /// The revision that the rows are of.
    pub revision: Revision,
}

/// What is asked.
pub struct PlanRequest<'a> {
    /// The manifests.
    pub files: &'a [Source],
    /// The namespace of what names none.
    pub namespace: &'a str,
    /// Which objects that are not in the manifests go.
    pub prune: Option<Prune>,
    /// What agents asked for; `None`: it is not known.
    pub needs: Option<Needs>,
    /// What is known of models that nobody declared in full.
    pub catalog: &'a Catalog,
    /// Most models that model sync makes for one provider.
    pub sync_limit: usize,
    /// Whether needs that would be answered as now are told of too.
    pub all_needs: bool,
    /// The moment that is looked at.
    pub now: Timestamp,
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// A row has no form in JSON: a defect.
    #[error("a row cannot be written as JSON: {0}")]
    Row(#[from] serde_json::Error),
}

/// The snapshots that agents are answered from.
pub struct Forecasts {
    /// Now.
    pub before: Snapshot,
    /// After the change.
    pub after: Snapshot,
    refused: Vec<RefusedObject>,
    assumed: Vec<String>,
    synced: Vec<SyncForecast>,
}

/// What the manifests would do.
///
/// # Errors
/// A defect alone.
pub fn plan(present: &Present, request: PlanRequest<'_>) -> Result<Plan, PlanError> {
    let lint = lint_beside(request.files, &|kind, namespace, name| {
        let kind = Kind::ALL.into_iter().find(|it| it.kubernetes() == kind);
        // Of Secrets and ServiceAccounts nothing is known here.
        kind.is_none_or(|kind| {
            present.objects.has(&Place {
                kind,
                namespace: namespace.unwrap_or(request.namespace).to_owned(),
                name: name.to_owned(),
            })
        })
    });
    if lint.count(Severity::Error) > 0 {
        return Ok(Plan::refused(lint));
    }
    let (files, not_understood) = Objects::of_files(request.files, request.namespace);
    let applied = present
        .objects
        .apply(&files, request.prune.as_ref(), request.now);
    let forecasts = forecasts(present, &applied, &files, &request)?;
    let mut notes: Vec<String> = not_understood
        .into_iter()
        .map(|what| format!("{what} is passed over: it is none of its kind"))
        .collect();
    notes.extend(forecasts.assumed.iter().cloned());
    let needs = request.needs.as_ref();
    Ok(Plan {
        lint,
        objects: ObjectsReport {
            new: applied.new.iter().map(ObjectChange::of).collect(),
            changed: (applied.changed.iter())
                .map(|(place, fields)| ObjectChange::with(place, fields.clone()))
                .collect(),
            gone: applied.gone.iter().map(ObjectChange::of).collect(),
            unchanged: applied.unchanged,
        },
        synced: forecasts.synced.clone(),
        refused: refused(&forecasts.refused, &files),
        needs: needs.map(|needs| asked_for(&forecasts, needs, &request)),
        keys: None,
        withheld: withheld_keys(&forecasts.before, &forecasts.after, request.now),
        classes: classes(&forecasts, request.now),
        endings: endings(&forecasts.after, &files, request.now),
        notes,
    })
}

/// What agents are answered from before and after.
///
/// # Errors
/// A defect alone.
pub fn forecasts(
    present: &Present,
    applied: &Applied,
    files: &Objects,
    request: &PlanRequest<'_>,
) -> Result<Forecasts, PlanError> {
    let nothing = StoredRows::default();
    let stored = present.stored.as_ref().unwrap_or(&nothing);
    let state = StoredState {
        rows: &stored.rows,
        lists: &stored.lists,
        catalog: request.catalog,
        sync_limit: request.sync_limit,
    };
    // Namespaces know nothing of each other: what is stored of the others stands.
    let namespaces = files.namespaces();
    let look = |objects: &Objects| {
        let objects = match present.stored {
            Some(_) => objects.within(&namespaces),
            None => objects.clone(),
        };
        forecast(objects.typed(), state, request.now)
    };
    let mut before = look(&present.objects);
    let mut after = look(&applied.after);
    if present.stored.is_none() {
        let changed: HashSet<&Place> = applied.changed.iter().map(|(place, _)| place).collect();
        take_conditions(&mut before.rows, &present.objects, |_| true);
        take_conditions(&mut after.rows, &applied.after, |place| {
            !changed.contains(place)
        });
    }
    let elsewhere = others(&stored.rows, &namespaces);
    let snapshot = |rows: &ChangedRows| -> Result<Snapshot, PlanError> {
        Ok(Snapshot::full(&elsewhere, stored.revision)?.apply(rows, stored.revision)?)
    };
    let known: HashSet<(Kind, &String, &String)> = (before.refused.iter())
        .map(|it| (it.kind, &it.namespace, &it.name))
        .collect();
    let is_news = |it: &&RefusedObject| !known.contains(&(it.kind, &it.namespace, &it.name));
    Ok(Forecasts {
        before: match &present.stored {
            Some(stored) => Snapshot::full(&stored.rows, stored.revision)?,
            None => snapshot(&before.rows)?,
        },
        after: snapshot(&after.rows)?,
        refused: after.refused.iter().filter(is_news).cloned().collect(),
        assumed: assumed(present, &after, &namespaces),
        synced: (after.synced.into_iter())
            .map(|it| it.beyond(&before.synced))
            .filter(|it| it.has_something())
            .collect(),
    })
}

/// Takes what checks have found from the statuses of objects, where nothing else tells of it.
fn take_conditions(
    rows: &mut ChangedRows,
    objects: &Objects,
    stands: impl Fn(&Place) -> bool + Copy,
) {
    fn take<D: DeclaredRow>(
        rows: &mut [ObjectRow<D>],
        objects: &Objects,
        stands: impl Fn(&Place) -> bool,
    ) {
        for row in rows {
            let place = Place {
                kind: D::KIND,
                namespace: row.namespace.clone(),
                name: row.name.clone(),
            };
            let told = objects.conditions(&place);
            if row.is_active && !told.is_empty() && stands(&place) {
                row.declared.conditions = told;
            }
        }
    }
    take(&mut rows.endpoints, objects, stands);
    take(&mut rows.credentials, objects, stands);
    take(&mut rows.models, objects, stands);
}

/// What is taken to be so, in sentences.
fn assumed(present: &Present, after: &Forecast, namespaces: &BTreeSet<String>) -> Vec<String> {
    let mut said = Vec::new();
    if present.stored.is_none() {
        said.push(
            "Of what checks have found no more is known than the objects' statuses say, where they have one. All else is \
             taken to be in order: endpoints answer, keys are valid, vendors list what is declared; objects without a \
             time of creation are equally old."
                .to_owned(),
        );
    }
    let is_told = |what| present.stored.is_some() || what == Assumed::SyncsNothing;
    let mut by_sentence: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let within = (after.assumed.iter()).filter(|one| namespaces.contains(&one.namespace));
    for one in within.filter(|one| is_told(one.what)) {
        let name = format!("{} {}/{}", one.kind.kubernetes(), one.namespace, one.name);
        by_sentence.entry(one.what.as_str()).or_default().push(name);
    }
    for (what, names) in by_sentence {
        said.push(format!(
            "It is taken that each of these {what}: {}.",
            names.join(", ")
        ));
    }
    said
}

/// The rows of other namespaces than these.
fn others(rows: &ChangedRows, namespaces: &BTreeSet<String>) -> ChangedRows {
    fn those<D: DeclaredRow + Clone>(
        rows: &[ObjectRow<D>],
        namespaces: &BTreeSet<String>,
    ) -> Vec<ObjectRow<D>>
    where
        D::Found: Clone,
    {
        let others = rows
            .iter()
            .filter(|row| !namespaces.contains(&row.namespace));
        others.cloned().collect()
    }
    let credentials = those(&rows.credentials, namespaces);
    let kept: HashSet<Uuid> = credentials.iter().map(|row| row.uid).collect();
    let versions = rows.credential_versions.iter();
    ChangedRows {
        providers: those(&rows.providers, namespaces),
        endpoints: those(&rows.endpoints, namespaces),
        credential_versions: versions
            .filter(|row| kept.contains(&row.credential_uid))
            .cloned()
            .collect(),
        credentials,
        models: those(&rows.models, namespaces),
        model_classes: those(&rows.model_classes, namespaces),
        unreadable: Vec::new(),
    }
}

fn refused(refused: &[RefusedObject], files: &Objects) -> Vec<RefusedReport> {
    let report = |it: &RefusedObject| RefusedReport {
        kind: it.kind.kubernetes(),
        namespace: it.namespace.clone(),
        name: it.name.clone(),
        reason: it.reason.as_str(),
        message: it.message.clone(),
        is_declared: files.has(&Place {
            kind: it.kind,
            namespace: it.namespace.clone(),
            name: it.name.clone(),
        }),
    };
    refused.iter().map(report).collect()
}

fn asked_for(forecasts: &Forecasts, needs: &Needs, plan: &PlanRequest<'_>) -> NeedsReport {
    let now = plan.now;
    let mut report = NeedsReport {
        days: needs.days,
        requests: needs.requests(),
        different: needs.items.len(),
        counted_together: needs.counted_together,
        unanswered: 0,
        not_understood: 0,
        changes: Vec::new(),
    };
    for asked in &needs.items {
        let Some(request) = asked.request() else {
            report.not_understood += asked.count;
            continue;
        };
        let before = answer(&forecasts.before, asked, &request, now);
        let after = answer(&forecasts.after, asked, &request, now);
        let effect = Effect::between(&before, &after);
        if effect.is_none() && matches!(after, Outcome::Nothing(_)) {
            report.unanswered += asked.count;
        }
        if effect.is_some() || plan.all_needs {
            report.changes.push(NeedChange {
                effect,
                asked: asked.clone(),
                before,
                after,
            });
        }
    }
    let order = |change: &NeedChange| {
        let count = std::cmp::Reverse(change.asked.count);
        (change.effect.is_none(), change.effect, count)
    };
    report.changes.sort_by_key(order);
    report
}

/// Classes that mean something else, or nothing, whoever asked for them.
fn classes(forecasts: &Forecasts, now: Timestamp) -> Vec<ClassChange> {
    let both = [&forecasts.before, &forecasts.after];
    let all: BTreeSet<(String, String)> = both
        .iter()
        .flat_map(|snapshot| snapshot.model_classes.from_key(""))
        .map(|entry| {
            let common = entry.view.common();
            (common.namespace.clone(), common.name.clone())
        })
        .collect();
    let change = |(namespace, name): (String, String)| {
        let asked = AskedFor {
            namespaces: vec![vec![namespace.clone()]],
            need: json!({ "class": name, "with_secret": true }),
            count: 0,
            last_day: None,
        };
        let request = asked.request()?;
        let before = answer(&forecasts.before, &asked, &request, now);
        let after = answer(&forecasts.after, &asked, &request, now);
        let effect = Effect::between(&before, &after)?;
        Some(ClassChange {
            namespace,
            class: name,
            effect,
            before,
            after,
        })
    };
    all.into_iter().filter_map(change).collect()
}

/// Models of the manifests that have ended, or end soon.
fn endings(after: &Snapshot, files: &Objects, now: Timestamp) -> Vec<Ending> {
    let is_declared = |model: &ModelView| {
        files.has(&Place {
            kind: Kind::Model,
            namespace: model.common.namespace.clone(),
            name: model.common.name.clone(),
        })
    };
    let soon = now.checked_add(ENDS_SOON).unwrap_or(Timestamp::MAX);
    let ends =
        |model: &ModelView| model.is_retired() || model.retires_at.is_some_and(|end| end <= soon);
    let models = after.models.from_key("").map(|entry| &entry.view);
    models
        .filter(|model| is_declared(model) && ends(model))
        .map(|model| Ending {
            namespace: model.common.namespace.clone(),
            model: model.common.name.clone(),
            has_ended: model.is_retired(),
            retires_at: model.retires_at,
            replacement: model.replacement_model_id.clone(),
        })
        .collect()
}
