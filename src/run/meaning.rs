//! What a code of `outcomes` means and what to do about it: the dialect's table, the rules, and our own codes.

use crate::model::{Exit, Outcome, Rule};
use crate::wire::Code;

/// What a code means, for a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meaning {
    /// What happened.
    pub what: &'static str,
    /// What to do.
    pub advice: &'static str,
}

/// The meaning of a code; `None` where nobody has told us (a code that the vendor's pages do not list).
pub fn of(code: &str, table: &[Code]) -> Option<Meaning> {
    let vendors = table.iter().find(|line| line.code == code);
    let rule = Rule::ALL.iter().find(|rule| rule.code() == code);
    let http = code.strip_prefix("HTTP_").filter(|status| status.bytes().all(|byte| byte.is_ascii_digit()));
    vendors
        .map(|line| Meaning { what: line.meaning, advice: line.advice })
        .or_else(|| rule.map(|rule| Meaning { what: rule.text(), advice: of_rule(*rule) }))
        .or_else(|| OURS.iter().find(|(known, _)| *known == code).map(|(_, meaning)| *meaning))
        .or_else(|| http.map(|_| Meaning { what: "the gateway, or something before it, failed", advice: REPLAY }))
}

/// What to do about rows that broke a rule.
pub fn of_rule(rule: Rule) -> &'static str {
    match rule {
        Rule::RecordWidth => {
            "put quotes around values with a delimiter or a line break in them; see that no field is lost"
        }
        Rule::RecordQuote => "double each quote within a value, and put quotes around the value; `_raw` has the record",
        Rule::RecordSize => "see that the export ends its lines, and that no quote stays open",
        Rule::Encoding => "set `input.encoding` to what the file is written in, or export UTF-8",
        Rule::NulByte => "export text: NULs come from UTF-16 without a BOM, or from a disk that was full",
        Rule::Missing => "fill it, map its column in [input.columns], or give it a value in [input.defaults]",
        Rule::IdScientific | Rule::IdRounded => {
            "export the column as text and ask the source again: the digits that are lost cannot be guessed"
        }
        Rule::IdDecimalTail | Rule::IdWidth | Rule::IdNumber => {
            "export the column as text, as it stands at its source; or list it in `input.verbatim`, if it is meant so"
        }
        Rule::IdWord => "leave the cell empty where there is no id, or name the word in `input.null_values`",
        Rule::TextDamaged => {
            "set `input.encoding` to what the file is written in, and clean the text at its source; or list the column in `input.verbatim`"
        }
        Rule::RepeatedHeader => "take the second header out: files that are joined keep one",
        Rule::CutOff => "fetch the file again; an export that ends its last line, or a control file, would tell",
        Rule::IdCharacters => "clean the value at its source: what cannot be seen makes it another id",
        Rule::NotANumber => "write plain digits and a point: no separators, no unit, no brackets, no exponent",
        Rule::Negative => "correct the total; or set `input.negative_points = true` if it is meant",
        Rule::NotATime => "write 2026-01-31T10:00:00+08:00, or local time in `input.timezone`, or epoch milliseconds",
        Rule::NoChange => "fill a column that the card shows, or take the row out",
        Rule::MixedTimes => "export the time of every row: rows without one would stand anywhere in the card's history",
        Rule::MissingBill => "export the bill's number: without it the row cannot be told from its repetition",
        Rule::Merchant => "name the merchant in `gateway.merchants`, if it is one of the job's",
        Rule::StatusGuard => "list the status in [guard] statuses, if it is meant: CLOSED and USED end a card",
        Rule::PointsGuard | Rule::ChangeGuard => "look at the row; raise the limit in [guard] if it is right",
        Rule::Unencodable => "take the character out of the row, or agree on another `gateway.charset`",
        Rule::Horizon => {
            "leave it: it is older than what the ledger remembers, and nobody can tell whether it was sent"
        }
        _ => MEND,
    }
}

