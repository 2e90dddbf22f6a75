//! What the checks of one version say together.

use jiff::Timestamp;

use crate::{
    crd::reasons::{ReadyEffect, Reason},
    db::StoredCheck,
};

/// What the checks of one version say together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VersionVerdict {
    /// The vendor takes it, at one endpoint at least.
    Accepted,
    /// The vendor refuses it wherever it is for, and no later check can say otherwise.
    Rejected,
    /// It was asked everywhere, and nothing that is switched on can prove it.
    Unverifiable,
    /// It was asked everywhere, and neither taken nor refused for good.
    Open(OpenVerdict),
    /// It has not been asked everywhere yet.
    NotYet {
        /// Whether it was accepted somewhere before.
        was_accepted: bool,
    },
}

impl VersionVerdict {
    /// Whether it was accepted, and not rejected since.
    pub fn is_proved(self) -> bool {
        match self {
            Self::Accepted => true,
            Self::Open(OpenVerdict { was_accepted, .. }) | Self::NotYet { was_accepted } => {
                was_accepted
            }
            Self::Rejected | Self::Unverifiable => false,
        }
    }
}

/// Answers that decide nothing, taken together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenVerdict {
    /// Since when, at the first endpoint; `None` where there is no endpoint to ask.
    pub since: Option<Timestamp>,
    /// Whether it was refused somewhere: as a key, without a cause, or for its account's quota.
    pub refused: bool,
    /// Whether it was accepted somewhere before.
    pub was_accepted: bool,
}

/// What these verdicts say together: one for each endpoint that the key is for, `None` where it was
/// not asked yet.
pub fn judgement<'a>(
    at_endpoints: impl Iterator<Item = Option<&'a StoredCheck>>,
) -> VersionVerdict {
    let (mut rejected, mut waits, mut unverifiable) = (false, false, false);
    // Whether an endpoint that has not answered may still take it.
    let mut may_be_taken = false;
    let mut open = OpenVerdict::default();
    for verdict in at_endpoints {
        let Some(verdict) = verdict else {
            waits = true;
            continue;
        };
        match verdict.reason {
            Reason::KeyAccepted | Reason::KeyRestricted => return VersionVerdict::Accepted,
            Reason::KeyRejected => rejected = true,
            // A list that is not there may come back.
            Reason::Unverifiable
                if !verdict.missing && verdict.http_status.is_none_or(|s| s < 400) =>
            {
                unverifiable = true;
            }
            // It could not be opened to be asked about.
            Reason::KeyringUnavailable => waits = true,
            reason => {
                open.since = open.since.into_iter().chain([verdict.since]).min();
                open.refused |= verdict.doubts > 0 || reason == Reason::QuotaExhausted;
                // Where it may not be sent, waiting does not help.
                may_be_taken |= reason.ready() != ReadyEffect::False;
            }
        }
        open.was_accepted |= verdict.was_accepted;
    }
    open.refused |= rejected;
    if rejected && !(waits || unverifiable || may_be_taken) {
        VersionVerdict::Rejected
    } else if waits {
        VersionVerdict::NotYet {
            was_accepted: open.was_accepted,
        }
    } else if unverifiable && !open.refused {
        VersionVerdict::Unverifiable
    } else {
        VersionVerdict::Open(open)
    }
}
