//! A process and what it used.

use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// What a process used from its start to its end.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// By the clock on the wall, in seconds.
    pub wall_s: f64,
    /// Processor time of all its threads, in seconds.
    pub cpu_s: f64,
    /// The most memory that it had at once, in MiB.
    pub peak_mib: f64,
}

/// Runs a command to its end.
pub fn run(command: &mut Command) -> (Usage, Output) {
    let (before, began) = (children_cpu_s(), Instant::now());
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (status, ended) = (format!("/proc/{}/status", child.id()), AtomicBool::new(false));
    let (peak_mib, output) = std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            // The kernel keeps the high-water mark: only what comes in the last moments is missed.
            let mut peak_mib = 0.0_f64;
            while !ended.load(Ordering::Relaxed) {
                let text = std::fs::read_to_string(&status).unwrap_or_default();
                let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
                let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
                peak_mib = peak_mib.max(kib.unwrap_or_default() / 1024.0);
                std::thread::sleep(Duration::from_millis(10));
            }
            peak_mib
        });
        let output = child.wait_with_output().unwrap();
        ended.store(true, Ordering::Relaxed);
        (watch.join().unwrap(), output)
    });
    let cpu_s = children_cpu_s() - before;
    (Usage { wall_s: began.elapsed().as_secs_f64(), cpu_s, peak_mib }, output)
}

/// Processor time of the children that have ended, in steps of ten milliseconds.
fn children_cpu_s() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let after_name = stat.rsplit(')').next().unwrap();
    let ticks = |field: usize| after_name.split_whitespace().nth(field).unwrap().parse::<f64>().unwrap();
    (ticks(13) + ticks(14)) / 100.0
}
