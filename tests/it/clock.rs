//! The wall clock, zones, and the gateway's own clock, through the real binary.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use crate::net::nights;
use crate::net::rogue::{Act, Alter, Rogue};
use crate::night::stage::{Night, as_csv, deltas, finish_by_in};
use crate::night::wait_for;
use passync::sandbox::Config;

/// The library that fakes the wall clock of a process, if this machine has it.
fn faketime() -> Option<PathBuf> {
    let found = glob::glob("/usr/lib/*/faketime/libfaketimeMT.so.1").unwrap().find_map(Result::ok);
    if found.is_none() {
        eprintln!("SKIPPED: libfaketime is not installed, so no clock jumps here");
    }
    found
}

/// A wall clock that is set by what stands in a file; waits and the time since boot are the machine's own.
fn under_a_clock_that_is_set(library: &std::path::Path, night: &Night, args: &[&str]) -> Command {
    night.write("offset", "+0");
    let mut command = night.command(args);
    command.env("LD_PRELOAD", library).env("FAKETIME_TIMESTAMP_FILE", night.path("offset"));
    command.envs([("FAKETIME_NO_CACHE", "1"), ("FAKETIME_DONT_FAKE_MONOTONIC", "1"), ("DONT_FAKE_MONOTONIC", "1")]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs a night of which the clock is set by so much when so many calls were made.
fn with_jumps(night: &Night, rogue: &Rogue, mut command: Command, jumps: &[(usize, &str)]) -> Output {
    let child = command.spawn().unwrap();
    for (calls, offset) in jumps {
        wait_for(|| rogue.requests().len() >= *calls);
        night.write("offset.new", offset);
        std::fs::rename(night.path("offset.new"), night.path("offset")).unwrap();
    }
    child.wait_with_output().unwrap()
}

#[test]
fn a_wall_clock_that_jumps_changes_only_the_signed_time() {
    let Some(library) = faketime() else { return };
    let (night, rogue) = nights::night("", |_, _| Act::Relay);
    let rows = deltas(100, 2);
    night.write("in.csv", &as_csv(&rows));
    let began = Instant::now();
    let command = under_a_clock_that_is_set(&library, &night, &["run", "job.toml", "--set", "limits.quota=80/1s"]);
    let output = with_jumps(&night, &rogue, command, &[(50, "+3h"), (110, "-2d")]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(began.elapsed() < Duration::from_secs(15), "waits are not by the wall clock");

    // Every row once, at the quota's pace, and none in doubt of a reply that seems to be of another time.
    let manifest = night.manifest();
    assert_eq!((&manifest["calls"]["attempts"], &manifest["calls"]["in_doubt"]), (&200.into(), &0.into()));
    let peak = night.server.look(|gateway| gateway.summary().peak);
    assert!(peak <= 80, "{peak} arrivals in one second");
    night.is_well(&rows);

    // The signed time is what the clock said.
    let now = Timestamp::now();
    let signed: Vec<Timestamp> = rogue.headers("request-time").iter().map(|time| time.parse().unwrap()).collect();
    let hours = |time: &Timestamp| time.duration_since(now).as_hours();
    assert!(hours(&signed[0]) == 0 && signed.iter().any(|time| hours(time) == 2) && hours(&signed[199]) == -48);

    // What is recorded goes on as if nothing had happened.
    let at = |text: &serde_json::Value| text.as_str().unwrap().parse::<Timestamp>().unwrap();
    let (started, closed) = (at(&manifest["started_at"]), at(&manifest["closed_at"]));
    assert!(started <= closed && closed.duration_since(started).as_secs() < 15);
    for line in night.outcomes() {
        let (first, settled): (Timestamp, Timestamp) =
            (line["first_sent_at"].parse().unwrap(), line["settled_at"].parse().unwrap());
        assert!(started <= first && first <= settled && settled <= closed, "{line:?}");
    }

    // A person is told, once while it is on and once at its end, of the worst.
    assert_eq!(said.matches("our clock is").count(), 2, "{said}");
    assert!(said.contains(" s behind the gateway's (permitted: 60 s)") && said.contains("timedatectl"), "{said}");
    let warnings = manifest["warnings"].as_array().unwrap();
    assert!(warnings.len() == 1 && warnings[0].as_str().unwrap().starts_with("our clock is 17"), "{warnings:?}");
}

#[test]
fn finish_by_is_where_it_was_whatever_the_clock_says_meanwhile() {
    let Some(library) = faketime() else { return };
    for jump in ["+1h", "-1h"] {
        let (night, rogue) = nights::night("input.timezone = 'UTC'", |_, _| Act::Relay);
        night.write("in.csv", &as_csv(&deltas(200, 1)));
        let args = ["run", "job.toml", "--set", "limits.quota=20/1s", "--set", &finish_by_in(3)];
        let began = Instant::now();
        let command = under_a_clock_that_is_set(&library, &night, &args);
        let output = with_jumps(&night, &rogue, command, &[(10, jump)]);
        assert_eq!(output.status.code(), Some(5), "{jump}: {}", String::from_utf8_lossy(&output.stderr));
        let took = began.elapsed();
        assert!((Duration::from_secs(1)..Duration::from_secs(8)).contains(&took), "{jump}: {took:?}");
    }
}

#[test]
fn a_gateway_whose_date_is_elsewhere_is_told_of() {
    /// The reply with a `Date` of so many seconds later.
    fn dated(reply: &str, later_s: i64) -> String {
        let date = (Timestamp::now() + later_s.seconds()).strftime("%a, %d %b %Y %H:%M:%S GMT");
        let lines = reply.split("\r\n").map(|line| {
            if line.to_ascii_lowercase().starts_with("date:") { format!("date: {date}") } else { line.to_owned() }
        });
        lines.collect::<Vec<_>>().join("\r\n")
    }
    let cases: [(Alter, Option<&str>); 3] = [
        // Dates are whole seconds, and a reply may be a while on its way.
        (|reply| dated(&reply, 655), Some("our clock is 65")),
        (|reply| dated(&reply, -655), Some("our clock is 65")),
        (|reply| dated(&reply, 40), None),
    ];
    for (alter, told) in cases {
        let (night, _rogue) = nights::night("", move |_, _| Act::Altered(alter));
        night.write("in.csv", &as_csv(&deltas(5, 1)));
        let (code, output) = night.passync(&["run", "job.toml"]);
        assert_eq!(code, 0);
        let (stderr, stdout) = (String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
        let told_in = |text: &str| text.matches(told.unwrap_or("our clock is")).count();
        let expected = usize::from(told.is_some());
        let manifest = night.manifest()["warnings"].to_string();
        assert_eq!([&*stderr, &*stdout, &*manifest].map(told_in), [expected; 3], "{told:?}\n{stderr}\n{stdout}");
    }
}

#[test]
fn the_zone_of_the_machine_has_no_part_in_it() {
    let night = Night::new(Config::default(), "input.timezone = 'Asia/Hong_Kong'\ninput.date_offset = '-1d'");
    let job = std::fs::read_to_string(night.path("job.toml")).unwrap();
    night.write("job.toml", &job.replace(r#"["in.csv"]"#, r#"["in-{date}.csv"]"#));
    let hong_kong = TimeZone::get("Asia/Hong_Kong").unwrap();
    // At any moment the day of one of these two is another than Hong Kong's.
    for zone in ["Pacific/Kiritimati", "Pacific/Pago_Pago"] {
        let day = Timestamp::now().to_zoned(hong_kong.clone()).date().yesterday().unwrap();
        night.write(&format!("in-{day}.csv"), "bill_no,pass_id,user_id,points\nb1,card-1,user-1,5\n");
        let output = night.command(&["run", "job.toml", "--again", "--json"]).env("TZ", zone).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        let manifest: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let input = &manifest["inputs"][0];
        assert_eq!(input["name"], format!("in-{day}.csv"));
        // Rows without a time of their own stand at the end of that day, as Hong Kong has it.
        let end = day.tomorrow().unwrap().to_zoned(hong_kong.clone()).unwrap().timestamp().as_millisecond() - 1;
        assert_eq!(input["occurred_default_ms"], end, "{zone}");
    }
}

#[test]
fn a_finish_by_that_passes_while_the_inputs_are_awaited_is_not_tomorrows() {
    let settings = "input.timezone = 'UTC'\ninput.wait_for = '1m'\ninput.rows_min = 0";
    let nights = [Night::new(Config::default(), settings), Night::new(Config::default(), settings)];
    let start = |night: &Night| night.start(&["run", "job.toml", "--set", &finish_by_in(1)]);
    let mut children = nights.each_ref().map(start);
    std::thread::sleep(Duration::from_secs(4));
    for (night, rows) in nights.iter().zip([5, 0]) {
        night.write("in.csv", &as_csv(&deltas(rows, 1)));
    }
    // An empty night is over before it could be too late.
    assert_eq!(children.each_mut().map(|child| child.wait().unwrap().code()), [Some(5), Some(0)]);
    assert_eq!((nights[0].calls(), nights[0].counts()), (0, [("unsent".to_owned(), 5)].into()));
}

/// A run that is cut off before midnight is finished behind it, and what was asked for is still the day before.
#[test]
fn the_date_is_that_of_the_start_however_long_an_interrupted_run_takes() {
    let Some(library) = faketime() else { return };
    let night = Night::new(Config::default(), "input.timezone = 'UTC'\ngateway.max_skew = 'off'");
    let job = std::fs::read_to_string(night.path("job.toml")).unwrap();
    night.write("job.toml", &job.replace(r#"["in.csv"]"#, r#"["in-{date}.csv"]"#));
    // The clock is set to the end of tomorrow's day: that is more than a day away, whatever time it is.
    let today = Timestamp::now().to_zoned(TimeZone::UTC).date().tomorrow().unwrap();
    let tomorrow = today.tomorrow().unwrap();
    let file = |day: jiff::civil::Date| format!("in-{day}.csv");
    night.write("cut-off.csv", &as_csv(&deltas(30, 1)));
    let cut_off = ["run", "job.toml", "--set", "input.files=['cut-off.csv']", "--set", "limits.quota=10/1s"];
    let mut child = night.start(&cut_off);
    wait_for(|| night.calls() > 5);
    child.kill().unwrap();
    child.wait().unwrap();
    night.write(&file(today), "bill_no,pass_id,user_id,points\nof-today,card-1,user-1,5\n");
    night.write(&file(tomorrow), "bill_no,pass_id,user_id,points\nof-tomorrow,card-1,user-1,6\n");

    // Finishing takes two seconds at least, for 20 rows.
    let mut command = under_a_clock_that_is_set(&library, &night, &["run", "job.toml"]);
    let left = tomorrow.to_zoned(TimeZone::UTC).unwrap().timestamp().duration_since(Timestamp::now()).as_secs();
    night.write("offset", &format!("+{}", left - 1));
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let manifest = night.manifest();
    assert!(manifest["started_at"].as_str().unwrap().starts_with(&tomorrow.to_string()), "{}", manifest["started_at"]);
    assert_eq!(manifest["inputs"][0]["name"], file(today));
}
