//! Fault points: where a test may kill this process, or let the disk fail. There is one before and one after each
//! durable step; [`STEPS`] lists the steps, and a step that is not listed there panics as soon as a test comes by.
//!
//! ```text
//! PASSYNC_FAULT=plan.sync.after:1:kill,journal.commit.before:3:delay=500ms
//!               point:how-manieth time:kill | enospc | eio | delay[=DURATION]
//! ```
//!
//! All of it is compiled in by the feature `faults` alone. Without it a step is its work and nothing else, and the
//! variable is refused: a test that thinks it kills must not pass.

use std::io;
use std::path::Path;

/// The variable that arms points.
pub const VARIABLE: &str = "PASSYNC_FAULT";

/// Every durable step: what it is done to, and what is done.
pub const STEPS: &[(&str, &[&str])] = &[
    // The survey and its plan, in the state directory.
    ("rows", &["write", "sync"]),
    ("index", &["write", "sync"]),
    ("fates", &["write", "sync"]),
    ("plan", &["write", "sync"]),
    ("survey", &["sync-folder", "set-aside", "remove", "rename"]),
    // The ledger: a run's beginning and end, what it may send, and what it learns.
    ("ledger", &["create", "set-up", "rename"]),
    ("run", &["book", "close"]),
    ("sending", &["note"]),
    ("stamp", &["write"]),
    ("journal", &["begin", "append", "commit"]),
    ("fold", &["append", "commit"]),
    ("ends", &["commit"]),
    ("settle", &["commit"]),
    ("prune", &["commit"]),
    ("backup", &["copy", "rename"]),
    // The files of a run.
    ("folder", &["create"]),
    ("stale", &["remove", "sync-folder"]),
    ("tails", &["write", "sync", "remove"]),
    ("outcomes", &["begin", "write", "sync", "rename", "sync-folder"]),
    ("failures", &["begin", "write", "sync", "rename", "sync-folder"]),
    ("report", &["begin", "write", "sync", "rename", "sync-folder"]),
    ("manifest", &["begin", "write", "sync", "rename", "sync-folder"]),
    ("latest", &["link", "rename", "sync-folder"]),
    // Those of old runs go.
    ("kept", &["remove"]),
    // Whatever else is whole or absent: standard input, kept until its run is closed.
    ("file", &["begin", "write", "sync", "rename", "sync-folder", "remove"]),
];

/// What a file is called in [`STEPS`]: the beginning of its name, or `file`.
pub fn subject(path: &Path) -> &'static str {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let stem = name.split(['.', '-']).next().unwrap_or_default();
    STEPS.iter().map(|(subject, _)| *subject).find(|subject| *subject == stem).unwrap_or("file")
}

/// The names of all points, in the order of [`STEPS`].
pub fn points() -> impl Iterator<Item = String> {
    let steps = STEPS.iter().flat_map(|(subject, acts)| acts.iter().map(move |act| (subject, act)));
    steps.flat_map(|(subject, act)| ["before", "after"].map(|edge| format!("{subject}.{act}.{edge}")))
}

/// A durable step with its two points.
#[inline]
pub fn around<T>(subject: &str, act: &str, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    around_as(|error| error, subject, act, work)
}

/// The same where errors are told otherwise: `told` turns the system's into the step's own.
#[cfg(not(feature = "faults"))]
#[inline]
pub fn around_as<T, E>(
    _told: impl Fn(io::Error) -> E,
    _subject: &str,
    _act: &str,
    work: impl FnOnce() -> Result<T, E>,
) -> Result<T, E> {
    work()
}

/// Refuses what would otherwise be ignored.
#[cfg(not(feature = "faults"))]
pub fn arm(asked: &str) -> Result<(), String> {
    Err(format!("{VARIABLE}={asked}: this build has no fault points; build it with `--features faults`, or unset it"))
}

#[cfg(feature = "faults")]
pub use armed::{arm, around_as};

#[cfg(feature = "faults")]
mod armed {
    use std::io;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use rustix::io::Errno;
    use rustix::process::{Signal, getpid, kill_process};

    use super::{VARIABLE, points};
    use crate::io::job::parse_duration;

    /// Set once at the start: durable steps are all over the house, and no argument should lead to each for a test.
    static ARMED: OnceLock<Vec<Armed>> = OnceLock::new();

