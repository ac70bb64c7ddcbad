use std::collections::{HashMap, HashSet};
use std::time::Duration;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::core::dispatcher::{Action, Config, Dispatcher, Event, PlanRow};
use crate::core::halt::ErrorLimit;
use crate::core::history::Past;
use crate::core::quota::Quota;
use crate::core::retry::Policy;
use crate::io::StorageError;
use crate::io::frames::FrameReader;
use crate::io::ledger::BillChange;
use crate::model::{Delta, Field, Seat, Status, Tick, Verdict};
use crate::run::brief::Seen;
use crate::run::store::RowsWriter;
use crate::run::stored::{Content, StoredRow};

/// A line of an input; what is small clashes often.
#[derive(Clone, Debug)]
struct Line {
    card: u8,
    bill: Option<u8>,
    /// Bit 0: points, bit 1: a level.
    members: u8,
    version: u8,
    occurred_ms: Option<i64>,
    sequence: i64,
}

impl Line {
    fn delta(&self) -> Delta {
        let value = format!("{}-{}", self.version, self.bill.unwrap_or(99));
        let named = [(1, "points"), (2, "level.en")].into_iter().filter(|(bit, _)| self.members & bit != 0);
        Delta {
            merchant: "M".into(),
            card: format!("C{}", self.card).into(),
            status: Status::Update,
            bill_no: self.bill.map(|bill| format!("B{bill}").into()),
            bill_key: Vec::new(),
            ids: vec![Field::text("user_id", "U")],
            members: named.map(|(_, name)| Field::text(name, value.clone())).collect(),
            level: None,
            riders: Vec::new(),
            last_changed_points: None,
            occurred_ms: self.occurred_ms,
            folded: false,
            sequence: self.sequence,
        }
    }

    fn place(&self, line: u64) -> Place {
        let seat = Seat { source: 0, line };
        Place { occurred_ms: self.occurred_ms.unwrap_or(DEFAULT_MS), sequence: self.sequence, run: 1, seat }
    }
}

/// The place in time of lines without one.
const DEFAULT_MS: i64 = 50;

/// A ledger and a run's folder.
struct Desk {
    dir: TempDir,
    ledger: Ledger,
    members: Members,
}

impl Desk {
    fn new() -> Desk {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&dir.path().join("ledger.db")).unwrap();
        Desk { dir, ledger, members: Members(vec!["points".to_owned(), "level.en".to_owned()]) }
    }

    /// Makes bills known that an earlier run left so.
    fn know(&mut self, bills: &[(&Line, Past)]) {
        let mut changes: Vec<BillChange> = bills
            .iter()
            .map(|(line, past)| {
                let delta = line.delta();
                BillChange {
                    key: delta.bill_id("scope").unwrap(),
                    row: 0,
                    bill_no: delta.bill_no.clone(),
                    card: delta.card_digest(),
                    card_no: delta.card.clone(),
                    content: delta.content_digest(),
                    place: line.place(0),
                    past: *past,
                    outcome: Outcome::Unknown,
                    closing: false,
                    doubt: u32::from(past.is_possible()),
                    settled_ms: 0,
                    code: String::new(),
                    dropped: Vec::new(),
                    members: delta
                        .members
                        .iter()
                        .map(|field| (field.name.clone(), field.value.text().into()))
                        .collect(),
                }
            })
            .collect();
        changes.sort();
        let changes = changes.into_iter().map(Ok::<_, StorageError>);
        self.ledger.fold(1, changes, std::iter::empty()).unwrap();
    }

    fn plan(&self, lines: &[Line], coalesce: bool) -> (Vec<Fate>, Vec<PlanRecord>) {
        let folder = RunFolder::at(&self.dir.path().join("run"));
        std::fs::create_dir_all(folder.path()).unwrap();
        let mut rows = RowsWriter::create(&folder, "scope".to_owned()).unwrap();
        for (line, seat) in lines.iter().zip(1..) {
            let delta = line.delta();
            let members = self.members.mask(delta.members.iter().map(|member| member.name.as_str()));
            let row = StoredRow {
                seat: Seat { source: 0, line: seat },
                origin: None,
                bill_no: delta.bill_no.clone(),
                card_no: delta.card.clone(),
                change: None,
                unsummed: false,
                content: Content::Delta(Box::new(delta)),
            };
            rows.push(&row, &Seen { members, ..Seen::default() }).unwrap();
        }
        rows.finish().unwrap();
        let order = Order {
            timings: &Timings::default(),
            suspects: &[Suspects::default()],
            scope: "scope",
            ordinal: 2,
            run_id: "run-2",
            started_ms: DEFAULT_MS,
            inputs: &[InputFact {
                name: "a.csv".to_owned(),
                path: String::new(),
                format: "csv".to_owned(),
                size: 0,
                rows: lines.len() as u64,
                sha256: String::new(),
                occurred_default_ms: DEFAULT_MS,
            }],
            settings: &serde_json::Value::Null,
            members: &self.members,
            timed: &BTreeMap::new(),
            coalesce,
            coalesce_bills: true,
            allow_stale: false,
            import: false,
            include_refused: false,
        };
        make(&order, &self.ledger, &folder).unwrap();
        let fates = FrameReader::open(&folder.fates()).unwrap().map(Result::unwrap).collect();
        (fates, FrameReader::open(&folder.plan()).unwrap().map(Result::unwrap).collect())
    }
}

