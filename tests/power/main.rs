//! Power loss: the real binary is recorded with all that it asks of the disk, and the disk is rebuilt as it may be found
//! after the power has failed at any moment of that recording. The real recovery runs on each such state.
//!
//! ```text
//! strace   calls of the process, with all bytes          disk     a model: what is durable, what is on its way
//! follow   calls -> events of that disk                  image    what lies in some folders
//! reel     two nights of a job, and the moments of a recording
//! audit    what must hold of a recording, of every state that a power loss leaves, and after every recovery
//!
//! cargo test --test power                                          160 states, in about a minute
//! PASSYNC_POWER_STATES=3000 cargo test --test power -- --nocapture
//! ```
//! A recording is a first night that a signal stops, that is reopened and ends, and a second one from standard input; or
//! the recovery from a state of such a recording. What was not synced is lost, kept, kept in the order of the writes, or
//! kept in any combination; bytes may be torn at 512, or the file may have its length and zeros. Shared memory is not
//! modelled (SQLite's `-shm`, which is made anew), nor that the boot is another one.
//!
//! Bugs planted by hand, one at a time, and what 160 states out of 16 recordings said:
//!
//! | planted | bad recordings | bad states |
//! |---|---|---|
//! | the ledger with `synchronous=OFF` | 16 | 119 |
//! | the ledger with `synchronous=NORMAL` | 15 | 82 |
//! | records are acknowledged before their commit | 12 | 4 |
//! | outputs are renamed before their bytes are synced | 16 | 65 |
//! | the folder is not synced after that rename | 16 | 60 |
//! | nor after that of `latest` | 16 | 2 |
//! | a run's folder is made, but not synced | 14 | 6 |
//! | nor are the folders of ledger and outputs | 15 | 65 |
//! | the ledger closes a run before its manifest is there | 0 | 10 |
//! | `latest` leads to a run that is being closed again (found by this test) | 0 | 18 |
//! | rows that a signal left unsent are done with when the recovery comes (found by this test) | 0 | 3 |
//! | the survey is not synced, and its seals are not looked at | 5 | 26 |
//!
//! Either half of the last line alone does no harm: a damaged survey is made again. Neither does a new ledger whose name
//! is not synced: SQLite syncs that folder with the first record of its log.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "tests are outside the floors, and say what they skip"
)]

mod audit;
mod disk;
mod follow;
mod image;
mod reel;
#[path = "../it/night/stage.rs"]
#[allow(dead_code, reason = "shared with tests/it, which uses the rest")]
mod stage;
mod strace;

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use disk::{Dice, Event, Loss};
use image::Image;
use reel::{Stage, TWO_NIGHTS, Tape};

/// What a power loss is about: where the ledger and the runs' files lie.
const FOLDERS: &[&str] = &["state", "out"];

/// States of each recording. There are two to a reel: of two nights, and of a recovery in them.
const STATES_EACH: usize = 10;

/// Reels at once: they mostly wait, for timeouts and quota windows.
const LANES: usize = 8;

/// How many states are tried: `PASSYNC_POWER_STATES`, or so many that nobody waits for them.
fn states_asked_for() -> usize {
    std::env::var("PASSYNC_POWER_STATES").ok().and_then(|states| states.parse().ok()).unwrap_or(160)
}

#[test]
fn nothing_is_lost_with_the_power() {
    if let Err(why) = strace::is_usable() {
        eprintln!("skipped: {why}");
        return;
    }
    let reels = states_asked_for().div_ceil(2 * STATES_EACH);
    let (next, tally) = (AtomicUsize::new(0), Mutex::new(Tally::default()));
    std::thread::scope(|scope| {
        for _ in 0..reels.min(LANES) {
            scope.spawn(|| {
                let take = || Some(next.fetch_add(1, Ordering::Relaxed)).filter(|reel| *reel < reels);
                while let Some(reel) = take() {
                    if catch_unwind(|| play(reel, &tally)).is_err() {
                        let mut tally = tally.lock().unwrap();
                        tally.recordings += 1;
                        tally.bad_recordings += 1;
                    }
                }
            });
        }
    });
    let tally = tally.into_inner().unwrap();
    eprintln!(
        "{} crash states replayed, {} of them distinct, out of {} recordings with {} events and {} syncs",
        tally.states,
        tally.distinct.len(),
        tally.recordings,
        tally.events,
        tally.syncs
    );
    assert!(
        tally.bad_recordings + tally.bad_states == 0,
        "{} of {} recordings and {} of {} states are bad",
        tally.bad_recordings,
        tally.recordings,
        tally.bad_states,
        tally.states
    );
}

