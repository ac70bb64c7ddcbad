//! The survey's first half: every input is read to its end, each row validated and stored. No ledger, no call.

mod outlet;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::resume_unwind;
use std::sync::atomic::Ordering;
use std::thread;

use serde::Serialize;
use smol_str::SmolStr;

use self::outlet::{Outlet, Taken};
use super::brief::Seen;
use super::gate::{Gate, Suspects};
use super::members::Members;
use super::progress::Progress;
use super::store::RowsWriter;
use super::stored::{Content, Origin, StoredRow};
use super::timings::Stage;
use super::{Fault, Signals};
use crate::io::StorageError;
use crate::io::control::Counted;
use crate::io::job::settings;
use crate::io::source::{Cells, Format, Input, Layout, ReadRules, Reader, Row, Stamp, Trailer};
use crate::model::{Amount, Delta, Outcome, Reject, Rule, Seat, Status, Total};
use crate::wire::{Dialect, RowReader, RowRules};

/// What the survey is told.
pub struct Order<'a> {
    /// The wire form.
    pub dialect: &'a dyn Dialect,
    /// `[input]`.
    pub input: &'a settings::Input,
    /// `[guard]`.
    pub guard: &'a settings::Guard,
    /// The files, in the order in which they are read.
    pub inputs: &'a [Input],
    /// The classes that a replay takes; `None`: this is no replay, `_outcome` is not looked at.
    pub include: Option<&'a [Outcome]>,
    /// The start of the run, milliseconds since 1970.
    pub started_ms: i64,
}

/// What the survey found, beside the rows themselves.
#[derive(Debug, Default)]
pub struct Found {
    /// By input.
    pub files: Vec<FileFound>,
    /// Rows stored.
    pub rows: u64,
    /// Rows of a failure file that were not asked for, and their sum.
    pub passed_over: u64,
    /// The sum of the rows passed over.
    pub passed_over_points: Total,
    /// Rows of a replay whose `_outcome` is no class, and where the first of them stands: they are passed over.
    pub unclassed: Option<(u64, String)>,
    /// Rows that are not valid.
    pub rejected: u64,
    /// CLOSED and USED rows.
    pub closing: u64,
    /// Every member met.
    pub members: Members,
    /// Per origin of rows: how many have `occurred_at`, how many have not.
    pub timed: BTreeMap<String, Timed>,
    /// The sum of `last_changed_points`.
    pub points: Total,
    /// Rows whose local time the clocks showed twice.
    pub folded: u64,
    /// Rows whose time lies ahead of the run, and the last of these times; milliseconds since 1970.
    pub ahead: (u64, i64),
    /// Per input: what does not fit its columns.
    pub suspects: Vec<Suspects>,
    /// Why inputs are refused as a whole: their ids are not what they were.
    pub refusals: Vec<String>,
    /// The inputs that do not end their last line.
    pub open_ended: Vec<String>,
}

impl Found {
    /// The runs whose rows were read from failure files.
    pub fn origins(&self) -> BTreeSet<&str> {
        self.timed.keys().filter_map(|key| key.split_once(ORIGIN_MARK)).map(|(run, _)| run).collect()
    }
}

/// What the survey found of one input.
#[derive(Clone, Debug)]
pub struct FileFound {
    /// What was read.
    pub stamp: Stamp,
    /// What control totals are compared with.
    pub counted: Counted,
    /// What its columns are taken for.
    pub columns: Columns,
    /// The record behind its rows, where it has one.
    pub trailer: Option<Trailer>,
}

/// What the columns of one input are taken for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Columns {
    /// Canonical name and column, in the file's order.
    pub taken: Vec<(String, String)>,
    /// Canonical columns that every row takes from `[input.defaults]`.
    pub defaulted: Vec<String>,
    /// Kept for the failure file, and otherwise ignored.
    pub kept: Vec<String>,
    /// Listed in `input.ignore`.
    pub ignored: Vec<String>,
}

impl Columns {
    fn of(layout: &Layout) -> Columns {
        let Layout { sent, defaulted, kept, ignored, .. } = layout;
        Columns { taken: sent.clone(), defaulted: defaulted.clone(), kept: kept.clone(), ignored: ignored.clone() }
    }

