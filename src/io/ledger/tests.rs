//! The ledger as a state machine: any series of commands, kills among them, leaves what plain maps say.

use std::collections::BTreeMap;
use std::sync::mpsc::channel;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::core::history::Past;
use crate::model::{Attempt, BillId, Digest, Intent, Outcome, Place, Reading, Record, Seat, Settled, Verdict};

/// Rows of a run, and bills: row `n` is always of bill `n`, and bills of even and odd numbers are of two cards.
const ROWS: u8 = 5;
const JOBS: [&str; 2] = ["a", "b"];

#[derive(Clone, Debug)]
enum Command {
    /// Begins a run of a job, or plans its interrupted one again.
    Plan(usize),
    /// Records of the job's interrupted run.
    Append(usize, Vec<Event>),
    /// Folds it: per bill how it stands, if it came to it.
    Fold {
        job: usize,
        pasts: Vec<Option<usize>>,
        at: i64,
        replace: bool,
    },
    Close(usize),
    /// A person's answer about a bill.
    Settle(u8, bool),
    Stamp(bool, i64),
    /// The process is killed: the next one finds the files as they are.
    Kill,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Intent { row: u8, drop: u64 },
    Attempt { row: u8 },
    Settled { row: u8, outcome: Outcome },
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Bill {
    past: Past,
    doubt: u32,
    place: Place,
    last_run: u32,
    dropped: Vec<String>,
    body: Option<Vec<u8>>,
}

#[derive(Clone, Debug, Default)]
struct Run {
    job: usize,
    closed: bool,
    /// `None`: folded.
    epoch: Option<i64>,
    events: Vec<Event>,
    /// Where the events begin that the plan does not know of, and those whose bodies are there.
    planned_at: usize,
    bodies_from: usize,
}

/// What plain maps say.
#[derive(Clone, Debug, Default)]
struct Model {
    runs: BTreeMap<u32, Run>,
    bills: BTreeMap<u8, Bill>,
    /// Per card, the place and the value of its one member.
    cards: BTreeMap<u8, (Place, String)>,
    epoch: i64,
    stamp: Option<(bool, i64)>,
}

fn key(bill: u8) -> BillId {
    BillId([bill; 24])
}

fn card(bill: u8) -> Digest {
    Digest([100 + bill % 2; 16])
}

fn body(row: u8, drop: u64, run: u32) -> Vec<u8> {
    format!("row {row} without {drop} of run {run}").into()
}

fn place(at: i64, run: u32, line: u8) -> Place {
    Place { occurred_ms: at, sequence: 0, run, seat: Seat { source: 0, line: line.into() } }
}

impl Event {
    fn record(self, run: u32) -> Record {
        match self {
            Event::Intent { row, drop } => Record::Intent(Intent { row: row.into(), drop, body: body(row, drop, run) }),
            Event::Attempt { row } => Record::Attempt(Attempt {
                row: row.into(),
                sent_ms: 7,
                latency_us: 8,
                reading: Reading::transport(Verdict::InDoubt, "TIMEOUT", "silence"),
            }),
            Event::Settled { row, outcome } => {
                Record::Settled(row.into(), Box::new(Settled::local(outcome, "CODE", "text", 9)))
            }
        }
    }
}

impl Model {
    fn interrupted(&self, job: usize) -> Option<u32> {
        self.runs.iter().find(|(_, run)| run.job == job && !run.closed).map(|(ordinal, _)| *ordinal)
    }

