//! A run of many rows that was cut off near its end: what restarting and finishing take, and how much memory. Making all
//! the calls would take hours, so the ledger is told of their ends by its own writer.

use std::process::Stdio;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use passync::io::ledger::Writer;
use passync::model::{Outcome, Record, Settled};

use crate::night::{Night, Shape};
use crate::{Size, input};

/// Rows that are left to the run that goes on.
const LEFT: u64 = 2_000;

/// Prints the table.
pub fn measure(size: Size) {
    let night = Night::new();
    let shape = Shape { concurrency: 512, ..Shape::FAST };
    input::csv(&night.path("in.csv"), size.rows, 1);
    println!("\n{} rows, 512 in flight", size.rows);
    let line = |name: &str, text: String| println!("{name:<34}{text}");
    let gateway = night.gateway(&shape);
    night.job("in.csv", &gateway.url, &shape);
    let (usage, _) = night.tell(&["check", "job.toml"]);
    line("check", format!("{:.1} s, {:.1} s of processor, {:.0} MiB", usage.wall_s, usage.cpu_s, usage.peak_mib));
    cut_off(&night);
    let state_mib = size_mib(&night.path("state"));
    line(
        "state of the plan",
        format!("{state_mib:.0} MiB, {:.0} bytes a row", state_mib * 1e6 * 1.048_576 / size.rows as f64),
    );
    settle_all_but_some(&night, size.rows);
    let began = Instant::now();
    let (usage, told) = night.tell(&["resume", "job.toml"]);
    line("resume, all of it", format!("{:.1} s", began.elapsed().as_secs_f64()));
    line("  until the end of sending", format!("{:.1} s", told["durations_ms"]["apply"].as_f64().unwrap() / 1e3));
    line("  finish", format!("{:.1} s", told["durations_ms"]["finish"].as_f64().unwrap() / 1e3));
    line("  processor, peak memory", format!("{:.1} s, {:.0} MiB", usage.cpu_s, usage.peak_mib));
    let ledger_mib = size_mib(&night.path("state"));
    line("state of the closed run", format!("{ledger_mib:.0} MiB"));
    gateway.stop();
}

/// Begins the run and kills it at its first calls.
fn cut_off(night: &Night) {
    let mut child = night.command(&["run", "job.toml"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let wal = night.path("state/ledger.db-wal");
    let runs = night.path("state/runs");
    loop {
        std::thread::sleep(Duration::from_millis(50));
        assert!(child.try_wait().unwrap().is_none(), "the run ended before it could be cut off");
        let is_booked = std::fs::read_dir(&runs)
            .is_ok_and(|mut runs| runs.any(|run| !run.unwrap().file_name().to_string_lossy().starts_with('.')));
        if is_booked && wal.exists() {
            std::thread::sleep(Duration::from_millis(300));
            child.kill().unwrap();
            child.wait().unwrap();
            return;
        }
    }
}

fn settle_all_but_some(night: &Night, rows: u64) {
    let (told, acks) = channel();
    let mut writer = Some(
        Writer::start(&night.path("state/ledger.db"), 1, move |acks| told.send(acks.unwrap().len()).unwrap()).unwrap(),
    );
    let mut settled = Settled::local(Outcome::Applied, "SUCCESS", "Success.", 1_767_312_000_000);
    settled.attempts = 1;
    settled.first_sent_ms = Some(1_767_312_000_000);
    settled.latency_us = Some(6_000);
    "S".clone_into(&mut settled.status);
    "0b26d5b917028667".clone_into(&mut settled.trace_id);
    let mut under_way = 0;
    for row in 0..rows - LEFT {
        writer.as_ref().unwrap().append(Record::Settled(row, Box::new(settled.clone())));
        under_way += 1;
        while under_way > 5_000 {
            under_way -= acks.recv().unwrap();
        }
    }
    writer.take();
}

fn size_mib(path: &std::path::Path) -> f64 {
    fn bytes(path: &std::path::Path) -> u64 {
        let meta = std::fs::symlink_metadata(path).unwrap();
        if !meta.is_dir() {
            return meta.len();
        }
        std::fs::read_dir(path).unwrap().map(|entry| bytes(&entry.unwrap().path())).sum()
    }
    bytes(path) as f64 / 1_048_576.0
}
