//! The end of a model's life: when it is, who says so, and what is to be said of it. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::{
    controller::kinds::deadline::RETIREMENT,
    crd::{
        conditions::ConditionInput,
        model::{EffectiveModel, Origin},
        reasons::{ConditionStatus, Reason},
    },
    vendors::VendorPhase,
};

/// What decides whether a model has ended.
#[derive(Clone, Copy, Debug, Default)]
pub struct Life<'a> {
    /// When it ends, if that is known.
    pub retires_at: Option<Timestamp>,
    /// Who says when.
    pub said_by: Option<Origin>,
    /// Where the vendor says that it is in its life.
    pub phase: Option<VendorPhase>,
    /// The model to use in its place.
    pub replacement: Option<&'a str>,
    /// When that one ends, if it is known.
    pub replacement_retires_at: Option<Timestamp>,
    /// Whether that one has ended.
    pub replacement_retired: bool,
}

impl<'a> Life<'a> {
    /// As it is in force.
    pub fn of(effective: &'a EffectiveModel) -> Self {
        Self {
            retires_at: effective.retires_at.as_ref().map(|time| time.0),
            said_by: origin(&effective.origin),
            replacement: (effective.replacement.as_ref()).map(|model| model.model_id.as_str()),
            ..Self::default()
        }
    }

    /// Whether it has ended. The vendor's own word comes before any time: a model that it calls deprecated may
    /// answer after its day. The catalog's time ends nothing by itself, for the vendor may have put the day off:
    /// it says why a model is gone that the vendor offers no more.
    pub fn has_ended(&self, seen: Reason, now: Timestamp) -> bool {
        let is_over = self.retires_at.is_some_and(|end| end <= now);
        match (self.phase, self.said_by) {
            (Some(VendorPhase::Retired), _) => true,
            (_, Some(Origin::Declared)) => is_over,
            (Some(VendorPhase::Active | VendorPhase::Deprecated), _) => false,
            (None, Some(Origin::Catalog)) => is_over && seen == Reason::ModelNotFound,
            (None, _) => is_over,
        }
    }

    /// What its condition says, from what the vendor's lists and its tests say.
    pub fn told(&self, seen: ConditionInput, now: Timestamp) -> ConditionInput {
        if self.has_ended(seen.reason, now) {
            return ConditionInput::new(Reason::Retired, self.obituary(now));
        }
        let Some(end) = self.retires_at else {
            return seen;
        };
        if seen.reason.status() == ConditionStatus::False {
            return seen;
        }
        let warning = match RETIREMENT.warning(end, now) {
            Some(warning) => format!("{warning}; {}", self.by()),
            None if end <= now => format!("it was to retire at {end}, {}", self.by()),
            None => return seen,
        };
        let reason = match seen.reason {
            Reason::ModelListed | Reason::ModelAnswered => Reason::RetiresSoon,
            unproved => unproved,
        };
        ConditionInput::new(
            reason,
            format!("{warning}; {}; {}", self.instead(now), seen.message),
        )
    }

    /// When time alone changes what is said.
    pub fn next(&self, now: Timestamp) -> Option<Timestamp> {
        let own = self.retires_at.and_then(|end| RETIREMENT.next(end, now));
        let replacement = self.replacement_retires_at.filter(|end| *end > now);
        own.into_iter().chain(replacement).min()
    }

    fn obituary(&self, now: Timestamp) -> String {
        match self.retires_at {
            Some(end) if end <= now => {
                format!("it retired at {end}, {}; {}", self.by(), self.instead(now))
            }
            _ => format!("the vendor says that it is retired; {}", self.instead(now)),
        }
    }

    fn by(&self) -> &'static str {
        match self.said_by {
            Some(Origin::Declared) | None => "by spec.retiresAt",
            Some(Origin::Vendor) => "by the vendor",
            Some(Origin::Catalog) => {
                "by the catalog; where the vendor says otherwise, declare spec.retiresAt"
            }
        }
    }

    fn instead(&self, now: Timestamp) -> String {
        let ended =
            self.replacement_retired || self.replacement_retires_at.is_some_and(|end| end <= now);
        match (self.replacement, self.replacement_retires_at) {
            (None, _) => "move its users to another model".to_owned(),
            (Some(other), _) if ended => format!(
                "its replacement {other} has retired itself: name another in spec.replacement"
            ),
            (Some(other), Some(end)) if self.retires_at.is_some_and(|own| end <= own) => format!(
                "its replacement {other} retires no later, at {end}: name another in spec.replacement"
            ),
            (Some(other), _) => format!("move its users to {other}"),
        }
    }
}

