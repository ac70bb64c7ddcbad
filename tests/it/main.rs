//! The tests that need more than one room of the house: one binary, so that it links once.
#![allow(
    clippy::match_same_arms,
    clippy::needless_for_each,
    clippy::struct_excessive_bools,
    reason = "tests are tables and stories"
)]
#![allow(
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "tests are outside the floors, and say what they skip"
)]

mod clock;
mod demo;
mod fixtures;
mod hostile;
mod jobs;
mod keys;
mod net;
mod night;
mod runbook;
mod sandbox;
mod secrets;
mod setup;
mod simulate;
mod tidy;
mod usage;
mod wire;
mod wire_command;
mod wire_dialects;
mod wycheproof;
