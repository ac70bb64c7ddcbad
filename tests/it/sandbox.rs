//! The `sandbox` command: the real binary, called over a real socket.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use passync::model::Verdict;
use passync::wire::crypto::{Signer, Verifier};
use passync::wire::{self, Dialect, Reply, Request};
use serde_json::Value;

/// A running `passync sandbox --json`; killed with the test that started it.
pub struct Sandbox {
    child: Child,
    output: BufReader<std::process::ChildStdout>,
    pub addr: String,
}

impl Sandbox {
    pub fn start(dir: &Path, args: &[&str]) -> Sandbox {
        let mut child = Command::new(env!("CARGO_BIN_EXE_passync"))
            .args(["sandbox", "--json", "--listen", "127.0.0.1:0", "--keys-dir"])
            .arg(dir.join("keys"))
            .args(args)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap();
        let addr = ready["url"].as_str().unwrap().strip_prefix("http://").unwrap().to_owned();
        Sandbox { child, output, addr }
    }

    /// One exchange on a connection of its own.
    fn call(&self, request: &Request) -> Reply {
        let mut stream = TcpStream::connect(&self.addr).unwrap();
        let mut head = format!("POST {} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n", request.target, self.addr);
        for (name, value) in &request.headers {
            head.extend([name, ": ", value, "\r\n"]);
        }
        head.push_str("content-length: ");
        head.push_str(&request.body.len().to_string());
        stream.write_all(&[head.as_bytes(), b"\r\n\r\n", &request.body].concat()).unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        let head = std::str::from_utf8(&bytes[..end]).unwrap();
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines.map(|line| line.split_once(": ").unwrap()).map(|(k, v)| (k.into(), v.into())).collect();
        Reply { status, headers, body: bytes[end + 4..].to_vec() }
    }

    /// Asks it to end, and reads its summary.
    pub fn end(mut self) -> Value {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let mut text = String::new();
        self.output.read_to_string(&mut text).unwrap();
        assert!(self.child.wait().unwrap().success());
        serde_json::from_str(&text).unwrap()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // It has ended already where the test was content.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn alipayhk() -> Box<dyn Dialect> {
    let table = toml::from_str("merchant_id = 'M1'\nclient_id = '2110200000000044'").unwrap();
    wire::entry("alipayhk-card").unwrap().open(&table, &wire::setting::no_vault).unwrap()
}

fn body(card: &str, points: u32) -> Vec<u8> {
    format!(
        r#"{{"merchantId":"M1","userId":"2088","passId":"{card}","status":"UPDATE","updateDetailType":"UPDATE_MEMBER_CARD","dataInfo":{{"$points_zh_HK$":{points}}}}}"#
    )
    .into_bytes()
}

#[test]
fn it_serves_with_kept_keys_logs_judges_and_sums_up() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("calls.jsonl");
    let sandbox = Sandbox::start(
        dir.path(),
        &["--faults", "unknown-applied=100%,heal=1", "--rising", "points", "--log", log.to_str().unwrap()],
    );
    let key = |name: &str| fs::read(dir.path().join("keys").join(name)).unwrap();
    let signer = Signer::parse(&key("client.pem")).unwrap();
    let platform = [Verifier::parse(&key("platform.pub.pem")).unwrap()];
    let dialect = alipayhk();
    let ask = |card: &str, points| {
        let reading = dialect.reply(&sandbox.call(&dialect.request(&body(card, points), 0, &signer)), &platform);
        assert_eq!(reading.verified, Some(true), "{reading:?}");
        reading.verdict
    };
    assert_eq!(ask("C1", 20), Verdict::InDoubt);
    assert_eq!(ask("C1", 20), Verdict::Applied);
    assert_eq!(ask("C1", 10), Verdict::InDoubt);
    let summary = sandbox.end();
    assert_eq!((summary["calls"].as_u64(), summary["applied"].as_u64()), (Some(3), Some(3)), "{summary}");
    assert_eq!(summary["breaches"], serde_json::json!({ "inversion": 1 }));
    assert_eq!(summary["faults"], serde_json::json!({ "unknown-applied": 2 }));
    let log = fs::read_to_string(log).unwrap();
    let codes: Vec<Value> =
        log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["code"].clone()).collect();
    assert_eq!(codes, ["UNKNOWN_EXCEPTION", "SUCCESS", "UNKNOWN_EXCEPTION"]);
}

#[test]
fn faults_that_cannot_be_read_are_faults_of_usage() {
    let output =
        Command::new(env!("CARGO_BIN_EXE_passync")).args(["sandbox", "--faults", "unknwon=1%"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("did you mean `unknown`?"), "{said}");
}
