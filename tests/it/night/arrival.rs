//! Whether the inputs are there, whole, still, and as many as is usual: every refusal ends with 3 before any call.

use std::fs;
use std::io::Write;
use std::time::{Duration, Instant};

use passync::sandbox::Config;
use rustix::process::{Pid, Signal, kill_process};

use super::{Delta, Night, as_csv, deltas};

/// A night whose job names a control file.
fn controlled() -> Night {
    let night = Night::new(Config::default(), "input.control = 'in.ctl'");
    night.write("in.csv", &as_csv(&deltas(10, 2)));
    night
}

/// 20 rows with a change of 1 each; the bills end in 22202434333 and five digits.
fn totals(night: &Night) -> String {
    let sha256 = night.json(0, &["check", "job.toml", "--set", "input.control="])["inputs"][0]["sha256"].clone();
    let size = fs::metadata(night.path("in.csv")).unwrap().len();
    let bills = deltas(10, 2);
    let hash = bills.iter().fold(0_u128, |sum, row| sum + row.bill[row.bill.len() - 18..].parse::<u128>().unwrap());
    format!(
        "rows=20\nsum=20.00\nhash_total={}\nsize={size}\nsha256={}\n",
        hash % 1_000_000_000_000_000_000,
        sha256.as_str().unwrap()
    )
}

#[test]
fn a_control_file_must_agree_before_any_call() {
    let night = controlled();
    let text = night.expect(3, &["run", "job.toml"]);
    assert!(text.contains("in.ctl is not there (input.control)") && text.contains("the newest files there"), "{text}");
    let good = totals(&night);
    for (key, wrong, said) in [
        ("rows=20", "rows=21", "rows: expected 21, found 20, difference -1"),
        ("sum=20.00", "sum=19.5", "sum: expected 19.5, found 20, difference 0.5"),
        ("hash_total=", "hash_total=9\nother=", "hash_total: expected 9"),
        ("size=", "size=1", "size: expected 1"),
        ("sha256=", "sha256=0", "in.ctl: line 5: sha256: found"),
        ("rows=20", "row=20", "line 1: found the key \"row\"; did you mean `rows`?"),
    ] {
        night.write("in.ctl", &good.replace(key, wrong));
        let text = night.expect(3, &["run", "job.toml"]);
        assert!(text.contains(said), "{wrong}: {text}");
        let refused = night.json(3, &["check", "job.toml"]);
        assert!(refused["refused"][0].as_str().unwrap().contains(said), "{wrong}: {refused}");
    }
    assert_eq!((night.calls(), night.path("out").exists()), (0, false));
    night.write("in.ctl", &(good + "exported_by=db1\n"));
    let checked = night.json(0, &["check", "job.toml"]);
    assert_eq!(checked["control"][0]["items"].as_array().unwrap().len(), 5);
    assert!(checked["warnings"][0].as_str().unwrap().contains("not known: exported_by"), "{checked}");
    night.expect(0, &["run", "job.toml"]);
    assert!(night.manifest()["warnings"][0].as_str().unwrap().contains("exported_by"));
}

#[test]
fn a_control_file_is_written_once_and_agrees() {
    let night = controlled();
    night.expect(2, &["check", "job.toml", "--write-control", "--set", "input.control="]);
    night.expect(0, &["check", "job.toml", "--write-control"]);
    assert_eq!(fs::read_to_string(night.path("in.ctl")).unwrap(), totals(&night).replace("20.00", "20"));
    let text = night.expect(2, &["check", "job.toml", "--write-control"]);
    assert!(text.contains("is there already; it was left as it is"), "{text}");
    night.write("in.ctl", "rows=7\n");
    night.expect(3, &["check", "job.toml"]);
    night.expect(0, &["check", "job.toml", "--write-control", "--force"]);
    night.expect(0, &["run", "job.toml"]);

    // One for several inputs names each; then none may be missing.
    night.write("b.csv", &as_csv(&[Delta::new("b-1", "card-b", 1, 1), Delta::new("b-2", "card-b", 2, 2)]));
    let both = ["--input", "in.csv", "--input", "b.csv", "--set", "input.control=both.csv"];
    night.expect(0, &[&["check", "job.toml", "--write-control"], &both[..]].concat());
    let written = fs::read_to_string(night.path("both.csv")).unwrap();
    assert!(written.starts_with("file,rows,sum,hash_total,size,sha256\nb.csv,2,2,"), "{written}");
    night.expect(0, &[&["check", "job.toml"], &both[..]].concat());
    let text = night.expect(3, &["check", "job.toml", "--input", "b.csv", "--set", "input.control=both.csv"]);
    assert!(text.contains("\"in.csv\", which the run does not read"), "{text}");
}

