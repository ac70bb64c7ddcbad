//! What the ledger knows of a card.

use std::collections::BTreeMap;

use rusqlite::ToSql;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef};
use serde::{Deserialize, Serialize};

use crate::model::Place;

/// What a card shows, as far as the gateway confirmed it. As JSON it is what lay in ledgers of schema 2.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardState {
    /// Per member, the newest confirmed value.
    pub members: BTreeMap<String, Confirmed>,
    /// The place of the newest applied CLOSED or USED.
    pub closed: Option<Place>,
}

/// A confirmed value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmed {
    /// Where the row that brought it stands.
    pub place: Place,
    /// The value sent.
    pub value: String,
}

impl CardState {
    /// Takes a confirmed value if it is newer than the one that stands, or whatever it is with `replace`.
    pub fn take(&mut self, name: &str, confirmed: Confirmed, replace: bool) {
        match self.members.get_mut(name) {
            Some(known) if replace || known.place <= confirmed.place => *known = confirmed,
            Some(_) => {}
            None => {
                self.members.insert(name.to_owned(), confirmed);
            }
        }
    }
}

/// A card's state as it lies in the ledger: each place with all that its row confirmed. Cards lie in no order that a night
/// knows, so nearly every card of a night asks for a page of its own: the smaller they are, the fewer pages there are.
#[derive(Serialize, Deserialize)]
struct Stored<'a> {
    #[serde(borrow)]
    rows: Vec<(Place, Vec<(&'a str, &'a str)>)>,
    closed: Option<Place>,
}

impl ToSql for CardState {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let mut rows: Vec<(Place, Vec<(&str, &str)>)> = Vec::new();
        for (name, Confirmed { place, value }) in &self.members {
            let member = (name.as_str(), value.as_str());
            match rows.iter_mut().find(|(known, _)| known == place) {
                Some((_, members)) => members.push(member),
                None => rows.push((*place, vec![member])),
            }
        }
        let stored = Stored { rows, closed: self.closed };
        Ok(postcard::to_stdvec(&stored).expect("a card's state is plain data").into())
    }
}

impl FromSql for CardState {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let (stored, rest) = postcard::take_from_bytes(value.as_blob()?).map_err(FromSqlError::other)?;
        if !rest.is_empty() {
            return Err(FromSqlError::other(postcard::Error::DeserializeBadEncoding));
        }
        let Stored { rows, closed } = stored;
        let members = rows.into_iter().flat_map(|(place, members)| {
            let confirmed = move |value: &str| Confirmed { place, value: value.to_owned() };
            members.into_iter().map(move |(name, value)| (name.to_owned(), confirmed(value)))
        });
        Ok(CardState { members: members.collect(), closed })
    }
}
