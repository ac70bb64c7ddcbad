//! The laws of CONTRACT section 7, judged from what was sent, what the gateway did and what became durable. It shares no
//! code with the core: what it knows it has seen.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use passync::core::dispatcher::{Cause, Settlement};
use passync::core::halt::{ErrorLimit, Stop};
use passync::model::{Digest, Outcome, Place, Tick, Verdict};

use super::coverage::Coverage;
use super::ledger::{Fate, Planning, Survey};
use super::network::{Sent, Told};
use super::trace::{Event, Trace};
use super::world::{Settings, World};

/// What was seen of a bill, over all runs.
#[derive(Debug, Default)]
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
    /// It was told to be, or is durably, settled well: it must not be sent again.
    over: bool,
    /// The bytes of each revision.
    bodies: BTreeMap<(Digest, u64), Vec<u8>>,
}

/// What was seen of a row of the run.
#[derive(Debug)]
struct Row {
    plan: Planning,
    bill: Digest,
    content: Digest,
    card: usize,
    members: u64,
    /// The revision that is durable.
    durable: Option<u64>,
    /// Attempts of the run, those that never left not counted.
    sends: u32,
    settled: Option<Outcome>,
    settled_durable: bool,
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
    told: Option<Told>,
    sent_drop: u64,
    /// It was begun.
    intended: bool,
    /// Attempts and doubts that the process began with.
    recovered: (u32, u32),
}

/// The auditor.
pub struct Auditor {
    trace: Rc<RefCell<Trace>>,
    pub coverage: Coverage,
    quota: usize,
    window: Duration,
    strict: bool,
    timeout: Duration,
    /// Arrivals (strict), or sends (paced), of one window.
    arrivals: VecDeque<Tick>,
    bills: BTreeMap<Digest, Bill>,
    /// Bills of which the card was, or may have been, given something.
    given: BTreeSet<(usize, Place, Digest)>,
    /// Per card and member, the newest place that the gateway was given.
    shown: BTreeMap<(usize, u64), Place>,
    // ---- of the run
    hold: bool,
    rows: BTreeMap<u64, Row>,
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
    /// Cards with an exchange under way when the last process died.
    cut_off: BTreeSet<usize>,
    budget_spent: u64,
    errors: (u64, u64),
    disowned: BTreeSet<usize>,
    must_stop: bool,
    stopping: bool,
    not_reached_since: Option<Tick>,
}

