//! What of a row names a person (user, open id, card, code), and how it is kept out of what a gateway says: its words go
//! into logs, outcomes and reports, where no such id may stand whole.

use crate::model::{Delta, Reading, Value};

use super::json::Json;

/// The columns of [`Delta::ids`] that name a person, or hold what a card is redeemed by.
const IDS: [&str; 3] = ["user_id", "open_id", "verify_code"];

/// The members with such a code inside, as JSON.
const CODES: [&str; 2] = ["code", "mdcode_info"];

/// Whether a member has a code inside that a card is redeemed by.
pub fn is_code(member: &str) -> bool {
    CODES.contains(&member)
}

/// Values shorter than this are not looked for: they would be found in every second word.
const CHARS_MIN: usize = 4;

/// The personal values of one row.
#[derive(Clone, Default)]
pub struct Personal(Vec<(&'static str, String)>);

impl Personal {
    /// Those of `delta`.
    pub fn of(delta: &Delta) -> Personal {
        let mut values = vec![("card", delta.card.to_string())];
        for name in IDS {
            values.extend(delta.id(name).map(|id| (name, id.to_owned())));
        }
        for name in CODES {
            if let Some(Value::Json(json)) = delta.member(name) {
                let texts = Json::parse(json.as_bytes()).map(|json| texts(&json)).unwrap_or_default();
                values.extend(texts.into_iter().map(|text| (name, text)));
            }
        }
        // A header loses the blanks at its ends.
        for (_, value) in &mut values {
            *value = value.trim().to_owned();
        }
        values.retain(|(_, value)| value.chars().count() >= CHARS_MIN);
        // The longest first: one may be part of another.
        values.sort_by_key(|(_, value)| std::cmp::Reverse(value.len()));
        Personal(values)
    }

    /// Takes them out of all that a gateway said.
    pub fn hide_in(&self, reading: &mut Reading) {
        let Reading { code, status, message, trace_id, result_at, .. } = reading;
        for said in [code, status, message, trace_id, result_at] {
            for (name, value) in &self.0 {
                if said.contains(value.as_str()) {
                    *said = said.replace(value.as_str(), &format!("[{name}]"));
                }
            }
        }
    }
}

/// The texts of an object's members: words of the page among them, which do no harm here.
fn texts(json: &Json<'_>) -> Vec<String> {
    match json {
        Json::Text(text) => vec![text.clone().into_owned()],
        Json::Object(members) => members.iter().flat_map(|(_, value)| texts(value)).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Field, Status, Verdict};

    fn delta() -> Delta {
        let code = r#"{"$codemsg$":"show this","$codevalue$":"8871-2290"}"#.to_owned();
        Delta {
            merchant: "M1".into(),
            card: "0029000123".into(),
            status: Status::Update,
            bill_no: Some("B1".into()),
            bill_key: Vec::new(),
            ids: vec![Field::text("user_id", "2160220037090534"), Field::text("template_code", "T5228480402")],
            members: vec![Field { name: "code".into(), value: Value::Json(code) }],
            level: None,
            riders: Vec::new(),
            last_changed_points: None,
            occurred_ms: None,
            folded: false,
            sequence: 0,
        }
    }

    #[test]
    fn what_a_gateway_repeats_of_a_person_is_not_kept() {
        let message = "user 2160220037090534 has no card 0029000123 of T5228480402 for B1 (8871-2290)";
        let mut reading = Reading::transport(Verdict::Refused, "NO_0029000123", message);
        "trace-2160220037090534".clone_into(&mut reading.trace_id);
        Personal::of(&delta()).hide_in(&mut reading);
        assert_eq!(reading.message, "user [user_id] has no card [card] of T5228480402 for B1 ([code])");
        assert_eq!((reading.code.as_str(), reading.trace_id.as_str()), ("NO_[card]", "trace-[user_id]"));
    }

    #[test]
    fn a_value_within_another_leaves_no_rest_of_it() {
        let delta = Delta { card: "0370".into(), ..delta() };
        let mut reading = Reading::transport(Verdict::Refused, "X", "2160220037090534 and 0370");
        Personal::of(&delta).hide_in(&mut reading);
        assert_eq!(reading.message, "[user_id] and [card]");
        let delta = Delta { card: "1".into(), ..delta };
        let mut reading = Reading::transport(Verdict::Refused, "HTTP_511", "1");
        Personal::of(&delta).hide_in(&mut reading);
        assert_eq!(reading.code, "HTTP_511", "too short to be looked for");
    }
}
