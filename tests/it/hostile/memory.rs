//! The peak of memory that `check` takes for hostile files, measured from outside.

use std::io::Write as _;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::{Bench, suite};

/// What the judge of the night allows.
const PEAK_MAX_MIB: u64 = 512;

/// Runs `check`: its exit, its peak of resident memory in MiB, and what it said.
fn check(bench: &Bench) -> (i32, u64, String) {
    let said = bench.path("said");
    let file = std::fs::File::create(&said).unwrap();
    let mut command = bench.command(&["check", "job.toml"]);
    let began = Instant::now();
    let mut child = command.stdout(file.try_clone().unwrap()).stderr(file).spawn().unwrap();
    let mut peak_kib = 0;
    let status = loop {
        // The high-water mark only rises: the last look before the end misses little.
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let mark = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
        peak_kib = peak_kib.max(mark.and_then(|mark| mark.parse().ok()).unwrap_or(0));
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        assert!(began.elapsed() < Duration::from_secs(120), "it hangs");
        std::thread::sleep(Duration::from_millis(1));
    };
    (status.code().unwrap_or(-1), peak_kib / 1024, std::fs::read_to_string(said).unwrap())
}

#[track_caller]
fn ends_with(name: &str, bench: &Bench, exit: i32, words: &[&str]) {
    let (code, peak, said) = check(bench);
    assert_eq!(code, exit, "{name}: {said}");
    assert!(words.iter().all(|word| said.contains(word)), "{name}: {said}");
    eprintln!("{name}: {peak} MiB");
    assert!(peak > 0 && peak <= PEAK_MAX_MIB, "{name}: {peak} MiB");
}

#[test]
fn a_parquet_page_of_two_gibibytes_is_refused_unread() {
    let Some(path) = suite("parquet-testing/data/large_string_map.brotli.parquet") else { return };
    let bench = Bench::new("in.parquet", "");
    std::fs::copy(path, bench.path("in.parquet")).unwrap();
    ends_with("large_string_map", &bench, 3, &["in.parquet: row group 0, column `arr.key_value.key`", "a page of"]);
}

#[test]
fn rows_of_one_card_or_of_one_bill_cost_no_more_than_others() {
    const ROWS: u64 = 100_000; // fewer would not show it
    let peak_of = |row: fn(u64) -> (u64, u64)| {
        let bench = Bench::new("in.csv", "");
        let line = |at| {
            let (bill, card) = row(at);
            format!("{},2026-01-01T00:00:00Z,20260{card:06},2088000000000001,{}\n", 20_260_000_000 + bill, bill % 100)
        };
        let header = "bill_no,occurred_at,pass_id,user_id,points\n";
        bench.write("in.csv", header.to_owned() + &(0..ROWS).map(line).collect::<String>());
        let (code, peak, said) = check(&bench);
        assert_eq!(code, 0, "{said}");
        peak
    };
    let (many, card, bill) = (peak_of(|at| (at, at)), peak_of(|at| (at, 1)), peak_of(|_| (1, 1)));
    eprintln!("{ROWS} rows: {many} MiB; of one card {card} MiB, of one bill {bill} MiB");
    assert!(card <= many + 4 && bill <= many + 4, "{many} MiB; of one card {card} MiB, of one bill {bill} MiB");
}

#[test]
fn a_failure_file_of_too_many_runs_is_refused() {
    let bench = Bench::new("in.csv", "");
    let line = |at| format!("b{at},card-{at},2088000000000001,{at},unsent,run-{at},in.csv,{at}\n");
    let header = "bill_no,pass_id,user_id,points,_outcome,_run,_source,_line\n";
    bench.write("failures.csv", header.to_owned() + &(0..10_001).map(line).collect::<String>());
    let output = bench.command(&["replay", "job.toml", "failures.csv"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("failures.csv: its rows come from more than 10,000 inputs"), "{said}");
}

const HEADER: &str = "bill_no,pass_id,user_id,points,note\n";

/// Honest rows behind a hostile beginning.
fn rows(count: usize) -> String {
    let note = "n".repeat(1000);
    (0..count).map(|at| format!("b{at},card-{at},2088000000000001,{at},{note}\n")).collect()
}

#[test]
fn hostile_csv_costs_no_more_than_its_rows() {
    let large = "x".repeat(24 << 20);
    for (name, text, exit, words) in [
        ("a quote that swallows 24 MiB", format!("{HEADER}1,2,3,4,\"{}", rows(24_000)), 1, &["R002"][..]),
        ("a line of 24 MiB", format!("{HEADER}1,2,3,4,{large}\n{}", rows(10)), 1, &["R003"]),
        ("a quoted field of 24 MiB", format!("{HEADER}1,2,3,4,\"{large}\"\n{}", rows(10)), 1, &["R003"]),
        ("a header of 24 MiB", format!("{large}\n"), 3, &["the header", "1048576"]),
        ("24 million delimiters", format!("{HEADER}{}\n{}", ",".repeat(24 << 20), rows(10)), 1, &["R003"]),
        ("24 MiB of line ends", format!("{HEADER}{}{}", "\n".repeat(24 << 20), rows(10)), 0, &[]),
        ("24 MiB of NULs", format!("{HEADER}{}\n{}", "\0".repeat(24 << 20), rows(10)), 1, &["R003"]),
    ] {
        let bench = Bench::new("in.csv", "input.rejects_max = '50%'");
        bench.write("in.csv", text);
        ends_with(name, &bench, exit, words);
    }
}

#[test]
fn bombs_are_refused_early() {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(HEADER.as_bytes()).unwrap();
    let zeros = vec![b'0'; 1 << 20];
    for _ in 0..1024 {
        gzip.write_all(&zeros).unwrap();
    }
    let bench = Bench::new("in.csv.gz", "");
    bench.write("in.csv.gz", gzip.finish().unwrap());
    ends_with("a gibibyte in gzip", &bench, 3, &["stored bytes unfolded to"]);

    let mut zstd = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
    zstd.long_distance_matching(true).unwrap();
    zstd.window_log(30).unwrap();
    zstd.write_all(HEADER.as_bytes()).unwrap();
    zstd.write_all(&zeros).unwrap();
    let bench = Bench::new("in.csv.zst", "");
    bench.write("in.csv.zst", zstd.finish().unwrap());
    ends_with("zstd with a window of a gibibyte", &bench, 3, &["without --long"]);
}
