//! A gateway that verifies, judges and misbehaves on request: a pure core under a thin hyper mount.

mod core;
mod dice;
mod faults;
mod judge;
mod plan;
mod summary;

pub use self::core::{Applied, Card, Config, Exchange, Gateway};
pub use faults::{Fault, Faults, FaultsError};
pub use judge::{Breach, Judgement, Judgements, Order, Window};
pub use plan::{Delivery, Page, Plan, Seal, Transfer};
pub use summary::Summary;
