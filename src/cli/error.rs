//! Why a command ended without doing its work: what, where, what to do, and the exit it means.

use std::fmt;

use crate::io::job::JobFault;
use crate::io::keys::KeyFault;
use crate::model::Exit;

/// Why a command ended without doing its work.
#[derive(Debug)]
pub struct CliError {
    exit: Exit,
    detail: Detail,
}

#[derive(Debug)]
enum Detail {
    /// Shown with pictures of the job file.
    Job(JobFault),
    /// A sentence, and another that says what to do.
    Said { what: String, help: Option<String> },
}

impl From<crate::run::Fault> for CliError {
    fn from(fault: crate::run::Fault) -> CliError {
        let error = CliError::new(fault.exit(), &fault);
        match fault.advice() {
            Some(advice) => error.help(advice),
            None => error,
        }
    }
}

impl CliError {
    /// An error in a sentence that says what was found where.
    pub fn new(exit: Exit, what: impl fmt::Display) -> CliError {
        CliError { exit, detail: Detail::Said { what: what.to_string(), help: None } }
    }

    /// A fault of usage.
    pub fn usage(what: impl fmt::Display) -> CliError {
        CliError::new(Exit::Usage, what)
    }

    /// The same, with what to do.
    pub fn help(self, help: impl Into<String>) -> CliError {
        let detail = match self.detail {
            Detail::Said { what, .. } => Detail::Said { what, help: Some(help.into()) },
            job @ Detail::Job(_) => job,
        };
        CliError { detail, ..self }
    }

    /// The exit that it means.
    pub fn exit(&self) -> Exit {
        self.exit
    }

    /// For people: pictures of the job file, or lines.
    pub(super) fn render(&self, color: bool) -> String {
        let (red, cyan, plain) = if color { ("\x1b[31m", "\x1b[36m", "\x1b[0m") } else { ("", "", "") };
        match &self.detail {
            Detail::Job(fault) => fault.render(color),
            Detail::Said { what, help } => {
                let help = help.as_ref().map(|help| format!("{cyan}help:{plain} {help}\n")).unwrap_or_default();
                format!("{red}error:{plain} {what}\n{help}")
            }
        }
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.detail {
            Detail::Job(fault) => fault.fmt(f),
            Detail::Said { what, help: None } => f.write_str(what),
            Detail::Said { what, help: Some(help) } => write!(f, "{what}; {help}"),
        }
    }
}

impl std::error::Error for CliError {}

impl From<JobFault> for CliError {
    fn from(fault: JobFault) -> CliError {
        CliError { exit: Exit::Usage, detail: Detail::Job(fault) }
    }
}

impl From<KeyFault> for CliError {
    fn from(fault: KeyFault) -> CliError {
        CliError::usage(fault)
    }
}
