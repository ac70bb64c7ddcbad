//! The walk over the rows of a run: inputs, outcomes and failure files side by side, in input order.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::lines::{End, Expected, Failures, Origin, Outcomes};
use super::order::Sends;
use super::{failure_rules, outcome_rules, several_merchants};
use crate::io::job::Settings;
use crate::io::sort::Sorter;
use crate::io::source::{Input, Layout, ReadRules, Reader, Row};
use crate::model::{Amount, Outcome};
use crate::run::Fault;
use crate::run::detail::InputFact;
use crate::run::manifest::{Manifest, Sum, Tally};
use crate::run::proof::{Broken, Check};

/// What is walked over.
pub struct Order<'a> {
    /// The run's folder.
    pub dir: &'a Path,
    /// What it says.
    pub manifest: &'a Manifest,
    /// The settings that it was made with.
    pub settings: &'a Settings,
    /// Its inputs, those that are still what they were.
    pub present: &'a [Option<Input>],
}

/// Walks, and tells what was found.
pub fn walk(order: &Order<'_>) -> Result<Vec<Check>, Fault> {
    let scratch = tempfile::tempdir().map_err(|error| Fault::storage(format!("no temporary folder: {error}")))?;
    let mut walk = Walk::new(order, scratch.path())?;
    match walk.rows() {
        Ok(()) => {}
        Err(Broken::File(text)) => {
            walk.rows.fault(text);
            walk.is_cut = true;
        }
        Err(Broken::Fault(fault)) => return Err(fault),
    }
    walk.finish(scratch.path())
}

struct Walk<'a> {
    order: &'a Order<'a>,
    outcomes_rules: ReadRules,
    failures: Option<Failures>,
    tally: Tally,
    attempts: u64,
    retries: u64,
    bills: Sorter<(String, String)>,
    carried: Sorter<Carried>,
    sends: Sends,
    trimmed: u64,
    /// Not all rows could be read: what counts them says nothing.
    is_cut: bool,
    rows: Check,
    ends: Check,
    failed: Check,
}

/// A row that names the one that did its call.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Carried {
    /// The carrier: its input, its line.
    carrier: (u16, u64),
    /// The line of outcomes that names it.
    place: String,
    /// Whether it makes sense only behind an applied one.
    wants_applied: bool,
}

/// What the input tells of a row.
struct Told {
    change: Option<Amount>,
    unsummed: bool,
    bill_no: Option<String>,
    origin: Option<Origin>,
}

