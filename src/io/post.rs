//! JSON posted to those who watch a run: a webhook, a collector. What they answer decides nothing, so that all of it is
//! bounded in time, and every fault is only told.

use std::path::Path;
use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, Url, redirect};

use super::way::{Way, causes};

/// Where JSON is posted to.
pub struct Post {
    client: Client,
    url: Url,
}

/// How one posting ended that did not arrive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missed {
    /// Why; without the path of the URL, which may be a secret.
    pub why: String,
    /// Whether it may be otherwise a second later: nobody there, an overload. Silence was waited for long enough.
    pub is_passing: bool,
}

impl Post {
    /// Sets the client up; nothing is sent. `proxy` and `ca_file`: as for the gateway. The error says what is wrong.
    pub fn to(url: &str, timeout: Duration, proxy: Option<&str>, ca_file: Option<&Path>) -> Result<Post, String> {
        let builder = Client::builder()
            .http1_only()
            .redirect(redirect::Policy::none()) // what we tell is for nobody else
            .retry(reqwest::retry::never())
            .referer(false)
            .timeout(timeout)
            .user_agent(concat!("passync/", env!("CARGO_PKG_VERSION")));
        let url = Url::parse(url).map_err(|error| error.to_string())?;
        let client = Way::to(&url, proxy, ca_file)?.client(builder)?;
        Ok(Post { client, url })
    }

    /// Posts once. Any 2xx is an arrival; what else is said is not read.
    pub async fn send(&self, json: String) -> Result<(), Missed> {
        let request = self.client.post(self.url.clone()).header(CONTENT_TYPE, "application/json").body(json);
        let status = match request.send().await {
            Ok(response) => response.status(),
            Err(error) => return Err(Missed { why: causes(&error), is_passing: !error.is_timeout() }),
        };
        if status.is_success() {
            return Ok(());
        }
        let is_passing = status.is_server_error() || status.as_u16() == 429;
        Err(Missed { why: format!("it answers HTTP {}", status.as_u16()), is_passing })
    }
}
