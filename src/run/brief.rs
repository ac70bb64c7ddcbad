//! What planning and counting ask of a row. It stands before the row in the survey's file, and is read without it: a row
//! has a dozen texts, and none of them decides about its bill or its card.

use serde::{Deserialize, Serialize};

use super::stored::{Content, Origin, StoredRow};
use crate::model::{Amount, BillId, Delta, Digest, Digester, Seat, Status};

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
    pub bill: Option<BillId>,
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
        let bill = delta.bill_id(scope).or_else(|| match (delta.occurred_ms, origin) {
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

fn timed_identity(scope: &str, delta: &Delta, ms: i64, content: Digest) -> BillId {
    let (ms, sequence) = (ms.to_string(), delta.own_sequence().to_string());
    let parts = [scope, &delta.merchant, &delta.card, &ms, &sequence, &content.to_string()];
    BillId::unnumbered(Digest::of("timed", &parts))
}

/// The identity of a row that has neither a bill nor a time: its place.
pub fn seat_identity(scope: &str, run: &str, source: &str, line: u64) -> BillId {
    BillId::unnumbered(Digest::of("seat", &[scope, run, source, &line.to_string()]))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Field, Reject, Rule, Value};
    use crate::run::store::{Briefs, Rows, RowsWriter, RunFolder};

    fn row(line: u64, content: Content) -> StoredRow {
        StoredRow {
            seat: Seat { source: 1, line },
            origin: None,
            bill_no: None,
            card_no: "card".into(),
            change: Some(Amount::parse("-7.5").unwrap()),
            unsummed: false,
            content,
        }
    }

    fn delta(occurred_ms: Option<i64>) -> Delta {
        Delta {
            merchant: "m".into(),
            card: "card".into(),
            status: Status::Update,
            bill_no: None,
            bill_key: Vec::new(),
            ids: vec![Field::text("user_id", "u")],
            members: vec![Field { name: "points".into(), value: Value::Number(Amount::ZERO) }],
            level: None,
            riders: Vec::new(),
            last_changed_points: None,
            occurred_ms,
            folded: false,
            sequence: 3,
        }
    }

    #[test]
    fn a_row_is_read_in_brief_and_in_full() {
        let dir = tempfile::tempdir().unwrap();
        let folder = RunFolder::at(dir.path());
        let rows = [
            row(2, Content::Delta(Box::new(delta(Some(5))))),
            row(3, Content::Reject(Box::new(Reject::new(Rule::Missing, "points", "", "x".repeat(100_000))))),
            row(4, Content::Delta(Box::new(delta(None)))),
        ];
        let seen = Seen { shapes: Shapes(vec![0, 7]), members: 1, messages: vec![1] };
        let mut writer = RowsWriter::create(&folder, "scope".to_owned()).unwrap();
        rows.iter().for_each(|row| writer.push(row, &seen).unwrap());
        writer.finish().unwrap();
        let (mut briefs, whole) = (Briefs::open(&folder).unwrap(), Rows::open(&folder).unwrap());
        for (id, row) in (0..).zip(&rows) {
            let brief = briefs.next().unwrap().unwrap();
            assert_eq!(brief, Brief::of(row, &seen, "scope"));
            let full = format!("{row:?}");
            assert_eq!(
                (format!("{:?}", briefs.row().unwrap()), format!("{:?}", whole.get(id).unwrap())),
                (full.clone(), full)
            );
        }
        assert_eq!(briefs.next().unwrap(), None);
    }

    #[test]
    fn a_row_without_a_bill_is_known_by_its_time_or_by_its_place() {
        let of = |occurred_ms, origin: Option<&Origin>| {
            Gist::of(&delta(occurred_ms), origin, &Seen::default(), "scope").bill
        };
        let origin = Origin { run: "run".to_owned(), source: "a.csv".to_owned(), line: 2 };
        assert_eq!(of(Some(5), None), of(Some(5), Some(&origin)), "a replay is the same row");
        assert_ne!(of(Some(5), None), of(Some(6), None));
        assert_eq!(of(None, Some(&origin)), Some(seat_identity("scope", "run", "a.csv", 2)));
        assert_eq!(of(None, None), None, "only the planner knows the run");
    }
}