impl Auditor {
    pub fn new(world: &World, trace: Rc<RefCell<Trace>>) -> Auditor {
        Auditor {
            trace,
            coverage: Coverage::default(),
            quota: world.quota as usize,
            window: world.window,
            strict: world.strict,
            timeout: world.timeout,
            arrivals: VecDeque::new(),
            bills: BTreeMap::new(),
            given: BTreeSet::new(),
            shown: BTreeMap::new(),
            hold: false,
            rows: BTreeMap::new(),
            held: BTreeMap::new(),
            walked: BTreeMap::new(),
            settings: None,
            began: Tick::ZERO,
            live: BTreeMap::new(),
            open: BTreeSet::new(),
            under_way: BTreeMap::new(),
            intended: BTreeMap::new(),
            cut_off: BTreeSet::new(),
            budget_spent: 0,
            errors: (0, 0),
            disowned: BTreeSet::new(),
            must_stop: false,
            stopping: false,
            not_reached_since: None,
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
        self.hold = settings.hold;
        (self.rows, self.held, self.walked) = Default::default();
        self.cut_off.clear();
        for plan in &survey.plan {
            let Fate::Send(facts) = &survey.fates[plan.row.id as usize] else { panic!("planned, and not to be sent") };
            let bill = self.bills.entry(facts.bill).or_default();
            (bill.card, bill.place) = (facts.row.card, facts.place);
            (bill.closing, bill.user) = (facts.row.closing, facts.row.user);
            if plan.adopted.is_none() {
                bill.bodies.clear(); // judged afresh: its revisions are new
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
        self.settings = Some(settings.clone());
        self.began = now;
        self.live = BTreeMap::new();
        for (row, attempts, doubt) in recovered {
            self.live.insert(*row, Live { recovered: (*attempts, *doubt), ..Live::default() });
        }
        self.under_way.clear();
        self.open = self.rows.iter().filter(|(_, row)| row.is_open()).map(|(id, _)| *id).collect();
        self.intended.clear();
        for (id, row) in &mut self.rows {
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
        self.not_reached_since = None;
    }

    /// The process died.
    pub fn cut(&mut self, now: Tick) {
        self.stage(now, "cut off".to_owned());
        let in_doubt = self.rows.values().any(Row::is_open);
        self.coverage.hit_if("a kill with rows in doubt", in_doubt);
        self.cut_off.extend(self.under_way.keys());
        for row in self.under_way.values() {
            self.bills.get_mut(&self.rows[row].bill).expect("planned").doubted = true;
        }
    }

    /// The dispatcher says that it is done.
    pub fn done(&mut self, now: Tick, stop: Option<&Stop>) {
        self.stage(now, format!("done, stop: {stop:?}"));
        assert!(self.under_way.is_empty(), "done with exchanges under way: {:?}", self.under_way);
        assert_eq!(self.stopping, stop.is_some(), "stopped: {stop:?}");
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

    // ---- what the dispatcher asks for

    /// A revision is to become durable.
    pub fn intend(&mut self, now: Tick, id: u64, drop: u64) {
        self.tell(now, id, Event::Intend { drop });
        let row = &self.rows[&id];
        assert!(!self.stopping, "row {id} starts although the run stops");
        assert_eq!(row.settled, None, "row {id} starts after its end");
        assert_eq!(row.plan.row.members & drop, drop, "row {id} drops what it has not");
        assert_ne!(row.plan.row.members, drop, "row {id} is sent without any member");
        assert_eq!(row.plan.row.drop & !drop, 0, "row {id} sends members that are stale");
        if let Some(other) = self.intended.insert(row.card, id).filter(|other| *other != id) {
            panic!("law 5: the intent of row {id} comes before the outcome of row {other} of its card");
        }
        self.check_hold(id);
        self.take_slot(id);
        self.live.entry(id).or_default().intended = true;
    }

    fn check_hold(&self, id: u64) {
        if let Some(by) = self.held.get(&self.rows[&id].card) {
            panic!("row {id} goes on although row {by} of its card is unknown or unsent");
        }
    }

    fn take_slot(&mut self, id: u64) {
        let concurrency = self.settings.as_ref().expect("a process lives").concurrency;
        self.open.insert(id);
        let open = self.open.len();
        assert!(open <= concurrency, "law 3: a kill would send {open} rows again, not {concurrency}");
    }

    /// A request leaves.
    pub fn send(&mut self, now: Tick, sent: &Sent, drop: u64) {
        let id = sent.row;
        self.tell(now, id, Event::Send { carried: sent.carried });
        let settings = self.settings.clone().expect("a process lives");
        let row = &self.rows[&id];
        assert!(!self.stopping, "a send although the run stops");
        if let Some(deadline) = settings.deadline {
            assert!(now.since(self.began) < deadline, "a send after the deadline");
        }
        assert_eq!(row.durable, Some(drop), "law 5: row {id} is sent before its intent is durable");
        assert_eq!(row.settled, None, "row {id} is sent after its end");
        self.check_hold(id);
        self.take_slot(id);
        if let Some(other) = self.under_way.insert(sent.card, id) {
            panic!("law 4: row {id} is sent while row {other} of its card is under way");
        }
        if self.cut_off.remove(&sent.card) {
            let waited = now.since(self.began);
            assert!(waited >= self.timeout, "law 4: a card in doubt is called {waited:?} after the restart");
        }
        self.check_forward(sent);
        self.check_walk(sent);
        let row = self.rows.get_mut(&id).expect("planned");
        let bill = self.bills.get_mut(&sent.bill).expect("planned");
        assert!(!bill.over, "law 3: row {id} is sent although its bill is settled for good");
        let body = bill.bodies.entry((row.content, drop)).or_insert_with(|| sent.body.clone());
        assert_eq!(*body, sent.body, "law 6: other bytes for the same revision");
        bill.possible |= sent.carried;
        self.given.insert((sent.card, sent.place, sent.bill));
        row.sends += 1;
        let live = self.live.entry(id).or_default();
        live.attempts += 1;
        live.sent_drop = drop;
        let (before, most) = (live.recovered.0, settings.policy.attempts_max);
        assert!(before + live.attempts <= most.max(before + 1), "row {id} costs {} attempts", before + live.attempts);
        if !self.strict {
            self.count(now, "sends");
        }
    }

    /// Law 4: nothing older than what the card was given, or may have been given.
    fn check_forward(&self, sent: &Sent) {
        let newest = (sent.card, Place { occurred_ms: i64::MAX, ..Place::default() }, Digest::default());
        for (_, place, digest) in self.given.range((sent.card, sent.place, Digest([u8::MAX; 16]))..newest) {
            let newer = &self.bills[digest];
            let given = newer.possible | newer.confirmed;
            let clash = if newer.closing { given } else { given & sent.carried };
            assert!(clash == 0, "law 4: row {} ({:?}) is older than {digest} ({place:?})", sent.row, sent.place);
        }
    }

    /// Rows that wait for none and are absorbed by none are sent in the order of their places.
    fn check_walk(&mut self, sent: &Sent) {
        let row = &self.rows[&sent.row];
        if row.sends > 0 || !row.plan.row.gates.is_empty() || row.plan.row.absorbed {
            return;
        }
        if let Some(before) = self.walked.insert(sent.card, sent.place) {
            assert!(before <= sent.place, "law 4: {:?} is sent after {before:?}", sent.place);
        }
    }

    /// The last attempt goes on record.
    pub fn attempted(&mut self, now: Tick, id: u64) {
        self.tell(now, id, Event::Attempted);
        let live = &self.live[&id];
        let told = live.told.as_ref().expect("an attempt has a reading");
        assert!(matches!(told.verdict, Verdict::InDoubt | Verdict::Throttled), "{told:?} is retried");
        if told.verdict == Verdict::InDoubt {
            self.budget_spent += 1;
        }
        let budget = self.settings.as_ref().expect("a process lives").budget;
        assert!(self.budget_spent <= budget, "more in-doubt retries than the budget of {budget}");
    }

    /// A row ends.
    pub fn settle(&mut self, now: Tick, end: &Settlement) {
        let id = end.id;
        let event = Event::Settle { outcome: end.outcome, cause: end.cause.clone(), in_doubt: end.in_doubt };
        self.tell(now, id, event);
        self.coverage.outcome(end.outcome);
        self.coverage.cause(&end.cause);
        let row = &self.rows[&id];
        assert_eq!(row.settled, None, "row {id} ends twice");
        let nothing = Live::default();
        let live = self.live.get(&id).unwrap_or(&nothing);
        assert_ne!(self.under_way.get(&row.card), Some(&id), "row {id} ends while it is under way");
        let doubts = row.plan.row.doubt + live.recovered.1 + live.doubts;
        assert_eq!(end.in_doubt, doubts, "doubts of row {id}");
        assert_eq!(end.attempts, live.recovered.0 + live.attempts, "attempts of row {id}");
        let bill = &self.bills[&row.bill];
        let told = live.told.as_ref().map(|told| (told.verdict, told.verified));
        match end.outcome {
            Outcome::Applied => {
                assert_eq!(told, Some((Verdict::Applied, true)), "law 8: row {id}");
                assert_eq!(end.drop, live.sent_drop, "row {id} ends with another revision");
                assert!(bill.applied, "law 8: the gateway never applied row {id}");
            }
            Outcome::Refused => assert_eq!(told, Some((Verdict::Refused, true)), "row {id}"),
            Outcome::Unknown => assert!(doubts > 0, "row {id} is unknown without a doubt"),
            Outcome::Unsent | Outcome::Held => {
                assert!(doubts == 0 && !bill.doubted, "once in doubt, always in doubt: row {id}");
                assert!(!bill.applied, "row {id} is provably never applied, and the gateway applied it");
                assert!(end.outcome == Outcome::Unsent || live.attempts == 0, "row {id} is held after it was sent");
            }
            Outcome::Coalesced => self.check_carrier(row, &end.cause),
            Outcome::Superseded => self.check_overtaken(row, &end.cause),
            other => panic!("the dispatcher never ends a row as {other}"),
        }
        self.check_cause(row, end);
        let (card, over) = (row.card, matches!(end.outcome, Outcome::Applied | Outcome::Coalesced));
        self.count_error(end);
        self.bills.get_mut(&self.rows[&id].bill).expect("planned").over |= over;
        let row = self.rows.get_mut(&id).expect("planned");
        (row.settled, row.in_doubt) = (Some(end.outcome), end.in_doubt);
        if self.intended.get(&card) == Some(&id) {
            self.intended.remove(&card);
        }
        if self.hold && matches!(end.outcome, Outcome::Unknown | Outcome::Unsent) && !self.stopping {
            self.held.insert(card, id);
        }
    }

    fn check_carrier(&self, row: &Row, cause: &Cause) {
        let Cause::CarriedBy(by) = cause else { panic!("coalesced by {cause:?}") };
        let carrier = &self.rows[by];
        let (old, new) = (&self.bills[&row.bill], &self.bills[&carrier.bill]);
        assert_eq!(carrier.settled, Some(Outcome::Applied), "the carrier was not applied");
        assert!(carrier.card == row.card && old.place < new.place && old.user == new.user, "carried by a stranger");
        assert!(!old.closing && !new.closing, "carried across CLOSED");
        let carried = row.members & !row.plan.row.drop;
        assert_eq!(carried & !new.possible & !new.confirmed, 0, "carried by a row that does not carry it all");
        assert_eq!(row.sends, 0, "carried after it was sent");
    }

    fn check_overtaken(&self, row: &Row, cause: &Cause) {
        let Cause::OvertakenBy(by) = cause else { panic!("superseded by {cause:?}") };
        assert!(self.rows.contains_key(by), "superseded by a row that is none");
        let place = self.bills[&row.bill].place;
        let newer = self.bills.values().filter(|bill| bill.card == row.card && bill.place > place && bill.applied);
        let given =
            newer.fold(0, |mask, bill| mask | if bill.closing { u64::MAX } else { bill.possible | bill.confirmed });
        assert_eq!(row.members & !given, 0, "superseded, and no newer row gave all of it");
    }

    fn check_cause(&self, row: &Row, end: &Settlement) {
        let place = self.bills[&row.bill].place;
        match &end.cause {
            Cause::Reply | Cause::CarriedBy(_) | Cause::OvertakenBy(_) => {}
            Cause::Budget => {
                let budget = self.settings.as_ref().expect("a process lives").budget;
                assert_eq!(self.budget_spent, budget, "the budget is not spent");
            }
            Cause::HeldBy(by) => {
                let other = &self.rows[by];
                assert_eq!(other.card, row.card, "held by a row of another card");
                assert!(
                    matches!(other.settled, Some(Outcome::Unknown | Outcome::Unsent)),
                    "held by {:?}",
                    other.settled
                );
                // In the order of sending: a carrier, and rows that another one waited for, are newer.
                let is_earlier = self.bills[&other.bill].place < place;
                let is_moved = row.plan.row.absorbed || !row.plan.row.gates.is_empty();
                assert!(is_earlier || is_moved, "held by a newer row");
            }
            Cause::NewerInDoubt(by) => {
                let other = &self.rows[by];
                let newer = &self.bills[&other.bill];
                assert!(other.card == row.card && newer.place > place, "held by a row that is not newer");
                assert!(newer.doubted || other.in_doubt > 0, "held by a row without doubt");
            }
            Cause::Stopped(_) => assert!(self.stopping, "row {} ends by a stop that is none", end.id),
        }
    }

    fn count_error(&mut self, end: &Settlement) {
        if end.attempts == 0 {
            return;
        }
        self.errors.0 += 1;
        self.errors.1 += u64::from(matches!(end.outcome, Outcome::Refused | Outcome::Unknown));
        let (settled, errors) = self.errors;
        self.must_stop |= match self.settings.as_ref().expect("a process lives").error_limit {
            ErrorLimit::Off => false,
            ErrorLimit::Count(most) => errors > most,
            ErrorLimit::Percent(most) => settled >= 100 && errors as f64 / settled as f64 > most / 100.0,
        };
    }

    // ---- what comes back

    /// A request reached the gateway.
    pub fn arrived(&mut self, now: Tick, sent: &Sent, applied: bool, after_our_end: bool) {
        self.trace.borrow_mut().row(now, sent.card, sent.row, Event::Arrived { applied, after_our_end });
        self.coverage.hit_if("an arrival after our end", after_our_end);
        if self.strict {
            self.count(now, "arrivals");
        }
        if !applied {
            return;
        }
        self.bills.get_mut(&sent.bill).expect("sent").applied = true;
        for bit in (0..u64::BITS).map(|bit| 1 << bit).filter(|bit| sent.carried & bit != 0) {
            let shown = self.shown.entry((sent.card, bit)).or_default();
            assert!(*shown <= sent.place, "law 4: the card goes back from {shown:?} to {:?}", sent.place);
            *shown = sent.place;
        }
    }

    /// Law 7.
    fn count(&mut self, now: Tick, what: &str) {
        while self.arrivals.front().is_some_and(|first| now.since(*first) >= self.window) {
            self.arrivals.pop_front();
        }
        self.arrivals.push_back(now);
        let inside = self.arrivals.len();
        assert!(inside <= self.quota, "law 7: {inside} {what} in one window, the quota is {}", self.quota);
    }

    /// An exchange ended on our side.
    pub fn told(&mut self, now: Tick, sent: &Sent, told: &Told) {
        self.tell(now, sent.row, Event::Told(told.clone()));
        self.coverage.verdict(told.verdict);
        assert_eq!(self.under_way.remove(&sent.card), Some(sent.row));
        let live = self.live.get_mut(&sent.row).expect("sent");
        live.told = Some(told.clone());
        let bill = self.bills.get_mut(&sent.bill).expect("sent");
        match told.verdict {
            Verdict::Applied => bill.over = true,
            Verdict::InDoubt | Verdict::InDoubtFinal => {
                live.doubts += 1;
                bill.doubted = true;
            }
            Verdict::Refused | Verdict::Throttled | Verdict::NotSent | Verdict::Misconfigured => {}
        }
        if !bill.doubted && told.verdict != Verdict::Applied && live.recovered.1 == 0 {
            bill.possible = 0; // no attempt of it can have been applied
        }
        if told.verdict == Verdict::NotSent {
            live.attempts -= 1;
            self.rows.get_mut(&sent.row).expect("sent").sends -= 1;
            self.not_reached_since.get_or_insert(now);
        } else {
            self.not_reached_since = None;
        }
        if told.verified {
            self.disowned.clear();
            self.must_stop |= told.verdict == Verdict::Misconfigured;
        } else if told.configuration.is_some() {
            self.disowned.insert(sent.card);
            self.must_stop |= self.disowned.len() >= 5;
        }
    }

    /// Compares what has to stop the run with what does.
    pub fn check_stop(&mut self, now: Tick, stop: Option<&Stop>) {
        let Some(stop) = stop else { return assert!(!self.must_stop, "the run goes on and must stop") };
        if self.stopping {
            return;
        }
        self.stage(now, format!("stops: {stop:?}"));
        self.coverage.stop(stop);
        self.stopping = true;
        let settings = self.settings.as_ref().expect("a process lives");
        match stop {
            Stop::Signal => {}
            Stop::Deadline => {
                let deadline = settings.deadline.expect("no deadline was set");
                assert!(now.since(self.began) >= deadline, "the deadline is not there yet");
            }
            Stop::Misconfigured(_) => assert!(self.must_stop, "stopped without a reason: {stop:?}"),
            Stop::Errors => {} // the ends that it counts are on their way: see `done`
            Stop::Unreachable => {
                let since = self.not_reached_since.expect("the gateway was reached");
                assert!(now.since(since) >= Duration::from_secs(120), "given up after {:?}", now.since(since));
            }
            Stop::TooMuchDoubt => panic!("so many cards are not in this world"),
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
            bill.confirmed |= row.members & !drop;
        }
    }

    /// The process died: what was told of rows that are not settled durably is forgotten by the program.
    pub fn forget(&mut self) {
        let unsettled: Vec<Digest> =
            self.rows.values().filter(|row| !row.settled_durable).map(|row| row.bill).collect();
        for bill in unsettled {
            self.bills.get_mut(&bill).expect("planned").over = false;
        }
    }

    /// A person looked at the card and told the ledger.
    pub fn answered(&mut self, bill: Digest, applied: bool) {
        let bill = self.bills.get_mut(&bill).expect("a bill in doubt was sent");
        assert_eq!(bill.applied, applied);
        if applied {
            bill.confirmed |= bill.possible;
            bill.over = true;
        }
        (bill.possible, bill.doubted) = (0, false);
    }

    /// Whether the gateway applied a bill, as a person would see on the card.
    pub fn is_applied(&self, bill: Digest) -> bool {
        self.bills.get(&bill).is_some_and(|bill| bill.applied)
    }

    /// A run is closed; every line of it has this outcome.
    pub fn closed(&mut self, bill: Option<Digest>, outcome: Outcome) {
        self.coverage.outcome(outcome);
        let Some(bill) = bill.and_then(|bill| self.bills.get(&bill)) else { return };
        match outcome {
            Outcome::Applied => assert!(bill.applied, "closed as applied, and never was"),
            Outcome::Unsent | Outcome::Held => {
                assert!(!bill.applied && !bill.doubted, "closed as {outcome}, and may stand on the card");
            }
            _ => {}
        }
    }
}