fn line(timed: bool) -> impl Strategy<Value = Line> {
    (0_u8..3, prop::option::weighted(0.8, 0_u8..8), 1_u8..=3, 0_u8..2, 0_i64..6, 0_i64..2).prop_map(
        move |(card, bill, members, version, at, sequence)| {
            let occurred_ms = timed.then_some(at);
            Line { card, bill, members, version, occurred_ms, sequence }
        },
    )
}

fn lines() -> impl Strategy<Value = Vec<Line>> {
    any::<bool>().prop_flat_map(|timed| prop::collection::vec(line(timed), 1..60))
}

/// What the CONTRACT makes of a bill that the ledger knows: (the same content, another). `None`: it is sent.
fn in_ledger(past: Past, same: bool) -> Option<Outcome> {
    match (past, same) {
        (Past::Applied, true) => Some(Outcome::AlreadyApplied),
        (Past::Refused, true) => Some(Outcome::Refused),
        (Past::Superseded, true) => Some(Outcome::Superseded),
        (Past::Coalesced, true) => Some(Outcome::Coalesced),
        (Past::NeverSent, _) | (Past::Refused, false) => None,
        _ => Some(Outcome::Conflict),
    }
}

/// A bill that the ledger has keeps the place that it was first given, as long as it says the same.
fn place(line: &Line, at: usize, known: &BTreeMap<u8, (Line, Past)>) -> Place {
    let before = line.bill.and_then(|bill| known.get(&bill)).map(|(before, _)| before);
    let is_same = |before: &&Line| before.delta().content_digest() == line.delta().content_digest();
    let own = Place { run: 2, ..line.place(at as u64 + 1) };
    before.filter(is_same).map_or(own, |before| before.place(0))
}

/// The same by plain maps in memory: per line, how it ends without a call. `None`: it is sent.
fn naive(lines: &[Line], known: &BTreeMap<u8, (Line, Past)>) -> Vec<Option<Outcome>> {
    type Identity = (Option<u8>, u8, Option<i64>, i64, Option<Digest>, usize);
    let mut groups: BTreeMap<Identity, Vec<usize>> = BTreeMap::new();
    for (at, line) in lines.iter().enumerate() {
        let content = Some(line.delta().content_digest());
        let identity = match (line.bill, line.occurred_ms) {
            (Some(_), _) => (line.bill, 0, None, 0, None, 0),
            (None, Some(_)) => (None, line.card, line.occurred_ms, line.sequence, content, 0),
            (None, None) => (None, 0, None, 0, None, at + 1),
        };
        groups.entry(identity).or_default().push(at);
    }
    let mut ends = vec![None; lines.len()];
    for rows in groups.values() {
        let first = &lines[rows[0]];
        let contents: HashSet<Digest> = rows.iter().map(|at| lines[*at].delta().content_digest()).collect();
        let before = first.bill.and_then(|bill| known.get(&bill));
        let before = before.map(|(known, past)| (*past, contents.contains(&known.delta().content_digest())));
        let end = before.and_then(|(past, same)| in_ledger(past, same));
        for (nth, at) in rows.iter().enumerate() {
            ends[*at] = match end {
                _ if contents.len() > 1 => Some(Outcome::Conflict),
                Some(Outcome::Conflict) => Some(Outcome::Conflict),
                _ if nth > 0 => Some(Outcome::Duplicate),
                end => end,
            };
        }
    }
    // Bare lines: the one directly before, in the order of places, may say the same.
    for card in 0..3 {
        let mut rows: Vec<usize> =
            (0..lines.len()).filter(|at| lines[*at].card == card && ends[*at].is_none()).collect();
        rows.sort_by_key(|at| place(&lines[*at], *at, known));
        for pair in rows.windows(2) {
            let (before, line) = (&lines[pair[0]], &lines[pair[1]]);
            let is_bare = line.bill.is_none() && line.occurred_ms.is_none();
            if is_bare && before.delta().content_digest() == line.delta().content_digest() {
                ends[pair[1]] = Some(Outcome::Duplicate);
            }
        }
    }
    ends
}

