//! How checks are shown: what holds, what contradicts it, what could not be looked at.

use std::fmt::Write as _;

use super::figures::count;
use crate::run::proof::Check;

/// A line for each check, and one for each fault.
pub fn lines(checks: &[Check]) -> String {
    let mut text = String::new();
    for Check { name, what, faults, more_faults, skipped } in checks {
        let state = if faults.is_empty() { "ok" } else { "FAULT" };
        let _ = writeln!(text, "  {state:<6}{name:<10}{what}");
        if let Some(why) = skipped {
            let _ = writeln!(text, "{:18}(not all of it: {why})", "");
        }
        for fault in faults {
            let _ = writeln!(text, "{:18}{fault}", "");
        }
        if *more_faults > 0 {
            let _ = writeln!(text, "{:18}and {}", "", count(*more_faults, "more fault"));
        }
    }
    text
}
