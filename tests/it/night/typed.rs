//! What is printed to be typed next, and odd things that are typed.

use std::fs;
use std::process::{Output, Stdio};

use passync::sandbox::Config;

use super::stops::wait_for;
use super::{Night, as_csv, deltas, scripted};

/// The words of the commands between backquotes, without the program.
fn quoted(said: &str) -> Vec<Vec<&str>> {
    said.split('`').skip(1).step_by(2).map(|command| command.split(' ').skip(1).collect()).collect()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn commands_that_a_run_names_lead_to_its_own_ledger() {
    let rows = deltas(20, 2);
    let bill = rows[4].bill.clone();
    let mut night = Night::new(scripted(&[(&bill, "unknown")]), "retry.attempts_max = 1");
    let at = ["--state", "elsewhere", "--set", "limits.concurrency=8"];
    night.write("in.csv", &as_csv(&rows[..20]));
    night.expect(1, &[&["run", "job.toml"], &at[..]].concat());
    night.write("in.csv", &as_csv(&rows[20..]));
    let (exit, output) = night.passync(&[&["run", "job.toml"], &at[..]].concat());
    let said = stderr(&output);
    assert_eq!(exit, 0, "{said}");
    let open = quoted(&said).into_iter().find(|words| words.first() == Some(&"open")).expect("open rows are told");
    assert_eq!(night.json(0, &open).as_array().unwrap().len(), 2);
    night.reopen_gateway(Config::default());
    let line = said.lines().find(|line| line.contains(" replay ")).expect("and what replays them");
    let replay: Vec<_> = line.split(' ').skip_while(|word| *word != "replay").collect();
    night.expect(0, &replay);
    assert_eq!(night.json(0, &open).as_array().unwrap().len(), 0);
    assert!(!night.path("state").exists(), "nothing was made beside the job");
}

#[test]
fn a_run_whose_input_is_gone_is_closed_by_what_is_told() {
    let night = Night::new(Config::default(), "");
    let at = ["--state", "elsewhere"];
    let rows = deltas(200, 1);
    night.write("in.csv", &as_csv(&rows));
    let mut child = night.start(&[&["run", "job.toml", "--set", "limits.quota=50/1s"], &at[..]].concat());
    wait_for(|| night.calls() > 20);
    child.kill().unwrap();
    child.wait().unwrap();
    fs::remove_file(night.path("in.csv")).unwrap();
    let (exit, output) = night.passync(&[&["run", "job.toml"], &at[..]].concat());
    let said = stderr(&output);
    assert_eq!(exit, 3, "{said}");
    let abandon = quoted(&said).into_iter().find(|words| words.contains(&"--abandon")).expect("a way out is told");
    let (exit, output) = night.passync(&abandon);
    assert!(exit != 2 && exit != 3, "{exit}: {}", stderr(&output));
    let open = night.json(0, &[&["open", "job.toml"], &at[..]].concat());
    assert!(open.as_array().unwrap().len() > 20);
    // There is nothing to replay; the input itself, wherever it is found again, is.
    night.write("found.csv", &as_csv(&rows));
    let close = open[0]["close"].as_str().unwrap().replace("FILE", "found.csv");
    night.expect(0, &close.split(' ').skip(1).collect::<Vec<_>>());
    assert_eq!(night.json(0, &[&["open", "job.toml"], &at[..]].concat()).as_array().unwrap().len(), 0);
}

#[test]
fn standard_input_is_what_its_first_bytes_say() {
    let rows = deltas(10, 1);
    let night = Night::new(Config::default(), "");
    night.write("in.csv", &as_csv(&rows));
    let packed = zstd::encode_all(fs::File::open(night.path("in.csv")).unwrap(), 1).unwrap();
    fs::write(night.path("packed"), packed).unwrap();
    let from = Stdio::from(fs::File::open(night.path("packed")).unwrap());
    let output = night.command(&["run", "job.toml", "--input", "-"]).stdin(from).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    night.is_well(&rows);
}

#[test]
fn odd_words_are_refused_at_once() {
    let night = Night::new(Config::default(), "");
    night.write("in.csv", &as_csv(&deltas(3, 1)));
    assert!(night.expect(2, &["check", "/dev/zero"]).contains("no job file has"));
    assert!(night.expect(3, &["check", "job.toml", "--set", "input.files=[\".\"]"]).contains("not a regular file"));
    night.write("odd.csv", "bill_no~pass_id~user_id~points\nB1~P1~U1~5\n");
    assert!(night.expect(2, &["check", "job.toml", "--input", "odd.csv"]).contains("input.delimiter"));
    night.expect(0, &["run", "job.toml"]);
    assert_eq!(night.expect(0, &["open", "job.toml", "-q"]), "", "cron mails what is printed");
    let settle =
        |words: &[&str], exit: i32| night.expect(exit, &[&["ledger", "settle", "--state", "state"], words].concat());
    settle(&["B1", "--as", "applied", "--reason", ""], 2);
    night.write("answers.csv", "bill_no,as,reason\n");
    assert!(settle(&["--file", "answers.csv"], 3).contains("it has no answers"));
    settle(&["--file", "answers.csv", "--as", "applied", "--reason", "seen"], 2);
    night.write("answers.csv", "bill_no,as,reason\r\nb1,applied,seen\r\nb2,perhaps,seen\r\n"); // as Excel writes it
    assert!(settle(&["--file", "answers.csv"], 3).contains("answers.csv:3: column `as`"));
}
