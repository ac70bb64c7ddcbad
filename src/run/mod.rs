//! The driver: survey, dispatch, recover, project. Its tasks and waits are the run's.
//!
//! ```text
//! begin    inputs -> survey -> lease -> plan -> the run is booked       (nothing was sent)
//! apply    plan -> dispatcher -> ledger, pool, gateway                  (all sends)
//! close    plan x journal -> ledger, outcomes, failures, manifest       (all files)
//! carry    apply and close of one run, with what its settings say
//! observed who is told how it goes: a text file, a collector; notify: how it ended    (they decide nothing)
//! job      which of these a command needs, and what it goes on with
//! ```
#![expect(clippy::disallowed_methods, reason = "the driver has the clock, the files and the threads of a run")]

mod age;
mod apply;
mod arrive;
pub mod backup;
mod begin;
mod brief;
pub mod called;
mod carry;
mod check;
mod clock;
mod close;
mod context;
mod control;
mod detail;
pub mod diff;
pub mod doctor;
mod done;
mod endpoint;
pub mod export;
mod fault;
mod figures;
mod findings;
mod fold;
mod gate;
mod guard;
pub mod history;
pub mod import;
mod inputs;
mod io_thread;
pub mod job;
mod keep;
mod latency;
mod lease;
pub mod look;
mod manifest;
pub mod meaning;
mod members;
mod metrics;
pub mod next;
mod notify;
pub mod numbers;
mod observed;
mod otlp;
mod page;
mod plan;
mod pool;
mod progress;
pub mod proof;
pub mod prune;
mod random;
pub mod reconcile;
mod recover;
pub mod report;
pub mod settle;
mod signals;
mod space;
mod store;
mod stored;
mod survey;
mod surveyed;
mod timings;
mod trail;
pub mod verify;
mod versus;
mod words;

pub use check::{Checked, Time, WriteControl};
pub use clock::wall_ms;
pub use context::Job;
pub use detail::{Canary, Flags, InputFact, RunDetail};
pub use done::Durations;
pub use endpoint::{dialect, load_keys};
pub use fault::Fault;
pub use findings::{Clash, Difference, Finding};
pub use job::{Finished, Request};
pub use manifest::{Calls, FileFact, Manifest, Sum, Tally};
pub use observed::tell_unopened;
pub use page::write_history_page;
pub use progress::{Phase, Progress};
pub use signals::Signals;
pub use survey::Columns;
pub use timings::{Stage, Timings};
pub use versus::{Change, Versus};
pub use words::Stopped;