/// The calls of a run over a plan, per card: what each carried of which line. A line's own facts decide how it ends.
fn calls(lines: &[Line], plan: &[PlanRecord], concurrency: usize) -> BTreeMap<u8, Vec<(Option<i64>, i64, u64)>> {
    let config = Config {
        concurrency,
        policy: Policy {
            attempts_max: 2,
            backoff_base: Duration::ZERO,
            backoff_max: Duration::ZERO,
            schedule: Vec::new(),
        },
        budget: u64::MAX,
        hold: true,
        error_limit: ErrorLimit::Off,
        held_max: usize::MAX,
        cut_off: 0,
        doubt_not_before: Tick::ZERO,
        deadline: Tick::NEVER,
        canary_continues: false,
    };
    let mut dispatcher = Dispatcher::new(config, Quota::new(1_000_000, Duration::from_secs(1), false, Tick::ZERO));
    let rows = plan.iter().cloned().map(|record| PlanRow {
        id: record.id,
        card: record.card,
        members: record.members,
        drop: record.drop,
        cover: record.cover,
        absorbed: record.absorbed,
        gates: record.gates,
        watched: record.watched,
        doubt: record.doubt,
        recovered: None,
    });
    let (mut rows, mut now, mut drops) = (Some(rows.collect::<Vec<_>>()), Tick::ZERO, HashMap::new());
    let mut calls: BTreeMap<u8, Vec<_>> = BTreeMap::new();
    loop {
        let event = match dispatcher.poll(now) {
            Action::Read(_) => match rows.take() {
                Some(rows) => Event::Rows(rows),
                None => Event::EndOfPlan,
            },
            Action::Intend { id, drop } => {
                drops.insert(id, drop);
                Event::Durable(id)
            }
            Action::Send { id } => {
                let line = &lines[id as usize];
                let carried = u64::from(line.members) & !drops[&id];
                calls.entry(line.card).or_default().push((line.occurred_ms, line.sequence, carried));
                let verdict = match (line.version, line.occurred_ms.unwrap_or(0) % 5) {
                    (1, 1) => Verdict::Refused,
                    (1, 2) => Verdict::InDoubt,
                    _ => Verdict::Applied,
                };
                let (retry_after, configuration) = (None, None);
                Event::Reply { id, verdict, answered: true, retry_after, verified: true, configuration, random: 0 }
            }
            Action::Settle(end) => Event::Committed(end.id),
            Action::Attempted { .. } => continue,
            Action::Sleep(until) => {
                now = until;
                continue;
            }
            Action::Park => panic!("parked, and nothing is awaited"),
            Action::Done => return calls,
        };
        dispatcher.handle(event, now);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Bills that clash with each other and with the ledger, sorted in parts on disk, end as plain maps say.
    #[test]
    fn duplicates_and_conflicts_are_those_of_plain_maps(
        (lines, known) in (lines(), prop::collection::vec((line(true), 0_usize..5), 0..6)),
    ) {
        let pasts = [Past::Applied, Past::NeverSent, Past::Refused, Past::Superseded, Past::Coalesced];
        let known: BTreeMap<u8, (Line, Past)> = known
            .into_iter()
            .filter_map(|(line, past)| Some((line.bill?, (line, pasts[past]))))
            .collect();
        let mut desk = Desk::new();
        desk.know(&known.values().map(|(line, past)| (line, *past)).collect::<Vec<_>>());
        let (fates, plan) = desk.plan(&lines, false);
        let ends: Vec<Option<Outcome>> = fates
            .iter()
            .map(|fate| match fate {
                Fate::Send(_) => None,
                Fate::End { outcome, .. } => Some(*outcome),
                Fate::Keep { .. } => panic!("there was no earlier part"),
            })
            .collect();
        prop_assert_eq!(&ends, &naive(&lines, &known));
        let mut planned: Vec<u64> = plan.iter().map(|record| record.id).collect();
        planned.sort_unstable();
        let sent: Vec<u64> = (0..).zip(&ends).filter(|(_, end)| end.is_none()).map(|(id, _)| id).collect();
        prop_assert_eq!(planned, sent);
    }

    /// Whatever the order of the input, each card gets the same calls: rows of one instant apart, nothing but the place
    /// of a row counts. With rows in doubt from earlier runs, that others wait for, and with groups.
    #[test]
    fn any_order_of_the_input_gives_the_same_calls_per_card(
        lines in prop::collection::vec(line(true), 1..40),
        doubtful in prop::collection::vec(prop::bool::weighted(0.15), 40),
        coalesce: bool,
        order in any::<prop::sample::Index>(),
        concurrency in 1_usize..4,
    ) {
        let mut seen = HashSet::new();
        let lines = lines.into_iter().zip(0_u8..).filter(|(line, _)| seen.insert((line.card, line.occurred_ms, line.sequence)));
        let lines: Vec<Line> = lines.map(|(line, at)| Line { bill: Some(at), ..line }).collect();
        let mut desk = Desk::new();
        let known = lines.iter().zip(&doubtful).filter(|(_, doubtful)| **doubtful);
        desk.know(&known.map(|(line, _)| (line, Past::Doubtful)).collect::<Vec<_>>());
        let (_, plan) = desk.plan(&lines, coalesce);
        let expected = calls(&lines, &plan, 1);
        let mut shuffled = lines;
        let step = order.index(shuffled.len());
        shuffled.rotate_left(step);
        shuffled.chunks_mut(3).for_each(<[Line]>::reverse);
        let (_, plan) = desk.plan(&shuffled, coalesce);
        prop_assert_eq!(calls(&shuffled, &plan, concurrency), expected);
    }
}
