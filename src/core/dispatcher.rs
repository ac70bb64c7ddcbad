//! The heart: which row is sent when, and how each ends. A state machine without IO.
//!
//! One door in, [`Dispatcher::handle`], and one door out, [`Dispatcher::poll`]. The walk of a row:
//!
//! ```text
//! Queued -> Intending -> Waiting -> InFlight -> Settling -> gone
//!           (body made    ^  (permit,   | (reply)
//!            durable)     |   wait)     |
//!                         +-- retry ----+
//! ```
//!
//! What holds at every moment, and the tests of the simulator check:
//! * a lane has at most one row between `Intending` and `Settling`: one exchange at a time per card, in order;
//! * at most `concurrency` rows stand between intent and durable outcome, waits for a retry included: that is
//!   how many a kill can send again;
//! * a row is settled once, and what settles it is recorded before its card's next intent.
//!
//! After a crash the same rows come through the same door, each with what the ledger knows of it
//! ([`Recovered`]): resume is a refold, not a second program.

mod ends;
mod exchanges;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};

use super::breaker::Breaker;
pub use super::door::{Action, Cause, Config, Event, Gate, PlanRow, Recovered, Settlement};
use super::halt::{Stop, Watch};
use super::lane::Lane;
use super::limits;
use super::quota::Quota;

use crate::model::{Digest, Outcome, Tick};
use exchanges::Heard;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Queued,
    Intending,
    Waiting,
    InFlight,
    Settling,
}

#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
struct Row {
    card: Digest,
    members: u64,
    drop: u64,
    cover: u32,
    absorbed: bool,
    gates: Vec<Gate>,
    watched: bool,
    doubt: u32,
    attempts: u32,
    intent: Option<u64>,
    recovered_doubt: bool,
    /// A crash cut it off between intent and end, and it has no slot of this process yet.
    cut_off: bool,
    /// How an earlier process ended it; only absorbed rows wait with that, for their carrier.
    ended: Option<Outcome>,
    phase: Phase,
    slot: bool,
}

/// The state machine.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Dispatcher {
    config: Config,
    quota: Quota,
    watch: Watch,
    breaker: Breaker,
    rows: HashMap<u64, Row>,
    lanes: HashMap<Digest, Lane>,
    /// Lanes that may have a row to start.
    ready: VecDeque<Digest>,
    /// Rows whose wait ends at an instant.
    timers: BinaryHeap<Reverse<(Tick, u64)>>,
    /// Rows that want a permit.
    sending: VecDeque<u64>,
    /// Actions decided but not yet handed out.
    out: VecDeque<Action>,
    /// Cards whose later rows wait for a replay, and the row that made them wait.
    held: HashMap<Digest, u64>,
    /// How the rows ended that other rows' gates name.
    gate_ends: HashMap<u64, GateEnd>,
    slots_used: usize,
    /// Rows that a crash cut off: those not read yet, and those read that have no slot yet.
    cut_off_unread: usize,
    cut_off_waiting: usize,
    in_flight: usize,
    settling: usize,
    budget: u64,
    reading: bool,
    end_of_plan: bool,
    /// The canary's rows were read, and the others wait for their ends.
    end_of_canary: bool,
    /// A row did not end well.
    failed: bool,
    stop: Option<Stop>,
}

impl Dispatcher {
    /// A dispatcher at the beginning of a run's apply phase.
    pub fn new(config: Config, quota: Quota) -> Dispatcher {
        let breaker = Breaker::new(config.concurrency);
        Dispatcher {
            watch: Watch::new(config.error_limit),
            budget: config.budget,
            cut_off_unread: config.cut_off,
            cut_off_waiting: 0,
            config,
            quota,
            breaker,
            rows: HashMap::new(),
            lanes: HashMap::new(),
            ready: VecDeque::new(),
            timers: BinaryHeap::new(),
            sending: VecDeque::new(),
            out: VecDeque::new(),
            held: HashMap::new(),
            gate_ends: HashMap::new(),
            slots_used: 0,
            in_flight: 0,
            settling: 0,
            reading: false,
            end_of_plan: false,
            end_of_canary: false,
            failed: false,
            stop: None,
        }
    }

    /// Why the run stops, if it does.
    pub fn stopped(&self) -> Option<&Stop> {
        self.stop.as_ref()
    }

    /// Exchanges under way, rows in memory, and the share of the full pace in force.
    pub fn load(&self) -> (usize, usize, f64) {
        (self.in_flight, self.rows.len(), self.quota.factor())
    }

