//! The stage of a night: a folder with a job, the gateway that it calls, and what can be seen of both afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, LazyLock, Mutex};

use passync::sandbox::{Breach, Config, Delay, Fault, Order, Server, Setup};
use passync::wire::crypto::Signer;
use passync::wire::{self, Dialect};

static CLIENT: LazyLock<Signer> = LazyLock::new(|| Signer::generate(2048).unwrap());
static PLATFORM: LazyLock<Signer> = LazyLock::new(|| Signer::generate(2048).unwrap());

/// A folder with a job, and the gateway that it calls.
pub struct Night {
    dir: tempfile::TempDir,
    /// The gateway.
    pub server: Server,
    log: Log,
    /// Where the gateway listens, and the next one after it.
    listener: TcpListener,
}

/// What the gateway writes of each exchange, in memory.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Night {
    /// A night with this gateway; `settings` are further lines of the job file.
    pub fn new(config: Config, settings: &str) -> Night {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (server, log) = open_gateway(&listener, config);
        let night = Night { dir: tempfile::tempdir().unwrap(), server, log, listener };
        night.write("merchant.pem", &CLIENT.private_pem());
        std::fs::set_permissions(night.path("merchant.pem"), std::os::unix::fs::PermissionsExt::from_mode(0o600))
            .unwrap();
        night.write("platform.pem", &PLATFORM.public_pem());
        night.write(
            "job.toml",
            &format!(
                r#"
                name = "night"
                dialect = "alipayhk-card"
                input.files = ["in.csv"]
                gateway.url = "{}"
                gateway.allow_insecure_loopback = true
                gateway.merchant_id = "M1"
                gateway.client_id = "2110200000000044"
                gateway.private_key = "file:merchant.pem"
                gateway.platform_keys = ["file:platform.pem"]
                gateway.request_timeout = "2s"
                limits.quota = "2000/1s"
                limits.concurrency = 32
                retry.backoff_base = "10ms"
                retry.backoff_max = "100ms"
                output.dir = "out"
                ledger.url = "state/ledger.db"
                {settings}
                "#,
                night.server.url()
            ),
        );
        night
    }

    /// Another gateway in place of this one, at the same address and with the same keys: it has heard nothing yet.
    pub fn reopen_gateway(&mut self, config: Config) {
        (self.server, self.log) = open_gateway(&self.listener, config);
    }

    /// Keeps the folder for a person to look into.
    pub fn keep(&mut self) -> PathBuf {
        self.dir.disable_cleanup(true);
        self.dir.path().to_owned()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_passync"));
        command.current_dir(self.dir.path()).args(args).stdin(Stdio::null()).env_clear();
        command
    }

    /// Runs a command to its end; the answer has its exit code.
    pub fn passync(&self, args: &[&str]) -> (i32, Output) {
        let output = self.command(args).output().unwrap();
        (output.status.code().unwrap_or(-1), output)
    }

    /// Runs a command that must end with `exit`.
    #[track_caller]
    pub fn expect(&self, exit: i32, args: &[&str]) -> String {
        let (code, output) = self.passync(args);
        let text = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        assert_eq!(code, exit, "passync {args:?} said:\n{text}");
        text
    }

    pub fn start(&self, args: &[&str]) -> Child {
        self.command(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// A second job on the same ledger: `other.toml`, which reads `other.csv`.
    pub fn second_job(&self) {
        let job = std::fs::read_to_string(self.path("job.toml")).unwrap();
        let job = job.replace(r#"name = "night""#, r#"name = "other""#).replace("in.csv", "other.csv");
        self.write("other.toml", &job);
    }

    /// The outcomes of the newest closed run, in input order: (bill, outcome, code).
    pub fn outcomes(&self) -> Vec<Line> {
        self.outcomes_of("night")
    }

    /// The same of a job by its name.
    pub fn outcomes_of(&self, job: &str) -> Vec<Line> {
        let mut reader = csv::Reader::from_path(self.path(&format!("out/{job}/latest/outcomes.csv"))).unwrap();
        let headers = reader.headers().unwrap().clone();
        let lines = reader.records().map(|record| {
            let record = record.unwrap();
            let line: BTreeMap<String, String> =
                headers.iter().zip(record.iter()).map(|(name, cell)| (name.to_owned(), cell.to_owned())).collect();
            Line(line)
        });
        lines.collect()
    }

    /// How many rows of the newest closed run ended how.
    pub fn counts(&self) -> BTreeMap<String, usize> {
        self.counts_of("night")
    }

    /// The same of a job by its name.
    pub fn counts_of(&self, job: &str) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for line in self.outcomes_of(job) {
            *counts.entry(line["outcome"].to_owned()).or_default() += 1;
        }
        counts
    }

    pub fn manifest(&self) -> serde_json::Value {
        let text = std::fs::read_to_string(self.path("out/night/latest/manifest.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// Lines of the newest failure file, without its header.
    pub fn failures(&self) -> usize {
        std::fs::read_to_string(self.path("out/night/latest/failures.csv")).unwrap().lines().count() - 1
    }

    pub fn calls(&self) -> u64 {
        self.server.look(|gateway| gateway.summary().calls)
    }

    /// What the gateway has written down of each exchange that has ended, in the order of their ends.
    pub fn exchanges(&self) -> Vec<serde_json::Value> {
        let log = self.log.0.lock().unwrap();
        serde_json::Deserializer::from_slice(&log).into_iter().map(Result::unwrap).collect()
    }

    /// When calls arrived, as the gateway has it.
    pub fn arrivals(&self) -> Vec<jiff::Timestamp> {
        self.exchanges().iter().map(|line| line["arrived_at"].as_str().unwrap().parse().unwrap()).collect()
    }

    /// The points that a card shows.
    pub fn points(&self, card: &str) -> Option<String> {
        self.server.look(|gateway| gateway.card("M1", card)?.members.get("points").map(|shown| shown.value.clone()))
    }

    /// No law was broken as the gateway sees it, and every card of `rows` shows its newest row.
    #[track_caller]
    pub fn is_well(&self, rows: &[Delta]) {
        self.is_well_after(rows, 0);
    }

    /// The same, but for rows that a kill cut off between the reply and its durable record.
    #[track_caller]
    pub fn is_well_after(&self, rows: &[Delta], resent_max: u64) {
        let judgements = self.server.look(|gateway| gateway.judgements().kept().to_vec());
        let (double, others): (Vec<_>, Vec<_>) = judgements.iter().partition(|one| one.breach == Breach::DoubleSend);
        assert!(others.is_empty(), "{others:?}");
        // A row that is sent again may meet a fault of the gateway again: it is the rows that count.
        let resent: BTreeSet<_> = double.iter().map(|one| &one.bill_no).collect();
        assert!(resent.len() as u64 <= resent_max, "more than {resent_max}: {double:?}");
        let mut newest: BTreeMap<&str, &Delta> = BTreeMap::new();
        for row in rows {
            let known = newest.entry(&row.card).or_insert(row);
            if known.at < row.at {
                *known = row;
            }
        }
        for (card, row) in newest {
            assert_eq!(self.points(card), Some(row.points.to_string()), "card {card}");
        }
        self.is_sound();
    }

    /// Nothing in the ledger contradicts anything else.
    #[track_caller]
    pub fn is_sound(&self) {
        let text = self.expect(0, &["ledger", "verify", "--state", "state"]);
        assert!(text.contains("ledger.db: sound") && !text.contains("FAULT"), "{text}");
    }
}

fn open_gateway(listener: &TcpListener, config: Config) -> (Server, Log) {
    let table = toml::from_str("merchant_id = 'M1'\nclient_id = '2110200000000044'").unwrap();
    let dialect: Arc<dyn Dialect> =
        Arc::from(wire::entry("alipayhk-card").unwrap().open(&table, &wire::setting::no_vault).unwrap());
    let config = Config {
        delay: Delay { min: std::time::Duration::from_millis(1), max: std::time::Duration::from_millis(8) },
        order: Order::Rising("points".to_owned()),
        ..config
    };
    let log = Log::default();
    let setup = Setup {
        dialects: vec![dialect],
        client: CLIENT.public(),
        platform: PLATFORM.clone(),
        config,
        log: Some(Box::new(log.clone())),
    };
    (Server::start(listener.try_clone().unwrap(), setup).unwrap(), log)
}

/// One line of outcomes.
#[derive(Debug)]
pub struct Line(BTreeMap<String, String>);

impl std::ops::Index<&str> for Line {
    type Output = str;
    fn index(&self, column: &str) -> &str {
        &self.0[column]
    }
}

/// One row of an input.
#[derive(Clone, Debug)]
pub struct Delta {
    pub bill: String,
    pub card: String,
    pub points: u64,
    pub at: u64,
}

impl Delta {
    pub fn new(bill: &str, card: &str, points: u64, at: u64) -> Delta {
        Delta { bill: bill.to_owned(), card: card.to_owned(), points, at }
    }
}

/// `bills` rows over `cards` cards: as many for each, on neighbouring lines, points rising with time.
pub fn deltas(cards: u64, each: u64) -> Vec<Delta> {
    let of_card = |card: u64| {
        (0..each).map(move |at| {
            Delta::new(
                &format!("2202303432423434424333{:05}", card * each + at),
                &format!("0029{card:06}"),
                1_000 + at,
                card * each + at,
            )
        })
    };
    (0..cards).flat_map(of_card).collect()
}

/// The rows as CSV, each an Alipay transaction, so that its bill is on the wire.
pub fn as_csv(rows: &[Delta]) -> String {
    let mut text = String::from("bill_no,pass_id,user_id,points,points_provider,last_changed_points,occurred_at\n");
    for row in rows {
        let (bill, card, points) = (&row.bill, &row.card, row.points);
        writeln!(text, "{bill},{card},2160220037090534,{points},ALIPAYHK,1,{}", 1_760_000_000_000 + row.at * 1_000)
            .unwrap();
    }
    text
}

/// The setting under which no attempt starts later than so many seconds from now, in UTC: it leaves a request timeout.
pub fn finish_by_in(seconds: i64) -> String {
    const REQUEST_TIMEOUT_S: i64 = 2; // the stage's
    let now = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC);
    (&now + jiff::Span::new().seconds(seconds + REQUEST_TIMEOUT_S)).strftime("run.finish_by=%H:%M:%S").to_string()
}

/// A gateway that does this to these bills or cards, every time.
pub fn scripted(script: &[(&str, &str)]) -> Config {
    let script = script.iter().map(|(key, fault)| ((*key).to_owned(), fault.parse::<Fault>().unwrap())).collect();
    Config { script, ..Config::default() }
}

/// A gateway with these faults.
pub fn faulty(faults: &str) -> Config {
    Config { faults: faults.parse().unwrap(), ..Config::default() }
}
