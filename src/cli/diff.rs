//! `passync diff`.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use super::figures::{grouped, path};
use super::job::{InputArgs, JobArgs};
use super::{CliError, Screen};
use crate::io::StorageError;
use crate::io::atomic::AtomicFile;
use crate::io::ledger::Ledger;
use crate::model::Exit;
use crate::run::called::Called;
use crate::run::diff::{self, Difference, Of, Order};
use crate::run::{Fault, dialect};

/// Compare a full balance snapshot with what the ledger says each card shows, and write the deltas between them
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  passync diff jobs/nightly.toml balances.csv --occurred-at 2026-01-31T23:59:59+08:00 > deltas.csv
  passync diff jobs/nightly.toml balances.csv --occurred-at 1769875199000 --json         only counts
  passync run jobs/nightly.toml --input deltas.csv                                       sends them

The snapshot is the truth: a row for each card with its ids and what it should show, in the columns of the job (points, \
level ...; no bill, no change of points). It is compared with what the gateway confirmed. Each delta is a row of the \
snapshot with a bill of its own (the same correction has the same bill) and the moment when the snapshot was taken, in \
`occurred_at` or by --occurred-at: what the card was given since is not rolled back. The column `_why` of a delta says \
`differs` (`_ledger`: what the ledger has), `unknown` (the ledger never heard of the card) or `in_doubt` (an update of it has \
no proof: what it shows is not known). Nothing is written of cards that agree, that were told otherwise since (newer), that \
are closed, or that the snapshot does not have (missing).

Exit 0: there is nothing to send; 1: there are deltas; 3: the snapshot is refused, or a run is not finished.")]
pub struct Diff {
    #[command(flatten)]
    job: JobArgs,
    /// CSV or Parquet, a row for each card
    snapshot: PathBuf,
    /// When the snapshot was taken, unless its rows have `occurred_at`
    #[arg(long, value_name = "TIME")]
    occurred_at: Option<String>,
    /// Where the deltas go, in place of stdout
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Leave cards out that the ledger never heard of
    #[arg(long)]
    known_only: bool,
    /// Write cards that agree, too: for cards that were changed behind the ledger's back
    #[arg(long, conflicts_with = "known_only")]
    all: bool,
    /// Print the counts as JSON; deltas are then written to --out or nowhere
    #[arg(long)]
    json: bool,
}

impl Diff {
    pub(super) fn execute(self, screen: Screen) -> Result<Exit, CliError> {
        let settings = self.job.load(&[self.snapshot.display().to_string()], None)?;
        let ledger = self.job.ledger(&settings)?;
        let times = InputArgs { inputs: Vec::new(), date: None, occurred_at: self.occurred_at.clone() };
        let taken_ms = times.occurred_ms(&settings)?;
        let dialect = dialect(&settings)?;
        let order = Order {
            settings: &settings,
            dialect: dialect.as_ref(),
            file: &self.snapshot,
            taken_ms,
            of: match (self.known_only, self.all) {
                (true, _) => Of::Known,
                (false, true) => Of::All,
                (false, false) => Of::Differing,
            },
        };
        let found = match &self.out {
            Some(out)
                if out.extension().is_some_and(|end| ["parquet", "gz", "zst"].iter().any(|other| end == *other)) =>
            {
                let what =
                    format!("--out {}: deltas are plain CSV, and a run goes by the name: call them .csv", path(out));
                return Err(CliError::new(Exit::Usage, what));
            }
            Some(out) if is_same(out, &self.snapshot) => {
                let what = format!("--out {} is the snapshot itself: give the deltas another name", path(out));
                return Err(CliError::new(Exit::Usage, what));
            }
            Some(out) => {
                let mut file = AtomicFile::create(out).map_err(Fault::from)?;
                let found = diff::diff(&order, &ledger, &mut file)?;
                file.commit().map_err(Fault::from)?;
                found
            }
            None if self.json => diff::diff(&order, &ledger, io::sink())?,
            None => print(&order, &ledger)?,
        };
        if self.json {
            screen.print_json(&found)?;
        }
        screen.say(&self.said(&found, &self.job.called(&settings, None)));
        Ok(if found.deltas > 0 { Exit::Failures } else { Exit::Clean })
    }

    fn said(&self, found: &Difference, called: &Called) -> String {
        let Difference { agree, differ, in_doubt, unknown, newer, closed, missing, .. } = found;
        let mut text = format!("compared: {}", found.members.join(", "));
        for (cards, what) in [
            (agree, "agree"),
            (differ, "differ"),
            (in_doubt, "in doubt: what they show is not known"),
            (unknown, "unknown to the ledger"),
            (newer, "told otherwise since the snapshot was taken"),
            (closed, "closed"),
            (missing, "missing in the snapshot"),
        ] {
            text += &format!("\n{:>12}  {what}", grouped(cards));
        }
        for place in &found.first_in_doubt {
            text += &format!("\n  in doubt: {place}");
        }
        if let (Some(out), true) = (&self.out, found.deltas > 0) {
            let words = ["--input".to_owned(), path(out)];
            text += &format!("\nlook at them, then: {}", called.command("run", &words));
        }
        text
    }
}

/// Whether two paths lead to one file.
fn is_same(one: &Path, other: &Path) -> bool {
    one.canonicalize().is_ok_and(|one| other.canonicalize().is_ok_and(|other| one == other))
}

/// To stdout, once all is compared: a snapshot that is refused leaves nothing there.
fn print(order: &Order<'_>, ledger: &Ledger) -> Result<Difference, CliError> {
    let unwritable = |error| Fault::from(StorageError::new("write", &std::env::temp_dir(), error));
    let mut spool: File = tempfile::tempfile().map_err(unwritable)?;
    let found = diff::diff(order, ledger, io::BufWriter::new(&spool))?;
    io::Seek::rewind(&mut spool).map_err(unwritable)?;
    let mut stdout = io::stdout().lock();
    match io::copy(&mut spool, &mut stdout).and_then(|_| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(CliError::new(Exit::Storage, format!("stdout cannot be written: {error}")))
        }
        _ => Ok(found),
    }
}
