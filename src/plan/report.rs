//! What a plan tells, and the code that it ends with.

use jiff::Timestamp;
use serde::Serialize;

use super::answers::{Effect, Outcome};
use super::keys::{KeysReport, WithheldKey};
use super::needs::AskedFor;
use super::objects::{FieldChange, Place};
use crate::controller::forecast::SyncForecast;
use crate::lint::report::{Report, Severity};

/// Everything that is told.
#[derive(Debug, Serialize)]
pub struct Plan {
    /// What lint says of the manifests. Where there are errors nothing else is looked at.
    pub lint: Report,
    /// What becomes of the objects.
    pub objects: ObjectsReport,
    /// What model sync would do, by provider, as far as the vendors' lists are known.
    pub synced: Vec<SyncForecast>,
    /// Objects that would not be in force, and are now or are new.
    pub refused: Vec<RefusedReport>,
    /// What agents would be answered; null: nothing is known of what they ask for.
    pub needs: Option<NeedsReport>,
    /// Keys that were given out and would be given no more; null: it was not looked at to whom keys were given.
    pub keys: Option<KeysReport>,
    /// Keys that would be given no more, for whoever looks to whom they were given.
    #[serde(skip)]
    pub withheld: Vec<WithheldKey>,
    /// Classes that would mean something else, whoever asks for them.
    pub classes: Vec<ClassChange>,
    /// Models of the manifests that have ended, or end within 30 days.
    pub endings: Vec<Ending>,
    /// What is taken to be so, and what was passed over.
    pub notes: Vec<String>,
}

/// What becomes of the objects.
#[derive(Debug, Default, Serialize)]
pub struct ObjectsReport {
    pub new: Vec<ObjectChange>,
    pub changed: Vec<ObjectChange>,
    pub gone: Vec<ObjectChange>,
    /// How many objects of the manifests' namespaces stay as they are.
    pub unchanged: usize,
}

/// An object that is new, changes or goes.
#[derive(Debug, Serialize)]
pub struct ObjectChange {
    pub kind: &'static str,
    pub namespace: String,
    pub name: String,
    /// The fields that change.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldChange>,
}

/// An object that would not be in force.
#[derive(Debug, Serialize)]
pub struct RefusedReport {
    pub kind: &'static str,
    pub namespace: String,
    pub name: String,
    /// The reason that its conditions would have.
    pub reason: &'static str,
    pub message: String,
    /// Whether the manifests declare it; else it is left behind by what they do.
    pub is_declared: bool,
}

/// What agents would be answered.
#[derive(Debug, Serialize)]
pub struct NeedsReport {
    /// Days that were counted.
    pub days: i32,
    /// Requests in them.
    pub requests: i64,
    /// Different needs among them.
    pub different: usize,
    /// Requests beyond those, of which only the number is known.
    pub counted_together: Option<i64>,
    /// Requests that have no answer now, and would have none.
    pub unanswered: i64,
    /// Requests in a form that this release does not know.
    pub not_understood: i64,
    /// What would be answered otherwise, the worst first; where all needs are wanted, the others too.
    pub changes: Vec<NeedChange>,
}

/// A need, and what it is answered.
#[derive(Debug, Serialize)]
pub struct NeedChange {
    /// What changes; null: nothing.
    pub effect: Option<Effect>,
    #[serde(flatten)]
    pub asked: AskedFor,
    pub before: Outcome,
    pub after: Outcome,
}

/// A class that would mean something else.
#[derive(Debug, Serialize)]
pub struct ClassChange {
    pub namespace: String,
    pub class: String,
    pub effect: Effect,
    pub before: Outcome,
    pub after: Outcome,
}

/// A model that has ended, or ends soon.
#[derive(Debug, Serialize)]
pub struct Ending {
    pub namespace: String,
    pub model: String,
    pub has_ended: bool,
    pub retires_at: Option<Timestamp>,
    /// `model_id` of the model to use in its place.
    pub replacement: Option<String>,
}

