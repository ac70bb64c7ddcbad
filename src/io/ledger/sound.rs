//! Whether a file is a ledger that can be trusted. It is asked before anything is written, and what fails is left as
//! it is: SQLite alone would play a log that lies beside the file into it, whosever log that is.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension};
use rustix::fs::{AtFlags, CWD, StatxFlags, statx};

use super::{Ledger, LedgerError, beside};
use crate::io::folder;

/// Ledgers up to this size are looked through at every start: it takes a second or two. Larger ones only behind a crash;
/// in between, damage is noticed when SQLite reads the page.
const LOOKED_THROUGH_MAX: u64 = 256 << 20;

/// Whether a process left a write-ahead log behind, or has one open.
pub(super) fn has_log(path: &Path) -> bool {
    std::fs::metadata(beside(path, "-wal")).is_ok_and(|log| log.len() > 0)
}

/// What is wrong with the file, as far as that can be told before SQLite has it. Only for the first connection of a
/// process: to open a file and close it again gives up the locks that SQLite has on it.
pub(super) fn look_from_outside(path: &Path) -> io::Result<Option<String>> {
    let metadata = std::fs::metadata(path)?;
    if !metadata.is_file() {
        return Ok(Some("it is a folder or a device, no file".to_owned()));
    }
    if let Some(found) = other_names(path, &metadata)? {
        return Ok(Some(found));
    }
    let mut header = Vec::new();
    File::open(path)?.take(100).read_to_end(&mut header)?;
    if header.is_empty() {
        return Ok(Some("the file is empty (remove it if no run has ever used it)".to_owned()));
    }
    if header.len() < 100 || !header.starts_with(b"SQLite format 3\0") {
        return Ok(Some("the file is not a ledger (not an SQLite file, or damaged)".to_owned()));
    }
    // Offsets 18 and 19 of the file format: 1 or 2, who may write and who may read.
    if header[18] > 2 || header[19] > 2 {
        return Ok(Some("its header is damaged, or a newer SQLite wrote it".to_owned()));
    }
    if has_log(path) {
        return foreign_log(&beside(path, "-wal")); // pages that the file lacks may be in there
    }
    // Offsets 16 and 28 of the file format: the size of a page (1 means 65,536), and how many there are.
    let page = match u16::from_be_bytes([header[16], header[17]]) {
        1 => 65_536,
        page => u64::from(page),
    };
    let whole = page * u64::from(u32::from_be_bytes([header[28], header[29], header[30], header[31]]));
    // It would be read as a ledger that has forgotten.
    let length = metadata.len();
    Ok((length < whole).then(|| format!("the file is cut short: {length} bytes of {whole}")))
}

/// A file with a second name has a second log, and what is in the one is not seen by the other.
fn other_names(path: &Path, metadata: &Metadata) -> io::Result<Option<String>> {
    if metadata.nlink() > 1 {
        let names = metadata.nlink();
        return Ok(Some(format!(
            "the file has {names} names (hard links), and its log goes by one: remove the others"
        )));
    }
    let mount = |path: &Path| -> io::Result<Option<u64>> {
        let found = statx(CWD, path, AtFlags::empty(), StatxFlags::MNT_ID)?;
        let is_told = found.stx_mask & StatxFlags::MNT_ID.bits() != 0;
        Ok(is_told.then_some(found.stx_mnt_id))
    };
    let alone = "the file is mounted without its folder, where its log and its lock are: mount the folder";
    Ok((mount(path)? != mount(folder::of(path))?).then(|| alone.to_owned()))
}

/// What is wrong with the beginning of a write-ahead log. SQLite takes a log that it cannot read for an empty one, and
/// all that was acknowledged since the last checkpoint would be forgotten.
fn foreign_log(path: &Path) -> io::Result<Option<String>> {
    let mut header = Vec::new();
    File::open(path)?.take(32).read_to_end(&mut header)?;
    // Shorter, or nothing but zeros: cut off before anything in it was acknowledged.
    if header.len() < 32 || header.iter().all(|byte| *byte == 0) || is_log(&header) {
        return Ok(None);
    }
    Ok(Some(format!("the log beside it ({}) is no write-ahead log, or damaged", path.display())))
}

