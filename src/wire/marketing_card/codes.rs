//! What the codes of the gateway mean: PROTOCOL 2.4, a line each, as `code` or `code/sub_code`. What we *do* about a
//! meaning is decided in the core.

use crate::model::Verdict;
use crate::wire::Code;

const fn code(
    code: &'static str,
    verdict: Verdict,
    meaning: &'static str,
    advice: &'static str,
    source: &'static str,
) -> Code {
    Code { code, status: "", verdict, meaning, advice, source }
}

/// The code of success, if nothing else is said.
pub const SUCCESS: &str = "10000";
/// A failure of the API, and not of the gateway.
const BUSINESS: &str = "40004";

const PAGE: &str = "antom ac/solution_api/cardupdate";
const NEWER: &str = "open.fliggy.com apiId=1164";
const PUBLIC: &str = "opendocs.alipay.com common/02km9f";
const OLD: &str = "Alipay service-window guide, 2014";
const JAVA: &str = "alipay-sdk-java-all, v3 error model";

const AGAIN: &str = "sent again with the same bytes; if it stays, ask Alipay with the trace id";
const MEND_ROW: &str = "mend the row at its source, then replay it";
const CHECK_CARD: &str = "check card and template with Alipay; then mend or drop the row";
const SLOW_DOWN: &str = "sent again at a slower pace; lower `limits.quota` if it comes often";
const AUTHORISE: &str = "have the merchant authorise the app again, and renew `gateway.app_auth_token`";
const CHECK_CALL: &str = "check `[gateway]`; `passync wire explain` shows what was signed";
const CHECK_KEYS: &str =
    "check `gateway.private_key` and the public key at the console; `passync wire explain` compares";
const CHECK_APP: &str = "check `gateway.app_id` and what the console has opened for the app";
const CHECK_AES: &str = "check `gateway.aes_key` and `encrypt_type` against the console";

use Verdict::{Applied, InDoubt, Misconfigured, Refused, Throttled};

