//! `ledger backup`: a copy that was proved before it takes the place of the one before it.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::close::file_fact;
use super::{Fault, verify};
use crate::io::ledger::Ledger;
use crate::io::{StorageError, folder};

/// A backup that was written.
#[derive(Clone, Debug, Serialize)]
pub struct BackedUp {
    /// The file.
    pub file: PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
    /// Of its bytes.
    pub sha256: String,
    /// Bills in it.
    pub bills: u64,
    /// Cards in it.
    pub cards: u64,
    /// Rows in it that are open.
    pub open_rows: u64,
}

/// Copies the ledger to `to`, proves the copy as `ledger verify` does, and only then lets it take the place of an older
/// copy. A run may be on meanwhile.
pub fn backup(ledger: &Ledger, to: &Path) -> Result<BackedUp, Fault> {
    let to = std::path::absolute(to).unwrap_or_else(|_| to.to_owned());
    may_replace(ledger, &to)?;
    let bench = Bench::make(&to)?;
    let copy = bench.folder.join("ledger.db");
    ledger.copy_to(&copy)?;
    let copied = Ledger::open_existing(&copy)?;
    let verified = verify::verify(&copied)?;
    if !verified.sound {
        let faults = verified.checks.iter().flat_map(|check| &check.faults).take(3).cloned().collect::<Vec<_>>();
        return Err(Fault::storage(format!("the ledger's copy is not sound: {}", faults.join("; ")))
            .help("no backup was written, an older one stays; `passync ledger verify` tells all that is wrong"));
    }
    let (bills, cards) = copied.counts()?;
    let open_rows = copied.open_count()?;
    drop(copied);
    let fact = file_fact(&copy)?;
    Ledger::place(&copy, &to)?;
    let bills = bills.into_iter().map(|(_, bills)| bills).sum();
    Ok(BackedUp { file: to, bytes: fact.size, sha256: fact.sha256, bills, cards, open_rows })
}

/// Only an older backup of the same ledger is replaced.
fn may_replace(ledger: &Ledger, to: &Path) -> Result<(), Fault> {
    let help = "name a file of its own, best on another disk";
    let Ok(there) = std::fs::canonicalize(to) else { return Ok(()) };
    if std::fs::canonicalize(ledger.path()).is_ok_and(|own| own == there) || Ledger::is_in_use(&there) {
        return Err(Fault::usage(format!("{} is a ledger in use, no place for a backup", to.display())).help(help));
    }
    let older = Ledger::identity_at(&there).map_err(|error| Fault::usage(error).help(help))?;
    if older == ledger.identity()? {
        return Ok(());
    }
    Err(Fault::usage(format!("{} is a backup of another ledger", to.display())).help(help))
}

/// The folder in which a copy is made, beside its place. One at a time has it; what a kill leaves in it, the next takes over.
struct Bench {
    folder: PathBuf,
    _in_use: File,
}

impl Bench {
    fn make(to: &Path) -> Result<Bench, Fault> {
        let mut name = OsString::from(".");
        name.push(to.file_name().ok_or_else(|| Fault::usage(format!("{} names no file", to.display())))?);
        name.push(".new");
        let path = folder::of(to).join(name);
        let fault = |error| StorageError::new("make the folder", &path, error);
        folder::make(&path).map_err(fault)?;
        let in_use = File::open(&path).map_err(fault)?;
        if in_use.try_lock().is_err() {
            return Err(Fault::usage(format!("another backup to {} is under way", to.display())));
        }
        Ok(Bench { folder: path, _in_use: in_use })
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder); // what stays is taken over
    }
}
