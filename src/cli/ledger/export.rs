//! `passync ledger export`.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use crate::cli::figures::{count, path};
use crate::cli::job::LedgerArgs;
use crate::cli::{CliError, Screen};
use crate::io::{StorageError, folder};
use crate::model::Exit;
use crate::run::Fault;
use crate::run::export::{self, Table};

/// Write bills and what cards show as tables
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  passync ledger export export --job jobs/nightly.toml         export/bills.csv, export/cards.csv
  passync ledger export export --format parquet --state /var/lib/passync
  passync ledger export cards.parquet --only cards --state /var/lib/passync --log-pii

Both tables are of one moment; a run may be on meanwhile. Card numbers and codes are shortened unless --log-pii is given; \
card_key is the same for the same card, and joins the two.")]
pub struct Export {
    /// A folder; with --only a file that ends in .csv or .parquet
    to: PathBuf,
    /// Only this table
    #[arg(long, value_name = "TABLE", value_enum)]
    only: Option<Only>,
    /// The form of the tables in a folder
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    format: Format,
    #[command(flatten)]
    ledger: LedgerArgs,
    /// Print what was written as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Only {
    /// A row for each bill
    Bills,
    /// A row for each member that a card shows
    Cards,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Comma-separated text
    #[default]
    Csv,
    /// Apache Parquet
    Parquet,
}

impl Format {
    fn of_name(file: &Path) -> Option<Format> {
        match file.extension()?.to_str()? {
            "csv" => Some(Format::Csv),
            "parquet" => Some(Format::Parquet),
            _ => None,
        }
    }

    fn extension(self) -> &'static str {
        match self {
            Format::Csv => "csv",
            Format::Parquet => "parquet",
        }
    }
}

impl Export {
    pub(super) fn execute(self, screen: Screen) -> Result<Exit, CliError> {
        let ledger = self.ledger.open()?;
        let tables = match self.only {
            None => Table::ALL.to_vec(),
            Some(Only::Bills) => vec![Table::Bills],
            Some(Only::Cards) => vec![Table::Cards],
        };
        let (files, format) = match (Format::of_name(&self.to), tables.as_slice()) {
            (Some(format), [table]) => (vec![(*table, self.to)], format),
            (Some(_), _) => {
                let what = format!("{} is one file, and there are two tables", self.to.display());
                return Err(CliError::usage(what).help("say which: --only bills or --only cards; or name a folder"));
            }
            (None, [_]) if self.to.extension().is_some() && !self.to.is_dir() => {
                let what = format!("{} is neither CSV nor Parquet by its name", self.to.display());
                return Err(CliError::usage(what).help("name a file that ends in .csv or .parquet, or a folder"));
            }
            (None, tables) => {
                let file = |table: &Table| self.to.join(format!("{}.{}", table.as_str(), self.format.extension()));
                folder::make(&self.to).map_err(|error| Fault::from(StorageError::new("create", &self.to, error)))?;
                (tables.iter().map(|table| (*table, file(table))).collect(), self.format)
            }
        };
        let written = export::export(&ledger, &files, format == Format::Parquet, &|id| screen.veil(id))?;
        if self.json {
            screen.print_json(&written)?;
        } else {
            let lines = written.iter().map(|one| format!("{}: {}\n", path(&one.file), count(one.rows, "row")));
            screen.print(&lines.collect::<String>())?;
        }
        Ok(Exit::Clean)
    }
}
