//! Whole-process figures, measured side by side: `cargo bench --bench whole`. See `tests/bench/README.md`.
//!
//! Processor time is compared, not time on the wall: shares and ratios of it mean the same on a busy machine.
#![expect(clippy::disallowed_methods, reason = "a benchmark has the clock, files and processes")]
#![expect(clippy::print_stdout, reason = "a benchmark prints")]

mod bills;
mod calls;
#[path = "../../it/net/front.rs"]
mod front;
mod gateway;
mod input;
mod night;
mod peers;
mod process;
mod quota;
mod scale;
mod survey;

/// What is compared how often, and how large.
#[derive(Clone, Copy, Debug)]
struct Size {
    /// Interleaved runs; the median of each figure is shown.
    runs: usize,
    /// Rows that are sent.
    calls: u64,
    /// Rows that are only read.
    rows: u64,
}

const HELP: &str =
    "cargo bench --bench whole -- [calls] [survey] [quota] [scale] [bills] [--runs N] [--calls N] [--rows N]
without a name: calls, survey, quota. `scale` wants about a kilobyte and a half of disk for each of --rows,
`bills` half of one";

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    if args.first().is_some_and(|arg| arg == "gateway") {
        return gateway::serve(&args[1..]);
    }
    let mut size = Size { runs: 5, calls: 20_000, rows: 1_000_000 };
    let mut names = Vec::new();
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        let mut number = || args.next().and_then(|text| text.parse::<u64>().ok()).expect(HELP);
        match arg.as_str() {
            "--runs" => size.runs = number() as usize,
            "--calls" => size.calls = number(),
            "--rows" => size.rows = number(),
            "calls" | "survey" | "quota" | "scale" | "bills" => names.push(arg),
            _ => return println!("{HELP}"),
        }
    }
    if names.is_empty() {
        names = ["calls", "survey", "quota"].map(str::to_owned).into();
    }
    for name in names {
        match name.as_str() {
            "calls" => calls::compare(size),
            "survey" => survey::compare(size),
            "quota" => quota::measure(size),
            "bills" => bills::measure(size),
            _ => scale::measure(size),
        }
    }
}

/// The middle one of some figures; `NaN` where there are none.
fn median(figures: impl IntoIterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.into_iter().collect();
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}
