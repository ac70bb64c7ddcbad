//! One input row: one change of one card.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use super::{Amount, BillId, Digest, Digester, Place};

/// What a row asks of its card.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Status {
    /// Change what the card shows.
    Update,
    /// Terminate the card.
    Closed,
    /// Redeem the card.
    Used,
}

impl Status {
    /// The vendor's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Update => "UPDATE",
            Status::Closed => "CLOSED",
            Status::Used => "USED",
        }
    }

    /// Reads the vendor's word.
    pub fn parse(text: &str) -> Option<Status> {
        [Status::Update, Status::Closed, Status::Used].into_iter().find(|status| status.as_str() == text)
    }

    /// Whether the card ends with it.
    pub fn is_final(self) -> bool {
        self != Status::Update
    }
}

/// A canonical value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Value {
    /// Text, as it stands.
    Text(SmolStr),
    /// An exact decimal.
    Number(Amount),
    /// A time, in milliseconds since 1970.
    Time(i64),
    /// JSON, as the dialect canonicalised it.
    Json(String),
}

impl Value {
    /// The value as text: what history and diffs show.
    pub fn text(&self) -> String {
        self.as_text().into_owned()
    }

    /// The same, borrowed where it is text already.
    pub fn as_text(&self) -> Cow<'_, str> {
        match self {
            Value::Text(text) => text.as_str().into(),
            Value::Json(text) => text.into(),
            Value::Number(amount) => amount.to_string().into(),
            Value::Time(ms) => ms.to_string().into(),
        }
    }
}

/// A canonical column with its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// The canonical column name, such as `points` or `level.zh_HK`.
    pub name: SmolStr,
    /// Its value.
    pub value: Value,
}

impl Field {
    /// A field of text.
    pub fn text(name: &str, value: impl Into<SmolStr>) -> Field {
        Field { name: name.into(), value: Value::Text(value.into()) }
    }
}

/// One row after mapping, defaults and normalisation: all that a call is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delta {
    /// The merchant (`merchant_id`), or the app (`app_id`).
    pub merchant: SmolStr,
    /// The card (`pass_id`, `card_no`).
    pub card: SmolStr,
    /// What is asked of the card.
    pub status: Status,
    /// The business transaction's number, as the file has it.
    pub bill_no: Option<SmolStr>,
    /// The values of the other columns of `bill_key`, in its order (absent ones as ""); empty when
    /// `bill_key` is `bill_no` alone.
    pub bill_key: Vec<String>,
    /// What names the card and the user beside `card` (user, open id, template, verify code ...): sent with
    /// every revision. In the dialect's order.
    pub ids: Vec<Field>,
    /// What the call changes, at most [`Delta::MEMBERS_MAX`]; a revision may leave some out. In the dialect's order.
    pub members: Vec<Field>,
    /// The row's own `level`, which fills every configured locale that has no level of its own. `members` have it
    /// locale by locale; what the row says has it once.
    pub level: Option<String>,
    /// What rides with `points` and leaves with it (`points_provider`, `notify`, ...). Bill number and change of
    /// points ride along too, but have fields of their own.
    pub riders: Vec<Field>,
    /// The signed change of points that this bill caused.
    pub last_changed_points: Option<Amount>,
    /// When the change happened; milliseconds since 1970.
    pub occurred_ms: Option<i64>,
    /// That time was a local one that the clocks showed twice; the earlier instant was taken.
    pub folded: bool,
    /// Orders rows of one millisecond: the file's own, or from [`Place::BEYOND_MS`] on the nanoseconds of its time.
    pub sequence: i64,
}

impl Delta {
    /// A revision's missing members are bits of a `u64`.
    pub const MEMBERS_MAX: usize = 64;

    /// The value of one of `ids`.
    pub fn id(&self, name: &str) -> Option<&str> {
        self.ids.iter().find(|field| field.name == name).and_then(|field| match &field.value {
            Value::Text(text) => Some(text.as_str()),
            _ => None,
        })
    }

    /// The value of one of `members`.
    pub fn member(&self, name: &str) -> Option<&Value> {
        self.members.iter().find(|field| field.name == name).map(|field| &field.value)
    }

    /// The members that a revision with this `drop` mask carries.
    pub fn carried(&self, drop: u64) -> impl Iterator<Item = &Field> {
        self.members.iter().enumerate().filter(move |(bit, _)| drop >> bit & 1 == 0).map(|(_, field)| field)
    }

    /// What orders updates: the card's identity.
    pub fn card_digest(&self) -> Digest {
        Digest::of("card", &[&self.merchant, &self.card])
    }

    /// The file's own sequence: what tells rows without a bill apart.
    pub fn own_sequence(&self) -> i64 {
        if self.sequence < Place::BEYOND_MS { self.sequence } else { 0 }
    }

    /// The idempotency key of the row's bill under `scope` (dialect, client), if it has one.
    pub fn bill_id(&self, scope: &str) -> Option<BillId> {
        let bill_no = self.bill_no.as_deref()?;
        let mut digester = Digester::new("bill");
        for part in [scope, &self.merchant, bill_no] {
            digester.part(part.as_bytes());
        }
        for part in &self.bill_key {
            digester.part(part.as_bytes());
        }
        Some(BillId::numbered(bill_no, digester.finish()))
    }

    /// What the row says, apart from when and in which bytes: two rows of one bill must agree in it.
    pub fn content_digest(&self) -> Digest {
        let mut digester = Digester::new(Self::CONTENT_FORM);
        for part in [&self.merchant, &self.card, self.status.as_str()] {
            digester.part(part.as_bytes());
        }
        add_fields(&mut digester, self.ids.iter());
        add_fields(&mut digester, self.members.iter().filter(|member| !self.is_filled(member)));
        digester.part(&u64::from(self.level.is_some()).to_le_bytes());
        if let Some(level) = &self.level {
            digester.part(b"level").part(level.as_bytes());
        }
        add_fields(&mut digester, self.riders.iter());
        if let Some(change) = self.last_changed_points {
            digester.part(change.to_string().as_bytes());
        }
        digester.finish()
    }

    /// Whether a member says no more than `level` does: another locale in the settings must not be another content.
    fn is_filled(&self, member: &Field) -> bool {
        let level = self.level.as_deref();
        member.name.starts_with("level.") && matches!(&member.value, Value::Text(text) if Some(text.as_str()) == level)
    }

    /// The version of the content's form, kept in the ledger: a change of form must not look like a change
    /// of content.
    pub const CONTENT_FORM: &str = "content/2";
}

fn add_fields<'a>(digester: &mut Digester, fields: impl Iterator<Item = &'a Field> + Clone) {
    digester.part(&(fields.clone().count() as u64).to_le_bytes());
    for field in fields {
        digester.part(field.name.as_bytes()).part(field.value.as_text().as_bytes());
    }
}
