//! What a newcomer does first: the demos, with the real binary, as the README says.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use arrow::array::{Array, RecordBatch, StringArray, TimestampMillisecondArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;

fn passync(words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_passync"));
    command.current_dir(env!("CARGO_MANIFEST_DIR")).env_remove("PASSYNC_LOG").args(words);
    command.output().expect("the binary was built with the tests")
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Runs a command with `--json`, and reads its answer.
fn report(words: &[&str], exit: i32) -> Value {
    let output = passync(&[words, &["--json"]].concat());
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(exit), "{words:?}\n{said}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{words:?}: {error}"))
}

/// The lines of `outcomes.csv`, a map of columns each.
fn outcomes(dir: &Path) -> Vec<BTreeMap<String, String>> {
    let mut reader = csv::Reader::from_path(dir.join("outcomes.csv")).unwrap();
    reader.deserialize().map(Result::unwrap).collect()
}

fn dir_of(report: &Value) -> PathBuf {
    PathBuf::from(report["dir"].as_str().unwrap())
}

#[test]
fn the_demo_ends_well_every_time() {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().to_str().unwrap();
    for _ in 0..2 {
        let output = passync(&["run", "jobs/demo.toml", "--out", to]);
        let text = out(&output);
        assert_eq!(output.status.code(), Some(0), "{text}{}", String::from_utf8_lossy(&output.stderr));
        for part in ["demo: all is well, 5,000 rows settled\n", "retries", "the quota is 2000/1s", "Next: nothing"] {
            assert!(text.contains(part), "{part}\n{text}");
        }
    }
    let latest = folder.path().join("demo/latest");
    let manifest: Value = serde_json::from_slice(&fs::read(latest.join("manifest.json")).unwrap()).unwrap();
    assert!(manifest["calls"]["in_doubt"].as_u64() > Some(100), "the sandbox misbehaves: {}", manifest["calls"]);
    assert!(!Path::new(manifest["ledger"].as_str().unwrap()).exists(), "the ledger goes with the sandbox");
    assert_eq!(fs::read_dir(folder.path().join("demo")).unwrap().count(), 3, "two runs and `latest`");
}

/// What tells apart two runs of the same rows, or two files with the same rows.
const VOLATILE: [&str; 8] =
    ["source", "line", "carried_by", "first_sent_at", "settled_at", "latency_ms", "trace_id", "result_at"];

#[test]
fn csv_and_parquet_of_the_same_rows_end_alike() {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().to_str().unwrap();
    // Throttles depend on the moment, the other faults on bill and attempt alone.
    let run = |more: &[&str]| {
        let words = ["run", "jobs/demo.toml", "--out", to, "--set", "sandbox.faults=unknown=2%,drop-after=1%,heal=3"];
        report(&[&words[..], more].concat(), 0)
    };
    let (csv, parquet) = (run(&[]), run(&["--set", "input.files=../fixtures/demo.parquet"]));
    let ends = |report: &Value| {
        let mut lines = outcomes(&dir_of(report));
        for line in &mut lines {
            line.retain(|column, _| !VOLATILE.contains(&column.as_str()));
        }
        lines
    };
    let (from_csv, from_parquet) = (ends(&csv), ends(&parquet));
    assert_eq!(from_csv.len(), 5_000);
    for (at, (one, other)) in from_csv.iter().zip(&from_parquet).enumerate() {
        assert_eq!(one, other, "row {}", at + 1);
    }
    for run in [&csv, &parquet] {
        assert_eq!(report(&["reconcile", run["dir"].as_str().unwrap()], 0)["proved"], true);
    }
    assert_eq!(csv["rows"], parquet["rows"]);
    assert_eq!(csv["calls"]["attempts"], parquet["calls"]["attempts"]);
    assert_eq!(
        fs::read_dir(dir_of(&parquet))
            .unwrap()
            .filter(|entry| { entry.as_ref().unwrap().file_name() == "failures.parquet" })
            .count(),
        1,
        "failures keep the input's format"
    );
}

