//! The edges: everything that touches the world. It decides nothing.
#![expect(clippy::disallowed_methods, reason = "files, variables and the clock are this floor's business")]

pub mod atomic;
pub mod boot;
pub mod failures;
pub mod frames;
pub mod gateway;
pub mod job;
pub mod keys;
pub mod ledger;
pub mod lock;
pub mod outcomes;
pub mod sort;
pub mod source;

use std::io;
use std::path::{Path, PathBuf};

/// A fault of storage. Sending stops at once, and the next run goes on from what is on disk.
#[derive(Debug, thiserror::Error)]
#[error("cannot {act} {}: {error}; mend that (space? rights?), then run the job again: it goes on from disk", .path.display())]
pub struct StorageError {
    /// What was tried.
    pub act: &'static str,
    /// With which file.
    pub path: PathBuf,
    /// What the system said.
    #[source]
    pub error: io::Error,
}

impl StorageError {
    /// A fault of `act` on `path`.
    pub fn new(act: &'static str, path: &Path, error: io::Error) -> StorageError {
        StorageError { act, path: path.to_owned(), error }
    }
}
