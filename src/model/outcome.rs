//! How one row ended. Every row gets exactly one outcome.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How one row ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The gateway confirmed it, and its signature verified.
    Applied,
    /// An earlier run applied the same bill with the same content.
    AlreadyApplied,
    /// An earlier row of this run has the same bill and the same content.
    Duplicate,
    /// Every member it carries is older than what the card was given.
    Superseded,
    /// Absorbed by a newer row of the same card in this run that was applied.
    Coalesced,
    /// The row is not valid; it was never sent.
    Rejected,
    /// Same bill, different content.
    Conflict,
    /// The gateway said a final no.
    Refused,
    /// It may or may not be applied.
    Unknown,
    /// Not sent because of the doubt about another row of its card.
    Held,
    /// Provably never applied: not sent, or throttled, when the run ended.
    Unsent,
}

impl Outcome {
    /// All outcomes, in the order of reports.
    pub const ALL: [Outcome; 11] = [
        Outcome::Applied,
        Outcome::AlreadyApplied,
        Outcome::Duplicate,
        Outcome::Superseded,
        Outcome::Coalesced,
        Outcome::Rejected,
        Outcome::Conflict,
        Outcome::Refused,
        Outcome::Unknown,
        Outcome::Held,
        Outcome::Unsent,
    ];

    /// The word in every file.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Applied => "applied",
            Outcome::AlreadyApplied => "already_applied",
            Outcome::Duplicate => "duplicate",
            Outcome::Superseded => "superseded",
            Outcome::Coalesced => "coalesced",
            Outcome::Rejected => "rejected",
            Outcome::Conflict => "conflict",
            Outcome::Refused => "refused",
            Outcome::Unknown => "unknown",
            Outcome::Held => "held",
            Outcome::Unsent => "unsent",
        }
    }

    /// Whether the row goes into the failure file.
    pub fn is_failure(self) -> bool {
        self >= Outcome::Rejected
    }

    /// Whether a replay takes the row as it stands, without a person.
    pub fn is_open(self) -> bool {
        self >= Outcome::Unknown
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Outcome {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        Outcome::ALL.into_iter().find(|outcome| outcome.as_str() == text).ok_or(())
    }
}

/// The end of one row, with all that its line of `outcomes` says of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settled {
    /// How it ended.
    pub outcome: Outcome,
    /// The vendor's code, or the rule of a local outcome.
    pub code: String,
    /// The vendor's status (`S`, `F`, `U`).
    pub status: String,
    /// What happened, for a person.
    pub message: String,
    /// HTTP requests made in this run, those of an interrupted part included.
    pub attempts: u32,
    /// Those that ended in doubt; doubt carried from earlier runs included.
    pub in_doubt: u32,
    /// When the first attempt of this run began; milliseconds since 1970.
    pub first_sent_ms: Option<i64>,
    /// When the row was settled; milliseconds since 1970.
    pub settled_ms: i64,
    /// The last attempt's time from handing the request to the transport to the reply in; microseconds.
    pub latency_us: Option<u64>,
    /// The vendor's trace id of the last attempt.
    pub trace_id: String,
    /// The row that did the call: its index in the run's input order.
    pub carried_by: Option<u64>,
    /// The last HTTP status; 0 without a reply.
    pub http_status: u16,
    /// The gateway's own time of the last reply.
    pub result_at: String,
    /// The members that were left out of the last revision, by name.
    pub trimmed: Vec<String>,
}

impl Settled {
    /// An end that no call had a part in.
    pub fn local(outcome: Outcome, code: &str, message: impl Into<String>, settled_ms: i64) -> Settled {
        Settled {
            outcome,
            code: code.to_owned(),
            status: String::new(),
            message: message.into(),
            attempts: 0,
            in_doubt: 0,
            first_sent_ms: None,
            settled_ms,
            latency_us: None,
            trace_id: String::new(),
            carried_by: None,
            http_status: 0,
            result_at: String::new(),
            trimmed: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_round_trip_and_classes_are_as_the_contract_says() {
        for outcome in Outcome::ALL {
            assert_eq!(outcome.as_str().parse(), Ok(outcome));
        }
        let failures: Vec<_> = Outcome::ALL.into_iter().filter(|o| o.is_failure()).map(Outcome::as_str).collect();
        assert_eq!(failures, ["rejected", "conflict", "refused", "unknown", "held", "unsent"]);
        let open: Vec<_> = Outcome::ALL.into_iter().filter(|o| o.is_open()).map(Outcome::as_str).collect();
        assert_eq!(open, ["unknown", "held", "unsent"]);
    }
}
