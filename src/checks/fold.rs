//! What a check found, and how it changes what is stored. Pure.

use jiff::Timestamp;

use crate::{
    crd::reasons::{ConditionStatus, Reason},
    db::{LastPassed, StoredCheck},
    vendors::CheckResult,
};

impl CheckResult {
    /// What this finding about an endpoint comes to for what was to be asked there: nothing.
    pub fn of_endpoint(&self) -> Self {
        Self::new(
            Reason::CheckInconclusive,
            format!("the endpoint cannot be called: {}", self.message),
        )
    }

    /// Whether it passed; `None` where it proved nothing.
    pub fn success(&self) -> Option<bool> {
        match self.reason.status() {
            ConditionStatus::True => Some(true),
            ConditionStatus::False => Some(false),
            ConditionStatus::Unknown => None,
        }
    }

    /// The same without NUL characters, which a vendor may send and PostgreSQL cannot hold.
    pub fn storable(self) -> Self {
        Self {
            message: without_nul(self.message),
            code: self.code.map(without_nul),
            request_id: self.request_id.map(without_nul),
            ..self
        }
    }

    /// As a verdict on this generation, found with these inputs; see [`super::inputs`].
    pub fn verdict(&self, generation: i64, inputs: String, now: Timestamp) -> StoredCheck {
        StoredCheck {
            reason: self.reason,
            message: self.message.clone(),
            since: now,
            generation,
            inputs,
            key: None,
            last_passed: None,
            http_status: self.http_status,
            code: self.code.clone(),
            request_id: self.request_id.clone(),
            doubts: u8::from(self.casts_doubt()),
            proves_key: None,
            proved_with: None,
            was_accepted: false,
            missing: self.missing,
        }
    }

    /// Whether an answer puts in doubt that the vendor takes the key, and may pass: a refusal that
    /// names no cause, or a list that is not there.
    fn casts_doubt(&self) -> bool {
        match self.reason {
            Reason::CheckInconclusive => self.refused,
            Reason::Unverifiable => self.missing,
            _ => false,
        }
    }

    /// Whether an answer that says nothing of the key may be what it is because of the key: not where
    /// the vendor is overloaded, broken, or asks to wait.
    pub fn may_be_the_key(&self) -> bool {
        let is_success = matches!(self.http_status, Some(200..=299));
        self.casts_doubt() || self.reason == Reason::CheckInconclusive && is_success
    }

    /// Whether the call failed, for the key's sake or not, and nothing is said of the key.
    pub fn says_nothing_of_the_key(&self) -> bool {
        self.reason == Reason::CheckInconclusive || self.may_be_the_key()
    }

    /// Whether the vendor answered the call, whatever that proves.
    pub fn is_answered(&self) -> bool {
        match self.reason {
            Reason::KeyAccepted => true,
            Reason::Unverifiable => !self.missing && matches!(self.http_status, Some(200..=299)),
            _ => false,
        }
    }

    /// What such an answer comes to where the same call was answered with this version of the key: a
    /// refusal, or where the server was only overloaded or broken, one more doubt.
    pub fn beside_answered(self, version: i32) -> Self {
        let answered = format!("and answers the same call with version {version} of it");
        if !self.may_be_the_key() {
            return Self {
                message: format!("{}, {answered}", self.message),
                refused: true,
                ..self
            };
        }
        let how = match self.http_status {
            // A success that is an error has no status to tell.
            None | Some(200..=299) => String::new(),
            Some(status) => format!(" (HTTP {status})"),
        };
        Self {
            reason: Reason::KeyRejected,
            message: format!(
                "the vendor refuses the key{how}, {answered}; put a valid one in the Secret"
            ),
            ..self
        }
    }
}

/// Doubts after which it stands no more that a key is taken.
const MAX_DOUBTS: u8 = 3;

fn without_nul(text: String) -> String {
    match text.contains('\0') {
        true => text.replace('\0', "\u{fffd}"),
        false => text,
    }
}

