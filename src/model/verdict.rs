//! What one reply means. The only word that the wire and the core share.

use serde::{Deserialize, Serialize};

/// What one reply, or the lack of one, means for the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The gateway confirmed it, and its signature verified.
    Applied,
    /// A verified final no.
    Refused,
    /// Not applied; the gateway asks for a slower pace.
    Throttled,
    /// It may or may not have been applied; asking again with the same bytes may tell.
    InDoubt,
    /// As `InDoubt`, but asking again will not tell (a verified success status with another code).
    InDoubtFinal,
    /// No byte of the request can have left.
    NotSent,
    /// The gateway refuses our identity or our form, not the row.
    Misconfigured,
}

impl Verdict {
    /// Whether the update may have been applied without our knowing.
    pub fn in_doubt(self) -> bool {
        matches!(self, Verdict::InDoubt | Verdict::InDoubtFinal)
    }

    /// The word of reports and of `wire verify`.
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Applied => "applied",
            Verdict::Refused => "refused",
            Verdict::Throttled => "throttled",
            Verdict::InDoubt | Verdict::InDoubtFinal => "in_doubt",
            Verdict::NotSent => "not_sent",
            Verdict::Misconfigured => "misconfigured",
        }
    }
}

/// One reply as the dialect read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// What it means.
    pub verdict: Verdict,
    /// `Some(true)`: the signature verified; `Some(false)`: it did not; `None`: there was none.
    pub verified: Option<bool>,
    /// The vendor's code (`resultCode`, or `code/sub_code`), or ours (`TIMEOUT`, `HTTP_503`, ...).
    pub code: String,
    /// The vendor's status (`S`, `F`, `U`), empty where there is none.
    pub status: String,
    /// What the vendor says, or what we found in its place.
    pub message: String,
    /// The vendor's trace id, empty where there is none.
    pub trace_id: String,
    /// The HTTP status; 0 without a reply.
    pub http_status: u16,
    /// The gateway's own time of the reply, as it wrote it; empty where there is none.
    pub result_at: String,
    /// The same in milliseconds since 1970, for the clock check.
    pub result_ms: Option<i64>,
    /// `Retry-After`, in milliseconds.
    pub retry_after_ms: Option<u64>,
    /// Whether the code stands in the dialect's table.
    pub listed: bool,
    /// Whether the code names a fault of configuration, believed or not (five unsigned ones halt a run).
    pub configuration: bool,
}

impl Reading {
    /// A reading that only the transport made: no body was believed.
    pub fn transport(verdict: Verdict, code: &str, message: impl Into<String>) -> Reading {
        Reading {
            verdict,
            verified: None,
            code: code.to_owned(),
            status: String::new(),
            message: message.into(),
            trace_id: String::new(),
            http_status: 0,
            result_at: String::new(),
            result_ms: None,
            retry_after_ms: None,
            listed: true,
            configuration: false,
        }
    }
}
