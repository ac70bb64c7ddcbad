use std::borrow::Cow;

use super::super::tests::{put, rules, settings};
use super::super::{Kind, Reader};
use super::*;
use crate::wire::entry;
use crate::wire::setting::no_vault;

fn dialect() -> Box<dyn Dialect> {
    let table = toml::toml! { merchant_id = "2160120036095023" client_id = "2110200000000044" };
    entry("alipayhk-card").unwrap().open(&table, &no_vault).unwrap()
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn lay(header: &[&str], settings: &settings::Input) -> Result<Layout, LayoutFault> {
    Layout::new(&owned(header), &vec![Kind::Text; header.len()], settings, dialect().as_ref())
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
}

#[test]
fn columns_come_by_name_by_mapping_and_by_default() {
    let mut settings = settings();
    settings.columns = pairs(&[("bill_no", "BILL_NO"), ("points", "score")]);
    settings.defaults = pairs(&[("user_id", "2088"), ("status", "UPDATE")]);
    settings.ignore = owned(&["balance"]);
    let header = ["pass_id", "note", "BILL_NO", "status", "level.zh_HK", "score", "balance", "_line", "_run", "_mine"];
    let layout = lay(&header, &settings).unwrap();
    assert_eq!(layout.columns(), ["pass_id", "bill_no", "status", "level.zh_HK", "points", "user_id"]);
    assert_eq!((layout.kept.clone(), layout.ignored.clone()), (owned(&["note"]), owned(&["balance"])));
    assert_eq!(layout.defaulted, ["user_id"]);
    assert_eq!(layout.sent[1], ("bill_no".to_owned(), "BILL_NO".to_owned()));
    assert_eq!(layout.meta(), Meta { outcome: None, run: Some(8), source: None, line: Some(7) });
    assert_eq!(layout.needed(), [0, 2, 3, 4, 5, 8, 7]);
}

#[test]
fn defaults_fill_empty_cells_only_when_asked() {
    let dir = tempfile::tempdir().unwrap();
    let input = put(dir.path(), "a.csv", "pass_id,status\n7,\n");
    let mut settings = settings();
    settings.defaults = pairs(&[("status", "CLOSED"), ("user_id", "2088")]);
    for (fill, expected) in
        [(false, [Some("7"), None, Some("2088")]), (true, [Some("7"), Some("CLOSED"), Some("2088")])]
    {
        settings.defaults_fill_empty = fill;
        let mut reader = Reader::open(&input, &rules()).unwrap();
        let layout = Layout::new(reader.header(), &reader.kinds(), &settings, dialect().as_ref()).unwrap();
        let mut out = Vec::new();
        layout.project(reader.next().unwrap().unwrap().cells.unwrap(), &mut out);
        assert_eq!(out, expected.map(|cell| cell.map(Cow::Borrowed)), "{fill}");
    }
}

#[test]
fn names_that_nearly_fit_stop_the_job() {
    for (name, near) in [
        ("Points", "points"),
        ("point", "points"),
        ("piont", "points"),
        ("bill no", "bill_no"),
        ("BillNo", "bill_no"),
        ("passid", "pass_id"),
        ("level_zh_HK", "level.<locale>"),
        (" level.zh_HK", "level.<locale>"),
        ("Level.en_US", "level.<locale>"),
        ("levl.zh_HK", "level.<locale>"),
        ("data-x", "data.<name>"),
    ] {
        let fault = lay(&["pass_id", name], &settings()).unwrap_err();
        assert!(fault.to_string().contains(&format!("`{name}` is nearly `{near}`")), "{fault}");
        let mut settings = settings();
        settings.ignore = owned(&[name]);
        lay(&["pass_id", name], &settings).unwrap();
    }
    for name in ["note", "store", "amount", "customer_name", "level2text", "created", "db_date"] {
        assert_eq!(lay(&["pass_id", name], &settings()).unwrap().kept, [name]);
    }
}

#[test]
fn columns_that_only_other_dialects_send_stop_the_job() {
    for name in ["balance", "card_no", "verify_code"] {
        let fault = lay(&["pass_id", name], &settings()).unwrap_err();
        assert!(fault.to_string().contains(&format!("alipayhk-card cannot send the column `{name}`")), "{fault}");
    }
}

#[test]
fn all_faults_are_told_together() {
    let mut settings = settings();
    settings.columns = pairs(&[("points", "score"), ("poins", "x")]);
    settings.defaults = pairs(&[("statsu", "UPDATE")]);
    let fault = lay(&["passid", "", "x", "x", "Status"], &settings).unwrap_err();
    let text = fault.to_string();
    for part in [
        "column 2 of the header has no name",
        "`x` twice, as columns 3 and 4",
        "points = \"score\": the file has no such column",
        "[input.columns] poins: alipayhk-card has no such column; did you mean `points`?",
        "[input.defaults] statsu",
        "`passid` is nearly `pass_id`",
        "`Status` is nearly `status`",
        "the required column `pass_id` is missing",
        "the nearest is `passid`",
    ] {
        assert!(text.contains(part), "{part}\nin\n{text}");
    }
}

#[test]
fn a_row_in_the_place_of_names_is_veiled() {
    let row = ["20260000000000000001", "2088123456789012", "100", "gold", "ann@example.com", "2088123456789012"];
    let said = lay(&row, &settings()).unwrap_err().to_string();
    assert!(said.contains("its first line looks like a row") && said.contains("`gold`"), "{said}");
    assert!(row.iter().filter(|cell| cell.len() > 4).all(|cell| !said.contains(cell)), "{said}");
}

#[test]
fn two_columns_for_one_name_are_a_fault() {
    let mut settings = settings();
    settings.columns = pairs(&[("points", "score")]);
    let fault = lay(&["pass_id", "points", "score"], &settings).unwrap_err();
    assert!(fault.to_string().contains("`points` is mapped to the column `score`"), "{fault}");
    settings.ignore = owned(&["score"]);
    assert!(lay(&["pass_id", "score"], &settings).unwrap_err().to_string().contains("take one away"));
}

#[test]
fn kinds_that_cannot_be_read_or_are_no_ids_are_a_fault_where_they_are_needed() {
    let nested = Kind::Unreadable("a list".to_owned());
    let with = |kind: Kind, name: &str| {
        Layout::new(&owned(&["pass_id", name]), &[Kind::Text, kind], &settings(), dialect().as_ref())
    };
    let float = with(Kind::Float, "bill_no").unwrap_err();
    assert!(float.is_of_input && float.to_string().contains("digits are already lost"), "{float}");
    let decimal = with(Kind::Decimal, "bill_no").unwrap_err();
    assert!(decimal.is_of_input && decimal.to_string().contains("leading zeros are already lost"), "{decimal}");
    assert!(with(Kind::Decimal, "points").is_ok());
    assert!(with(Kind::Float, "points").is_ok());
    assert!(with(nested.clone(), "points").unwrap_err().to_string().contains("it is a list"));
    assert_eq!(with(nested, "note").unwrap().kept, ["note"]);
}

#[test]
fn a_person_may_vouch_for_a_column() {
    let mut settings = settings();
    settings.verbatim = owned(&["bill_no"]);
    let with = |kind: Kind, settings: &settings::Input| {
        Layout::new(&owned(&["pass_id", "bill_no"]), &[Kind::Text, kind], settings, dialect().as_ref())
    };
    assert!(with(Kind::Decimal, &settings).is_ok());
    assert!(with(Kind::Float, &settings).is_err(), "digits that are lost are no one's to vouch for");
    settings.verbatim = owned(&["bil_no"]);
    let fault = with(Kind::Text, &settings).unwrap_err();
    assert!(!fault.is_of_input && fault.to_string().contains("did you mean `bill_no`"), "{fault}");
}
