//! Reading, judging and planning a file (`passync check`), against engines that read it and keep one row of each bill.

use crate::night::{Night, Shape};
use crate::process::Usage;
use crate::{Size, input, median, peers};

/// Prints the table.
pub fn compare(size: Size) {
    let night = Night::new();
    input::csv(&night.path("in.csv"), size.rows, 1);
    input::parquet(&night.path("in.parquet"), size.rows, 1);
    println!("\n{} rows, read to the plan; medians of {}", size.rows, size.runs);
    println!("{:<28}{:>14}{:>14}{:>12}", "", "us cpu a row", "rows/s (wall)", "peak MiB");
    for file in ["in.csv", "in.parquet"] {
        let mut own: Vec<Usage> = Vec::new();
        let mut others = [Vec::new(), Vec::new()];
        for _ in 0..size.runs {
            night.job(file, "http://127.0.0.1:9", &Shape::FAST);
            own.push(night.tell(&["check", "job.toml"]).0);
            let path = night.path(file).display().to_string();
            for (engine, figures) in ["duckdb", "polars"].into_iter().zip(&mut others) {
                figures.extend(peers::tell("distinct.py", &[engine, &path]).map(|said| Usage {
                    wall_s: peers::figure(&said, "wall_s"),
                    cpu_s: peers::figure(&said, "cpu_s"),
                    peak_mib: peers::figure(&said, "peak_mib"),
                }));
            }
        }
        let [duckdb, polars] = others;
        for (name, figures) in [("passync check", own), ("duckdb distinct", duckdb), ("polars unique", polars)] {
            print(&format!("{name}, {file}"), size.rows, &figures);
        }
    }
    // What is gathered of a card, or of a bill, must not grow with its rows.
    for (name, bill) in [("one card", false), ("one bill", true)] {
        input::one_card(&night.path("in.csv"), size.rows, bill);
        night.job("in.csv", "http://127.0.0.1:9", &Shape::FAST);
        let own: Vec<Usage> = (0..size.runs).map(|_| night.tell(&["check", "job.toml"]).0).collect();
        print(&format!("passync check, {name}"), size.rows, &own);
    }
}

fn print(name: &str, rows: u64, figures: &[Usage]) {
    let of = |which: fn(&Usage) -> f64| median(figures.iter().map(which));
    let rows = rows as f64;
    println!(
        "{name:<28}{:>14.2}{:>14.0}{:>12.0}",
        of(|usage| usage.cpu_s) * 1e6 / rows,
        rows / of(|usage| usage.wall_s),
        of(|usage| usage.peak_mib)
    );
}