impl<'a> Walk<'a> {
    fn new(order: &'a Order<'a>, scratch: &Path) -> Result<Walk<'a>, Fault> {
        let mut failed = Check::new("failures", "every row that failed has its line in a failure file, in its place");
        let names: Vec<&str> =
            order.manifest.files.keys().map(String::as_str).filter(|name| name.starts_with("failures")).collect();
        let rules = failure_rules(order.settings)?;
        let failures = match Failures::open(order.dir, &names, &rules) {
            Ok(failures) if !names.is_empty() => Some(failures),
            Ok(_) => {
                failed.skipped = Some("the run has no failure file".to_owned());
                None
            }
            Err(Broken::File(text)) => {
                failed.fault(text);
                None
            }
            Err(Broken::Fault(fault)) => return Err(fault),
        };
        Ok(Walk {
            order,
            outcomes_rules: outcome_rules(order.settings)?,
            failures,
            tally: Tally::default(),
            attempts: 0,
            retries: 0,
            bills: Sorter::new(scratch),
            carried: Sorter::new(scratch),
            sends: Sends::new(scratch),
            trimmed: 0,
            is_cut: false,
            rows: Check::new("rows", "every input row has one outcome, in the order of the inputs"),
            ends: Check::new("ends", "every outcome has what it needs: attempts, times, codes"),
            failed,
        })
    }

    fn open_outcomes(&self) -> Result<Outcomes, Broken> {
        let name = self.order.manifest.files.keys().find(|name| name.starts_with("outcomes."));
        let name = name.ok_or_else(|| "the manifest names no outcomes".to_owned())?;
        Outcomes::open(self.order.dir, name, &self.outcomes_rules)
    }

    fn rows(&mut self) -> Result<(), Broken> {
        let mut outcomes = self.open_outcomes()?;
        for (fact, input) in self.order.manifest.inputs.iter().zip(self.order.present) {
            match input {
                Some(input) => self.input(fact, input, &mut outcomes)?,
                None => self.without_input(fact, &mut outcomes)?,
            }
        }
        self.strays(&mut outcomes, |_| true)
    }

    fn input(&mut self, fact: &InputFact, input: &Input, outcomes: &mut Outcomes) -> Result<(), Broken> {
        let rules = ReadRules::new(&self.order.settings.input).map_err(Fault::usage)?;
        let mut reader = Reader::open(input, &rules)?;
        let teller = Teller::new(&reader, self.order)?;
        reader.select(&teller.layout.needed());
        let mut rows = 0;
        while let Some(row) = reader.next()? {
            rows += 1;
            self.meet(fact, row.line, teller.tell(&row), outcomes)?;
        }
        self.rows.expect(rows == fact.rows, || format!("{} has {rows} rows, {} were read", fact.path, fact.rows));
        self.strays(outcomes, |next| next.source == fact.name)
    }

    /// One row of an input against the outcomes.
    fn meet(&mut self, fact: &InputFact, line: u64, told: Told, outcomes: &mut Outcomes) -> Result<(), Broken> {
        self.strays(outcomes, |next| next.source == fact.name && next.line < line)?;
        if outcomes.peek().is_some_and(|next| next.source == fact.name && next.line == line) {
            let next = outcomes.take()?.expect("just seen");
            return self.end(&next, Some(told));
        }
        if self.is_replay() {
            self.tally.passed_over.take(told.change);
            self.tally.read.take(told.change);
        } else {
            self.rows.fault(format!("{}:{line} has no outcome", fact.name));
        }
        Ok(())
    }

    /// Lines of outcomes that no row of the inputs stands for, or not here.
    fn strays(&mut self, outcomes: &mut Outcomes, is_stray: impl Fn(&End) -> bool) -> Result<(), Broken> {
        while outcomes.peek().is_some_and(&is_stray) {
            let stray = outcomes.take()?.expect("just seen");
            self.rows.fault(format!(
                "{}: {}:{} is no row of the inputs in their order",
                stray.place, stray.source, stray.line
            ));
        }
        Ok(())
    }

    /// An input that is gone: only the outcomes tell of its rows.
    fn without_input(&mut self, fact: &InputFact, outcomes: &mut Outcomes) -> Result<(), Broken> {
        let (mut last, mut rows) = (0, 0);
        while outcomes.peek().is_some_and(|next| next.source == fact.name) {
            let line = outcomes.take()?.expect("just seen");
            self.rows
                .expect(line.line > last, || format!("{}: {}:{} is out of order", line.place, line.source, line.line));
            last = line.line;
            rows += 1;
            self.end(&line, None)?;
        }
        self.rows.expect(rows == fact.rows || self.is_replay(), || {
            format!("{} had {} rows, {rows} have an outcome", fact.name, fact.rows)
        });
        self.rows.skipped = Some("inputs that are gone could not be asked".to_owned());
        Ok(())
    }

    fn is_replay(&self) -> bool {
        !self.order.manifest.flags.include.is_empty()
    }

    /// One row with its outcome.
    fn end(&mut self, line: &End, told: Option<Told>) -> Result<(), Broken> {
        let change = told.as_ref().and_then(|told| told.change);
        self.tally.read.take(change);
        self.tally.outcomes.entry(line.outcome).or_default().take(change);
        self.tally.unsummed += u64::from(told.as_ref().is_some_and(|told| told.unsummed));
        self.count_untold(line, change);
        self.sends.take(line)?;
        self.attempts += line.attempts;
        self.retries += line.attempts.saturating_sub(1);
        if let Some(told) = &told {
            self.rows.expect(told.bill_no == line.bill_no, || {
                let text = |bill: &Option<String>| bill.clone().unwrap_or_else(|| "none".to_owned());
                format!("{}: bill {}, the input has {}", line.place, text(&line.bill_no), text(&told.bill_no))
            });
        }
        if let Some(fault) = line.lack(self.order.manifest.flags.import) {
            self.ends.fault(format!("{}: {}:{} is {}, {fault}", line.place, line.source, line.line, line.outcome));
        }
        if line.outcome.is_failure() {
            self.tally.failure_codes.count(&line.code);
            let own = || (self.order.manifest.run.clone(), line.source.clone(), line.line);
            let origin = match told {
                Some(told) => told.origin.or_else(|| Some(own())),
                None if self.is_replay() => None,
                None => Some(own()),
            };
            self.fail(line, origin)?;
        }
        if line.outcome == Outcome::Applied
            && let Some(bill_no) = &line.bill_no
        {
            self.bills.push((bill_no.clone(), line.place.clone()))?;
        }
        self.carry(line)
    }

    /// Bills that the gateway was not told of. Of a trimmed row only the ledger knows whether its points were left out.
    fn count_untold(&mut self, line: &End, change: Option<Amount>) {
        if line.bill_no.is_none() {
            return;
        }
        match line.outcome {
            Outcome::Superseded | Outcome::Coalesced => self.tally.not_told.take(change),
            Outcome::Applied => self.trimmed += u64::from(line.code == "TRIMMED"),
            _ => {}
        }
    }

    fn fail(&mut self, line: &End, origin: Option<Origin>) -> Result<(), Broken> {
        let Some(failures) = &mut self.failures else { return Ok(()) };
        match failures.take(&Expected { line, origin }) {
            Err(Broken::File(text)) => {
                self.failed.fault(text);
                self.failures = None; // what follows would only repeat it
                Ok(())
            }
            other => other,
        }
    }

    fn carry(&mut self, line: &End) -> Result<(), Broken> {
        let Some(carried_by) = &line.carried_by else { return Ok(()) };
        let names = self.order.manifest.inputs.iter();
        let carrier = carried_by.rsplit_once(':').and_then(|(source, at)| {
            let ordinal = names.clone().position(|input| input.name == source)?;
            Some((ordinal as u16, at.parse().ok()?))
        });
        let Some(carrier) = carrier else {
            self.ends.fault(format!("{}: carried_by {carried_by} names no row of the inputs", line.place));
            return Ok(());
        };
        let wants_applied = matches!(line.outcome, Outcome::Coalesced | Outcome::Superseded);
        Ok(self.carried.push(Carried { carrier, place: line.place.clone(), wants_applied })?)
    }

    // ---- what the whole says

    fn finish(mut self, scratch: &Path) -> Result<Vec<Check>, Fault> {
        if let Some(place) = self.failures.as_ref().and_then(Failures::left_over).filter(|_| !self.is_cut) {
            self.failed.fault(format!("{place} stands for no row that failed"));
        }
        let sums = self.sums();
        let carriers = self.carriers(scratch)?;
        let bills = self.bills(scratch)?;
        let order = self.sends.check(self.order.settings)?;
        Ok(vec![self.rows, sums, self.ends, self.failed, carriers, order, bills])
    }

    fn sums(&self) -> Check {
        let manifest = self.order.manifest;
        let mut check = Check::new("sums", "rows and points by outcome, and calls, are those that the manifest says");
        if self.is_cut {
            check.skipped = Some("not all rows could be read".to_owned());
            return check;
        }
        let with_points = self.order.present.iter().all(Option::is_some);
        if !with_points {
            check.skipped = Some("points: inputs are gone or changed".to_owned());
        }
        let mut compare = |what: &str, said: Sum, counted: Sum| {
            let same = said.rows == counted.rows && (!with_points || said.points == counted.points);
            check.expect(same, || {
                format!(
                    "{what}: the manifest says {} rows with {} points, counted were {} with {}",
                    said.rows, said.points, counted.rows, counted.points
                )
            });
        };
        for outcome in Outcome::ALL {
            let of = |outcomes: &BTreeMap<Outcome, Sum>| outcomes.get(&outcome).copied().unwrap_or_default();
            compare(outcome.as_str(), of(&manifest.rows.outcomes), of(&self.tally.outcomes));
        }
        if with_points {
            compare("rows read", manifest.rows.read, self.tally.read);
            compare("passed over", manifest.rows.passed_over, self.tally.passed_over);
        }
        let (said, counted) = (manifest.rows.not_told.rows, self.tally.not_told.rows);
        check.expect((counted..=counted + self.trimmed).contains(&said), || {
            format!(
                "not told to the gateway: the manifest says {said} rows, counted were {counted}, and {} trimmed",
                self.trimmed
            )
        });
        let (said, counted) = (manifest.rows.unsummed, self.tally.unsummed);
        check.expect(said == counted || !with_points, || {
            format!("rows in no sum: the manifest says {said}, counted were {counted}")
        });
        check.expect(manifest.rows.failure_codes == self.tally.failure_codes, || {
            format!("codes of failures: {:?}, counted were {:?}", manifest.rows.failure_codes, self.tally.failure_codes)
        });
        for (what, said, counted) in
            [("attempts", manifest.calls.attempts, self.attempts), ("retries", manifest.calls.retries, self.retries)]
        {
            check.expect(said == counted, || format!("{what}: the manifest says {said}, counted were {counted}"));
        }
        check
    }

    fn carriers(&mut self, scratch: &Path) -> Result<Check, Fault> {
        let mut check = Check::new("carriers", "every row that names a carrier names one that is there, and applied");
        if !self.rows.is_sound() {
            check.skipped = Some("the rows are not sound".to_owned());
            return Ok(check);
        }
        match self.meet_carriers(&mut check, scratch) {
            Ok(()) => {}
            Err(Broken::File(text)) => check.fault(text),
            Err(Broken::Fault(fault)) => return Err(fault),
        }
        Ok(check)
    }

    /// A second walk, in which every carrier is met in its place.
    fn meet_carriers(&mut self, check: &mut Check, scratch: &Path) -> Result<(), Broken> {
        let carried = std::mem::replace(&mut self.carried, Sorter::new(scratch));
        let mut carried = carried.finish()?.peekable();
        let names = self.order.manifest.inputs.iter().map(|input| input.name.as_str());
        let ordinals: BTreeMap<&str, u16> = names.zip(0..).collect();
        let mut outcomes = self.open_outcomes()?;
        while let Some(line) = outcomes.take()? {
            let here = (ordinals[line.source.as_str()], line.line);
            while let Some(next) = carried.next_if(|next| next.as_ref().map_or(true, |next| next.carrier <= here)) {
                let next = next?;
                check.expect(next.carrier == here, || format!("{}: its carrier has no outcome", next.place));
                let fits = next.carrier != here || !next.wants_applied || line.outcome == Outcome::Applied;
                check.expect(fits, || format!("{}: carried by {}, which is {}", next.place, line.place, line.outcome));
            }
        }
        for next in carried {
            check.fault(format!("{}: its carrier has no outcome", next?.place));
        }
        Ok(())
    }

    fn bills(&mut self, scratch: &Path) -> Result<Check, Fault> {
        let mut check = Check::new("bills", "no bill was applied twice");
        let settings = self.order.settings;
        if settings.input.bill_key != ["bill_no"] || several_merchants(settings) {
            check.skipped = Some("a bill is more than its number in this job".to_owned());
            return Ok(check);
        }
        let bills = std::mem::replace(&mut self.bills, Sorter::new(scratch));
        let mut last: Option<(String, String)> = None;
        for bill in bills.finish()? {
            let bill = bill?;
            if let Some((_, first)) = last.filter(|(number, _)| *number == bill.0) {
                check.fault(format!("{}: bill {} is applied at {first}, too", bill.1, bill.0));
            }
            last = Some(bill);
        }
        Ok(check)
    }
}