/// What an outcome means.
pub fn of_outcome(outcome: Outcome) -> Meaning {
    match outcome {
        Outcome::Applied => told("the gateway confirmed it, and its signature verified", NOTHING),
        Outcome::AlreadyApplied => told("an earlier run applied the same bill with the same content", NOTHING),
        Outcome::Duplicate => told("an earlier row of the run has the same bill and the same content", NOTHING),
        Outcome::Superseded => told("the card was given newer values of all that the row carries; not sent", NOTHING),
        Outcome::Coalesced => told("a newer row of its card was applied and carried it; not sent by itself", NOTHING),
        Outcome::Rejected => {
            told("the row is not valid; it was never sent", "mend it in the failure file, then replay it")
        }
        Outcome::Conflict => told(
            "the same bill with another content, in the run or in the ledger; not sent",
            "find out which is right (`passync ledger show BILL`), mend the other, then replay it",
        ),
        Outcome::Refused => told(
            "the gateway said a final no",
            "see its code with `passync explain`; mend the row, then `replay --include refused`",
        ),
        Outcome::Unknown => told(
            "every attempt ended in doubt: it may or may not be applied",
            "replay it as it stands: the same bytes are sent; or ask, and `passync ledger settle`",
        ),
        Outcome::Held => told(
            "not sent, because another row of its card is unknown, unsent or in doubt",
            "replay it as it stands, together with that one",
        ),
        Outcome::Unsent => {
            told("provably never applied: not sent, or throttled, when the run ended", "replay it as it stands")
        }
    }
}

/// What an exit code means.
pub fn of_exit(exit: Exit) -> Meaning {
    match exit {
        Exit::Clean => told("every row settled well", NOTHING),
        Exit::Failures => told("the run is complete, and the failure file has rows", "look at it, mend it, replay it"),
        Exit::Usage => {
            told("a fault of usage or configuration; nothing was sent", "the message says where, and what to write")
        }
        Exit::Input => told(
            "the input was refused: missing, damaged, totals differ, a guard, read before, another plan; nothing was sent",
            "the message says which; `passync check JOB` says every reason",
        ),
        Exit::Halted => told(
            "halted: the gateway refuses our identity, or too many errors; all files are written, the rest is unsent",
            "see to the reason; then run the job again: it goes on with the rest",
        ),
        Exit::Stopped => told(
            "stopped by a signal, `run.finish_by` or the canary; all files are written, the rest is unsent",
            "run the job again: it goes on with the rest",
        ),
        Exit::Storage => told(
            "a storage fault: sending stopped at once, and no manifest is written",
            "see to disk and ledger; then run the job again: it goes on from disk",
        ),
        Exit::Busy => told("another run holds the ledger", "wait for its end, or give --wait DURATION"),
    }
}

const NOTHING: &str = "nothing";
const MEND: &str = "mend the row at its source, then replay it";
const REPLAY: &str = "replay it; if it stays, ask the vendor with time and bill";
const READ: &str = "look at the gateway's address and at what stands between; then replay";

const fn told(what: &'static str, advice: &'static str) -> Meaning {
    Meaning { what, advice }
}

