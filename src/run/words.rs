//! What a person reads about a row that ended: the code and the sentence of each cause.

use serde::{Deserialize, Serialize};

use crate::core::card::NEWER_IN_DOUBT;
use crate::core::dispatcher::Cause;
use crate::core::halt::Stop;
use crate::core::limits;
use crate::model::{Outcome, Settled};

/// Fills in code and message where the last reply alone does not tell why the row ended so.
pub fn explain(settled: &mut Settled, cause: &Cause) {
    match cause {
        Cause::Reply if settled.outcome == Outcome::Refused && settled.in_doubt > 0 => {
            settled.message = format!("refused after doubt: an earlier attempt may have applied; {}", settled.message);
        }
        Cause::Reply => {}
        Cause::Budget => settled.message = behind("the run's budget for in-doubt retries is spent", settled),
        Cause::Stopped(stop) => {
            settled.message = behind(&stop.to_string(), settled);
            stop.code().clone_into(&mut settled.code);
        }
        Cause::HeldBy(_) => say(settled, "HELD", "a row of its card that goes before it is unknown or unsent"),
        Cause::NewerInDoubt(_) => say(settled, NEWER_IN_DOUBT, "a newer row of the card may have been applied"),
        Cause::OvertakenBy(_) => {
            say(settled, "SUPERSEDED", "a newer row of this run was applied and leaves nothing of it");
        }
        Cause::CarriedBy(_) => say(settled, "COALESCED", "a newer row of its card carried it"),
    }
    if settled.outcome == Outcome::Applied && !settled.trimmed.is_empty() {
        let without = settled.trimmed.join(", ");
        let message = format!("sent without {without}, of which the card has newer values; {}", settled.message);
        say(settled, "TRIMMED", &message);
    }
}

fn say(settled: &mut Settled, code: &str, message: &str) {
    code.clone_into(&mut settled.code);
    message.clone_into(&mut settled.message);
}

/// A reason, with what the gateway said last.
fn behind(reason: &str, settled: &Settled) -> String {
    if settled.message.is_empty() {
        return reason.to_owned();
    }
    format!("{reason}; the last reply: {} {}", settled.code, settled.message)
}

/// How a row ended that the run never came to.
pub fn untouched(stopped: Option<&Stopped>) -> (String, String) {
    match stopped {
        Some(stopped) => (stopped.code.clone(), stopped.message.clone()),
        None => ("ABANDONED".to_owned(), "the run was closed before it came to the row".to_owned()),
    }
}

/// What a person should know and do where the gateway's clock is `off_ms` (milliseconds) ahead of ours, or behind it.
pub fn clock_is_off(off_ms: i64) -> String {
    let side = if off_ms > 0 { "behind" } else { "ahead of" };
    let (off, tolerance) = (off_ms.unsigned_abs() / 1_000, limits::CLOCK_TOLERANCE.as_secs());
    format!(
        "our clock is {off} s {side} the gateway's (permitted: {tolerance} s); calls are signed with our time, and a gateway \
         that looks at it refuses them: set the clock (`timedatectl` shows whether a time service does)"
    )
}

/// Why a run stopped before its plan was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopped {
    /// The code of the rows that it did not come to.
    pub code: String,
    /// For a person.
    pub message: String,
}

impl From<&Stop> for Stopped {
    fn from(stop: &Stop) -> Stopped {
        Stopped { code: stop.code().to_owned(), message: stop.to_string() }
    }
}