/// The header of a log: a magic number whose last bit is the order of bytes in sums, ..., two sums over what is before.
fn is_log(header: &[u8]) -> bool {
    let word = |at: usize| [header[at], header[at + 1], header[at + 2], header[at + 3]];
    let magic = u32::from_be_bytes(word(0));
    let summand = |at| if magic & 1 == 1 { u32::from_be_bytes(word(at)) } else { u32::from_le_bytes(word(at)) };
    let sums = (0..24).step_by(8).fold((0_u32, 0_u32), |(first, second), at| {
        let first = first.wrapping_add(summand(at)).wrapping_add(second);
        (first, second.wrapping_add(summand(at + 4)).wrapping_add(first))
    });
    magic & !1 == 0x377f_0682 && sums == (u32::from_be_bytes(word(24)), u32::from_be_bytes(word(28)))
}

impl Ledger {
    /// Refuses a ledger that is damaged, or whose log is another's, as far as that can be told in a short time; what is
    /// refused has not been written to. The lease is held, and this is the process's first look.
    pub fn prove(path: &Path) -> Result<(), LedgerError> {
        let behind_crash = has_log(path);
        let (ledger, _) = Ledger::look(path)?;
        if behind_crash {
            ledger.owns_its_log()?;
        }
        let length = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
        if behind_crash || length <= LOOKED_THROUGH_MAX { ledger.look_through() } else { Ok(()) }
    }

    /// Leaves a log that a crash left behind where it is: what only looks writes nothing.
    pub(super) fn keep_log(&self) -> Result<(), LedgerError> {
        let set = self.db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
        set.map(drop).map_err(|error| self.fault("configure", error))
    }

    /// Pages carry no name. But every log has the page with the ledger's own (`bind`), and so has the file.
    fn owns_its_log(&self) -> Result<(), LedgerError> {
        let with_log = identity(&self.db).map_err(|error| self.fault("read", error))?;
        // A crash amid a checkpoint leaves a file that cannot be read without its log: then nothing is said.
        let without = open_without_log(&self.path).and_then(|db| identity(&db)).unwrap_or_default();
        match (with_log, without) {
            (Some(with), Some(without)) if with != without => {
                let log = beside(&self.path, "-wal");
                Err(self.foreign(format!("the log beside it ({}) is that of another ledger", log.display())))
            }
            _ => Ok(()),
        }
    }

    /// Asks SQLite whether the pages hang together; the indexes are not compared with what they point to.
    fn look_through(&self) -> Result<(), LedgerError> {
        let found: Result<String, _> = self.db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0));
        match found.map_err(|error| self.fault("look through", error))?.as_str() {
            "ok" => Ok(()),
            damage => Err(self.foreign(format!("the file is damaged inside ({})", damage.trim().replace('\n', " ")))),
        }
    }

    fn foreign(&self, found: String) -> LedgerError {
        LedgerError::Foreign { path: self.path.clone(), found }
    }
}

fn identity(db: &Connection) -> rusqlite::Result<Option<String>> {
    db.query_row("SELECT value FROM meta WHERE key = 'id'", [], |row| row.get(0)).optional()
}

