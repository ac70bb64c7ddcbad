//! What may be written where: data, words, colours, progress.

use std::io::{ErrorKind, IsTerminal, Write, stderr, stdout};

use serde::Serialize;

use super::{CliError, Color, Global, LogFormat};
use crate::model::Exit;
use crate::model::reject::veiled;

/// What the terminal and the global flags permit.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct Screen {
    /// stderr takes colours.
    pub color: bool,
    /// A progress display may be drawn on stderr.
    pub progress: bool,
    /// Nothing but errors.
    pub quiet: bool,
    /// Errors are JSON, a line each.
    json: bool,
    /// Personal ids are shown whole.
    pub personal: bool,
}

impl Screen {
    pub(super) fn new(global: &Global) -> Screen {
        let terminal = stderr().is_terminal();
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Screen {
            color: match global.color {
                Color::Always => true,
                Color::Never => false,
                Color::Auto => terminal && !dumb && !no_color && global.log_format == LogFormat::Text,
            },
            progress: terminal && !dumb && !global.no_progress && !global.quiet,
            quiet: global.quiet,
            json: global.log_format == LogFormat::Json,
            personal: global.log_pii,
        }
    }

    /// Data: text to stdout. A reader that has read enough (`| head`) is no fault.
    pub fn print(self, text: &str) -> Result<(), CliError> {
        let mut out = stdout().lock();
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => {
                Err(CliError::new(Exit::Storage, format!("stdout cannot be written: {error}")))
            }
            _ => Ok(()),
        }
    }

    /// Data: one JSON value, for people to read as well.
    pub fn print_json(self, value: &impl Serialize) -> Result<(), CliError> {
        let text = serde_json::to_string_pretty(value).expect("what is reported has text for keys");
        self.print(&(text + "\n"))
    }

    /// Veils what names a person, or a code that a card is redeemed by, unless --log-pii wants it whole.
    pub fn veil(self, id: &mut String) {
        if !self.personal {
            *id = veiled(id);
        }
    }

    /// A line to the person at the terminal, unless -q wants none.
    pub fn say(self, line: &str) {
        if !self.quiet {
            tell(&format!("{line}\n"));
        }
    }

    /// Shows why a command ended.
    pub fn error(self, error: &CliError) {
        if self.json {
            let line =
                serde_json::json!({ "level": "ERROR", "message": error.to_string(), "exit": error.exit().code() });
            tell(&format!("{line}\n"));
        } else {
            tell(&error.render(self.color));
        }
    }
}

/// To stderr. Where that cannot be written, a full disk say, the exit code is all that is left to tell.
fn tell(text: &str) {
    let _ = stderr().lock().write_all(text.as_bytes());
}
