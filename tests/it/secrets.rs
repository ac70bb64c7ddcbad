//! Law 11 by canaries: ids, keys and tokens that can be told from all else go through everything that the program does,
//! at its most verbose; then all that it wrote is searched for them.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use passync::io::keys;
use passync::sandbox::{Config, Delay, Server, Setup};
use passync::wire::crypto::Signer;
use passync::wire::{self, Answer, Dialect, Reply, Request};
use rustix::process::{Pid, Signal, kill_process};

use crate::net::rogue::{Act, Rogue};
use crate::night::wait_for;

static CLIENT: LazyLock<Signer> = LazyLock::new(|| Signer::generate(2048).unwrap());
static PLATFORM: LazyLock<Signer> = LazyLock::new(|| Signer::generate(2048).unwrap());

const TOKEN: &str = "202611BBtokencanary7f3a9c5e1d";
/// 32 bytes.
const AES_KEY: &str = "Y2FuYXJ5LWFlcy1rZXktb2YtMzItYnl0ZXMtbG9uZyE=";

/// How a dialect is played.
struct Part {
    dialect: &'static str,
    /// Its keys of `[gateway]`, and others of the job.
    gateway: &'static str,
    job: &'static str,
    header: &'static str,
    /// A row; `{n}` is its number. What it names a person by begins with a canary's word.
    row: &'static str,
    /// Rows that are not valid, with canaries at fault.
    rejects: &'static [&'static str],
}

const PARTS: [Part; 3] = [
    Part {
        dialect: "alipayhk-card",
        gateway: "merchant_id = 'M1'\nclient_id = '2110200000000044'\ncode_info = true",
        job: "",
        header: "bill_no,pass_id,user_id,open_id,points,code_msg,code_value",
        row: "bill{n},PassCanary{n},UserCanary{n},OpenCanary{n},5,CodeCanaryMsg{n},CodeCanary{n}",
        rejects: &[
            "billx1,PassCanaryX1,UserCanary-much-longer-than-the-page-permits-it,,5,,",
            "billx2, PassCanaryX2 ,UserCanaryX2,,5,,",
            "billx3,PassCanaryX3,UserCanaryX3,,5,,CodeCanaryX3",
            "billx5,PassCanaryX5,UserCanaryX5,,5",
        ],
    },
    Part {
        dialect: "intl-pass",
        gateway: "merchant_id = 'M1'\nclient_id = '2110200000000044'",
        job: "guard.statuses = ['USED']\nguard.closing_max = 1000",
        header: "bill_no,pass_id,user_id,status,verify_code,verify_type",
        row: "bill{n},PassCanary{n},UserCanary{n},USED,CodeCanary{n},BARCODE",
        rejects: &["billx1,PassCanaryX1,UserCanaryX1,USED,,BARCODE", "billx2,PassCanaryX2,,USED,CodeCanaryX2,BARCODE"],
    },
    Part {
        dialect: "marketing-card",
        gateway: "app_id = '2014072300007148'\napp_auth_token = 'file:keys/app.token'\naes_key = 'file:keys/app.aes'",
        job: "",
        header: "bill_no,card_no,occurred_at,open_date,valid_date,points,mdcode_info",
        row: concat!(
            "bill{n},CardCanary{n},2026-01-02 03:04:05,2026-01-01 00:00:00,2030-01-01 00:00:00,5,",
            r#""{""code_status"":""SUCCESS"",""code_value"":""CodeCanary{n}"",""expire_time"":""2030-01-01 00:00:00"",""time_stamp"":1}""#
        ),
        rejects: &[
            "billx1,CardCanary-much-longer-than-the-page-permits,2026-01-02 03:04:05,2026-01-01 00:00:00,2030-01-01 00:00:00,5,",
            "billx2,CardCanaryX2,2026-01-02 03:04:05,2026-01-01 00:00:00,2030-01-01 00:00:00,5,CodeCanaryX2",
        ],
    },
];

/// Every personal value of the rows has one of these words in it, and nothing else has.
const ID_WORDS: [&str; 5] = ["PassCanary", "UserCanary", "OpenCanary", "CardCanary", "CodeCanary"];

struct Stage {
    dir: tempfile::TempDir,
    rogue: Rogue,
    _server: Server,
}

