//! A gateway as fast as one can be: every call gets the same bytes, signed anew once a minute. It is a process of its
//! own, so that its processor time is nobody else's, and it notes when calls arrive.

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};

use passync::io::cpu;
use passync::wire::crypto::Signer;
use passync::wire::{self, Answer, Dialect};
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpStream};

/// What the gateway saw.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Seen {
    /// Calls.
    pub calls: u64,
    /// Its processor time, in seconds.
    pub cpu_s: f64,
    /// From the first arrival to the last, in seconds.
    pub span_s: f64,
    /// The most arrivals in any second.
    pub worst_second: usize,
    /// Arrivals in the first second.
    pub first_second: usize,
    /// Its own time for a call, arrival to reply; the 50th and 99th of a hundred, in milliseconds.
    pub took_ms: (f64, f64),
}

/// A gateway that runs.
pub struct Gateway {
    child: Child,
    /// Where it listens.
    pub url: String,
}

impl Gateway {
    /// Starts this very program again, as a gateway that takes `delay` for a call. `platform`: its key, as PEM.
    pub fn start(dialect: &str, table: &str, platform: &str, delay: Duration) -> Gateway {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["gateway", dialect, table, platform, &delay.as_micros().to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut url = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut url).unwrap();
        Gateway { child, url: url.trim().to_owned() }
    }

    /// Ends it; says what it saw.
    pub fn stop(mut self) -> Seen {
        drop(self.child.stdin.take());
        let mut json = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut json).unwrap();
        self.child.wait().unwrap();
        serde_json::from_str(&json).unwrap()
    }
}

struct State {
    reply: Vec<u8>,
    delay: Duration,
    began: Instant,
    /// (arrival, time taken), microseconds.
    calls: Vec<(u64, u32)>,
}

/// What the child does until its standard input ends.
pub fn serve(args: &[String]) {
    let [dialect, table, platform, delay_us] = args else { panic!("gateway DIALECT TABLE PEM DELAY_US") };
    let dialect = wire::entry(dialect).unwrap().open(&table.parse().unwrap(), &wire::setting::no_vault).unwrap();
    let platform = Signer::parse(platform.as_bytes()).unwrap();
    let state = Rc::new(RefCell::new(State {
        reply: reply(&*dialect, &platform),
        delay: Duration::from_micros(delay_us.parse().unwrap()),
        began: Instant::now(),
        calls: Vec::new(),
    }));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (ended, end) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let _ = std::io::stdin().read(&mut [0]);
        ended.send(()).unwrap();
    });
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        println!("http://{}", listener.local_addr().unwrap());
        std::io::stdout().flush().unwrap();
        let fresh = Rc::clone(&state);
        tokio::task::spawn_local(async move {
            loop {
                tokio::time::sleep(Duration::from_secs(60)).await;
                fresh.borrow_mut().reply = reply(&*dialect, &platform);
            }
        });
        let accepting = Rc::clone(&state);
        tokio::task::spawn_local(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                tokio::task::spawn_local(connection(stream, Rc::clone(&accepting)));
            }
        });
        end.await.unwrap();
    });
    println!("{}", serde_json::to_string(&state.borrow_mut().seen()).unwrap());
}

fn reply(dialect: &dyn Dialect, platform: &Signer) -> Vec<u8> {
    let (code, status) = dialect.phrase(&wire::Said::Applied);
    let answer = Answer { code, status, message: "Success.".into(), trace_id: "0b26d5b917028667".into() };
    let now_ms = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as i64;
    let asked = dialect.request(b"{}", now_ms, platform); // whose signature nobody looks at
    let reply = dialect.write_reply(&asked, &answer, now_ms, Some(platform));
    let mut bytes = format!("HTTP/1.1 {} OK\r\ncontent-length: {}\r\n", reply.status, reply.body.len()).into_bytes();
    for (name, value) in &reply.headers {
        bytes.extend(format!("{name}: {value}\r\n").bytes());
    }
    bytes.extend(b"\r\n");
    bytes.extend(&reply.body);
    bytes
}

async fn connection(stream: TcpStream, state: Rc<RefCell<State>>) {
    let mut bytes = Vec::with_capacity(8 << 10);
    loop {
        let Some(length) = request_length(&bytes) else {
            if stream.readable().await.is_err() {
                return;
            }
            match stream.try_read_buf(&mut bytes) {
                Ok(0) => return,
                Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => return,
                _ => continue,
            }
        };
        bytes.drain(..length);
        let arrived = state.borrow().began.elapsed();
        let delay = state.borrow().delay;
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        let reply = state.borrow().reply.clone();
        // It fits the socket's buffer: no call is answered before the next one comes.
        if stream.try_write(&reply).ok() != Some(reply.len()) {
            return;
        }
        let mut state = state.borrow_mut();
        let took = state.began.elapsed().saturating_sub(arrived);
        state.calls.push((arrived.as_micros() as u64, took.as_micros() as u32));
    }
}

/// The bytes of the request that these begin with, once they are all there.
fn request_length(bytes: &[u8]) -> Option<usize> {
    let head = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&bytes[..head]).unwrap();
    let length = text.lines().filter_map(|line| line.split_once(':'));
    let length = length.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let body: usize = length.map(|(_, value)| value.trim().parse().unwrap()).next().unwrap_or(0);
    (bytes.len() >= head + body).then_some(head + body)
}

impl State {
    fn seen(&mut self) -> Seen {
        self.calls.sort_unstable();
        let arrivals: Vec<u64> = self.calls.iter().map(|(at, _)| *at).collect();
        let (Some(first), Some(last)) = (arrivals.first(), arrivals.last()) else { return Seen::default() };
        let (mut from, mut worst_second) = (0, 0);
        for (to, at) in arrivals.iter().enumerate() {
            while at - arrivals[from] >= 1_000_000 {
                from += 1;
            }
            worst_second = worst_second.max(to - from + 1);
        }
        let mut took: Vec<u32> = self.calls.iter().map(|(_, took)| *took).collect();
        took.sort_unstable();
        let of_hundred = |at: usize| f64::from(took[(took.len() - 1) * at / 100]) / 1e3;
        Seen {
            calls: arrivals.len() as u64,
            cpu_s: cpu::of_process().as_secs_f64(),
            span_s: (last - first) as f64 / 1e6,
            worst_second,
            first_second: arrivals.iter().filter(|at| **at - first < 1_000_000).count(),
            took_ms: (of_hundred(50), of_hundred(99)),
        }
    }
}