/// The file alone, as its last checkpoint left it.
fn open_without_log(path: &Path) -> rusqlite::Result<Connection> {
    let mut uri = "file:".to_owned();
    for byte in std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).as_os_str().as_bytes() {
        uri += &format!("%{byte:02x}");
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(uri + "?immutable=1", flags)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;
    use crate::io::ledger::NewRun;

    /// A ledger with so many more runs, open, with what fits in its log. Twenty runs make a page or two.
    fn written(path: &Path, job: &str, runs: std::ops::Range<u32>) -> Ledger {
        let mut ledger = Ledger::open(path).unwrap();
        for ordinal in runs {
            let (id, inputs) = (format!("{job}-{ordinal}"), "0123456789abcdef".repeat(4));
            let (kind, detail) = ("run", "{}");
            let new = NewRun { ordinal, id: &id, job, kind, started_ms: 1, inputs: &inputs, detail };
            ledger.begin_run(&new).unwrap();
        }
        ledger
    }

    /// The same, closed.
    fn closed(path: &Path) -> Vec<u8> {
        drop(written(path, "a", 1..151));
        assert!(!has_log(path));
        fs::read(path).unwrap()
    }

    /// Puts the files there, and says why they are refused. What is refused has not been written to.
    fn refusal(path: &Path, ledger: &[u8], log: Option<&[u8]>) -> Option<String> {
        let at = beside(path, "-wal");
        for left in [&at, &beside(path, "-shm")] {
            let _ = fs::remove_file(left);
        }
        fs::write(path, ledger).unwrap();
        if let Some(log) = log {
            fs::write(&at, log).unwrap();
        }
        let refused = Ledger::prove(path).err()?.to_string();
        assert!(fs::read(path).unwrap() == ledger, "{refused}, but written to");
        assert!(log.is_none_or(|log| fs::read(&at).unwrap() == log), "{refused}, but its log is written to");
        Some(refused)
    }

    #[track_caller]
    fn is_refused(path: &Path, ledger: &[u8], log: Option<&[u8]>, word: &str) {
        let refused = refusal(path, ledger, log).expect("refused");
        assert!(refused.contains(word) && refused.contains(&path.display().to_string()), "{refused}");
    }

    #[test]
    fn a_bit_flipped_in_the_header_is_found_or_means_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.db");
        let whole = closed(&path);
        assert_eq!(refusal(&path, &whole, None), None);
        let mut harmless = 0;
        for bit in (0..800).step_by(3) {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            // The schema's number, less a bit, is an older one: what bringing it up finds is `upgrade`'s test.
            if refusal(&path, &flipped, None).is_none() && !Ledger::is_old(&path) {
                harmless += 1;
                let ledger = Ledger::open(&path).unwrap();
                assert_eq!(ledger.run(150).unwrap().unwrap().id, "a-150", "bit {bit}");
                assert_eq!(ledger.run_by_id("a-7").unwrap().unwrap().ordinal, 7, "bit {bit}");
            }
        }
        assert!(harmless < 160, "{harmless} of 267");
    }

    #[test]
    fn a_bit_flipped_at_the_head_of_any_page_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.db");
        let whole = closed(&path);
        assert!(whole.len() > 15 * 4096);
        for page in (4096..whole.len()).step_by(4096) {
            let mut flipped = whole.clone();
            flipped[page] ^= 0x10;
            is_refused(&path, &flipped, None, "damaged");
            flipped[page..page + 4096].fill(0);
            is_refused(&path, &flipped, None, "damaged");
        }
    }

    #[test]
    fn what_is_cut_short_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.db");
        let whole = closed(&path);
        for (length, word) in [(0, "empty"), (60, "not a ledger"), (4096, "cut short"), (whole.len() - 1, "cut short")]
        {
            is_refused(&path, &whole[..length], None, word);
        }
    }

    #[test]
    fn a_log_that_a_crash_left_is_taken_and_another_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| -> PathBuf { folder.path().join(name) };
        let cut_off = |path: &Path, job: &str| {
            drop(Ledger::open(path).unwrap());
            let file = fs::read(path).unwrap();
            let _ledger = written(path, job, 1..30);
            (file, fs::read(beside(path, "-wal")).unwrap())
        };
        let (a, log_of_a) = cut_off(&at("a.db"), "a");
        let (_, log_of_b) = cut_off(&at("b.db"), "b");
        let path = at("ledger.db");
        assert_eq!(refusal(&path, &a, Some(&log_of_a)), None);
        is_refused(&path, &a, Some(&log_of_b), "another ledger");
        // A torn end was never acknowledged.
        assert_eq!(refusal(&path, &a, Some(&log_of_a[..log_of_a.len() - 700])), None);
        assert_eq!(refusal(&path, &a, Some(&[0; 4096])), None);
        let mut flipped = log_of_a.clone();
        flipped[17] ^= 1;
        is_refused(&path, &a, Some(&flipped), "no write-ahead log, or damaged");
        is_refused(&path, &a, Some(&b"bill_no,points\n".repeat(9)), "no write-ahead log");
        // An old copy of the file under the log of today.
        drop(written(&at("a.db"), "a", 30..400));
        let _today = written(&at("a.db"), "a", 400..430);
        is_refused(&path, &a, Some(&fs::read(at("a.db-wal")).unwrap()), "damaged inside");

        // Of another program: its pages are not ours at all.
        let other = Connection::open(at("other.db")).unwrap();
        let table = "PRAGMA journal_mode=WAL; CREATE TABLE payroll (id, salary); INSERT INTO payroll VALUES (1, 2);";
        other.execute_batch(table).unwrap();
        let log = fs::read(at("other.db-wal")).unwrap();
        is_refused(&path, &a, Some(&log), "another program");
    }

    #[test]
    fn a_file_with_a_second_name_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.db");
        drop(written(&path, "a", 1..2));
        fs::hard_link(&path, folder.path().join("copy.db")).unwrap();
        let refused = Ledger::prove(&path).unwrap_err().to_string();
        assert!(refused.contains("2 names") && refused.contains("remove the other"), "{refused}");
        fs::remove_file(folder.path().join("copy.db")).unwrap();
        Ledger::prove(&path).unwrap();
    }
}