impl Stage {
    fn of(part: &Part) -> Stage {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["keys", "tmp"] {
            std::fs::create_dir(dir.path().join(folder)).unwrap();
        }
        let private =
            [("app.pem", CLIENT.private_pem().to_string()), ("app.token", TOKEN.into()), ("app.aes", AES_KEY.into())];
        for (name, text) in private {
            let path = dir.path().join("keys").join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(path, PermissionsExt::from_mode(0o600)).unwrap();
        }
        std::fs::write(dir.path().join("keys/platform.pem"), PLATFORM.public_pem()).unwrap();

        let rooted = part.gateway.replace("file:", &format!("file:{}/", dir.path().display()));
        let entry = wire::entry(part.dialect).unwrap();
        let dialect: Arc<dyn Dialect> = Arc::from(entry.open(&toml::from_str(&rooted).unwrap(), &keys::vault).unwrap());
        let config = Config {
            faults: "unknown=5%,503=5%,refuse:PARAM_ILLEGAL=4%,forged=3%,heal=3".parse().unwrap(),
            delay: Delay { min: Duration::from_millis(1), max: Duration::from_millis(3) },
            ..Config::default()
        };
        let (client, platform) = (CLIENT.public(), PLATFORM.clone());
        let setup = Setup { dialects: vec![Arc::clone(&dialect)], client, platform, config, log: None };
        let server = Server::start(TcpListener::bind("127.0.0.1:0").unwrap(), setup).unwrap();
        let rogue = Rogue::start(Some(server.addr()), move |at, request| match at % 7 {
            2 => Act::Write(echo(&*dialect, request, false)),
            5 => Act::Write(echo(&*dialect, request, true)),
            _ => Act::Relay,
        });
        let stage = Stage { dir, rogue, _server: server };
        stage.write_job(part);
        stage.write_rows(part);
        stage
    }

    fn write_job(&self, part: &Part) {
        let Part { dialect, gateway, job, .. } = part;
        let gateway = format!("gateway.{}", gateway.replace('\n', "\ngateway."));
        let text = format!(
            "name = 'night'\ndialect = '{dialect}'\ninput.files = ['in.csv']\ninput.rejects_max = '100%'\n{gateway}\n{job}\n\
             gateway.url = '{}'\ngateway.allow_insecure_loopback = true\ngateway.private_key = 'file:keys/app.pem'\n\
             gateway.platform_keys = ['file:keys/platform.pem']\ngateway.request_timeout = '1s'\n\
             run.halt_after_errors = 'off'\nretry.attempts_max = 2\nretry.backoff_base = '10ms'\nlimits.quota = '20/200ms'\n\
             output.dir = 'out'\nledger.url = 'state/ledger.db'\n",
            self.rogue.url()
        );
        std::fs::write(self.dir.path().join("job.toml"), text).unwrap();
    }

    fn write_rows(&self, part: &Part) {
        let mut lines = vec![part.header.to_owned()];
        lines.extend((100..180).map(|n| part.row.replace("{n}", &n.to_string())));
        lines.push(part.row.replace("{n}", "100")); // a duplicate
        lines.push(part.row.replace("bill{n}", "bill101").replace("{n}", "102")); // a conflict
        lines.extend(part.rejects.iter().map(ToString::to_string));
        std::fs::write(self.dir.path().join("in.csv"), lines.join("\n") + "\n").unwrap();
    }

    /// A command at its most verbose.
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_passync"));
        command.args(["-vv", "--log-format", "json"]).args(args);
        command.current_dir(self.dir.path()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.env_clear().env("PASSYNC_LOG", "trace").env("RUST_LOG", "trace").env("RUST_BACKTRACE", "full");
        command.env("TMPDIR", self.dir.path().join("tmp"));
        command
    }

    /// Runs a command to its end. Returns its exit code; what it said goes to `said`.
    fn run(&self, args: &[&str], said: &mut Vec<Said>) -> i32 {
        let output = self.command(args).output().unwrap();
        let code = output.status.code().unwrap();
        said.push(Said { by: args.join(" "), output });
        code
    }
}

/// What a command wrote to its standard outputs.
struct Said {
    by: String,
    output: Output,
}

/// An answer that repeats all that the call says: a final no that is signed, or an unsigned one.
fn echo(dialect: &dyn Dialect, request: &[u8], signed: bool) -> Vec<u8> {
    let head_end = request.windows(4).position(|end| end == b"\r\n\r\n").unwrap();
    let head = std::str::from_utf8(&request[..head_end]).unwrap();
    let mut lines = head.split("\r\n");
    let target = lines.next().unwrap().split(' ').nth(1).unwrap().to_owned();
    let headers =
        lines.filter_map(|line| line.split_once(": ")).map(|(name, value)| (name.to_owned(), value.to_owned()));
    let request = Request { target, headers: headers.collect(), body: request[head_end + 4..].to_vec() };
    let call = dialect.read_call(&request, &CLIENT.public()).unwrap();
    let said = wire::Said::Refused("PARAM_ILLEGAL".to_owned());
    let (code, status) = dialect.phrase(&said);
    let message = format!("{} of {}", String::from_utf8_lossy(&call.body), request.target);
    let trace_id = format!("trace-{}", call.card);
    let now_ms = jiff::Timestamp::now().as_millisecond();
    let answer = Answer { code, status, message, trace_id };
    let reply = dialect.write_reply(&request, &answer, now_ms, signed.then_some(&*PLATFORM));
    let Reply { status, headers, body } = reply;
    let mut head = format!("HTTP/1.1 {status} OK\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += &format!("content-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), &body].concat()
}

