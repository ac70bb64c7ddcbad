//! The way out through a proxy: `CONNECT` to a gateway that speaks TLS, whole requests to one that does not.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use passync::sandbox::Config;

use super::front::Front;
use crate::night::stage::{Night, as_csv, deltas, finish_by_in};

/// A proxy that notes what it was asked for.
struct Proxy {
    address: SocketAddr,
    /// The heads of what came in.
    heads: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// It answers a `CONNECT` with this status line, and opens the tunnel where that is a 200.
    fn that_says(status: &'static str) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let notes = Arc::clone(&heads);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (client, notes) = (client.unwrap(), Arc::clone(&notes));
                std::thread::spawn(move || serve(client, status, &notes));
            }
        });
        Proxy { address, heads }
    }

    /// Their first lines.
    fn asked(&self) -> Vec<String> {
        self.heads.lock().unwrap().iter().map(|head| head.lines().next().unwrap().to_owned()).collect()
    }

    /// The settings that lead there.
    fn settings(&self) -> [String; 2] {
        ["--set".to_owned(), format!("gateway.proxy=http://{}", self.address)]
    }
}

/// One connection: one tunnel, or requests to one server.
fn serve(client: TcpStream, status: &str, notes: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(client.try_clone().unwrap());
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).unwrap_or(0) == 0 {
            return;
        }
    }
    let asked = head.lines().next().unwrap().to_owned();
    let to = asked.split(' ').nth(1).unwrap().trim_start_matches("http://").split('/').next().unwrap().to_owned();
    let is_tunnel = asked.starts_with("CONNECT ");
    notes.lock().unwrap().push(head.clone());
    if is_tunnel {
        (&client).write_all(format!("HTTP/1.1 {status}\r\n\r\n").as_bytes()).unwrap();
        if !status.starts_with("200") {
            return;
        }
    }
    let server = TcpStream::connect(to).unwrap();
    if !is_tunnel {
        (&server).write_all(head.as_bytes()).unwrap();
    }
    let back = (server.try_clone().unwrap(), client);
    std::thread::spawn(move || pump(back.0, back.1));
    pump(reader, server);
}

fn pump(mut from: impl Read, mut to: TcpStream) {
    let _ = std::io::copy(&mut from, &mut to);
    let _ = to.shutdown(std::net::Shutdown::Both);
}

fn run<'a>(settings: &'a [String], more: &[&'a str]) -> Vec<&'a str> {
    ["run", "job.toml"].into_iter().chain(settings.iter().map(String::as_str)).chain(more.iter().copied()).collect()
}

/// A night whose gateway speaks TLS.
fn night() -> (Night, Front) {
    let night = Night::new(Config::default(), "input.timezone = 'UTC'\ngateway.ca_file = 'ca.pem'");
    let front = Front::of(night.server.addr());
    let job = std::fs::read_to_string(night.path("job.toml")).unwrap();
    night.write("job.toml", &job.replace(&night.server.url(), &front.url()));
    night.write("ca.pem", &front.certificate);
    (night, front)
}

#[test]
fn a_tunnel_leads_to_the_gateway_and_sees_no_row() {
    let (night, front) = night();
    let proxy = Proxy::that_says("200 Connection established");
    let rows = deltas(60, 2);
    night.write("in.csv", &as_csv(&rows));
    night.expect(0, &run(&proxy.settings(), &[]));
    assert_eq!(night.counts(), [("applied".to_owned(), rows.len())].into());
    let connect = format!("CONNECT {} HTTP/1.1", front.url().trim_start_matches("https://"));
    assert!(!proxy.asked().is_empty() && proxy.asked().iter().all(|asked| *asked == connect), "{:?}", proxy.asked());
    // One that was not needed any more may have ended before its handshake did.
    assert!((1..=proxy.asked().len() as u64).contains(&front.handshakes()), "no way leads past it");
    night.is_well(&rows);
}

#[test]
fn without_tls_the_proxy_gets_whole_requests() {
    let (night, _front) = night();
    let proxy = Proxy::that_says("200 Connection established");
    let rows = deltas(40, 1);
    night.write("in.csv", &as_csv(&rows));
    let url = format!("gateway.url={}", night.server.url());
    night.expect(0, &run(&proxy.settings(), &["--set", &url]));
    let post = format!("POST {}/", night.server.url());
    assert!(!proxy.asked().is_empty() && proxy.asked().iter().all(|asked| asked.starts_with(&post)));
    night.is_well(&rows);
}

#[test]
fn a_proxy_that_refuses_has_sent_nothing() {
    for status in ["407 Proxy Authentication Required", "403 Forbidden", "502 Bad Gateway"] {
        let (night, front) = night();
        let proxy = Proxy::that_says(status);
        let rows = deltas(5, 1);
        night.write("in.csv", &as_csv(&rows));
        night.expect(5, &run(&proxy.settings(), &["--set", &finish_by_in(4)]));
        assert_eq!(night.counts(), [("unsent".to_owned(), rows.len())].into(), "{status}");
        assert_eq!(front.handshakes(), 0);
        assert!(!proxy.asked().is_empty());
        night.expect(0, &run(&[], &[]));
        night.is_well(&rows);
    }
}

#[test]
fn the_environments_proxy_is_taken_where_the_job_says_so() {
    let (night, front) = night();
    let proxy = Proxy::that_says("200 Connection established");
    let rows = deltas(5, 1);
    night.write("in.csv", &as_csv(&rows));
    let told = |more: &[&str]| {
        let mut command = night.command(&["run", "job.toml"]);
        command.args(more).env("HTTPS_PROXY", format!("http://me:secret@{}", proxy.address));
        assert!(command.status().unwrap().success());
        proxy.asked().len()
    };
    assert_eq!(told(&["--set", "ledger.url=other/ledger.db"]), 0, "the job names none");
    assert!(told(&["--set", "gateway.proxy=env"]) > 0);
    let (basic, heads) = ("proxy-authorization: basic bwu6c2vjcmv0", proxy.heads.lock().unwrap().clone());
    assert!(heads.iter().all(|head| head.to_lowercase().contains(basic)), "{heads:?}");
    assert!(front.handshakes() > 0);
}
