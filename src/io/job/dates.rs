//! `{date}`: the days that a run reads.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, ToSpan};

/// The days of a run, both ends included. Fixed once, when the run starts; a resume keeps them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dates {
    first: Date,
    last: Date,
}

/// Why a text is not the days of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DatesFault {
    /// Not `YYYY-MM-DD[..YYYY-MM-DD]`.
    #[error("expected YYYY-MM-DD or YYYY-MM-DD..YYYY-MM-DD (both days included)")]
    Syntax,
    /// The last day comes before the first.
    #[error("the range ends before it begins: write the earlier day first")]
    Backwards,
    /// A slip of the finger in a year would look for files of centuries.
    #[error("more than {max} days: run long backfills in parts", max = Dates::DAYS_MAX)]
    TooLong,
}

impl Dates {
    /// The most days of one run.
    pub const DAYS_MAX: i32 = 3_660;

    const PLACEHOLDER: &str = "{date}";

    /// Reads `--date`.
    pub fn parse(text: &str) -> Result<Dates, DatesFault> {
        let day = |day: &str| {
            let date = Date::strptime("%Y-%m-%d", day).ok().filter(|date| date.to_string() == day);
            date.ok_or(DatesFault::Syntax)
        };
        let (first, last) = text.split_once("..").unwrap_or((text, text));
        let (first, last) = (day(first)?, day(last)?);
        match last.since(first).map_or(i32::MAX, |span| span.get_days()) {
            ..0 => Err(DatesFault::Backwards),
            Self::DAYS_MAX.. => Err(DatesFault::TooLong),
            _ => Ok(Dates { first, last }),
        }
    }

    /// The day on which a run starts (`start_ms`: milliseconds since 1970) in the input's zone, `offset_days` away.
    ///
    /// # Panics
    /// Where the start lies outside the years that jiff knows; a wall clock does not.
    pub fn of_start(start_ms: i64, zone: &TimeZone, offset_days: i32) -> Dates {
        let start = Timestamp::from_millisecond(start_ms).expect("a wall clock's time");
        let day = start.to_zoned(zone.clone()).date().saturating_add(offset_days.days());
        Dates { first: day, last: day }
    }

    /// The days in their order.
    pub fn days(self) -> impl Iterator<Item = Date> {
        self.first.series(1.day()).take_while(move |day| *day <= self.last)
    }

    /// The pattern once for each day; a pattern without `{date}` once, for no day.
    pub fn expand(self, pattern: &str) -> Vec<(Option<Date>, String)> {
        if !pattern.contains(Self::PLACEHOLDER) {
            return vec![(None, pattern.to_owned())];
        }
        self.days().map(|day| (Some(day), pattern.replace(Self::PLACEHOLDER, &day.to_string()))).collect()
    }
}

impl std::fmt::Display for Dates {
    /// As `--date` takes it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.first == self.last { write!(f, "{}", self.first) } else { write!(f, "{}..{}", self.first, self.last) }
    }
}

/// The next instant after `after_ms` at which the clocks of a zone show `time`; both in milliseconds since 1970. Where they
/// show it twice, when summer time ends, either is one; where they skip it, it is the instant at which they do.
///
/// # Panics
/// Where `after_ms` lies outside the years that jiff knows; a wall clock does not.
pub fn next_ms(time: Time, after_ms: i64, zone: &TimeZone) -> i64 {
    let after = Timestamp::from_millisecond(after_ms).expect("a wall clock's time");
    let today = after.to_zoned(zone.clone()).date();
    // No zone skips or repeats more than a day, so the day after tomorrow has it.
    let days = today.series(1.day()).take(3);
    let instants = days.flat_map(|day| shown(day.to_datetime(time), zone)).map(Timestamp::as_millisecond);
    instants.filter(|instant| *instant > after_ms).min().expect("a zone's clocks go on")
}

/// The instants at which the clocks of a zone show `local`, or the one at which they skip it.
fn shown(local: DateTime, zone: &TimeZone) -> Vec<Timestamp> {
    let ambiguous = zone.to_ambiguous_timestamp(local);
    let is_gap = matches!(ambiguous.offset(), AmbiguousOffset::Gap { .. });
    let (Ok(earlier), Ok(later)) = (ambiguous.earlier(), ambiguous.later()) else { return Vec::new() };
    match zone.following(earlier).next() {
        Some(skip) if is_gap => vec![skip.timestamp()],
        _ => vec![earlier, later],
    }
}

