//! One run per ledger: the lease. It is two locks of the operating system, one on a file beside the ledger and one on
//! the ledger itself.
//!
//! The file beside is there before the ledger is, and says who holds it. The ledger's own lock is what counts: it goes
//! with the file, whatever path leads there, and stays when somebody removes the file beside because it looks stale.
//! (SQLite's locks are of another kind and do not meet it.) The system lets go of both when their holder ends, however
//! it ends: nothing that `kill -9` leaves behind holds anybody up. And it does not before: a holder that sleeps, for
//! days even, holds. So a lease has no time to live, nobody takes one over, and a process that wakes up has nothing to
//! find out.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::{disk, folder, remedy};

/// The lease, held until it is dropped. No connection of this process to the ledger may outlive it: whoever closes a
/// file gives up SQLite's locks on it, too, those of other connections of the process included.
#[derive(Debug)]
pub struct Lock {
    _beside: File,
    ledger: Option<File>,
}

/// Why the lock is not ours.
#[derive(Debug, thiserror::Error)]
pub enum LockFault {
    /// Another process has it.
    #[error("another run holds {path} ({by}); try again when it has ended, or give --wait DURATION", path = path.display())]
    Held {
        /// The lock file, or the ledger.
        path: PathBuf,
        /// What the holder wrote about itself.
        by: String,
    },
    /// Locks mean nothing there, and neither does shared memory: a ledger would be damaged sooner or later.
    #[error(
        "{path} lies on {kind}, a network file system: locks and the ledger are not safe there; \
         name a folder of this machine in `[ledger] url` or --state",
        path = path.display()
    )]
    Network {
        /// The lock file.
        path: PathBuf,
        /// The file system.
        kind: &'static str,
    },
    /// A signal came while we waited.
    #[error("stopped while waiting for {path}; nothing was sent", path = path.display())]
    Stopped {
        /// The lock file.
        path: PathBuf,
    },
    /// The file cannot be made or written.
    #[error("{path} cannot be locked: {error}; {}", remedy(error), path = path.display())]
    Io {
        /// The lock file, or the ledger.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
}

impl Lock {
    /// Takes the lock of a ledger, waiting as long as `wait` for another holder unless `stop` ends that. `holder` tells
    /// others who has it: a job, or a command. The ledger's folder is made where it is missing.
    pub fn take(ledger: &Path, holder: &str, wait: Duration, stop: impl Fn() -> bool) -> Result<Lock, LockFault> {
        let path = lock_path(ledger);
        let io = |error| LockFault::Io { path: path.clone(), error };
        folder::make(folder::of(&path)).map_err(io)?;
        if let Some(kind) = disk::network(folder::of(&path)).map_err(io)? {
            return Err(LockFault::Network { path, kind });
        }
        let patience = Patience { began: Instant::now(), wait, stop: &stop };
        let mut beside = open(&path).map_err(io)?;
        patience.lock(&mut beside, &path, holder_of)?;
        while !is_named(&path, &beside).map_err(io)? {
            beside = open(&path).map_err(io)?; // removed while we waited: those who come now lock another one
            patience.lock(&mut beside, &path, holder_of)?;
        }
        let held = if ledger.exists() { Some(patience.lock_ledger(ledger)?) } else { None };
        sign(&mut beside, holder).map_err(io)?;
        Ok(Lock { _beside: beside, ledger: held })
    }

    /// Whether `holder` has the lock now.
    pub fn is_held_by(ledger: &Path, holder: &str) -> bool {
        matches!(Lock::look(ledger), Err(LockFault::Held { by, .. }) if by.ends_with(&format!(", {holder}")))
    }

    /// Whether the lock could be taken now. Nothing is made or written, and who comes meanwhile is not held up.
    pub fn look(ledger: &Path) -> Result<(), LockFault> {
        let path = lock_path(ledger);
        let io = |error| LockFault::Io { path: path.clone(), error };
        let mut file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            file => file.map_err(io)?,
        };
        if let Some(kind) = disk::network(folder::of(&path)).map_err(io)? {
            return Err(LockFault::Network { path, kind });
        }
        match file.try_lock_shared() {
            Ok(()) => Ok(()), // let go of when the file is closed, at once
            Err(TryLockError::WouldBlock) => Err(LockFault::Held { by: holder_of(&mut file), path }),
            Err(TryLockError::Error(error)) => Err(io(error)),
        }
    }

    /// Locks the ledger itself, too, where it was made behind [`Lock::take`].
    pub fn hold(&mut self, ledger: &Path) -> Result<(), LockFault> {
        if self.ledger.is_none() {
            let patience = Patience { began: Instant::now(), wait: Duration::ZERO, stop: &|| false };
            self.ledger = Some(patience.lock_ledger(ledger)?);
        }
        Ok(())
    }
}

/// How long somebody waits for a lock, and what makes him give up before.
struct Patience<'a> {
    began: Instant,
    wait: Duration,
    stop: &'a dyn Fn() -> bool,
}

