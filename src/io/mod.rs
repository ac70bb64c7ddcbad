//! The edges: everything that touches the world. It decides nothing.
#![expect(clippy::disallowed_methods, reason = "files, variables and the clock are this floor's business")]

pub mod job;
pub mod keys;
pub mod lock;
