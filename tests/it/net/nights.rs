//! The real binary, and connections that go wrong between it and a gateway that is well.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::rogue::{Act, Rogue};
use crate::night::stage::{Night, as_csv, deltas, finish_by_in};
use crate::night::wait_for;
use passync::sandbox::Config;

/// A night whose calls go through a server that misbehaves.
pub fn night(settings: &str, script: impl Fn(usize, &[u8]) -> Act + Send + Sync + 'static) -> (Night, Rogue) {
    let night = Night::new(Config::default(), settings);
    let rogue = Rogue::start(Some(night.server.addr()), script);
    let job = std::fs::read_to_string(night.path("job.toml")).unwrap();
    night.write("job.toml", &job.replace(&night.server.url(), &rogue.url()));
    (night, rogue)
}

fn busy() -> Act {
    Act::Write(b"HTTP/1.1 503 Busy\r\nserver: balancer\r\ncontent-length: 4\r\n\r\nbusy".to_vec())
}

#[test]
fn broken_connections_lose_nothing_and_every_request_is_an_attempt() {
    let redirect = b"HTTP/1.1 307 Elsewhere\r\nlocation: http://127.0.0.1:9/\r\ncontent-length: 0\r\n\r\n".to_vec();
    let (night, rogue) = night("", move |at, _| match at % 23 {
        2 | 13 => Act::RelayThenClose(Duration::ZERO),
        4 => Act::RelayThenClose(Duration::from_millis(3)),
        6 => Act::RelayThenReset,
        8 => Act::Close,
        10 => Act::Reset,
        12 => busy(),
        14 => Act::WriteThenReset(b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{".to_vec()),
        16 => Act::Write(redirect.clone()),
        18 => Act::Write(b"HTTP/1.1 204 Gone\r\n\r\n".to_vec()),
        _ => Act::Relay,
    });
    let rows = deltas(150, 2);
    night.write("in.csv", &as_csv(&rows));
    night.expect(0, &["run", "job.toml", "--set", "retry.attempts_max=12", "--set", "retry.budget=100%"]);
    assert_eq!(night.counts(), [("applied".to_owned(), rows.len())].into());
    let seen = rogue.requests().len() as u64;
    assert!(seen > rows.len() as u64);
    // A call that crossed a close was sent as far as we know, and never read.
    let attempts = night.manifest()["calls"]["attempts"].as_u64().unwrap();
    assert!(seen <= attempts && attempts <= seen + seen / 20, "{attempts} attempts are told, {seen} requests came in");
    night.is_well_after(&rows, seen);
}

#[test]
fn an_outage_costs_no_row_and_no_attempt() {
    let (night, rogue) = night("retry.attempts_max = 2", |_, _| Act::Relay);
    let rows = deltas(200, 2);
    night.write("in.csv", &as_csv(&rows));
    let mut child = night.start(&["run", "job.toml", "--set", "limits.quota=200/1s"]);
    wait_for(|| rogue.requests().len() > 60);
    rogue.die();
    std::thread::sleep(Duration::from_millis(300)); // one that was being read is still noted
    let before = rogue.requests().len();
    std::thread::sleep(Duration::from_millis(2_500));
    assert_eq!(rogue.requests().len(), before);
    rogue.rise();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(night.counts(), [("applied".to_owned(), rows.len())].into());
    let cut_off = night.outcomes().iter().filter(|line| line["attempts"] != *"1").count();
    assert!(cut_off <= 32, "{cut_off} rows were under way when it died");
    night.is_well_after(&rows, 32);
}

#[test]
fn a_balancer_in_front_of_a_dead_gateway_costs_no_row() {
    let is_down = Arc::new(AtomicBool::new(false));
    let down = Arc::clone(&is_down);
    let script = move |_: usize, _: &[u8]| if down.load(Ordering::SeqCst) { busy() } else { Act::Relay };
    let (night, rogue) = night("retry.attempts_max = 4", script);
    let rows = deltas(200, 2);
    night.write("in.csv", &as_csv(&rows));
    let mut child = night.start(&["run", "job.toml", "--set", "limits.quota=200/1s"]);
    wait_for(|| rogue.requests().len() > 60);
    is_down.store(true, Ordering::SeqCst);
    let before = rogue.requests().len();
    std::thread::sleep(Duration::from_millis(2_500));
    let in_vain = rogue.requests().len() - before;
    is_down.store(false, Ordering::SeqCst);
    assert!((8..=32 + 6).contains(&in_vain), "{in_vain} calls in two seconds and a half");
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(night.counts(), [("applied".to_owned(), rows.len())].into());
    night.is_well(&rows);
}

#[test]
fn finish_by_holds_while_the_gateway_is_gone_and_the_next_run_goes_on() {
    let (night, rogue) = night("input.timezone = 'UTC'", |_, _| Act::Relay);
    let rows = deltas(100, 1);
    night.write("in.csv", &as_csv(&rows));
    let began = Instant::now();
    let mut child = night.start(&["run", "job.toml", "--set", "limits.quota=20/1s", "--set", &finish_by_in(3)]);
    wait_for(|| rogue.requests().len() > 10);
    rogue.die();
    assert_eq!(child.wait().unwrap().code(), Some(5));
    assert!(began.elapsed() < Duration::from_secs(10));
    let counts = night.counts();
    assert_eq!(counts.values().sum::<usize>(), rows.len(), "{counts:?}");
    assert!(counts["applied"] > 5 && counts["unsent"] > 50, "{counts:?}");
    let codes = night.outcomes().into_iter().filter(|line| line["outcome"] == *"unsent");
    assert!(codes.map(|line| line["code"].to_owned()).all(|code| code == "FINISH_BY"));
    rogue.rise();
    night.expect(0, &["run", "job.toml"]);
    assert_eq!(night.counts(), [("applied".to_owned(), rows.len())].into());
    night.is_well_after(&rows, 32);
}
