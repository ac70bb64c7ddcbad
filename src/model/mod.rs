//! Values, parsed once. This floor knows no other: no IO, no clock, no settings, no dialect.
//!
//! What the words mean stands in the README's glossary; one word, one type, one place.

pub mod amount;
pub mod bill_id;
mod bytes;
pub mod codes;
pub mod delta;
pub mod digest;
pub mod exit;
pub mod hash_total;
pub mod moment;
pub mod outcome;
pub mod place;
pub mod record;
pub mod reject;
pub mod tick;
pub mod verdict;

pub use amount::{Amount, Total};
pub use bill_id::BillId;
pub use codes::Codes;
pub use delta::{Delta, Field, Status, Value};
pub use digest::{Digest, Digester};
pub use exit::Exit;
pub use hash_total::HashTotal;
pub use moment::{LocalTime, Moment};
pub use outcome::{Outcome, Settled};
pub use place::{Place, Seat};
pub use record::{Attempt, Intent, Record};
pub use reject::{Reject, Rule};
pub use tick::Tick;
pub use verdict::{Reading, Verdict};
