use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::model::Verdict;
use crate::sandbox::Breach;
use crate::sandbox::testing::{CLIENT, Caller, PLATFORM, Plain, bytes_of, verified};
use crate::wire;

/// A log that the test can read while the server has it.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn setup(faults: &str) -> Setup {
    let config = Config { faults: faults.parse().unwrap(), delay: "1ms..2ms".parse().unwrap(), ..Config::default() };
    Setup { dialects: vec![Arc::new(Plain)], client: CLIENT.public(), platform: PLATFORM.clone(), config, log: None }
}

fn server(faults: &str, change: impl FnOnce(&mut Config)) -> (Server, Shared) {
    let log = Shared::default();
    let mut setup = Setup { log: Some(Box::new(log.clone())), ..setup(faults) };
    change(&mut setup.config);
    (Server::start(TcpListener::bind("127.0.0.1:0").unwrap(), setup).unwrap(), log)
}

/// Stops the server and reads its log.
fn stop(server: Server, log: &Shared) -> (Summary, Vec<Value>) {
    let summary = server.stop();
    let bytes = log.0.lock().unwrap().clone();
    (summary, bytes.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect())
}

#[test]
fn a_call_is_verified_answered_under_signature_and_logged() {
    let (server, log) = server("", |_| {});
    let mut caller = Caller::connect(&server);
    for (body, points) in [("C1 B1 10", "10"), ("C1 B2 20", "20")] {
        let (reply, _) = caller.call(body).unwrap();
        assert_eq!((reply.status, reply.body.as_slice(), verified(&reply)), (200, &b"SUCCESS"[..], Some(true)));
        assert_eq!(server.look(|gateway| gateway.card("M", "C1").unwrap().members["points"].value.clone()), points);
    }
    let (summary, lines) = stop(server, &log);
    assert_eq!((summary.calls, summary.applied, summary.delivered, summary.breaches.len()), (2, 2, 2, 0));
    let line = &lines[0];
    for (key, value) in [
        ("exchange", json!(1)),
        ("card", json!("C1")),
        ("bill_no", json!("B1")),
        ("attempt", json!(1)),
        ("fault", Value::Null),
        ("applied", json!(true)),
        ("code", json!("SUCCESS")),
        ("http_status", json!(200)),
        ("delivered", json!(true)),
        ("body_sha256", json!("3fa090e0468f6efd4dfd9e3287309b34d8bedf680bbad074f95c2c2d4c02839a")),
    ] {
        assert_eq!(line[key], value, "{key}");
    }
    assert!(line["arrived_ns"].as_u64() < line["finished_ns"].as_u64());
    assert!(line["arrived_at"].as_str().unwrap().ends_with('Z'));
}

#[test]
fn a_wrong_or_missing_signature_gets_an_unsigned_no() {
    let (server, log) = server("", |_| {});
    let mut caller = Caller::connect(&server);
    let mut changed = Plain.request(b"C1 B1 10", 0, &CLIENT);
    changed.body[0] = b'D';
    let bare = Request { headers: vec![], ..changed.clone() };
    for request in [changed, bare] {
        caller.send(&request);
        let (reply, _) = caller.receive().unwrap();
        assert_eq!((reply.body.as_slice(), verified(&reply)), (&b"INVALID_SIGNATURE"[..], None));
    }
    let (reply, _) = caller.call("two words").unwrap();
    assert_eq!((reply.body.as_slice(), verified(&reply)), (&b"PARAM_ILLEGAL"[..], Some(true)));
    caller.send(&Request { target: "/elsewhere".into(), ..Plain.request(b"C1 B1 10", 0, &CLIENT) });
    assert_eq!(caller.receive().unwrap().0.status, 404);
    let (summary, lines) = stop(server, &log);
    assert_eq!((summary.calls, summary.applied, lines.len()), (3, 0, 3));
    assert_eq!((summary.breaches[&Breach::BadSignature], summary.breaches[&Breach::BadCall]), (2, 1));
}

