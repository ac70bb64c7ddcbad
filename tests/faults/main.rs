//! The real binary, killed and starved of its disk at every durable step (`--features faults`; the steps are the table
//! of `src/io/fault.rs`), and what the gateway, the ledger and the files say about it afterwards.
//!
//! ```text
//! cargo test --features faults --test faults                                    all of it, 30 random kills
//! PASSYNC_KILLS=300 cargo test --features faults --test faults random_kills     300 of them
//! PASSYNC_THOROUGH=1 cargo test --features faults --test faults                 both errors of the disk at every point,
//!                                                                               kills in the recovery before and behind
//! ```
#![allow(
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "tests are outside the floors, and say what they skip"
)]

mod crash;
mod scenes;
mod signals;
#[path = "../it/night/stage.rs"]
#[allow(dead_code, reason = "shared with tests/it, which uses the rest")]
mod stage;
mod storage;
