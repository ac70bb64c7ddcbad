//! The lines of outcomes and failure files, as they stand on disk.

use std::path::Path;

use crate::core::history::IMPORTED;
use crate::io::job::settings::FormatChoice;
use crate::io::source::{Cells, Input, ReadRules, Reader, TailColumn};
use crate::model::Outcome;
use crate::run::proof::Broken;

/// One line of `outcomes`.
#[derive(Clone, Debug)]
pub struct End {
    /// `outcomes.csv:17`.
    pub place: String,
    /// The input that it names.
    pub source: String,
    /// The line there.
    pub line: u64,
    /// The bill.
    pub bill_no: Option<String>,
    /// The card.
    pub card: String,
    /// How the row ended.
    pub outcome: Outcome,
    /// With which code.
    pub code: String,
    /// Requests made.
    pub attempts: u64,
    /// Those in doubt, earlier runs included.
    pub in_doubt: u64,
    /// When the first began.
    pub first_sent_at: Option<String>,
    /// When it was settled.
    pub settled_at: Option<String>,
    /// `source:line` of the row that did the call.
    pub carried_by: Option<String>,
    /// Of the last reply.
    pub http_status: Option<String>,
}

impl End {
    /// What it lacks, for its outcome; `is_import`: its run was an import, which makes no calls.
    pub fn lack(&self, is_import: bool) -> Option<&'static str> {
        let called = self.attempts > 0;
        match self.outcome {
            _ if is_import && called => Some("but an import makes no attempt"),
            Outcome::Applied if is_import => (self.code != IMPORTED).then_some("but was not imported"),
            Outcome::Applied if !called => Some("but no attempt was made"),
            Outcome::Applied if self.code.is_empty() => Some("but has no code"),
            Outcome::Applied if self.http_status.is_none() => Some("but no reply was read"),
            // An attempt that was cut off is in doubt, and when it began was not durable yet.
            _ if called && self.first_sent_at.is_none() && self.in_doubt == 0 => {
                Some("but nobody knows when its first attempt began")
            }
            _ if self.settled_at.is_none() => Some("but nobody knows when it was settled"),
            Outcome::Rejected | Outcome::Conflict | Outcome::Duplicate | Outcome::AlreadyApplied if called => {
                Some("but an attempt was made")
            }
            Outcome::Unsent if self.in_doubt > 0 => Some("but it may have been applied"),
            Outcome::Unknown if self.in_doubt == 0 => Some("but no attempt is in doubt"),
            outcome if outcome.is_failure() && self.code.is_empty() => Some("but has no code"),
            Outcome::Coalesced if self.code == "COALESCED" && self.carried_by.is_none() => {
                Some("but nothing carried it")
            }
            _ => None,
        }
    }
}

/// `outcomes.csv|parquet`, line by line.
pub struct Outcomes {
    name: String,
    reader: Reader,
    columns: [usize; COLUMNS.len()],
    next: Option<End>,
}

const COLUMNS: [&str; 12] = [
    "source",
    "line",
    "bill_no",
    "card",
    "outcome",
    "code",
    "attempts",
    "in_doubt",
    "first_sent_at",
    "settled_at",
    "carried_by",
    "http_status",
];

fn open(dir: &Path, name: &str, rules: &ReadRules) -> Result<Reader, Broken> {
    Ok(Reader::open(&Input::new(name.to_owned(), dir.join(name), FormatChoice::Auto, None)?, rules)?)
}

fn column(reader: &Reader, file: &str, name: &str) -> Result<usize, Broken> {
    let at = reader.header().iter().position(|column| column == name);
    at.ok_or_else(|| format!("{file}: has no column `{name}`").into())
}

impl Outcomes {
    /// Opens the file, and reads its first line.
    pub fn open(dir: &Path, name: &str, rules: &ReadRules) -> Result<Outcomes, Broken> {
        let reader = open(dir, name, rules)?;
        let mut columns = [0; COLUMNS.len()];
        for (at, name_of_column) in columns.iter_mut().zip(COLUMNS) {
            *at = column(&reader, name, name_of_column)?;
        }
        let mut outcomes = Outcomes { name: name.to_owned(), reader, columns, next: None };
        outcomes.advance()?;
        Ok(outcomes)
    }

    /// The line that comes next.
    pub fn peek(&self) -> Option<&End> {
        self.next.as_ref()
    }

    /// The next line.
    pub fn take(&mut self) -> Result<Option<End>, Broken> {
        let line = self.next.take();
        self.advance()?;
        Ok(line)
    }

    fn advance(&mut self) -> Result<(), Broken> {
        self.next = match self.reader.next()? {
            None => None,
            Some(row) => {
                let place = format!("{}:{}", self.name, row.line);
                let cells = row.cells.map_err(|reject| format!("{place}: {reject}"))?;
                Some(read(&cells, &self.columns, place)?)
            }
        };
        Ok(())
    }
}