#[test]
fn each_delivery_looks_on_the_wire_as_it_should() {
    // (fault, HTTP status, body, signature, whether the connection ends)
    for (fault, expected) in [
        ("drop-before", None),
        ("drop-after", None),
        ("half", Some((200, "SUC", Some(false), true))),
        ("close", Some((200, "SUCCESS", Some(true), true))),
        ("forged", Some((200, "SUCCESS", Some(false), false))),
        ("unsigned", Some((200, "SUCCESS", None, false))),
        ("unknown", Some((200, "UNKNOWN_EXCEPTION", Some(true), false))),
        ("limit", Some((200, "REQUEST_TRAFFIC_EXCEED_LIMIT", Some(true), false))),
        ("refuse:PASS_IS_NULL", Some((200, "PASS_IS_NULL", Some(true), false))),
        ("429", Some((429, "", None, false))),
        ("429:2s", Some((429, "", None, false))),
    ] {
        let (server, log) = server(&format!("{fault}=100%"), |_| {});
        let mut caller = Caller::connect(&server);
        let got = caller.call("C1 B1 10");
        let Some((status, body, signature, ends)) = expected else {
            assert!(got.is_none(), "{fault}: {got:?}");
            let (summary, lines) = stop(server, &log);
            assert_eq!((summary.delivered, &lines[0]["http_status"]), (0, &Value::Null), "{fault}");
            continue;
        };
        let (reply, length) = got.unwrap();
        assert_eq!(reply.status, status, "{fault}");
        assert_eq!(reply.body, body.as_bytes(), "{fault}");
        assert_eq!(verified(&reply), signature, "{fault}");
        assert_eq!(length, if fault == "half" { 7 } else { body.len() }, "{fault}");
        assert_eq!(wire::header(&reply.headers, "retry-after"), (fault == "429:2s").then_some("2"));
        assert_eq!(wire::header(&reply.headers, "connection"), None, "{fault}: the close must not be announced");
        if ends {
            assert!(caller.is_closed(), "{fault}");
        } else {
            assert_eq!(caller.call("C1 B1 10").unwrap().0.status, status, "{fault}: the connection stays");
        }
        let (_, lines) = stop(server, &log);
        assert_eq!(lines[0]["delivered"], json!(fault != "half"), "{fault}");
        assert_eq!(lines[0]["fault"], json!(fault));
    }
}

#[test]
fn the_client_reads_each_fault_as_the_contract_says() {
    let table = toml::from_str("merchant_id = '2160120036095023'\nclient_id = '2110200000000044'").unwrap();
    let dialect: Arc<dyn Dialect> =
        wire::entry("alipayhk-card").unwrap().open(&table, &wire::setting::no_vault).unwrap().into();
    let body = r#"{"merchantId":"2160120036095023","userId":"2088","passId":"0042","status":"UPDATE","updateDetailType":"UPDATE_MEMBER_CARD","dataInfo":{"$points_zh_HK$":10}}"#;
    for (fault, verdict, verified) in [
        ("", Verdict::Applied, Some(true)),
        ("close", Verdict::Applied, Some(true)),
        ("unknown", Verdict::InDoubt, Some(true)),
        ("system-error", Verdict::InDoubt, Some(true)),
        ("forged", Verdict::InDoubt, Some(false)),
        ("unsigned", Verdict::InDoubt, None),
        ("html", Verdict::InDoubt, None),
        ("garbage", Verdict::InDoubt, None),
        ("503", Verdict::InDoubt, None),
        ("half", Verdict::InDoubt, Some(false)),
        ("429:2s", Verdict::Throttled, None),
        ("limit", Verdict::Throttled, Some(true)),
        ("refuse:PASS_HAS_NOT_EXIST", Verdict::Refused, Some(true)),
        ("refuse:ACCESS_DENIED", Verdict::Misconfigured, Some(true)),
    ] {
        let faults = if fault.is_empty() { String::new() } else { format!("{fault}=100%") };
        let setup = Setup { dialects: vec![Arc::clone(&dialect)], ..setup(&faults) };
        let server = Server::start(TcpListener::bind("127.0.0.1:0").unwrap(), setup).unwrap();
        let mut caller = Caller::connect(&server);
        caller.send(&dialect.request(body.as_bytes(), server.desk.now_ms(), &CLIENT));
        let (reply, _) = caller.receive().unwrap();
        let reading = dialect.reply(&reply, &[PLATFORM.public()]);
        assert_eq!((reading.verdict, reading.verified), (verdict, verified), "{fault}: {reading:?}");
        assert_eq!(reading.retry_after_ms, (fault == "429:2s").then_some(2_000));
        assert!(server.look(|gateway| gateway.card("2160120036095023", "0042").is_some()));
    }
}