#[test]
fn a_trailer_is_no_row_and_must_agree() {
    let trailer = "input.trailer = { mark = 'TRL', rows = 2, sum = 4 }";
    let night = Night::new(Config::default(), trailer);
    let rows = deltas(10, 2);
    let with = |trailer: &str| night.write("in.csv", &(as_csv(&rows) + trailer));
    for (trailer, said) in [
        ("", "in.csv: no trailer: no record begins with \"TRL\""),
        ("TRL,20,x,21\n", "in.csv:22 (trailer) says of in.csv:\n    sum: expected 21, found 20, difference -1"),
        ("TRL,twenty,x,20\n", "in.csv:22: the trailer's field 2 (rows): found \"twenty\", expected a whole number"),
        ("TRL,20\n", "the trailer's field 4 (sum): found no such field"),
        ("TRL,20,x,20\nTRL,20,x,20\n", "in.csv:23: 2 trailers, and 0 rows behind the last one"),
    ] {
        with(trailer);
        let text = night.expect(3, &["run", "job.toml"]);
        assert!(text.contains(said), "{trailer:?}: {text}");
    }
    night.write("in.csv", &(as_csv(&rows[..19]) + "TRL,19,x,19\n" + as_csv(&rows[19..]).split_once('\n').unwrap().1));
    let text = night.expect(3, &["run", "job.toml"]);
    assert!(text.contains("in.csv:21: 1 trailers, and 1 rows behind the last one"), "{text}");
    with("TRL,20,,20.0,,,,more,fields,than,columns\n");
    night.expect(0, &["run", "job.toml"]);
    assert_eq!((night.outcomes().len(), night.manifest()["inputs"][0]["rows"].as_u64()), (20, Some(20)));
    night.is_well(&rows);
    let text = night.expect(2, &["check", "job.toml", "--set", "input.trailer.mark="]);
    assert!(text.contains("input.trailer.rows: has no effect without input.trailer.mark"), "{text}");
}

#[test]
fn a_run_waits_for_inputs_marker_and_writers() {
    let night = Night::new(Config::default(), "input.ready = 'in.done'");
    let rows = deltas(20, 1);
    let text = night.expect(3, &["run", "job.toml"]);
    assert!(text.contains("in.done is not there (input.ready): the export is not finished"), "{text}");
    let began = Instant::now();
    let text = night.expect(3, &["run", "job.toml", "--set", "input.wait_for=1s"]);
    assert!(began.elapsed() >= Duration::from_secs(1) && text.contains("(waited 1s for it)"), "{text}");

    let mut waiting = night.start(&["run", "job.toml", "--set", "input.wait_for=60s"]);
    std::thread::sleep(Duration::from_millis(300));
    kill_process(Pid::from_child(&waiting), Signal::TERM).unwrap();
    assert_eq!(waiting.wait().unwrap().code(), Some(5), "a signal ends the wait");

    let mut waiting = night.start(&["run", "job.toml", "--set", "input.wait_for=60s"]);
    night.write("in.done", "");
    let text = as_csv(&rows);
    let mut file = fs::File::create(night.path("in.csv")).unwrap();
    for part in text.as_bytes().chunks(text.len() / 20 + 1) {
        file.write_all(part).unwrap();
        std::thread::sleep(Duration::from_millis(80));
    }
    drop(file);
    assert_eq!(waiting.wait().unwrap().code(), Some(0), "it grew for 1.6 s, and was read when it was whole");
    night.is_well(&rows);
    assert_eq!(night.outcomes().len(), 20);
}

#[test]
fn a_file_that_grows_is_refused() {
    let night = Night::new(Config::default(), "");
    let mut file = fs::File::create(night.path("in.csv")).unwrap();
    file.write_all(as_csv(&deltas(5, 1)).as_bytes()).unwrap();
    let mut run = night.command(&["run", "job.toml"]).stderr(std::process::Stdio::piped()).spawn().unwrap();
    while run.try_wait().unwrap().is_none() {
        file.write_all(as_csv(&deltas(1, 1)).split_once('\n').unwrap().1.as_bytes()).unwrap();
        std::thread::sleep(Duration::from_millis(10));
    }
    let output = run.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), night.calls()), (Some(3), 0), "{said}");
    assert!(said.contains("is still being written") || said.contains("the file changed while"), "{said}");
}

#[test]
fn missing_dates_are_listed_with_what_is_there() {
    let night = Night::new(Config::default(), "");
    night.write("points-2026-01-02.csv", &as_csv(&deltas(1, 1)));
    let files = ["--set", "input.files=['points-{date}.csv']", "--date", "2026-01-01..2026-01-04"];
    let text = night.expect(3, &[&["run", "job.toml"], &files[..]].concat());
    for day in ["01", "03", "04"] {
        assert!(
            text.contains(&format!("no file matches {}", night.path(&format!("points-2026-01-{day}.csv")).display())),
            "{text}"
        );
    }
    assert!(!text.contains("no file matches points-2026-01-02.csv") && text.contains("the newest files of"), "{text}");
}

#[test]
fn an_unusual_volume_is_refused_once_there_is_a_history() {
    let night = Night::new(Config::default(), "guard.volume = '50%'");
    let all = deltas(60, 1);
    let mut at = 0;
    let mut tonight = |rows: usize| {
        night.write("in.csv", &as_csv(&all[at..at + rows]));
        at += rows;
    };
    for rows in [8, 10, 12] {
        tonight(rows);
        let text = night.expect(0, &["run", "job.toml", "-v"]);
        assert!(text.contains("closed runs to compare with, judged from 3 on"), "{text}");
    }
    tonight(4);
    let text = night.expect(3, &["run", "job.toml"]);
    assert!(text.contains("4 rows with the sum 4, usual are 10 rows with the sum 10"), "{text}");
    assert!(text.contains("off by more than 50%") && text.contains("--set guard.volume=off"), "{text}");
    assert!(night.json(3, &["check", "job.toml"])["refused"][0].as_str().unwrap().contains("[guard] volume"));
    tonight(16);
    night.expect(3, &["run", "job.toml"]);
    night.expect(0, &["run", "job.toml", "--set", "guard.volume=off"]);
    night.write("in.csv", &as_csv(&all[50..60]));
    night.expect(0, &["run", "job.toml"]);
}
