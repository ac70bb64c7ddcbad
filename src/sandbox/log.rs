//! The request log: one JSON object a line for each exchange, in the order in which they end.

use std::io::{self, Write};

use serde::Serialize;

use crate::model::{Tick, moment};

use super::exchange::Exchange;
use super::judge::hex;

/// One exchange as its line tells it.
#[derive(Serialize)]
struct Line<'a> {
    exchange: u64,
    dialect: &'a str,
    /// Nanoseconds since the start: what windows and overlaps are judged by.
    arrived_ns: u64,
    arrived_at: String,
    finished_ns: u64,
    merchant: &'a str,
    card: &'a str,
    bill_no: Option<&'a str>,
    body_sha256: String,
    attempt: u32,
    fault: Option<String>,
    applied: bool,
    /// The vendor's code; absent where the reply was not the gateway's own.
    code: Option<&'a str>,
    http_status: Option<u16>,
    delivered: bool,
}

/// Writes the line of an exchange. `epoch_ms`: the wall clock at the start, milliseconds since 1970.
pub(super) fn write(
    log: &mut dyn Write,
    ended: &Exchange,
    dialect: &str,
    code: Option<&str>,
    epoch_ms: i64,
) -> io::Result<()> {
    let Tick(arrived_ns) = ended.arrived;
    let line = Line {
        exchange: ended.id,
        dialect,
        arrived_ns,
        arrived_at: moment::rfc3339_ms(epoch_ms.saturating_add((arrived_ns / 1_000_000) as i64)),
        finished_ns: ended.finished.0,
        merchant: &ended.merchant,
        card: &ended.card,
        bill_no: ended.bill_no.as_deref(),
        body_sha256: hex(&ended.body_sha256),
        attempt: ended.attempt,
        fault: ended.fault.as_ref().map(ToString::to_string),
        applied: ended.applied,
        code,
        http_status: ended.delivery.http_status(),
        delivered: ended.delivered,
    };
    let mut text = serde_json::to_vec(&line)?;
    text.push(b'\n');
    log.write_all(&text)
}
