//! Times on a page: in the job's zone, and which one is said.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::model::moment;

/// `2026-01-31 02:00:05 +08:00`; what lies outside the years of a clock is left as a number.
pub fn long(ms: i64, zone: &TimeZone) -> String {
    written(ms, zone, "%Y-%m-%d %H:%M:%S %:z")
}

/// A label of a time axis that is `long_ms` long: the time of day, or of what day where there are several.
pub fn short(ms: i64, long_ms: i64, zone: &TimeZone) -> String {
    const DAY_MS: i64 = 86_400_000;
    written(ms, zone, if long_ms < DAY_MS { "%H:%M:%S" } else { "%m-%d %H:%M" })
}

/// A time that a manifest has.
pub fn of_manifest(text: &str, zone: &TimeZone) -> String {
    text.parse::<Timestamp>().map_or_else(|_| text.to_owned(), |instant| long(instant.as_millisecond(), zone))
}

fn written(ms: i64, zone: &TimeZone, pattern: &str) -> String {
    const YEAR_10000_MS: i64 = 253_402_300_800_000;
    const A_DAY_MS: i64 = 86_400_000; // no zone is further from UTC
    if (-A_DAY_MS..YEAR_10000_MS - A_DAY_MS).contains(&ms) {
        moment::format_in(ms, zone, pattern)
    } else {
        ms.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_say_their_zone() {
        let zone = TimeZone::get("Asia/Hong_Kong").unwrap();
        assert_eq!(long(1_702_866_811_000, &zone), "2023-12-18 10:33:31 +08:00");
        assert_eq!(of_manifest("2023-12-18T02:33:31.000Z", &zone), "2023-12-18 10:33:31 +08:00");
        assert_eq!(short(1_702_866_811_000, 2 * 86_400_000, &zone), "12-18 10:33");
        for ms in [i64::MIN, i64::MAX, 253_402_300_799_999] {
            assert_eq!(long(ms, &zone), ms.to_string());
        }
        assert_eq!(of_manifest("", &zone), "");
    }
}
