//! Whether a run's inputs are there, whole and still; and the patience to wait until they are.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use super::context::Job;
use super::control::{self, Covering};
use super::{Fault, Signals};
use crate::io::job::dates::Dates;
use crate::io::job::show_duration;
use crate::io::source::{self, Input, InputError, STANDARD_INPUT};

/// How often an absent file is looked for.
const POLL: Duration = Duration::from_millis(500);

/// A file that was written so lately may still have its writer ...
const FRESH: Duration = Duration::from_secs(2);

/// ... and a writer at work is seen when one looks twice.
const SECOND_LOOK: Duration = Duration::from_millis(250);

/// What is there.
pub struct Arrived {
    /// The inputs, in their order.
    pub inputs: Vec<Input>,
    /// Their control files.
    pub controls: Vec<Covering>,
    /// What keeps the run from reading them: a marker that is not there, a file that grows.
    pub not_yet: Vec<Fault>,
    /// Control files that are not there.
    pub uncontrolled: Vec<Fault>,
}

impl Arrived {
    /// What is there, if nothing keeps the run from reading it.
    pub fn ready(self) -> Result<Arrived, Fault> {
        match self.not_yet.into_iter().chain(self.uncontrolled).next() {
            Some(fault) => Err(fault),
            None => Ok(Arrived { not_yet: Vec::new(), uncontrolled: Vec::new(), ..self }),
        }
    }
}

impl Job {
    /// Looks once. A pattern that no file matches is an error.
    pub(super) fn look(&self, dates: Option<Dates>) -> Result<Arrived, Fault> {
        let input = &self.settings.input;
        let of_start = || Dates::of_start(self.clock.began_ms(), &input.timezone, input.date_offset_days);
        let dates = dates.unwrap_or_else(of_start);
        let mut not_yet = Vec::new();
        for (_, marker) in input.ready.iter().flat_map(|ready| dates.expand(ready)) {
            not_yet.extend(absent(Path::new(&marker), "input.ready", "the export is not finished"));
        }
        let days: Vec<_> = dates.days().collect();
        let inputs = match source::resolve(input, &self.settings.base, &days) {
            // Without its marker the export is not finished: no wonder that files are missing.
            Err(InputError::Missing(_)) if !not_yet.is_empty() => return Err(not_yet.remove(0)),
            inputs => inputs?,
        };
        let controls = match &input.control {
            Some(pattern) => control::covering(pattern, &inputs, dates)?,
            None => Vec::new(),
        };
        let why = "nothing says what the export wrote";
        let uncontrolled = controls.iter().filter_map(|control| absent(&control.path, "input.control", why)).collect();
        let files = inputs.iter().filter(|input| input.name != STANDARD_INPUT).map(|input| input.path.clone());
        let files: Vec<PathBuf> = files.chain(controls.iter().map(|control| control.path.clone())).collect();
        not_yet.extend(growing(&files)?);
        Ok(Arrived { inputs, controls, not_yet, uncontrolled })
    }
}

fn absent(path: &Path, key: &str, why: &str) -> Option<Fault> {
    (!path.is_file()).then(|| {
        let newest = source::newest_beside(path);
        let there = if newest.is_empty() {
            String::new()
        } else {
            format!("; the newest files there are {}", newest.join(", "))
        };
        Fault::input(format!("{} is not there ({key}): {why}{there}", path.display()))
            .help(format!("wait for it with input.wait_for, or go without: --set {key}="))
            .passing()
    })
}

/// A file that its writer is still at work on.
fn growing(paths: &[PathBuf]) -> Result<Option<Fault>, Fault> {
    let look = || paths.iter().map(|path| Look::at(path)).collect::<Result<Vec<_>, Fault>>();
    let first = look()?;
    if !first.iter().any(Look::is_fresh) {
        return Ok(None);
    }
    std::thread::sleep(SECOND_LOOK);
    let pairs = first.into_iter().zip(look()?);
    let changed = paths.iter().zip(pairs).find(|(_, (before, now))| before != now);
    Ok(changed.map(|(path, (before, now))| {
        Fault::input(format!(
            "{} is still being written: {} bytes, then {} bytes {} later",
            path.display(), before.size, now.size, show_duration(SECOND_LOOK)
        ))
        .help("have it written beside its place and renamed, or marked as finished (input.ready); or wait for it with input.wait_for")
        .passing()
    }))
}