/// What may stand nowhere but in its file: lines of the private key, the token, the AES key, and signatures that passed.
fn secrets(rogue: &Rogue) -> BTreeSet<String> {
    let pem = CLIENT.private_pem();
    let key_lines = pem.lines().filter(|line| line.len() >= 40 && !line.starts_with('-')).map(str::to_owned);
    let signatures = rogue.traffic().into_iter().flat_map(|message| {
        let text = String::from_utf8_lossy(&message).into_owned();
        ["signature=", "&sign=", "\"sign\":\""].into_iter().filter_map(move |lead| signature_behind(lead, &text))
    });
    key_lines.chain([TOKEN.to_owned(), AES_KEY.to_owned()]).chain(signatures).collect()
}

/// A part of the signature behind `lead` that is the same however base64 is encoded: the longest without special
/// characters.
fn signature_behind(lead: &str, text: &str) -> Option<String> {
    let (_, rest) = text.split_once(lead)?;
    let value = rest.split(['\r', ' ', '"', '&']).next()?;
    let part = value.split(['+', '/', '=', '%']).max_by_key(|part| part.len())?;
    // Behind a `%` stand two digits of the escape.
    Some(part.get(2..)?.to_owned())
}

/// Everything below `dir` but the keys' own folder, by path.
fn written(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let entry = entry.unwrap();
            let (path, kind) = (entry.path(), entry.file_type().unwrap());
            let name = path.strip_prefix(dir).unwrap().to_owned();
            match kind {
                kind if kind.is_dir() && name != Path::new("keys") => folders.push(path),
                kind if kind.is_file() => found.push((name, std::fs::read(path).unwrap())),
                _ => {}
            }
        }
    }
    found
}

/// Whether full ids may stand in a file.
fn may_hold_ids(path: &Path) -> bool {
    let name = path.file_name().unwrap().to_string_lossy();
    path == Path::new("in.csv") || path.starts_with("state") || path.starts_with("tmp") || name.starts_with("failures")
}

/// The first id, with enough of what stands around it to find the place.
fn id_in(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    // A shortened value ("Pass…") has no whole word; what the command was given, it may show.
    let at = ID_WORDS.iter().filter_map(|word| text.find(word)).min()?;
    Some(text.chars().skip(text[..at].chars().count().saturating_sub(160)).take(240).collect())
}

/// Outcomes without their `card` column.
fn without_cards(bytes: &[u8]) -> Vec<u8> {
    let mut reader = csv::Reader::from_reader(bytes);
    let card = reader.headers().unwrap().iter().position(|name| name == "card").unwrap();
    let lines = reader.records().map(|record| {
        let record = record.unwrap();
        record
            .iter()
            .enumerate()
            .filter(|(at, _)| *at != card)
            .map(|(_, cell)| cell.to_owned() + ",")
            .collect::<String>()
    });
    lines.collect::<Vec<_>>().join("\n").into_bytes()
}

impl Stage {
    /// Searches all that was written so far.
    #[track_caller]
    fn is_tight(&self, said: &[Said], moment: &str) {
        let secrets = secrets(&self.rogue);
        let secret_in = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes);
            secrets.iter().find(|secret| text.contains(secret.as_str())).cloned()
        };
        for (path, bytes) in written(self.dir.path()) {
            let place = path.display();
            assert_eq!(secret_in(&bytes), None, "{moment}: a secret is in {place}");
            let is_outcomes = path.file_name().is_some_and(|name| name == "outcomes.csv");
            let bytes = if is_outcomes { without_cards(&bytes) } else { bytes };
            assert!(may_hold_ids(&path) || id_in(&bytes).is_none(), "{moment}: {place} has {}", id_in(&bytes).unwrap());
        }
        for Said { by, output } in said {
            for (stream, bytes) in [("standard output", &output.stdout), ("standard error", &output.stderr)] {
                assert_eq!(secret_in(bytes), None, "{by}: a secret is on {stream}");
                assert_eq!(id_in(bytes), None, "{by}: an id is on {stream}");
            }
        }
    }
}

