//! What every dialect reads from a row in the same way. Columns are looked up once, when a reader is made; a row
//! then costs an index a cell.

use std::borrow::Cow;

use jiff::tz::TimeZone;

use super::{Column, ColumnFault, RowRules};
use crate::model::moment::{self, MomentFault};
use crate::model::reject::veiled;
use crate::model::{Amount, Delta, LocalTime, Moment, Place, Reject, Rule, Status, amount};

/// The cells of one row; `None` is an absent cell.
pub type Cells<'c> = [Option<Cow<'c, str>>];

/// The columns that every dialect has.
pub const COMMON_COLUMNS: [&str; 5] = ["bill_no", "occurred_at", "sequence", "last_changed_points", "merchant_id"];

/// What is known of a common column.
pub fn common_column(name: &str) -> Option<Column> {
    COMMON_COLUMNS.contains(&name).then_some(Column { required: false, id: matches!(name, "bill_no" | "merchant_id") })
}

/// A canonical column and where its cell stands, if the rows have it.
#[derive(Clone, Debug)]
pub struct Col {
    name: String,
    at: Option<usize>,
    personal: bool,
}

/// A personal id as messages show it.
pub fn masked(id: &str) -> String {
    format!("{} ({} characters)", veiled(id), id.chars().count())
}

impl Col {
    /// Looks `name` up.
    pub fn of(columns: &[String], name: &str) -> Col {
        Col { name: name.to_owned(), at: columns.iter().position(|column| column == name), personal: false }
    }

    /// Looks `name` up, which names a person's account, card or code: no reject shows it whole.
    pub fn personal(columns: &[String], name: &str) -> Col {
        debug_assert!(super::PERSONAL.contains(&name), "{name} is listed as personal");
        Col { personal: true, ..Col::of(columns, name) }
    }

    /// The canonical name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the rows have it.
    pub fn exists(&self) -> bool {
        self.at.is_some()
    }

    /// The cell as it stands.
    pub fn cell<'a>(&self, cells: &'a Cells<'_>) -> Option<&'a str> {
        cells.get(self.at?)?.as_deref()
    }

    /// A reject for what was found in this column.
    pub fn reject(&self, rule: Rule, found: &str, expected: impl Into<String>) -> Reject {
        if self.personal && !found.is_empty() {
            return Reject::new(rule, &self.name, &masked(found), expected);
        }
        Reject::new(rule, &self.name, found, expected)
    }

    /// Text of at most `chars_max` characters.
    pub fn text<'a>(&self, cells: &'a Cells<'_>, chars_max: usize) -> Result<Option<&'a str>, Reject> {
        let text = self.cell(cells);
        match text {
            // Characters are counted only where the bytes leave a doubt.
            Some(found) if found.len() > chars_max && found.chars().count() > chars_max => {
                Err(self.reject(Rule::TooLong, found, format!("at most {chars_max} characters")))
            }
            _ => Ok(text),
        }
    }

    /// Text that every row needs.
    pub fn needed<'a>(&self, cells: &'a Cells<'_>, chars_max: usize) -> Result<&'a str, Reject> {
        self.text(cells, chars_max)?.ok_or_else(|| self.reject(Rule::Missing, "", "a value in every row"))
    }

    /// An exact decimal.
    pub fn amount(&self, cells: &Cells<'_>) -> Result<Option<Amount>, Reject> {
        let Some(found) = self.cell(cells) else { return Ok(None) };
        match Amount::parse(found) {
            Ok(amount) => Ok(Some(amount)),
            Err(fault) => Err(self.reject(Rule::NotANumber, found, format!("{fault}{}", amount::hint(found)))),
        }
    }

    /// A total of points, not below zero unless `negative_points`.
    pub fn points(&self, cells: &Cells<'_>, negative_points: bool) -> Result<Option<Amount>, Reject> {
        let amount = self.amount(cells)?;
        match amount {
            Some(points) if points.is_negative() && !negative_points => {
                let found = points.to_string();
                Err(self.reject(
                    Rule::Negative,
                    &found,
                    "a total from 0 on; `input.negative_points = true` permits less",
                ))
            }
            _ => Ok(amount),
        }
    }

    /// A time.
    pub fn time(&self, cells: &Cells<'_>, times: &LocalTime) -> Result<Option<Moment>, Reject> {
        self.moment(cells, |text| times.parse(text))
    }

