//! TLS: a night through it is a night like any other, and a server that cannot prove who it is gets to see nothing.

use std::time::Duration;

use passync::io::gateway::{Gateway, GatewayConfig};
use passync::model::{Reading, Verdict};
use passync::sandbox::Config;
use passync::wire::Request;
use rcgen::{CertificateParams, date_time_ymd};

use super::front::Front;
use super::rogue::{Act, Rogue};
use crate::night::stage::{Night, as_csv, deltas, finish_by_in};

/// A night whose calls go through TLS, and then through a server that misbehaves. The job trusts no root of its own yet.
fn night(script: impl Fn(usize, &[u8]) -> Act + Send + Sync + 'static) -> (Night, Rogue, Front) {
    let night = Night::new(Config::default(), "input.timezone = 'UTC'");
    let rogue = Rogue::start(Some(night.server.addr()), script);
    let front = Front::of(rogue.address());
    let job = std::fs::read_to_string(night.path("job.toml")).unwrap();
    night.write("job.toml", &job.replace(&night.server.url(), &front.url()));
    night.write("ca.pem", &front.certificate);
    (night, rogue, front)
}

const TRUSTING: [&str; 2] = ["--set", "gateway.ca_file=ca.pem"];

#[test]
fn a_night_through_tls_is_a_night_like_any_other() {
    let (night, rogue, front) = night(|_, _| Act::Relay);
    let rows = deltas(100, 3);
    night.write("in.csv", &as_csv(&rows));
    assert!(night.expect(0, &[&["doctor", "job.toml"], &TRUSTING[..]].concat()).contains("answers (HTTP"));
    night.expect(0, &[&["run", "job.toml"], &TRUSTING[..]].concat());
    assert_eq!(night.counts(), [("applied".to_owned(), rows.len())].into());
    assert!(rogue.requests().len() > rows.len(), "each call, and the look of the doctor");
    let (handshakes, half) = (front.handshakes(), rows.len() as u64 / 2);
    assert!((1..half).contains(&handshakes), "{handshakes} connections: they are used again");
    night.is_well(&rows);
}

#[test]
fn connections_that_break_under_tls_lose_nothing() {
    let (night, rogue, _front) = night(|at, _| match at % 17 {
        2 => Act::RelayThenClose(Duration::ZERO),
        4 => Act::RelayThenClose(Duration::from_millis(3)),
        6 => Act::RelayThenReset,
        8 => Act::Close,
        10 => Act::Reset,
        12 => Act::WriteThenReset(b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{".to_vec()),
        _ => Act::Relay,
    });
    let rows = deltas(150, 2);
    night.write("in.csv", &as_csv(&rows));
    let patient = ["--set", "retry.attempts_max=12", "--set", "retry.budget=100%"];
    night.expect(0, &[&["run", "job.toml"], &TRUSTING[..], &patient[..]].concat());
    assert_eq!(night.counts(), [("applied".to_owned(), rows.len())].into());
    night.is_well_after(&rows, rogue.requests().len() as u64);
}

#[test]
fn a_gateway_that_nobody_vouches_for_gets_no_row() {
    let (night, rogue, front) = night(|_, _| Act::Relay);
    let rows = deltas(20, 1);
    night.write("in.csv", &as_csv(&rows));
    let (exit, output) = night.passync(&["doctor", "job.toml"]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(exit, 2, "{said}");
    assert!(said.contains("certificate") && said.contains("gateway.ca_file"), "{said}");
    night.expect(5, &["run", "job.toml", "--set", &finish_by_in(2)]);
    assert_eq!(night.counts(), [("unsent".to_owned(), rows.len())].into());
    assert_eq!((rogue.requests().len(), front.handshakes()), (0, 0));
    night.expect(0, &[&["run", "job.toml"], &TRUSTING[..]].concat());
    assert_eq!(night.counts(), [("applied".to_owned(), rows.len())].into());
    night.is_well(&rows);
}

/// How a call to `url` ends that trusts `root`.
fn call(night: &Night, url: &str, root: &str) -> Reading {
    night.write("ca.pem", root);
    let gateway = Gateway::new(&GatewayConfig {
        url: url.to_owned(),
        connect_timeout: Duration::from_millis(700),
        request_timeout: Duration::from_secs(5),
        proxy: None,
        ca_file: Some(night.path("ca.pem")),
    })
    .unwrap();
    let request = Request { target: "/call".to_owned(), headers: Vec::new(), body: b"{}".to_vec() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(gateway.exchange(request)).map(|(reply, _)| reply).expect_err("nobody proved who it is")
}

#[test]
fn whoever_is_not_the_gateway_is_told_nothing() {
    let night = Night::new(Config::default(), "");
    let rogue = Rogue::start(Some(night.server.addr()), |_, _| Act::Relay);
    let says = |name: &str| CertificateParams::new([name.to_owned()]).unwrap();
    let mut expired = says("127.0.0.1");
    (expired.not_before, expired.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    let good = Front::of(rogue.address());
    let (other, old) = (Front::with(rogue.address(), &says("gateway.example")), Front::with(rogue.address(), &expired));
    // Not TLS at all: one that answers in plain, and one that never answers.
    let (plain, silent) = (Rogue::start(None, |_, _| Act::Close), std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    let plain_url = plain.url().replace("http:", "https:");
    let silent_url = format!("https://{}", silent.local_addr().unwrap());
    for (what, url, root) in [
        ("another's root", &good.url(), &other.certificate),
        ("another name", &other.url(), &other.certificate),
        ("an old certificate", &old.url(), &old.certificate),
        ("no TLS", &plain_url, &good.certificate),
        ("silence", &silent_url, &good.certificate),
    ] {
        let reading = call(&night, url, root);
        let ended = (reading.verdict, reading.code.as_str());
        assert_eq!(ended, (Verdict::NotSent, "NOT_CONNECTED"), "{what}: {}", reading.message);
    }
    assert_eq!(rogue.requests().len(), 0);
}

#[test]
fn a_machine_without_roots_needs_them_for_https_alone() {
    let (mut night, _rogue, front) = night(|_, _| Act::Relay);
    let rows = deltas(10, 1);
    night.write("in.csv", &as_csv(&rows));
    let run = |night: &Night, more: &[&str]| {
        let mut command = night.command(&["run", "job.toml"]);
        let output = command.args(more).env("SSL_CERT_FILE", "/none").env("SSL_CERT_DIR", "/none").output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (exit, said) = run(&night, &[]);
    assert_eq!(exit, Some(2), "{said}");
    assert!(said.contains("no root certificates") && said.contains("gateway.ca_file"), "{said}");
    let (exit, said) = run(&night, &TRUSTING);
    assert_eq!(exit, Some(0), "{said}");
    assert!(front.handshakes() > 0);
    night.is_well(&rows);
    night.reopen_gateway(Config::default());
    let url = format!("gateway.url={}", night.server.url());
    let (exit, said) = run(&night, &["--set", &url, "--set", "ledger.url=other/ledger.db"]);
    assert_eq!(exit, Some(0), "{said}");
    night.write("ca.pem", "");
    let (exit, said) = run(&night, &TRUSTING);
    assert!(exit == Some(2) && said.contains("ca.pem") && said.contains("found no certificate"), "{exit:?}: {said}");
}
