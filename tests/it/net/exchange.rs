//! One exchange with a server that misbehaves: what the client makes of it, and how often the server saw it.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use passync::io::gateway::{Gateway, GatewayConfig};
use passync::model::{Reading, Verdict};
use passync::wire::{Reply, Request};

use super::rogue::{Act, Rogue};
use crate::night::wait_for;

const REQUEST_TIMEOUT: Duration = Duration::from_millis(600);
const CONNECT_TIMEOUT: Duration = Duration::from_millis(400);
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// A client of its own pool, with a runtime to run it.
struct Client(Gateway, tokio::runtime::Runtime);

impl Client {
    fn of(url: &str) -> Client {
        Client::that_connects_within(CONNECT_TIMEOUT, url)
    }

    fn that_connects_within(connect_timeout: Duration, url: &str) -> Client {
        let config = GatewayConfig {
            url: url.to_owned(),
            connect_timeout,
            request_timeout: REQUEST_TIMEOUT,
            proxy: None,
            ca_file: None,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Client(Gateway::new(&config).unwrap(), runtime)
    }

    fn call(&self, body: &str) -> Result<Reply, Box<Reading>> {
        let headers = vec![("signature".to_owned(), "canary".to_owned())];
        let request = Request { target: "/call".to_owned(), headers, body: body.into() };
        self.1.block_on(async {
            let ended = self.0.exchange(request).await.map(|(reply, line)| {
                self.0.keep(line);
                reply
            });
            // What the client does with the connection afterwards, it does now.
            tokio::time::sleep(Duration::from_millis(20)).await;
            ended.map_err(Box::new)
        })
    }
}

/// Calls a server that does `acts`, once more than it has to be warmed up. Returns how the last call ended.
fn after(warm: bool, act: Act) -> (Result<Reply, Box<Reading>>, Rogue) {
    let mut acts = vec![act];
    if warm {
        acts.insert(0, Act::Write(OK.into()));
    }
    let rogue = Rogue::of_acts(&acts);
    let client = Client::of(&rogue.url());
    if warm {
        assert_eq!(client.call("warm").unwrap().body, b"ok");
    }
    let ended = client.call("{}");
    (ended, rogue)
}

#[track_caller]
fn in_doubt(ended: Result<Reply, Box<Reading>>, code: &str) {
    let reading = ended.expect_err("no reply can be made of it");
    assert_eq!((reading.verdict, reading.code.as_str()), (Verdict::InDoubt, code), "{}", reading.message);
}

#[track_caller]
fn not_sent(url: &str) -> String {
    not_sent_by(&Client::of(url))
}

#[track_caller]
fn not_sent_by(client: &Client) -> String {
    let reading = client.call("{}").expect_err("nothing is there");
    assert_eq!((reading.verdict, reading.code.as_str()), (Verdict::NotSent, "NOT_CONNECTED"), "{}", reading.message);
    reading.message
}

fn text(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

#[test]
fn a_call_that_breaks_is_in_doubt_and_never_sent_twice() {
    let half = text("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf of it");
    let broken = [
        Act::Close,
        Act::Reset,
        Act::WriteThenReset(half.clone()),
        Act::WriteThenClose(half),
        Act::WriteThenClose(text("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n")),
        Act::WriteThenClose(text("HTTP/1.1 200 OK\r\ncontent-le")),
        Act::WriteThenClose(text("HTTP/1.1 100 Continue\r\n\r\n")),
        Act::WriteThenClose(text("SSH-2.0-OpenSSH_9.6\r\n")),
        Act::Write(text("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n")),
        Act::Write(text("HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 20\r\n\r\nok")),
        Act::Write(text("HTTP/1.1 200 OK\r\ncontent-length: -2\r\n\r\nok")),
    ];
    // On a connection that is new, and on one that was used before: there a client may be tempted to try again.
    for (warm, act) in [false, true].into_iter().flat_map(|warm| broken.iter().map(move |act| (warm, act.clone()))) {
        println!("warm: {warm}, {act:?}");
        let (ended, rogue) = after(warm, act);
        in_doubt(ended, "CONNECTION_BROKEN");
        assert_eq!(rogue.requests().iter().filter(|body| *body == b"{}").count(), 1);
        assert_eq!(rogue.connections(), 1);
    }
}

#[test]
fn a_reply_that_takes_too_long_is_in_doubt_in_time() {
    let pause = Duration::from_millis(25);
    let slow = [
        Act::Silence,
        Act::Flood(text("HTTP/1.1 200 OK\r\nx: "), text("x"), pause),
        Act::Flood(text("HTTP/1.1 200 OK\r\ncontent-length: 10000\r\n\r\n"), text("x"), pause),
        Act::Flood(text("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"), text("1\r\nx\r\n"), pause),
        Act::Flood(Vec::new(), text("HTTP/1.1 100 Continue\r\n\r\n"), pause),
    ];
    for act in slow {
        println!("{act:?}");
        let began = Instant::now();
        let (ended, rogue) = after(false, act);
        in_doubt(ended, "TIMEOUT");
        assert!((REQUEST_TIMEOUT..REQUEST_TIMEOUT + Duration::from_millis(400)).contains(&began.elapsed()));
        assert_eq!(rogue.requests().len(), 1);
        // The next call on the card relies on it: nothing more can come of this one.
        wait_for(|| rogue.open() == 0);
    }
}

/// A balancer speaks first, and the gateway's own reply comes behind it.
#[test]
fn a_line_that_is_not_given_back_is_closed_with_whatever_comes_on_it() {
    let late = format!("{OK}HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nlate");
    let rogue = Rogue::of_acts(&[Act::Write(late.into()), Act::Write(OK.into())]);
    let client = Client::of(&rogue.url());
    let request = |body: &str| Request { target: "/".to_owned(), headers: Vec::new(), body: body.into() };
    let second = client.1.block_on(async {
        drop(client.0.exchange(request("first")).await.unwrap());
        client.0.exchange(request("second")).await.unwrap().0
    });
    assert_eq!((second.body, rogue.connections()), (b"ok".to_vec(), 2));
}

#[test]
fn a_connection_that_the_server_closed_while_it_was_idle_costs_nothing() {
    let rogue = Rogue::of_acts(&[Act::WriteThenClose(OK.into()), Act::Write(OK.into())]);
    let client = Client::of(&rogue.url());
    assert_eq!(client.call("first").unwrap().status, 200);
    assert_eq!(client.call("second").unwrap().status, 200);
    assert_eq!(rogue.requests(), [text("first"), text("second")]);
    assert_eq!(rogue.connections(), 2);
}

/// The close and the next call cross each other: a call that was written is in doubt, one that was not goes to a new
/// connection, and whichever it is, the server sees it once.
#[test]
fn a_close_that_crosses_a_call_never_sends_it_twice() {
    for delay_us in (0..2_000).step_by(40) {
        let rogue = Rogue::start(None, move |at, _| match at {
            0 => Act::WriteThenPauseThenClose(OK.into(), Duration::from_micros(delay_us)),
            _ => Act::Write(OK.into()),
        });
        let client = Client::of(&rogue.url());
        let request = |body: &str| Request { target: "/".to_owned(), headers: Vec::new(), body: body.into() };
        let ended = client.1.block_on(async {
            client.0.keep(client.0.exchange(request("first")).await.unwrap().1);
            client.0.exchange(request("second")).await
        });
        let seen = rogue.requests().iter().filter(|body| *body == b"second").count();
        match ended {
            Ok(_) => assert_eq!(seen, 1),
            Err(reading) => {
                assert_eq!(reading.verdict, Verdict::InDoubt, "{}", reading.message);
                assert!(seen <= 1);
            }
        }
    }
}

#[test]
fn where_no_connection_comes_about_nothing_was_sent() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert!(not_sent(&format!("http://{free}")).contains("refused"));
    not_sent("http://gateway.invalid");
    // Something else than TLS on the other side.
    let rogue = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = rogue.local_addr().unwrap();
    let greeting = std::thread::spawn(move || {
        use std::io::Write;
        for greeting in [&b"SSH-2.0-OpenSSH_9.6\r\n"[..], b""] {
            rogue.accept().unwrap().0.write_all(greeting).unwrap();
        }
        rogue
    });
    not_sent(&format!("https://{address}"));
    not_sent(&format!("https://{address}"));
    // Nobody answers the handshake: the connection's own time is over before the exchange's is.
    let rogue = greeting.join().unwrap();
    let began = Instant::now();
    not_sent(&format!("https://{address}"));
    assert!(began.elapsed() < REQUEST_TIMEOUT);
    not_sent_by(&Client::that_connects_within(Duration::from_secs(60), &format!("https://{address}")));
    drop(rogue);
}

#[test]
fn a_redirect_is_not_followed_and_nothing_leaks() {
    for status in [301, 302, 303, 307, 308] {
        let other = Rogue::of_acts(&[]);
        let location =
            format!("HTTP/1.1 {status} Elsewhere\r\nlocation: {}/call\r\ncontent-length: 0\r\n\r\n", other.url());
        let (ended, rogue) = after(false, Act::Write(location.into_bytes()));
        assert_eq!(ended.unwrap().status, status);
        assert_eq!((rogue.requests().len(), other.connections()), (1, 0));
    }
}

#[test]
fn a_reply_without_end_is_cut() {
    const GIGABYTE: usize = 1 << 30;
    let chunk = [b"10000\r\n", &vec![b'x'; 0x1_0000][..], b"\r\n"].concat();
    let chunked = Act::Flood(text("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"), chunk, Duration::ZERO);
    let announced = format!("HTTP/1.1 200 OK\r\ncontent-length: {GIGABYTE}\r\n\r\n").into_bytes();
    let announced = Act::Flood(announced, vec![b'x'; 0x1_0000], Duration::ZERO);
    for act in [chunked, announced] {
        let (ended, rogue) = after(false, act);
        assert_eq!(ended.unwrap().body.len(), Reply::BODY_MAX + 1, "one byte more than is read tells that it was cut");
        // The rest is what the buffers of both sides hold.
        assert!(rogue.written() < 16 << 20, "{} bytes were taken", rogue.written());
    }
    let header = [b"x-", &vec![b'x'; 1 << 10][..], b": y\r\n"].concat();
    let (ended, rogue) = after(false, Act::Flood(text("HTTP/1.1 200 OK\r\n"), header, Duration::ZERO));
    in_doubt(ended, "CONNECTION_BROKEN");
    assert!(rogue.written() < 16 << 20, "{} bytes were taken", rogue.written());
}

#[test]
fn what_follows_a_reply_is_not_the_reply_to_the_next_call() {
    let two =
        text("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nfirstHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nstray");
    let rogue = Rogue::of_acts(&[Act::Write(two), Act::Write(OK.into())]);
    let client = Client::of(&rogue.url());
    assert_eq!(client.call("first").unwrap().body, b"first");
    assert_eq!(client.call("second").unwrap().body, b"ok");
    assert_eq!((rogue.requests().len(), rogue.connections()), (2, 2), "the connection was given up");
}

#[test]
fn replies_without_a_body_are_replies() {
    let provisional = format!("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n{OK}");
    for (reply, status, body) in [
        (provisional.as_str(), 200, "ok"),
        ("HTTP/1.1 204 No Content\r\n\r\n", 204, ""),
        ("HTTP/1.1 304 Not Modified\r\n\r\n", 304, ""),
        ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", 200, ""),
        ("HTTP/1.1 503 Busy\r\ncontent-length: 4\r\n\r\nbusy", 503, "busy"),
    ] {
        let (ended, _rogue) = after(true, Act::Write(text(reply)));
        let ended = ended.unwrap();
        assert_eq!((ended.status, ended.body), (status, text(body)));
    }
}