/// What was done so far.
#[derive(Default)]
struct Tally {
    recordings: usize,
    bad_recordings: usize,
    events: usize,
    syncs: usize,
    states: usize,
    bad_states: usize,
    distinct: HashSet<u64>,
}

/// Records two nights, fails the power in them, records one of the recoveries, and fails the power in that.
fn play(reel: usize, tally: &Mutex<Tally>) {
    let mut stage = Stage::new();
    let mut dice = Dice(reel as u64);
    let tape = stage.record(&Image::default(), &[], &TWO_NIGHTS);
    fail_often(&mut stage, &tape, &mut dice, tally);
    // In the first two commands: there is more to recover.
    let until = tape.events.iter().position(|event| matches!(event, Event::Ended { exit: 0 })).unwrap();
    let at = until / 4 + dice.below(until * 3 / 4);
    let moment = tape.moment(at);
    let image = moment.disk.after(&mut Loss::draw(dice.split(), at));
    stage.set(&image, &moment.heard);
    let again = stage.record(&image, &moment.heard, &[TWO_NIGHTS[1]]);
    fail_often(&mut stage, &again, &mut dice, tally);
}

fn fail_often(stage: &mut Stage, tape: &Tape, dice: &mut Dice, tally: &Mutex<Tally>) {
    let is_good = catch_unwind(AssertUnwindSafe(|| audit::keeps_its_promises(tape, stage))).is_ok();
    {
        let mut tally = tally.lock().unwrap();
        tally.recordings += 1;
        tally.bad_recordings += usize::from(!is_good);
        tally.events += tape.events.len();
        tally.syncs += tape.events.iter().filter(|event| matches!(event, Event::Synced { .. })).count();
    }
    let versions = audit::versions(tape);
    for _ in 0..STATES_EACH {
        let (at, loss) = tape.draw(dice.split());
        let image = tape.moment(at).disk.after(&mut loss.clone());
        let tried = catch_unwind(AssertUnwindSafe(|| fail(stage, tape, &versions, at, &image)));
        let mut tally = tally.lock().unwrap();
        tally.states += 1;
        tally.distinct.insert(hash(&image));
        if tally.states.is_multiple_of(500) {
            eprintln!("{} states, {} of them bad", tally.states, tally.bad_states);
        }
        if tried.is_err() {
            tally.bad_states += 1;
            let kept = stage.night.keep().join(format!("bad-{}", tally.bad_states));
            std::fs::create_dir(&kept).unwrap();
            image.place(&kept, FOLDERS);
            eprintln!("bad: after event {at} of {}, {loss:?}; the disk is in {}", tape.events.len(), kept.display());
        }
    }
}

/// One state: the power has failed, is back, and the same command is given again.
fn fail(stage: &mut Stage, tape: &Tape, versions: &audit::Versions, at: usize, image: &Image) {
    let moment = tape.moment(at);
    audit::after_power_loss(image, &moment, versions, stage);
    stage.set(image, &moment.heard);
    let judged = stage.night.server.look(|gateway| gateway.judgements().kept().len());
    let output = stage.run(moment.command);
    let said = String::from_utf8_lossy(&output.stderr);
    // 3: the run was closed before the power failed, and these inputs are done.
    assert!(matches!(output.status.code(), Some(0 | 3)), "{:?}: {said}", output.status);
    audit::after_recovery(stage, &moment, judged);
}

fn hash(image: &Image) -> u64 {
    let mut hasher = DefaultHasher::new();
    image.hash(&mut hasher);
    hasher.finish()
}
