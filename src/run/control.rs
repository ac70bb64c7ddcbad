//! Control files and trailers: which covers which inputs, and whether what they state is what was read.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use jiff::civil::Date;

use super::Fault;
use super::context::Job;
use super::survey::FileFound;
use crate::io::atomic::{AtomicFile, OutputError};
use crate::io::control::{self, Compared, Counted, Stated};
use crate::io::job::dates::Dates;
use crate::io::job::settings::Trailer;
use crate::io::source::{Input, STANDARD_INPUT};
use crate::model::reject::visible;
use crate::model::{HashTotal, Total};

/// A control file and the inputs that it covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Covering {
    /// Where it is.
    pub path: PathBuf,
    /// Indices of the inputs, in their order.
    pub covers: Vec<usize>,
}

/// The control files of a run: one for each `{date}`, for each input (`{stem}`), or for all.
pub fn covering(pattern: &str, inputs: &[Input], dates: Dates) -> Result<Vec<Covering>, Fault> {
    let mut days = dates.days();
    let only_day = days.next().filter(|_| days.next().is_none());
    let mut found: Vec<Covering> = Vec::new();
    for (at, input) in inputs.iter().enumerate() {
        let path = path_for(pattern, input, only_day)?;
        match found.iter_mut().find(|covering| covering.path == path) {
            Some(covering) => covering.covers.push(at),
            None => found.push(Covering { path, covers: vec![at] }),
        }
    }
    Ok(found)
}

fn path_for(pattern: &str, input: &Input, only_day: Option<Date>) -> Result<PathBuf, Fault> {
    let mut path = pattern.replace("{stem}", stem(input));
    if path.contains("{date}") {
        let date = input.date.or(only_day).ok_or_else(|| {
            Fault::usage(format!(
                "input.control has {{date}}, and the input {} is not of one date: the run has several days",
                input.name
            ))
            .help("put {date} into input.files too, or take it out of input.control")
        })?;
        path = path.replace("{date}", &date.to_string());
    }
    Ok(PathBuf::from(path))
}

/// The name of an input's file.
fn file_name(input: &Input) -> &str {
    Path::new(&input.name).file_name().and_then(|name| name.to_str()).unwrap_or(&input.name)
}

/// The same without what tells its form; standard input has the name "stdin".
fn stem(input: &Input) -> &str {
    if input.name == STANDARD_INPUT {
        return "stdin";
    }
    let name = file_name(input);
    let plain = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst")).unwrap_or(name);
    plain.strip_suffix(".csv").or_else(|| plain.strip_suffix(".parquet")).unwrap_or(plain)
}

/// What control files state against what was found.
#[derive(Clone, Debug, Default)]
pub struct Judged {
    /// Statement by statement.
    pub compared: Vec<Compared>,
    /// Keys that were not understood.
    pub warnings: Vec<String>,
}

/// Reads the control files and compares, and the trailers.
pub fn judge(job: &Job, controls: &[Covering], inputs: &[Input], files: &[FileFound]) -> Result<Judged, Fault> {
    let base = &job.settings.base;
    let mut judged = Judged::default();
    if let Some(rules) = &job.settings.input.trailer {
        judged.compared = trailers(rules, inputs, files)?;
    }
    for covering in controls {
        let name = covering.path.strip_prefix(base).unwrap_or(&covering.path).display().to_string();
        let unusable = |why: &dyn std::fmt::Display| {
            Fault::input(format!("control file {name}: {why}"))
                .help("mend its exporter, or set input.control = \"\" to go without; `passync check --write-control` shows its form")
        };
        let control = control::parse(&bytes_of(&covering.path).map_err(|error| unusable(&error))?)
            .map_err(|fault| unusable(&fault))?;
        if !control.unknown.is_empty() {
            judged
                .warnings
                .push(format!("control file {name}: keys that are not known: {}", control.unknown.join(", ")));
        }
        for (stated, covers) in assign(&control.entries, covering, inputs).map_err(|why| unusable(&why))? {
            let counted = Counted::together(covers.iter().map(|at| &files[*at].counted));
            if stated.sha256.is_some() && covers.len() > 1 {
                let why =
                    format!("it states one sha256 for {} files; give each its own line with `file`", covers.len());
                return Err(unusable(&why));
            }
            let names = covers.iter().map(|at| inputs[*at].name.clone()).collect();
            judged.compared.push(control::compare(name.clone(), names, stated, &counted));
        }
    }
    Ok(judged)
}

