//! A story: nights of one or two jobs over one ledger, kills and stops, replays, persons; and at the end a gateway that
//! is well again, under which everything must be settled.

mod runs;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use passync::core::history::Past;
use passync::model::{BillId, Digest, Tick};
use passync::sandbox::Breach;

use super::auditor::Auditor;
use super::coverage::Coverage;
use super::dice::Dice;
use super::ledger::{Fate, Ledger, Line, Run};
use super::network::{Clock, Network, Tide};
use super::process::Stage;
use super::trace::Trace;
use super::world::{Clocks, Row, Settings, World};

/// Rounds that a row may need: a bill's faults heal within eight attempts, a round makes four, and one more may need a
/// person. Where doubt holds, the rows of a card go one after the other.
const ROUNDS: usize = 4;

/// Plays the story of a world. Panics where a law is broken.
pub fn play(world: World, mut dice: Dice, trace: &Rc<RefCell<Trace>>) -> Coverage {
    trace
        .borrow_mut()
        .stage(Tick::ZERO, format!("{:?} {:?}", world.trouble, (world.quota, world.window, world.timeout)));
    let mut story = Story {
        runs: 0,
        nights: world.files.iter().cloned().collect(),
        interrupted: BTreeMap::new(),
        stopped: BTreeMap::new(),
        is_aside: false,
        forgotten: BTreeSet::new(),
        edited: BTreeSet::new(),
        stage: Stage {
            network: Network::new(&world, &mut dice),
            auditor: Auditor::new(&world, Rc::clone(trace)),
            clock: Clock::default(),
            ledger: Ledger::default(),
            processes: 0,
            boots: 0,
            stamp: None,
            world,
            dice,
        },
    };
    while let Some((job, file)) = story.nights.pop_front() {
        story.night(job, &file);
        while story.stage.dice.percent(30) {
            story.day(job, &file);
        }
    }
    story.heal();
    story.again();
    story.judge();
    story.stage.auditor.coverage
}

fn fresh(file: &[Row]) -> Vec<Line> {
    file.iter().map(|row| Line { row: row.clone(), origin: None }).collect()
}

struct Story {
    stage: Stage,
    runs: u32,
    /// Files of nights to come, each with its job.
    nights: VecDeque<(usize, Vec<Row>)>,
    /// By job, the run that was cut off and is not finished yet.
    interrupted: BTreeMap<usize, Run>,
    /// By job, a run that was closed before its plan was done.
    stopped: BTreeMap<usize, Run>,
    /// One job works while a run of the other is cut off.
    is_aside: bool,
    /// What a person said was never applied: the ledger knows nothing of it any more.
    forgotten: BTreeSet<Digest>,
    /// Numbers of bills that a person gave another content in a failure file.
    edited: BTreeSet<u64>,
}

impl Story {
    /// A job's run over a file, behind its interrupted one.
    fn night(&mut self, job: usize, file: &[Row]) {
        self.finish(job);
        let settings = self.settings();
        self.run(job, fresh(file), settings);
    }

    /// Something that a person starts by day: a replay, or the same file again.
    fn day(&mut self, job: usize, file: &[Row]) {
        self.finish(job);
        let settings = self.settings();
        match self.stopped.remove(&job) {
            Some(run) if self.stage.dice.percent(60) => self.reopen(run, settings),
            _ if self.stage.dice.percent(60) => {
                let failures = self.failures();
                self.run(job, failures, settings);
            }
            _ => drop(self.run(job, fresh(file), settings)),
        }
    }

    fn settings(&mut self) -> Settings {
        Settings::of(self.stage.world.mood, &mut self.stage.dice)
    }

    /// Every open row, a few with another content: somebody mended them.
    fn failures(&mut self) -> Vec<Line> {
        let mut lines = self.stage.ledger.open();
        for line in &mut lines {
            if let Some(bill) = line.row.bill.filter(|_| self.stage.dice.percent(5)) {
                line.row.version += 2_000_000;
                self.edited.insert(bill);
            }
        }
        lines
    }

    /// Time goes by with nobody at work.
    fn rest(&mut self, micros: u64) {
        let until = self.stage.clock.now() + self.stage.dice.micros(1..=micros);
        self.pass(until);
    }

    /// A person takes longer than any byte under way.
    fn rest_well(&mut self) {
        let until = self.stage.clock.now() + self.stage.world.timeout + self.stage.world.window;
        self.pass(until);
    }

    fn pass(&mut self, until: Tick) {
        while let Some((_, tide)) = self.stage.clock.next(until) {
            if let Tide::Arrive(sent) = tide {
                self.stage.arrive(&sent);
            }
        }
    }

    // ---- persons