fn read(cells: &Cells<'_>, columns: &[usize; COLUMNS.len()], place: String) -> Result<End, Broken> {
    let cell = |name: &str| {
        let at = COLUMNS.iter().position(|known| *known == name).expect("a column of ours");
        cells.get(columns[at])
    };
    let number = |name: &str| {
        let text = cell(name).unwrap_or_default();
        text.parse::<u64>().map_err(|_| format!("{place}: column `{name}`: found {text:?}, expected a number"))
    };
    let text = |name: &str| cell(name).map(str::to_owned);
    let outcome = cell("outcome").unwrap_or_default();
    Ok(End {
        source: text("source").unwrap_or_default(),
        line: number("line")?,
        bill_no: text("bill_no"),
        card: text("card").unwrap_or_default(),
        outcome: outcome.parse().map_err(|()| format!("{place}: column `outcome`: found {outcome:?}"))?,
        code: text("code").unwrap_or_default(),
        attempts: number("attempts")?,
        in_doubt: number("in_doubt")?,
        first_sent_at: text("first_sent_at"),
        settled_at: text("settled_at"),
        carried_by: text("carried_by"),
        http_status: text("http_status"),
        place,
    })
}

/// Whose row a line of a failure file is: run, source, line.
pub type Origin = (String, String, u64);

/// The line that a failing row should have in a failure file.
pub struct Expected<'a> {
    /// How it ended.
    pub line: &'a End,
    /// Whose row it is, where that is known.
    pub origin: Option<Origin>,
}

/// The failure files of a run, each in its own order.
pub struct Failures {
    files: Vec<FailureFile>,
    /// Rows of one input stand together in one file.
    last: usize,
}

struct FailureFile {
    name: String,
    reader: Reader,
    columns: [usize; TailColumn::ALL.len()],
    head: Option<Tail>,
}

struct Tail {
    place: String,
    outcome: String,
    code: String,
    attempts: String,
    origin: Option<Origin>,
}

impl Failures {
    /// Opens the files.
    pub fn open(dir: &Path, names: &[&str], rules: &ReadRules) -> Result<Failures, Broken> {
        let files = names.iter().map(|name| FailureFile::open(dir, name, rules)).collect::<Result<_, _>>()?;
        Ok(Failures { files, last: 0 })
    }

    /// Takes the line of a failing row, wherever it comes next. The error says what comes instead.
    pub fn take(&mut self, expected: &Expected<'_>) -> Result<(), Broken> {
        let all = self.files.len();
        let order = (0..all).map(|step| (self.last + step) % all.max(1));
        for at in order {
            if self.files[at].head.as_ref().is_some_and(|head| head.is(expected)) {
                self.last = at;
                return self.files[at].advance();
            }
        }
        let line = expected.line;
        let heads = self.files.iter().map(|file| match &file.head {
            Some(head) => format!("{} has {} {}", head.place, head.outcome, head.code),
            None => format!("{} has ended", file.name),
        });
        let heads = heads.collect::<Vec<_>>().join(", ");
        Err(format!("{}: {}:{} is {} {}, but {heads}", line.place, line.source, line.line, line.outcome, line.code)
            .into())
    }

    /// The first line that no failing row stands for.
    pub fn left_over(&self) -> Option<String> {
        self.files.iter().find_map(|file| file.head.as_ref()).map(|head| head.place.clone())
    }
}

impl FailureFile {
    fn open(dir: &Path, name: &str, rules: &ReadRules) -> Result<FailureFile, Broken> {
        let reader = open(dir, name, rules)?;
        let mut columns = [0; TailColumn::ALL.len()];
        for (at, tail) in columns.iter_mut().zip(TailColumn::ALL) {
            *at = column(&reader, name, tail.name())?;
        }
        let mut file = FailureFile { name: name.to_owned(), reader, columns, head: None };
        file.advance()?;
        Ok(file)
    }

    fn advance(&mut self) -> Result<(), Broken> {
        let row = self.reader.next()?;
        self.head = row.map(|row| {
            // The row's own cells may be what it failed for: only ours are looked at.
            let cell = |tail: TailColumn| {
                let at = TailColumn::ALL.iter().position(|known| *known == tail).expect("all are there");
                row.marks.get(self.columns[at]).unwrap_or_default().to_owned()
            };
            let line = cell(TailColumn::Line).parse().ok();
            Tail {
                place: format!("{}:{}", self.name, row.line),
                outcome: cell(TailColumn::Outcome),
                code: cell(TailColumn::Code),
                attempts: cell(TailColumn::Attempts),
                origin: line.map(|line| (cell(TailColumn::Run), cell(TailColumn::Source), line)),
            }
        });
        Ok(())
    }
}

impl Tail {
    fn is(&self, expected: &Expected<'_>) -> bool {
        let line = expected.line;
        self.outcome == line.outcome.as_str()
            && self.code == line.code
            && self.attempts == line.attempts.to_string()
            && (expected.origin.is_none() || self.origin == expected.origin)
    }
}