/// Codes that no vendor gave.
pub const OURS: &[(&str, Meaning)] = &[
    ("TIMEOUT", told("no reply within the request timeout", REPLAY)),
    ("CONNECTION_BROKEN", told("the connection broke before the reply was in", REPLAY)),
    ("NOT_CONNECTED", told("no connection to the gateway", READ)),
    ("NOT_A_REQUEST", told("the request cannot be built", "check `gateway.url` and `gateway.path`")),
    ("UNSIGNED", told("a success without a signature: it is not believed", READ)),
    ("BAD_SIGNATURE", told("a reply whose signature is wrong: it is not believed", "check `gateway.platform_keys`")),
    ("OTHER_CLIENT", told("a reply to another client", READ)),
    ("ENCRYPTED_REPLY", told("an encrypted reply to a plain call", READ)),
    ("AMBIGUOUS", told("a reply that contradicts itself", "show the vendor the trace id")),
    ("GARBAGE", told("bytes that are no reply", READ)),
    ("TOO_LONG", told("a reply with more than 64 KiB: it cannot be verified", READ)),
    ("REDIRECT", told("the gateway sends us elsewhere; redirects are not followed", "check `gateway.url`")),
    ("SKEWED", told("the reply's time is too far from ours, or none", "see to the clock, or raise `gateway.max_skew`")),
    ("HELD", told("a row of its card that goes before it is unknown or unsent", "it goes with that one in a replay")),
    ("NEWER_IN_DOUBT", told("a newer row of its card may have been applied", "replay the newer one, or settle it")),
    (
        "TRIMMED",
        told("applied without the members of which the card has newer values; the message names them", NOTHING),
    ),
    ("SUPERSEDED_CLOSED", told("its card was closed after the row happened; not sent", NOTHING)),
    ("SUPERSEDED_BEFORE", told("an earlier run found the card to have newer values; not sent", NOTHING)),
    ("COALESCED_BEFORE", told("a newer row of its card carried it in an earlier run; not sent", NOTHING)),
    ("CONFLICT_IN_RUN", told("one bill with different contents: none was sent", "ask whose number it is")),
    ("CONFLICT_LEDGER", told("the ledger knows the bill with another content", "`passync ledger show BILL` has it")),
    ("REFUSED_BEFORE", told("refused by an earlier run", "`replay --include refused` asks again")),
    ("IMPORTED", told("another program applied it; `ledger import` booked it without a call", NOTHING)),
    ("SETTLED_BY_PERSON", told("a person found out that it was applied, and said so", NOTHING)),
    ("CUT_OFF", told("the run ended while it was under way: it may have been applied", REPLAY)),
    ("ABANDONED", told("the run was closed before it came to the row", "replay it")),
    ("STOPPED_BY_SIGNAL", told("the run was stopped before it was done with the row", "replay it")),
    ("FINISH_BY", told("there was no time left before `run.finish_by`", "replay it")),
    ("HALTED_CONFIGURATION", told("the gateway refused our identity", "`passync keys check JOB`; then replay it")),
    ("HALTED_ERRORS", told("too many rows were refused or unknown", "find out why; then replay it")),
    ("HALTED_UNREACHABLE", told("the gateway was not heard for too long", READ)),
    ("CANARY", told("the run stopped behind its canary", "look at the canary's cards; then run the job again")),
    ("CANARY_FAILED", told("a row of the canary did not end well", "find out why; then run the job again")),
    ("HALTED_DOUBT", told("too many cards were in doubt", "replay it when the gateway is well")),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::halt::Stop;
    use crate::wire::DIALECTS;

    /// Codes of outcome lines that are written elsewhere than in a table.
    const WRITTEN: [&str; 6] =
        ["COALESCED_BEFORE", "CUT_OFF", "HELD", "SUPERSEDED_BEFORE", "SUPERSEDED_CLOSED", "TRIMMED"];

    #[test]
    fn every_rule_every_stop_and_every_listed_code_is_explained() {
        for entry in DIALECTS {
            let listed = entry.codes.iter().map(|line| line.code);
            let rules = Rule::ALL.iter().map(|rule| rule.code());
            for code in listed.chain(rules).chain(Stop::ALL.iter().map(Stop::code)).chain(["HTTP_503"]).chain(WRITTEN) {
                let meaning = of(code, entry.codes).unwrap_or_else(|| panic!("{code}"));
                assert!(!meaning.what.is_empty() && !meaning.advice.is_empty(), "{code}");
            }
            assert_eq!(of("BRAND_NEW_CODE", entry.codes), None);
            assert_eq!(of("HTTP_PROXY", entry.codes), None);
        }
    }

    #[test]
    fn our_own_codes_stand_once_and_are_no_vendors() {
        for (at, (code, _)) in OURS.iter().enumerate() {
            assert!(OURS[..at].iter().all(|(earlier, _)| earlier != code), "{code} stands twice");
            for entry in DIALECTS {
                assert!(entry.codes.iter().all(|line| line.code != *code), "{code} is the vendor's");
            }
        }
    }
}
