//! Exchanges: a permit and a send, a reply and what is done about it.

use std::cmp::Reverse;
use std::time::Duration;

use super::{Action, Cause, Dispatcher, Phase};
use crate::core::breaker::Next;
use crate::core::halt::Stop;
use crate::core::quota::Permit;
use crate::core::retry::{self, Decision, State};
use crate::model::{Digest, Tick, Verdict};

/// A reply, as the dispatcher hears of it.
pub(super) struct Heard {
    pub verdict: Verdict,
    pub answered: bool,
    pub retry_after: Option<Duration>,
    pub verified: bool,
    pub configuration: Option<String>,
    pub random: u64,
}

impl Dispatcher {
    /// The next send, or when there may be one.
    pub(super) fn next_send(&mut self, now: Tick) -> Result<Action, Option<Tick>> {
        if self.sending.is_empty() || (self.breaker.is_open() && self.in_flight > 0) {
            return Err(None);
        }
        match self.quota.acquire(now) {
            Permit::Granted => {
                let id = self.sending.pop_front().expect("not empty");
                let row = self.rows.get_mut(&id).expect("in memory");
                row.phase = Phase::InFlight;
                row.attempts += 1;
                self.in_flight += 1;
                Ok(Action::Send { id })
            }
            Permit::At(at) => Err(Some(at)),
            Permit::AfterReply => Err(None),
        }
    }

    pub(super) fn replied(&mut self, id: u64, heard: &Heard, now: Tick) {
        self.quota.ended(now, heard.answered);
        self.in_flight -= 1;
        let row = self.rows.get_mut(&id).expect("a row in flight");
        row.attempts -= u32::from(heard.verdict == Verdict::NotSent);
        let state = State {
            attempts: row.attempts,
            doubted: row.doubt > 0,
            budget: self.budget > 0,
            stopping: self.stop.is_some(),
        };
        row.doubt += u32::from(heard.verdict.in_doubt());
        let card = row.card;
        match heard.verdict {
            // Whether the row is tried again or not: it is the run that is too fast.
            Verdict::Throttled => self.quota.throttled(now, heard.retry_after.unwrap_or_default()),
            Verdict::NotSent => {}
            _ => self.quota.relieved(),
        }
        if heard.verified {
            self.watch.verified();
        }
        match retry::decide(heard.verdict, state, &self.config.policy) {
            Decision::Settle(outcome) => {
                let is_cut_short = outcome.is_open()
                    && heard.verdict != Verdict::InDoubtFinal
                    && state.attempts < self.config.policy.attempts_max;
                let cause = match &self.stop {
                    Some(stop) if is_cut_short => Cause::Stopped(stop.clone()),
                    None if is_cut_short => Cause::Budget,
                    _ => Cause::Reply,
                };
                self.settle(id, outcome, cause);
            }
            Decision::Retry { spends_budget } => self.retry(id, heard, spends_budget, now),
            Decision::Return => {
                self.rows.get_mut(&id).expect("a row in flight").phase = Phase::Waiting;
                self.sending.push_back(id);
            }
            Decision::Halt(outcome) => {
                let code = heard.configuration.clone().unwrap_or_default();
                self.settle(id, outcome, Cause::Reply);
                self.stop(&Stop::Misconfigured(code));
            }
        }
        if !heard.verified
            && let Some(code) = &heard.configuration
            && self.watch.unsigned_configuration(card)
        {
            self.stop(&Stop::Misconfigured(code.clone()));
        }
        self.watch_gateway(card, heard, now);
    }

    /// Whether the gateway is there at all.
    fn watch_gateway(&mut self, card: Digest, heard: &Heard, now: Tick) {
        let is_silence = heard.verdict.in_doubt() && !heard.verified;
        let is_in_vain = is_silence || heard.verdict == Verdict::NotSent;
        // What was under way when the trouble began tells of it once more; a probe goes alone.
        if is_in_vain && self.breaker.is_open() && self.in_flight > 0 {
            return;
        }
        let next = match heard.verdict {
            Verdict::NotSent => self.breaker.unreached(now),
            _ if is_silence => self.breaker.unanswered(card, now),
            _ => {
                self.breaker.heard();
                Next::GoOn
            }
        };
        match next {
            Next::GoOn => {}
            Next::Pause(pause) => self.quota.pause_until(now + pause),
            Next::GiveUp => self.stop(&Stop::Unreachable),
        }
    }

    fn retry(&mut self, id: u64, heard: &Heard, spends_budget: bool, now: Tick) {
        let row = self.rows.get_mut(&id).expect("a row in flight");
        let policy = &self.config.policy;
        let asked = heard.retry_after.unwrap_or_default();
        // Who is throttled is heard; behind doubt a row keeps its slot, and probes have to go out: no longer than others wait.
        let asked = if heard.verdict == Verdict::Throttled { asked } else { asked.min(policy.backoff_max) };
        let wait = policy.wait(row.attempts, heard.random).max(asked);
        self.budget -= u64::from(spends_budget);
        row.phase = Phase::Waiting;
        self.out.push_back(Action::Attempted { id });
        self.timers.push(Reverse((now + wait, id)));
    }
}
