//! The laws of CONTRACT section 7, judged from what was sent, what the gateway did and what became durable. It shares no
//! code with the core: what it knows it has seen.

mod calls;
mod ends;
mod pace;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;
use std::rc::Rc;
use std::time::Duration;

use passync::core::halt::Stop;
use passync::model::{BillId, Digest, Outcome, Place, Tick};

use super::coverage::Coverage;
use super::ledger::{Facts, Fate, Planning, Survey};
use super::network::{Sent, Told};
use super::trace::{Event, Trace};
use super::world::{Settings, World};
use pace::Pace;

/// What was seen of a bill, over all runs.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
struct Bill {
    card: usize,
    place: Place,
    closing: bool,
    user: u64,
    /// Members of attempts that may have been applied, as far as the caller was told.
    possible: u64,
    /// Members of attempts that were confirmed, durably.
    confirmed: u64,
    /// An attempt was never proved unapplied.
    doubted: bool,
    /// The gateway applied it.
    applied: bool,
    /// Durably known to be applied.
    proved: bool,
    /// It was told to be, or is durably, settled well: it must not be sent again.
    over: bool,
    /// The bytes of each revision.
    bodies: BTreeMap<(Digest, u64), Vec<u8>>,
}

/// What was seen of a row of the run.
#[derive(Debug)]
struct Row {
    plan: Planning,
    bill: BillId,
    content: Digest,
    card: usize,
    members: u64,
    /// The revision that is durable.
    durable: Option<u64>,
    /// Attempts of the run, those that never left not counted.
    sends: u32,
    settled: Option<Outcome>,
    settled_durable: bool,
    /// It ended because the run stopped.
    by_stop: bool,
    /// Its attempts in doubt when it was settled.
    in_doubt: u32,
}

impl Row {
    /// Between intent and outcome on disk.
    fn is_open(&self) -> bool {
        self.durable.is_some() && !self.settled_durable
    }
}

/// What was seen of a row in the process that lives.
#[derive(Debug, Default)]
struct Live {
    attempts: u32,
    doubts: u32,
    /// What came back last, and when.
    told: Option<(Tick, Told)>,
    sent_drop: u64,
    /// It was begun.
    intended: bool,
    /// Attempts and doubts that the process began with.
    recovered: (u32, u32),
}

/// The auditor.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Auditor {
    trace: Rc<RefCell<Trace>>,
    /// As in [`Trouble`](super::world::Trouble), until that is checked.
    narrow: Option<(u32, Tick)>,
    pace: Pace,
    pub coverage: Coverage,
    quota: usize,
    window: Duration,
    strict: bool,
    timeout: Duration,
    /// Arrivals (strict), or sends (paced), of one window.
    arrivals: VecDeque<Tick>,
    bills: BTreeMap<BillId, Bill>,
    /// Bills of which the card was, or may have been, given something.
    given: BTreeSet<(usize, Place, BillId)>,
    /// Per card and member, the place that the gateway shows.
    shown: BTreeMap<(usize, u64), Place>,
    /// Per card and member, the newest place that the gateway ever showed; and per card, the newest CLOSED.
    newest_shown: BTreeMap<(usize, u64), Place>,
    newest_closed: BTreeMap<usize, Place>,
    // ---- of the run
    hold: bool,
    rows: BTreeMap<u64, Row>,
    /// The cards that go first.
    canary: BTreeSet<usize>,
    /// Cards whose later rows must wait, with the row that made them.
    held: BTreeMap<usize, u64>,
    /// Places of the rows that were sent in the order of their places.
    walked: BTreeMap<usize, Place>,
    // ---- of the process
    settings: Option<Settings>,
    began: Tick,
    live: BTreeMap<u64, Live>,
    /// Rows between intent and durable outcome, those included that earlier processes left there: what a kill can send
    /// again.
    open: BTreeSet<u64>,
    /// The row of each card whose exchange is under way.
    under_way: BTreeMap<usize, u64>,
    /// The row of each card that has an intent and no outcome on record.
    intended: BTreeMap<usize, u64>,
    /// Cards with an exchange under way when a process died, and when the next one began.
    cut_off: BTreeMap<usize, Option<Tick>>,
    /// Nothing is sent before, as a throttle asked for.
    quiet_until: Tick,
    /// Times of the verified replies of the process.
    times: BTreeSet<i64>,
    budget_spent: u64,
    errors: (u64, u64),
    disowned: BTreeSet<usize>,
    must_stop: bool,
    stopping: bool,
    unheard_since: Option<Tick>,
    is_slow: bool,
}

