//! What the sweep has met. A generator that never meets a case is blind to it.

use std::collections::BTreeMap;

use passync::core::dispatcher::Cause;
use passync::core::halt::Stop;
use passync::model::{Outcome, Verdict};

/// How often each case was met.
#[derive(Clone, Debug, Default)]
pub struct Coverage(BTreeMap<String, u64>);

/// Every case but the outcomes. `Stop::TooMuchDoubt` is out of reach: it takes 200,000 cards.
const CASES: [&str; 29] = [
    "stop Signal",
    "stop Deadline",
    "stop Misconfigured",
    "stop Errors",
    "stop Unreachable",
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
    "verdict Applied",
    "verdict Refused",
    "verdict Throttled",
    "verdict InDoubt",
    "verdict InDoubtFinal",
    "verdict NotSent",
    "verdict Misconfigured",
    "a kill with rows in doubt",
    "a kill of a recovering process",
    "an arrival after our end",
    "an abandoned run",
    "an adopted row",
    "a trimmed revision",
    "a person's answer",
];

impl Coverage {
    pub fn hit(&mut self, case: &str) {
        assert!(CASES.contains(&case), "list the case `{case}`");
        *self.0.entry(case.to_owned()).or_default() += 1;
    }

    pub fn hit_if(&mut self, case: &str, is_met: bool) {
        if is_met {
            self.hit(case);
        }
    }

    pub fn outcome(&mut self, outcome: Outcome) {
        *self.0.entry(format!("outcome {outcome}")).or_default() += 1;
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

    pub fn stop(&mut self, stop: &Stop) {
        self.hit(match stop {
            Stop::Signal => "stop Signal",
            Stop::Deadline => "stop Deadline",
            Stop::Misconfigured(_) => "stop Misconfigured",
            Stop::Errors => "stop Errors",
            Stop::Unreachable => "stop Unreachable",
            Stop::Canary => "stop Canary",
            Stop::CanaryFailed => "stop CanaryFailed",
            Stop::TooMuchDoubt => unreachable!("it takes 200,000 cards"),
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
            *self.0.entry(case.clone()).or_default() += times;
        }
    }

    /// The cases that were never met.
    pub fn missing(&self) -> Vec<String> {
        let outcomes = Outcome::ALL.iter().map(|outcome| format!("outcome {outcome}"));
        let cases = CASES.iter().map(|case| (*case).to_owned()).chain(outcomes);
        cases.filter(|case| !self.0.contains_key(case)).collect()
    }
}

impl std::fmt::Display for Coverage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|(case, times)| writeln!(f, "{times:>12} {case}"))
    }
}
