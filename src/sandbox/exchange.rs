//! One exchange, as the gateway saw it.

use super::faults::Fault;
use super::plan::Delivery;
use crate::model::Tick;

/// One call, from its arrival to its end: the gateway's own truth about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// Its number, in order of arrival from 1.
    pub id: u64,
    /// When its head was in.
    pub arrived: Tick,
    /// When its reply was out, or the connection closed.
    pub finished: Tick,
    /// The merchant or app; empty where the call could not be read.
    pub merchant: String,
    /// The card; empty where the call could not be read.
    pub card: String,
    /// The bill, where the wire form tells it.
    pub bill_no: Option<String>,
    /// The digest of the plain body.
    pub body_sha256: [u8; 32],
    /// The how-manieth arrival of its bill (or else of its body), from 1; 0 where the call could not be read.
    pub attempt: u32,
    /// What went wrong.
    pub fault: Option<Fault>,
    /// Whether the card changed.
    pub applied: bool,
    /// What the caller was meant to get.
    pub delivery: Delivery,
    /// Whether all of it went out while the caller was still there.
    pub delivered: bool,
}
