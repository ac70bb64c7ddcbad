//! Numbers and times as people read them.

use std::time::Duration;

/// `12345.5` -> `12,345.5`.
pub fn grouped(number: &impl ToString) -> String {
    let text = number.to_string();
    let (sign, unsigned) = text.strip_prefix('-').map_or(("", text.as_str()), |rest| ("-", rest));
    let (whole, fraction) = unsigned.split_at(unsigned.find('.').unwrap_or(unsigned.len()));
    let mut shown = String::from(sign);
    for (at, digit) in whole.char_indices() {
        if at > 0 && (whole.len() - at) % 3 == 0 {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown + fraction
}

/// `1 row`, `12,345 rows`.
pub fn count(number: u64, noun: &str) -> String {
    let noun = match noun.strip_suffix('y') {
        _ if number == 1 => noun.to_owned(),
        Some(stem) => format!("{stem}ies"),
        None => format!("{noun}s"),
    };
    format!("{} {noun}", grouped(&number))
}

/// `0.4`, `12.5`, `500`, `1,250`: so many a second, with a tenth where it matters.
pub fn rate(per_second: f64) -> String {
    let steps = if per_second < 100.0 { 10.0 } else { 1.0 };
    grouped(&((per_second * steps).round() / steps))
}

/// `512 B`, `1.4 MiB`.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1_024 {
        return format!("{bytes} B");
    }
    let power = (bytes.ilog2() / 10).min(UNITS.len() as u32);
    format!("{:.1} {}", bytes as f64 / f64::from(1_024_u32).powi(power as i32), UNITS[power as usize - 1])
}

/// `0.4 s`, `12.3 s`, `4 min 5 s`, `2 h 3 min`, `5 d 1 h`: the two largest units.
pub fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..60 => format!("{:.1} s", time.as_secs_f64()),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

/// `850 µs`, `12.3 ms`, `1.24 s`: a latency in three digits.
pub fn latency(us: u64) -> String {
    let us_f = us as f64;
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..10_000 => format!("{:.2} ms", us_f / 1e3),
        10_000..100_000 => format!("{:.1} ms", us_f / 1e3),
        100_000..1_000_000 => format!("{:.0} ms", us_f / 1e3),
        1_000_000..10_000_000 => format!("{:.2} s", us_f / 1e6),
        10_000_000..100_000_000 => format!("{:.1} s", us_f / 1e6),
        _ => format!("{:.0} s", us_f / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_told_in_their_unit() {
        assert_eq!([0, 1_023, 1_024, 1_500_000, 5 << 40].map(size), ["0 B", "1023 B", "1.0 KiB", "1.4 MiB", "5.0 TiB"]);
    }

    #[test]
    fn numbers_are_grouped_and_counted() {
        for (number, shown) in
            [("0", "0"), ("999", "999"), ("1000", "1,000"), ("-1234567.50", "-1,234,567.50"), ("-12", "-12")]
        {
            assert_eq!(grouped(&number), shown);
        }
        let counts = [count(1, "row"), count(2_000, "row"), count(1, "retry"), count(0, "retry")];
        assert_eq!(counts, ["1 row", "2,000 rows", "1 retry", "0 retries"]);
    }

    #[test]
    fn rates_have_a_tenth_where_it_matters() {
        let shown = [0.0, 0.04, 0.4, 1.0, 12.5, 49.97, 99.96, 123.4, 500.0, 1_249.6].map(rate);
        assert_eq!(shown, ["0", "0", "0.4", "1", "12.5", "50", "100", "123", "500", "1,250"]);
    }

    #[test]
    fn times_have_two_units() {
        for (ms, shown) in [
            (0, "0.0 s"),
            (12_340, "12.3 s"),
            (245_000, "4 min 5 s"),
            (7_380_000, "2 h 3 min"),
            (435_600_000, "5 d 1 h"),
        ] {
            assert_eq!(span(Duration::from_millis(ms)), shown);
        }
    }

    #[test]
    fn latencies_have_three_digits() {
        let shown = [7, 999, 1_234, 56_789, 123_456, 15_000_400, 150_000_000].map(latency);
        assert_eq!(shown, ["7 µs", "999 µs", "1.23 ms", "56.8 ms", "123 ms", "15.0 s", "150 s"]);
    }
}
