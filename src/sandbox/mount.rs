//! The gateway on a socket: hyper reads and writes, the core decides.
#![expect(clippy::disallowed_methods, reason = "this is where the sandbox meets the clock")]

use std::collections::HashMap;
use std::convert::Infallible;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Instant, SystemTime};

use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::{Notify, Semaphore, oneshot};

use crate::model::Tick;
use crate::wire::crypto::{Signer, Verifier};
use crate::wire::{Answer, Call, Dialect, Request, Said};

use super::body::{Cut, ReplyBody};
use super::config::Config;
use super::core::Gateway;
use super::log;
use super::plan::{Delivery, Page, Plan, Seal, Transfer};
use super::press::{Draft, Press};
use super::reception::{Heard, hear};
use super::summary::Summary;

/// A call larger than this is cut off: the largest real ones are some thousand bytes.
const CALL_BYTES_MAX: usize = 1 << 20;
/// More connections wait in the kernel's queue. A caller has at most one exchange a card and some hundred cards.
const CONNECTIONS_MAX: usize = 4_096;
/// Two keep up with about 3,000 replies a second and leave a core to the caller on a small machine.
const SIGNING_THREADS: usize = 2;

/// What a gateway on a socket is made of.
pub struct Setup {
    /// The wire forms; where several can read a call, the first has it.
    pub dialects: Vec<Arc<dyn Dialect>>,
    /// The caller's public key.
    pub client: Verifier,
    /// The private key of the replies.
    pub platform: Signer,
    /// How the gateway behaves.
    pub config: Config,
    /// Where the request log goes: one JSON object a line.
    pub log: Option<Box<dyn Write + Send>>,
}

/// A gateway on a socket, on a thread of its own. It ends when it is dropped.
pub struct Server {
    addr: SocketAddr,
    desk: Arc<Desk>,
    stop: Option<oneshot::Sender<Infallible>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts to serve. Errors are those of the socket, of threads, or of making a key for forgeries.
    pub fn start(listener: TcpListener, setup: Setup) -> io::Result<Server> {
        listener.set_nonblocking(true)?;
        let addr = listener.local_addr()?;
        let desk = Arc::new(Desk::new(setup)?);
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let at_work = Arc::clone(&desk);
        let thread = thread::Builder::new().name("sandbox".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = accept(listener, at_work) => {}
                    _ = stopped => {}
                }
            });
        })?;
        Ok(Server { addr, desk, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where it listens, as a caller's base URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// A look at the core while it works; calls wait meanwhile.
    pub fn look<T>(&self, look: impl FnOnce(&Gateway) -> T) -> T {
        look(&self.desk.state().gateway)
    }

    /// Closes every connection and ends. Exchanges that were open are logged as not delivered.
    pub fn stop(mut self) -> Summary {
        self.halt();
        let state = self.desk.state();
        Summary { log_fault: state.log_fault.clone(), ..state.gateway.summary() }
    }

    fn halt(&mut self) {
        drop(self.stop.take());
        if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join) {
            std::panic::resume_unwind(panic);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !thread::panicking() {
            self.halt();
        }
    }
}

/// Takes connections until it is dropped, and its tasks with it.
async fn accept(listener: TcpListener, desk: Arc<Desk>) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("a listening socket outside of any runtime");
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let place = Arc::clone(&places).acquire_owned().await.expect("the semaphore is never closed");
        // A connection that broke before it was taken is its caller's affair.
        let Ok((stream, _)) = listener.accept().await else { continue };
        let desk = Arc::clone(&desk);
        tokio::spawn(async move {
            // The caller sees the end of the connection; there is nobody else to tell.
            let _ = serve(stream, desk).await;
            drop(place);
        });
    }
}

/// Serves one connection to its end.
async fn serve(stream: tokio::net::TcpStream, desk: Arc<Desk>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let stream = stream.into_std()?;
    let caller = Arc::new(stream.try_clone()?);
    let io = TokioIo::new(tokio::net::TcpStream::from_std(stream)?);
    let closing = Arc::new(Notify::new());
    let service = service_fn(|request| desk.answer(request, &caller, &closing));
    let mut connection = std::pin::pin!(http1::Builder::new().timer(TokioTimer::new()).serve_connection(io, service));
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = closing.notified() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    served.map_err(io::Error::other)
}

