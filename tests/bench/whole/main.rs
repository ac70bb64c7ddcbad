//! Whole-process figures, measured side by side: `cargo bench --bench whole`. See `tests/bench/README.md`.
#![expect(clippy::disallowed_methods, reason = "a benchmark has the clock, files and processes")]
#![expect(clippy::print_stdout, reason = "a benchmark prints")]

mod gateway;
mod input;
mod night;
mod process;

use night::{Night, Shape};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    if args.first().is_some_and(|arg| arg == "gateway") {
        return gateway::serve(&args[1..]);
    }
    let rows = args.first().map_or(4_000, |rows| rows.parse().unwrap());
    let night = Night::new();
    input::csv(&night.path("in.csv"), rows, 1);
    let ran = night.run("in.csv", &Shape::FAST);
    println!("{:?} {:?}", ran.usage, ran.seen);
    for stage in ["survey", "plan", "sign", "verify", "exchange", "ledger", "finish", "other", "total_us"] {
        println!(
            "{stage:<10} {:>8.1} us/call {:>6.1}%",
            ran.us_a_call(stage),
            100.0 * ran.us(stage) / ran.us("total_us")
        );
    }
}
