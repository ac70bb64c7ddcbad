//! The tests that need more than one room of the house: one binary, so that it links once.

mod jobs;
mod sandbox;
mod simulate;
mod tidy;
mod wire;
