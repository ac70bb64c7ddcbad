//! The job file: what a job is, typed and checked, before anything else is touched.
//!
//! Settings come in layers, each laid over the one below: the defaults (`defaults.toml`, which also says which keys
//! exist), the job file, the environment (`PASSYNC_<SECTION>_<KEY>`), `--set section.key=value`, and the flags that
//! have names of their own. Every key and value remembers where it was said, so that a fault is shown in place.

mod fault;
mod layers;
mod read;
mod schema;
mod tree;
mod url;
mod values;

pub mod dates;
pub mod settings;

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, absolute};

pub use fault::{Fault, JobFault};
pub use layers::Overrides;
pub use schema::schema;
pub use settings::Settings;
pub use url::{is_web, masked};
pub use values::{parse_duration, show_duration};

use self::layers::Layers;
use crate::io::folder;
use crate::wire::{DIALECTS, Entry};

/// Reads a job.
pub fn load(path: &Path, overrides: &Overrides) -> Result<Settings, JobFault> {
    load_with(path, overrides, DIALECTS)
}

/// Reads the text of a job file that is to stand at `path`.
pub fn parse(path: &Path, text: &str) -> Result<Settings, JobFault> {
    build(&path.display().to_string(), text, folder::of(path), &Overrides::default(), DIALECTS)
}

/// Reads the settings that a manifest or a plan recorded ([`Settings::in_force`]), for the job that `current` is now.
/// What was masked when it was recorded (`notify.url`, `metrics.otlp`) comes from `current`, as do folder and dialects.
pub fn restore(recorded: &serde_json::Value, current: &Settings) -> Result<Settings, JobFault> {
    let (metrics_otlp, notify_url) = (current.metrics_otlp.clone(), current.notify_url.clone());
    Ok(Settings { metrics_otlp, notify_url, ..self::recorded(recorded, &current.base)? })
}

/// Reads recorded settings on their own; what was masked is absent. Relative paths start at `base`.
pub fn recorded(recorded: &serde_json::Value, base: &Path) -> Result<Settings, JobFault> {
    let mut recorded = recorded.clone();
    for (section, masked) in [("notify", "url"), ("metrics", "otlp")] {
        if let Some(section) = recorded.get_mut(section).and_then(serde_json::Value::as_object_mut) {
            section.remove(masked);
        }
    }
    let unreadable = |error| JobFault::of_file(format!("the recorded settings cannot be read: {error}"), ABANDON);
    let document = toml::to_string(&recorded).map_err(|error| unreadable(error.to_string()))?;
    build("recorded settings", &document, base, &Overrides::default(), DIALECTS)
}

const ABANDON: &str = "close the interrupted run with `passync resume JOB --abandon`";

/// Bytes of a job file. One that says all that can be said, with comments, is a tenth of it; a larger one is a data file
/// given by mistake.
const SIZE_MAX: u64 = 128 << 10;

fn load_with(path: &Path, overrides: &Overrides, dialects: &[Entry]) -> Result<Settings, JobFault> {
    let name = path.display().to_string();
    let unreadable = |error: &dyn std::fmt::Display| {
        JobFault::of_file(format!("{name}: the job file cannot be read: {error}"), "give the path of a job file (TOML)")
    };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| unreadable(&error))?;
    file.take(SIZE_MAX + 1).read_to_end(&mut bytes).map_err(|error| unreadable(&error))?;
    if bytes.len() as u64 > SIZE_MAX {
        return Err(unreadable(&format!("it has more than {SIZE_MAX} bytes, and no job file has")));
    }
    let file = String::from_utf8(bytes).map_err(|error| unreadable(&error))?;
    let full = absolute(path).map_err(|error| unreadable(&error))?;
    let base = full.parent().expect("a file that was read stands in a folder");
    let layers = Layers::stack(&name, file.trim_start_matches('\u{feff}'), overrides, dialects)?;
    read(layers, base)
}

fn build(name: &str, file: &str, base: &Path, overrides: &Overrides, dialects: &[Entry]) -> Result<Settings, JobFault> {
    read(Layers::stack(name, file, overrides, dialects)?, base)
}

fn read(mut layers: Layers<'_>, base: &Path) -> Result<Settings, JobFault> {
    let settings = read::settings(&mut layers, base);
    layers.finish(settings)
}

#[cfg(test)]
mod tests;
