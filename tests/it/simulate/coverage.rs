//! What the sweep has met. A generator that never meets a case is blind to it.

use std::collections::BTreeMap;

use passync::core::dispatcher::Cause;
use passync::core::history::Past;
use passync::model::{Outcome, Verdict};

/// How often each case was met.
#[derive(Clone, Debug, Default)]
pub struct Coverage(BTreeMap<&'static str, u64>);

/// Every case but the outcomes, the verdicts and the pasts of bills.
const CASES: &[&str] = &[
    // What there was.
    "rows",
    "runs",
    "processes",
    "kills",
    "calls",
    // Why runs stopped, and rows ended.
    "stop Signal",
    "stop Deadline",
    "stop Misconfigured, signed",
    "stop Misconfigured, unsigned",
    "stop Errors, a share",
    "stop Errors, a number",
    "stop Unreachable, never reached",
    "stop Unreachable, an outage",
    "stop TooMuchDoubt",
    "stop Canary",
    "stop CanaryFailed",
    "a canary that others follow",
    "cause Reply",
    "cause Budget",
    "cause HeldBy",
    "cause NewerInDoubt",
    "cause OvertakenBy",
    "cause CarriedBy",
    "cause Stopped",
    // What the planner finds.
    "SUPERSEDED",
    "SUPERSEDED_CLOSED",
    "NEWER_IN_DOUBT",
    "a bare row, the same as its neighbour",
    "a bill with two contents",
    "a row adopted",
    "a stored revision cut down",
    "a row that waits for a newer one",
    "a row that leaves members out",
    "an absorbed row",
    // On the way.
    "a Retry-After",
    "a slower pace",
    "the full pace again",
    "a gateway that is back",
    "a reply of another time",
    "a wrong clock",
    "an arrival after our end",
    "a trimmed revision",
    "an absorbed row in the place of its refused carrier",
    "a stale row may be sent",
    "a card rolled back on demand",
    // Kills, and what comes after.
    "a kill with rows in doubt",
    "a kill of a recovering process",
    "a kill between fold and manifest",
    "a kill while the run stops",
    "an end taken over",
    "an end taken over of an absorbed row",
    "a row taken up",
    "a row begun",
    "a signal to a recovering process",
    "a predecessor that ended",
    "a predecessor that died over this run",
    "a predecessor that died over this run between its calls",
    "a kill between plan and stamp",
    "a predecessor that died over another run",
    "a predecessor of another boot",
    "a plan made again",
    "a damaged survey",
    "a row kept",
    "a run finished another day",
    "a run reopened",
    "an abandoned run",
    "an interrupted run of another job",
    "a row that others went on with",
    "a person's answer",
    "a person's answer about an interrupted run",
];

/// By [`Past`]: the same content again, another content.
const PASTS: [[&str; 2]; 7] = [
    ["Applied, the same", "Applied, another content"],
    ["Doubtful, the same", "Doubtful, another content"],
    ["NeverSent, the same", "NeverSent, another content"],
    ["Refused, the same", "Refused, another content"],
    ["RefusedAfterDoubt, the same", "RefusedAfterDoubt, another content"],
    ["Superseded, the same", "Superseded, another content"],
    ["Coalesced, the same", "Coalesced, another content"],
];

const VERDICTS: [&str; 7] = [
    "verdict Applied",
    "verdict Refused",
    "verdict Throttled",
    "verdict InDoubt",
    "verdict InDoubtFinal",
    "verdict NotSent",
    "verdict Misconfigured",
];

impl Coverage {
    pub fn hit(&mut self, case: &'static str) {
        debug_assert!(cases().any(|known| known == case), "list the case `{case}`");
        self.add(case, 1);
    }

    pub fn add(&mut self, case: &'static str, times: u64) {
        *self.0.entry(case).or_default() += times;
    }

    pub fn hit_if(&mut self, case: &'static str, is_met: bool) {
        if is_met {
            self.hit(case);
        }
    }

    pub fn outcome(&mut self, outcome: Outcome) {
        self.hit(outcome.as_str());
    }

    pub fn cause(&mut self, cause: &Cause) {
        self.hit(match cause {
            Cause::Reply => "cause Reply",
            Cause::Budget => "cause Budget",
            Cause::HeldBy(_) => "cause HeldBy",
            Cause::NewerInDoubt(_) => "cause NewerInDoubt",
            Cause::OvertakenBy(_) => "cause OvertakenBy",
            Cause::CarriedBy(_) => "cause CarriedBy",
            Cause::Stopped(_) => "cause Stopped",
        });
    }

    pub fn verdict(&mut self, verdict: Verdict) {
        self.hit(match verdict {
            Verdict::Applied => "verdict Applied",
            Verdict::Refused => "verdict Refused",
            Verdict::Throttled => "verdict Throttled",
            Verdict::InDoubt => "verdict InDoubt",
            Verdict::InDoubtFinal => "verdict InDoubtFinal",
            Verdict::NotSent => "verdict NotSent",
            Verdict::Misconfigured => "verdict Misconfigured",
        });
    }

    pub fn merge(&mut self, other: &Coverage) {
        for (case, times) in &other.0 {
            *self.0.entry(case).or_default() += times;
        }
    }

    /// The cases that were never met.
    pub fn missing(&self) -> Vec<&'static str> {
        cases().filter(|case| !self.0.contains_key(case)).collect()
    }
}

impl std::fmt::Display for Coverage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|(case, times)| writeln!(f, "{times:>12} {case}"))
    }
}

fn cases() -> impl Iterator<Item = &'static str> {
    let plain = CASES.iter().copied().chain(VERDICTS).chain(Outcome::ALL.map(Outcome::as_str));
    plain.chain(PASTS.into_iter().flatten())
}

/// The case of a bill that comes again.
pub fn again(past: Past, same: bool) -> &'static str {
    let at = Past::ALL.iter().position(|known| *known == past).expect("all are listed");
    PASTS[at][usize::from(!same)]
}
