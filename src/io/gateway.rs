//! HTTP to the gateway: one exchange, no opinion. What a reply means is the dialect's business; here it is only told
//! whether any byte can have left.

use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::{Certificate, Client, ClientBuilder, Url, redirect};

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
    /// Connections kept.
    pub concurrency: usize,
}

/// A connected client. Cheap to clone.
#[derive(Clone)]
pub struct Gateway {
    client: Client,
    url: Url,
    request_timeout: Duration,
}

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
        let builder = Client::builder()
            .http1_only()
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never()) // what its pool does by itself below that is told with `exchange`
            .referer(false)
            .tcp_nodelay(true)
            .connect_timeout(config.connect_timeout.min(config.request_timeout.mul_f64(CONNECTING)))
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(config.concurrency)
            .user_agent(concat!("passync/", env!("CARGO_PKG_VERSION")));
        let url = Url::parse(&config.url).map_err(|error| format!("gateway.url {}: {error}", config.url))?;
        let client = by_way_of(builder, &url, config.proxy.as_deref(), config.ca_file.as_deref())
            .map_err(|error| format!("gateway: {error}"))?;
        Ok(Gateway { client, url, request_timeout: config.request_timeout })
    }

    /// The host was parsed once: with it every call would cost twice as much as with its path alone.
    fn url_of(&self, target: &str) -> Url {
        let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        let mut url = self.url.clone();
        url.set_path(path);
        url.set_query(query);
        url
    }

    /// One exchange. When it returns, the reply was read or the connection is closed.
    ///
    /// A pooled connection that turns out to be closed before a byte of the request was written to it is replaced by a
    /// new one below us (hyper-util, `retry_canceled_requests`); once a byte may have left, nothing is tried again.
    pub async fn exchange(&self, request: Request) -> Result<Reply, Reading> {
        let mut builder = self.client.post(self.url_of(&request.target)).body(request.body);
        for (name, value) in request.headers {
            builder = builder.header(name, value);
        }
        match tokio::time::timeout(self.request_timeout, read(builder)).await {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(error)) => Err(fault(&error)),
            Err(_) => Err(Reading::transport(Verdict::InDoubt, "TIMEOUT", "no reply within the request timeout")),
        }
    }

    /// Whether anybody is there: a GET of the root, which is no call. The error says at which step it ended.
    pub async fn look(&self) -> Result<Sight, String> {
        let request = self.client.get(format!("{}/", self.url)).timeout(self.request_timeout);
        let response = request.send().await.map_err(|error| causes(&error))?;
        let date = response.headers().get(reqwest::header::DATE).and_then(|date| date.to_str().ok());
        let date_ms = date.and_then(|date| jiff::fmt::rfc2822::parse(date).ok());
        Ok(Sight { status: response.status().as_u16(), date_ms: date_ms.map(|date| date.timestamp().as_millisecond()) })
    }
}

/// The client that goes out of the house to `url`: by the proxy that the job names, and no other; with additional roots.
/// The error says what keeps it from being made.
///
/// The machine's own roots are read where somebody has to prove who it is. A machine may have none, and is in order for a
/// gateway on its loopback.
pub(super) fn by_way_of(
    builder: ClientBuilder,
    url: &Url,
    proxy: Option<&str>,
    ca_file: Option<&Path>,
) -> Result<Client, String> {
    let speaks_tls = url.scheme() != "http" || proxy.is_some();
    let builder = match proxy {
        None => builder.no_proxy(),
        Some("env") => builder,
        Some(url) => {
            let proxy = reqwest::Proxy::all(url).map_err(|error| format!("gateway.proxy {url}: {error}"))?;
            builder.no_proxy().proxy(proxy)
        }
    };
    let roots = ca_file.map(roots).transpose()?.unwrap_or_default();
    let builder = if speaks_tls { builder.tls_certs_merge(roots) } else { builder.tls_certs_only(roots) };
    builder.build().map_err(|error| match causes(&error) {
        // As rustls-platform-verifier says it.
        text if text.contains("No CA certificates") => {
            "found no root certificates on this machine, expected those that https needs: install its package of them \
             (ca-certificates), or name a file of them (SSL_CERT_FILE, gateway.ca_file)"
                .to_owned()
        }
        text => text,
    })
}

fn roots(path: &Path) -> Result<Vec<Certificate>, String> {
    let fault = |error: &dyn std::fmt::Display| format!("gateway.ca_file {}: {error}", path.display());
    let pem = std::fs::read(path).map_err(|error| fault(&error))?;
    let roots = Certificate::from_pem_bundle(&pem).map_err(|error| fault(&causes(&error)))?;
    if roots.is_empty() {
        return Err(fault(&"found no certificate, expected one or more as PEM (BEGIN CERTIFICATE)"));
    }
    Ok(roots)
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

/// An error with its causes, without the URL: its query may hold a signature.
pub(super) fn causes(error: &reqwest::Error) -> String {
    let mut text = String::new();
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        let this = error.to_string();
        let this = this.split(" for url (").next().unwrap_or_default();
        if !text.contains(this) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(this);
        }
        cause = error.source();
    }
    text
}
