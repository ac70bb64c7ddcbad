//! `reconcile`: a run is proved from its files, and what is tampered with is found, and only that.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::stage::finish_by_in;
use super::stops::wait_for;
use super::{Night, as_csv, deltas, faulty, scripted};

/// A run with rows of every kind: applied, unknown, held, a duplicate, and one that is rejected and in no sum.
fn night() -> Night {
    let rows = deltas(20, 3);
    let night =
        Night::new(scripted(&[(&rows[15].bill, "unknown")]), "retry.attempts_max = 2\ninput.rejects_max = '100%'");
    let mut text = as_csv(&rows);
    text += text.clone().lines().nth(1).unwrap();
    text += "\nbad,0029000099,2160220037090534,12a,ALIPAYHK,some,1760000999000\n";
    night.write("in.csv", &text);
    night.expect(1, &["run", "job.toml"]);
    night
}

#[test]
fn a_run_over_files_with_another_delimiter_is_proved() {
    for (delimiter, name) in [(";", ";"), ("\t", "\\t"), ("|", "|")] {
        let rows = deltas(6, 2);
        let settings = format!("retry.attempts_max = 1\ninput.delimiter = \"{name}\"");
        let night = Night::new(scripted(&[(&rows[3].bill, "unknown")]), &settings);
        night.write("in.csv", &as_csv(&rows).replace(',', delimiter));
        night.expect(1, &["run", "job.toml"]);
        assert_eq!(night.json(0, &["reconcile", "out/night/latest"])["proved"], true, "{name}");
    }
}

/// The run's files, in a folder of their own.
struct Copy<'a> {
    dir: &'a Path,
}

impl Copy<'_> {
    /// Changes the manifest.
    fn manifest(&self, change: impl FnOnce(&mut Value)) {
        let path = self.dir.join("manifest.json");
        let mut manifest = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        change(&mut manifest);
        fs::write(path, manifest.to_string()).unwrap();
    }

    /// Changes a file line by line, and the manifest's digest of it.
    fn lines(&self, name: &str, change: impl FnOnce(&mut Vec<String>)) {
        let path = self.dir.join(name);
        let mut lines = fs::read_to_string(&path).unwrap().lines().map(str::to_owned).collect();
        change(&mut lines);
        let text = lines.join("\n") + "\n";
        let sha256 = Sha256::digest(&text).iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
        self.manifest(|manifest| manifest["files"][name] = json!({ "size": text.len(), "sha256": sha256 }));
        fs::write(path, text).unwrap();
    }

    /// Sets a cell of outcomes, in the line of the input's row `row`, counted from 0.
    fn cell(&self, row: usize, column: &str, value: &str) {
        self.lines("outcomes.csv", |lines| {
            let at = lines[0].split(',').position(|name| name == column).unwrap();
            let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(lines[row + 1].as_bytes());
            let record = reader.records().next().unwrap().unwrap();
            let cells = record.iter().enumerate().map(|(cell, text)| if cell == at { value } else { text });
            let mut writer = csv::Writer::from_writer(Vec::new());
            writer.write_record(cells).unwrap();
            let line = String::from_utf8(writer.into_inner().unwrap()).unwrap();
            line.trim_end().clone_into(&mut lines[row + 1]);
        });
    }
}

/// Nobody knows when an attempt began that was cut off, whatever its row ends with.
#[test]
fn a_run_that_was_killed_and_then_stopped_is_proved() {
    let night = Night::new(faulty("hang=100%"), "input.timezone = 'UTC'");
    night.write("in.csv", &as_csv(&deltas(20, 1)));
    let finish_by = finish_by_in(36); // the last moment for attempts is a request timeout before: in eight seconds
    let args = ["run", "job.toml", "--set", "gateway.request_timeout=30s", "--set", &finish_by];
    let mut child = night.start(&args);
    wait_for(|| night.calls() >= 4);
    child.kill().unwrap();
    child.wait().unwrap();
    night.expect(5, &args); // rows in doubt wait for a request timeout: that moment comes first
    let text = fs::read_to_string(night.path("out/night/latest/outcomes.csv")).unwrap();
    assert!(text.contains(",unknown,FINISH_BY,"), "{text}");
    assert_eq!(night.json(0, &["reconcile", "out/night/latest"])["proved"], true);
}