impl Patience<'_> {
    fn lock(&self, file: &mut File, path: &Path, by: fn(&mut File) -> String) -> Result<(), LockFault> {
        const POLL: Duration = Duration::from_millis(100);
        let path = || path.to_owned();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(()),
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(LockFault::Io { path: path(), error }),
            }
            let left = self.wait.saturating_sub(self.began.elapsed());
            if left.is_zero() {
                return Err(LockFault::Held { path: path(), by: by(file) });
            }
            if (self.stop)() {
                return Err(LockFault::Stopped { path: path() });
            }
            std::thread::sleep(left.min(POLL));
        }
    }

    fn lock_ledger(&self, path: &Path) -> Result<File, LockFault> {
        let mut file = File::open(path).map_err(|error| LockFault::Io { path: path.to_owned(), error })?;
        self.lock(&mut file, path, |_| {
            "a process that found it by another path, or whose lock file is gone".to_owned()
        })?;
        Ok(file)
    }
}

/// Whether the path still leads to the file.
fn is_named(path: &Path, file: &File) -> io::Result<bool> {
    let identity = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
    match std::fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        found => Ok(identity(found?) == identity(file.metadata()?)),
    }
}

/// `ledger.db` -> `ledger.db.lock`.
fn lock_path(ledger: &Path) -> PathBuf {
    let mut path = ledger.as_os_str().to_owned();
    path.push(".lock");
    path.into()
}

fn open(path: &Path) -> io::Result<File> {
    // Not truncated: until the lock is ours, its text is another's.
    OpenOptions::new().create(true).truncate(false).read(true).write(true).mode(0o600).open(path)
}

fn sign(file: &mut File, holder: &str) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "process {}, {holder}", std::process::id())
}

fn holder_of(file: &mut File) -> String {
    const LINE_MAX: u64 = 200;
    let mut text = Vec::new();
    // Only a courtesy: where the holder cannot be read, it is still held.
    let read = file.rewind().and_then(|()| file.take(LINE_MAX).read_to_end(&mut text));
    let line = String::from_utf8_lossy(&text).lines().next().map(str::to_owned);
    line.filter(|_| read.is_ok()).unwrap_or_else(|| "unknown process".to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn take(ledger: &Path, holder: &str, wait: Duration) -> Result<Lock, LockFault> {
        Lock::take(ledger, holder, wait, || false)
    }

    #[test]
    fn the_second_is_told_who_holds_it_and_may_wait() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = folder.path().join("state/ledger.db");
        let first = take(&ledger, "run 2026-01-01-a", Duration::ZERO).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&folder.path().join("state")), 0o700);
        assert_eq!(mode(&lock_path(&ledger)), 0o600);

        let fault = take(&ledger, "run b", Duration::ZERO).unwrap_err();
        let LockFault::Held { by, .. } = &fault else { panic!("{fault}") };
        assert_eq!(*by, format!("process {}, run 2026-01-01-a", std::process::id()));

        let waiter = std::thread::spawn(move || take(&ledger, "run b", Duration::from_secs(30)).map(drop));
        std::thread::sleep(Duration::from_millis(150));
        assert!(!waiter.is_finished());
        drop(first);
        waiter.join().unwrap().unwrap();
    }

    #[test]
    fn a_file_left_behind_holds_nobody_up() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = folder.path().join("ledger.db");
        fs::write(lock_path(&ledger), "process 1, a run that was killed and said much about itself\n").unwrap();
        let _lock = take(&ledger, "run b", Duration::ZERO).unwrap();
        let text = fs::read_to_string(lock_path(&ledger)).unwrap();
        assert_eq!(text, format!("process {}, run b\n", std::process::id()));
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let fault = take(Path::new("/dev/null/ledger.db"), "run", Duration::ZERO).unwrap_err().to_string();
        assert!(fault.starts_with("/dev/null/ledger.db.lock cannot be locked: "), "{fault}");
    }

    #[test]
    fn who_removes_the_file_beside_has_not_freed_the_ledger() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = folder.path().join("ledger.db");
        let take = |path: &Path| take(path, "run", Duration::ZERO);
        let mut first = take(&ledger).unwrap();
        fs::write(&ledger, "made by the first run").unwrap();
        first.hold(&ledger).unwrap();
        fs::remove_file(lock_path(&ledger)).unwrap();
        let held = take(&ledger).unwrap_err();
        assert!(matches!(&held, LockFault::Held { path, .. } if *path == ledger), "{held}");
        drop(first);
        drop(take(&ledger).unwrap());

        // Nor has who comes by another path.
        let other = folder.path().join("other/ledger.db");
        fs::create_dir(folder.path().join("other")).unwrap();
        fs::hard_link(&ledger, &other).unwrap();
        let first = take(&ledger).unwrap();
        assert!(matches!(take(&other), Err(LockFault::Held { .. })));
        drop(first);
        take(&other).unwrap();
    }

    #[test]
    fn a_file_removed_under_a_waiter_is_not_what_he_gets() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = folder.path().join("ledger.db");
        let first = take(&ledger, "run a", Duration::ZERO).unwrap();
        let wanted = ledger.clone();
        let waiter = std::thread::spawn(move || take(&wanted, "run b", Duration::from_secs(30)));
        std::thread::sleep(Duration::from_millis(150));
        fs::remove_file(lock_path(&ledger)).unwrap();
        drop(first);
        let _second = waiter.join().unwrap().unwrap();
        let fault = take(&ledger, "run c", Duration::ZERO).unwrap_err();
        assert!(matches!(&fault, LockFault::Held { by, .. } if by.ends_with("run b")), "{fault}");
    }
}
