//! A gateway that verifies, judges and misbehaves on request: a pure core under a thin hyper mount.
//!
//! [`Gateway`] is the core: [`arrive`](Gateway::arrive) takes a call and the time and gives a [`Plan`] (what the caller
//! gets, and when), [`end`](Gateway::end) takes the end of the exchange and gives its truth, an [`Exchange`]. It does no
//! IO, reads no clock and throws no dice but those of its seed, so that the simulator drives it under a virtual clock.
//! [`Server`] mounts it on a socket, for any number of wire forms at once; [`open`] and [`Embedded`] bring keys, a log
//! and an address.
//!
//! What goes wrong is drawn from [`Faults`] for each (bill, or else body; attempt; seed): the same calls meet the same
//! faults whatever the interleaving. `heal=3` ends the faults of a bill after three attempts.
//!
//! ```text
//! unknown[-applied] system-error[-applied] limit refuse:CODE     a signed reply in the dialect's form
//! forged[-applied] unsigned[-applied]                            a success that must not be believed
//! 5xx[-applied] 429 429:2s html[-applied] garbage[-applied]      a page of something in between
//! drop-before drop-after half hang slow close                    the connection (-before, hang: not applied)
//! ```
//!
//! What it holds against the caller is a [`Breach`], each with a [`Judgement`]: overlapping exchanges on a card, an older
//! state after a newer one, changed bodies, second sends, arrivals over the quota, bad signatures. It knows what it can
//! see: where the wire form tells no bill, a second send shows as a repeated body (which a card that returns to an
//! earlier state also makes), and the order of states must be told ([`Order`]). The windows are exact: every arrival
//! counts from the moment its last byte is read, on a thread that does not sign.

mod body;
mod config;
mod core;
mod dice;
mod end;
mod exchange;
mod faults;
mod judge;
mod keys;
mod log;
mod mount;
mod open;
mod plan;
mod press;
mod reception;
mod summary;
#[cfg(test)]
mod testing;

pub use self::core::{Applied, Card, Gateway, Shown};
pub use config::{Config, ConfigFault, Delay, Quota};
pub use end::AskedToEnd;
pub use exchange::Exchange;
pub use faults::{Fault, Faults, FaultsError};
pub use judge::{Breach, Judgement, Judgements, Order, Window};
pub use keys::{Keys, KeysFault};
pub use mount::{Server, Setup};
pub use open::{Embedded, OpenFault, Options, open};
pub use plan::{Delivery, Page, Plan, Seal, Transfer};
pub use summary::Summary;
