//! `{date}`: the days that a run reads.

use jiff::civil::Date;
use jiff::tz::TimeZone;
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

/// The end of a day in a zone, in milliseconds since 1970: the place in history of the rows of that day's file.
///
/// # Panics
/// Where the day lies outside the years that jiff knows; days of file names do not.
pub fn end_of_day_ms(day: Date, zone: &TimeZone) -> i64 {
    let next = day.tomorrow().and_then(|next| next.to_zoned(zone.clone())).expect("a day of a file name");
    next.timestamp().as_millisecond() - 1
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
    }
}