    /// The door in. `now` never goes back.
    pub fn handle(&mut self, event: Event, now: Tick) {
        match event {
            Event::Rows(rows) => {
                self.reading = false;
                for row in rows {
                    self.admit(row);
                }
            }
            Event::EndOfPlan => {
                self.reading = false;
                self.end_of_plan = true;
                self.cut_off_unread = 0;
            }
            Event::EndOfCanary => {
                self.reading = false;
                self.end_of_canary = true;
            }
            Event::Durable(id) => self.durable(id),
            Event::Reply { id, verdict, answered, retry_after, verified, configuration, random } => {
                let retry_after = retry_after.map(|wait| wait.min(limits::RETRY_AFTER));
                let reply = Heard { verdict, answered, retry_after, verified, configuration, random };
                self.replied(id, &reply, now);
            }
            Event::Committed(id) => self.committed(id),
            Event::Stop(stop) => self.stop(&stop),
        }
    }

    /// The door out. Ask again until it says `Sleep`, `Park` or `Done`.
    pub fn poll(&mut self, now: Tick) -> Action {
        if self.stop.is_none() && now >= self.config.deadline && self.wants_to_start() {
            self.stop(&Stop::Deadline);
        }
        if let Some(action) = self.out.pop_front() {
            return action;
        }
        self.judge_canary();
        if self.stop.is_some() {
            return if self.in_flight + self.settling == 0 { Action::Done } else { Action::Park };
        }
        while self.timers.peek().is_some_and(|Reverse((due, _))| *due <= now) {
            let Reverse((_, id)) = self.timers.pop().expect("just seen");
            self.sending.push_back(id);
        }
        self.start_lanes();
        if let Some(action) = self.out.pop_front() {
            return action;
        }
        let permitted_at = match self.next_send(now) {
            Ok(action) => return action,
            Err(at) => at,
        };
        if self.wants_rows() {
            self.reading = true;
            return Action::Read(limits::READ_ROWS);
        }
        if self.is_finished() {
            return Action::Done;
        }
        let timer = self.timers.peek().map(|Reverse((due, _))| *due);
        let deadline = Some(self.config.deadline).filter(|at| now < *at && *at < Tick::NEVER);
        match permitted_at.into_iter().chain(timer).chain(deadline).min() {
            Some(at) => Action::Sleep(at),
            None => Action::Park,
        }
    }

    fn is_finished(&self) -> bool {
        self.end_of_plan && self.rows.is_empty() && self.out.is_empty()
    }

    /// Whether anything is left to start. Where only replies and commits are awaited, the deadline stops nothing.
    fn wants_to_start(&self) -> bool {
        !self.end_of_plan
            || !self.sending.is_empty()
            || !self.timers.is_empty()
            || self.ready.iter().any(|card| self.next_of(*card).is_some())
    }

    /// Rows that a crash cut off, and carriers that such rows wait for, are read whatever the window holds: slots are
    /// kept for them, and as they were within the window of the process that died, the window is exceeded by one
    /// reading at most.
    fn wants_rows(&self) -> bool {
        let has_room = self.rows.len() + limits::READ_ROWS <= limits::WINDOW_ROWS;
        let is_short = self.ready.len() < self.config.concurrency;
        let has_kept = self.cut_off_unread + self.cut_off_waiting > 0 && self.slots_used < self.config.concurrency;
        let has_more = !self.end_of_plan && !self.end_of_canary;
        has_more && !self.reading && ((has_room && is_short) || has_kept)
    }

    // ---- rows come in

    fn admit(&mut self, plan: PlanRow) {
        let recovered = plan.recovered.unwrap_or_default();
        let card = plan.card;
        let row = Row {
            card,
            members: plan.members,
            drop: plan.drop,
            cover: plan.cover,
            absorbed: plan.absorbed,
            gates: plan.gates,
            watched: plan.watched,
            doubt: plan.doubt + recovered.doubt,
            attempts: recovered.attempts,
            intent: recovered.intent,
            recovered_doubt: recovered.doubt > 0,
            cut_off: recovered.settled.is_none() && recovered.intent.is_some(),
            ended: recovered.settled,
            phase: if recovered.settled.is_some() { Phase::Settling } else { Phase::Queued },
            slot: false,
        };
        if row.cut_off {
            self.cut_off_unread = self.cut_off_unread.saturating_sub(1);
            self.cut_off_waiting += 1;
        }
        self.rows.insert(plan.id, row);
        self.lanes.entry(card).or_default().queue.push_back(plan.id);
        match recovered.settled {
            // Whether it was absorbed, or took the place of a refused carrier, is known when the carrier comes.
            Some(_) if plan.absorbed => {}
            Some(outcome) => self.ended_before(plan.id, outcome),
            None => self.list(card),
        }
    }

    /// The row's end is durable already: only its consequences for the rows around it are drawn.
    fn ended_before(&mut self, id: u64, outcome: Outcome) {
        self.consequences(id, outcome, None);
        self.forget(id);
    }

    /// Puts a lane on the list of those that may have a row to start.
    fn list(&mut self, card: Digest) {
        if let Some(lane) = self.lanes.get_mut(&card)
            && !lane.listed
            && lane.active.is_none()
            && !lane.queue.is_empty()
        {
            lane.listed = true;
            self.ready.push_back(card);
        }
    }

    // ---- lanes start