impl Auditor {
    pub fn new(world: &World, trace: Rc<RefCell<Trace>>) -> Auditor {
        Auditor {
            trace,
            narrow: world.trouble.narrow,
            pace: Pace::default(),
            coverage: Coverage::default(),
            quota: world.quota as usize,
            window: world.window,
            strict: world.strict,
            timeout: world.timeout,
            arrivals: VecDeque::new(),
            bills: BTreeMap::new(),
            given: BTreeSet::new(),
            shown: BTreeMap::new(),
            newest_shown: BTreeMap::new(),
            newest_closed: BTreeMap::new(),
            hold: false,
            rows: BTreeMap::new(),
            canary: BTreeSet::new(),
            held: BTreeMap::new(),
            walked: BTreeMap::new(),
            settings: None,
            began: Tick::ZERO,
            live: BTreeMap::new(),
            open: BTreeSet::new(),
            under_way: BTreeMap::new(),
            intended: BTreeMap::new(),
            cut_off: BTreeMap::new(),
            quiet_until: Tick::ZERO,
            times: BTreeSet::new(),
            budget_spent: 0,
            errors: (0, 0),
            disowned: BTreeSet::new(),
            must_stop: false,
            stopping: false,
            unheard_since: None,
            is_slow: false,
        }
    }

    pub fn stage(&mut self, now: Tick, what: String) {
        self.trace.borrow_mut().stage(now, what);
    }

    fn tell(&self, now: Tick, row: u64, event: Event) {
        self.trace.borrow_mut().row(now, self.rows[&row].card, row, event);
    }

    // ---- runs and processes

    /// A run begins: its plan is durable.
    pub fn run(&mut self, now: Tick, survey: &Survey, settings: &Settings) {
        self.coverage.hit("runs");
        survey.met.iter().for_each(|case| self.coverage.hit(case));
        self.hold = settings.hold;
        (self.rows, self.held, self.walked) = Default::default();
        self.canary.clear();
        for plan in &survey.plan {
            let Fate::Send(facts) = &survey.fates[plan.row.id as usize] else { panic!("planned, and not to be sent") };
            let bill = self.bills.entry(facts.bill).or_default();
            if plan.adopted.is_none() {
                // Judged afresh: nothing of it was ever given, and its revisions are new.
                assert_eq!(bill.possible | bill.confirmed, 0, "row {} is judged afresh", plan.row.id);
                self.given.remove(&(bill.card, bill.place, facts.bill));
                bill.bodies.clear();
            }

            (bill.card, bill.place) = (facts.row.card, facts.place);
            (bill.closing, bill.user) = (facts.row.closing, facts.row.user);
            if settings.canary.is_some_and(|(cards, _)| self.canary.len() < cards) {
                self.canary.insert(facts.row.card);
            }
            let row = Row {
                plan: plan.clone(),
                bill: facts.bill,
                content: facts.content,
                card: facts.row.card,
                members: facts.row.members,
                durable: None,
                sends: 0,
                settled: None,
                settled_durable: false,
                by_stop: false,
                in_doubt: 0,
            };
            for gate in &plan.row.gates {
                assert!(self.rows.contains_key(&gate.id), "plan: row {} waits for {gate:?}, behind it", plan.row.id);
            }
            self.rows.insert(plan.row.id, row);
            let planned = plan.row.clone();
            let event = Event::Planned {
                at: facts.place,
                members: planned.members,
                drop: planned.drop,
                cover: planned.cover,
                absorbed: planned.absorbed,
                gates: planned.gates,
                doubt: planned.doubt,
            };
            self.tell(now, plan.row.id, event);
        }
    }

