//! One run per ledger: a lock of the operating system on a file beside the ledger. The system lets go of it when its
//! holder ends, however it ends: a file left behind by `kill -9` holds nobody up.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::{disk, folder};

/// The lock, held until it is dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Why the lock is not ours.
#[derive(Debug, thiserror::Error)]
pub enum LockFault {
    /// Another process has it.
    #[error("another run holds {path} ({by}); try again when it has ended, or give --wait DURATION", path = path.display())]
    Held {
        /// The lock file.
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
    #[error("the lock file {path} cannot be used: {error}", path = path.display())]
    Io {
        /// The lock file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
}

impl Lock {
    /// Takes the lock of a ledger, waiting as long as `wait` for another holder. `holder` tells others who has it:
    /// a run's id, or a command. The ledger's folder is made where it is missing.
    pub fn take(ledger: &Path, holder: &str, wait: Duration) -> Result<Lock, LockFault> {
        Lock::take_unless(ledger, holder, wait, || false)
    }

    /// The same, but `stop` ends the wait.
    pub fn take_unless(
        ledger: &Path,
        holder: &str,
        wait: Duration,
        stop: impl Fn() -> bool,
    ) -> Result<Lock, LockFault> {
        const POLL: Duration = Duration::from_millis(100);
        let path = lock_path(ledger);
        let io = |error| LockFault::Io { path: path.clone(), error };
        folder::make(folder::of(&path)).map_err(io)?;
        if let Some(kind) = disk::network(folder::of(&path)).map_err(io)? {
            return Err(LockFault::Network { path, kind });
        }
        let mut file = open(&path).map_err(io)?;
        let began = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(io(error)),
            }
            let left = wait.saturating_sub(began.elapsed());
            if left.is_zero() {
                return Err(LockFault::Held { by: holder_of(&mut file), path });
            }
            if stop() {
                return Err(LockFault::Stopped { path });
            }
            std::thread::sleep(left.min(POLL));
        }
        sign(&mut file, holder).map_err(io)?;
        Ok(Lock { _file: file })
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

    #[test]
    fn the_second_is_told_who_holds_it_and_may_wait() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = folder.path().join("state/ledger.db");
        let first = Lock::take(&ledger, "run 2026-01-01-a", Duration::ZERO).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&folder.path().join("state")), 0o700);
        assert_eq!(mode(&lock_path(&ledger)), 0o600);

        let fault = Lock::take(&ledger, "run b", Duration::ZERO).unwrap_err();
        let LockFault::Held { by, .. } = &fault else { panic!("{fault}") };
        assert_eq!(*by, format!("process {}, run 2026-01-01-a", std::process::id()));

        let waiter = std::thread::spawn(move || Lock::take(&ledger, "run b", Duration::from_secs(30)).map(drop));
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
        let _lock = Lock::take(&ledger, "run b", Duration::ZERO).unwrap();
        let text = fs::read_to_string(lock_path(&ledger)).unwrap();
        assert_eq!(text, format!("process {}, run b\n", std::process::id()));
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let fault = Lock::take(Path::new("/dev/null/ledger.db"), "run", Duration::ZERO).unwrap_err().to_string();
        assert!(fault.starts_with("the lock file /dev/null/ledger.db.lock cannot be used: "), "{fault}");
    }
}
