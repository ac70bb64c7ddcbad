//! Pages for people: one file each, no script, nothing fetched. Pure: the same run gives the same bytes.

mod chart;
mod clock;
mod failing;
mod history;
mod report;
mod scale;

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use askama::Template;
use jiff::tz::TimeZone;

pub use failing::{Failing, bill, card, place};
pub use history::write_history_page;
pub use report::{SlowCall, Told, report};

use crate::io::atomic::{AtomicFile, OutputError};
use crate::io::job::Settings;
use crate::run::RunDetail;
use crate::run::called::Called;
use crate::wire::{self, Code};

/// What the job's settings and its call say about its page.
#[derive(Clone, Debug)]
pub struct Ground {
    /// Calls in one window.
    pub quota: u32,
    /// The window.
    pub window: Duration,
    /// Whose times are shown.
    pub zone: TimeZone,
    /// What the gateway's codes mean.
    pub codes: &'static [Code],
    /// How it was called: what the commands to type next say again.
    pub called: Option<Called>,
}

impl Ground {
    /// What these settings and the facts of the run say.
    pub fn of(settings: &Settings, detail: &RunDetail) -> Ground {
        Ground {
            quota: settings.limits.quota,
            window: settings.limits.quota_window,
            zone: settings.input.timezone.clone(),
            codes: wire::entry(&settings.dialect).map_or(&[], |entry| entry.codes),
            called: detail.called.clone(),
        }
    }
}

/// A name with a value.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Fact {
    name: String,
    value: String,
}

fn fact(name: &str, value: impl Into<String>) -> Fact {
    Fact { name: name.to_owned(), value: value.into() }
}

fn html(page: &impl Template) -> String {
    page.render().expect("a page is text, and text can be written")
}

/// Puts a page in its place.
pub fn write(path: &Path, html: &str) -> Result<(), OutputError> {
    let mut file = AtomicFile::create(path)?;
    file.write_all(html.as_bytes()).map_err(|error| OutputError::new("write", path, error))?;
    file.commit()
}