/// The end of a day in a zone, in milliseconds since 1970: the place in history of the rows of that day's file. Of the
/// last day of the year 9999, or a day behind it, that is the last instant that jiff knows.
pub fn end_of_day_ms(day: Date, zone: &TimeZone) -> i64 {
    let next = day.tomorrow().and_then(|next| next.to_zoned(zone.clone()));
    next.map_or(Timestamp::MAX, |next| next.timestamp()).as_millisecond() - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_or_a_range_of_days() {
        assert_eq!(Dates::parse("2026-02-28").unwrap().days().count(), 1);
        let range = Dates::parse("2026-02-27..2026-03-02").unwrap();
        let days = range.days().map(|day| day.to_string()).collect::<Vec<_>>();
        assert_eq!(days, ["2026-02-27", "2026-02-28", "2026-03-01", "2026-03-02"]);
        assert_eq!(range.to_string(), "2026-02-27..2026-03-02");
        for text in ["", "today", "2026-2-1", "2026-02-30", "2026-01-01..", "2026-01-01...2026-01-02", "20260101"] {
            assert_eq!(Dates::parse(text), Err(DatesFault::Syntax), "{text}");
        }
        assert_eq!(Dates::parse("2026-01-02..2026-01-01"), Err(DatesFault::Backwards));
        assert_eq!(Dates::parse("1026-01-02..2026-01-01"), Err(DatesFault::TooLong));
    }

    #[test]
    fn the_day_of_the_start_is_that_of_the_zone() {
        let hong_kong = TimeZone::get("Asia/Hong_Kong").unwrap();
        // 2026-03-01T16:30:00Z is half past midnight of the next day in Hong Kong.
        let start_ms = 1_772_382_600_000;
        assert_eq!(Dates::of_start(start_ms, &hong_kong, 0).to_string(), "2026-03-02");
        assert_eq!(Dates::of_start(start_ms, &hong_kong, -1).to_string(), "2026-03-01");
        assert_eq!(Dates::of_start(start_ms, &TimeZone::UTC, -1).to_string(), "2026-02-28");
    }

    fn zone(name: &str) -> TimeZone {
        TimeZone::get(name).unwrap()
    }

    fn ms(instant: &str) -> i64 {
        instant.parse::<Timestamp>().unwrap().as_millisecond()
    }

    #[test]
    fn the_day_of_the_start_around_midnight_and_summer_time() {
        for (start, name, offset, day) in [
            ("2026-03-01T15:59:59Z", "Asia/Hong_Kong", 0, "2026-03-01"),
            ("2026-03-01T16:00:00Z", "Asia/Hong_Kong", 0, "2026-03-02"),
            ("2026-03-01T16:00:00Z", "Asia/Hong_Kong", -1, "2026-03-01"),
            // The day of 23 hours, and the day behind it: a day before is the day before, not 24 hours.
            ("2026-03-08T04:59:59Z", "America/New_York", 0, "2026-03-07"),
            ("2026-03-08T05:00:00Z", "America/New_York", 0, "2026-03-08"),
            ("2026-03-09T03:59:59Z", "America/New_York", 0, "2026-03-08"),
            ("2026-03-09T04:00:00Z", "America/New_York", 0, "2026-03-09"),
            ("2026-03-09T04:30:00Z", "America/New_York", -1, "2026-03-08"),
            // The day of 25 hours.
            ("2026-10-24T22:00:00Z", "Europe/Berlin", 0, "2026-10-25"),
            ("2026-10-25T22:59:59Z", "Europe/Berlin", 0, "2026-10-25"),
            ("2026-10-25T23:00:00Z", "Europe/Berlin", 0, "2026-10-26"),
            ("2026-10-25T23:30:00Z", "Europe/Berlin", -1, "2026-10-25"),
            ("2028-02-29T12:00:00Z", "Europe/Berlin", 1, "2028-03-01"),
        ] {
            assert_eq!(Dates::of_start(ms(start), &zone(name), offset).to_string(), day, "{start} {name} {offset}");
        }
    }

    #[test]
    fn the_last_days_of_all_have_an_end() {
        for day in ["9999-12-30", "9999-12-31"] {
            let day: Date = day.parse().unwrap();
            for zone in [TimeZone::UTC, zone("Pacific/Kiritimati"), zone("Etc/GMT+12")] {
                assert!(end_of_day_ms(day, &zone) > ms("9999-12-29T00:00:00Z"), "{day} {zone:?}");
            }
        }
    }

    #[test]
    fn finish_by_is_the_next_such_instant_of_the_zone() {
        for (now, name, time, next) in [
            ("2026-05-01T20:00:00Z", "Asia/Hong_Kong", "05:30", "2026-05-01T21:30:00Z"),
            ("2026-05-01T21:30:00Z", "Asia/Hong_Kong", "05:30", "2026-05-02T21:30:00Z"),
            // Skipped on 2026-03-08 between 02:00 and 03:00: there it is when the clocks go forward.
            ("2026-03-08T05:00:00Z", "America/New_York", "02:30", "2026-03-08T07:00:00Z"),
            ("2026-03-08T07:00:00Z", "America/New_York", "02:30", "2026-03-09T06:30:00Z"),
            ("2026-03-08T05:00:00Z", "America/New_York", "05:30", "2026-03-08T09:30:00Z"),
            ("2026-03-07T11:00:00Z", "America/New_York", "05:30", "2026-03-08T09:30:00Z"),
            ("2026-03-29T00:30:00Z", "Europe/Berlin", "02:30", "2026-03-29T01:00:00Z"),
            // Shown twice on 2026-11-01: either is the next such instant.
            ("2026-11-01T04:00:00Z", "America/New_York", "01:30", "2026-11-01T05:30:00Z"),
            ("2026-11-01T05:45:00Z", "America/New_York", "01:30", "2026-11-01T06:30:00Z"),
            ("2026-11-01T06:30:00Z", "America/New_York", "01:30", "2026-11-02T06:30:00Z"),
            ("2026-10-25T00:45:00Z", "Europe/Berlin", "02:30", "2026-10-25T01:30:00Z"),
            // A whole day that Samoa left out.
            ("2011-12-30T08:00:00Z", "Pacific/Apia", "21:30", "2011-12-30T10:00:00Z"),
        ] {
            let time = Time::strptime("%H:%M", time).unwrap();
            assert_eq!(next_ms(time, ms(now), &zone(name)), ms(next), "{now} {name} {time}");
        }
    }

    #[test]
    fn patterns_expand_day_by_day() {
        let dates = Dates::parse("2026-01-31..2026-02-01").unwrap();
        let expanded = dates.expand("/in/{date}/p-{date}*.csv").into_iter().map(|(_, path)| path).collect::<Vec<_>>();
        assert_eq!(expanded, ["/in/2026-01-31/p-2026-01-31*.csv", "/in/2026-02-01/p-2026-02-01*.csv"]);
        assert_eq!(dates.expand("/in/all.csv"), [(None, "/in/all.csv".to_owned())]);
    }

    #[test]
    fn a_day_ends_where_the_zone_says() {
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        let day = |text| Date::strptime("%Y-%m-%d", text).unwrap();
        assert_eq!(
            crate::model::moment::rfc3339_ms(end_of_day_ms(day("2026-10-25"), &berlin)),
            "2026-10-25T22:59:59.999Z"
        );
        assert_eq!(
            crate::model::moment::rfc3339_ms(end_of_day_ms(day("2026-03-29"), &berlin)),
            "2026-03-29T21:59:59.999Z"
        );
        // Midnight itself is skipped: the day ends when the clocks go forward.
        assert_eq!(end_of_day_ms(day("2024-04-25"), &zone("Africa/Cairo")), ms("2024-04-25T22:00:00Z") - 1);
        assert_eq!(end_of_day_ms(day("2026-11-01"), &zone("America/New_York")), ms("2026-11-02T05:00:00Z") - 1);
        assert_eq!(end_of_day_ms(day("2026-11-01"), &zone("Asia/Hong_Kong")), ms("2026-11-01T16:00:00Z") - 1);
    }
}
