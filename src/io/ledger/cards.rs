//! What the ledger knows of a card.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::Place;

/// What a card shows, as far as the gateway confirmed it.
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
