//! A copy of the ledger while others write into it.

use std::fs::File;
use std::path::Path;

use super::{Ledger, LedgerError, beside, create_private, durable, remove_if_there, sound};
use crate::io::lock::Lock;
use crate::io::{fault, folder};

impl Ledger {
    /// Writes the ledger as it is at this moment into a new file, for the owner alone; its pages are packed, and it is
    /// durable. What runs write meanwhile is not in it.
    pub fn copy_to(&self, path: &Path) -> Result<(), LedgerError> {
        let io = |act| move |error| LedgerError::Io { act, path: path.to_owned(), error };
        create_private(path).map_err(io("create"))?;
        let text = path.to_str().ok_or_else(|| io("name")(std::io::Error::other("its name is not UTF-8")))?;
        let copy = || self.db.execute("VACUUM INTO ?1", [text]);
        durable("backup", "copy", copy).map_err(|error| self.fault("copy", error))?;
        // A copy has no write-ahead log yet, and without that it is no ledger.
        let copied = Ledger::connect(path)?;
        copied.db.pragma_update(None, "journal_mode", "wal").map_err(|error| copied.fault("set up", error))?;
        drop(copied);
        File::open(path).and_then(|file| file.sync_all()).map_err(io("sync"))
    }

    /// [`Ledger::identity`] of one that may be an older program's.
    pub fn identity_at(path: &Path) -> Result<String, LedgerError> {
        Ledger::look(path)?.0.identity()
    }

    /// Whether some process may have the file open: it holds its lease, or its log has something. (An empty log is what a
    /// look that was cut off has left.)
    pub fn is_in_use(path: &Path) -> bool {
        sound::has_log(path) || Lock::look(path).is_err()
    }

    /// Gives a copy its place; the file that was there before goes only now.
    pub fn place(copy: &Path, at: &Path) -> Result<(), LedgerError> {
        let place = || {
            for left in [beside(at, "-wal"), beside(at, "-shm")] {
                remove_if_there(&left)?;
            }
            std::fs::rename(copy, at).and_then(|()| folder::sync(folder::of(at)))
        };
        fault::around("backup", "rename", place).map_err(|error| LedgerError::Io {
            act: "rename",
            path: at.to_owned(),
            error,
        })
    }
}
