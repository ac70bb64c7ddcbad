//! What planning and counting ask of a row. It stands before the row in the survey's file, and is read without it: a row
//! has a dozen texts, and none of them decides about its bill or its card.

use serde::{Deserialize, Serialize};

use super::store::{Content, Origin, StoredRow};
use crate::model::{Amount, Delta, Digest, Digester, Seat, Status};

/// A row in brief.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Brief {
    /// Where it stands in the inputs.
    pub seat: Seat,
    /// Whose row it is, where the input is a failure file.
    pub origin: Option<Origin>,
    /// `last_changed_points`; `None` also where it is not a number.
    pub change: Option<Amount>,
    /// The shapes of its cells.
    pub shapes: Shapes,
    /// What it says; `None` where it is not valid.
    pub gist: Option<Gist>,
}

/// What a valid row says, as far as it is compared with others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gist {
    /// Its card.
    pub card: Digest,
    /// Its identity in the ledger; `None` where it is that of its place in this run, which has no name yet.
    pub bill: Option<Digest>,
    /// What it says, apart from when.
    pub content: Digest,
    /// User and template: only rows that agree in them may be one call.
    pub shape: Digest,
    /// A bit per member that it carries.
    pub members: u64,
    /// A mask for each message to the customer: the member whose change it tells.
    pub messages: Vec<u64>,
    /// Whether its card ends with it.
    pub closing: bool,
    /// Whether it has a bill number.
    pub has_bill: bool,
    /// Whether it is an Alipay transaction: points that somebody gave for a bill.
    pub is_transaction: bool,
    /// When it happened; milliseconds since 1970.
    pub occurred_ms: Option<i64>,
    /// Orders rows of one instant.
    pub sequence: i64,
}

/// What only the reader of the inputs can tell of a row.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The shapes of its cells.
    pub shapes: Shapes,
    /// A bit per member that it carries.
    pub members: u64,
    /// A mask for each message to the customer.
    pub messages: Vec<u64>,
}

/// The shapes of a row's cells, as the gate for damaged values counts them; empty where it was not asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shapes(#[serde(with = "bytes")] pub Vec<u8>);

impl Brief {
    /// The row in brief. `scope`: what bills are keyed by.
    pub fn of(row: &StoredRow, seen: &Seen, scope: &str) -> Brief {
        let gist = match &row.content {
            Content::Delta(delta) => Some(Gist::of(delta, row.origin.as_ref(), seen, scope)),
            Content::Reject(_) => None,
        };
        Brief { seat: row.seat, origin: row.origin.clone(), change: row.change, shapes: seen.shapes.clone(), gist }
    }
}

impl Gist {
    fn of(delta: &Delta, origin: Option<&Origin>, seen: &Seen, scope: &str) -> Gist {
        let content = delta.content_digest();
        let bill = delta.bill_digest(scope).or_else(|| match (delta.occurred_ms, origin) {
            (Some(ms), _) => Some(timed_identity(scope, delta, ms, content)),
            (None, Some(origin)) => Some(seat_identity(scope, &origin.run, &origin.source, origin.line)),
            (None, None) => None,
        });
        let mut shape = Digester::new("shape");
        for field in &delta.ids {
            shape.part(field.name.as_bytes()).part(field.value.as_text().as_bytes());
        }
        Gist {
            card: delta.card_digest(),
            bill,
            content,
            shape: shape.finish(),
            members: seen.members,
            messages: seen.messages.clone(),
            closing: delta.status != Status::Update,
            has_bill: delta.bill_no.is_some(),
            is_transaction: delta.bill_no.is_some() && !delta.riders.is_empty(),
            occurred_ms: delta.occurred_ms,
            sequence: delta.sequence,
        }
    }
}

fn timed_identity(scope: &str, delta: &Delta, ms: i64, content: Digest) -> Digest {
    let (ms, sequence) = (ms.to_string(), delta.sequence.to_string());
    Digest::of("timed", &[scope, &delta.merchant, &delta.card, &ms, &sequence, &content.to_string()])
}

/// The identity of a row that has neither a bill nor a time: its place.
pub fn seat_identity(scope: &str, run: &str, source: &str, line: u64) -> Digest {
    Digest::of("seat", &[scope, run, source, &line.to_string()])
}

/// All at once, and not one by one.
mod bytes {
    use serde::de::{Deserialize, Deserializer};
    use serde::ser::Serializer;

    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        <&[u8]>::deserialize(deserializer).map(<[u8]>::to_vec)
    }
}
