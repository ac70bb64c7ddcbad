//! Whether there is room for a run, asked before its first call: a disk that fills up in the middle costs a night.

use std::path::Path;

use super::Fault;
use crate::io::StorageError;
use crate::io::disk::{self, Room};

/// What a run will certainly write, in bytes; with retries, temporary files and failures it may be twice as much.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Need {
    /// Into the state directory.
    pub state: u64,
    /// Into the folder of its files.
    pub out: u64,
}

impl Need {
    /// Bytes that a row leaves in the ledger beside its body (intent, attempt, end, bill, card), and in the log when bills and
    /// cards are merged: 340 to 630 measured.
    const LEDGER_ROW: u64 = 340;
    /// SQLite's write-ahead log, which goes back to its beginning after 1,000 pages ...
    const LOG: u64 = 4 << 20;
    /// ... and until then holds a page or two for each commit, of which a row shares two with others.
    const LOG_ROW: u64 = 4 << 10;
    /// Bytes of a line of outcomes: 150 to 250.
    const OUTCOME: u64 = 150;

    /// Of a run with so many rows and sends; the survey's rows have `spool` bytes, and bodies are about as long.
    pub fn of(rows: u64, planned: u64, spool: u64) -> Need {
        let bodies = (u128::from(spool) * u128::from(planned) / u128::from(rows.max(1))) as u64;
        let log = (planned * Self::LOG_ROW).min(Self::LOG);
        Need { state: planned * Self::LEDGER_ROW + bodies + log, out: rows * Self::OUTCOME }
    }

    /// Refuses a run that cannot fit; a warning where it may not.
    pub fn check(self, state: &Path, out: &Path) -> Result<Option<String>, Fault> {
        let room = |folder| disk::room(folder).map_err(|error| StorageError::new("ask for the room of", folder, error));
        self.judge((state, room(state)?), (out, room(out)?))
    }

    fn judge(self, state: (&Path, Option<Room>), out: (&Path, Option<Room>)) -> Result<Option<String>, Fault> {
        let shared = matches!((state.1, out.1), (Some(state), Some(out)) if state.device == out.device);
        let wants =
            if shared { vec![(state, self.state + self.out)] } else { vec![(state, self.state), (out, self.out)] };
        let mut warning = None;
        for ((folder, room), need) in wants {
            let Some(room) = room else { continue };
            let told = format!("{} free under {}", mib(room.free), folder.display());
            if room.free < need {
                return Err(Fault::storage(format!(
                    "there is no room for this run: {told}, at least {} needed",
                    mib(need)
                ))
                .help(
                    "free some space, or name other folders in `[ledger] url` and `[output] dir`; nothing was sent",
                ));
            }
            if room.free < 2 * need {
                warning =
                    Some(format!("there may be too little room for this run: {told}, up to {} needed", mib(2 * need)));
            }
        }
        Ok(warning)
    }
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / 1_048_576.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATE: &str = "state";
    const OUT: &str = "out";

    fn judge(need: Need, state: (u64, u64), out: (u64, u64)) -> Result<Option<String>, Fault> {
        let room = |(free, device)| Some(Room { free, device });
        need.judge((Path::new(STATE), room(state)), (Path::new(OUT), room(out)))
    }

    #[test]
    fn a_million_rows_are_no_small_thing() {
        let need = Need::of(1_000_000, 500_000, 300 << 20);
        assert_eq!(need, Need { state: 170_000_000 + (154 << 20), out: 150_000_000 });
        assert_eq!(Need::of(0, 0, 0), Need::default());
    }

    #[test]
    fn too_little_is_refused_and_little_is_told() {
        let need = Need { state: 100 << 20, out: 50 << 20 };
        let mib = |mib: u64| mib << 20;
        assert_eq!(judge(need, (mib(200), 1), (mib(100), 2)).unwrap(), None);
        let warning = judge(need, (mib(199), 1), (mib(100), 2)).unwrap().unwrap();
        assert!(warning.contains("199.0 MiB free under state, up to 200.0 MiB"), "{warning}");
        let fault = judge(need, (mib(200), 1), (mib(49), 2)).unwrap_err();
        assert!(fault.to_string().contains("49.0 MiB free under out, at least 50.0 MiB needed"), "{fault}");
        assert_eq!(fault.exit().code(), 6);
        assert!(judge(need, (mib(140), 1), (mib(140), 1)).is_err(), "one disk for both");
        assert_eq!(need.judge((Path::new(STATE), None), (Path::new(OUT), None)).unwrap(), None);
    }
}
