//! The quota as the gateway sees it, and the round trip as the program sees it.

use std::time::Duration;

use crate::night::{Night, Ran, Shape};
use crate::{Size, input};

const SHAPES: [(&str, Shape); 4] = [
    ("strict, 200 a second", Shape { concurrency: 64, quota: "200/1s", mode: "strict", ..Shape::FAST }),
    ("paced, 200 a second", Shape { concurrency: 64, quota: "200/1s", mode: "paced", ..Shape::FAST }),
    ("strict, 1000 a second", Shape { concurrency: 512, quota: "1000/1s", mode: "strict", ..Shape::FAST }),
    ("paced, 1000 a second", Shape { concurrency: 512, quota: "1000/1s", mode: "paced", ..Shape::FAST }),
];

/// Prints the tables.
pub fn measure(size: Size) {
    let night = Night::new();
    println!("\n{:<24}{:>12}{:>10}{:>14}{:>14}", "quota", "calls/s", "bound", "worst second", "first second");
    for (name, shape) in SHAPES {
        let quota = f64::from(quota_of(&shape));
        let rows = (quota * 15.0) as u64;
        input::csv(&night.path("in.csv"), rows, 1);
        let Ran { seen, .. } = night.run("in.csv", &shape);
        let window = if shape.mode == "strict" { 1.0 + seen.took_ms.0 / 1e3 } else { 1.0 };
        println!(
            "{name:<24}{:>12.1}{:>10.1}{:>14}{:>14}",
            (seen.calls - 1) as f64 / seen.span_s,
            quota / window,
            seen.worst_second,
            seen.first_second
        );
    }
    round_trip(&night, size);
}

fn quota_of(shape: &Shape) -> u32 {
    shape.quota.split('/').next().unwrap().parse().unwrap()
}

/// With 512 in flight and all processors signing: how much longer a call seems to take than the gateway takes for it.
fn round_trip(night: &Night, size: Size) {
    input::csv(&night.path("in.csv"), size.calls, 1);
    let ran = night.run("in.csv", &Shape { concurrency: 512, delay: Duration::from_millis(100), ..Shape::FAST });
    let dir = ran.told["dir"].as_str().unwrap();
    let mut outcomes = csv::Reader::from_path(std::path::Path::new(dir).join("outcomes.csv")).unwrap();
    let column = outcomes.headers().unwrap().iter().position(|name| name == "latency_ms").unwrap();
    let mut ms: Vec<f64> = outcomes.records().map(|record| record.unwrap()[column].parse().unwrap()).collect();
    ms.sort_by(f64::total_cmp);
    let of_hundred = |at: usize| ms[(ms.len() - 1) * at / 100];
    println!("\nround trip at 512 in flight   gateway's own time   as passync sees it");
    for (name, own, seen) in [("p50", ran.seen.took_ms.0, of_hundred(50)), ("p99", ran.seen.took_ms.1, of_hundred(99))]
    {
        println!("{name:<28}{own:>17.1} ms{seen:>18.1} ms");
    }
}
