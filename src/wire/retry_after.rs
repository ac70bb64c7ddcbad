//! `Retry-After`: seconds, or an HTTP date. And the `Date` of the reply, which that is measured from.

use jiff::fmt::rfc2822;

use super::header;

/// How long a reply asks us to wait, in milliseconds. A date is measured from the reply's own `Date`, so that our
/// clock has no part in it; without one it says nothing.
pub fn retry_after_ms(headers: &[(String, String)]) -> Option<u64> {
    let text = header(headers, "retry-after")?.trim();
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(text.parse::<u64>().ok()?.saturating_mul(1000));
    }
    let wait = instant_ms(text)? - date_ms(headers)?;
    Some(wait.max(0) as u64)
}

/// When a reply was written, as its `Date` says; milliseconds since 1970.
pub fn date_ms(headers: &[(String, String)]) -> Option<i64> {
    instant_ms(header(headers, "date")?)
}

fn instant_ms(text: &str) -> Option<i64> {
    rfc2822::parse(text.trim()).ok().map(|zoned| zoned.timestamp().as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(retry_after: &str, date: Option<&str>) -> Option<u64> {
        let mut headers = vec![("retry-after".to_owned(), retry_after.to_owned())];
        headers.extend(date.map(|date| ("date".to_owned(), date.to_owned())));
        retry_after_ms(&headers)
    }

    #[test]
    fn seconds_and_dates() {
        const DATE: &str = "Mon, 18 Dec 2023 02:33:31 GMT";
        assert_eq!(after("3", None), Some(3_000));
        assert_eq!(after(" 0 ", None), Some(0));
        assert_eq!(after("18446744073709551615", None), Some(u64::MAX));
        assert_eq!(after("Mon, 18 Dec 2023 02:34:01 GMT", Some(DATE)), Some(30_000));
        assert_eq!(after("Mon, 18 Dec 2023 02:30:00 GMT", Some(DATE)), Some(0));
    }

    #[test]
    fn the_date_of_a_reply() {
        let of = |date: &str| date_ms(&[("date".to_owned(), date.to_owned())]);
        assert_eq!(of("Mon, 18 Dec 2023 02:33:31 GMT"), Some(1_702_866_811_000));
        assert_eq!(of("tomorrow"), None);
        assert_eq!(date_ms(&[]), None);
    }

    #[test]
    fn nothing_is_made_of_what_is_neither() {
        assert_eq!(after("soon", Some("Mon, 18 Dec 2023 02:33:31 GMT")), None);
        assert_eq!(after("Mon, 18 Dec 2023 02:34:01 GMT", None), None);
        assert_eq!(after("", None), None);
        assert_eq!(after("-1", None), None);
        assert_eq!(after("99999999999999999999", None), None);
        assert_eq!(retry_after_ms(&[]), None);
    }
}
