//! Times in vendors' answers, however they are written.

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde_json::Value;

/// A time of an entry: RFC 3339, a day (`2026-10-23`, its beginning in UTC), or seconds since 1970. What is no
/// time between the years 2000 and 9998 says nothing.
pub(in crate::vendors) fn read(entry: &Value, name: &str) -> Option<Timestamp> {
    let time = match entry.get(name)? {
        Value::String(text) => of_text(text.trim()),
        Value::Number(seconds) => of_seconds(seconds.as_f64()?),
        _ => None,
    };
    time.filter(|time| is_possible(*time))
}

fn of_text(text: &str) -> Option<Timestamp> {
    if let Ok(time) = text.parse() {
        return Some(time);
    }
    // Some write a time without its zone, which is UTC.
    if let Ok(time) = text.parse::<jiff::civil::DateTime>()
        && text.contains(['T', ' '])
    {
        return Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp());
    }
    let day: Date = text.parse().ok()?;
    Some(day.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

/// Milliseconds, where the number is too large for seconds.
fn of_seconds(number: f64) -> Option<Timestamp> {
    const LARGEST: f64 = 1e11;
    let seconds = if number > LARGEST {
        number / 1000.0
    } else {
        number
    };
    Timestamp::from_second(seconds as i64).ok()
}

/// Whether a resource may hold it; a placeholder such as 0 is no time.
fn is_possible(time: Timestamp) -> bool {
    const FIRST: i64 = 946_684_800; // 2000-01-01
    const END: i64 = 253_370_764_800; // 9999-01-01
    (FIRST..END).contains(&time.as_second())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_time_is_read_however_it_is_written() {
        let day = Some("2026-10-23T00:00:00Z".parse().unwrap());
        for written in [
            json!("2026-10-23"),
            json!("2026-10-23T00:00:00Z"),
            json!("2026-10-23T02:00:00+02:00"),
            json!("2026-10-23T00:00:00.000Z"),
            json!("2026-10-23T00:00:00"),
            json!(1_792_713_600),
            json!(1_792_713_600.0),
            json!(1_792_713_600_000_i64),
        ] {
            assert_eq!(read(&json!({ "at": written }), "at"), day, "{written}");
        }
        for odd in [
            json!(null),
            json!(""),
            json!("soon"),
            json!("2026-13-01"),
            json!(0),
            json!(-1),
            json!(1e300),
            json!(true),
            json!(["2026-10-23"]),
            json!("1999-12-31"),
            json!("9999-01-01"),
        ] {
            assert_eq!(read(&json!({ "at": odd }), "at"), None, "{odd}");
        }
        assert_eq!(read(&json!({}), "at"), None);
    }
}
