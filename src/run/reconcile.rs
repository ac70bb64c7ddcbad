//! `reconcile`: proves a closed run from its files. It believes nothing but bytes: what the manifest says is counted
//! again from the outcomes, the failure files and, where they are still there, the inputs.

mod lines;
mod order;
mod walk;

use std::path::Path;

use serde::Serialize;

use super::close::file_fact;
use super::manifest::{FileFact, Manifest};
use super::proof::Check;
use super::{Fault, inputs};
use crate::io::job::{self, Settings};
use crate::io::source::Input;

/// What was proved, and what was not.
#[derive(Clone, Debug, Serialize)]
pub struct Proof {
    /// The job's name.
    pub job: String,
    /// The run's name.
    pub run: String,
    /// Whether nothing contradicts anything.
    pub proved: bool,
    /// What was looked at.
    pub checks: Vec<Check>,
}

/// Proves the run in `dir`.
pub fn reconcile(dir: &Path) -> Result<Proof, Fault> {
    let manifest = Manifest::read(dir).map_err(Fault::usage)?;
    let settings = job::recorded(&manifest.settings, Path::new("/")).map_err(Fault::usage)?;
    let (inputs, present) = inputs_check(&manifest);
    let mut checks = vec![tally_check(&manifest), files_check(dir, &manifest), inputs];
    checks.extend(walk::walk(&walk::Order { dir, manifest: &manifest, settings: &settings, present: &present })?);
    let proved = checks.iter().all(Check::is_sound);
    Ok(Proof { job: manifest.job, run: manifest.run, proved, checks })
}

/// The manifest in itself.
fn tally_check(manifest: &Manifest) -> Check {
    let mut check =
        Check::new("manifest", "rows and points read are those with an outcome; the exit says what they are");
    manifest.contradictions().into_iter().for_each(|fault| check.fault(fault));
    check
}

/// The other files of the run.
fn files_check(dir: &Path, manifest: &Manifest) -> Check {
    let mut check = Check::new("files", "the files have the size and the digest that were recorded");
    for (name, recorded) in &manifest.files {
        match file_fact(&dir.join(name)) {
            Ok(now) if now == *recorded => {}
            Ok(now) => check.fault(format!(
                "{name}: {} bytes with sha256 {}, recorded were {} with {}",
                now.size, now.sha256, recorded.size, recorded.sha256
            )),
            Err(fault) => check.fault(format!("{name}: {fault}")),
        }
    }
    for stray in strays(dir, manifest) {
        check.fault(format!("{stray}: it lies in the run's folder, and the manifest does not know it"));
    }
    for family in ["outcomes.", "failures"] {
        let is_there = manifest.files.keys().any(|name| name.starts_with(family));
        if !is_there {
            check.skipped = Some(format!("the run has no {} file", family.trim_end_matches('.')));
        }
    }
    check
}

/// Files that would pass for those of the run: a failure file among them would be replayed.
fn strays(dir: &Path, manifest: &Manifest) -> Vec<String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut strays: Vec<String> = names
        .filter(|name| ["outcomes.", "failures.", "failures-"].iter().any(|family| name.starts_with(family)))
        .filter(|name| !manifest.files.contains_key(name))
        .collect();
    strays.sort();
    strays
}

/// Whether bills and cards are told apart by more than their numbers, in which the files have them.
fn several_merchants(settings: &Settings) -> bool {
    settings.gateway.table.contains_key("merchants")
}

/// The inputs, and those that are still what they were.
fn inputs_check(manifest: &Manifest) -> (Check, Vec<Option<Input>>) {
    let mut check = Check::new("inputs", "the inputs are what they were");
    let mut present = Vec::new();
    let mut gone = Vec::new();
    for fact in &manifest.inputs {
        let path = Path::new(&fact.path);
        let found = file_fact(path).ok();
        let is_same = found.as_ref().is_some_and(|now| (now.size, &now.sha256) == (fact.size, &fact.sha256));
        match found {
            None => gone.push(fact.name.clone()),
            Some(now) if !is_same && was_written_since(&manifest.started_at, path, &now) => {
                gone.push(format!("{} (its run was reopened since, and wrote it anew)", fact.name));
            }
            Some(now) => check.expect(is_same, || {
                format!(
                    "{}: {} bytes with sha256 {}, read were {} with {}",
                    fact.path, now.size, now.sha256, fact.size, fact.sha256
                )
            }),
        }
        present.push(is_same.then(|| inputs::of_fact(fact, path.to_owned())));
    }
    if !gone.is_empty() {
        check.skipped = Some(format!("no longer there: {}", gone.join(", ")));
    }
    (check, present)
}

/// Whether a file is one of a run as that has closed it last, and since: a replay that read what was there before has lost
/// its input.
fn was_written_since(started_at: &str, path: &Path, now: &FileFact) -> bool {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        return false;
    };
    let is_later = |manifest: &Manifest| manifest.closed_at.as_str() > started_at;
    Manifest::read(folder).is_ok_and(|manifest| is_later(&manifest) && manifest.files.get(name) == Some(now))
}

/// The cells of failure files, which have the input's form: nothing but an empty one is absent.
fn failure_rules(settings: &Settings) -> Result<crate::io::source::ReadRules, Fault> {
    let input = job::settings::Input { null_values: vec![String::new()], ..settings.input.clone() };
    crate::io::source::ReadRules::new(&input).map_err(Fault::usage)
}

/// Those of outcomes, whose form is ours.
fn outcome_rules(settings: &Settings) -> Result<crate::io::source::ReadRules, Fault> {
    let input = job::settings::Input {
        null_values: vec![String::new()],
        encoding: "utf-8".to_owned(),
        delimiter: Some(b','),
        ..settings.input.clone()
    };
    crate::io::source::ReadRules::new(&input).map_err(Fault::usage)
}
