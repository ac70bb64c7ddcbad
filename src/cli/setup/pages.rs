//! What is made of the program's own description: completions, man pages, the schema of job files.

use std::path::{Path, PathBuf};

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::cli::{Cli, CliError, Screen};
use crate::io::job;
use crate::model::Exit;
use crate::wire::DIALECTS;

/// Print the completions of a shell
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  passync completions bash > ~/.local/share/bash-completion/completions/passync
  passync completions zsh > ~/.zfunc/_passync")]
pub struct Completions {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    pub(in crate::cli) fn execute(&self, screen: Screen) -> Result<Exit, CliError> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "passync", &mut script);
        screen.print(&String::from_utf8_lossy(&script))?;
        Ok(Exit::Clean)
    }
}

/// Print the man page, or write those of all commands
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  passync man | man -l -
  passync man --out /usr/local/share/man/man1")]
pub struct Man {
    /// Write passync.1, passync-run.1 ... into this folder
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

impl Man {
    pub(in crate::cli) fn execute(&self, screen: Screen) -> Result<Exit, CliError> {
        let mut command = Cli::command();
        command.build(); // sub-commands get their full names
        match &self.out {
            None => screen.print(&page(&command))?,
            Some(dir) => write_all(&command, dir)?,
        }
        Ok(Exit::Clean)
    }
}

fn page(command: &clap::Command) -> String {
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut page).expect("memory can be written");
    String::from_utf8_lossy(&page).into_owned()
}

fn write_all(command: &clap::Command, dir: &Path) -> Result<(), CliError> {
    let fault = |what: &Path, error| CliError::new(Exit::Storage, format!("{}: {error}", what.display()));
    std::fs::create_dir_all(dir).map_err(|error| fault(dir, error))?;
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    let path = dir.join(format!("{name}.1"));
    std::fs::write(&path, page(command)).map_err(|error| fault(&path, error))?;
    let inner = command.get_subcommands().filter(|inner| inner.get_name() != "help");
    inner.into_iter().try_for_each(|inner| write_all(inner, dir))
}

/// Print the JSON Schema of job files, with every key and its meaning
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  passync schema > job.schema.json       then begin a job file with  #:schema ./job.schema.json")]
pub struct Schema {}

impl Schema {
    #[expect(clippy::unused_self, reason = "as every command")]
    pub(in crate::cli) fn execute(&self, screen: Screen) -> Result<Exit, CliError> {
        screen.print_json(&job::schema(DIALECTS))?;
        Ok(Exit::Clean)
    }
}