fn origin(by_field: &BTreeMap<String, Origin>) -> Option<Origin> {
    by_field.get("retiresAt").copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn life(said_by: Origin) -> Life<'static> {
        Life {
            retires_at: Some(at("2027-01-31T00:00:00Z")),
            said_by: Some(said_by),
            replacement: Some("next"),
            ..Life::default()
        }
    }

    fn told(life: &Life<'_>, seen: Reason, now: &str) -> (Reason, String) {
        let told = life.told(ConditionInput::new(seen, "the vendor lists it"), at(now));
        (told.reason, told.message)
    }

    #[test]
    fn it_retires_soon_from_thirty_days_and_is_retired_from_its_day() {
        let life = life(Origin::Declared);
        let reason = |now| told(&life, Reason::ModelListed, now).0;
        assert_eq!(reason("2026-12-31T23:59:59Z"), Reason::ModelListed);
        assert_eq!(reason("2027-01-01T00:00:00Z"), Reason::RetiresSoon);
        assert_eq!(reason("2027-01-30T23:59:59Z"), Reason::RetiresSoon);
        assert_eq!(reason("2027-01-31T00:00:00Z"), Reason::Retired);
        let (_, message) = told(&life, Reason::ModelListed, "2027-01-25T00:00:00Z");
        assert_eq!(
            message,
            "it retires at 2027-01-31T00:00:00Z, in less than 7 days; by spec.retiresAt; move its users to next; \
             the vendor lists it"
        );
    }

    #[test]
    fn what_is_not_proved_keeps_its_reason_until_the_end() {
        let life = life(Origin::Declared);
        let (reason, message) = told(&life, Reason::Unverifiable, "2027-01-30T00:00:00Z");
        assert_eq!(reason, Reason::Unverifiable);
        assert!(message.starts_with("it retires at "), "{message}");
        let (reason, message) = told(&life, Reason::ModelNotFound, "2027-01-30T00:00:00Z");
        assert_eq!(
            (reason, &*message),
            (Reason::ModelNotFound, "the vendor lists it")
        );
        let after = "2027-02-01T00:00:00Z";
        for seen in [
            Reason::Unverifiable,
            Reason::ModelNotFound,
            Reason::NoEndpoint,
        ] {
            assert_eq!(told(&life, seen, after).0, Reason::Retired);
        }
    }

    #[test]
    fn the_vendors_word_comes_before_its_own_time_and_a_declared_time_before_both() {
        let after = at("2027-02-01T00:00:00Z");
        let ended = |said_by, phase, seen| {
            let life = Life {
                phase,
                ..life(said_by)
            };
            life.has_ended(seen, after)
        };
        let (listed, unlisted) = (Reason::ModelListed, Reason::ModelNotFound);
        let (deprecated, retired) = (Some(VendorPhase::Deprecated), Some(VendorPhase::Retired));
        assert!(ended(Origin::Vendor, None, listed));
        assert!(!ended(Origin::Vendor, deprecated, listed));
        assert!(ended(Origin::Vendor, retired, listed));
        assert!(ended(Origin::Declared, deprecated, listed));
        assert!(!ended(Origin::Catalog, None, listed));
        assert!(!ended(Origin::Catalog, None, Reason::Unverifiable));
        assert!(ended(Origin::Catalog, None, unlisted));
        let undated = Life {
            phase: retired,
            ..Life::default()
        };
        assert!(undated.has_ended(listed, after));
        let (reason, message) = told(
            &Life {
                phase: deprecated,
                ..life(Origin::Vendor)
            },
            Reason::ModelListed,
            "2027-02-01T00:00:00Z",
        );
        assert_eq!(reason, Reason::RetiresSoon);
        assert!(message.starts_with("it was to retire at "), "{message}");
    }

    #[test]
    fn a_replacement_that_ends_itself_is_said_to() {
        let with = |end: Option<&str>, retired| {
            let life = Life {
                replacement_retires_at: end.map(at),
                replacement_retired: retired,
                ..life(Origin::Vendor)
            };
            told(&life, Reason::ModelListed, "2027-01-25T00:00:00Z").1
        };
        assert!(with(None, false).contains("move its users to next"));
        assert!(with(Some("2028-01-01T00:00:00Z"), false).contains("move its users to next"));
        assert!(with(Some("2027-01-20T00:00:00Z"), false).contains("next has retired itself"));
        assert!(with(None, true).contains("next has retired itself"));
        assert!(with(Some("2027-01-30T00:00:00Z"), false).contains("next retires no later"));
    }

    #[test]
    fn time_is_looked_at_for_itself_and_its_replacement() {
        let life = Life {
            replacement_retires_at: Some(at("2027-01-10T00:00:00Z")),
            ..life(Origin::Vendor)
        };
        let next = |now| life.next(at(now));
        assert_eq!(
            next("2026-06-01T00:00:00Z"),
            Some(at("2027-01-01T00:00:00Z"))
        );
        assert_eq!(
            next("2027-01-02T00:00:00Z"),
            Some(at("2027-01-10T00:00:00Z"))
        );
        assert_eq!(next("2027-01-31T00:00:00Z"), None);
    }
}
