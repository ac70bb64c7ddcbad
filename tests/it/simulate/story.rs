//! A story: nights with their files, kills and stops; replays; and at the end a gateway that is well again, under which
//! everything must be settled.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use passync::core::history::Past;
use passync::model::{Digest, Outcome, Tick};
use passync::sandbox::Breach;

use super::auditor::Auditor;
use super::coverage::Coverage;
use super::dice::Dice;
use super::ledger::{Ended, Fate, Ledger, Line, Record, recover};
use super::network::{Clock, Network};
use super::process::{Death, End, Process, Run, Stage};
use super::trace::Trace;
use super::world::{Row, Settings, World};

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
        forgotten: BTreeSet::new(),
        stage: Stage {
            network: Network::new(&world, &mut dice),
            auditor: Auditor::new(&world, Rc::clone(trace)),
            clock: Clock::default(),
            ledger: Ledger::default(),
            processes: 0,
            world,
            dice,
        },
    };
    for file in story.stage.world.files.clone() {
        story.night(&file);
        while story.stage.dice.percent(30) {
            let settings = Settings::of(story.stage.world.mood, &mut story.stage.dice);
            if story.stage.dice.percent(60) {
                let open = story.stage.ledger.open();
                story.run(open, settings);
            } else {
                story.run(fresh(&file), settings);
            }
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
    /// What a person said was never applied: the ledger knows nothing of it any more.
    forgotten: BTreeSet<Digest>,
}

impl Story {
    fn night(&mut self, file: &[Row]) {
        let settings = Settings::of(self.stage.world.mood, &mut self.stage.dice);
        self.run(fresh(file), settings);
    }

    /// A run from its survey to its closing, through all its processes. Returns how many calls it made.
    fn run(&mut self, lines: Vec<Line>, settings: Settings) -> usize {
        self.runs += 1;
        let survey = self.stage.ledger.survey(self.runs, &lines, &settings);
        let now = self.stage.clock.now();
        self.stage.auditor.stage(now, format!("run {} surveyed", self.runs));
        self.stage.auditor.run(now, &survey, &settings);
        for planning in &survey.plan {
            self.stage.auditor.coverage.hit_if("an adopted row", planning.adopted.is_some());
        }
        let mut run = Run { ordinal: self.runs, settings, lines, survey, journal: Vec::new() };
        let stop = self.carry_out(&mut run);
        self.close(&run, stop);
        run.journal.iter().filter(|record| matches!(record, Record::Intent { .. })).count()
    }

    /// Whether every planned row came to its end.
    fn carry_out(&mut self, run: &mut Run) -> bool {
        let mut left = run.settings.crashes;
        loop {
            let death = if left == 0 { Death::Never } else { self.death(run) };
            if let End::Done(stop) = Process::begin(&mut self.stage, run, death).live() {
                return stop.is_none();
            }
            left = left.saturating_sub(1);
            self.stage.auditor.coverage.hit_if("a kill of a recovering process", left + 1 < run.settings.crashes);
            self.rest(2_000_000);
            // One signal is for one process.
            run.settings.signal = None;
            if left == 0 && run.settings.abandon {
                self.stage.auditor.coverage.hit("an abandoned run");
                self.rest_well();
                return false;
            }
        }
    }

    fn death(&mut self, run: &Run) -> Death {
        let dice = &mut self.stage.dice;
        match dice.of(0..=3) {
            0 => Death::At(self.stage.clock.now() + dice.micros(0..=3_000_000)),
            1 => Death::AfterRecords(dice.of(0..=4)),
            2 => Death::AmidCommit(dice.of(0..=8), dice.of(0..=1) as usize),
            _ => Death::AfterRecords(dice.of(0..=run.survey.plan.len() as u64 * 3)),
        }
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
            if let super::network::Tide::Arrive(sent) = tide {
                self.stage.arrive(&sent);
            }
        }
    }

    // ---- closing

    fn close(&mut self, run: &Run, complete: bool) {
        let mut ends: Vec<Option<Ended>> = vec![None; run.lines.len()];
        for record in &run.journal {
            if let Record::Settled { row, outcome, doubt, drop } = record {
                let end = Ended { outcome: *outcome, doubt: *doubt, drop: *drop, body: body(run, *row) };
                assert!(ends[*row as usize].replace(end).is_none(), "law 1: row {row} has two outcomes");
            }
        }
        let recovered = recover(&run.journal);
        let (mut read, mut told) = (0, 0);
        for (id, (fate, line)) in run.survey.fates.iter().zip(&run.lines).enumerate() {
            let learnt = ends[id].take();
            let (outcome, facts) = match fate {
                Fate::End(outcome, facts) => {
                    assert!(learnt.is_none(), "law 1: row {id} ended twice");
                    if let Some(facts) = facts {
                        let drop = self.stage.ledger.bills.get(&facts.bill).map_or(0, |bill| bill.dropped);
                        let end = Ended { outcome: *outcome, doubt: facts.doubt, drop, body: None };
                        self.stage.ledger.fold(facts, end);
                    }
                    (*outcome, facts.as_ref())
                }
                Fate::Send(facts) => {
                    assert!(learnt.is_some() || !complete, "law 1: row {id} has no outcome");
                    let end = learnt.unwrap_or_else(|| {
                        let cut_off = recovered.get(&(id as u64));
                        let doubt = facts.doubt + cut_off.map_or(0, |row| row.doubt);
                        let outcome = if doubt > 0 { Outcome::Unknown } else { Outcome::Unsent };
                        let stored = self.stage.ledger.bills.get(&facts.bill).map_or(0, |bill| bill.dropped);
                        let drop = cut_off.and_then(|row| row.intent).unwrap_or(stored);
                        Ended { outcome, doubt, drop, body: body(run, id as u64) }
                    });
                    let is_trimmed = end.outcome == Outcome::Applied && end.drop != 0;
                    self.stage.auditor.coverage.hit_if("a trimmed revision", is_trimmed);
                    let outcome = end.outcome;
                    self.stage.ledger.fold(facts, end);
                    (outcome, Some(facts))
                }
            };
            self.stage.auditor.closed(facts.map(|facts| facts.bill), outcome);
            read += line.row.change;
            told += line.row.change;
        }
        assert_eq!(read, told, "law 1: the sums");
        self.rest(2_000_000);
    }

    // ---- the end

    /// The gateway is well: replays settle everything, but for what a refused bill in doubt bars; a person settles that.
    fn heal(&mut self) {
        self.stage.network.well = true;
        self.stage.world.trouble.down.clear();
        for _ in 0..20 + ROUNDS * self.stage.ledger.open().len() {
            let open = self.stage.ledger.open();
            if open.is_empty() {
                return;
            }
            let settings = Settings::calm(&mut self.stage.dice);
            let before = open.len();
            if self.run(open, settings) == 0 && self.stage.ledger.open().len() == before {
                self.ask_a_person();
            }
        }
        let open: Vec<_> = self.stage.ledger.bills.values().filter(|bill| bill.past.is_open()).collect();
        panic!("law 9: never settled: {open:?}");
    }

    fn ask_a_person(&mut self) {
        let bills = self.stage.ledger.bills.values();
        let barring: BTreeSet<_> = bills
            .filter(|bill| bill.past == Past::RefusedAfterDoubt)
            .map(|bill| (bill.facts.bill, self.stage.auditor.is_applied(bill.facts.bill)))
            .collect();
        assert!(!barring.is_empty(), "law 9: a replay sends nothing, and nothing bars it");
        for (bill, applied) in barring {
            self.stage.auditor.coverage.hit("a person's answer");
            if !applied {
                self.forgotten.insert(self.stage.ledger.bills[&bill].facts.row.content());
            }
            self.stage.ledger.settle(bill, applied);
            self.stage.auditor.answered(bill, applied);
        }
    }

    /// The files once more: nothing is sent but rows that are nobody's (no bill, no time), what was refused with another
    /// content, and what a person said was never applied.
    fn again(&mut self) {
        let files = self.stage.world.files.clone();
        let mut contents: BTreeMap<Option<u64>, BTreeSet<Digest>> = BTreeMap::new();
        for row in files.iter().flatten() {
            contents.entry(row.bill).or_default().insert(row.content());
        }
        for file in files {
            let known = |row: &&Row| {
                let has_identity = row.bill.is_some() || row.occurred.is_some();
                has_identity && contents[&row.bill].len() == 1 && !self.forgotten.contains(&row.content())
            };
            let lines: Vec<Row> = file.iter().filter(known).cloned().collect();
            let settings = Settings { include_refused: false, ..Settings::calm(&mut self.stage.dice) };
            assert_eq!(self.run(fresh(&lines), settings), 0, "law 3: the same file again, and it is sent");
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

/// The bytes of a row's last durable revision.
fn body(run: &Run, id: u64) -> Option<Vec<u8>> {
    run.journal.iter().rev().find_map(|record| match record {
        Record::Intent { row, body, .. } if *row == id => Some(body.clone()),
        _ => None,
    })
}
