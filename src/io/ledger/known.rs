//! Which of many keys the ledger knows, asked in rising order. From one known key to the next nothing is looked up:
//! a night costs as many look-ups as the ledger knows of its keys, and one where it knows none.

use rusqlite::OptionalExtension;

use super::bills::unproved;
use super::{Ledger, LedgerError};

/// Keys of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// Bills.
    Bills,
    /// Cards with a confirmed state.
    Cards,
    /// Cards with bills that are open, or may stand on them without proof.
    Unproved,
}

impl Keys {
    pub(super) fn next(self) -> &'static str {
        match self {
            Keys::Bills => "SELECT key FROM bills WHERE key >= ?1 ORDER BY key LIMIT 1",
            Keys::Cards => "SELECT key FROM cards WHERE key >= ?1 ORDER BY key LIMIT 1",
            Keys::Unproved => {
                concat!("SELECT card FROM bills WHERE ", unproved!(), " AND card >= ?1 ORDER BY card LIMIT 1")
            }
        }
    }
}

/// A walk over the ledger's keys. The ledger must not change meanwhile.
pub struct Known<'a> {
    ledger: &'a Ledger,
    keys: Keys,
    ahead: Ahead,
}

/// What is known of the way ahead.
enum Ahead {
    Unseen,
    /// Nothing before this key.
    Key(Vec<u8>),
    /// Nothing at all.
    End,
}

impl<'a> Known<'a> {
    /// A walk from the first key.
    pub fn new(ledger: &'a Ledger, keys: Keys) -> Known<'a> {
        Known { ledger, keys, ahead: Ahead::Unseen }
    }

    /// Whether the ledger has `key`, which is not below those asked before.
    pub fn has(&mut self, key: &[u8]) -> Result<bool, LedgerError> {
        let must_look = match &self.ahead {
            Ahead::Unseen => true,
            Ahead::Key(next) => next.as_slice() < key,
            Ahead::End => false,
        };
        if must_look {
            let found = || -> rusqlite::Result<Option<Vec<u8>>> {
                self.ledger.db.prepare_cached(self.keys.next())?.query_row([key], |row| row.get(0)).optional()
            };
            let found = found().map_err(|error| self.ledger.fault("look keys up", error))?;
            self.ahead = found.map_or(Ahead::End, Ahead::Key);
        }
        Ok(matches!(&self.ahead, Ahead::Key(next) if next == key))
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::params;

    use super::*;

    #[test]
    fn only_known_keys_are_known() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&folder.path().join("ledger.db")).unwrap();
        let key = |byte: u8| [byte; 16];
        for byte in [3, 7, 8] {
            let insert = "INSERT INTO cards (key, card_no, state) VALUES (?1, '', '')";
            ledger.db.execute(insert, params![key(byte)]).unwrap();
        }
        let mut cards = Known::new(&ledger, Keys::Cards);
        let known: Vec<u8> =
            (0..12).flat_map(|byte| [byte, byte]).filter(|byte| cards.has(&key(*byte)).unwrap()).collect();
        assert_eq!(known, [3, 3, 7, 7, 8, 8]);
        for keys in [Keys::Bills, Keys::Unproved] {
            assert!(!Known::new(&ledger, keys).has(&key(3)).unwrap());
        }
    }
}
