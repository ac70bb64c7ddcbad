//! The thin binary: arguments in, exit code out.

use std::process::ExitCode;

use clap::Parser;
use passync::cli::Cli;

fn main() -> ExitCode {
    // `parse` answers --help itself, and ends a fault of usage with 2.
    let cli = Cli::parse();
    let screen = cli.screen();
    let exit = match cli.execute(screen) {
        Ok(exit) => exit,
        Err(error) => {
            screen.error(&error);
            error.exit()
        }
    };
    ExitCode::from(exit.code())
}