    /// A person looks at a card and books what it shows.
    fn answer(&mut self, bill: BillId) {
        let applied = self.stage.auditor.is_applied(bill);
        if !applied {
            self.forgotten.insert(self.stage.ledger.bills[&bill].facts.row.content());
        }
        self.stage.ledger.settle(bill, applied);
        self.stage.auditor.answered(bill, applied);
    }

    /// A person answers for any bill that is open or possible, `run` being cut off.
    fn answer_any(&mut self, run: &Run) {
        let bills = self.stage.ledger.bills.iter();
        let unproved: Vec<BillId> =
            bills.filter(|(_, bill)| bill.past.is_open() || bill.past.is_possible()).map(|(key, _)| *key).collect();
        if !unproved.is_empty() {
            self.rest_well();
            let bill = *self.stage.dice.pick(&unproved);
            if !(self.stage.auditor.is_applied(bill) && self.has_other_content(bill, run)) {
                self.answer(bill);
                self.stage.auditor.coverage.hit("a person's answer about an interrupted run");
            }
        }
    }

    /// Whether a run that was cut off sends a bill with another content: then "applied" is about nobody knows which.
    fn has_other_content(&self, bill: BillId, run: &Run) -> bool {
        let known = self.stage.ledger.bills[&bill].facts.content;
        let runs = self.interrupted.values().chain([run]).filter(|run| !run.is_folded);
        let mut fates = runs.flat_map(|run| &run.survey.fates);
        fates.any(|fate| matches!(fate, Fate::Send(facts) if facts.bill == bill && facts.content != known))
    }

    // ---- the end

    /// The gateway is well, and our clock right: replays settle everything, but for what a refused bill in doubt bars; a person settles that.
    fn heal(&mut self) {
        self.stage.network.well = true;
        self.stage.world.trouble.down.clear();
        self.stage.world.clocks = Clocks { max_skew_ms: self.stage.world.clocks.max_skew_ms, ..Clocks::default() };
        while let Some(job) = self.interrupted.keys().next().copied() {
            self.finish(job);
        }
        for _ in 0..20 + ROUNDS * self.stage.ledger.open().len() {
            let open = self.stage.ledger.open();
            if open.is_empty() {
                return;
            }
            let settings = Settings::calm(&mut self.stage.dice);
            let before = open.len();
            if self.run(0, open, settings) == 0 && self.stage.ledger.open().len() == before {
                self.ask_a_person();
            }
        }
        let open: Vec<_> = self.stage.ledger.bills.values().filter(|bill| bill.past.is_open()).collect();
        panic!("law 9: never settled: {open:?}");
    }

    fn ask_a_person(&mut self) {
        let bills = self.stage.ledger.bills.iter();
        let barring: Vec<BillId> =
            bills.filter(|(_, bill)| bill.past == Past::RefusedAfterDoubt).map(|(key, _)| *key).collect();
        assert!(!barring.is_empty(), "law 9: a replay sends nothing, and nothing bars it");
        for bill in barring {
            self.stage.auditor.coverage.hit("a person's answer");
            self.answer(bill);
        }
    }

    /// The files once more: nothing is sent but rows that are nobody's (no bill, no time), what was refused with another
    /// content, and what a person said was never applied.
    fn again(&mut self) {
        let files = std::mem::take(&mut self.stage.world.files);
        let mut contents: BTreeMap<Option<u64>, BTreeSet<Digest>> = BTreeMap::new();
        for row in files.iter().flat_map(|(_, file)| file) {
            contents.entry(row.bill).or_default().insert(row.content());
        }
        for (job, file) in files {
            let known = |row: &&Row| {
                let has_identity = row.bill.is_some() || row.occurred.is_some();
                let is_edited = row.bill.is_some_and(|bill| self.edited.contains(&bill));
                let is_one = contents[&row.bill].len() == 1 && !is_edited;
                has_identity && is_one && !self.forgotten.contains(&row.content())
            };
            let lines: Vec<Row> = file.iter().filter(known).cloned().collect();
            let settings = Settings { include_refused: false, ..Settings::calm(&mut self.stage.dice) };
            assert_eq!(self.run(job, fresh(&lines), settings), 0, "law 3: the same file again, and it is sent");
        }
    }

    /// What the gateway itself holds against us.
    fn judge(&mut self) {
        let until = self.stage.clock.now() + Duration::from_secs(60);
        self.pass(until);
        let judgements = self.stage.network.gateway().judgements();
        for judgement in judgements.kept() {
            let is_ours = match judgement.breach {
                Breach::Overlap => true,
                Breach::OverQuota => self.stage.world.strict,
                // It knows neither places, nor contents, nor what a kill forgot; identity trouble is the world's own.
                Breach::DoubleSend
                | Breach::Inversion
                | Breach::ChangedBody
                | Breach::BadSignature
                | Breach::BadCall => false,
            };
            assert!(!is_ours, "the gateway saw {judgement:?}");
        }
    }
}
