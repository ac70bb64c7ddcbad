//! The scripts of `tests/bench/peers`, run by the Python that `PEERS_PYTHON` names.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::process;

/// What a script says of itself; `None`, and a line that says so, where there is no Python for it.
pub fn tell(script: &str, args: &[&str]) -> Option<Value> {
    let Some(python) = std::env::var_os("PEERS_PYTHON") else {
        println!("{script} is left out: PEERS_PYTHON names no Python that has tests/bench/peers/requirements.txt");
        return None;
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bench/peers").join(script);
    let (_, output) = process::run(Command::new(python).arg(script).args(args));
    let said = serde_json::from_slice(&output.stdout);
    Some(said.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr))))
}

/// One of the script's figures.
pub fn figure(said: &Value, name: &str) -> f64 {
    said[name].as_f64().expect("a figure")
}
