//! The addresses of a job: the gateway's, a proxy's, a webhook's.

use std::net::IpAddr;

use reqwest::Url;

use super::settings::GatewayUrl;
use super::tree::Node;
use super::values::{Parsed, filled, wrong_secret};

/// `gateway.url`: scheme, host and port, or `sandbox`. Plain HTTP would show personal ids to every hop: it is for
/// tests against a loopback address, and only when the job says so.
pub fn gateway(insecure_loopback: bool) -> impl Fn(&Node) -> Parsed<GatewayUrl> {
    move |node| {
        let text = filled(node)?;
        if text == "sandbox" {
            return Ok(GatewayUrl::Sandbox);
        }
        let refuse = |help: &str| wrong_secret(node, "https://host[:port] or \"sandbox\"", help);
        let Ok(url) = Url::parse(&text) else { return refuse("it is not a URL") };
        if !url.username().is_empty() || url.password().is_some() {
            return refuse("a user or a password has no place in it: calls are signed, not logged in");
        }
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return refuse("leave the path away: gateway.path has it, and it is signed");
        }
        match url.scheme() {
            "http" if !is_loopback(&url) => refuse("http:// is refused: calls carry personal ids"),
            "http" if !insecure_loopback => refuse("for a test gateway set gateway.allow_insecure_loopback = true"),
            "https" | "http" => Ok(GatewayUrl::Url(url.as_str().trim_end_matches('/').to_owned())),
            _ => refuse("the scheme is https"),
        }
    }
}

/// `gateway.proxy`: `env`, or the URL of a proxy.
pub fn proxy(node: &Node) -> Parsed<String> {
    let text = filled(node)?;
    if text == "env" {
        return Ok(text);
    }
    match web_url(&text) {
        Some(url) if url.path() == "/" => Ok(text),
        _ => wrong_secret(
            node,
            "\"\", \"env\", or http[s]://host:port",
            "a proxy with a password: use \"env\" and HTTPS_PROXY",
        ),
    }
}

/// A URL that is posted to.
pub fn web(node: &Node) -> Parsed<String> {
    let text = filled(node)?;
    if web_url(&text).is_some() {
        return Ok(text);
    }
    wrong_secret(node, "http[s]://host[:port][/path]", "a user or a password has no place in it")
}

fn web_url(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let bare = url.username().is_empty() && url.password().is_none();
    (matches!(url.scheme(), "http" | "https") && url.host_str().is_some() && bare).then_some(url)
}

/// The URL without what may be secret in it: webhooks carry their token in the path.
pub fn masked(text: &str) -> String {
    Url::parse(text).map_or_else(|_| "***".to_owned(), |url| format!("{}/***", url.origin().ascii_serialization()))
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
