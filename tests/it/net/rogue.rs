//! A raw TCP server that behaves as it is told, request by request: in front of the sandbox, or in its place.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// Makes another reply of a reply.
pub type Alter = fn(String) -> String;

/// What it does with a request.
#[derive(Clone, Debug)]
pub enum Act {
    /// Hands it to the server behind, and the reply back; the connection is kept.
    Relay,
    /// The same, with the reply altered.
    Altered(Alter),
    /// The same, and closes the connection without having said so, after so long.
    RelayThenClose(Duration),
    /// Hands it on, and throws the reply away with the connection.
    RelayThenReset,
    /// Reads it, and closes the connection.
    Close,
    /// Throws the connection away with the request unread.
    Reset,
    /// Writes these bytes; the connection is kept until the client goes.
    Write(Vec<u8>),
    /// Writes these bytes, and closes the connection.
    WriteThenClose(Vec<u8>),
    /// Writes these bytes, and closes the connection without having said so, after so long.
    WriteThenPauseThenClose(Vec<u8>, Duration),
    /// Writes these bytes, and throws the connection away with the request unread.
    WriteThenReset(Vec<u8>),
    /// Writes the first bytes, then the others again and again, with so long between, until the client goes.
    Flood(Vec<u8>, Vec<u8>, Duration),
    /// Says nothing until the client goes.
    Silence,
}

/// Chooses what is done with the request of this number, counted from 0 over all connections.
type Script = dyn Fn(usize, &[u8]) -> Act + Send + Sync;

/// The server.
pub struct Rogue {
    address: SocketAddr,
    state: Arc<State>,
    listening: Mutex<Option<Listening>>,
}

struct State {
    script: Box<Script>,
    behind: Option<SocketAddr>,
    requests: Mutex<Vec<Vec<u8>>>,
    replies: Mutex<Vec<Vec<u8>>>,
    connections: AtomicU64,
    written: AtomicU64,
    open: Mutex<Vec<TcpStream>>,
}

struct Listening {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Rogue {
    /// A server in front of `behind`.
    pub fn start(behind: Option<SocketAddr>, script: impl Fn(usize, &[u8]) -> Act + Send + Sync + 'static) -> Rogue {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            script: Box::new(script),
            behind,
            requests: Mutex::default(),
            replies: Mutex::default(),
            connections: AtomicU64::new(0),
            written: AtomicU64::new(0),
            open: Mutex::default(),
        });
        let listening = Some(Listening::on(listener, &state)).into();
        Rogue { address, state, listening }
    }

    /// A server that does each of these once, and is silent from then on.
    pub fn of_acts(acts: &[Act]) -> Rogue {
        let acts = acts.to_vec();
        Rogue::start(None, move |at, _| acts.get(at).cloned().unwrap_or(Act::Silence))
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The bodies of all requests that came in.
    pub fn requests(&self) -> Vec<Vec<u8>> {
        self.state.requests.lock().unwrap().iter().map(|request| body_of(request).to_vec()).collect()
    }

    /// All that passed: every request, and every reply of the server behind.
    pub fn traffic(&self) -> Vec<Vec<u8>> {
        let (requests, replies) = (self.state.requests.lock().unwrap(), self.state.replies.lock().unwrap());
        requests.iter().chain(replies.iter()).cloned().collect()
    }

    /// The values of a header in all requests that came in.
    pub fn headers(&self, name: &str) -> Vec<String> {
        let value = |request: &Vec<u8>| {
            let text = String::from_utf8_lossy(request);
            let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ").map(str::to_owned));
            value.expect("every request has it")
        };
        self.state.requests.lock().unwrap().iter().map(value).collect()
    }

    pub fn connections(&self) -> u64 {
        self.state.connections.load(Ordering::SeqCst)
    }

    /// Connections that neither side has closed.
    pub fn open(&self) -> usize {
        self.state.open.lock().unwrap().len()
    }

    /// Bytes that the client, or the buffers on the way to it, took.
    pub fn written(&self) -> u64 {
        self.state.written.load(Ordering::SeqCst)
    }

    /// Nothing listens any more, and every connection breaks.
    pub fn die(&self) {
        if let Some(Listening { stop, thread }) = self.listening.lock().unwrap().take() {
            stop.store(true, Ordering::SeqCst);
            let _ = TcpStream::connect(self.address); // wakes the thread up
            thread.join().unwrap();
        }
        for stream in self.state.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Listens again, on the same port.
    pub fn rise(&self) {
        let listener = TcpListener::bind(self.address).unwrap();
        *self.listening.lock().unwrap() = Some(Listening::on(listener, &self.state));
    }
}

impl Drop for Rogue {
    fn drop(&mut self) {
        self.die();
    }
}

impl Listening {
    fn on(listener: TcpListener, state: &Arc<State>) -> Listening {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, state) = (Arc::clone(&stop), Arc::clone(state));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let stream = stream.unwrap();
                state.connections.fetch_add(1, Ordering::SeqCst);
                state.open.lock().unwrap().push(stream.try_clone().unwrap());
                let state = Arc::clone(&state);
                std::thread::spawn(move || state.serve(stream));
            }
        });
        Listening { stop, thread }
    }
}

