//! Nested columns of Parquet say what JSON cells of CSV say: the ledger takes the one for the other.

use std::fs::File;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Decimal128Array, ListArray, RecordBatch, StringArray, StructArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{Field, Fields};
use parquet::arrow::ArrowWriter;

use super::Bench;

const CARDS: [&str; 2] = ["card-1", "card-2"];
const DATE: &str = "2026-01-02 08:00:00";

fn texts(values: [Option<&str>; 2]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

fn object(members: Vec<(&str, ArrayRef)>) -> StructArray {
    let fields: Fields =
        members.iter().map(|(name, column)| Field::new(*name, column.data_type().clone(), true)).collect();
    StructArray::new(fields, members.into_iter().map(|(_, column)| column).collect(), None)
}

fn parquet(bench: &Bench) {
    let stamps = Decimal128Array::from(vec![12_345_678_901_234_567_890, 7]).with_precision_and_scale(20, 0).unwrap();
    let code = object(vec![
        ("code_status", texts([Some("SUCCESS"), Some("FAIL_RETRY")])),
        ("code_value", texts([Some("é \"9\""), None])),
        ("expire_time", texts([Some("2027-01-01 00:00:00"), None])),
        ("time_stamp", Arc::new(stamps)),
    ]);
    let lines =
        object(vec![("label", texts([Some("會員"), Some("等級")])), ("value", texts([Some("七"), Some("金\\卡")]))]);
    let item = Arc::new(Field::new("item", lines.data_type().clone(), true));
    // Both lines on the first card, none on the second.
    let front =
        ListArray::new(item, OffsetBuffer::new(vec![0, 2, 2].into()), Arc::new(lines), Some(vec![true, false].into()));
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("bill_no", texts([Some("b1"), Some("b2")])),
        ("card_no", texts(CARDS.map(Some))),
        ("open_date", texts([Some(DATE); 2])),
        ("valid_date", texts([Some(DATE); 2])),
        ("occurred_at", texts([Some(DATE); 2])),
        ("mdcode_info", Arc::new(code)),
        ("front_text_list", Arc::new(front)),
    ];
    let batch =
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true)));
    let batch = batch.unwrap();
    let mut writer =
        ArrowWriter::try_new(File::create(bench.path("in.parquet")).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

#[test]
fn nested_columns_are_the_same_content_as_json_cells() {
    let bench = Bench::new("in.csv", "");
    let job = "name = 'hostile'\ndialect = 'marketing-card'\ninput.files = ['in.csv']\ngateway.url = 'sandbox'\n\
               gateway.app_id = '2014072300007148'\n";
    bench.write("job.toml", job);
    let cells = [
        r#""{""time_stamp"": 12345678901234567890, ""code_status"": ""SUCCESS"", ""code_value"": ""é \""9\"""", ""expire_time"": ""2027-01-01 00:00:00""}","[{""label"":""會員"",""value"":""七""},{""value"":""金\\卡"",""label"":""等級""}]""#,
        r#""{""code_status"":""FAIL_RETRY"",""time_stamp"":7}","#,
    ];
    let rows: String =
        (0..2).map(|at| format!("b{},{},{DATE},{DATE},{DATE},{}\n", at + 1, CARDS[at], cells[at])).collect();
    bench.write(
        "in.csv",
        format!("bill_no,card_no,open_date,valid_date,occurred_at,mdcode_info,front_text_list\n{rows}"),
    );
    let (exit, said) = bench.said(&["run", "job.toml", "--state", "state"]);
    assert_eq!(exit, 0, "{said}");

    parquet(&bench);
    let (exit, said) = bench.said(&["run", "job.toml", "--state", "state", "--input", "in.parquet"]);
    assert_eq!(exit, 0, "{said}");
    let manifest = std::fs::read(bench.path("out/hostile/latest/manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    assert_eq!(manifest["rows"]["outcomes"]["already_applied"]["rows"], 2, "{manifest}");

    let (exit, said) =
        bench.said(&["check", "job.toml", "--input", "in.parquet", "--set", "input.columns.ext_info=mdcode_info"]);
    assert_eq!(exit, 2, "{said}");
    assert!(said.contains("the column `mdcode_info` is nested") && said.contains("`ext_info` is not"), "{said}");
}
