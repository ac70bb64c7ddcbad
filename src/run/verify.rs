//! `ledger verify`: proves what can be proved of a ledger by itself. Nothing changes, and a run may be on meanwhile: all
//! that is read is of one moment, and what is checked holds at every moment.
//!
//! ```text
//! pages      the file, as SQLite sees it
//! runs       each run in itself                    (runs)
//! surveys    what runs have read, by its seals     (again)
//! intents    of interrupted runs, card by card     (intents)
//! journal    of all runs, row by row               (rows)
//! order      the same, card by card                (rows)
//! bills      each with the end of its row          (rows)
//! twice      what was applied more than once       (rows, again)
//! cards      each with its applied bills           (cards)
//! again      the runs that can be, folded again    (again)
//! answers, stamps                                  (here)
//! ```

mod again;
mod cards;
mod intents;
mod rows;
mod runs;

use std::path::Path;

use serde::Serialize;

use super::Fault;
use super::proof::{Broken, Check};
use crate::core::history::{IMPORTED, Past};
use crate::io::boot;
use crate::io::ledger::{Answer, Ledger, SETTLED_BY_PERSON, StoredAnswer, StoredStamp};

/// What was found.
#[derive(Clone, Debug, Serialize)]
pub struct Verified {
    /// The ledger's file.
    pub ledger: String,
    /// Whether nothing contradicts anything.
    pub sound: bool,
    /// What was looked at.
    pub checks: Vec<Check>,
}

/// Looks at everything. An error means that it could not be looked at.
pub fn verify(ledger: &Ledger) -> Result<Verified, Fault> {
    ledger.hold_still()?;
    let scratch = tempfile::tempdir().map_err(|error| Fault::storage(format!("no temporary folder: {error}")))?;
    let scratch = scratch.path();
    let mut twice = Check::new("twice", "no bill was applied twice");
    let pages = pages(ledger)?;
    let (runs, runs_check) = runs::check(ledger)?;
    let (whole, surveys) = again::surveys(ledger, &runs)?;
    let intents = intents::check(ledger, &runs, &whole, scratch)?;
    let [journal, order, bills] = rows::check(ledger, &runs, &mut twice, scratch)?;
    let cards = cards::check(ledger, &runs, scratch)?;
    let again = again::check(ledger, &runs, &whole, &mut twice)?;
    let (answers, stamps) = (answers(ledger)?, stamps(ledger)?);
    let checks = vec![pages, runs_check, surveys, intents, journal, order, bills, twice, cards, again, answers, stamps];
    let sound = checks.iter().all(Check::is_sound);
    Ok(Verified { ledger: ledger.path().display().to_string(), sound, checks })
}

fn pages(ledger: &Ledger) -> Result<Check, Fault> {
    const MOST: usize = 100;
    let mut check = Check::new("pages", "the pages of the file hang together, and indexes agree with their tables");
    check.look(|check| {
        for found in ledger.integrity(MOST)? {
            check.fault(found.replace('\n', " "));
        }
        Ok(())
    })?;
    Ok(check)
}

fn answers(ledger: &Ledger) -> Result<Check, Fault> {
    let mut check = Check::new("answers", "what persons answered stands in their bills");
    check.look(|check| {
        ledger.each_answer(|stored| match check.read(stored) {
            Some(answer) => self::answer(ledger, &answer, check),
            None => Ok(()),
        })
    })?;
    Ok(check)
}

fn answer(ledger: &Ledger, answer: &StoredAnswer, check: &mut Check) -> Result<(), Broken> {
    let StoredAnswer { seq, bill, answer } = answer;
    let known = Answer::ALL.into_iter().find(|known| known.as_str() == answer);
    check.expect(known.is_some(), || format!("answer {seq}: found {answer:?}, expected applied or not-applied"));
    if known == Some(Answer::Applied) {
        let is_forgotten = ledger.horizon()?.is_some(); // what is gone may have been settled
        let stands = ledger.bill(*bill)?.map_or(is_forgotten, |bill| bill.past == Past::Applied);
        check.expect(stands, || {
            format!("answer {seq}: bill {bill} was answered to be applied, the ledger does not say so")
        });
    }
    Ok(())
}

fn stamps(ledger: &Ledger) -> Result<Check, Fault> {
    let mut check = Check::new("stamps", "what is kept for the quota is of a time that was");
    check.look(|check| {
        ledger.each_stamp(|stored| {
            if let Some(stamp) = check.read(stored)
                && let Some(fault) = fault_of(&stamp)
            {
                check.fault(format!("{}: {fault}", stamp.scope));
            }
            Ok::<(), Broken>(())
        })
    })?;
    Ok(check)
}

/// What a process still has to wait for lies ahead: some windows of an hour at the most.
const AHEAD_MAX_NS: i64 = 24 * 3_600 * 1_000_000_000;

fn fault_of(stamp: &StoredStamp) -> Option<String> {
    let StoredStamp { busy, boot, ended_ns, .. } = stamp;
    let now_ns = boot::clock_ns();
    if !matches!(busy, 0 | 1) {
        return Some(format!("found busy = {busy}, expected 0 or 1"));
    }
    if *ended_ns < 0 || (*boot == boot::id() && *ended_ns > now_ns + AHEAD_MAX_NS) {
        return Some(format!("it ended {ended_ns} ns after the machine's start, which was {now_ns} ns ago"));
    }
    None
}

/// Whether a bill stands as a person said, not as the gateway answered.
fn is_by_person(code: &str) -> bool {
    [SETTLED_BY_PERSON, IMPORTED].contains(&code)
}

/// A file of the state directory, for a person.
fn shown(path: &Path) -> String {
    path.display().to_string()
}
