//! Times of the input: RFC 3339, local times in a zone, epoch milliseconds.

use jiff::civil::DateTime;
use jiff::fmt::strtime::BrokenDownTime;
use jiff::fmt::temporal::{DateTimePrinter, Pieces};
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use jiff::{SignedDuration, Timestamp, Zoned};

/// A time read from the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Milliseconds since 1970.
    pub ms: i64,
    /// Nanoseconds beyond them.
    pub ns: u32,
    /// It fell into a DST fold, and the earlier instant was taken.
    pub folded: bool,
}

/// How local times of an input are read.
#[derive(Clone, Debug)]
pub struct LocalTime {
    /// The input's zone.
    pub zone: TimeZone,
}

/// Why a text is not a time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MomentFault {
    /// None of the forms.
    #[error("a time: RFC 3339, `YYYY-MM-DD HH:MM:SS` in the input's zone, or epoch milliseconds")]
    Syntax,
    /// Ten digits: seconds.
    #[error("epoch milliseconds (13 digits); these look like seconds: append 000")]
    Seconds,
    /// Twelve or fourteen digits that are a date and a time: as milliseconds they would mean 1976, or 2612.
    #[error("a time: RFC 3339, or `YYYY-MM-DD HH:MM:SS`; this looks like a date and a time without signs between: {0}")]
    Compact(DateTime),
    /// A local time that the clocks skipped.
    #[error("a time that exists: the clocks skipped this one when summer time began")]
    Gap,
    /// Outside the years that the wire forms can write.
    #[error("a time from 1970-01-01 00:00:00 in UTC to the end of the year 9999")]
    Range,
}

/// A year of five digits in the zone in which the wire form writes the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a time before the year 10000 where it is sent with the offset {0}")]
pub struct TooLate(Offset);

/// Whether a wire form can write an instant in a zone: it has four digits for a year.
pub fn writable_in(ms: i64, zone: &TimeZone) -> Result<(), TooLate> {
    let offset = zone.to_offset(Timestamp::MAX);
    if ms + i64::from(offset.seconds()) * 1_000 < YEAR_10000_MS { Ok(()) } else { Err(TooLate(offset)) }
}

/// The year 10000 in UTC.
const YEAR_10000_MS: i64 = 253_402_300_800_000;

impl LocalTime {
    /// Reads a time.
    pub fn parse(&self, text: &str) -> Result<Moment, MomentFault> {
        Ok(Moment { ns: beyond_ms(text), ..self.parse_ms(text)? })
    }

    fn parse_ms(&self, text: &str) -> Result<Moment, MomentFault> {
        if text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty() {
            return match text.len() {
                10 => Err(MomentFault::Seconds),
                12 | 14 if let Some(local) = compact(text) => Err(MomentFault::Compact(local)),
                11..=15 => in_range(text.parse().map_err(|_| MomentFault::Syntax)?),
                _ => Err(MomentFault::Syntax),
            };
        }
        if !is_date_shaped(text) {
            return Err(MomentFault::Syntax);
        }
        if let Some(local) = usual(text) {
            return self.at(local);
        }
        if has_leap_second(text) {
            return Err(MomentFault::Syntax);
        }
        if let Some(ms) = instant_ms(text) {
            return in_range(ms);
        }
        let local = DateTime::strptime("%Y-%m-%d %H:%M:%S%.f", text)
            .or_else(|_| DateTime::strptime("%Y-%m-%dT%H:%M:%S%.f", text))
            .map_err(|_| MomentFault::Syntax)?;
        self.at(local)
    }

    /// Reads a date as the last second of that day, or a time as it stands.
    pub fn parse_end_of_day(&self, text: &str) -> Result<Moment, MomentFault> {
        match jiff::civil::Date::strptime("%Y-%m-%d", text) {
            Ok(date) if is_date_shaped(text) && text.len() == 10 => self.at(date.at(23, 59, 59, 0)),
            _ => self.parse(text),
        }
    }

    fn at(&self, local: DateTime) -> Result<Moment, MomentFault> {
        let ambiguous = self.zone.to_ambiguous_timestamp(local);
        let (offset, folded) = match ambiguous.offset() {
            AmbiguousOffset::Unambiguous { offset } => (offset, false),
            AmbiguousOffset::Gap { .. } => return Err(MomentFault::Gap),
            AmbiguousOffset::Fold { before, .. } => (before, true),
        };
        // jiff's instants end 26 hours before its dates do, on whose last day what never ends is said to end.
        let ms = match ambiguous.earlier() {
            Ok(instant) => instant.as_millisecond(),
            Err(_) => ms_of(local, offset),
        };
        Ok(Moment { folded, ..in_range(ms)? })
    }
}