/// The columns of `outcomes.parquet` as the lines of `outcomes.csv`.
fn outcomes_parquet(dir: &Path) -> Vec<BTreeMap<String, String>> {
    let file = fs::File::open(dir.join("outcomes.parquet")).unwrap();
    let batches: Vec<RecordBatch> =
        ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap().map(Result::unwrap).collect();
    let mut lines = Vec::new();
    for batch in batches {
        let texts: Vec<(String, Vec<String>)> = batch
            .schema()
            .fields()
            .iter()
            .zip(batch.columns())
            .map(|(field, column)| (field.name().clone(), texts(column)))
            .collect();
        lines.extend((0..batch.num_rows()).map(|row| {
            texts.iter().map(|(name, column)| (name.clone(), column[row].clone())).collect::<BTreeMap<_, _>>()
        }));
    }
    lines
}

fn texts(column: &dyn Array) -> Vec<String> {
    if let Some(times) = column.as_any().downcast_ref::<TimestampMillisecondArray>() {
        let text = |ms: Option<i64>| ms.map(passync::model::moment::rfc3339_ms).unwrap_or_default();
        return times.iter().map(text).collect();
    }
    let words = cast(column, &DataType::Utf8).unwrap();
    let words = words.as_any().downcast_ref::<StringArray>().unwrap();
    words.iter().map(Option::unwrap_or_default).map(str::to_owned).collect()
}

/// The commands that the last screen ends with.
fn next_commands(report: &Value) -> Vec<Vec<String>> {
    let lines = report["next"].as_array().unwrap().iter().map(|line| line.as_str().unwrap());
    lines.map(|line| line.split(' ').skip(1).map(str::to_owned).collect()).collect()
}

#[test]
fn failures_are_replayed_until_none_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (to, state) = (at("out"), at("state"));
    let run = report(
        &["run", "jobs/demo-failures.toml", "--out", &to, "--state", &state, "--set", "output.format=parquet"],
        1,
    );
    let (failed, open) = (&run["rows"]["failure_codes"], run["open_rows"].as_u64().unwrap());
    assert!(failed["PASS_STATUS_ILLEGAL"].as_u64() > Some(10) && open > 10, "{failed}");
    let lines = outcomes_parquet(&dir_of(&run));
    let count = |class: &str| lines.iter().filter(|line| line["outcome"] == class).count() as u64;
    assert_eq!(lines.len(), 5_000);
    assert_eq!(count("unknown") + count("held"), open);
    assert_eq!(count("refused"), failed["PASS_STATUS_ILLEGAL"].as_u64().unwrap());

    assert_eq!(report(&["reconcile", run["dir"].as_str().unwrap()], 0)["proved"], true);

    let [replay, person] = &next_commands(&run)[..] else { panic!("{}", run["next"]) };
    assert!(person.iter().any(|word| word == "refused"), "{person:?}");
    let words: Vec<&str> = replay.iter().map(String::as_str).collect();
    assert_eq!(words[..2], ["replay", "jobs/demo-failures.toml"]);
    let replayed = report(&words, 0);
    assert_eq!(replayed["rows"]["outcomes"]["applied"]["rows"], open);
    assert_eq!(replayed["rows"]["passed_over"]["rows"], count("refused"));
    assert_eq!((replayed["open_rows"].as_u64(), next_commands(&replayed).len()), (Some(0), 0));

    let again = report(&words, 0);
    assert_eq!(again["calls"]["attempts"], 0, "the ledger knows: nothing is sent twice");
}

#[test]
fn a_replay_wants_a_ledger_that_stays() {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().to_str().unwrap();
    let output = passync(&["run", "jobs/demo-failures.toml", "--out", to]);
    let text = out(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("The ledger was thrown away with the sandbox"), "{text}");
    assert!(text.contains("run jobs/demo-failures.toml --state state/demo-failures --out"), "{text}");
}
