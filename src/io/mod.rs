//! The edges: everything that touches the world. It decides nothing.
#![expect(clippy::disallowed_methods, reason = "files, variables and the clock are this floor's business")]

pub mod ahead;
pub mod atomic;
pub mod boot;
pub mod control;
pub mod cpu;
pub mod credentials;
pub mod disk;
pub mod failures;
pub mod fault;
pub mod folder;
pub mod frames;
pub mod gateway;
pub mod job;
pub mod keys;
pub mod ledger;
pub mod lock;
pub mod memory;
pub mod outcomes;
pub mod post;
pub mod sort;
pub mod source;
pub mod table;
mod way;

use std::io;
use std::path::{Path, PathBuf};

/// A fault of storage. Sending stops at once, and the next run goes on from what is on disk.
#[derive(Debug, thiserror::Error)]
#[error("cannot {act} {}: {error}; {}", .path.display(), remedy(.error))]
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

/// What to do about a file that could not be written.
fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "free some space and run the job again: it goes on from disk"
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "let the user of the job write to this folder, or name another"
        }
        io::ErrorKind::NotFound => "make the folder, or name another",
        io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory | io::ErrorKind::AlreadyExists => {
            "something else stands at this place: move it away, or name another"
        }
        io::ErrorKind::InvalidData => {
            "the file is damaged and was left as it is: run the job again, it goes on from the ledger"
        }
        _ => "see that the disk is well and run the job again: it goes on from disk",
    }
}
