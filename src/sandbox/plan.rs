//! What becomes of one call: whether the card changes, and what the caller gets to see.

use std::time::Duration;

use crate::wire::Said;

use super::faults::Fault;

/// What becomes of one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The exchange, to be named when it ends.
    pub exchange: u64,
    /// From the arrival to the first byte of the reply, or to the cut.
    pub wait: Duration,
    /// What the caller gets.
    pub delivery: Delivery,
}

/// What the caller gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The connection is cut before a byte of reply.
    Cut,
    /// A reply in the dialect's form.
    Reply {
        /// What it says.
        said: Said,
        /// Under which signature.
        seal: Seal,
        /// How much of it arrives.
        transfer: Transfer,
    },
    /// A reply of something between the caller and the gateway.
    Page {
        /// The HTTP status.
        status: u16,
        /// The seconds of its `Retry-After`.
        retry_after_s: Option<u32>,
        /// What stands on it.
        page: Page,
    },
}

/// The signature under a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Seal {
    /// The platform's.
    True,
    /// One of another key.
    Forged,
    /// None.
    Missing,
}

/// How much of a reply arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transfer {
    /// All of it.
    Whole,
    /// All of it, and then the connection is closed without a word: whoever uses it again meets a dead one.
    ThenClose,
    /// The head and half of the body; then a cut.
    Half,
}

/// What stands on a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// Nothing.
    Empty,
    /// HTML.
    Html,
    /// Bytes of no form.
    Garbage,
}

impl Delivery {
    /// Whether it confirms the call so that it must be believed: the platform's own success, whole.
    pub fn confirms(&self) -> bool {
        matches!(self, Delivery::Reply { said: Said::Applied, seal: Seal::True, transfer }
            if *transfer != Transfer::Half)
    }

    /// The HTTP status; `None` without a reply.
    pub fn http_status(&self) -> Option<u16> {
        match self {
            Delivery::Cut => None,
            Delivery::Reply { .. } => Some(200),
            Delivery::Page { status, .. } => Some(*status),
        }
    }

    /// What the reply says, if it is one of the gateway's own.
    pub fn said(&self) -> Option<&Said> {
        match self {
            Delivery::Reply { said, .. } => Some(said),
            Delivery::Cut | Delivery::Page { .. } => None,
        }
    }
}

/// The table of faults: whether the card changes, and what the caller gets.
pub(super) fn effect(fault: Option<&Fault>) -> (bool, Delivery) {
    let reply = |said| Delivery::Reply { said, seal: Seal::True, transfer: Transfer::Whole };
    let success = |seal, transfer| Delivery::Reply { said: Said::Applied, seal, transfer };
    let page = |status, page| Delivery::Page { status, retry_after_s: None, page };
    let Some(fault) = fault else { return (true, reply(Said::Applied)) };
    match fault {
        Fault::Unknown { applied } => (*applied, reply(Said::Unknown)),
        Fault::SystemError { applied } => (*applied, reply(Said::SystemError)),
        Fault::Drop { applied } => (*applied, Delivery::Cut),
        Fault::Garbage { applied } => (*applied, page(200, Page::Garbage)),
        Fault::Html { applied } => (*applied, page(200, Page::Html)),
        Fault::Forged { applied } => (*applied, success(Seal::Forged, Transfer::Whole)),
        Fault::Unsigned { applied } => (*applied, success(Seal::Missing, Transfer::Whole)),
        Fault::Http { status, applied } => (*applied, page(*status, Page::Html)),
        Fault::TooMany { retry_after_s } => {
            (false, Delivery::Page { status: 429, retry_after_s: *retry_after_s, page: Page::Empty })
        }
        Fault::Limit => (false, reply(Said::Throttled)),
        Fault::Half => (true, success(Seal::True, Transfer::Half)),
        Fault::Slow => (true, reply(Said::Applied)),
        Fault::Hang => (false, Delivery::Cut),
        Fault::Close => (true, success(Seal::True, Transfer::ThenClose)),
        Fault::Refuse(code) => (false, reply(Said::Refused(code.clone()))),
    }
}
