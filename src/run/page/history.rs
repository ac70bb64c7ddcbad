//! The page of `history`: past runs.

use std::path::{Component, Path};
use std::time::Duration;

use askama::Template;
use jiff::tz::TimeZone;

use super::{clock, html};
use crate::io::folder;
use crate::model::reject::shown;
use crate::run::Fault;
use crate::run::history::PastRun;
use crate::run::numbers::{count, grouped, span};

#[derive(Template)]
#[template(path = "history.html", config = "src/run/page/askama.toml")]
struct Page {
    job: String,
    told: String,
    zone: String,
    version: &'static str,
    lines: Vec<Line>,
}

struct Line {
    started: String,
    kind: String,
    rows: String,
    points: String,
    applied: String,
    failed: String,
    open: String,
    exit: String,
    took: String,
    run: String,
    link: Option<String>,
}

/// Writes past runs as a page.
pub fn write_history_page(file: &Path, job: &str, runs: &[PastRun], zone: &TimeZone) -> Result<(), Fault> {
    let beside = folder::of(file);
    let place = std::fs::canonicalize(beside).unwrap_or_else(|_| beside.to_owned());
    Ok(super::write(file, &history(job, runs, zone, &place))?)
}

/// The page. `folder`: where it will lie; runs below it are links to their own pages.
fn history(job: &str, runs: &[PastRun], zone: &TimeZone, folder: &Path) -> String {
    let open: u64 = runs.iter().map(|run| run.open_now).sum();
    html(&Page {
        job: shown(job, 300),
        told: format!("{}, newest first; {} still open.", count(runs.len() as u64, "run"), count(open, "row")),
        zone: zone.iana_name().unwrap_or("UTC").to_owned(),
        version: env!("CARGO_PKG_VERSION"),
        lines: runs.iter().map(|run| line(run, zone, folder)).collect(),
    })
}

fn line(run: &PastRun, zone: &TimeZone, folder: &Path) -> Line {
    let number = |number: Option<u64>| number.map_or_else(String::new, |number| grouped(&number));
    Line {
        started: clock::of_manifest(&run.started_at, zone),
        kind: run.kind.clone(),
        rows: grouped(&run.rows),
        points: grouped(&run.points),
        applied: number(run.applied),
        failed: number(run.failures),
        open: grouped(&run.open_now),
        exit: run.exit.map_or_else(|| run.state.to_owned(), |exit| exit.to_string()),
        took: run.took_ms.map_or_else(String::new, |ms| span(Duration::from_millis(ms))),
        run: run.run.clone(),
        link: run.exit.and_then(|_| link(Path::new(&run.dir), folder)),
    }
}

/// From a page in `folder` to that of the run in `dir`, where it lies below and nothing in between wants escaping.
fn link(dir: &Path, folder: &Path) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let names = dir.strip_prefix(folder).ok()?.components().map(|component| match component {
        Component::Normal(name) => name.to_str().filter(|name| name.bytes().all(plain)),
        _ => None,
    });
    let names = names.collect::<Option<Vec<_>>>()?;
    Some(names.into_iter().chain(["report.html"]).collect::<Vec<_>>().join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(name: &str, exit: Option<u8>) -> PastRun {
        PastRun {
            run: name.to_owned(),
            kind: "run".to_owned(),
            started_at: "2026-01-31T02:00:05.000Z".to_owned(),
            closed_at: None,
            state: if exit.is_some() { "closed" } else { "interrupted" },
            rows: 5_000,
            points: crate::model::Total::default(),
            applied: exit.map(|_| 4_990),
            failures: exit.map(|_| 10),
            open_now: 3,
            exit,
            took_ms: exit.map(|_| 64_000),
            dir: format!("/data/out/night/{name}"),
        }
    }

    #[test]
    fn past_runs_are_a_table_with_links_to_what_lies_below() {
        let runs = [run("20260131T020005Z-00002", None), run("20260130T020005Z-00001", Some(1))];
        let zone = TimeZone::get("Asia/Hong_Kong").unwrap();
        let page = history("<night>", &runs, &zone, Path::new("/data/out"));
        for part in [
            "&#60;night&#62;: past runs",
            "2 runs, newest first; 6 rows still open.",
            "2026-01-31 10:00:05 +08:00",
            "<td>interrupted</td>",
            "<a href=\"night/20260130T020005Z-00001/report.html\">20260130T020005Z-00001</a>",
        ] {
            assert!(page.contains(part), "{part}\n{page}");
        }
        assert_eq!(page.matches("<a ").count(), 1, "an interrupted run has no page");
        assert!(!history("n", &runs, &zone, Path::new("/elsewhere")).contains("<a "));
        assert!(history("n", &[], &zone, Path::new("/")).contains("0 runs"));
    }
}
