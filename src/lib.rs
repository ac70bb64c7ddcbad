//! passync keeps loyalty points and levels on Alipay membership cards true.
//!
//! The house has seven floors; a floor may use those below it, never one above, and there are no circles.
//!
//! ```text
//! cli      arguments -> job file -> settings -> a command -> exit code. The only floor that prints.
//! run      the driver: survey, dispatch, recover, project. Its tasks and waits are the run's.
//! sandbox  a gateway that verifies, judges and misbehaves on request (pure core, thin hyper mount).
//! io       the edges: job file, sources, gateway (HTTP), ledger, outputs, keys, lock.
//! core     pure decisions: dispatcher, lanes, quota, retry, history, halt. No IO, no clock, no randomness.
//! wire     pure codecs, bytes <-> values: one folder per dialect. Never sees core.
//! model    values, parsed once: Delta, Place, Verdict, Outcome, Record, Tick.
//! ```

pub mod cli;
pub mod core;
pub mod io;
pub mod model;
pub mod run;
pub mod sandbox;
pub mod wire;
