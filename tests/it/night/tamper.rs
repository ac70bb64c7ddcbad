//! The ledger under the program's feet: its file, opened by who wants to change what lies in it.

use std::path::Path;

use passync::io::ledger::CardState;
use rusqlite::Connection;
use rusqlite::functions::{Context, FunctionFlags};

/// The ledger in a state directory. SQL may say `card_json(state)` of what a card shows, and `card_state(json)`.
pub fn open_ledger(state: &Path) -> Connection {
    let db = Connection::open(state.join("ledger.db")).unwrap();
    let json = |context: &Context<'_>| -> rusqlite::Result<String> {
        Ok(serde_json::to_string(&context.get::<CardState>(0)?).unwrap())
    };
    let state = |context: &Context<'_>| -> rusqlite::Result<CardState> {
        Ok(serde_json::from_str(&context.get::<String>(0)?).unwrap())
    };
    db.create_scalar_function("card_json", 1, FunctionFlags::SQLITE_UTF8, json).unwrap();
    db.create_scalar_function("card_state", 1, FunctionFlags::SQLITE_UTF8, state).unwrap();
    db
}