/// The worst that a plan found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// Nobody is answered otherwise, and nothing is warned of.
    Nothing,
    /// Nobody is answered otherwise; there is something to look at.
    Warnings,
    /// Somebody is answered otherwise.
    OtherAnswers,
    /// Somebody is answered nothing, or gets no key, or not the key it was given, where there was one.
    Nowhere,
    /// The manifests would be refused.
    LintErrors,
}

impl Finding {
    /// The code that the command ends with. 1 and 2 are those of all commands: it failed, it was not understood.
    pub fn exit_code(self) -> i32 {
        match self {
            Self::Nothing => 0,
            Self::Warnings => 3,
            Self::OtherAnswers => 4,
            Self::Nowhere => 5,
            Self::LintErrors => 6,
        }
    }
}

impl Plan {
    /// One of manifests that would be refused.
    pub fn refused(lint: Report) -> Self {
        Self {
            lint,
            objects: ObjectsReport::default(),
            synced: Vec::new(),
            refused: Vec::new(),
            needs: None,
            keys: None,
            withheld: Vec::new(),
            classes: Vec::new(),
            endings: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Whether the manifests would be refused; nothing else was looked at then.
    pub fn is_refused(&self) -> bool {
        self.lint.count(Severity::Error) > 0
    }

    /// The worst that was found.
    pub fn finding(&self) -> Finding {
        if self.is_refused() {
            return Finding::LintErrors;
        }
        let needs = self.needs.iter().flat_map(|needs| &needs.changes);
        let effects: Vec<Effect> = needs
            .filter_map(|change| change.effect)
            .chain(self.classes.iter().map(|change| change.effect))
            .collect();
        let is_key_lost = self.keys.as_ref().is_some_and(|keys| !keys.lost.is_empty());
        if is_key_lost || effects.iter().any(|effect| effect.is_loss()) {
            Finding::Nowhere
        } else if !effects.is_empty() {
            Finding::OtherAnswers
        } else if self.lint.count(Severity::Warning) > 0
            || !self.refused.is_empty()
            || !self.endings.is_empty()
        {
            Finding::Warnings
        } else {
            Finding::Nothing
        }
    }

    /// As JSON, with the finding and the code.
    ///
    /// # Errors
    /// A defect: it is plain data.
    pub fn json(&self) -> Result<String, serde_json::Error> {
        #[derive(Serialize)]
        struct Whole<'a> {
            finding: Finding,
            exit_code: i32,
            #[serde(flatten)]
            plan: &'a Plan,
        }
        let finding = self.finding();
        serde_json::to_string_pretty(&Whole {
            finding,
            exit_code: finding.exit_code(),
            plan: self,
        })
    }
}

/// Ids that are told of each thing that model sync would do.
const MAX_IDS: usize = 10;

impl SyncForecast {
    /// Whether there is anything to tell.
    pub fn has_something(&self) -> bool {
        !self.sentences().is_empty()
    }

    /// What it would do, in sentences.
    pub fn sentences(&self) -> Vec<String> {
        let named = |ids: &[String], what: &str| {
            let mut names = ids.iter().take(MAX_IDS).cloned().collect::<Vec<_>>();
            if ids.len() > MAX_IDS {
                names.push(format!("and {} more", ids.len() - MAX_IDS));
            }
            let said = format!("{what}: {}", names.join(", "));
            (!ids.is_empty()).then_some(said)
        };
        let no_room = match self.over_limit {
            0 => None,
            count => Some(format!(
                "makes none of {count} ids, for the limit is reached"
            )),
        };
        let all = [
            named(&self.made, "makes models of"),
            named(&self.updated, "changes the models of"),
            named(&self.deleted, "deletes its models of what is declared now"),
            named(
                &self.left,
                "takes no more, and leaves the models that it made, of",
            ),
            no_room,
        ];
        let of = format!("model sync of {}/{}", self.namespace, self.provider);
        let told = all.into_iter().flatten();
        told.map(|what| format!("{of} {what}")).collect()
    }
}

impl ObjectChange {
    /// Of which only that it is new or goes is to be said.
    pub fn of(place: &Place) -> Self {
        Self::with(place, Vec::new())
    }