    /// A time, or a date that means its last second.
    pub fn end_of_day(&self, cells: &Cells<'_>, times: &LocalTime) -> Result<Option<i64>, Reject> {
        Ok(self.moment(cells, |text| times.parse_end_of_day(text))?.map(|moment| moment.ms))
    }

    /// Refuses an instant of this column that the wire form cannot write in its zone.
    pub fn writable(&self, cells: &Cells<'_>, ms: i64, zone: &TimeZone) -> Result<(), Reject> {
        let found = self.cell(cells).unwrap_or_default();
        moment::writable_in(ms, zone).map_err(|fault| self.reject(Rule::NotATime, found, fault.to_string()))
    }

    fn moment(
        &self,
        cells: &Cells<'_>,
        parse: impl Fn(&str) -> Result<Moment, MomentFault>,
    ) -> Result<Option<Moment>, Reject> {
        let Some(found) = self.cell(cells) else { return Ok(None) };
        parse(found).map(Some).map_err(|fault| self.reject(Rule::NotATime, found, fault.to_string()))
    }

    /// One of a few words.
    pub fn word<T: Copy>(&self, cells: &Cells<'_>, words: &[(&str, T)]) -> Result<Option<T>, Reject> {
        let Some(found) = self.cell(cells) else { return Ok(None) };
        let value = words.iter().find(|(word, _)| *word == found).map(|(_, value)| *value);
        value.map(Some).ok_or_else(|| {
            let words: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            self.reject(Rule::NotAWord, found, words.join(" or "))
        })
    }

    /// One of a few words that mean themselves.
    pub fn one_of(&self, cells: &Cells<'_>, words: &[&'static str]) -> Result<Option<&'static str>, Reject> {
        let Some(found) = self.cell(cells) else { return Ok(None) };
        let word = words.iter().find(|word| **word == found);
        word.map(|word| Some(*word)).ok_or_else(|| self.reject(Rule::NotAWord, found, words.join(" or ")))
    }
}

/// The merchants that rows may name; the first is meant where a row names none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merchants(Vec<String>);

impl Merchants {
    /// `first`, and others.
    pub fn new(first: &str, others: &[&str]) -> Merchants {
        let mut all = vec![first.to_owned()];
        all.extend(others.iter().filter(|other| **other != first).map(|other| (*other).to_owned()));
        Merchants(all)
    }

    /// The merchant that a row means.
    fn of<'a>(&'a self, column: &Col, cells: &Cells<'_>) -> Result<&'a str, Reject> {
        match column.cell(cells) {
            None => Ok(&self.0[0]),
            Some(found) => self.0.iter().find(|known| *known == found).map(String::as_str).ok_or_else(|| {
                column.reject(
                    Rule::Merchant,
                    found,
                    format!("{}; name others under `gateway.merchants`", self.0.join(" or ")),
                )
            }),
        }
    }
}

/// Reads the common columns.
pub struct Common {
    bill_no: Col,
    occurred_at: Col,
    sequence: Col,
    last_changed_points: Col,
    merchant_id: Col,
    merchants: Merchants,
    /// The columns of `bill_key` beside `bill_no`.
    bill_key: Vec<Col>,
    require_bill_no: bool,
    times: LocalTime,
}

impl Common {
    /// Looks the common columns up among `columns`, and sees that each of them stands once and that the dialect
    /// (`known`) or the bill's key has a use for it.
    pub fn new(
        columns: &[String],
        rules: &RowRules,
        merchants: &Merchants,
        known: impl Fn(&str) -> Option<Column>,
    ) -> Result<Common, ColumnFault> {
        let fault = |column: &str, text: &str| Err(ColumnFault { column: column.to_owned(), text: text.to_owned() });
        for (at, column) in columns.iter().enumerate() {
            if columns[..at].contains(column) {
                return fault(column, "stands twice; map one of them to another name under [input.columns]");
            }
            if known(column).is_none() && !rules.bill_key.contains(column) {
                return fault(
                    column,
                    "is not sent by this dialect; map it to another name or list it in `input.ignore`",
                );
            }
        }
        if !rules.bill_key.iter().any(|column| column == "bill_no") {
            return fault("bill_no", "is missing from `input.bill_key`; a bill has no other name");
        }
        let bill_key = rules.bill_key.iter().filter(|column| *column != "bill_no");
        for column in bill_key.clone() {
            if known(column).is_none() && !columns.contains(column) {
                return fault(column, "is named in `input.bill_key`, and the input has no such column");
            }
        }
        let of = |name| Col::of(columns, name);
        Ok(Common {
            bill_no: of("bill_no"),
            occurred_at: of("occurred_at"),
            sequence: of("sequence"),
            last_changed_points: of("last_changed_points"),
            merchant_id: of("merchant_id"),
            merchants: merchants.clone(),
            bill_key: bill_key.map(|column| of(column)).collect(),
            require_bill_no: rules.require_bill_no,
            times: rules.times.clone(),
        })
    }

