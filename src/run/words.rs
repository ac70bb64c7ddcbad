//! What a person reads about a row that ended: the code and the sentence of each cause.

use super::manifest::Stopped;
use crate::core::dispatcher::Cause;
use crate::model::{Outcome, Settled};

/// Fills in code and message where the last reply alone does not tell why the row ended so.
pub fn explain(settled: &mut Settled, cause: &Cause) {
    let said = std::mem::take(&mut settled.message);
    let told = |text: &str| if said.is_empty() { text.to_owned() } else { format!("{text}; last reply: {said}") };
    match cause {
        Cause::Reply if settled.outcome == Outcome::Refused && settled.in_doubt > 0 => {
            settled.message = format!("refused after doubt: an earlier attempt may have applied; {said}");
        }
        Cause::Reply => settled.message = said,
        Cause::Budget => {
            settled.message = told("the run's budget for in-doubt retries is spent ([retry] budget)");
        }
        Cause::HeldBy(_) => {
            settled.code = "HELD".to_owned();
            settled.message = "an earlier row of its card is unknown or unsent".to_owned();
        }
        Cause::NewerInDoubt(_) => {
            settled.code = "NEWER_IN_DOUBT".to_owned();
            settled.message = "a newer row of the card may have been applied".to_owned();
        }
        Cause::OvertakenBy(_) => {
            settled.code = "SUPERSEDED".to_owned();
            settled.message = "a newer row of this run was applied and leaves nothing of it".to_owned();
        }
        Cause::CarriedBy(_) => {
            settled.code = "COALESCED".to_owned();
            settled.message = "a newer row of its card carried it".to_owned();
        }
        Cause::Stopped(stop) => {
            stop.code().clone_into(&mut settled.code);
            settled.message = told(&stop.to_string());
        }
    }
    if !settled.trimmed.is_empty() && settled.outcome == Outcome::Applied {
        settled.message =
            format!("TRIMMED, without {}: the card has newer values; {}", settled.trimmed.join(", "), settled.message);
        settled.code = "TRIMMED".to_owned();
    }
}

/// How a row ended that the run never came to.
pub fn untouched(stopped: Option<&Stopped>) -> (String, String) {
    match stopped {
        Some(stopped) => (stopped.code.clone(), stopped.message.clone()),
        None => ("ABANDONED".to_owned(), "the run was closed before it came to the row".to_owned()),
    }
}