/// The table.
pub const CODES: &[Code] = &[
    code("10000", Applied, "done, if neither sub_code nor result_code is set", "nothing to do", PUBLIC),
    code("10000/isv.update-usercard-fail", Refused, "the card was not updated", CHECK_CARD, PAGE),
    code("20000", InDoubt, "the service is not available; the result is unknown", AGAIN, PUBLIC),
    code("20000/isp.unknow-error", InDoubt, "the service is not available; the result is unknown", AGAIN, PUBLIC),
    code("20000/isp.unknown-error", InDoubt, "the same, spelt right", AGAIN, PUBLIC),
    code("20000/aop.unknow-error", InDoubt, "the gateway is not available; the result is unknown", AGAIN, PUBLIC),
    code("20000/aop.unknown-error", InDoubt, "the same, spelt right", AGAIN, PUBLIC),
    code("20001", Misconfigured, "the app is not authorised", AUTHORISE, PUBLIC),
    code("20001/aop.invalid-auth-token", Misconfigured, "the token is not valid", AUTHORISE, PUBLIC),
    code("20001/aop.auth-token-time-out", Misconfigured, "the token ran out", AUTHORISE, PUBLIC),
    code("20001/aop.invalid-app-auth-token", Misconfigured, "the app's token is not valid", AUTHORISE, PUBLIC),
    code("20001/aop.invalid-app-auth-token-no-api", Misconfigured, "the token is not for this API", AUTHORISE, PUBLIC),
    code("20001/aop.app-auth-token-time-out", Misconfigured, "the app's token ran out", AUTHORISE, PUBLIC),
    code("20001/aop.no-product-reg-by-partner", Misconfigured, "the merchant has no such product", AUTHORISE, PUBLIC),
    code("40001", Misconfigured, "a parameter is missing", CHECK_CALL, PUBLIC),
    code("40001/isv.missing-method", Misconfigured, "`method` is missing", CHECK_CALL, PUBLIC),
    code("40001/isv.missing-signature", Misconfigured, "`sign` is missing", CHECK_CALL, PUBLIC),
    code("40001/isv.missing-signature-type", Misconfigured, "`sign_type` is missing", CHECK_CALL, PUBLIC),
    code("40001/isv.missing-signature-key", Misconfigured, "the app has no public key", CHECK_KEYS, PUBLIC),
    code("40001/isv.missing-app-id", Misconfigured, "`app_id` is missing", CHECK_CALL, PUBLIC),
    code("40001/isv.missing-timestamp", Misconfigured, "`timestamp` is missing", CHECK_CALL, PUBLIC),
    code("40001/isv.missing-version", Misconfigured, "`version` is missing", CHECK_CALL, PUBLIC),
    code(
        "40001/isv.decryption-error-missing-encrypt-type",
        Misconfigured,
        "`encrypt_type` is missing",
        CHECK_AES,
        PUBLIC,
    ),
    code("40002", Misconfigured, "a parameter is not valid", CHECK_CALL, PUBLIC),
    code("40002/isv.invalid-parameter", Misconfigured, "a parameter is not valid", CHECK_CALL, PUBLIC),
    code("40002/isv.invalid-method", Misconfigured, "no such API", CHECK_CALL, PUBLIC),
    code("40002/isv.invalid-format", Misconfigured, "`format` is not valid", CHECK_CALL, PUBLIC),
    code("40002/isv.invalid-signature-type", Misconfigured, "`sign_type` is not valid", CHECK_CALL, PUBLIC),
    code("40002/isv.invalid-signature", Misconfigured, "our signature is wrong", CHECK_KEYS, PUBLIC),
    code("40002/isv.invalid-timestamp", Misconfigured, "`timestamp` is not valid", CHECK_CALL, PUBLIC),
    code("40002/isv.invalid-app-id", Misconfigured, "no such app", CHECK_APP, PUBLIC),
    code("40002/isv.invalid-charset", Misconfigured, "`charset` is not valid", CHECK_CALL, PUBLIC),
    code("40002/isv.invalid-encrypt", Misconfigured, "the content does not decrypt", CHECK_AES, PUBLIC),
    code("40002/isv.invalid-encrypt-type", Misconfigured, "`encrypt_type` is not valid", CHECK_AES, PUBLIC),
    code(
        "40002/isv.decryption-error-not-valid-encrypt-type",
        Misconfigured,
        "`encrypt_type` is not valid",
        CHECK_AES,
        PUBLIC,
    ),
    code(
        "40002/isv.decryption-error-not-valid-encrypt-key",
        Misconfigured,
        "the app has no AES key",
        CHECK_AES,
        PUBLIC,
    ),
    code("40002/isv.decryption-error-unknown", Misconfigured, "the content does not decrypt", CHECK_AES, PUBLIC),
    code(
        "40002/isv.suspected-attack",
        Refused,
        "the gateway takes a value of the row for an attack",
        "take markup and script out of the row's texts, then replay it",
        PUBLIC,
    ),
    code("40002/isv.forbidden-api", Misconfigured, "the app may not call this", CHECK_APP, PUBLIC),
    code("40002/app-cert-expired", Misconfigured, "the app's certificate ran out", CHECK_KEYS, PUBLIC),
    code("40003", Misconfigured, "the app's state forbids it", CHECK_APP, OLD),
    code("40003/isv.invalid-app-state", Misconfigured, "the app is not online", CHECK_APP, OLD),
    code("40004", Refused, "the API refused; its sub_code says why", MEND_ROW, PUBLIC),
    code("40004/INVALID_PARAMETER", Refused, "a field is not valid", MEND_ROW, PAGE),
    code("40004/SYSTEM_ERROR", InDoubt, "an internal error of the gateway", AGAIN, PAGE),
    code("40004/NO_CARD_TYPE", Refused, "no such type of card", CHECK_CARD, PAGE),
    code("40004/CARD_NOT_EXIT", Refused, "no such card (the vendor's spelling)", CHECK_CARD, PAGE),
    code("40004/CARD_NOT_EXIST", Refused, "no such card", CHECK_CARD, NEWER),
    code(
        "40004/PAIDOUTERCARD_LACK_TEMPLATE_CONFIG",
        Misconfigured,
        "the template is not set up for paid cards",
        "have the template's owner complete it at the console",
        JAVA,
    ),
    code("40005", Throttled, "too many calls", SLOW_DOWN, PUBLIC),
    code("40005/isv.app-call-limited", Throttled, "too many calls by the app", SLOW_DOWN, PUBLIC),
    code("40005/isv.method-call-limited", Throttled, "too many calls of the API", SLOW_DOWN, PUBLIC),
    code("40006", Misconfigured, "the app lacks a permission", CHECK_APP, PUBLIC),
    code("40006/isv.insufficient-isv-permissions", Misconfigured, "the app lacks a permission", CHECK_APP, PUBLIC),
    code("40006/isv.insufficient-user-permissions", Misconfigured, "the user gave no permission", CHECK_APP, PUBLIC),
];