    /// A delta of `card` that has the common columns and changes nothing yet.
    pub fn begin(&self, cells: &Cells<'_>, card: &str, status: Status) -> Result<Delta, Reject> {
        let bill_no = self.bill_no.cell(cells);
        if bill_no.is_none() && self.require_bill_no {
            return Err(self.missing_bill("a bill number in every row, as `input.require_bill_no` wants it"));
        }
        let occurred = self.occurred_at.time(cells, &self.times)?;
        Ok(Delta {
            merchant: self.merchants.of(&self.merchant_id, cells)?.into(),
            card: card.into(),
            status,
            bill_no: bill_no.map(Into::into),
            bill_key: Vec::new(),
            ids: Vec::new(),
            members: Vec::new(),
            level: None,
            riders: Vec::new(),
            last_changed_points: self.last_changed_points.amount(cells)?,
            occurred_ms: occurred.map(|moment| moment.ms),
            folded: occurred.is_some_and(|moment| moment.folded),
            sequence: self.sequence(cells)?.or_else(|| occurred.and_then(beyond_ms)).unwrap_or_default(),
        })
    }

    /// Completes the bill's key once the delta has all else: values that were defaulted or derived stand in it as
    /// they are meant, others as the cell has them.
    pub fn finish(&self, cells: &Cells<'_>, delta: &mut Delta) {
        let part = |column: &Col| {
            let fields = delta.ids.iter().chain(&delta.members);
            match fields.into_iter().find(|field| field.name == column.name) {
                Some(field) => field.value.text(),
                None if column.name == "status" => delta.status.as_str().to_owned(),
                None => column.cell(cells).unwrap_or_default().to_owned(),
            }
        };
        let key = self.bill_key.iter().map(part).collect();
        delta.bill_key = key;
    }

    /// A reject for a row that lacks its bill.
    pub fn missing_bill(&self, expected: &str) -> Reject {
        self.bill_no.reject(Rule::MissingBill, "", expected)
    }

    fn sequence(&self, cells: &Cells<'_>) -> Result<Option<i64>, Reject> {
        let Some(found) = self.sequence.cell(cells) else { return Ok(None) };
        let number = found.parse().ok().filter(|number| *number < Place::BEYOND_MS);
        let fault = || self.sequence.reject(Rule::NotANumber, found, "a whole number of at most 18 digits");
        number.map(Some).ok_or_else(fault)
    }
}