/// A file at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Look {
    size: u64,
    modified: Option<SystemTime>,
}

impl Look {
    /// A file that is not there has nothing; whoever needs it says so.
    fn at(path: &Path) -> Result<Look, Fault> {
        match std::fs::metadata(path) {
            Ok(meta) => Ok(Look { size: meta.len(), modified: meta.modified().ok() }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Look { size: 0, modified: None }),
            Err(error) => Err(Fault::input(format!("{}: cannot be looked at: {error}", path.display()))),
        }
    }

    fn is_fresh(&self) -> bool {
        // A time to come is the clock of another machine.
        self.modified
            .is_some_and(|modified| modified.elapsed().is_ok_and(|age| age < FRESH) || modified > SystemTime::now())
    }
}

/// How long a run waits for its inputs.
pub struct Patience<'a> {
    wait: Duration,
    until: Instant,
    signals: &'a Signals,
}

impl<'a> Patience<'a> {
    /// From now on, for `wait`.
    pub fn new(wait: Duration, signals: &'a Signals) -> Patience<'a> {
        Patience { wait, until: Instant::now() + wait, signals }
    }

    /// Tries until it works, or fails with what no waiting helps; at the end of the patience the last fault is told.
    pub fn until<T>(&self, mut attempt: impl FnMut() -> Result<T, Fault>) -> Result<T, Fault> {
        let mut told = String::new();
        loop {
            let fault = match attempt() {
                Err(fault) if fault.is_passing() && !self.wait.is_zero() => fault,
                done => return done,
            };
            if Instant::now() >= self.until {
                return Err(fault.within(&format!("waited {} for it", show_duration(self.wait))));
            }
            if told != fault.to_string() {
                told = fault.to_string();
                tracing::warn!("waiting (input.wait_for = {}): {told}", show_duration(self.wait));
            }
            if self.signals.raised() {
                return Err(Fault::stopped());
            }
            std::thread::sleep(POLL.min(self.until.saturating_duration_since(Instant::now())));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::io::Write;

    use super::*;

    #[test]
    fn a_file_that_grows_between_two_looks_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("in.csv");
        let mut file = std::fs::File::create(&path).unwrap();
        assert!(growing(std::slice::from_ref(&path)).unwrap().is_none(), "fresh, and still");
        let writer = std::thread::spawn(move || {
            for _ in 0..40 {
                file.write_all(b"row\n").unwrap();
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        std::thread::sleep(Duration::from_millis(50));
        let fault = growing(std::slice::from_ref(&path)).unwrap().unwrap();
        assert!(fault.is_passing() && fault.to_string().contains("is still being written"), "{fault}");
        writer.join().unwrap();
        let old = SystemTime::now() - 2 * FRESH;
        std::fs::File::options().append(true).open(&path).unwrap().set_modified(old).unwrap();
        let began = Instant::now();
        assert!(growing(&[path, dir.path().join("absent")]).unwrap().is_none());
        assert!(began.elapsed() < SECOND_LOOK, "what is old is looked at once");
    }

    #[test]
    fn patience_ends_with_success_with_its_time_or_with_what_never_passes() {
        let signals = Signals::default();
        let attempts = Cell::new(0);
        let patience = |wait| Patience::new(Duration::from_millis(wait), &signals);
        let until = |wait, fault: fn() -> Fault, good: u32| {
            attempts.set(0);
            patience(wait).until(|| {
                attempts.set(attempts.get() + 1);
                if attempts.get() == good { Ok(good) } else { Err(fault()) }
            })
        };
        let passing = || Fault::input("not there").passing();
        assert_eq!(until(5_000, passing, 2).unwrap(), 2);
        assert_eq!(until(600, passing, 9).unwrap_err().to_string(), "not there (waited 600ms for it)");
        assert_eq!(attempts.get(), 3, "at once, and twice a second");
        assert_eq!(until(0, passing, 9).unwrap_err().to_string(), "not there");
        assert!(until(5_000, || Fault::input("damaged"), 9).is_err());
        assert_eq!(attempts.get(), 1);
    }
}
