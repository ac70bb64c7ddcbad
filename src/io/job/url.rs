//! The addresses of a job: the gateway's, a proxy's, a webhook's.

use std::net::IpAddr;
use std::path::Path;

use reqwest::Url;

use super::settings::{GatewayUrl, Secret, Webhook};
use super::tree::Node;
use super::values::{Parsed, filled, secret, wrong_secret};

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

/// A URL that is posted to: what a run did is nobody else's business, so that plain HTTP is for tests as it is for the
/// gateway.
pub fn web(insecure_loopback: bool) -> impl Fn(&Node) -> Parsed<String> {
    move |node| {
        let text = filled(node)?;
        let refuse = |help: &str| wrong_secret(node, "https://host[:port][/path]", help);
        match web_url(&text) {
            None => refuse("a user or a password has no place in it"),
            Some(_) if is_web(&text, insecure_loopback) => Ok(text),
            Some(_) => refuse("http:// is for loopback addresses, with gateway.allow_insecure_loopback = true"),
        }
    }
}

/// `notify.url`: a URL, or where it is.
pub fn webhook(base: &Path, insecure_loopback: bool) -> impl Fn(&Node) -> Parsed<Webhook> {
    let (secret, web) = (secret(base), web(insecure_loopback));
    move |node| match node.text().and_then(Secret::parse) {
        Some(_) => secret(node).map(Webhook::Secret),
        None => web(node).map(Webhook::Url),
    }
}

/// Whether the content of a secret is a URL that `web` would take.
pub fn is_web(text: &str, insecure_loopback: bool) -> bool {
    web_url(text).is_some_and(|url| url.scheme() == "https" || insecure_loopback && is_loopback(&url))
}

fn web_url(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let bare = url.username().is_empty() && url.password().is_none();
    (matches!(url.scheme(), "http" | "https") && url.host_str().is_some() && bare).then_some(url)
}

/// The URL without what may be secret in it: webhooks carry their token in the path.
pub fn masked(text: &str) -> String {
    if Secret::parse(text).is_some() {
        return text.to_owned();
    }
    Url::parse(text).map_or_else(|_| "***".to_owned(), |url| format!("{}/***", url.origin().ascii_serialization()))
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
