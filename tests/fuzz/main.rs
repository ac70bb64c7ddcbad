//! Fuzzing: what comes from outside, mutated without end, against the doors that it comes through.
//!
//! ```text
//! cargo test --test fuzz                                              a smoke: two seconds a target
//! PASSYNC_FUZZ_SECONDS=600 PASSYNC_FUZZ_SEED=7 cargo test --release --test fuzz csv
//! ```
//!
//! Each target takes bytes and must neither panic, nor take longer than [`harness::SLOW`], nor drive the peak of memory
//! above [`harness::PEAK_MAX_MIB`]; beyond that it states what else must hold. A target answers with a fingerprint of what
//! it did (which error, how many rows): an input with a new one joins the corpus, so that mutations build on each other
//! without instrumentation, on a stable compiler. The bytes under way stand in `target/tmp/fuzz-<target>.last`, which
//! outlives an abort; a failure names its file.
//!
//! The corpora are this repository's fixtures and jobs, the suites that lie beside it, and words of the formats.
//!
//! | target | door | what else must hold |
//! |---|---|---|
//! | `csv` | `io::source`, CSV, plain and compressed | lines rise; a failure file reads back the same cells |
//! | `parquet` | `io::source`, Parquet | an error is a refusal that names the file |
//! | `control` | `io::control` | what is stated can be compared |
//! | `job` | `io::job` | a job that loads loads again from what its manifest records |
//! | `reply` | every dialect's `reply` | no mutation of a signed "no" is believed to be a yes |
//! | `call` | every dialect's `read_call` | no mutation of a signed call is believed with another body |
//!
//! What ten minutes each have found stands at the head of each target: nothing that broke a rule. They tried 0.25 (`job`) to
//! 1.9 million inputs (`parquet`, `reply`); the peaks of memory were 13 to 26 MiB, and 423 MiB for a job file.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "tests are outside the floors, and say what they skip"
)]

mod control;
mod harness;
mod job;
mod sources;
mod wire;