    fn fold(&mut self, ordinal: u32, pasts: &[Option<usize>], at: i64, replace: bool) {
        let run = self.runs.get_mut(&ordinal).unwrap();
        for (bill, past) in (0..).zip(pasts).filter_map(|(bill, past)| Some((bill, Past::ALL[(*past)?]))) {
            let place = place(at, ordinal, bill);
            if past == Past::Applied {
                let value = format!("of {bill}");
                match self.cards.get_mut(&(bill % 2)) {
                    Some(known) if replace || known.0 <= place => *known = (place, value),
                    Some(_) => {}
                    None => drop(self.cards.insert(bill % 2, (place, value))),
                }
            }
            let known = self.bills.get(&bill);
            let is_late = known.is_some_and(|known| match past {
                Past::Applied => false,
                Past::NeverSent => !matches!(known.past, Past::NeverSent | Past::Refused),
                _ => known.past == Past::Applied,
            });
            if is_late {
                continue;
            }
            let newest = run.events[run.planned_at..].iter().rev().find_map(|event| match event {
                Event::Intent { row, drop } if *row == bill => Some(body(bill, *drop, ordinal)),
                _ => None,
            });
            let is_possible = matches!(past, Past::Doubtful | Past::RefusedAfterDoubt);
            let own = if is_possible || past == Past::NeverSent { vec!["level".to_owned()] } else { Vec::new() };
            let (dropped, body) = match (is_possible, newest, known) {
                (true, None, Some(known)) => (known.dropped.clone(), known.body.clone()),
                (true, newest, _) => (own, newest),
                (false, ..) => (own, None),
            };
            let doubt = u32::from(is_possible);
            self.bills.insert(bill, Bill { past, doubt, place, last_run: ordinal, dropped, body });
        }
        run.epoch = None;
        self.epoch += 1;
    }

    fn settle(&mut self, bill: u8, applied: bool) {
        let Some(known) = self.bills.remove(&bill) else { return };
        self.epoch += 1;
        if applied {
            let shown = self.cards.entry(bill % 2).or_default();
            // What its stored revision left out it did not bring.
            if !known.dropped.contains(&"points".to_owned()) && shown.0 <= known.place {
                *shown = (known.place, format!("of {bill}"));
            }
            self.bills.insert(bill, Bill { past: Past::Applied, body: None, ..known });
        }
    }
}

/// A real ledger beside its model.
struct Pair {
    dir: TempDir,
    ledger: Ledger,
    model: Model,
}

impl Pair {
    fn new() -> Pair {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&dir.path().join("ledger.db")).unwrap();
        Pair { dir, ledger, model: Model::default() }
    }

    fn take(&mut self, command: &Command) {
        match command {
            Command::Plan(job) => self.plan(*job),
            Command::Append(job, events) => {
                if let Some(ordinal) = self.model.interrupted(*job).filter(|run| self.model.runs[run].epoch.is_some()) {
                    self.append(ordinal, events);
                }
            }
            Command::Fold { job, pasts, at, replace } => {
                if let Some(ordinal) = self.model.interrupted(*job) {
                    self.fold(ordinal, pasts, *at, *replace);
                }
            }
            Command::Close(job) => {
                if let Some(ordinal) = self.model.interrupted(*job) {
                    self.ledger.close_run(ordinal, 0, 10, "{}").unwrap();
                    let is_last = self.model.runs.values().filter(|run| !run.closed).count() == 1;
                    for run in self.model.runs.values_mut().filter(|run| is_last || run.job == *job) {
                        run.bodies_from = run.events.len();
                    }
                    self.model.runs.get_mut(&ordinal).unwrap().closed = true;
                }
            }
            Command::Settle(bill, applied) => self.settle(*bill, *applied),
            Command::Stamp(busy, ended_ns) => {
                let stamp = QuotaStamp { busy: *busy, boot: "boot".to_owned(), ended_ns: *ended_ns };
                self.ledger.stamp_quota("scope", &stamp).unwrap();
                self.model.stamp = Some((*busy, *ended_ns));
            }
            Command::Kill => self.kill(),
        }
    }

    fn plan(&mut self, job: usize) {
        let ordinal = self.model.interrupted(job).unwrap_or(self.model.runs.len() as u32 + 1);
        assert!(self.model.runs.contains_key(&ordinal) || self.ledger.next_ordinal().unwrap() == ordinal);
        let id = format!("run-{ordinal}");
        let run = NewRun { ordinal, id: &id, job: JOBS[job], kind: "run", started_ms: 1, inputs: "x", detail: "{}" };
        self.ledger.begin_run(&run).unwrap();
        let run = self.model.runs.entry(ordinal).or_default();
        (run.job, run.epoch, run.planned_at) = (job, Some(self.model.epoch), run.events.len());
    }

