//! The tests that need more than one room of the house: one binary, so that it links once.
#![allow(clippy::disallowed_methods, reason = "tests are outside the floors")]

mod demo;
mod fixtures;
mod jobs;
mod sandbox;
mod tidy;
mod usage;
mod wire;
