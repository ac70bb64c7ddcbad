//! How rows end, and what that means for the rows around them.

use super::{Action, Cause, Dispatcher, GateEnd, Phase, Settlement};
use crate::core::halt::Stop;
use crate::core::history::with_doubt;
use crate::core::lane::Lane;
use crate::model::{Digest, Outcome};

impl Dispatcher {
    pub(super) fn settle(&mut self, id: u64, outcome: Outcome, cause: Cause) {
        self.found_slot(id);
        let row = self.rows.get_mut(&id).expect("in memory");
        debug_assert_ne!(row.phase, Phase::Settling, "a row is settled once");
        row.phase = Phase::Settling;
        self.settling += 1;
        let outcome = with_doubt(outcome, row.doubt > 0);
        let giver = if let Cause::OvertakenBy(by) = cause { by } else { None };
        let settlement = Settlement { id, outcome, cause, attempts: row.attempts, in_doubt: row.doubt, drop: row.drop };
        let was_sent = row.attempts > 0;
        self.out.push_back(Action::Settle(settlement));
        self.consequences(id, outcome, giver);
        if was_sent && self.watch.settled(matches!(outcome, Outcome::Refused | Outcome::Unknown)) && self.stop.is_none()
        {
            self.stop(&Stop::Errors);
        }
    }

    /// What the end of a row means for the rows around it. `giver`: the row that left nothing of it.
    pub(super) fn consequences(&mut self, id: u64, outcome: Outcome, giver: Option<u64>) {
        self.failed |= outcome.is_failure();
        let row = &self.rows[&id];
        let (card, carries, doubted) = (row.card, row.cover > 0 && !row.absorbed, row.doubt > 0);
        if row.watched {
            self.gate_ends.insert(id, GateEnd::of(id, outcome, doubted, giver));
        }
        if carries {
            self.uncover(card, id, outcome, doubted);
        }
        if self.config.hold && matches!(outcome, Outcome::Unknown | Outcome::Unsent) && self.stop.is_none() {
            self.held.insert(card, id);
            if self.held.len() > self.config.held_max {
                self.stop(&Stop::TooMuchDoubt);
            }
        }
        self.leave(id);
        self.list(card);
    }

    /// Takes a row that ended out of its lane.
    fn leave(&mut self, id: u64) {
        if let Some(lane) = self.lanes.get_mut(&self.rows[&id].card) {
            // Rows leave near the front, where this costs nothing however long the queue is.
            let at = lane.queue.iter().position(|queued| *queued == id);
            at.and_then(|at| lane.queue.remove(at));
            if lane.active == Some(id) {
                lane.active = None;
            }
        }
    }

    /// The carrier at `id` ended: so do the rows that it absorbed, or the newest of them takes its place.
    fn uncover(&mut self, card: Digest, id: u64, outcome: Outcome, doubted: bool) {
        let Some(lane) = self.lanes.get(&card) else { return };
        let absorbed: Vec<u64> = lane.queue.iter().copied().take_while(|queued| *queued != id).collect();
        let (end, cause) = match outcome {
            Outcome::Applied => (Outcome::Coalesced, Cause::CarriedBy(id)),
            Outcome::Refused if !doubted => return self.regroup(&absorbed),
            Outcome::Held => (Outcome::Held, Cause::HeldBy(self.held.get(&card).copied().unwrap_or(id))),
            Outcome::Unsent => (Outcome::Held, Cause::HeldBy(id)),
            _ => (Outcome::Held, Cause::NewerInDoubt(id)),
        };
        for row in absorbed {
            if self.rows[&row].ended.is_some() {
                self.leave(row);
                self.forget(row);
            } else {
                self.settle(row, end, cause.clone());
            }
        }
    }

    /// Forms the groups anew among rows whose carrier was refused, from the newest back.
    fn regroup(&mut self, absorbed: &[u64]) {
        let mut rest = absorbed;
        while let Some((carrier, before)) = rest.split_last() {
            let row = self.rows.get_mut(carrier).expect("in memory");
            row.absorbed = false;
            let covered = (row.cover as usize).min(before.len());
            row.cover = covered as u32;
            rest = &before[..before.len() - covered];
        }
        // Before a crash the run had come this far or further, group by group, the oldest first.
        for carrier in absorbed {
            if let Some(row) = self.rows.get(carrier).filter(|row| !row.absorbed)
                && let Some(outcome) = row.ended
            {
                self.ended_before(*carrier, outcome);
            }
        }
    }

    pub(super) fn committed(&mut self, id: u64) {
        self.settling -= 1;
        if let Some(row) = self.rows.get(&id)
            && row.slot
        {
            self.slots_used -= 1;
        }
        self.forget(id);
    }

    pub(super) fn forget(&mut self, id: u64) {
        let Some(row) = self.rows.remove(&id) else { return };
        if self.lanes.get(&row.card).is_some_and(Lane::is_idle) {
            self.lanes.remove(&row.card);
        }
    }

    /// Once every row of the canary ended durably, the others follow, or the run stops.
    pub(super) fn judge_canary(&mut self) {
        if !self.end_of_canary || !self.rows.is_empty() || self.stop.is_some() {
            return;
        }
        self.end_of_canary = false;
        match (self.config.canary_continues, self.failed) {
            (true, false) => {}
            (true, true) => self.stop(&Stop::CanaryFailed),
            (false, _) => self.stop(&Stop::Canary),
        }
    }

    /// Nothing more is sent. Rows with an intent end here and now; those in flight are awaited; the others have no end in
    /// the journal, and the fold over it gives them one: `unsent`, or `unknown` where an attempt may have been applied.
    pub(super) fn stop(&mut self, stop: &Stop) {
        if self.stop.is_some() {
            return;
        }
        self.stop = Some(stop.clone());
        let mut parked: Vec<u64> = self.rows.iter().filter(|(_, row)| row.is_parked()).map(|(id, _)| *id).collect();
        parked.sort_unstable();
        for id in parked {
            self.settle(id, Outcome::Unsent, Cause::Stopped(stop.clone()));
        }
        self.sending.clear();
        self.timers.clear();
        self.end_of_plan = true;
    }
}