/// `YYYY-MM-DD HH:MM:SS`, the form of nearly all exports, without the cost of the general parsers; they have the last
/// word about whatever this does not take.
fn usual(text: &str) -> Option<DateTime> {
    let bytes: &[u8; 19] = text.as_bytes().try_into().ok()?;
    if !matches!(bytes[10], b' ' | b'T') || bytes[13] != b':' || bytes[16] != b':' {
        return None;
    }
    let number = |at: std::ops::Range<usize>| {
        bytes[at]
            .iter()
            .try_fold(0_i16, |number, byte| byte.is_ascii_digit().then(|| number * 10 + i16::from(byte - b'0')))
    };
    let two = |at: usize| number(at..at + 2).map(|number| number as i8);
    DateTime::new(number(0..4)?, two(5)?, two(8)?, two(11)?, two(14)?, two(17)?, 0).ok()
}

/// Whether a time has a second 60, which jiff takes for the one before it.
fn has_leap_second(text: &str) -> bool {
    let clock = text.get(11..).unwrap_or_default();
    clock.bytes().filter(|byte| *byte != b':').skip(4).take(2).eq(*b"60")
}

/// What a time has beyond its milliseconds, in nanoseconds: the fourth to the ninth digit of its fraction.
fn beyond_ms(text: &str) -> u32 {
    const WITH_MS: usize = "2026-01-02 10:00:00.123".len();
    if text.len() <= WITH_MS {
        return 0;
    }
    let fraction = text.split_once(['.', ',']).map_or("", |(_, fraction)| fraction);
    let digits = fraction.bytes().take_while(u8::is_ascii_digit).chain(std::iter::repeat(b'0'));
    digits.skip(3).take(6).fold(0, |ns, digit| ns * 10 + u32::from(digit - b'0'))
}

/// Reads RFC 3339, which says its zone; milliseconds since 1970.
pub fn instant_ms(text: &str) -> Option<i64> {
    if has_offset_of_a_day(text) {
        return None;
    }
    if let Ok(instant) = text.parse::<Timestamp>() {
        return Some(instant.as_millisecond());
    }
    let pieces = Pieces::parse(text).ok()?; // of what jiff has no instant for
    Some(ms_of(pieces.date().to_datetime(pieces.time()?), pieces.to_numeric_offset()?))
}

/// Whether a text ends with an offset of 24 or 25 hours, which jiff takes and RFC 3339 does not have.
fn has_offset_of_a_day(text: &str) -> bool {
    match text.as_bytes() {
        [.., b'+' | b'-', tens, ones, b':', _, _]
        | [.., b'+' | b'-', tens, ones, _, _]
        | [.., b'+' | b'-', tens, ones] => [*tens, *ones] > *b"23",
        _ => false,
    }
}

fn ms_of(local: DateTime, offset: Offset) -> i64 {
    local.duration_since(EPOCH).as_millis() as i64 - i64::from(offset.seconds()) * 1_000
}

/// `YYYYMMDDHHMM` or `YYYYMMDDHHMMSS`, which warehouses write, too.
fn compact(digits: &str) -> Option<DateTime> {
    const CENTURIES: [&str; 2] = ["19", "20"];
    let number = |at: std::ops::Range<usize>| digits[at].parse::<i8>().ok();
    let year = digits[..4].parse().ok().filter(|_| CENTURIES.contains(&&digits[..2]))?;
    let second =
        if digits.len() == 14 { number(12..14).map(|second| if second == 60 { 59 } else { second })? } else { 0 };
    DateTime::new(year, number(4..6)?, number(6..8)?, number(8..10)?, number(10..12)?, second, 0).ok()
}

/// RFC 3339 and its local form begin `YYYY-MM-DD`; jiff would read more forms than we promise.
fn is_date_shaped(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() >= 10
        && bytes.len() <= 40
        && bytes[..10].iter().enumerate().all(|(at, byte)| match at {
            4 | 7 => *byte == b'-',
            _ => byte.is_ascii_digit(),
        })
        && !text.contains('[')
}