    /// A process of the run begins; `recovered`: what it takes over, as (row, attempts, doubts).
    pub fn process(&mut self, now: Tick, settings: &Settings, recovered: &[(u64, u32, u32)]) {
        self.coverage.hit("processes");
        self.settings = Some(settings.clone());
        self.began = now;
        self.live = BTreeMap::new();
        for (row, attempts, doubt) in recovered {
            self.live.insert(*row, Live { recovered: (*attempts, *doubt), ..Live::default() });
        }
        self.under_way.clear();
        for restart in self.cut_off.values_mut() {
            restart.get_or_insert(now);
        }
        (self.quiet_until, self.times) = (Tick::ZERO, BTreeSet::new());
        self.open = self.rows.iter().filter(|(_, row)| row.is_open()).map(|(id, _)| *id).collect();
        self.intended.clear();
        for (id, row) in &mut self.rows {
            assert!(
                !row.settled_durable || !row.by_stop,
                "law 9: row {id} is lost by a stop that never came to its end"
            );
            if !row.settled_durable {
                row.settled = None;
                if row.durable.is_some() {
                    let other = self.intended.insert(row.card, *id);
                    assert_eq!(other, None, "law 5: two rows of a card are open on disk");
                }
            }
        }
        self.held.retain(|_, by| self.rows[by].settled.is_some());
        (self.budget_spent, self.errors) = (0, (0, 0));
        self.disowned.clear();
        (self.must_stop, self.stopping) = (false, false);
        self.unheard_since = None;
        self.is_slow = false;
    }

    /// The share of the full pace that is in force.
    pub fn pace(&mut self, factor: f64) {
        self.coverage.hit_if("a slower pace", factor < 1.0 && !self.is_slow);
        self.coverage.hit_if("the full pace again", factor >= 1.0 && self.is_slow);
        self.is_slow = factor < 1.0;
    }

    /// The process died.
    pub fn cut(&mut self, now: Tick) {
        self.stage(now, "cut off".to_owned());
        self.coverage.hit("kills");
        let in_doubt = self.rows.values().any(Row::is_open);
        self.coverage.hit_if("a kill with rows in doubt", in_doubt);
        let is_recovering = self.live.values().any(|live| live.recovered.0 > 0);
        self.coverage.hit_if("a kill of a recovering process", is_recovering);
        self.cut_off.extend(self.under_way.keys().map(|card| (*card, None)));
        for row in self.under_way.values() {
            self.bills.get_mut(&self.rows[row].bill).expect("planned").doubted = true;
        }
    }

    /// The dispatcher says that it is done.
    pub fn done(&mut self, now: Tick, stop: Option<&Stop>) {
        self.stage(now, format!("done, stop: {stop:?}"));
        self.check_pace();
        assert!(self.under_way.is_empty(), "done with exchanges under way: {:?}", self.under_way);
        assert_eq!(self.stopping, stop.is_some(), "stopped: {stop:?}");
        let is_all_well = self.rows.values().all(|row| row.settled.is_some_and(|outcome| !outcome.is_open()));
        let is_known = is_all_well && !self.rows.is_empty(); // an empty plan has to be read first, too
        assert!(stop != Some(&Stop::Deadline) || !is_known, "stopped by the deadline with nothing left");
        let (held, most) = (self.held.len(), self.settings.as_ref().expect("a process lives").held_max);
        assert!(stop != Some(&Stop::TooMuchDoubt) || held > most, "stopped by {held} cards in doubt");
        assert!(stop.is_some() || held <= most, "{held} cards are in doubt, and nothing stops");
        assert!(stop != Some(&Stop::Errors) || self.must_stop, "stopped without a reason: {stop:?}");
        for (id, row) in self.rows.iter().filter(|(_, row)| !row.settled_durable) {
            self.trace.borrow_mut().look_at(row.card);
            assert!(row.settled.is_none(), "done before the outcome of row {id} is durable");
            assert!(stop.is_some(), "law 1: done, and row {id} has no outcome");
            // A stop may come before rows that an earlier process left open are taken up again.
            let is_untouched = self.live.get(id).is_none_or(|live| !live.intended && live.attempts == 0);
            assert!(is_untouched, "law 1: row {id} was sent and has no outcome");
        }
    }

    // ---- what becomes durable

    /// A revision is durable.
    pub fn intent_durable(&mut self, now: Tick, id: u64, drop: u64) {
        self.tell(now, id, Event::Durable);
        self.rows.get_mut(&id).expect("planned").durable = Some(drop);
    }

