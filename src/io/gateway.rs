//! HTTP to the gateway: one exchange, no opinion. What a reply means is the dialect's business; here it is only told
//! whether any byte can have left.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::{Client, Url, redirect};

use super::way::{Way, causes};
use crate::model::{Reading, Verdict};
use crate::wire::{Reply, Request};

/// How the gateway is reached.
#[derive(Clone, Debug)]
pub struct GatewayConfig {
    /// Scheme, host and port.
    pub url: String,
    /// How long a connection may take; less than the exchange in any case.
    pub connect_timeout: Duration,
    /// How long an exchange may take.
    pub request_timeout: Duration,
    /// `None`: no proxy; `env`: the environment's; else a URL.
    pub proxy: Option<String>,
    /// Additional roots.
    pub ca_file: Option<PathBuf>,
}

/// The gateway, and the connections to it that are idle. Cheap to clone.
#[derive(Clone)]
pub struct Gateway(Arc<Shared>);

struct Shared {
    way: Way,
    url: Url,
    connect_timeout: Duration,
    request_timeout: Duration,
    /// The one used last is used next: under less load the others end by themselves.
    idle: Mutex<Vec<Line>>,
}

/// A connection, or what becomes one: a client that keeps one at most.
///
/// Whoever has read the reply gives it back ([`Gateway::keep`]) where the reply was proved to be the gateway's. Behind any other
/// the real reply may still come, and the next call on that connection would take it for its own: letting go of
/// a line closes it.
pub struct Line(Client);

/// What a look at the gateway has shown.
#[derive(Clone, Copy, Debug)]
pub struct Sight {
    /// The HTTP status, whatever it is: somebody answers.
    pub status: u16,
    /// Its clock, milliseconds since 1970.
    pub date_ms: Option<i64>,
}

/// Connections idle for longer are closed by us: a server that closes first, under a request, leaves a doubt.
const IDLE: Duration = Duration::from_secs(4);

/// The most of an exchange's time that its connection may take. Were all of it spent on connecting, the exchange would
/// end as a timeout, which is a doubt; a connection that did not come about in its own time is none.
const CONNECTING: f64 = 0.9;

impl Gateway {
    /// Sets the client up; nothing is sent. The error says what is wrong with the settings.
    pub fn new(config: &GatewayConfig) -> Result<Gateway, String> {
        let url = Url::parse(&config.url).map_err(|error| format!("gateway.url {}: {error}", config.url))?;
        let way = Way::to(&url, config.proxy.as_deref(), config.ca_file.as_deref());
        let gateway = Gateway(Arc::new(Shared {
            way: way.map_err(|error| format!("gateway: {error}"))?,
            url,
            connect_timeout: config.connect_timeout.min(config.request_timeout.mul_f64(CONNECTING)),
            request_timeout: config.request_timeout,
            idle: Mutex::default(),
        }));
        let first = gateway.open().map_err(|error| format!("gateway: {error}"))?;
        gateway.keep(first);
        Ok(gateway)
    }

    /// A line of its own. It is connected with its first call.
    fn open(&self) -> Result<Line, String> {
        let builder = Client::builder()
            .http1_only()
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never()) // what its pool does by itself below that is told with `exchange`
            .referer(false)
            .tcp_nodelay(true)
            .connect_timeout(self.0.connect_timeout)
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(1)
            .user_agent(concat!("passync/", env!("CARGO_PKG_VERSION")));
        self.0.way.client(builder).map(Line)
    }

    /// Takes a line back, for the next call.
    pub fn keep(&self, line: Line) {
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }

    fn line(&self) -> Result<Line, String> {
        let idle = self.0.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        idle.map_or_else(|| self.open(), Ok)
    }

    /// The host was parsed once: with it every call would cost twice as much as with its path alone.
    fn url_of(&self, target: &str) -> Url {
        let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        let mut url = self.0.url.clone();
        url.set_path(path);
        url.set_query(query);
        url
    }

    /// One exchange. When it returns, the reply was read or the connection is closed.
    ///
    /// A kept connection that turns out to be closed before a byte of the request was written to it is replaced by a
    /// new one below us (hyper-util, `retry_canceled_requests`); once a byte may have left, nothing is tried again.
    pub async fn exchange(&self, request: Request) -> Result<(Reply, Line), Reading> {
        let line = self.line().map_err(|error| Reading::transport(Verdict::NotSent, "NOT_CONNECTED", error))?;
        let mut builder = line.0.post(self.url_of(&request.target)).body(request.body);
        for (name, value) in request.headers {
            builder = builder.header(name, value);
        }
        match tokio::time::timeout(self.0.request_timeout, read(builder)).await {
            Ok(Ok(reply)) => Ok((reply, line)),
            Ok(Err(error)) => Err(fault(&error)),
            Err(_) => Err(Reading::transport(Verdict::InDoubt, "TIMEOUT", "no reply within the request timeout")),
        }
    }

    /// Whether anybody is there: a GET of the root, which is no call. The error says at which step it ended.
    pub async fn look(&self) -> Result<Sight, String> {
        let request = self.line()?.0.get(format!("{}/", self.0.url)).timeout(self.0.request_timeout);
        let response = request.send().await.map_err(|error| causes(&error))?;
        let date = response.headers().get(reqwest::header::DATE).and_then(|date| date.to_str().ok());
        let date_ms = date.and_then(|date| jiff::fmt::rfc2822::parse(date).ok());
        Ok(Sight { status: response.status().as_u16(), date_ms: date_ms.map(|date| date.timestamp().as_millisecond()) })
    }
}

async fn read(builder: reqwest::RequestBuilder) -> reqwest::Result<Reply> {
    let mut response = builder.send().await?;
    let status = response.status().as_u16();
    let headers = response
        .headers()
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        body.extend_from_slice(&chunk[..chunk.len().min(Reply::BODY_MAX + 1 - body.len())]);
        if body.len() > Reply::BODY_MAX {
            break; // nobody can verify a cut body: in doubt, as it should be
        }
    }
    Ok(Reply { status, headers, body })
}

/// A fault of the transport: `NotSent` only where no connection came about, so no byte can have left.
fn fault(error: &reqwest::Error) -> Reading {
    let text = causes(error);
    if error.is_connect() {
        return Reading::transport(Verdict::NotSent, "NOT_CONNECTED", text);
    }
    if error.is_builder() {
        return Reading::transport(Verdict::NotSent, "NOT_A_REQUEST", text);
    }
    let code = if error.is_timeout() { "TIMEOUT" } else { "CONNECTION_BROKEN" };
    Reading::transport(Verdict::InDoubt, code, text)
}