#[test]
fn what_is_personal_or_secret_stays_where_it_belongs() {
    std::thread::scope(|scope| {
        let parts = PARTS.each_ref().map(|part| scope.spawn(|| search(part)));
        parts.into_iter().for_each(|part| part.join().unwrap());
    });
}

/// Plays a dialect through every command, and searches what they wrote.
fn search(part: &Part) {
    let stage = Stage::of(part);
    let mut said = Vec::new();
    assert_eq!(stage.run(&["keys", "check", "job.toml"], &mut said), 0, "{}", part.dialect);
    assert_eq!(stage.run(&["check", "job.toml"], &mut said), 1);
    assert_eq!(stage.run(&["check", "job.toml", "--json"], &mut said), 1);

    // Killed in the middle: what lies around then is searched, too.
    let log = || std::fs::File::options().create(true).append(true).open(stage.dir.path().join("killed.log")).unwrap();
    let mut child = stage.command(&["run", "job.toml"]).stdout(log()).stderr(log()).spawn().unwrap();
    wait_for(|| stage.rogue.requests().len() > 40 || child.try_wait().unwrap().is_some());
    child.kill().unwrap();
    child.wait().unwrap();
    stage.is_tight(&said, "after a kill");

    let code = stage.run(&["resume", "job.toml"], &mut said);
    assert_eq!(code, 1, "{}", String::from_utf8_lossy(&said.last().unwrap().output.stderr));
    let latest = "out/night/latest";
    for args in [
        &["open", "job.toml"][..],
        &["open", "job.toml", "--json"],
        &["ledger", "stats", "--job", "job.toml"],
        &["ledger", "show", "bill120", "--job", "job.toml"],
        &["ledger", "show", "bill120", "--job", "job.toml", "--json"],
        &["reconcile", latest],
        &["report", latest],
        &["replay", "job.toml", latest],
        &["replay", "job.toml", latest, "--include", "refused,rejected,conflict", "--json"],
        &["run", "job.toml", "--again"],
    ] {
        let code = stage.run(args, &mut said);
        assert!(code <= 1, "{args:?}: {code} {}", String::from_utf8_lossy(&said.last().unwrap().output.stderr));
    }
    stage.is_tight(&said, "at the end");

    // The search itself finds what is there to be found.
    let mut failures = written(stage.dir.path()).into_iter().filter(|(path, _)| path.ends_with("failures.csv"));
    assert!(failures.any(|(_, bytes)| id_in(&bytes).is_some()));
    assert!(secrets(&stage.rogue).len() > 100, "signatures are looked for");
}

#[test]
fn a_literal_secret_in_a_setting_is_refused_and_not_shown() {
    let stage = Stage::of(&PARTS[2]);
    let mut said = Vec::new();
    for key in ["gateway.private_key", "gateway.app_auth_token", "gateway.aes_key", "gateway.proxy"] {
        let value = if key == "gateway.proxy" { format!("http://me:{TOKEN}@127.0.0.1:1") } else { TOKEN.to_owned() };
        let code = stage.run(&["check", "job.toml", "--set", &format!("{key}={value}")], &mut said);
        assert_eq!(code, 2, "{key}");
    }
    std::fs::set_permissions(stage.dir.path().join("keys/app.token"), PermissionsExt::from_mode(0o640)).unwrap();
    assert_eq!(stage.run(&["run", "job.toml"], &mut said), 2);
    let text = String::from_utf8_lossy(&said.last().unwrap().output.stderr).into_owned();
    assert!(text.contains("can be read by others (mode 0640)") && text.contains("chmod 600"), "{text}");
    stage.is_tight(&said, "refused");
    assert_eq!(stage.rogue.requests().len(), 0);
}

#[test]
fn a_crash_leaves_no_core() {
    let stage = Stage::of(&PARTS[0]);
    // As a shell that permits cores would start it; where that is not permitted to us, the limit is 0 already.
    let program = env!("CARGO_BIN_EXE_passync");
    let script = format!("ulimit -c unlimited; exec {program} run job.toml --set limits.quota=20/1s");
    let mut child =
        Command::new("sh").args(["-c", &script]).current_dir(stage.dir.path()).stderr(Stdio::null()).spawn().unwrap();
    wait_for(|| stage.rogue.requests().len() > 10);
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", child.id())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"], "{core}");
    // Not QUIT: what a shell started in the background ignores it.
    kill_process(Pid::from_child(&child), Signal::ABORT).unwrap();
    let status = child.wait().unwrap();
    assert_eq!((status.signal(), status.core_dumped()), (Some(Signal::ABORT.as_raw()), false));
}
