//! Which wire form a call is of. Pure.
//!
//! The path tells most of it. The dialects of `updatePass` share one, and no header says which of them is spoken: the
//! vendor knows the kind of each pass, and a sandbox does not. So the body decides, for an update names its kind, and
//! `USED` is known to one of them alone: each dialect of the path reads the call, and the first that can has it. What
//! both can read is one call in either: a `CLOSED` is byte for byte the same.

use std::sync::Arc;

use crate::wire::crypto::Verifier;
use crate::wire::{Call, CallFault, Dialect, Request};

/// A call, and the wire form that it was read in.
pub(super) struct Heard {
    pub(super) dialect: Arc<dyn Dialect>,
    pub(super) call: Result<Call, CallFault>,
}

/// Reads a call in whichever dialect it is; `None` where none of them is served at this path with this method.
pub(super) fn hear(dialects: &[Arc<dyn Dialect>], method: &str, request: &Request, key: &Verifier) -> Option<Heard> {
    let mut unread = Vec::new();
    for dialect in dialects.iter().filter(|dialect| serves(&***dialect, method, &request.target)) {
        match dialect.read_call(request, key) {
            Ok(call) => return Some(Heard { dialect: Arc::clone(dialect), call: Ok(call) }),
            Err(fault) => unread.push((Arc::clone(dialect), fault)),
        }
    }
    turned_away(unread)
}

fn serves(dialect: &dyn Dialect, method: &str, target: &str) -> bool {
    let rest = target.strip_prefix(dialect.path());
    dialect.methods().contains(&method) && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('?'))
}

/// Nobody can read it: the form that came furthest with it answers, and where several came as far, what each found in
/// the call is told.
fn turned_away(mut unread: Vec<(Arc<dyn Dialect>, CallFault)>) -> Option<Heard> {
    let furthest = unread.iter().map(|(_, fault)| steps(fault)).max()?;
    unread.retain(|(_, fault)| steps(fault) == furthest);
    let texts: Vec<String> = unread
        .iter()
        .filter_map(|(dialect, fault)| match fault {
            CallFault::Parameter(text) => Some(format!("{}: {text}", dialect.name())),
            _ => None,
        })
        .collect();
    let (dialect, fault) = unread.swap_remove(0);
    let fault = if texts.len() > 1 { CallFault::Parameter(texts.join("; ")) } else { fault };
    Some(Heard { dialect, call: Err(fault) })
}

/// How far a call came: the client is looked at first, then the signature, then what stands in it.
fn steps(fault: &CallFault) -> u8 {
    match fault {
        CallFault::Client(_) => 0,
        CallFault::Signature(_) => 1,
        CallFault::Parameter(_) => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::CLIENT;
    use super::*;
    use crate::wire::{self, setting};

    const UPDATE_PASS: &str = "/api/open/alipay/v1/ipass/pass/manage/updatePass";

    fn dialect(name: &str, client: &str) -> Arc<dyn Dialect> {
        let table = format!("merchant_id = 'M1'\nclient_id = '{client}'\napp_id = '{client}'").parse().unwrap();
        wire::entry(name).unwrap().open(&table, &setting::no_vault).unwrap().into()
    }

    fn all() -> Vec<Arc<dyn Dialect>> {
        wire::DIALECTS.iter().map(|entry| dialect(entry.name, "21")).collect()
    }

    /// Who has a call, and what is wrong with it.
    fn heard(speaker: &str, client: &str, body: &str) -> (&'static str, Option<String>) {
        let request = dialect(speaker, client).request(body.as_bytes(), 0, &CLIENT);
        let heard = hear(&all(), "POST", &request, &CLIENT.public()).unwrap();
        (heard.dialect.name(), heard.call.err().map(|fault| fault.to_string()))
    }

    fn pass(rest: &str) -> String {
        format!(r#"{{"merchantId":"M1","userId":"2088","passId":"P1",{rest}}}"#)
    }

    #[test]
    fn the_body_tells_the_dialects_of_one_path_apart() {
        for (speaker, rest, expected) in [
            (
                "alipayhk-card",
                r#""status":"UPDATE","updateDetailType":"UPDATE_MEMBER_CARD","endDate":"1""#,
                "alipayhk-card",
            ),
            ("intl-pass", r#""status":"USED","passVerifyCode":"1""#, "intl-pass"),
            ("intl-pass", r#""status":"USED","verifyCode":"1""#, "intl-pass"),
            (
                "intl-pass",
                r#""status":"UPDATE","updateDetailType":"UPDATE_SCORE","dataInfo":{"fr_FR":{"$score$":"1"}}"#,
                "intl-pass",
            ),
            (
                "intl-pass",
                r#""status":"UPDATE","updateType":"UPDATE_LEVEL","dataInfo":"{\"en_US\":{\"$level$\":\"1\"}}""#,
                "intl-pass",
            ),
            ("intl-pass", r#""status":"CLOSED""#, "alipayhk-card"),
        ] {
            assert_eq!(heard(speaker, "21", &pass(rest)), (expected, None), "{rest}");
        }
        let card = r#"{"target_card_no":"C1","target_card_no_type":"BIZ_CARD","occur_time":"2026-11-21 10:20:30",
            "card_info":{"open_date":"2014-02-20 21:20:46","valid_date":"2030-02-20 21:20:46","point":"88"}}"#;
        assert_eq!(heard("marketing-card", "21", card), ("marketing-card", None));
    }

    #[test]
    fn what_nobody_can_read_is_told_by_all_who_came_as_far() {
        let (_, fault) = heard("intl-pass", "21", &pass(r#""status":"USED""#));
        let fault = fault.unwrap();
        assert!(fault.contains("alipayhk-card: status") && fault.contains("intl-pass: passVerifyCode"), "{fault}");
        let (name, fault) = heard("intl-pass", "22", &pass(r#""status":"CLOSED""#));
        assert_eq!((name, fault.unwrap().as_str()), ("alipayhk-card", "client: client-id 22 is not known"));
        let mine = [dialect("alipayhk-card", "22"), dialect("intl-pass", "21")];
        let request = mine[1].request(pass(r#""status":"USED""#).as_bytes(), 0, &CLIENT);
        let heard = hear(&mine, "POST", &request, &CLIENT.public()).unwrap();
        assert_eq!(heard.dialect.name(), "intl-pass", "the client is theirs");
        assert!(heard.call.unwrap_err().to_string().starts_with("parameter: passVerifyCode"));
    }

    #[test]
    fn other_paths_and_methods_are_nobodys() {
        let hears = |method, target: &str| {
            let request = Request { target: target.to_owned(), headers: vec![], body: vec![] };
            hear(&all(), method, &request, &CLIENT.public()).map(|heard| heard.dialect.name())
        };
        assert_eq!(hears("POST", "/gateway.do?app_id=1"), Some("marketing-card"));
        assert_eq!(hears("GET", "/gateway.do"), Some("marketing-card"), "some clients put all into the query");
        assert_eq!(hears("POST", UPDATE_PASS), Some("alipayhk-card"));
        for (method, target) in [("GET", UPDATE_PASS), ("PUT", "/gateway.do"), ("POST", "/gateway.doit"), ("POST", "/")]
        {
            assert_eq!(hears(method, target), None, "{method} {target}");
        }
    }
}
