//! The models that were passed over, as they are told.

use std::sync::Arc;

use super::Reason;
use super::filter::end_of_life;
use super::request::Need;
use crate::snapshot::{Entry, ModelView};

/// Models that are told of at most; of the others only their number is.
pub const MAX_CONSIDERED: usize = 200;

/// The models that were passed over, those first that came nearest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Considered {
    /// At most [`MAX_CONSIDERED`] of them.
    pub models: Vec<PassedOver>,
    /// How many there are beyond these.
    pub omitted: usize,
}

/// A model that was passed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassedOver {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub model: String,
    /// Why.
    pub reason: Reason,
    /// What of it, where the reason alone does not say.
    pub detail: Option<String>,
}

/// A model and why it was passed over.
pub(super) type Refused<'s> = (&'s Arc<Entry<ModelView>>, Reason);

impl Considered {
    /// Of these: first those that meet the need, in the order of preference, then the others in any
    /// order of reasons; among those of one reason the order stays.
    pub(super) fn of<'s>(
        meeting: Vec<Refused<'s>>,
        mut others: Vec<Refused<'s>>,
        need: Option<&Need>,
    ) -> Self {
        let all = meeting.len() + others.len();
        others.sort_by_key(|(_, reason)| std::cmp::Reverse(*reason));
        let told = meeting.into_iter().chain(others).take(MAX_CONSIDERED);
        let models: Vec<_> = told
            .map(|(entry, reason)| PassedOver {
                namespace: entry.view.common.namespace.clone(),
                model: entry.view.common.name.clone(),
                reason,
                detail: match reason {
                    Reason::Retired => end_of_life(&entry.view),
                    _ => need.and_then(|need| need.detail(&entry.view, reason)),
                },
            })
            .collect();
        Self {
            omitted: all - models.len(),
            models,
        }
    }

    /// With names that a class has for models that are not there.
    pub(super) fn with_missing(mut self, namespace: &str, names: &[String]) -> Self {
        for name in names {
            if self.models.len() == MAX_CONSIDERED {
                self.omitted += 1;
                continue;
            }
            self.models.push(PassedOver {
                namespace: namespace.to_owned(),
                model: name.clone(),
                reason: Reason::NotFound,
                detail: None,
            });
        }
        self
    }
}
