//! What a code of `outcomes` means and what to do about it: the dialect's table, the rules, and our own codes.

use crate::model::Rule;
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
        .or_else(|| rule.map(|rule| Meaning { what: rule.text(), advice: MEND }))
        .or_else(|| OURS.iter().find(|(known, _)| *known == code).map(|(_, meaning)| *meaning))
        .or_else(|| http.map(|_| Meaning { what: "the gateway, or something before it, failed", advice: REPLAY }))
}

const MEND: &str = "mend the row at its source, then replay it";
const REPLAY: &str = "replay it; if it stays, ask the vendor with time and bill";
const READ: &str = "look at the gateway's address and at what stands between; then replay";

const fn told(what: &'static str, advice: &'static str) -> Meaning {
    Meaning { what, advice }
}

/// Codes that no vendor gave.
const OURS: &[(&str, Meaning)] = &[
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
    ("REDIRECT", told("the gateway sends us elsewhere; redirects are not followed", "check `gateway.url`")),
    ("SKEWED", told("the reply's time is too far from ours", "see to the clock, or raise `gateway.max_skew`")),
    ("HELD", told("an earlier row of its card is unknown or unsent", "it goes with that one in a replay")),
    ("NEWER_IN_DOUBT", told("a newer row of its card may have been applied", "replay the newer one, or settle it")),
    ("CONFLICT_IN_RUN", told("one bill with different contents: none was sent", "ask whose number it is")),
    ("CONFLICT_LEDGER", told("the ledger knows the bill with another content", "`passync ledger show BILL` has it")),
    ("REFUSED_BEFORE", told("refused by an earlier run", "`replay --include refused` asks again")),
    ("CUT_OFF", told("the run ended while it was under way: it may have been applied", REPLAY)),
    ("ABANDONED", told("the run was closed before it came to the row", "replay it")),
    ("STOPPED_BY_SIGNAL", told("the run was stopped before it came to the row", "replay it")),
    ("FINISH_BY", told("there was no time left before `run.finish_by`", "replay it")),
    ("HALTED_CONFIGURATION", told("the gateway refused our identity", "`passync keys check JOB`; then replay it")),
    ("HALTED_ERRORS", told("too many rows were refused or unknown", "find out why; then replay it")),
    ("HALTED_UNREACHABLE", told("the gateway could not be reached", READ)),
    ("CANARY", told("the run stopped behind its canary", "look at the canary's cards; then run the job again")),
    ("CANARY_FAILED", told("a row of the canary did not end well", "find out why; then run the job again")),
    ("HALTED_DOUBT", told("too many cards were in doubt", "replay it when the gateway is well")),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::halt::Stop;
    use crate::wire::DIALECTS;

    #[test]
    fn every_rule_every_stop_and_every_listed_code_is_explained() {
        for entry in DIALECTS {
            let listed = entry.codes.iter().map(|line| line.code);
            let rules = Rule::ALL.iter().map(|rule| rule.code());
            let stops = [
                Stop::Signal,
                Stop::Deadline,
                Stop::Misconfigured(String::new()),
                Stop::Errors,
                Stop::Unreachable,
                Stop::TooMuchDoubt,
                Stop::Canary,
                Stop::CanaryFailed,
            ];
            for code in listed.chain(rules).chain(stops.iter().map(Stop::code)).chain(["HTTP_503"]) {
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