    /// With the fields that change.
    pub fn with(place: &Place, fields: Vec<FieldChange>) -> Self {
        Self {
            kind: place.kind.kubernetes(),
            namespace: place.namespace.clone(),
            name: place.name.clone(),
            fields,
        }
    }

    /// Kind, namespace and name.
    pub fn title(&self) -> String {
        format!("{} {}/{}", self.kind, self.namespace, self.name)
    }
}

impl FieldChange {
    /// The field, and both values where they are short.
    pub fn text(&self) -> String {
        let value = |value: &serde_json::Value| match value {
            serde_json::Value::Null => "nothing".to_owned(),
            value => {
                let text = value.to_string();
                match text.char_indices().nth(MAX_VALUE) {
                    Some((end, _)) => format!("{}...", &text[..end]),
                    None => text,
                }
            }
        };
        format!(
            "{}: {} -> {}",
            self.field,
            value(&self.before),
            value(&self.after)
        )
    }
}

/// Characters of a value that are shown to people.
const MAX_VALUE: usize = 60;

impl RefusedReport {
    /// What it is, and why it would not be in force.
    pub fn text(&self) -> String {
        let by = match self.is_declared {
            true => "",
            false => ", which the manifests do not declare,",
        };
        format!(
            "{} {}/{}{by} would not be in force: {}: {}",
            self.kind, self.namespace, self.name, self.reason, self.message
        )
    }
}

impl Ending {
    /// What it is, when it ends, and what to use in its place.
    pub fn text(&self) -> String {
        let name = format!("{}/{}", self.namespace, self.model);
        let when = match (self.has_ended, self.retires_at) {
            (true, Some(at)) => format!("has ended (its end: {at}) and is given to nobody"),
            (true, None) => "has ended by its vendor's word and is given to nobody".to_owned(),
            (false, Some(at)) => format!("ends at {at}"),
            (false, None) => "ends soon".to_owned(),
        };
        let instead = match &self.replacement {
            Some(id) => format!("; its replacement is {id}"),
            None => "; nothing says what replaces it".to_owned(),
        };
        format!("LlmModel {name} {when}{instead}")
    }
}

impl Outcome {
    /// The model, where it is called first, and its price; or that there is none, and why.
    pub fn text(&self) -> String {
        let answer = match self {
            Self::Nothing(nothing) => {
                let passed: Vec<String> = (nothing.passed_over.iter())
                    .map(|it| format!("{}/{} {}", it.namespace, it.model, it.reason))
                    .collect();
                return match passed.is_empty() {
                    true => format!("nothing ({})", nothing.why),
                    false => format!("nothing ({})", passed.join(", ")),
                };
            }
            Self::Found(answer) => answer,
        };
        let mut text = format!("{}/{}", answer.namespace, answer.model);
        if let Some(target) = answer.targets.first() {
            text.push_str(&format!(" at {}", target.endpoint));
            match (&target.credential, target.credential_reason) {
                (Some(credential), _) => text.push_str(&format!(" with {credential}")),
                (None, Some(reason)) => text.push_str(&format!(" without a key ({reason})")),
                (None, None) => {}
            }
        }
        if let Some(price) = answer.price_text() {
            text.push_str(&format!(", {price}"));
        }
        text
    }
}

impl super::answers::Answer {
    /// What 1,000 tokens cost; none where that is not known.
    fn price_text(&self) -> Option<String> {
        let price = &self.price;
        let currency = price.currency.as_deref()?;
        match (&price.input, &price.output) {
            (None, None) => None,
            (input, output) => {
                let known =
                    |price: &Option<String>| price.clone().unwrap_or_else(|| "?".to_owned());
                Some(format!("{currency} {} / {}", known(input), known(output)))
            }
        }
    }
}
