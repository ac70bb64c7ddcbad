//! What the result codes of `updatePass` mean: PROTOCOL 1.5, a line each. What we *do* about a meaning is decided
//! in the core.

use crate::model::Verdict;
use crate::wire::Code;

/// One line of the table; `status` is what the pages print beside the code, empty where they print none.
const fn code(
    code: &'static str,
    status: &'static str,
    verdict: Verdict,
    meaning: &'static str,
    advice: &'static str,
    source: &'static str,
) -> Code {
    Code { code, status, verdict, meaning, advice, source }
}

const UPDATE_PASS: &str = "antom ac/gcmc/updatePass";
const COMMON: &str = "alipayhk amsapi/codeConsult";
const HANDLING: &str = "alipayhk hk/auto_earn/error_handling";
const HANDLING_GC: &str = "antom ac/gcmc/errorhandling";
const MINI: &str = "miniprogram mpdev/error_codes";
const BOTH_HANDLING: &str = "alipayhk hk/auto_earn/error_handling; antom ac/gcmc/errorhandling";
const CHANGE_LOG: &str = "alias in the AMS change log";

const ASK_AGAIN: &str = "sent again with the same bytes; if it stays, ask AlipayHK with the trace id";
const MEND_ROW: &str = "mend the row at its source, then replay it";
const CHECK_CARD: &str = "check user, card and template with AlipayHK; then mend or drop the row";
const SLOW_DOWN: &str = "sent again at a slower pace; lower `limits.quota` if it comes often";
const CHECK_KEYS: &str = "check `gateway.private_key`, `key_version` and the public key that was uploaded";
const CHECK_CLIENT: &str = "check `gateway.client_id` and what AlipayHK has opened for it";
const CHECK_CALL: &str = "check `gateway.url` and `gateway.path`";
const NOT_OURS: &str = "not of this API; show AlipayHK the trace id";

/// The table.
pub const CODES: &[Code] = &[
    code("SUCCESS", "S", Verdict::Applied, "done", "nothing to do", UPDATE_PASS),
    code("UNKNOWN_EXCEPTION", "U", Verdict::InDoubt, "failed for an unknown reason", ASK_AGAIN, UPDATE_PASS),
    code("SYSTEM_ERROR", "", Verdict::InDoubt, "an internal error of the gateway", ASK_AGAIN, BOTH_HANDLING),
    code("PARAM_ILLEGAL", "F", Verdict::Refused, "a field is not valid", MEND_ROW, UPDATE_PASS),
    code("USER_NOT_EXIST", "F", Verdict::Refused, "no such user", CHECK_CARD, UPDATE_PASS),
    code("USER_NOT_EXSITS", "F", Verdict::Refused, "no such user (the vendor's spelling)", CHECK_CARD, HANDLING),
    code(
        "PASS_HAS_NOT_EXIST",
        "F",
        Verdict::Refused,
        "no such card",
        "the card may not have been created yet: replay the row later, or drop it",
        UPDATE_PASS,
    ),
    code("PASS_STATUS_ILLEGAL", "F", Verdict::Refused, "the card's status forbids it", CHECK_CARD, UPDATE_PASS),
    code("PASS_UPDATE_FAIL", "F", Verdict::Refused, "only an active card can be updated", CHECK_CARD, HANDLING_GC),
    code(
        "PASS_USED_OCCUPIED",
        "F",
        Verdict::Refused,
        "the card is redeemed already, or occupied",
        "for a repeated USED or CLOSED it may mean that the first one worked: ask, then `ledger settle`",
        UPDATE_PASS,
    ),
    code("PASS_HAS_EXIT", "F", Verdict::Refused, "the card exists already", CHECK_CARD, BOTH_HANDLING),
    code("PASS_TEMPLATE_HAS_NOT_EXIT", "F", Verdict::Refused, "no such template", CHECK_CARD, BOTH_HANDLING),
    code("PASS_TYPE_NOT_MATCH", "F", Verdict::Refused, "another type of pass", CHECK_CARD, BOTH_HANDLING),
    code("PASS_PRODUCT_TYPE_NOT_MATCH", "F", Verdict::Refused, "another product", CHECK_CARD, BOTH_HANDLING),
    code("PASS_IS_NULL", "F", Verdict::Refused, "there is no card", CHECK_CARD, BOTH_HANDLING),
    code("PROCESS_FAIL", "F", Verdict::Refused, "a general failure; not to be repeated", CHECK_CARD, COMMON),
    // One page prints U, another F: the code decides.
    code("REQUEST_TRAFFIC_EXCEED_LIMIT", "U", Verdict::Throttled, "too many calls", SLOW_DOWN, COMMON),
    code("RATE_LIMIT", "", Verdict::Throttled, "too many calls", SLOW_DOWN, "on no page; read as its kin"),
    code("INVALID_SIGNATURE", "F", Verdict::Misconfigured, "our signature is wrong", CHECK_KEYS, COMMON),
    code("SIGNATURE_INVALID", "F", Verdict::Misconfigured, "our signature is wrong", CHECK_KEYS, CHANGE_LOG),
    code("KEY_NOT_FOUND", "F", Verdict::Misconfigured, "no such key, or version of it", CHECK_KEYS, COMMON),
    code("INVALID_CLIENT", "F", Verdict::Misconfigured, "no such client", CHECK_CLIENT, COMMON),
    code("CLIENT_INVALID", "F", Verdict::Misconfigured, "no such client", CHECK_CLIENT, CHANGE_LOG),
    code("ACCESS_DENIED", "F", Verdict::Misconfigured, "the client may not call this", CHECK_CLIENT, COMMON),
    code("INVALID_API", "F", Verdict::Misconfigured, "no such API", CHECK_CALL, COMMON),
    code("API_INVALID", "F", Verdict::Misconfigured, "no such API", CHECK_CALL, CHANGE_LOG),
    code("METHOD_NOT_SUPPORTED", "F", Verdict::Misconfigured, "the verb is not supported", CHECK_CALL, COMMON),
    code("MEDIA_TYPE_NOT_ACCEPTABLE", "F", Verdict::Misconfigured, "the type is not accepted", CHECK_CALL, COMMON),
    code("INVALID_CONTRACT", "F", Verdict::Misconfigured, "the contract is not in force", CHECK_CLIENT, COMMON),
    code("EXPIRED_ACCESS_TOKEN", "F", Verdict::Misconfigured, "the access token ran out", CHECK_CLIENT, MINI),
    code("INVALID_CODE", "F", Verdict::Refused, "a code of another product", NOT_OURS, COMMON),
    code("EXPIRED_CODE", "F", Verdict::Refused, "a code of another product ran out", NOT_OURS, COMMON),
    code("CURRENCY_NOT_SUPPORT", "F", Verdict::Refused, "a currency of another product", NOT_OURS, COMMON),
];