    fn append(&mut self, ordinal: u32, events: &[Event]) {
        let (sender, acks) = channel();
        let writer =
            Writer::start(self.ledger.path(), ordinal, move |done| sender.send(done.unwrap()).unwrap()).unwrap();
        for event in events {
            writer.append(event.record(ordinal));
        }
        drop(writer);
        let acks: Vec<Ack> = acks.iter().flatten().collect();
        let expected = events.iter().filter_map(|event| match event {
            Event::Intent { row, .. } => Some(Ack::Intent((*row).into())),
            Event::Attempt { .. } => None,
            Event::Settled { row, .. } => Some(Ack::Settled((*row).into())),
        });
        assert_eq!(acks, expected.collect::<Vec<_>>(), "records commit in order");
        self.model.runs.get_mut(&ordinal).unwrap().events.extend(events);
    }

    fn fold(&mut self, ordinal: u32, pasts: &[Option<usize>], at: i64, replace: bool) {
        let known = (0..).zip(pasts).filter_map(|(bill, past)| Some((bill, Past::ALL[(*past)?])));
        let (mut bills, mut cards) = (Vec::new(), Vec::new());
        for (bill, past) in known {
            let members = vec![("points".into(), format!("of {bill}").into())];
            bills.push(BillChange {
                key: key(bill),
                row: bill.into(),
                bill_no: None,
                card: card(bill),
                card_no: "C".into(),
                content: Digest([bill; 16]),
                place: place(at, ordinal, bill),
                past,
                outcome: Outcome::Unknown,
                closing: false,
                doubt: u32::from(past.is_possible()),
                settled_ms: 0,
                code: String::new(),
                dropped: vec!["level".to_owned()],
                members: members.clone(),
            });
            if past == Past::Applied {
                let (card, place) = (card(bill), place(at, ordinal, bill));
                cards.push(CardChange { card, place, card_no: "C".into(), members, closing: false, replace });
            }
        }
        bills.sort();
        cards.sort();
        self.ledger.fold(ordinal, bills.into_iter().map(Ok), cards.into_iter().map(Ok)).unwrap();
        self.model.fold(ordinal, pasts, at, replace);
    }

    fn settle(&mut self, bill: u8, applied: bool) {
        let Some(known) = self.ledger.bill(key(bill)).unwrap() else { return };
        if known.past.is_open() || known.past.is_possible() {
            let answer = if applied { Answer::Applied } else { Answer::NotApplied };
            self.ledger.settle(&[Answered { bill: known, answer, reason: "seen".to_owned() }], 11).unwrap();
            self.model.settle(bill, applied);
        }
    }

    fn kill(&mut self) {
        let dir = tempfile::tempdir().unwrap();
        for name in ["ledger.db", "ledger.db-wal"] {
            let _ = std::fs::copy(self.dir.path().join(name), dir.path().join(name)); // there may be no log
        }
        self.ledger = Ledger::open(&dir.path().join("ledger.db")).unwrap();
        self.dir = dir;
    }