    /// The file's name of a canonical column.
    pub fn in_file(&self, canonical: &str) -> Option<&str> {
        self.taken.iter().find(|(name, _)| name == canonical).map(|(_, column)| column.as_str())
    }
}

/// How many rows of one file have a time of their own.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timed {
    with: u64,
    without: u64,
}

impl Timed {
    /// A file has `occurred_at` in every row or in none.
    pub fn is_mixed(self) -> bool {
        self.with > 0 && self.without > 0
    }

    /// No row has one.
    pub fn is_bare(self) -> bool {
        self.with == 0 && self.without > 0
    }
}

/// Reads every input to its end and stores its rows: here they are read and judged, on a thread of its own they are
/// digested and written.
pub fn read(order: &Order<'_>, rows: &mut RowsWriter, progress: &Progress, signals: &Signals) -> Result<Found, Fault> {
    let (outlet, batches, done) = Outlet::new();
    thread::scope(|scope| {
        let storing = move || {
            let _counting = progress.timings.count(Stage::Survey);
            batches.into_iter().try_for_each(|batch| {
                batch.iter().try_for_each(|Taken { row, seen }| rows.push(row, seen))?;
                let _ = done.send(batch); // unless reading has ended
                Ok::<_, StorageError>(())
            })
        };
        let storing = thread::Builder::new().spawn_scoped(scope, storing).map_err(Fault::no_thread)?;
        let found = read_inputs(order, outlet, progress, signals);
        // Where rows cannot be stored, reading finds the outlet closed and nothing else.
        storing.join().unwrap_or_else(|panic| resume_unwind(panic))?;
        found
    })
}

fn read_inputs(order: &Order<'_>, mut outlet: Outlet, progress: &Progress, signals: &Signals) -> Result<Found, Fault> {
    let mut found = Found::default();
    let rules = ReadRules::new(order.input).map_err(Fault::usage)?;
    let size = |input: &Input| std::fs::metadata(&input.path).map_or(0, |meta| meta.len());
    progress.bytes.store(order.inputs.iter().map(size).sum(), Ordering::Relaxed);
    progress.rows_read.store(0, Ordering::Relaxed); // of an earlier reading: inputs that came late
    let mut passed = 0;
    for (source, input) in order.inputs.iter().enumerate() {
        if order.input.trailer.is_some() && input.format == Format::Parquet {
            let what = format!("{}: a Parquet file has no trailer: rows and columns are all it has", input.name);
            return Err(Fault::usage(what).help("take [input.trailer] out of the job: a control file serves both"));
        }
        let mut reader = Reader::open(input, &rules)?;
        let mut file = File::open(order, &mut reader, source as u16, &input.name)?;
        while let Some(row) = reader.next()? {
            if row.is_open {
                found.open_ended.push(input.name.clone());
            }
            file.take(&row, &mut found, &mut outlet)?;
            progress.rows_read.fetch_add(1, Ordering::Relaxed);
            if found.rows % 1_024 == 0 {
                progress.bytes_read.store(passed + reader.passed(), Ordering::Relaxed);
                if signals.raised() {
                    return Err(Fault::stopped());
                }
            }
        }
        passed += reader.passed();
        progress.bytes_read.store(passed, Ordering::Relaxed);
        file.close(&mut reader, &mut found)?;
    }
    outlet.flush()?;
    Ok(found)
}

/// How far the clock of an exporter may be ahead of ours; milliseconds.
const AHEAD_MS: i64 = 3_600_000;

/// Inputs that the rows of failure files may come from: what is known of each is in memory.
const ORIGINS_MAX: usize = 10_000;

const ONE_FIELD: &str = "the first line is one field: if its columns stand side by side, name the character between them in \
                         input.delimiter; if it is no line of names, take it out";

/// One input while it is read.
struct File<'a> {
    order: &'a Order<'a>,
    layout: Layout,
    row_reader: Box<dyn RowReader>,
    gate: Gate,
    source: u16,
    name: &'a str,
    counted: Counted,
    /// The columns of what is wanted of rows that are not valid, too.
    at: Needed,
}

/// Columns of the file.
struct Needed {
    bill_no: Option<usize>,
    card: Option<usize>,
    change: Option<usize>,
}

