//! The edges: everything that touches the world. It decides nothing.

pub mod atomic;
pub mod failures;
pub mod job;
pub mod outcomes;
pub mod source;