#[test]
fn pages_are_no_replies_of_the_gateway() {
    for (fault, status) in [("html", 200), ("garbage", 200), ("503", 503)] {
        let (server, _) = server(&format!("{fault}=100%"), |_| {});
        let (reply, _) = Caller::connect(&server).call("C1 B1 10").unwrap();
        assert_eq!(reply.status, status);
        assert!(verified(&reply).is_none() && serde_json::from_slice::<Value>(&reply.body).is_err(), "{fault}");
    }
}

#[test]
fn a_caller_that_hung_up_and_calls_at_once_does_not_overlap() {
    let (server, log) = server("slow=100%,heal=1", |config| config.slow = Duration::from_secs(60));
    let request = Plain.request(b"C1 B1 1", 0, &CLIENT);
    let mut patient = Caller::connect(&server);
    patient.send(&request);
    while server.look(|gateway| gateway.open_on("M", "C1").is_empty()) {
        thread::sleep(Duration::from_millis(1));
    }
    let (mut again, mut other) = (Caller::connect(&server), Caller::connect(&server));
    server.look(|_| {
        // The server's thread waits for us on this call, and then finds the new socket ready before the closed one.
        other.send(&Plain.request(b"C2 B2 1", 0, &CLIENT));
        thread::sleep(Duration::from_millis(50));
        let bytes = bytes_of(&request);
        again.write(&bytes[..20]);
        drop(patient);
        again.write(&bytes[20..]);
    });
    assert!(again.receive().is_some());
    let (summary, lines) = stop(server, &log);
    assert_eq!(summary.breaches.len(), 0, "{:?}", summary.judgements);
    let delivered: Vec<_> = lines.iter().map(|line| (line["exchange"].as_u64().unwrap(), &line["delivered"])).collect();
    assert_eq!(delivered[0], (1, &json!(false)), "{delivered:?}");
}

#[test]
fn two_exchanges_on_a_card_at_once_overlap() {
    let (server, log) = server("", |config| {
        config.delay = "200ms".parse().unwrap();
    });
    let mut callers = [Caller::connect(&server), Caller::connect(&server), Caller::connect(&server)];
    for (caller, body) in callers.iter_mut().zip(["C1 B1 1", "C1 B2 2", "C2 B3 3"]) {
        caller.send(&Plain.request(body.as_bytes(), 0, &CLIENT));
    }
    for caller in &mut callers {
        assert!(caller.receive().is_some());
    }
    assert_eq!(stop(server, &log).0.breaches, [(Breach::Overlap, 1)].into());
}

#[test]
fn stopping_ends_open_exchanges_undelivered() {
    let (server, log) = server("hang=100%", |_| {});
    let mut caller = Caller::connect(&server);
    caller.send(&Plain.request(b"C1 B1 1", 0, &CLIENT));
    while server.look(|gateway| gateway.open_on("M", "C1").is_empty()) {
        thread::sleep(Duration::from_millis(1));
    }
    let (summary, lines) = stop(server, &log);
    assert_eq!((summary.calls, summary.delivered, lines.len()), (1, 0, 1));
    assert!(caller.is_closed());
}

#[test]
fn a_log_that_cannot_be_written_is_told() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let setup = Setup { log: Some(Box::new(Full)), ..setup("") };
    let server = Server::start(TcpListener::bind("127.0.0.1:0").unwrap(), setup).unwrap();
    assert!(Caller::connect(&server).call("C1 B1 1").is_some());
    assert!(server.stop().log_fault.unwrap().contains("ends with exchange 1"));
}
