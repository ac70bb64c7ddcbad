//! The tests that need more than one room of the house: one binary, so that it links once.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "tests are outside the floors, and say what they skip"
)]

mod demo;
mod fixtures;
mod jobs;
mod night;
mod sandbox;
mod simulate;
mod tidy;
mod usage;
mod wire;
mod wire_command;
mod wire_dialects;
mod wycheproof;