/// Where a row has no sequence, what its time has beyond the millisecond orders it among those of the same one.
fn beyond_ms(moment: Moment) -> Option<i64> {
    (moment.ns > 0).then(|| Place::BEYOND_MS + i64::from(moment.ns))
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;
    use proptest::prelude::*;

    use super::*;
    use crate::model::{Field, Value};

    fn rules(bill_key: &[&str]) -> RowRules {
        RowRules {
            bill_key: bill_key.iter().map(|column| (*column).to_owned()).collect(),
            require_bill_no: false,
            negative_points: false,
            times: LocalTime { zone: TimeZone::UTC },
        }
    }

    fn names(columns: &[&str]) -> Vec<String> {
        columns.iter().map(|column| (*column).to_owned()).collect()
    }

    fn common(columns: &[&str], rules: &RowRules) -> Result<Common, ColumnFault> {
        Common::new(&names(columns), rules, &Merchants::new("m1", &["m2"]), common_column)
    }

    fn begin(columns: &[&str], cells: &[&str]) -> Result<Delta, Reject> {
        let cells: Vec<_> = cells.iter().map(|cell| (!cell.is_empty()).then_some(Cow::Borrowed(*cell))).collect();
        common(columns, &rules(&["bill_no"])).unwrap().begin(&cells, "card", Status::Update)
    }

    #[test]
    fn common_columns_in_any_order() {
        let delta = begin(
            &["sequence", "merchant_id", "bill_no", "last_changed_points", "occurred_at"],
            &["-7", "m2", "0012", "-1.50", "2023-12-18T02:33:31Z"],
        )
        .unwrap();
        assert_eq!((delta.sequence, delta.merchant.as_str(), delta.bill_no.as_deref()), (-7, "m2", Some("0012")));
        assert_eq!(
            (delta.last_changed_points.unwrap().to_string(), delta.occurred_ms),
            ("-1.5".into(), Some(1_702_866_811_000))
        );
        let time = "2023-12-18 10:33:31.123456";
        let of_time = |sequence| begin(&["occurred_at", "sequence"], &[time, sequence]).unwrap().sequence;
        assert_eq!(
            (of_time(""), of_time("3")),
            (Place::BEYOND_MS + 456_000, 3),
            "microseconds order rows, unless the file does"
        );
        let bare = begin(&[], &[]).unwrap();
        assert_eq!((bare.merchant.as_str(), bare.bill_no, bare.occurred_ms, bare.sequence), ("m1", None, None, 0));
    }

    #[test]
    fn cells_that_are_not_what_they_should_be() {
        for (column, cell, rule) in [
            ("merchant_id", "m3", Rule::Merchant),
            ("last_changed_points", "1e3", Rule::NotANumber),
            ("occurred_at", "1702866811", Rule::NotATime),
            ("sequence", "1.5", Rule::NotANumber),
            ("sequence", "9223372036854775807", Rule::NotANumber),
        ] {
            let reject = begin(&[column], &[cell]).unwrap_err();
            assert_eq!((reject.rule, reject.column.as_str()), (rule, column), "{cell}");
        }
        let mut strict = rules(&["bill_no"]);
        strict.require_bill_no = true;
        let reject = common(&[], &strict).unwrap().begin(&[], "card", Status::Update).unwrap_err();
        assert_eq!(reject.rule, Rule::MissingBill);
    }

    #[test]
    fn a_bill_key_takes_what_is_meant_before_what_is_written() {
        let cells = ["b", "shop 9", "7.50"].map(|cell| Some(Cow::Borrowed(cell)));
        let rules = rules(&["shop", "points", "bill_no", "status", "sequence"]);
        let known = |name: &str| (name != "shop").then_some(Column { required: false, id: false });
        let columns = names(&["bill_no", "shop", "points"]);
        let common = Common::new(&columns, &rules, &Merchants::new("m1", &[]), known).unwrap();
        let mut delta = common.begin(&cells, "card", Status::Update).unwrap();
        delta.members.push(Field { name: "points".into(), value: Value::Number(Amount::parse("7.50").unwrap()) });
        common.finish(&cells, &mut delta);
        assert_eq!(delta.bill_key, ["shop 9", "7.5", "UPDATE", ""]);
    }

    #[test]
    fn columns_that_cannot_be_read() {
        for (columns, key, column) in [
            (&["bill_no", "bill_no"][..], &["bill_no"][..], "bill_no"),
            (&["shop"], &["bill_no"], "shop"),
            (&["bill_no"], &["bill_no", "shop"], "shop"),
            (&["shop"], &["shop"], "bill_no"),
        ] {
            assert_eq!(common(columns, &rules(key)).err().unwrap().column, column);
        }
    }

    #[test]
    fn a_reject_shows_no_personal_id() {
        let column = Col::personal(&names(&["user_id"]), "user_id");
        let reject = column.text(&[Some(Cow::Borrowed("2160220037090534"))], 8).unwrap_err();
        assert_eq!(reject.found, "\"2160… (16 characters)\"");
        for (code, shown) in [("4711", "\"4… (4 characters)\""), ("12", "\"… (2 characters)\"")] {
            assert_eq!(column.reject(Rule::Combination, code, "").found, shown, "a code is short");
        }
    }

    proptest! {
        #[test]
        fn lengths_are_counted_in_characters(text in ".{1,12}", chars_max in 1_usize..12) {
            let cells = [Some(Cow::Borrowed(text.as_str()))];
            let fits = Col::of(&names(&["t"]), "t").text(&cells, chars_max).is_ok();
            prop_assert_eq!(fits, text.chars().count() <= chars_max);
        }
    }
}
