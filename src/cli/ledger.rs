//! `passync ledger`: the durable record of bills, cards and runs.

mod export;
mod import;
mod keep;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand, ValueEnum};
use serde::Deserialize;

use super::figures::{count, grouped};
use super::job::LedgerArgs;
use super::{CliError, Screen, proof};
use crate::io::ledger;
use crate::model::Exit;
use crate::run::look::{self, ShownAttempt, ShownBill, ShownCard, ShownPlace};
use crate::run::settle::{self, Given};
use crate::run::verify;
use crate::wire::personal::is_code;

/// Look into the ledger, keep it, or book a person's answer
#[derive(Debug, Args)]
pub struct Ledger {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show all that is known of a bill or a card
    #[command(after_help = "\
Examples:
  passync ledger show 202601020000000000000000001 --job jobs/nightly.toml")]
    Show {
        /// A bill number, or a card's pass id
        key: String,
        #[command(flatten)]
        ledger: LedgerArgs,
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
    /// Count bills, cards, runs and open rows
    #[command(after_help = "\
Examples:
  passync ledger stats --state /var/lib/passync --json")]
    Stats {
        #[command(flatten)]
        ledger: LedgerArgs,
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
    /// Prove the ledger by itself: pages, seals, order, every applied bill with its answer
    #[command(after_help = "\
Examples:
  passync ledger verify --job jobs/nightly.toml
  passync ledger verify --state /var/lib/passync --json

Changes nothing; a run may be on meanwhile. Exit 0: nothing contradicts anything; 1: something does; 6: it is no ledger,
or cannot be read at all.")]
    Verify {
        #[command(flatten)]
        ledger: LedgerArgs,
        /// Print the proof as JSON
        #[arg(long)]
        json: bool,
    },
    /// Book a person's answer about rows that are in doubt
    #[command(after_help = "\
Examples:
  passync ledger settle 202601020000000000000000001 --as applied --reason 'seen in the console' --job jobs/nightly.toml
  passync ledger settle --file answers.csv --job jobs/nightly.toml

A card's number settles all of its bills in doubt; those that were never sent stay open. A number that several bills or \
cards have is refused, and their identities are told: with one of them in its place one bill is meant. A file of answers has \
the columns bill_no, as and reason. All of its answers are booked, or none.")]
    Settle(Settle),
    Export(export::Export),
    Import(import::Import),
    Backup(keep::Backup),
    Prune(keep::Prune),
}

#[derive(Debug, Args)]
struct Settle {
    /// A bill's number or identity, or a card's pass id
    #[arg(required_unless_present = "file", requires = "answer", requires = "reason")]
    key: Option<String>,
    /// What the person found
    #[arg(long = "as", value_name = "ANSWER", value_enum, requires = "key", conflicts_with = "file")]
    answer: Option<Answer>,
    /// Why: it is kept in the ledger
    #[arg(long, value_name = "TEXT", requires = "key", conflicts_with = "file", value_parser = NonEmptyStringValueParser::new())]
    reason: Option<String>,
    /// Many answers: a CSV with the columns `bill_no`, `as`, `reason`
    #[arg(long, value_name = "CSV", conflicts_with = "key")]
    file: Option<PathBuf>,
    #[command(flatten)]
    ledger: LedgerArgs,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Answer {
    /// The card shows it
    Applied,
    /// The card does not show it
    NotApplied,
}

impl Ledger {
    pub(super) fn execute(self, screen: Screen) -> Result<Exit, CliError> {
        match self.command {
            Command::Show { key, ledger, json } => show(&key, &ledger, json, screen),
            Command::Stats { ledger, json } => stats(&ledger, json, screen),
            Command::Verify { ledger, json } => verify(&ledger, json, screen),
            Command::Settle(settle) => settle.execute(screen),
            Command::Export(export) => export.execute(screen),
            Command::Import(import) => import.execute(screen),
            Command::Backup(backup) => backup.execute(screen),
            Command::Prune(prune) => prune.execute(screen),
        }
    }
}

fn show(key: &str, ledger: &LedgerArgs, json: bool, screen: Screen) -> Result<Exit, CliError> {
    let ledger = ledger.open()?;
    let mut shown = look::show(&ledger, key)?;
    if shown.bills.is_empty() && shown.cards.is_empty() {
        return Err(CliError::usage(look::unknown(&ledger, key)?)
            .help("give the number of a bill, or a card's whole id, as the input has it"));
    }
    let of_cards = shown.cards.iter_mut().flat_map(|card| &mut card.bills);
    shown.bills.iter_mut().chain(of_cards).for_each(|bill| veil_bill(bill, screen));
    shown.cards.iter_mut().for_each(|card| veil_card(card, screen));
    if json {
        screen.print_json(&shown)?;
    } else {
        let bills = shown.bills.iter().map(bill_text);
        let cards = shown.cards.iter().map(card_text);
        screen.print(&bills.chain(cards).collect::<Vec<_>>().join("\n"))?;
    }
    Ok(Exit::Clean)
}

fn veil_bill(bill: &mut ShownBill, screen: Screen) {
    screen.veil(&mut bill.card);
    bill.members.iter_mut().filter(|(name, _)| is_code(name)).for_each(|(_, value)| screen.veil(value));
}

fn veil_card(card: &mut ShownCard, screen: Screen) {
    screen.veil(&mut card.card);
    card.members.iter_mut().filter(|(name, _)| is_code(name)).for_each(|(_, member)| screen.veil(&mut member.value));
}

fn place_text(place: &ShownPlace) -> String {
    let ShownPlace { occurred_at, sequence, run, at } = place;
    let sequence = if *sequence == 0 { String::new() } else { format!(", sequence {sequence}") };
    format!("{occurred_at}{sequence}  ({at} of run {run})")
}

fn bill_text(bill: &ShownBill) -> String {
    let mut text = format!("bill {}: {}\n", bill.bill_no.as_deref().unwrap_or("(none)"), bill.state);
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "  {name:<10} {value}");
    };
    line("identity", bill.identity.clone());
    line("card", bill.card.clone());
    line("happened", place_text(&bill.place));
    line("ended", format!("{} {} at {} in run {}", bill.outcome, bill.code, bill.settled_at, bill.run));
    if bill.in_doubt > 0 {
        line("in doubt", count(u64::from(bill.in_doubt), "attempt"));
    }
    for (name, value) in &bill.members {
        let left_out = if bill.dropped.contains(name) { "  (left out: the card has a newer value)" } else { "" };
        line("asks for", format!("{name} = {value}{left_out}"));
    }
    for attempt in &bill.attempts {
        let latency = attempt.latency_ms.map(|ms| format!(", {ms} ms")).unwrap_or_default();
        let trace = if attempt.trace_id.is_empty() { String::new() } else { format!(", trace {}", attempt.trace_id) };
        let ShownAttempt { at, meant, code, message, http_status, .. } = attempt;
        line("attempt", format!("{at}  {meant} {code} (HTTP {http_status}{latency}{trace}) {message}"));
    }
    for answer in &bill.answers {
        line("answered", format!("{}  {}: {}", answer.at, answer.answer, answer.reason));
    }
    text
}

fn card_text(card: &ShownCard) -> String {
    let mut text = format!("card {}\n", card.card);
    if card.members.is_empty() {
        text.push_str("  nothing is confirmed yet\n");
    }
    for (name, member) in &card.members {
        let _ = writeln!(text, "  shows      {name} = {}  since {}", member.value, place_text(&member.place));
    }
    if let Some(place) = &card.closed {
        let _ = writeln!(text, "  closed     {}", place_text(place));
    }
    for bill in &card.bills {
        let number = bill.bill_no.as_deref().unwrap_or("(none)");
        let _ = writeln!(text, "  bill       {number}  {}  {} {}", bill.place.occurred_at, bill.state, bill.code);
    }
    text
}

fn stats(ledger: &LedgerArgs, json: bool, screen: Screen) -> Result<Exit, CliError> {
    let stats = look::stats(&ledger.open()?)?;
    if json {
        screen.print_json(&stats)?;
        return Ok(Exit::Clean);
    }
    let mut text = format!("{}  {}\n\n", stats.ledger, count(stats.bytes, "byte"));
    let mut line = |name: &str, number: u64| {
        let _ = writeln!(text, "  {name:<44}{:>12}", grouped(&number));
    };
    stats.bills.iter().for_each(|(state, bills)| line(&format!("bills {state}"), *bills));
    line("cards", stats.cards);
    line("open rows", stats.open_rows);
    line("answers of persons", stats.answers);
    stats.runs.iter().for_each(|run| line(&format!("job {}: {}s {}", run.job, run.kind, run.state), run.runs));
    screen.print(&text)?;
    Ok(Exit::Clean)
}

fn verify(ledger: &LedgerArgs, json: bool, screen: Screen) -> Result<Exit, CliError> {
    let verified = verify::verify(&ledger.open()?)?;
    if json {
        screen.print_json(&verified)?;
    } else {
        let verdict = if verified.sound { "sound" } else { "NOT SOUND" };
        screen.print(&format!("{}: {verdict}\n{}", verified.ledger, proof::lines(&verified.checks)))?;
    }
    Ok(if verified.sound { Exit::Clean } else { Exit::Failures })
}

impl Settle {
    fn execute(self, screen: Screen) -> Result<Exit, CliError> {
        let given = match (&self.file, self.key, self.answer, self.reason) {
            (Some(file), ..) => read_answers(file)?,
            (None, Some(key), Some(answer), Some(reason)) => {
                vec![Given { key, answer: answer.into(), reason, place: String::new() }]
            }
            _ => unreachable!("clap requires one or the other"),
        };
        let mut booked = settle::settle(&self.ledger.path()?, &given)?;
        for one in &mut booked {
            screen.veil(&mut one.card);
        }
        if self.json {
            screen.print_json(&booked)?;
            return Ok(Exit::Clean);
        }
        let mut text = String::new();
        for one in &booked {
            let bill = one.bill_no.as_deref().unwrap_or("(none)");
            let _ = writeln!(text, "bill {bill} of card {}: {} -> {}", one.card, one.was, one.answer);
        }
        screen.print(&text)?;
        Ok(Exit::Clean)
    }
}

/// A CSV of answers. Nothing is booked unless all of it can be read.
fn read_answers(file: &Path) -> Result<Vec<Given>, CliError> {
    #[derive(Deserialize)]
    struct Line {
        bill_no: String,
        #[serde(rename = "as")]
        answer: String,
        reason: String,
    }
    let name = file.display();
    let refused =
        |what: String| CliError::new(Exit::Input, what).help("a file of answers has the columns bill_no, as, reason");
    let bytes = std::fs::read(file).map_err(|error| refused(format!("{name}: cannot be read: {error}")))?;
    // The parser counts lines that end in both signs one too low.
    let behind = bytes.iter().skip(1).chain([&0]);
    let pairs = bytes.iter().zip(behind).filter(|pair| *pair != (&b'\r', &b'\n'));
    let text: Vec<u8> = pairs.map(|(byte, _)| *byte).collect();
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_slice());
    let headers = reader.headers().map_err(|error| refused(format!("{name}: {error}")))?.clone();
    if headers.is_empty() {
        return Err(refused(format!("{name}: it is empty; nothing was booked")));
    }
    let mut given = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| refused(format!("{name}: {error}; nothing was booked")))?;
        let place = format!("{name}:{}", record.position().map_or(0, csv::Position::line));
        let at = |what: String| refused(format!("{place}: {what}; nothing was booked"));
        let line: Line = record.deserialize(Some(&headers)).map_err(|error| at(error.to_string()))?;
        let answer = ledger::Answer::ALL.into_iter().find(|answer| answer.as_str() == line.answer);
        let answer = answer
            .ok_or_else(|| at(format!("column `as`: found {:?}, expected applied or not-applied", line.answer)))?;
        if line.bill_no.is_empty() || line.reason.is_empty() {
            return Err(at("expected a bill and a reason, found an empty cell".to_owned()));
        }
        given.push(Given { key: line.bill_no, answer, reason: line.reason, place });
    }
    if given.is_empty() {
        return Err(refused(format!("{name}: it has no answers")));
    }
    Ok(given)
}

impl From<Answer> for ledger::Answer {
    fn from(answer: Answer) -> ledger::Answer {
        match answer {
            Answer::Applied => ledger::Answer::Applied,
            Answer::NotApplied => ledger::Answer::NotApplied,
        }
    }
}