    struct Armed {
        point: String,
        nth: u64,
        effect: Effect,
        passed: AtomicU64,
    }

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Effect {
        Kill,
        Fail(Errno),
        Delay(Duration),
    }

    /// A durable step with its two points; `told` turns the system's errors into the step's own.
    pub fn around_as<T, E>(
        told: impl Fn(io::Error) -> E,
        subject: &str,
        act: &str,
        work: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        pass(&format!("{subject}.{act}.before")).map_err(&told)?;
        let done = work()?;
        pass(&format!("{subject}.{act}.after")).map_err(told)?;
        Ok(done)
    }

    /// Arms points for the life of the process.
    pub fn arm(asked: &str) -> Result<(), String> {
        let armed = asked.split(',').map(parse).collect::<Result<_, _>>()?;
        assert!(ARMED.set(armed).is_ok(), "points are armed once");
        Ok(())
    }

    fn pass(point: &str) -> io::Result<()> {
        assert!(points().any(|known| known == point), "{point} is not in the table of io/fault.rs");
        for armed in ARMED.get().into_iter().flatten().filter(|armed| armed.point == point) {
            if armed.passed.fetch_add(1, Ordering::Relaxed) + 1 == armed.nth {
                tracing::warn!("fault point {point}: {:?}", armed.effect);
                armed.effect.happen()?;
            }
        }
        Ok(())
    }

    impl Effect {
        fn happen(self) -> io::Result<()> {
            match self {
                Effect::Kill => {
                    kill_process(getpid(), Signal::KILL)?;
                    unreachable!("SIGKILL is not survived")
                }
                Effect::Fail(errno) => Err(errno.into()),
                Effect::Delay(duration) => {
                    std::thread::sleep(duration);
                    Ok(())
                }
            }
        }
    }

    fn parse(asked: &str) -> Result<Armed, String> {
        let fault = |what: &str| {
            let known = points().collect::<Vec<_>>().join(" ");
            format!(
                "{VARIABLE}: `{asked}`: {what}; expected point:nth:kill|enospc|eio|delay[=DURATION]; the points are {known}"
            )
        };
        let [point, nth, effect] = asked.split(':').collect::<Vec<_>>()[..] else { return Err(fault("three parts")) };
        if points().all(|known| known != point) {
            return Err(fault("no such point"));
        }
        let nth = nth.parse().ok().filter(|nth| *nth > 0).ok_or_else(|| fault("nth is a number from 1 on"))?;
        let effect = match effect.split_once('=').unwrap_or((effect, "")) {
            ("kill", "") => Effect::Kill,
            ("enospc", "") => Effect::Fail(Errno::NOSPC),
            ("eio", "") => Effect::Fail(Errno::IO),
            ("delay", "") => Effect::Delay(Duration::from_secs(1)),
            ("delay", time) => Effect::Delay(parse_duration(time).ok_or_else(|| fault("no such duration"))?),
            _ => return Err(fault("no such effect")),
        };
        Ok(Armed { point: point.to_owned(), nth, effect, passed: AtomicU64::new(0) })
    }

    #[cfg(test)]
    mod tests {
        use super::*;
        use crate::io::fault::around;

        #[test]
        fn what_is_asked_for_is_done_the_nth_time_and_only_then() {
            arm("latest.link.after:2:enospc,latest.rename.before:1:delay=1ms").unwrap();
            let step = || around("latest", "link", || Ok(7));
            assert_eq!(step().unwrap(), 7);
            assert_eq!(step().unwrap_err().kind(), io::ErrorKind::StorageFull);
            assert_eq!(step().unwrap(), 7);
        }

        #[test]
        fn what_cannot_be_done_is_refused_with_the_points() {
            for asked in ["", "list", "no.such.before:1:kill", "plan.sync.before:0:kill", "plan.sync.before:1:burn"] {
                let said = parse(asked).map(|_| ()).unwrap_err();
                assert!(said.contains("plan.sync.before") && said.contains("latest.rename.after"), "{said}");
            }
        }

        #[test]
        #[should_panic(expected = "not in the table")]
        fn a_step_that_is_not_listed_is_told() {
            let _ = around("moon", "land", || Ok(()));
        }
    }
}
