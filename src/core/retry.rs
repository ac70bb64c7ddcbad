//! What we do about what a reply means: one table.

use std::time::Duration;

use super::history::with_doubt;
use crate::model::{Outcome, Verdict};

/// How attempts are spaced and counted.
#[derive(Clone, Debug)]
pub struct Policy {
    /// HTTP requests that a row may cost in one run.
    pub attempts_max: u32,
    /// The ceiling of the first wait.
    pub backoff_base: Duration,
    /// No ceiling is higher.
    pub backoff_max: Duration,
    /// Ceilings in place of the exponential ones; the last repeats. Empty: exponential.
    pub schedule: Vec<Duration>,
}

impl Policy {
    /// The wait before attempt `attempts + 1`. Exponential waits have full jitter (0 to the ceiling); waits of a
    /// schedule are at least as long as written, and up to a tenth longer. `random` is uniform.
    pub fn wait(&self, attempts: u32, random: u64) -> Duration {
        let fraction = random as f64 / u64::MAX as f64;
        if let Some(last) = self.schedule.last() {
            let step = self.schedule.get(attempts.saturating_sub(1) as usize).unwrap_or(last);
            return step.mul_f64(1.0 + 0.1 * fraction);
        }
        let doublings = attempts.saturating_sub(1).min(30);
        let ceiling = self.backoff_base.saturating_mul(1 << doublings).min(self.backoff_max);
        ceiling.mul_f64(fraction)
    }
}

/// What is known of a row when a reply comes in.
#[derive(Clone, Copy, Debug)]
pub struct State {
    /// HTTP requests made in this run, this one included.
    pub attempts: u32,
    /// Whether any attempt before this one ended in doubt, in this run or earlier.
    pub doubted: bool,
    /// Whether the run's budget for in-doubt retries has something left.
    pub budget: bool,
    /// Whether the run is stopping: nothing is sent any more.
    pub stopping: bool,
}

/// What to do with the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It ends.
    Settle(Outcome),
    /// Ask again with the same bytes; an in-doubt retry spends the run's budget.
    Retry {
        /// Whether it spends the budget.
        spends_budget: bool,
    },
    /// The request never left: ask again, at no cost to the row; the breaker decides when.
    Return,
    /// The gateway refuses our identity: the run halts, and the row ends like this.
    Halt(Outcome),
}

/// The table. Once in doubt, always in doubt: what is provable of the last attempt cannot undo an earlier silence.
pub fn decide(verdict: Verdict, state: State, policy: &Policy) -> Decision {
    let spent = state.stopping || state.attempts >= policy.attempts_max;
    let unproven = with_doubt(Outcome::Unsent, state.doubted);
    match verdict {
        Verdict::Applied => Decision::Settle(Outcome::Applied),
        Verdict::Refused => Decision::Settle(Outcome::Refused),
        Verdict::InDoubtFinal => Decision::Settle(Outcome::Unknown),
        Verdict::InDoubt if spent || !state.budget => Decision::Settle(Outcome::Unknown),
        Verdict::InDoubt => Decision::Retry { spends_budget: true },
        Verdict::Throttled if spent => Decision::Settle(unproven),
        Verdict::Throttled => Decision::Retry { spends_budget: false },
        Verdict::NotSent if state.stopping => Decision::Settle(unproven),
        Verdict::NotSent => Decision::Return,
        Verdict::Misconfigured => Decision::Halt(unproven),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> Policy {
        Policy {
            attempts_max: 3,
            backoff_base: Duration::from_millis(500),
            backoff_max: Duration::from_secs(30),
            schedule: Vec::new(),
        }
    }

    #[test]
    fn the_table_line_by_line() {
        use Decision::{Halt, Retry, Return, Settle};
        let fresh = State { attempts: 1, doubted: false, budget: true, stopping: false };
        let doubted = State { doubted: true, ..fresh };
        let spent = State { attempts: 3, ..fresh };
        for (verdict, state, decision) in [
            (Verdict::Applied, spent, Settle(Outcome::Applied)),
            (Verdict::Refused, doubted, Settle(Outcome::Refused)),
            (Verdict::InDoubt, fresh, Retry { spends_budget: true }),
            (Verdict::InDoubt, spent, Settle(Outcome::Unknown)),
            (Verdict::InDoubt, State { budget: false, ..fresh }, Settle(Outcome::Unknown)),
            (Verdict::InDoubt, State { stopping: true, ..fresh }, Settle(Outcome::Unknown)),
            (Verdict::InDoubtFinal, fresh, Settle(Outcome::Unknown)),
            (Verdict::Throttled, fresh, Retry { spends_budget: false }),
            (Verdict::Throttled, State { budget: false, ..fresh }, Retry { spends_budget: false }),
            (Verdict::Throttled, spent, Settle(Outcome::Unsent)),
            (Verdict::Throttled, State { doubted: true, ..spent }, Settle(Outcome::Unknown)),
            (Verdict::NotSent, spent, Return),
            (Verdict::NotSent, State { stopping: true, ..fresh }, Settle(Outcome::Unsent)),
            (Verdict::NotSent, State { stopping: true, ..doubted }, Settle(Outcome::Unknown)),
            (Verdict::Misconfigured, fresh, Halt(Outcome::Unsent)),
            (Verdict::Misconfigured, doubted, Halt(Outcome::Unknown)),
        ] {
            assert_eq!(decide(verdict, state, &policy()), decision, "{verdict:?} {state:?}");
        }
    }

    #[test]
    fn waits_double_under_full_jitter_and_a_schedule_is_kept() {
        let mut policy = policy();
        assert_eq!(policy.wait(1, u64::MAX), Duration::from_millis(500));
        assert_eq!(policy.wait(3, u64::MAX), Duration::from_secs(2));
        assert_eq!(policy.wait(40, u64::MAX), Duration::from_secs(30));
        assert_eq!(policy.wait(40, 0), Duration::ZERO);
        policy.schedule = vec![Duration::from_secs(2), Duration::from_secs(600)];
        assert_eq!(policy.wait(1, 0), Duration::from_secs(2));
        assert_eq!(policy.wait(2, u64::MAX), Duration::from_secs(660));
        assert_eq!(policy.wait(9, 0), Duration::from_secs(600));
    }
}