fn bytes_of(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(control::SIZE_MAX + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Which entry is about which of the covered inputs.
fn assign<'a>(
    entries: &'a [Stated],
    covering: &Covering,
    inputs: &[Input],
) -> Result<Vec<(&'a Stated, Vec<usize>)>, String> {
    if let [stated] = entries
        && stated.file.is_none()
    {
        return Ok(vec![(stated, covering.covers.clone())]);
    }
    let mut left = covering.covers.clone();
    let mut assigned = Vec::new();
    for stated in entries {
        let file = stated.file.as_deref().ok_or("it has several entries, and one without `file`: whose is it?")?;
        let at = left.iter().position(|at| file_name(&inputs[*at]) == file || inputs[*at].name == file);
        let at = at.ok_or_else(|| {
            let others: Vec<_> = left.iter().map(|at| file_name(&inputs[*at])).collect();
            let others = if others.is_empty() { "nothing more".to_owned() } else { others.join(", ") };
            format!(
                "it states totals of {}, which the run does not read (or of one file twice); it reads {others}",
                visible(file)
            )
        })?;
        assigned.push((stated, vec![left.remove(at)]));
    }
    match left[..] {
        [] => Ok(assigned),
        [first, ..] => {
            Err(format!("it says nothing of {}, which the run reads ({} such files)", inputs[first].name, left.len()))
        }
    }
}

/// Whether control files may be written: the job names them, and none is there that is not to be replaced.
pub fn may_write(controls: &[Covering], force: bool) -> Result<(), Fault> {
    if controls.is_empty() {
        return Err(Fault::usage("the job names no control file: nowhere to write one")
            .help("name it: input.control = \"inbox/points-{date}.ctl\", or --set input.control=..."));
    }
    match controls.iter().find(|control| control.path.exists() && !force) {
        Some(control) => {
            Err(Fault::usage(format!("{} is there already; it was left as it is", control.path.display()))
                .help("--force writes over it: then it says what was read, and no more what the exporter wrote"))
        }
        None => Ok(()),
    }
}

/// Writes the control files of what was read, each whole or not at all.
pub fn write(controls: &[Covering], inputs: &[Input], files: &[FileFound]) -> Result<(), Fault> {
    for Covering { path, covers } in controls {
        let covered: Vec<_> =
            covers.iter().map(|at| (file_name(&inputs[*at]).to_owned(), &files[*at].counted)).collect();
        let mut file = AtomicFile::create(path)?;
        let text = control::render(path, &covered);
        file.write_all(text.as_bytes()).map_err(|error| OutputError::new("write", path, error))?;
        file.commit()?;
    }
    Ok(())
}

/// What the trailers state against the rows before them.
fn trailers(rules: &Trailer, inputs: &[Input], files: &[FileFound]) -> Result<Vec<Compared>, Fault> {
    inputs.iter().zip(files).map(|(input, file)| trailer(rules, input, file)).collect()
}

fn trailer(rules: &Trailer, input: &Input, found: &FileFound) -> Result<Compared, Fault> {
    let help = "fetch or export it again, or see to [input.trailer]";
    let Some(trailer) = &found.trailer else {
        let what = format!("{}: no trailer: no record begins with {}", input.name, visible(&rules.mark));
        return Err(Fault::input(format!("{what}; the file is not whole")).help(help));
    };
    let place = format!("{}:{}", input.name, trailer.line);
    if trailer.count > 1 || trailer.rows_before != found.counted.rows {
        let behind = found.counted.rows - trailer.rows_before;
        let what = format!("{place}: {} trailers, and {behind} rows behind the last one", trailer.count);
        return Err(Fault::input(format!("{what}; expected one, at the end of the file")).help(help));
    }
    let field = |at: usize, what: &str, expected: &str| {
        let found = trailer.fields.get(at - 1).map_or("no such field".to_owned(), |field| visible(field));
        let text = format!("{place}: the trailer's field {at} ({what}): found {found}, expected {expected}");
        Fault::input(text).help(help)
    };
    let read = |at: usize| (at > 0).then(|| trailer.fields.get(at - 1).map_or("", String::as_str));
    let rows =
        read(rules.rows).map(|text| text.parse::<u64>().map_err(|_| field(rules.rows, "rows", "a whole number")));
    let sum = read(rules.sum).map(|text| Total::parse(text).ok_or_else(|| field(rules.sum, "sum", "an exact decimal")));
    let hash_total = read(rules.hash_total)
        .map(|text| HashTotal::parse(text).ok_or_else(|| field(rules.hash_total, "hash_total", "up to 18 digits")));
    let stated = Stated {
        rows: rows.transpose()?,
        sum: sum.transpose()?,
        hash_total: hash_total.transpose()?,
        ..Stated::default()
    };
    Ok(control::compare(format!("{place} (trailer)"), vec![input.name.clone()], &stated, &found.counted))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::source::Format;

    fn input(name: &str, date: Option<&str>) -> Input {
        let date = date.map(|date| date.parse().unwrap());
        Input { name: name.to_owned(), path: PathBuf::from(name), format: Format::Csv, date }
    }

    fn covered(pattern: &str, inputs: &[Input], dates: &str) -> Vec<(String, Vec<usize>)> {
        let found = covering(pattern, inputs, Dates::parse(dates).unwrap()).unwrap();
        found.into_iter().map(|covering| (covering.path.display().to_string(), covering.covers)).collect()
    }

    #[test]
    fn a_control_file_covers_a_date_a_file_or_the_run() {
        let (first, second) = (Some("2026-01-01"), Some("2026-01-02"));
        let inputs = [input("in/p-1a.csv", first), input("in/p-1b.csv.gz", first), input("in/q.parquet", second)];
        let range = "2026-01-01..2026-01-02";
        let by_date = vec![("c-2026-01-01".to_owned(), vec![0, 1]), ("c-2026-01-02".to_owned(), vec![2])];
        assert_eq!(covered("c-{date}", &inputs, range), by_date);
        let by_file = ["x/p-1a.ctl", "x/p-1b.ctl", "x/q.ctl"].map(str::to_owned);
        assert_eq!(
            covered("x/{stem}.ctl", &inputs, range),
            by_file.into_iter().zip([0, 1, 2].map(|at| vec![at])).collect::<Vec<_>>()
        );
        assert_eq!(covered("all.ctl", &inputs, range), [("all.ctl".to_owned(), vec![0, 1, 2])]);
        let undated = [input("-", None)];
        assert_eq!(covered("{stem}-{date}", &undated, "2026-01-01"), [("stdin-2026-01-01".to_owned(), vec![0])]);
        let fault = covering("c-{date}", &undated, Dates::parse(range).unwrap()).unwrap_err();
        assert_eq!(fault.exit(), crate::model::Exit::Usage);
    }

    #[test]
    fn entries_with_names_leave_no_file_out() {
        let inputs = [input("in/a.csv", None), input("in/b.csv", None)];
        let covering = Covering { path: PathBuf::new(), covers: vec![0, 1] };
        let entry = |file: Option<&str>| Stated { file: file.map(str::to_owned), rows: Some(1), ..Stated::default() };
        let of = |entries: &[Stated]| {
            let assigned = assign(entries, &covering, &inputs)?;
            Ok(assigned.into_iter().map(|(_, covers)| covers).collect::<Vec<_>>())
        };
        assert_eq!(of(&[entry(None)]), Ok(vec![vec![0, 1]]));
        assert_eq!(of(&[entry(Some("b.csv")), entry(Some("in/a.csv"))]), Ok(vec![vec![1], vec![0]]));
        let wrong = |entries: &[Stated]| -> String { of(entries).map_err(|why: String| why).unwrap_err() };
        assert!(wrong(&[entry(Some("b.csv"))]).contains("says nothing of in/a.csv"));
        assert!(wrong(&[entry(Some("a.csv")), entry(Some("a.csv"))]).contains("of one file twice); it reads b.csv"));
        assert!(wrong(&[entry(Some("c.csv"))]).contains("\"c.csv\", which the run does not read"));
        assert!(wrong(&[entry(None), entry(None)]).contains("one without `file`"));
    }
}