    fn start_lanes(&mut self) {
        for _ in 0..self.ready.len() {
            if self.slots_used == self.config.concurrency || !self.out.is_empty() {
                return;
            }
            let card = self.ready.pop_front().expect("as many as there were");
            if let Some(lane) = self.lanes.get_mut(&card) {
                lane.listed = false;
                self.start_lane(card);
            }
        }
    }

    /// Starts the lane's first row that has to be sent; rows before it may be settled on the way.
    fn start_lane(&mut self, card: Digest) {
        while let Some(id) = self.next_of(card) {
            let is_left = self.pass_gates(id);
            match self.held.get(&card).copied() {
                _ if !is_left => {}
                Some(by) => self.settle(id, Outcome::Held, Cause::HeldBy(by)),
                None if self.has_slot_for(id) => return self.activate(card, id),
                None => return self.list(card),
            }
        }
    }

    /// Whether a slot is free that is not kept for a row that a crash cut off.
    fn has_slot_for(&self, id: u64) -> bool {
        let kept = if self.rows[&id].cut_off { 0 } else { self.cut_off_unread + self.cut_off_waiting };
        self.slots_used + kept < self.config.concurrency
    }

    /// The row has its slot, or needs none any more.
    fn found_slot(&mut self, id: u64) {
        let row = self.rows.get_mut(&id).expect("in memory");
        if std::mem::take(&mut row.cut_off) {
            self.cut_off_waiting -= 1;
        }
    }

    /// The lane's next row to look at: the first that no later row absorbs. `None`: the lane is empty or
    /// active, or the carrier of its first rows is not in memory yet.
    fn next_of(&self, card: Digest) -> Option<u64> {
        let lane = self.lanes.get(&card).filter(|lane| lane.active.is_none())?;
        lane.queue.iter().copied().find(|id| {
            let row = &self.rows[id];
            row.phase == Phase::Queued && !row.absorbed
        })
    }

    /// Draws what the settled newer rows leave of this one. Returns whether it is still to be sent.
    fn pass_gates(&mut self, id: u64) -> bool {
        let gates = std::mem::take(&mut self.rows.get_mut(&id).expect("in memory").gates);
        for gate in gates {
            match self.gate_ends.get(&gate.id) {
                Some(GateEnd::Given(by)) => {
                    let by = *by;
                    let row = self.rows.get_mut(&id).expect("in memory");
                    row.drop |= gate.shared;
                    if row.drop == row.members {
                        self.settle(id, Outcome::Superseded, Cause::OvertakenBy(by));
                        return false;
                    }
                }
                Some(GateEnd::NeverGiven) => {}
                Some(GateEnd::MaybeGiven) | None => {
                    self.settle(id, Outcome::Held, Cause::NewerInDoubt(gate.id));
                    return false;
                }
            }
        }
        true
    }

    fn activate(&mut self, card: Digest, id: u64) {
        self.lanes.get_mut(&card).expect("the lane of a row").active = Some(id);
        self.slots_used += 1;
        self.found_slot(id);
        let row = self.rows.get_mut(&id).expect("in memory");
        row.slot = true;
        if row.intent == Some(row.drop) {
            row.phase = Phase::Waiting;
            self.wait_until(id, self.config.doubt_not_before);
        } else {
            row.phase = Phase::Intending;
            self.out.push_back(Action::Intend { id, drop: row.drop });
        }
    }

    fn durable(&mut self, id: u64) {
        let Some(row) = self.rows.get_mut(&id).filter(|row| row.phase == Phase::Intending) else { return };
        row.intent = Some(row.drop);
        row.phase = Phase::Waiting;
        let not_before = if row.recovered_doubt { self.config.doubt_not_before } else { Tick::ZERO };
        self.wait_until(id, not_before);
    }

    fn wait_until(&mut self, id: u64, at: Tick) {
        if at == Tick::ZERO {
            self.sending.push_back(id);
        } else {
            self.timers.push(Reverse((at, id)));
        }
    }
}

impl Row {
    /// Between intent and exchange, or between two exchanges.
    fn is_parked(&self) -> bool {
        matches!(self.phase, Phase::Intending | Phase::Waiting)
    }
}

/// What the end of a newer row means for an older one that waits for it.
#[derive(Clone, Copy, Debug)]
enum GateEnd {
    /// The card was given its members, by this row: those of the older one are stale.
    Given(Option<u64>),
    /// The card may have been given them.
    MaybeGiven,
    /// It was never applied: the older one goes on as if it were not there.
    NeverGiven,
}

impl GateEnd {
    /// `by`: the row that gave the card its members, where this one was superseded.
    fn of(id: u64, outcome: Outcome, doubted: bool, by: Option<u64>) -> GateEnd {
        match outcome {
            Outcome::Applied => GateEnd::Given(Some(id)),
            Outcome::Superseded => GateEnd::Given(by),
            Outcome::Unknown => GateEnd::MaybeGiven,
            _ if doubted => GateEnd::MaybeGiven,
            _ => GateEnd::NeverGiven,
        }
    }
}
