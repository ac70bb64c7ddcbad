//! What is stated against what was counted, exactly.

use serde::Serialize;

use super::Stated;
use crate::model::{HashTotal, Total};

/// What was counted of a file, or of several together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Rows.
    pub rows: u64,
    /// The sum of `last_changed_points`, as far as they are numbers.
    pub sum: Total,
    /// Rows that are missing from the sum: filled with what is no number.
    pub unsummed: u64,
    /// Rows that could not be split into cells: they are missing from the sum and from the hash total.
    pub unsplit: u64,
    /// The hash total of `bill_no`.
    pub hash_total: HashTotal,
    /// Bytes, as stored.
    pub size: u64,
    /// SHA-256 of these bytes; empty for several files.
    pub sha256: String,
}

impl Counted {
    /// Several files together.
    pub fn together<'a>(parts: impl IntoIterator<Item = &'a Counted>) -> Counted {
        let mut parts = parts.into_iter();
        let first = parts.next().cloned().unwrap_or_default();
        parts.fold(first, |mut all, part| {
            all.rows += part.rows;
            all.sum.merge(part.sum);
            all.unsummed += part.unsummed;
            all.unsplit += part.unsplit;
            all.hash_total.merge(part.hash_total);
            all.size += part.size;
            all.sha256.clear();
            all
        })
    }
}

/// A statement and what was found of it.
#[derive(Clone, Debug, Serialize)]
pub struct Compared {
    /// The control file, or the trailer with its place.
    pub by: String,
    /// The inputs that it is about.
    pub covers: Vec<String>,
    /// What was stated, item by item.
    pub items: Vec<Item>,
    /// Why the difference may be no loss of rows; empty where there is nothing to say.
    pub note: String,
}

/// One stated number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Item {
    /// Which.
    pub what: &'static str,
    /// As stated.
    pub expected: String,
    /// As counted.
    pub found: String,
    /// Found less expected; empty where that means nothing.
    pub difference: String,
    /// Whether they are the same.
    pub agrees: bool,
}

impl Compared {
    /// Whether everything that is stated is so.
    pub fn agrees(&self) -> bool {
        self.items.iter().all(|item| item.agrees)
    }
}

/// Compares.
pub fn compare(by: String, covers: Vec<String>, stated: &Stated, counted: &Counted) -> Compared {
    let whole = |what, expected: u64, found: u64| {
        let difference = (i128::from(found) - i128::from(expected)).to_string();
        item(what, expected.to_string(), found.to_string(), difference)
    };
    let items = [
        stated.rows.map(|rows| whole("rows", rows, counted.rows)),
        stated.sum.map(|sum| {
            let difference = counted.sum.less(sum).to_string();
            item("sum", sum.to_string(), counted.sum.to_string(), difference)
        }),
        stated
            .hash_total
            .map(|total| item("hash_total", total.to_string(), counted.hash_total.to_string(), String::new())),
        stated.size.map(|size| whole("size", size, counted.size)),
        stated.sha256.as_ref().map(|sha256| item("sha256", sha256.clone(), counted.sha256.clone(), String::new())),
    ];
    Compared { by, covers, items: items.into_iter().flatten().collect(), note: note(counted) }
}

fn item(what: &'static str, expected: String, found: String, difference: String) -> Item {
    let agrees = expected == found;
    Item { what, expected, found, difference, agrees }
}

fn note(counted: &Counted) -> String {
    let mut notes = Vec::new();
    if counted.unsummed > 0 {
        notes.push(format!(
            "{} rows have a last_changed_points that is no number: they are in no sum",
            counted.unsummed
        ));
    }
    if counted.unsplit > 0 {
        notes.push(format!("{} rows could not be split: they are in no sum and no hash total", counted.unsplit));
    }
    notes.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(rows: u64, sum: &str) -> Counted {
        Counted { rows, sum: Total::parse(sum).unwrap(), size: 10 * rows, sha256: "ab".into(), ..Counted::default() }
    }

    #[test]
    fn decimals_agree_by_value_and_differences_are_exact() {
        let stated =
            Stated { rows: Some(3), sum: Total::parse("10.50"), sha256: Some("ab".into()), ..Stated::default() };
        let compared = compare("c".into(), vec![], &stated, &counted(3, "10.5"));
        assert!(compared.agrees() && compared.items.len() == 3 && compared.note.is_empty(), "{compared:?}");
        let compared = compare("c".into(), vec![], &stated, &Counted { unsummed: 1, ..counted(2, "10.3") });
        let differences: Vec<_> = compared.items.iter().map(|item| (item.difference.as_str(), item.agrees)).collect();
        assert_eq!(differences, [("-1", false), ("-0.2", false), ("", true)]);
        assert!(compared.note.contains("1 rows have a last_changed_points that is no number"));
    }

    #[test]
    fn several_files_add_up_and_have_no_digest() {
        let together = Counted::together([&counted(1, "1.5"), &counted(2, "-3")]);
        assert_eq!(together, Counted { sha256: String::new(), ..counted(3, "-1.5") });
        assert_eq!(Counted::together([&counted(1, "1")]), counted(1, "1"));
        assert_eq!(Counted::together([]), Counted::default());
    }
}
