//! What was counted -> a control file, in the form that its name asks for.

use std::path::Path;

use super::Counted;

/// The control file at `path` over these files: JSON for `.json`, CSV for `.csv` and for several files, else
/// `key=value`. Each file has its name and its totals.
pub fn render(path: &Path, files: &[(String, &Counted)]) -> String {
    let is = |end: &str| path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case(end));
    match files {
        _ if is("json") => json(files),
        [(_, counted)] if !is("csv") => pairs(counted),
        _ => csv(files),
    }
}

fn pairs(counted: &Counted) -> String {
    let Counted { rows, sum, hash_total, size, sha256, .. } = counted;
    format!("rows={rows}\nsum={sum}\nhash_total={hash_total}\nsize={size}\nsha256={sha256}\n")
}

fn csv(files: &[(String, &Counted)]) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let lines = files.iter().map(|(name, counted)| {
        let Counted { rows, sum, hash_total, size, sha256, .. } = counted;
        [name.clone(), rows.to_string(), sum.to_string(), hash_total.to_string(), size.to_string(), sha256.clone()]
    });
    let header = ["file", "rows", "sum", "hash_total", "size", "sha256"].map(str::to_owned);
    for line in std::iter::once(header).chain(lines) {
        writer.write_record(line).expect("memory takes every record");
    }
    let bytes = writer.into_inner().expect("memory takes every record");
    String::from_utf8(bytes).expect("it was made of text")
}

fn json(files: &[(String, &Counted)]) -> String {
    let entry = |(name, counted): &(String, &Counted)| {
        // Totals as text: most readers of JSON would make them floats.
        serde_json::json!({
            "file": name, "rows": counted.rows, "sum": counted.sum.to_string(),
            "hash_total": counted.hash_total.to_string(), "size": counted.size, "sha256": counted.sha256,
        })
    };
    let entries: Vec<_> = files.iter().map(entry).collect();
    serde_json::to_string_pretty(&entries).expect("totals are plain data") + "\n"
}

#[cfg(test)]
mod tests {
    use super::super::{Control, Stated, parse};
    use super::*;
    use crate::model::{HashTotal, Total};

    #[test]
    fn what_is_written_is_read_back() {
        let counted = |rows| Counted {
            rows,
            sum: Total::parse("-12.5").unwrap(),
            hash_total: HashTotal::parse("77").unwrap(),
            size: 1_000,
            sha256: "ab".repeat(32),
            ..Counted::default()
        };
        let stated = |file: Option<&str>, rows| Stated {
            file: file.map(str::to_owned),
            rows: Some(rows),
            sum: Total::parse("-12.50"),
            hash_total: HashTotal::parse("77"),
            size: Some(1_000),
            sha256: Some("ab".repeat(32)),
        };
        let (one, two) = (counted(1), counted(2));
        let files = [("a, \"b\".csv".to_owned(), &one), ("c.csv".to_owned(), &two)];
        let read = |name: &str, files: &[(String, &Counted)]| parse(render(Path::new(name), files).as_bytes()).unwrap();
        let both = vec![stated(Some("a, \"b\".csv"), 1), stated(Some("c.csv"), 2)];
        for name in ["x.ctl", "x.csv", "x.JSON"] {
            assert_eq!(read(name, &files), Control { entries: both.clone(), unknown: vec![] }, "{name}");
        }
        assert_eq!(read("x.ctl", &files[1..]).entries, [stated(None, 2)]);
        assert_eq!(read("x.csv", &files[1..]).entries, [stated(Some("c.csv"), 2)]);
    }
}