impl State {
    fn serve(&self, mut stream: TcpStream) {
        let mut behind = None;
        while let Some(request) = peek_request(&stream) {
            let act = {
                let mut requests = self.requests.lock().unwrap();
                requests.push(request.clone());
                (self.script)(requests.len() - 1, &request)
            };
            let is_unread = matches!(act, Act::Reset | Act::WriteThenReset(_));
            if !is_unread {
                stream.read_exact(&mut vec![0; request.len()]).unwrap();
            }
            if !self.act(act, &request, &mut stream, &mut behind) {
                break;
            }
        }
        // Closed with something unread, a connection is reset; else it ends in order.
        self.forget(&stream);
    }

    /// Returns whether the connection is kept.
    fn act(&self, act: Act, request: &[u8], stream: &mut TcpStream, behind: &mut Option<TcpStream>) -> bool {
        let mut relay = || {
            let behind = behind.get_or_insert_with(|| TcpStream::connect(self.behind.unwrap()).unwrap());
            let reply = relayed(behind, request);
            self.replies.lock().unwrap().push(reply.clone());
            reply
        };
        match act {
            Act::Relay => stream.write_all(&relay()).is_ok(),
            Act::Altered(alter) => {
                let reply = String::from_utf8(relay()).expect("a reply that is text");
                stream.write_all(alter(reply).as_bytes()).is_ok()
            }
            Act::RelayThenClose(after) => {
                let _ = stream.write_all(&relay());
                std::thread::sleep(after);
                false
            }
            Act::RelayThenReset => {
                relay();
                false
            }
            Act::Close | Act::Reset => false,
            Act::Write(bytes) => {
                let _ = stream.write_all(&bytes);
                true
            }
            Act::WriteThenClose(bytes) => {
                let _ = stream.write_all(&bytes);
                false
            }
            Act::WriteThenPauseThenClose(bytes, pause) => {
                let _ = stream.write_all(&bytes);
                std::thread::sleep(pause);
                false
            }
            Act::WriteThenReset(bytes) => {
                let _ = stream.write_all(&bytes);
                std::thread::sleep(Duration::from_millis(30)); // else the reset overtakes them
                false
            }
            Act::Flood(first, rest, pause) => {
                let mut next = first;
                while stream.write_all(&next).is_ok() {
                    self.written.fetch_add(next.len() as u64, Ordering::SeqCst);
                    next.clone_from(&rest);
                    std::thread::sleep(pause);
                }
                false
            }
            Act::Silence => {
                let _ = stream.read(&mut [0]);
                false
            }
        }
    }

    /// Lets go of the copy of a connection that [`Rogue::die`] would break: as long as it is there, it stays open.
    fn forget(&self, stream: &TcpStream) {
        let Ok(peer) = stream.peer_addr() else {
            return self.open.lock().unwrap().retain(|open| open.peer_addr().is_ok());
        };
        self.open.lock().unwrap().retain(|open| open.peer_addr().is_ok_and(|other| other != peer));
    }
}

/// The whole of the next request, left where it is; `None` where the client goes before that.
fn peek_request(stream: &TcpStream) -> Option<Vec<u8>> {
    let mut buffer = vec![0; 64 << 10];
    let mut seen = 0;
    loop {
        let read = match stream.peek(&mut buffer) {
            Ok(0) | Err(_) => return None,
            Ok(read) => read,
        };
        if let Some(length) = message_length(&buffer[..read]).filter(|length| *length <= read) {
            buffer.truncate(length);
            return Some(buffer);
        }
        if read == seen {
            std::thread::sleep(Duration::from_millis(1));
        }
        seen = read;
    }
}

/// Head and body, as its content-length has it; `None` while the head is not whole.
fn message_length(message: &[u8]) -> Option<usize> {
    let head = message.windows(4).position(|end| end == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&message[..head]).to_ascii_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length:"));
    Some(head + length.map_or(0, |length| length.trim().parse::<usize>().unwrap()))
}

fn body_of(message: &[u8]) -> &[u8] {
    message.windows(4).position(|end| end == b"\r\n\r\n").map_or(&[], |at| &message[at + 4..])
}

fn relayed(behind: &mut TcpStream, request: &[u8]) -> Vec<u8> {
    behind.write_all(request).unwrap();
    let (mut reply, mut buffer) = (Vec::new(), [0; 4_096]);
    loop {
        match behind.read(&mut buffer) {
            Ok(0) => return reply,
            Ok(read) => reply.extend_from_slice(&buffer[..read]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => panic!("the server behind: {error}"),
        }
        if message_length(&reply).is_some_and(|length| length <= reply.len()) {
            return reply;
        }
    }
}
