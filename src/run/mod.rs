//! The driver: survey, dispatch, recover, project. The only floor with tasks, sleeps and `select!`.
//!
//! ```text
//! begin    inputs -> survey -> lease -> plan -> the run is booked       (nothing was sent)
//! apply    plan -> dispatcher -> ledger, pool, gateway                  (all sends)
//! close    plan x journal -> outcomes, failures, ledger, manifest       (all files)
//! carry    apply and close of one run, with what its settings say
//! job      which of these a command needs, and what it goes on with
//! ```
#![expect(clippy::disallowed_methods, reason = "the driver has the clock, the files and the threads of a run")]

mod apply;
mod begin;
mod carry;
mod check;
mod close;
mod context;
mod detail;
pub mod doctor;
mod endpoint;
mod fault;
mod fold;
mod inputs;
pub mod job;
pub mod look;
mod manifest;
mod meter;
mod plan;
mod pool;
mod progress;
pub mod reconcile;
mod recover;
pub mod report;
pub mod settle;
mod signals;
mod space;
mod store;
mod survey;
mod words;

pub use apply::wall_ms;
pub use check::{Checked, Finding};
pub use context::Job;
pub use detail::{Flags, InputFact, RunDetail};
pub use endpoint::{dialect, load_keys};
pub use fault::Fault;
pub use job::{Finished, Request};
pub use manifest::{Calls, Durations, FileFact, Manifest, Sum, Tally};
pub use progress::{Phase, Progress};
pub use signals::Signals;
pub use words::Stopped;
