//! What the tests of the mount share: keys, a wire form of three words, and a caller that sees every byte.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::LazyLock;
use std::time::Duration;

use super::judge::hex;
use super::mount::Server;
use crate::model::{Delta, Reading, Status};
use crate::wire::crypto::{Signer, Verifier};
use crate::wire::{
    self, Answer, Call, CallFault, Column, ColumnFault, Columns, Dialect, Reply, Request, RowReader, RowRules,
};

/// Generated once: in a debug build a key takes a moment.
pub static CLIENT: LazyLock<Signer> = LazyLock::new(|| Signer::generate(2048).unwrap());
pub static PLATFORM: LazyLock<Signer> = LazyLock::new(|| Signer::generate(2048).unwrap());

/// The least wire form that signs: `card bill points` one way, `code` the other, hexadecimal signatures in a header.
pub struct Plain;

#[rustfmt::skip]
impl Dialect for Plain {
    fn name(&self) -> &'static str { "plain" }
    fn client(&self) -> &'static str { "test" }
    fn signs_times(&self) -> bool { false }
    fn path(&self) -> &'static str { "/update" }
    fn column(&self, _: &str) -> Option<Column> { None }
    fn columns(&self) -> Columns { Columns(&[]) }
    fn card_column(&self) -> &'static str {
        "card"
    }

    fn reader(&self, _: &[String], _: &RowRules) -> Result<Box<dyn RowReader>, ColumnFault> { unreachable!("no rows here") }
    fn body(&self, _: &Delta, _: u64) -> Vec<u8> { unreachable!("no rows here") }
    fn reply(&self, _: &Reply, _: &[Verifier]) -> Reading { unreachable!("the tests read replies themselves") }

    fn request(&self, body: &[u8], _: i64, signer: &Signer) -> Request {
        let headers = vec![("sign".into(), hex(&signer.sign(body)))];
        Request { target: "/update".into(), headers, body: body.to_vec() }
    }

    fn read_call(&self, request: &Request, key: &Verifier) -> Result<Call, CallFault> {
        let sign = wire::header(&request.headers, "sign").ok_or_else(|| CallFault::Signature("none".into()))?;
        if !key.verify(&request.body, &unhex(sign)) {
            return Err(CallFault::Signature("wrong".into()));
        }
        let text = String::from_utf8(request.body.clone()).map_err(|_| CallFault::Parameter("not UTF-8".into()))?;
        let [card, bill, points] = text.split(' ').collect::<Vec<_>>()[..] else {
            return Err(CallFault::Parameter("expected three words".into()));
        };
        Ok(Call {
            merchant: "M".into(),
            card: card.into(),
            bill_no: Some(bill.into()),
            status: Status::Update,
            members: vec![("points".into(), points.into())],
            sent_at: String::new(),
            body: request.body.clone(),
        })
    }

    fn write_reply(&self, _: &Request, answer: &Answer, _: i64, signer: Option<&Signer>) -> Reply {
        let body = answer.code.clone().into_bytes();
        let headers = signer.map(|signer| ("sign".to_owned(), hex(&signer.sign(&body)))).into_iter().collect();
        Reply { status: 200, headers, body }
    }
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

pub fn bytes_of(request: &Request) -> Vec<u8> {
    let headers: Vec<_> = request.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let headers = headers.concat();
    let head = format!("POST {} HTTP/1.1\r\nhost: sandbox\r\n{headers}", request.target);
    let length = request.body.len();
    [format!("{head}content-length: {length}\r\n\r\n").as_bytes(), &request.body].concat()
}

pub struct Caller(BufReader<TcpStream>);

impl Caller {
    pub fn connect(server: &Server) -> Caller {
        let stream = TcpStream::connect(server.addr()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        Caller(BufReader::new(stream))
    }

    pub fn send(&mut self, request: &Request) {
        self.write(&bytes_of(request));
    }

    pub fn write(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).unwrap();
    }

    /// The reply, and the length that its head promised; `None` where the connection ended before a byte of it.
    pub fn receive(&mut self) -> Option<(Reply, usize)> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).unwrap() == 0 {
                assert!(lines.is_empty(), "half a head: {lines:?}");
                return None;
            }
            match line.trim_end() {
                "" => break,
                line => lines.push(line.to_owned()),
            }
        }
        let status = lines[0].split(' ').nth(1).unwrap().parse().unwrap();
        let headers: Vec<_> =
            lines[1..].iter().map(|line| line.split_once(": ").unwrap()).map(|(k, v)| (k.into(), v.into())).collect();
        let length: usize = wire::header(&headers, "content-length").unwrap().parse().unwrap();
        let mut body = Vec::new();
        self.0.by_ref().take(length as u64).read_to_end(&mut body).unwrap();
        Some((Reply { status, headers, body }, length))
    }

    pub fn call(&mut self, body: &str) -> Option<(Reply, usize)> {
        self.send(&Plain.request(body.as_bytes(), 0, &CLIENT));
        self.receive()
    }

    pub fn is_closed(&mut self) -> bool {
        self.0.fill_buf().unwrap().is_empty()
    }
}

impl Plain {
    /// The signature of a reply.
    pub fn signature(reply: &Reply) -> Vec<u8> {
        unhex(wire::header(&reply.headers, "sign").unwrap())
    }
}

/// `Some(true)` for the platform's signature, `None` for none.
pub fn verified(reply: &Reply) -> Option<bool> {
    wire::header(&reply.headers, "sign")?;
    Some(PLATFORM.public().verify(&reply.body, &Plain::signature(reply)))
}