/// The gateway's own words for its codes.
pub fn message(code: &str) -> &'static str {
    match code {
        SUCCESS => "Success",
        "20000" => "Service Currently Unavailable",
        "20001" => "Insufficient Token Permissions",
        "40001" => "Missing Required Arguments",
        "40002" => "Invalid Arguments",
        "40003" => "Insufficient Conditions",
        BUSINESS => "Business Failed",
        "40005" => "Call Limited",
        "40006" => "Insufficient Permissions",
        _ => "Error",
    }
}

/// `code`, or `code/sub_code`.
pub fn joined(code: &str, sub_code: &str) -> String {
    if sub_code.is_empty() { code.to_owned() } else { format!("{code}/{sub_code}") }
}

/// The table's line for a code; the case of a `sub_code` varies from page to page.
pub fn find(code: &str, sub_code: &str) -> Option<&'static Code> {
    let wanted = joined(code, sub_code);
    CODES.iter().find(|line| line.code.eq_ignore_ascii_case(&wanted))
}

/// What a code and its `sub_code` (or `result_code`) mean together, if they are believed.
pub fn verdict(code: &str, sub_code: &str) -> Verdict {
    let listed = find(code, sub_code).or_else(|| find_sub(sub_code));
    listed.map_or_else(|| unlisted(code, sub_code), |line| line.verdict)
}

/// A `sub_code` under another code than the page has it means the same.
fn find_sub(sub_code: &str) -> Option<&'static Code> {
    let subs = CODES.iter().filter_map(|line| Some((line, line.code.split_once('/')?.1)));
    subs.into_iter().find(|(_, sub)| sub.eq_ignore_ascii_case(sub_code)).map(|(line, _)| line)
}

/// Prefixes tell whose side a `sub_code` is of: `isp.` Alipay's, `isv.` the caller's, `aop.` token or gateway. Else the
/// code decides.
fn unlisted(code: &str, sub_code: &str) -> Verdict {
    let of_code = find(code, "").map_or(InDoubt, |line| line.verdict);
    let general = matches!(code, SUCCESS | BUSINESS);
    match sub_code.to_ascii_lowercase().split('.').next().unwrap_or_default() {
        "isp" => InDoubt,
        "isv" if code == SUCCESS => Refused,
        "aop" if general => Misconfigured,
        // Something is said beside success, and nobody knows what: asking again would not tell.
        _ if of_code == Applied => Verdict::InDoubtFinal,
        _ => of_code,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_stands_once_and_says_all() {
        for (at, line) in CODES.iter().enumerate() {
            let twice = CODES[..at].iter().any(|earlier| earlier.code.eq_ignore_ascii_case(line.code));
            assert!(!twice, "{} stands twice", line.code);
            for text in [line.meaning, line.advice, line.source] {
                assert!(!text.is_empty(), "{}", line.code);
            }
            let (code, sub_code) = line.code.split_once('/').unwrap_or((line.code, ""));
            assert_eq!(verdict(code, sub_code), line.verdict, "{}", line.code);
            assert_ne!(message(code), "Error", "{code}");
        }
    }

    #[test]
    fn only_the_bare_code_is_success() {
        let applied: Vec<_> = CODES.iter().filter(|line| line.verdict == Applied).map(|line| line.code).collect();
        assert_eq!(applied, [SUCCESS]);
        for sub_code in ["x", "isp.x", "isv.x", "aop.x", "SUCCESS", "10000", "0"] {
            assert_ne!(verdict(SUCCESS, sub_code), Applied, "{sub_code}");
        }
    }

    #[test]
    fn unlisted_codes_fall_to_prefix_and_code() {
        for (code, sub_code, expected) in [
            ("40003", "Isv.invalid-app-state", Misconfigured),
            ("40004", "card_not_exit", Refused),
            ("40004", "isv.app-call-limited", Throttled),
            ("40004", "BRAND_NEW", Refused),
            ("40004", "isp.brand-new", InDoubt),
            ("40004", "isv.brand-new", Refused),
            ("40004", "aop.brand-new", Misconfigured),
            ("20000", "aop.brand-new", InDoubt),
            ("20001", "aop.brand-new", Misconfigured),
            ("40002", "isv.invalid-brand-new", Misconfigured),
            ("40005", "isv.brand-new", Throttled),
            ("10000", "SYSTEM_ERROR", InDoubt),
            ("10000", "isv.brand-new", Refused),
            ("10000", "BRAND_NEW", Verdict::InDoubtFinal),
            ("50000", "", InDoubt),
            ("", "", InDoubt),
        ] {
            assert_eq!(verdict(code, sub_code), expected, "{code}/{sub_code}");
        }
    }
}