fn in_range(ms: i64) -> Result<Moment, MomentFault> {
    /// The last place on Earth where a day ends.
    const LAST_ZONE_MS: i64 = 12 * 3_600 * 1_000;
    if (0..YEAR_10000_MS + LAST_ZONE_MS).contains(&ms) {
        Ok(Moment { ms, ns: 0, folded: false })
    } else {
        Err(MomentFault::Range)
    }
}

/// What milliseconds are counted from, in UTC.
pub const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);

/// Writes an instant as RFC 3339 in UTC with milliseconds, the form of our own files.
pub fn rfc3339_ms(ms: i64) -> String {
    // Not by its pattern: an outcome has two such times, which were an eighth of writing a run's files.
    const PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(3));
    match Timestamp::from_millisecond(ms) {
        Ok(instant) if (0..YEAR_10000_MS).contains(&ms) => PRINTER.timestamp_to_string(&instant),
        _ => format_in(ms, &TimeZone::UTC, "%Y-%m-%dT%H:%M:%S.%3fZ"),
    }
}

/// Writes an instant in a zone by a `strftime` pattern, whose signs for zones are `%z` and `%:z` at most. What lies behind
/// the year 9999 there is its end.
pub fn format_in(ms: i64, zone: &TimeZone, pattern: &str) -> String {
    if let Ok(instant) = Timestamp::from_millisecond(ms) {
        return Zoned::new(instant, zone.clone()).strftime(pattern).to_string();
    }
    let offset = zone.to_offset(if ms < 0 { Timestamp::MIN } else { Timestamp::MAX });
    let since = SignedDuration::from_millis(ms.saturating_add(i64::from(offset.seconds()) * 1_000));
    let mut time = BrokenDownTime::from(EPOCH.saturating_add(since));
    time.set_offset(Some(offset));
    time.to_string(pattern).unwrap_or_else(|_| ms.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_zone(zone: &str) -> LocalTime {
        LocalTime { zone: TimeZone::get(zone).unwrap() }
    }

    #[test]
    fn times_within_a_millisecond_differ() {
        let hk = in_zone("Asia/Hong_Kong");
        for (text, ns) in [
            ("2023-12-18T02:33:31Z", 0),
            ("2023-12-18T02:33:31.123Z", 0),
            ("2023-12-18T02:33:31.123456789+08:00", 456_789),
            ("2023-12-18 10:33:31.1239", 900_000),
            ("1702866811123", 0),
        ] {
            assert_eq!(hk.parse(text).unwrap().ns, ns, "{text}");
        }
        for leap in ["2026-01-02 10:00:60", "2026-01-02T10:00:60Z", "2026-01-02T100060Z", "2016-12-31T23:59:60.5Z"] {
            assert_eq!(hk.parse(leap), Err(MomentFault::Syntax), "{leap}");
        }
    }

    #[test]
    fn reads_the_promised_forms_and_no_others() {
        let hk = in_zone("Asia/Hong_Kong");
        for (text, ms) in [
            ("2023-12-18T02:33:31Z", 1_702_866_811_000),
            ("2023-12-18T10:33:31+08:00", 1_702_866_811_000),
            ("2023-12-18 10:33:31", 1_702_866_811_000),
            ("2023-12-18T10:33:31.250", 1_702_866_811_250),
            ("1702866811000", 1_702_866_811_000),
        ] {
            assert_eq!(hk.parse(text).unwrap(), Moment { ms, ns: 0, folded: false }, "{text}");
        }
        assert_eq!(hk.parse("1702866811"), Err(MomentFault::Seconds));
        for digits in ["20260102080003", "20260102080060", "202601020800", "19991231235959"] {
            assert!(matches!(hk.parse(digits), Err(MomentFault::Compact(_))), "{digits}");
        }
        assert!(hk.parse("20261302080003").is_ok(), "no month has that number, so it can only be milliseconds");
        assert!(hk.parse("20260102080003").unwrap_err().to_string().ends_with(": 2026-01-02T08:00:03"));
        for text in ["", "yesterday", "18/12/2023", "2023-12-18", "2023-13-01 00:00:00", "2023-12-18 25:00:00"] {
            assert_eq!(hk.parse(text), Err(MomentFault::Syntax), "{text}");
        }
        for (offset, is_one) in
            [("+23:59", true), ("-23:00", true), ("+24:00", false), ("-25:00", false), ("+2500", false), ("+25", false)]
        {
            let text = format!("2023-12-18T10:33:31{offset}");
            assert_eq!(hk.parse(&text).is_ok(), is_one, "{text}");
        }
    }

    #[test]
    fn the_usual_form_is_read_as_the_general_parser_reads_it() {
        for text in [
            "2023-12-18 10:33:31",
            "2024-02-29T00:00:00",
            "0000-01-01 23:59:59",
            "2023-02-29 10:33:31",
            "2023-12-18 24:00:00",
            "2023-12-18 10:60:00",
            "2023-12-18 10:33:61",
            "2023-00-18 10:33:31",
            "2023-12-18 10.33.31",
            "2023-12-18 +1:33:31",
            "2023-12-18x10:33:31",
        ] {
            let general =
                ["%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S"].iter().find_map(|form| DateTime::strptime(form, text).ok());
            assert_eq!(usual(text), general, "{text}");
        }
        assert_eq!(usual("2023-12-18 10:33:60"), None);
    }

    #[test]
    fn a_gap_is_refused_and_a_fold_takes_the_earlier_instant() {
        let berlin = in_zone("Europe/Berlin");
        assert_eq!(berlin.parse("2024-03-31 02:30:00"), Err(MomentFault::Gap));
        let fold = berlin.parse("2024-10-27 02:30:00").unwrap();
        assert!(fold.folded);
        assert_eq!(rfc3339_ms(fold.ms), "2024-10-27T00:30:00.000Z");
    }

    #[test]
    fn what_never_ends_ends_on_the_last_day() {
        let hk = in_zone("Asia/Hong_Kong");
        let never = hk.parse_end_of_day("9999-12-31").unwrap().ms;
        assert_eq!(never, 253_402_271_999_000);
        for text in ["9999-12-31 23:59:59", "9999-12-31T23:59:59+08:00", "9999-12-31T15:59:59Z", "253402271999000"] {
            assert_eq!(hk.parse(text).unwrap().ms, never, "{text}");
        }
        let (in_utc, gmt8) = (hk.parse("9999-12-31T23:59:59Z").unwrap().ms, TimeZone::fixed(Offset::constant(8)));
        assert_eq!(in_utc, 253_402_300_799_000);
        assert_eq!([never, in_utc].map(|ms| writable_in(ms, &gmt8).is_ok()), [true, false]);
        assert_eq!(writable_in(in_utc, &TimeZone::UTC), Ok(()));
        assert_eq!(hk.parse("9999-12-31T23:59:59-13:00"), Err(MomentFault::Range));
        assert_eq!(rfc3339_ms(never), "9999-12-31T15:59:59.000Z");
        for (hours, time) in [(8, "9999-12-31T23:59:59+08:00"), (7, "9999-12-31T22:59:59+07:00")] {
            let zone = TimeZone::fixed(jiff::tz::Offset::constant(hours));
            assert_eq!(format_in(never, &zone, "%Y-%m-%dT%H:%M:%S%:z"), time);
            assert_eq!(format_in(never - 86_400_000, &zone, "%Y-%m-%dT%H:%M:%S%:z"), time.replace("31T", "30T"));
        }
        let east = TimeZone::fixed(jiff::tz::Offset::constant(9));
        assert_eq!(format_in(never, &east, "%Y-%m-%d %H:%M:%S"), "9999-12-31 23:59:59");
        assert_eq!(in_zone("America/New_York").parse_end_of_day("9999-12-31").unwrap().ms, 253_402_318_799_000);
        assert_eq!(rfc3339_ms(i64::MAX), "9999-12-31T23:59:59.999Z");
    }

    #[test]
    fn our_own_form_is_that_of_its_pattern() {
        for ms in [0, 1, 999, 1_000, 951_782_399_999, 1_702_866_811_250, YEAR_10000_MS - 1, YEAR_10000_MS, -1, i64::MIN]
        {
            assert_eq!(rfc3339_ms(ms), format_in(ms, &TimeZone::UTC, "%Y-%m-%dT%H:%M:%S.%3fZ"));
        }
    }

    #[test]
    fn a_date_means_its_last_second() {
        let hk = in_zone("Asia/Hong_Kong");
        assert_eq!(rfc3339_ms(hk.parse_end_of_day("2026-12-31").unwrap().ms), "2026-12-31T15:59:59.000Z");
        assert_eq!(hk.parse_end_of_day("1640970061000").unwrap().ms, 1_640_970_061_000);
    }
}