/// What all connections share.
struct Desk {
    dialects: Vec<Arc<dyn Dialect>>,
    client: Verifier,
    platform: Signer,
    /// Made only where the fault table has forgeries: a key takes a moment.
    forger: Option<Signer>,
    press: Press,
    epoch: Instant,
    epoch_ms: i64,
    state: Mutex<State>,
}

struct State {
    gateway: Gateway,
    /// Who speaks in each open exchange.
    callers: HashMap<u64, Caller>,
    log: Option<Box<dyn Write + Send>>,
    log_fault: Option<String>,
}

/// The other end of an exchange.
struct Caller {
    connection: Weak<TcpStream>,
    /// The wire form of its call.
    dialect: Arc<dyn Dialect>,
}

impl Desk {
    fn new(setup: Setup) -> io::Result<Desk> {
        let forger = setup.config.faults.forge().then(|| Signer::generate(2048)).transpose();
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Ok(Desk {
            press: Press::start(SIGNING_THREADS)?,
            dialects: setup.dialects,
            client: setup.client,
            platform: setup.platform,
            forger: forger.map_err(io::Error::other)?,
            epoch: Instant::now(),
            epoch_ms: since_1970.as_millis() as i64,
            state: Mutex::new(State {
                gateway: Gateway::new(setup.config),
                callers: HashMap::new(),
                log: setup.log,
                log_fault: None,
            }),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Tick {
        Tick::ZERO + self.epoch.elapsed()
    }

    fn now_ms(&self) -> i64 {
        self.epoch_ms + self.epoch.elapsed().as_millis() as i64
    }

    /// One exchange: a call in, a reply (or a cut) out.
    async fn answer(
        self: &Arc<Self>,
        request: hyper::Request<Incoming>,
        caller: &Arc<TcpStream>,
        closing: &Arc<Notify>,
    ) -> Result<Response<ReplyBody>, Cut> {
        let target = request.uri().path_and_query().map_or("/", |target| target.as_str()).to_owned();
        let method = request.method().clone();
        let headers = lower_case_headers(request.headers());
        let body = Limited::new(request.into_body(), CALL_BYTES_MAX).collect().await.map_err(|_| Cut)?;
        let request = Request { target, headers, body: body.to_bytes().into() };

        let Some(heard) = hear(&self.dialects, method.as_str(), &request, &self.client) else {
            return page(StatusCode::NOT_FOUND, None, Page::Empty);
        };
        let (plan, open) = self.arrive(&heard, &request.body, caller);
        tokio::time::sleep(plan.wait).await;
        match plan.delivery {
            Delivery::Cut => Err(Cut),
            Delivery::Page { status, retry_after_s, page: kind } => {
                open.end(!is_gone(caller));
                page(StatusCode::from_u16(status).map_err(|_| Cut)?, retry_after_s, kind)
            }
            Delivery::Reply { said, seal, transfer } => {
                let reply = self.press.reply(self.draft(heard.dialect, request, &said, seal, plan.exchange));
                let reply = reply.await.ok_or(Cut)?;
                let body = match transfer {
                    Transfer::Whole => ReplyBody::whole(reply.body),
                    Transfer::ThenClose => ReplyBody::then_close(reply.body, Arc::clone(closing)),
                    Transfer::Half => ReplyBody::half(reply.body),
                };
                let mut response = Response::builder().status(reply.status);
                for (name, value) in &reply.headers {
                    response = response.header(name, value);
                }
                // Booked before the last byte leaves: the caller's next call may come the moment it has it.
                open.end(transfer != Transfer::Half && !is_gone(caller));
                Ok(response.body(body).expect("a dialect writes valid headers"))
            }
        }
    }

    fn arrive(self: &Arc<Self>, heard: &Heard, body: &[u8], caller: &Arc<TcpStream>) -> (Plan, Open) {
        let mut state = self.state();
        if let Ok(call) = &heard.call {
            self.end_abandoned(&mut state, call);
        }
        let now = self.now();
        let plan = match &heard.call {
            Ok(call) => state.gateway.arrive(now, call),
            Err(fault) => state.gateway.turn_away(now, fault, body),
        };
        let dialect = Arc::clone(&heard.dialect);
        state.callers.insert(plan.exchange, Caller { connection: Arc::downgrade(caller), dialect });
        let open = Open { desk: Arc::clone(self), exchange: Some(plan.exchange) };
        (plan, open)
    }

    /// Ends the exchanges of a card whose caller closed the connection, though hyper has not come to see it: two sockets
    /// may be ready at once, and the order in which they are served is chance. Else an honest caller would overlap.
    fn end_abandoned(&self, state: &mut State, call: &Call) {
        for exchange in state.gateway.open_on(&call.merchant, &call.card) {
            let caller = state.callers.get(&exchange).and_then(|caller| caller.connection.upgrade());
            if caller.is_none_or(|caller| is_gone(&caller)) {
                self.end(state, exchange, false);
            }
        }
    }

    /// Books the end of an exchange, unless it was booked before.
    fn end(&self, state: &mut State, exchange: u64, delivered: bool) {
        let Some(Caller { dialect, .. }) = state.callers.remove(&exchange) else { return };
        let ended = state.gateway.end(exchange, self.now(), delivered);
        let code = ended.delivery.said().map(|said| dialect.phrase(said).0);
        let Some(log) = &mut state.log else { return };
        if let Err(fault) = log::write(log, &ended, dialect.name(), code.as_deref(), self.epoch_ms) {
            state.log = None;
            state.log_fault = Some(format!("the log ends with exchange {exchange}: {fault}"));
        }
    }

    /// What is to be written in the caller's own form.
    fn draft(&self, dialect: Arc<dyn Dialect>, asked: Request, said: &Said, seal: Seal, exchange: u64) -> Draft {
        let (code, status) = dialect.phrase(said);
        let answer = Answer { code, status, message: format!("{said:?}"), trace_id: format!("sandbox-{exchange}") };
        Draft { dialect, asked, answer, now_ms: self.now_ms(), signer: self.signer(seal) }
    }

    fn signer(&self, seal: Seal) -> Option<Signer> {
        match seal {
            Seal::True => Some(self.platform.clone()),
            Seal::Forged => self.forger.clone(),
            Seal::Missing => None,
        }
    }
}

/// An open exchange. Dropped before [`Open::end`], it was given up: by a cut, or by the caller.
struct Open {
    desk: Arc<Desk>,
    exchange: Option<u64>,
}

impl Open {
    fn end(mut self, delivered: bool) {
        if let Some(exchange) = self.exchange.take() {
            self.desk.end(&mut self.desk.state(), exchange, delivered);
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(exchange) = self.exchange.take() {
            self.desk.end(&mut self.desk.state(), exchange, false);
        }
    }
}

/// Whether the peer has closed its end. The socket does not block, so that silence is an error, and no end.
fn is_gone(caller: &TcpStream) -> bool {
    match caller.peek(&mut [0]) {
        Ok(read) => read == 0,
        Err(fault) => fault.kind() != io::ErrorKind::WouldBlock,
    }
}

fn lower_case_headers(headers: &hyper::HeaderMap) -> Vec<(String, String)> {
    let text = |value: &hyper::header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect()
}

fn page(status: StatusCode, retry_after_s: Option<u32>, page: Page) -> Result<Response<ReplyBody>, Cut> {
    let (content_type, body): (_, &[u8]) = match page {
        Page::Empty => ("text/plain", b""),
        Page::Html => ("text/html", b"<html><body><h1>We will be back soon</h1></body></html>\n"),
        Page::Garbage => ("application/json", b"\xff\xfe{\"resultInfo\":\"S\" SUCCESS \x00"),
    };
    let mut response = Response::builder().status(status).header("content-type", content_type);
    if let Some(seconds) = retry_after_s {
        response = response.header("retry-after", seconds);
    }
    response.body(ReplyBody::whole(body.to_vec())).map_err(|_| Cut)
}

#[cfg(test)]
mod tests;