/// The table's line for a code.
pub fn find(code: &str) -> Option<&'static Code> {
    CODES.iter().find(|line| line.code == code)
}

/// What code and status mean together, if they are believed. A code that is not listed falls to its status.
pub fn verdict(code: &str, status: &str) -> Verdict {
    match (find(code).map(|line| line.verdict), status) {
        (Some(Verdict::Applied), "S") => Verdict::Applied,
        // Success without its status, or a final no that calls itself unknown: asking again may tell.
        (Some(Verdict::Applied), _) | (Some(Verdict::Refused), "U") => Verdict::InDoubt,
        (_, "S") => Verdict::InDoubtFinal,
        (Some(listed), _) => listed,
        (None, "F") => Verdict::Refused,
        (None, _) => Verdict::InDoubt,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_stands_once_and_says_all() {
        for (at, line) in CODES.iter().enumerate() {
            assert!(CODES[..at].iter().all(|earlier| earlier.code != line.code), "{} stands twice", line.code);
            assert!(["S", "F", "U", ""].contains(&line.status), "{}", line.code);
            for text in [line.meaning, line.advice, line.source] {
                assert!(!text.is_empty(), "{}", line.code);
            }
        }
    }

    #[test]
    fn every_listed_code_means_what_the_table_says_with_its_own_status() {
        for line in CODES {
            assert_eq!(verdict(line.code, line.status), line.verdict, "{}", line.code);
        }
    }

    #[test]
    fn only_success_with_its_status_is_success() {
        for line in CODES.iter().filter(|line| line.code != "SUCCESS") {
            assert_eq!(verdict(line.code, "S"), Verdict::InDoubtFinal, "{}", line.code);
        }
        for status in ["", "F", "U", "s", "SUCCESS"] {
            assert_eq!(verdict("SUCCESS", status), Verdict::InDoubt, "{status}");
        }
    }

    #[test]
    fn throttles_go_by_code_and_unlisted_codes_by_status() {
        for status in ["", "F", "U"] {
            assert_eq!(verdict("REQUEST_TRAFFIC_EXCEED_LIMIT", status), Verdict::Throttled);
            assert_eq!(verdict("RATE_LIMIT", status), Verdict::Throttled);
            assert_eq!(verdict("KEY_NOT_FOUND", status), Verdict::Misconfigured);
        }
        for (status, expected) in
            [("F", Verdict::Refused), ("U", Verdict::InDoubt), ("S", Verdict::InDoubtFinal), ("", Verdict::InDoubt)]
        {
            assert_eq!(verdict("BRAND_NEW_CODE", status), expected, "{status}");
        }
        assert_eq!(verdict("PARAM_ILLEGAL", "U"), Verdict::InDoubt);
    }
}
