//! `passync init`: a new job, with its keys and its line of a crontab.

use std::io::{BufRead, IsTerminal, stdin};
use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::PossibleValuesParser;

use crate::cli::{CliError, Screen, figures};
use crate::io::job;
use crate::io::job::settings::GatewayUrl;
use crate::io::keys::{self, Kind};
use crate::model::Exit;
use crate::wire::crypto::Signer;
use crate::wire::{self, DIALECTS, Entry};

/// Write a new job: job file, key pair, and a line for the crontab
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  passync init                               asks what it needs to know
  passync init --dir jobs --name nightly-points --dialect alipayhk-card \\
    --merchant-id 2160120036095023 --client-id 2110200000000044 --files 'inbox/points-{date}.csv'
  passync init --name trial --dialect alipayhk-card --url sandbox --merchant-id 1 --client-id 2 --files points.csv

Existing files are never overwritten.")]
pub struct Init {
    /// The folder of the job; made where it is missing
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// The job's name, and that of its file
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// The wire form of the gateway
    #[arg(long, value_name = "DIALECT",
          value_parser = PossibleValuesParser::new(DIALECTS.iter().map(|dialect| dialect.name)))]
    dialect: Option<String>,
    /// Scheme and host of the gateway, or "sandbox" for a trial
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// The merchant whose cards these are
    #[arg(long, value_name = "ID")]
    merchant_id: Option<String>,
    /// The client, as the platform names it
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    /// The app (marketing-card)
    #[arg(long, value_name = "ID")]
    app_id: Option<String>,
    /// The files to read, relative to the job file; {date} is the run's day
    #[arg(long, value_name = "PATTERN")]
    files: Option<String>,
    /// Calls in any window, as agreed with the vendor
    #[arg(long, value_name = "N/TIME", default_value = "50/1s")]
    quota: String,
    /// The zone of files and schedule
    #[arg(long, value_name = "ZONE", default_value = "Asia/Hong_Kong")]
    timezone: String,
    /// When cron runs it
    #[arg(long, value_name = "HH:MM", default_value = "02:15", value_parser = clock)]
    at: (u8, u8),
}

/// A time of day.
fn clock(text: &str) -> Result<(u8, u8), String> {
    let parts = text.split_once(':').and_then(|(hour, minute)| Some((hour.parse().ok()?, minute.parse().ok()?)));
    parts.filter(|(hour, minute)| *hour < 24 && *minute < 60).ok_or_else(|| "expected a time such as 02:15".to_owned())
}

impl Init {
    pub(in crate::cli) fn execute(self, screen: Screen) -> Result<Exit, CliError> {
        let asks = Asks { terminal: stdin().is_terminal(), screen };
        let name = asks.said(self.name.as_ref(), "--name", "name of the job", "nightly-points")?;
        let dialect = asks.said(self.dialect.as_ref(), "--dialect", "dialect", "alipayhk-card")?;
        let dialect = wire::entry(&dialect).ok_or_else(|| CliError::usage(format!("--dialect {dialect}: unknown")))?;
        let text = self.job_file(&name, dialect, &asks)?;
        let (file, crontab) = (self.dir.join(format!("{name}.toml")), self.dir.join(format!("{name}.crontab")));
        let key = self.dir.join("keys/merchant.pem");
        if let Some(there) = [&file, &crontab].into_iter().find(|path| path.exists()) {
            let what = format!("{} exists; nothing is overwritten", there.display());
            return Err(CliError::usage(what).help("give another --name or --dir"));
        }
        let settings = job::parse(&file, &text)?;
        let state = (settings.gateway.url == GatewayUrl::Sandbox).then(|| self.dir.join("state"));
        if state.is_none() {
            make_keys(&key)?;
        }
        write(&file, &text)?;
        write(&crontab, &self.crontab(&file, state.as_deref()))?;
        screen.print(&next_steps(&file, &crontab, state.as_deref()))?;
        Ok(Exit::Clean)
    }

    /// The job file: what all jobs have, around the dialect's own part.
    fn job_file(&self, name: &str, dialect: &Entry, asks: &Asks) -> Result<String, CliError> {
        let default_url =
            if dialect.starter.contains("@app_id@") { "https://openapi.alipay.com" } else { "https://open.alipay.hk" };
        let url = asks.said(self.url.as_ref(), "--url", "URL of the gateway, or sandbox", default_url)?;
        let files = asks.said(self.files.as_ref(), "--files", "files to read", "inbox/points-{date}.csv")?;
        let offset = if files.contains("{date}") { "-1d" } else { "0d" };
        let mut text = [include_str!("head.toml"), "\n", dialect.starter, include_str!("tail.toml")].concat();
        if url != "sandbox" {
            let keys = "private_key = \"file:keys/merchant.pem\"\n\
                        platform_keys = [\"file:keys/platform.pem\"]      # the platform's public key, from its console\n";
            text = text.replace("url = \"@url@\"\n", &format!("url = \"@url@\"\n{keys}"));
        }
        let ids = [("merchant_id", &self.merchant_id), ("client_id", &self.client_id), ("app_id", &self.app_id)];
        for (key, said) in ids {
            let place = format!("@{key}@");
            if text.contains(&place) {
                let flag = format!("--{}", key.replace('_', "-"));
                text = text.replace(&place, &quotable(&flag, &asks.said(said.as_ref(), &flag, key, "")?)?);
            }
        }
        let file = format!("{name}.toml");
        let said = [("file", "NAME", file.as_str()), ("name", "--name", name), ("dialect", "--dialect", dialect.name)];
        let more = [("url", "--url", url.as_str()), ("files", "--files", &files), ("date_offset", "", offset)];
        let rest = [("timezone", "--timezone", self.timezone.as_str()), ("quota", "--quota", &self.quota)];
        for (place, flag, value) in said.into_iter().chain(more).chain(rest) {
            text = text.replace(&format!("@{place}@"), &quotable(flag, value)?);
        }
        Ok(text)
    }