impl<'a> File<'a> {
    /// Lays the columns of the file out, and tells its reader which of them are needed.
    fn open(order: &'a Order<'a>, reader: &mut Reader, source: u16, name: &'a str) -> Result<File<'a>, Fault> {
        let is_one_field = reader.csv().is_some() && reader.header().len() == 1;
        let misread = |fault: Fault| if is_one_field { fault.help(ONE_FIELD) } else { fault };
        let layout = Layout::new(reader.header(), &reader.kinds(), order.input, order.dialect).map_err(|fault| {
            let text = format!("{name}: {fault}");
            misread(if fault.is_of_input { Fault::input(text) } else { Fault::usage(text) })
        })?;
        reader.select(&layout.needed());
        let shape = RowRules {
            bill_key: order.input.bill_key.clone(),
            require_bill_no: order.input.require_bill_no,
            negative_points: order.input.negative_points,
            times: crate::model::LocalTime { zone: order.input.timezone.clone() },
        };
        let row_reader = order.dialect.reader(layout.columns(), &shape);
        let row_reader = row_reader.map_err(|fault| misread(Fault::usage(format!("{name}: {fault}"))))?;
        let gate = Gate::new(reader, &layout, order.dialect, &order.input.verbatim);
        let at = Needed {
            bill_no: layout.column_of("bill_no"),
            card: layout.column_of(order.dialect.card_column()),
            change: layout.column_of("last_changed_points"),
        };
        Ok(File { order, layout, row_reader, gate, source, name, counted: Counted::default(), at })
    }

    /// The file has ended: what was found of it.
    fn close(self, reader: &mut Reader, found: &mut Found) -> Result<(), Fault> {
        let (stamp, trailer) = (reader.stamp()?, reader.trailer().cloned());
        let counted = Counted { size: stamp.size, sha256: stamp.sha256.clone(), ..self.counted };
        found.points.merge(counted.sum);
        found.files.push(FileFound { stamp, counted, columns: Columns::of(&self.layout), trailer });
        let (suspects, refusals) = self.gate.finish();
        found.suspects.push(suspects);
        found.refusals.extend(refusals.into_iter().map(|refusal| format!("{}: {refusal}", self.name)));
        Ok(())
    }

    fn take(&mut self, row: &Row<'_>, found: &mut Found, outlet: &mut Outlet) -> Result<(), Fault> {
        let meta = self.layout.meta();
        let mark = |at: Option<usize>| at.and_then(|at| row.marks.get(at));
        let change_cell = mark(self.at.change);
        let change = change_cell.and_then(|cell| Amount::parse(cell).ok());
        if let Some(include) = self.order.include
            && meta.outcome.is_some()
            && !row.marks.is_empty()
        {
            let class = mark(meta.outcome).and_then(|class| class.trim().parse::<Outcome>().ok());
            if class.is_none() {
                let first = format!("{}:{}", self.name, row.line);
                found.unclassed.get_or_insert((0, first)).0 += 1;
            }
            // What is no class was not asked for either.
            if !class.is_some_and(|class| include.contains(&class)) {
                found.passed_over += 1;
                if let Some(change) = change {
                    found.passed_over_points.add(change);
                }
                return Ok(());
            }
        }
        let origin = match (mark(meta.run), mark(meta.source), mark(meta.line).and_then(|line| line.parse().ok())) {
            (Some(run), Some(source), Some(line)) if self.order.include.is_some() => {
                Some(Origin { run: run.to_owned(), source: source.to_owned(), line })
            }
            _ => None,
        };
        let content = match &row.cells {
            Ok(cells) => self.judge(cells).and_then(|delta| {
                self.gate.check_end(cells, row.is_open)?;
                Ok(delta)
            }),
            Err(reject) => Err((*reject).clone()),
        };
        let mut seen = Seen::default();
        match (&content, &origin) {
            (Ok(_), None) => seen.shapes = self.gate.see(&row.marks),
            (Err(_), None) => self.gate.miss(),
            (_, Some(_)) => {}
        }
        match &content {
            Ok(delta) => {
                seen.members = found.members.learn(delta)?;
                let messages = self.order.dialect.messages(delta).into_iter();
                seen.messages = messages.map(|member| found.members.mask(std::iter::once(member))).collect();
                self.count(delta, origin.as_ref(), found)?;
            }
            Err(_) => found.rejected += 1,
        }
        if let Some(change) = change {
            self.counted.sum.add(change);
        }
        let bill_no = mark(self.at.bill_no);
        if let Some(bill_no) = bill_no {
            self.counted.hash_total.add(bill_no);
        }
        let unsummed = change_cell.is_some() && change.is_none();
        self.counted.rows += 1;
        self.counted.unsummed += u64::from(unsummed);
        self.counted.unsplit += u64::from(row.marks.is_empty());
        let card_no = match &content {
            Ok(delta) => delta.card.clone(),
            Err(_) => mark(self.at.card).unwrap_or_default().into(),
        };
        let row_of = |content| StoredRow {
            seat: Seat { source: self.source, line: row.line },
            origin,
            bill_no: bill_no.map(SmolStr::new),
            card_no,
            change,
            unsummed,
            content,
        };
        let content = match content {
            Ok(delta) => Content::Delta(Box::new(delta)),
            Err(reject) => Content::Reject(Box::new(reject)),
        };
        found.rows += 1;
        outlet.push(Taken { row: row_of(content), seen }, row.marks.bytes())
    }

    fn judge(&mut self, cells: &Cells<'_>) -> Result<Delta, Reject> {
        let mut canonical: Vec<Option<Cow<'_, str>>> = Vec::new();
        self.layout.project(*cells, &mut canonical);
        self.gate.check_ids(cells)?;
        let delta = self.row_reader.read(&canonical)?;
        self.gate.check_texts(cells, &delta)?;
        self.guard(&delta)?;
        Ok(delta)
    }

    /// The row-wise half of `[guard]`: one wrong mapping must not close every card.
    fn guard(&self, delta: &Delta) -> Result<(), Reject> {
        let guard = self.order.guard;
        if !guard.statuses.contains(&delta.status) {
            let listed: Vec<&str> = guard.statuses.iter().map(|status| status.as_str()).collect();
            return Err(Reject::new(
                Rule::StatusGuard,
                "status",
                delta.status.as_str(),
                format!("one of [guard] statuses = {listed:?}; list it there if this is meant"),
            ));
        }
        let points = delta.member("points").and_then(|value| match value {
            crate::model::Value::Number(points) => Some(*points),
            _ => None,
        });
        for (rule, column, value, limit) in [
            (Rule::PointsGuard, "points", points, guard.points_max),
            (
                Rule::ChangeGuard,
                "last_changed_points",
                delta.last_changed_points.map(|change| change.abs()),
                guard.change_max,
            ),
        ] {
            if let (Some(value), Some(limit)) = (value, limit)
                && value > limit
            {
                return Err(Reject::new(rule, column, &value.to_string(), format!("at most {limit} ([guard])")));
            }
        }
        Ok(())
    }

    fn count(&self, delta: &Delta, origin: Option<&Origin>, found: &mut Found) -> Result<(), Fault> {
        found.closing += u64::from(delta.status != Status::Update);
        found.folded += u64::from(delta.folded);
        if let Some(occurred_ms) = delta.occurred_ms.filter(|ms| *ms > self.order.started_ms + AHEAD_MS) {
            found.ahead = (found.ahead.0 + 1, found.ahead.1.max(occurred_ms));
        }
        let key = timed_key(self.name, origin);
        if !found.timed.contains_key(&*key) {
            if origin.is_some() && found.timed.len() >= ORIGINS_MAX {
                let what = "its rows come from more than 10,000 inputs of earlier runs (columns `_run` and `_source`)";
                return Err(Fault::input(format!("{}: {what}", self.name)).help("split it into several files"));
            }
            found.timed.insert(key.clone().into_owned(), Timed::default());
        }
        let timed = found.timed.get_mut(&*key).expect("just made");
        match delta.occurred_ms {
            Some(_) => timed.with += 1,
            None => timed.without += 1,
        }
        Ok(())
    }
}

/// Which file a row is judged with, as for its times: its own, or the one that a failure file took it from.
pub fn timed_key<'a>(name: &'a str, origin: Option<&Origin>) -> Cow<'a, str> {
    origin.map_or(Cow::Borrowed(name), |origin| format!("{}{ORIGIN_MARK}{}", origin.run, origin.source).into())
}

/// Between the run and the source of an origin.
const ORIGIN_MARK: char = '\n';
