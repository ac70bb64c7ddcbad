//! The two doors of the [`Dispatcher`](super::Dispatcher): what comes in, and what it wants done.

use std::time::Duration;

use super::halt::{ErrorLimit, Stop};
use super::retry::Policy;
use crate::model::{Digest, Outcome, Tick, Verdict};

/// A row of the plan that may be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanRow {
    /// Its index in the run's input order: its name everywhere below.
    pub id: u64,
    /// Its card.
    pub card: Digest,
    /// A bit per member that it carries.
    pub members: u64,
    /// Those already known to be stale.
    pub drop: u64,
    /// How many rows of its lane, directly before it, it may absorb.
    pub cover: u32,
    /// Whether a later row of its lane absorbs it.
    pub absorbed: bool,
    /// Doubtful newer rows of its card in this run, which stand before it in the plan: what each leaves of it
    /// is known only when that one is settled.
    pub gates: Vec<Gate>,
    /// Whether a later row has a gate that names this one.
    pub watched: bool,
    /// Attempts in doubt of earlier runs.
    pub doubt: u32,
    /// What an interrupted part of this run left of it.
    pub recovered: Option<Recovered>,
}

/// A newer row in doubt that decides what is left of an older one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Gate {
    /// The newer row; it comes before this one.
    pub id: u64,
    /// The members of this row that the newer one carries.
    pub shared: u64,
}

/// What the ledger knows of a row of an interrupted run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// How it ended, if it did.
    pub settled: Option<Outcome>,
    /// HTTP requests, the one that the crash may have cut off included.
    pub attempts: u32,
    /// Those in doubt, also of a row that ended; the one that the crash cut off is one of them.
    pub doubt: u32,
    /// The revision whose body is durable.
    pub intent: Option<u64>,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// Rows of the plan, as asked for.
    Rows(Vec<PlanRow>),
    /// The plan has no more rows.
    EndOfPlan,
    /// The plan has no more rows of the canary's cards; the others are read from its beginning when they are asked for.
    EndOfCanary,
    /// The row's intent is durable.
    Durable(u64),
    /// The row's exchange ended.
    Reply {
        /// The row.
        id: u64,
        /// What the reply means.
        verdict: Verdict,
        /// Whether any of a reply came in, so that the call is known to have arrived.
        answered: bool,
        /// How long the gateway wants to be left alone.
        retry_after: Option<Duration>,
        /// Whether the reply's signature verified.
        verified: bool,
        /// The code, where it is one of configuration.
        configuration: Option<String>,
        /// Uniform, for the jitter of a wait.
        random: u64,
    },
    /// The row's outcome is durable.
    Committed(u64),
    /// Nothing more is to be sent.
    Stop(Stop),
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Read so many rows of the plan; answer with [`Event::Rows`], and behind the last of them with
    /// [`Event::EndOfPlan`] or [`Event::EndOfCanary`].
    Read(usize),
    /// Make the body of this revision durable; answer with [`Event::Durable`].
    Intend {
        /// The row.
        id: u64,
        /// The members that the revision leaves out.
        drop: u64,
    },
    /// Sign and send the row's revision; answer with [`Event::Reply`].
    Send {
        /// The row.
        id: u64,
    },
    /// The row's last attempt did not settle it: record it.
    Attempted {
        /// The row.
        id: u64,
    },
    /// Record the row's end; answer with [`Event::Committed`].
    Settle(Settlement),
    /// Nothing to do before this instant, or an event.
    Sleep(Tick),
    /// Nothing to do before an event.
    Park,
    /// Everything is settled, or nothing more will be.
    Done,
}

/// How a row ended, as far as the core knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// The row.
    pub id: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// Why.
    pub cause: Cause,
    /// HTTP requests made in this run.
    pub attempts: u32,
    /// Attempts in doubt, of all runs.
    pub in_doubt: u32,
    /// The members that its last revision left out.
    pub drop: u64,
}

/// Why a row ended as it did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The last reply says so.
    Reply,
    /// The run's budget for in-doubt retries is spent.
    Budget,
    /// This row of its card, which goes before it, is unknown or unsent.
    HeldBy(u64),
    /// This newer row of its card is in doubt.
    NewerInDoubt(u64),
    /// This newer row was applied and leaves nothing of it; behind a crash it may be forgotten which.
    OvertakenBy(Option<u64>),
    /// This row carried it.
    CarriedBy(u64),
    /// The run stops before the row is done with.
    Stopped(Stop),
}

/// What shapes a run.
#[derive(Clone, Debug)]
pub struct Config {
    /// Rows between intent and durable outcome.
    pub concurrency: usize,
    /// Attempts and waits.
    pub policy: Policy,
    /// In-doubt retries that the run may spend.
    pub budget: u64,
    /// Whether rows after a doubtful one of their card wait for a replay.
    pub hold: bool,
    /// When errors halt the run.
    pub error_limit: ErrorLimit,
    /// Cards that may hold later rows back; more halt the run.
    pub held_max: usize,
    /// Rows that a crash left between intent and end: they have slots before any new row starts, so that no series of
    /// kills leaves more than `concurrency` rows in doubt.
    pub cut_off: usize,
    /// When rows that a crash left in doubt may be sent again.
    pub doubt_not_before: Tick,
    /// No attempt starts later.
    pub deadline: Tick,
    /// Whether the rows behind a canary follow where it ended well; else the run stops behind it.
    pub canary_continues: bool,
}