/// The verdict that is to stand after this one: a check that proved nothing leaves a verdict that was
/// found with the same inputs as it is, unless there is no key left to ask with, and a reason that
/// stays keeps its time.
pub fn after(stored: Option<&StoredCheck>, new: StoredCheck) -> StoredCheck {
    match stored {
        Some(stored)
            if stored.is_of(&new.inputs)
                && new.reason.is_open()
                && new.reason != Reason::NoValidCredential
                && !stored.reason.is_open() =>
        {
            stored.clone()
        }
        Some(stored) if stored.reason == new.reason => StoredCheck {
            since: stored.since,
            ..new
        },
        _ => new,
    }
}

/// The verdict without one that was found with a key which cannot be used any more.
pub fn with_usable_key<'a>(
    stored: Option<&'a StoredCheck>,
    usable: &[String],
) -> Option<&'a StoredCheck> {
    stored.filter(|stored| stored.key.as_ref().is_none_or(|key| usable.contains(key)))
}

/// The last check that passed, where another takes the place of the stored one; `at` is when it did,
/// where that is known.
pub fn last_passed(stored: Option<&StoredCheck>, at: Option<Timestamp>) -> Option<LastPassed> {
    let stored = stored?;
    match stored.reason.status() {
        ConditionStatus::True => Some(LastPassed {
            at: at.unwrap_or(stored.since),
            inputs: stored.inputs.clone(),
            key: stored.key.clone(),
        }),
        _ => stored.last_passed.clone(),
    }
}

/// The same of a key's version at an endpoint. What is proved of a key there is so whatever else
/// its credential declares, and only what the vendor says of the key itself undoes that it is
/// refused. That it is taken ends with a rejection, with the proof that the answer proves nothing, or
/// after three answers in a row that put it in doubt. While nothing is said of the key, the time of
/// the first such answer stays.
pub fn after_key(stored: Option<&StoredCheck>, new: StoredCheck) -> StoredCheck {
    let stored = stored.filter(|stored| stored.is_of(&new.inputs));
    let after = match stored {
        None => new,
        Some(stored) if settles_key(new.reason) && new.doubts == 0 => StoredCheck {
            since: since(stored, &new),
            ..new
        },
        Some(stored) => after_doubt(stored, new),
    };
    match after.reason {
        // There is no list to be refused.
        Reason::Unverifiable => StoredCheck { doubts: 0, ..after },
        _ => after,
    }
}

/// What stands after an answer that does not settle whether the key is taken.
fn after_doubt(stored: &StoredCheck, new: StoredCheck) -> StoredCheck {
    let doubts = stored.doubts.saturating_add(new.doubts).min(MAX_DOUBTS);
    let accepted = matches!(stored.reason, Reason::KeyAccepted | Reason::KeyRestricted);
    let stands = match stored.reason {
        Reason::KeyRejected => new.reason != Reason::QuotaExhausted,
        // It says nothing of the key, and is over when the key can be opened.
        reason if reason.is_of_what_we_depend_on() => false,
        reason if reason == new.reason => false,
        reason => {
            let is_doubt = new.reason.says_nothing() || new.doubts > 0;
            !reason.is_open() && is_doubt && doubts < MAX_DOUBTS
        }
    };
    if stands {
        return StoredCheck {
            generation: new.generation,
            doubts: if stored.reason == Reason::KeyRejected {
                0
            } else {
                doubts
            },
            ..stored.clone()
        };
    }
    let was_accepted = stored.was_accepted || accepted;
    let refused = new.reason == Reason::CheckInconclusive && new.doubts > 0;
    let message = match was_accepted && refused && doubts == MAX_DOUBTS {
        true => format!(
            "the vendor took this key before and refuses it now: {}",
            new.message
        ),
        false => new.message.clone(),
    };
    StoredCheck {
        since: since(stored, &new),
        message,
        doubts,
        was_accepted,
        ..new
    }
}

fn since(stored: &StoredCheck, new: &StoredCheck) -> Timestamp {
    let as_open = !settles_key(stored.reason) && !settles_key(new.reason);
    match as_open || stored.reason == new.reason {
        true => stored.since,
        false => new.since,
    }
}

/// Whether a verdict of this reason says whether the vendor takes the key, or that nothing can.
fn settles_key(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::KeyAccepted | Reason::KeyRestricted | Reason::KeyRejected | Reason::Unverifiable
    )
}

#[cfg(test)]
#[path = "fold_tests.rs"]
mod tests;
