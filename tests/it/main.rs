//! One integration binary: a second one would link everything again.
#![allow(clippy::disallowed_methods, reason = "tests are outside the floors")]

mod jobs;
mod tidy;
mod wire;