    /// An outcome is durable.
    pub fn settled_durable(&mut self, now: Tick, id: u64, outcome: Outcome, drop: u64) {
        self.tell(now, id, Event::SettledDurable(outcome));
        self.open.remove(&id);
        let row = self.rows.get_mut(&id).expect("planned");
        assert_eq!(row.settled, Some(outcome), "another outcome became durable");
        row.settled_durable = true;
        let bill = self.bills.get_mut(&row.bill).expect("planned");
        if outcome == Outcome::Applied {
            let carried = row.members & !drop;
            bill.confirmed |= carried;
            bill.proved = true;
            let (card, place, digest) = (row.card, bill.place, row.bill);
            if self.settings.as_ref().is_some_and(|settings| settings.allow_stale) {
                self.replace(card, place, digest, carried);
            }
        }
    }

    /// A run that may roll cards back did: what newer rows gave stands no more.
    fn replace(&mut self, card: usize, place: Place, bill: BillId, members: u64) {
        let newer: Vec<BillId> = self.newer(card, place, bill).map(|(_, bill)| bill).collect();
        let mut proved = 0;
        for bill in newer.into_iter().rev() {
            let bill = self.bills.get_mut(&bill).expect("sent");
            if bill.proved {
                proved |= bill.confirmed;
            }
            // What was in doubt behind a proved newer one was overwritten with that.
            let gone = if bill.proved { members } else { members & proved };
            if !bill.closing {
                self.coverage.hit_if("a card rolled back on demand", (bill.possible | bill.confirmed) & gone != 0);
                (bill.possible, bill.confirmed) = (bill.possible & !gone, bill.confirmed & !gone);
            }
        }
    }

    /// Bills of the card that stand behind a place and were, or may have been, given.
    fn newer(&self, card: usize, place: Place, bill: BillId) -> impl Iterator<Item = (Place, BillId)> {
        let last = (card, Place { occurred_ms: i64::MAX, ..Place::default() }, BillId::default());
        let behind = (Bound::Excluded((card, place, bill)), Bound::Excluded(last));
        let others = self.given.range(behind).filter(move |(_, other, _)| *other > place);
        others.map(|(_, place, digest)| (*place, *digest))
    }

    /// The process died: what was told of rows that are not settled durably is forgotten by the program.
    pub fn forget(&mut self) {
        let unsettled: Vec<BillId> =
            self.rows.values().filter(|row| !row.settled_durable).map(|row| row.bill).collect();
        for bill in unsettled {
            self.bills.get_mut(&bill).expect("planned").over = false;
        }
    }

    /// A person looked at the card and told the ledger.
    pub fn answered(&mut self, bill: BillId, applied: bool) {
        let Some(bill) = self.bills.get_mut(&bill) else { return }; // it was never planned to be sent
        assert_eq!(bill.applied, applied);
        if applied {
            bill.confirmed |= bill.possible;
            (bill.over, bill.proved) = (true, true);
        }
        (bill.possible, bill.doubted) = (0, false);
    }

    /// Whether the gateway applied a bill, as a person would see on the card.
    pub fn is_applied(&self, bill: BillId) -> bool {
        self.bills.get(&bill).is_some_and(|bill| bill.applied)
    }

    /// A run is closed; a line of it has this outcome.
    pub fn closed(&mut self, facts: &Facts, outcome: Outcome) {
        self.coverage.hit("rows");
        self.coverage.outcome(outcome);
        self.trace.borrow_mut().look_at(facts.row.card);
        let bill = self.bills.get(&facts.bill);
        match outcome {
            Outcome::Applied | Outcome::AlreadyApplied => {
                assert!(bill.is_some_and(|bill| bill.applied), "closed as {outcome}, and never was: {facts:?}");
            }
            Outcome::Unsent | Outcome::Held => {
                let may_stand = bill.is_some_and(|bill| bill.applied || bill.doubted);
                assert!(!may_stand, "closed as {outcome}, and may stand on the card: {facts:?}");
            }
            Outcome::Superseded => {
                let is_closed = self.newest_closed.get(&facts.row.card).is_some_and(|place| *place > facts.place);
                let is_given = |bit| self.newest_shown.get(&(facts.row.card, bit)) > Some(&facts.place);
                assert!(is_closed || bits(facts.row.members).all(is_given), "superseded by nothing: {facts:?}");
            }
            Outcome::Coalesced
            | Outcome::Conflict
            | Outcome::Duplicate
            | Outcome::Refused
            | Outcome::Rejected
            | Outcome::Unknown => {}
        }
    }
}

/// The members of a mask.
fn bits(mask: u64) -> impl Iterator<Item = u64> {
    (0..u64::BITS).map(|bit| 1 << bit).filter(move |bit| mask & bit != 0)
}