    fn crontab(&self, file: &Path, state: Option<&Path>) -> String {
        let (hour, minute) = self.at;
        let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let (file, state) = (absolute(file), state.map(absolute));
        // cron looks in /usr/bin and /bin alone.
        let program = std::env::current_exe().unwrap_or_else(|_| "passync".into());
        let command = format!(
            "{} run {}{} --wait 30m -q",
            figures::quoted(&program.display().to_string()),
            figures::quoted(&file.display().to_string()),
            state_words(state.as_deref())
        );
        format!(
            "# With -q a run that ends well is silent: cron mails the others. --wait: until a run by hand has ended.\n\
             # Debian's and Ubuntu's cron does not know CRON_TZ: there the time is that of the machine's zone.\n\
             CRON_TZ={}\n{minute} {hour} * * *    {}\n",
            self.timezone,
            command.replace('%', "\\%") // cron ends a command at a bare one
        )
    }
}

/// Who answers what no flag has said.
struct Asks {
    terminal: bool,
    screen: Screen,
}

impl Asks {
    /// The flag's value, or the answer to a question, or the default where nobody can be asked.
    fn said(&self, given: Option<&String>, flag: &str, what: &str, default: &str) -> Result<String, CliError> {
        if let Some(given) = given {
            return Ok(given.clone());
        }
        let answer = if self.terminal { self.ask(what, default)? } else { String::new() };
        match (answer.trim(), default) {
            ("", "") => {
                Err(CliError::usage(format!("{flag} is missing"))
                    .help("give the flag, or run it in a terminal: it asks"))
            }
            ("", default) => Ok(default.to_owned()),
            (answer, _) => Ok(answer.to_owned()),
        }
    }

    fn ask(&self, what: &str, default: &str) -> Result<String, CliError> {
        self.screen.say(&if default.is_empty() { format!("{what}:") } else { format!("{what} [{default}]:") });
        let mut line = String::new();
        let read = stdin().lock().read_line(&mut line);
        let read = read.map_err(|error| CliError::usage(format!("no answer: {error}")))?;
        // Somebody who presses return where an answer is needed has not given up: all others would be lost.
        if read > 0 && line.trim().is_empty() && default.is_empty() { self.ask(what, default) } else { Ok(line) }
    }
}

/// What can stand between quotes in a job file as it is.
fn quotable(flag: &str, value: &str) -> Result<String, CliError> {
    if value.chars().any(|char| char.is_control() || "\"\\@".contains(char)) {
        return Err(CliError::usage(format!(
            "{flag} {value:?}: quotes, backslashes, @ and control characters cannot stand in it"
        )));
    }
    Ok(value.to_owned())
}

/// A key pair, unless there is one: a second job of the same client signs with the same key.
fn make_keys(private: &Path) -> Result<(), CliError> {
    if private.exists() {
        return Ok(());
    }
    let signer = Signer::generate(2048).map_err(CliError::usage)?;
    keys::keep(private, signer.private_pem().as_bytes(), Kind::Private)?;
    keys::keep(&private.with_extension("pub.pem"), signer.public_pem().as_bytes(), Kind::Public)?;
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<(), CliError> {
    let fault = |error| CliError::new(Exit::Storage, format!("{}: {error}", path.display()));
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(fault)?;
    }
    std::fs::write(path, text).map_err(fault)
}

/// A trial says where its ledger is: without, that of the embedded sandbox is thrown away with each run.
fn state_words(state: Option<&Path>) -> String {
    state.map_or_else(String::new, |state| format!(" --state {}", figures::quoted(&state.display().to_string())))
}

fn next_steps(file: &Path, crontab: &Path, state: Option<&Path>) -> String {
    let folder = file.parent().unwrap_or(Path::new("")).join("keys");
    let (job, keys) = (figures::quoted(&file.display().to_string()), folder.display().to_string());
    let upload = if state.is_some() {
        String::new()
    } else {
        format!(
            "  upload {keys}/merchant.pub.pem to the platform's console, and save its public key as {keys}/platform.pem\n"
        )
    };
    let job = job + &state_words(state);
    format!(
        "{} and {} are written. Next:\n{upload}  \
         look through the job file: which columns the export has\n  \
         passync doctor {job}       is everything in place?\n  \
         passync check {job}        what would a run do? Sends nothing\n  \
         passync run {job}\n",
        file.display(),
        crontab.display()
    )
}
