//! Pure decisions. No IO, no clock, no randomness: time, random numbers and facts are arguments, actions are
//! the only way out. That makes a whole run simulable, and a failing seed replays exactly.
//!
//! What a reply *means* is the dialect's table (`wire`); what we *do* about a meaning is one `match` in
//! [`retry`]. What the past of a bill means for a row is one `match` in [`history`], and what the past of a
//! card means is one function in [`card`]. No third place decides.

pub mod breaker;
pub mod canary;
pub mod candidate;
pub mod card;
pub mod coalesce;
pub mod damage;
pub mod dispatcher;
pub mod door;
pub mod drift;
pub mod halt;
pub mod history;
pub mod lane;
pub mod limits;
pub mod quota;
pub mod retry;
pub mod skew;

pub use dispatcher::{Action, Dispatcher, Event, PlanRow};
