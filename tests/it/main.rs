//! One integration binary: a second one would link everything again.

mod sandbox;
mod wire;
