//! Connections that go wrong: what the client makes of each, and that it never sends more than it says.

mod exchange;
mod front;
pub mod nights;
mod outage;
mod proxy;
pub mod rogue;
mod tls;
