//! The edges: everything that touches the world. It decides nothing.

pub mod job;