    fn compare(&self) {
        let (ledger, model) = (&self.ledger, &self.model);
        assert_eq!(ledger.epoch().unwrap(), model.epoch);
        let stamp = ledger.quota_stamps().unwrap().get("scope").map(|stamp| (stamp.busy, stamp.ended_ns));
        assert_eq!(stamp, model.stamp);
        for bill in 0..ROWS {
            let known = ledger.bill(key(bill)).unwrap().map(|bill| Bill {
                past: bill.past,
                doubt: bill.doubt,
                place: bill.place,
                last_run: bill.last_run,
                dropped: bill.dropped,
                body: bill.body,
            });
            assert_eq!(known, model.bills.get(&bill).cloned(), "bill {bill}");
        }
        for of in 0..2 {
            let shown = ledger.card(card(of)).unwrap().map(|(_, state)| state.members["points"].clone());
            let expected = model.cards.get(&of).cloned();
            assert_eq!(shown.map(|shown| (shown.place, shown.value)), expected, "card {of}");
        }
        let open = model.bills.values().filter(|bill| bill.past.is_open()).count() as u64;
        assert_eq!(ledger.open_count().unwrap(), open);
        for (job, name) in JOBS.iter().enumerate() {
            let interrupted = ledger.interrupted(name).unwrap().map(|run| run.ordinal);
            assert_eq!(interrupted, model.interrupted(job));
        }
        for (ordinal, run) in &model.runs {
            self.compare_run(*ordinal, run);
        }
    }

    fn compare_run(&self, ordinal: u32, run: &Run) {
        let row = self.ledger.run(ordinal).unwrap().unwrap();
        assert_eq!((row.is_folded(), row.state == RunState::Closed), (run.epoch.is_none(), run.closed));
        assert_eq!(run.epoch.unwrap_or(row.epoch), row.epoch);
        let read = |part| {
            let mut records = Vec::new();
            let each = |record| -> Result<(), LedgerError> {
                records.push(record);
                Ok(())
            };
            self.ledger.journal(ordinal, part, each).unwrap();
            records
        };
        let learnt = |events: &[Event]| {
            let learnt = events.iter().filter(|event| !matches!(event, Event::Intent { .. }));
            learnt.map(|event| event.record(ordinal)).collect::<Vec<_>>()
        };
        let (before, since) = run.events.split_at(run.planned_at);
        assert_eq!((read(Part::BeforePlan), read(Part::SincePlan)), (learnt(before), learnt(since)));
        let mut intents = Vec::new();
        let each = |intent: Intent| -> Result<(), LedgerError> {
            intents.push(Record::Intent(intent));
            Ok(())
        };
        self.ledger.intents(ordinal, each).unwrap();
        let kept = run.events[run.planned_at.max(run.bodies_from)..].iter();
        let kept = kept.filter(|event| matches!(event, Event::Intent { .. })).map(|event| event.record(ordinal));
        assert_eq!(intents, kept.collect::<Vec<_>>(), "the bodies of run {ordinal}");
    }
}

fn event() -> impl Strategy<Value = Event> {
    let row = 0..ROWS;
    prop_oneof![
        (row.clone(), 0_u64..4).prop_map(|(row, drop)| Event::Intent { row, drop }),
        row.clone().prop_map(|row| Event::Attempt { row }),
        (row, prop::sample::select(Outcome::ALL.to_vec())).prop_map(|(row, outcome)| Event::Settled { row, outcome }),
    ]
}

fn command() -> impl Strategy<Value = Command> {
    let job = 0_usize..2;
    let pasts = prop::collection::vec(prop::option::of(0..Past::ALL.len()), usize::from(ROWS));
    prop_oneof![
        3 => job.clone().prop_map(Command::Plan),
        4 => (job.clone(), prop::collection::vec(event(), 1..8)).prop_map(|(job, events)| Command::Append(job, events)),
        3 => (job.clone(), pasts, 0_i64..5, prop::bool::weighted(0.2))
            .prop_map(|(job, pasts, at, replace)| Command::Fold { job, pasts, at, replace }),
        2 => job.prop_map(Command::Close),
        2 => (0..ROWS, any::<bool>()).prop_map(|(bill, applied)| Command::Settle(bill, applied)),
        1 => (any::<bool>(), 0_i64..1_000).prop_map(|(busy, ended_ns)| Command::Stamp(busy, ended_ns)),
        2 => Just(Command::Kill),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn any_series_of_commands_and_kills_leaves_what_plain_maps_say(
        commands in prop::collection::vec(command(), 1..25),
    ) {
        let mut pair = Pair::new();
        for command in &commands {
            pair.take(command);
            pair.compare();
        }
    }
}