/// Tells what an input says of its rows, as the survey reads it.
struct Teller {
    layout: Layout,
    is_replay: bool,
}

impl Teller {
    fn new(reader: &Reader, order: &Order<'_>) -> Result<Teller, Fault> {
        let dialect = crate::run::endpoint::dialect_unopened(order.settings)?;
        let layout = Layout::new(reader.header(), &reader.kinds(), &order.settings.input, dialect.as_ref());
        let layout = layout.map_err(Fault::usage)?;
        Ok(Teller { layout, is_replay: !order.manifest.flags.include.is_empty() })
    }

    fn tell(&self, row: &Row<'_>) -> Told {
        let cell = |canonical: &str| self.layout.column_of(canonical).and_then(|at| row.marks.get(at));
        let mark = |at: Option<usize>| at.and_then(|at| row.marks.get(at));
        let meta = self.layout.meta();
        let origin = match (mark(meta.run), mark(meta.source), mark(meta.line).and_then(|line| line.parse().ok())) {
            (Some(run), Some(source), Some(line)) if self.is_replay => Some((run.to_owned(), source.to_owned(), line)),
            _ => None,
        };
        let change = cell("last_changed_points");
        let parsed = change.and_then(|change| Amount::parse(change).ok());
        Told {
            change: parsed,
            unsummed: change.is_some() && parsed.is_none(),
            bill_no: cell("bill_no").map(str::to_owned),
            origin,
        }
    }
}