type Tamper = fn(&Copy<'_>);

#[test]
fn a_run_is_proved_and_what_was_tampered_with_is_found_where_it_is() {
    let night = night();
    let proof = night.json(0, &["reconcile", "out/night/latest"]);
    assert_eq!(proof["proved"], true);
    // Rows 0 to 2 are of one card, all applied; 15 is unknown, 16 and 17 are held; 60 is row 0 again, 61 is bad.
    let tampered: Vec<(&str, &str, Tamper)> = vec![
        ("manifest", "exit 0 does not go with 4 rows", |run| run.manifest(|manifest| manifest["exit"] = json!(0))),
        ("manifest sums", "conservation is broken: 63 rows", |run| {
            run.manifest(|manifest| manifest["rows"]["read"]["rows"] = json!(63));
        }),
        ("manifest sums", "with 999 points were read", |run| {
            run.manifest(|manifest| manifest["rows"]["read"]["points"] = json!("999"));
        }),
        ("files", "outcomes.csv: ", |run| {
            let path = run.dir.join("outcomes.csv");
            fs::write(&path, fs::read_to_string(&path).unwrap() + "\n").unwrap();
        }),
        ("files", "failures-9.csv: it lies in the run's folder", |run| {
            fs::copy(run.dir.join("failures.csv"), run.dir.join("failures-9.csv")).unwrap();
        }),
        ("files rows", "outcomes.csv: cannot", |run| fs::remove_file(run.dir.join("outcomes.csv")).unwrap()),
        ("rows sums", "in.csv:4 has no outcome", |run| run.lines("outcomes.csv", |lines| drop(lines.remove(3)))),
        ("rows sums", "is no row of the inputs", |run| run.lines("outcomes.csv", |lines| lines.swap(5, 6))),
        ("rows", "bill other, the input has", |run| run.cell(0, "bill_no", "other")),
        ("rows bills", "is applied at outcomes.csv:2, too", |run| {
            run.cell(1, "bill_no", &deltas(1, 1)[0].bill);
        }),
        ("sums", "attempts: the manifest says", |run| {
            run.manifest(|manifest| manifest["calls"]["attempts"] = json!(1));
        }),
        ("sums", "rows in no sum: the manifest says 0, counted were 1", |run| {
            run.manifest(|manifest| manifest["rows"]["unsummed"] = json!(0));
        }),
        ("sums", "not told to the gateway: the manifest says 2 rows", |run| {
            run.manifest(|manifest| manifest["rows"]["not_told"]["rows"] = json!(2));
        }),
        ("sums", "codes of failures: ", |run| {
            run.manifest(|manifest| manifest["rows"]["failure_codes"]["HELD"] = json!(3));
        }),
        ("ends", "no reply was read", |run| run.cell(2, "http_status", "")),
        ("ends", "is applied, but has no code", |run| run.cell(2, "code", "")),
        ("ends", "nobody knows when it was settled", |run| run.cell(60, "settled_at", "")),
        ("ends", "no attempt is in doubt", |run| run.cell(15, "in_doubt", "0")),
        ("ends", "carried_by elsewhere.csv:2 names no row", |run| run.cell(60, "carried_by", "elsewhere.csv:2")),
        ("sums ends", "but no attempt was made", |run| run.cell(2, "attempts", "0")),
        ("sums ends failures", "nobody knows when its first attempt began", |run| run.cell(61, "attempts", "1")),
        ("carriers", "its carrier has no outcome", |run| run.cell(60, "carried_by", "in.csv:999")),
        ("failures", "failures.csv:2 has refused", |run| {
            run.lines("failures.csv", |lines| lines[1] = lines[1].replace(",unknown,", ",refused,"));
        }),
        ("failures", "failures.csv has ended", |run| run.lines("failures.csv", |lines| drop(lines.pop()))),
        ("failures", "failures.csv:6 stands for no row that failed", |run| {
            run.lines("failures.csv", |lines| lines.push(lines[4].clone()));
        }),
        ("order", "of its card had settled", |run| run.cell(0, "settled_at", "2099-01-01T00:00:00.000Z")),
    ];
    for (at, (checks, fault, tamper)) in tampered.into_iter().enumerate() {
        let name = format!("tampered-{at}");
        let dir = night.path(&name);
        fs::create_dir(&dir).unwrap();
        for entry in fs::read_dir(night.path("out/night/latest")).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, dir.join(path.file_name().unwrap())).unwrap();
        }
        tamper(&Copy { dir: &dir });
        let proof = night.json(1, &["reconcile", &name]);
        let faulty = proof["checks"].as_array().unwrap().iter().filter(|check| check["faults"] != json!([]));
        let found =
            faulty.map(|check| (check["name"].as_str().unwrap(), check["faults"].to_string())).collect::<Vec<_>>();
        let names = found.iter().map(|(name, _)| *name).collect::<BTreeSet<_>>();
        assert_eq!(names, checks.split(' ').collect(), "{fault}: {found:?}");
        assert!(found.iter().any(|(_, faults)| faults.contains(fault)), "{fault}: {found:?}");
    }
}

#[test]
fn an_input_that_changed_is_told_and_one_that_is_gone_is_passed_over() {
    let night = night();
    let input = fs::read_to_string(night.path("in.csv")).unwrap();
    night.write("in.csv", &input[..input.len() / 2]);
    let proof = night.json(1, &["reconcile", "out/night/latest"]);
    let faulty: Vec<&Value> =
        proof["checks"].as_array().unwrap().iter().filter(|check| check["faults"] != json!([])).collect();
    assert!(faulty.len() == 1 && faulty[0]["faults"][0].as_str().unwrap().contains("in.csv: "), "{proof}");
    fs::remove_file(night.path("in.csv")).unwrap();
    let text = night.expect(0, &["reconcile", "out/night/latest"]);
    assert!(text.contains("proved") && text.contains("no longer there: in.csv"), "{text}");
    night.expect(2, &["reconcile", "out/night"]);
}
