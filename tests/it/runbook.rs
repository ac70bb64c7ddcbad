//! The runbook, command by command: each is run as it stands there, in its order, on a stage that has what it names.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::sandbox::Sandbox;

/// How commands end on this stage, where it is not with 0: words of the command, the exit, and words of what it says.
const ENDS: &[(&str, i32, &str)] = &[
    ("--plan 0123456789abcdef", 3, "--plan names 0123456789abcdef"),
    ("--include rejected,conflict,refused", 0, ""),
    ("doctor", 0, ""),
    ("resume jobs/nightly.toml --abandon", 2, "nothing to resume"),
    ("ledger settle", 2, "nothing to settle"),
    ("diff jobs/nightly.toml", 1, "1  differ"),
];

/// What was run and comes again is refused: on this stage one night stands for several.
const AGAIN: (i32, &str) = (3, "has read the same inputs");

/// What a command reads, where it reads the inputs of a job: the job, its days, its files.
fn inputs_of(line: &str) -> Option<String> {
    let words: Vec<&str> = line.split_whitespace().take_while(|word| *word != "#").collect();
    let ["passync", "run" | "check", job, ref flags @ ..] = words[..] else { return None };
    let named = flags.windows(2).filter(|pair| matches!(pair[0], "--date" | "--input")).map(<[&str]>::concat);
    Some(job.to_owned() + &named.collect::<String>())
}

const HEADER: &str = "BILL_NO,PASS_ID,USER_ID,POINTS,POINTS_DELTA,TXN_TIME,LEVEL_ZH,LEVEL_EN\n";
const ROW: &str =
    "202601020000000000000000001,0029000001,2160220037090534,100,5,2026-01-02 10:00:00,鑽石卡,Diamond Card\n";

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn write_gz(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut file = flate2::write::GzEncoder::new(fs::File::create(path).unwrap(), flate2::Compression::fast());
    file.write_all(text.as_bytes()).unwrap();
    file.finish().unwrap();
}

/// Job files, inputs of the last night and of January, and what else the commands name.
fn set_up(stage: &Path) {
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("jobs")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "toml") {
            // The archive's Parquet files are CSV here: they say the same.
            let job = fs::read_to_string(&path).unwrap().replace("points-*.parquet", "points-*.csv");
            write(&stage.join("jobs").join(path.file_name().unwrap()), &job);
        }
    }
    write_gz(&tonight(stage), &format!("{HEADER}{ROW}"));
    let later = ROW.replace("0000001,", "0000031,").replace("2026-01-02", "2026-01-31");
    write_gz(&stage.join("jobs/inbox/points-2026-01-31.csv.gz"), &format!("{HEADER}{later}"));
    for day in 1..=31 {
        let text = format!(
            "bill_no,pass_id,user_id,points,occurred_at\n20260{day:02}2,00290001{day:02},2160220037090534,7,2026-01-{day:02} 09:00:00\n"
        );
        write(&stage.join(format!("jobs/archive/2026-01-{day:02}/points-1.csv")), &text);
    }
    write(&stage.join("corrected.csv"), &format!("{HEADER}{}", ROW.replace("0000001,", "0000002,")));
    write(&stage.join("balances.csv"), "PASS_ID,USER_ID,POINTS\n0029000001,2160220037090534,250\n");
    write(&stage.join("sent-2025.csv"), &format!("{HEADER}{}", ROW.replace("2026", "2025")));
}

/// What the nightly job reads.
fn tonight(stage: &Path) -> PathBuf {
    let zone = jiff::tz::TimeZone::get("Asia/Hong_Kong").unwrap();
    let yesterday = jiff::Timestamp::now().to_zoned(zone).date().yesterday().unwrap();
    stage.join(format!("jobs/inbox/points-{yesterday}.csv.gz"))
}

fn run(stage: &Path, line: &str, sandbox: &Sandbox) -> (i32, String) {
    let line = line.replace("/backup/", &format!("{}/backup/", stage.display()));
    let keys = stage.join("keys").display().to_string();
    let mut command = Command::new("sh");
    command.current_dir(stage).env_clear().env("PATH", "/usr/bin:/bin");
    command.env("PASSYNC_GATEWAY_URL", format!("http://{}", sandbox.addr));
    command.env("PASSYNC_GATEWAY_ALLOW_INSECURE_LOOPBACK", "true");
    command.env("PASSYNC_GATEWAY_PRIVATE_KEY", format!("file:{keys}/client.pem"));
    command.env("PASSYNC_GATEWAY_PLATFORM_KEYS", format!("[\"file:{keys}/platform.pub.pem\"]"));
    command.env("PASSYNC_RUN_FINISH_BY", "");
    let script = format!("passync() {{ \"{}\" \"$@\"; }}\n{line}", env!("CARGO_BIN_EXE_passync"));
    let output = command.args(["-c", &script]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code().unwrap_or(-1), said)
}

#[test]
fn every_command_of_the_runbook_does_what_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let stage = folder.path();
    set_up(stage);
    let sandbox = Sandbox::start(stage, &[]);
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("jobs/README.md")).unwrap();
    let lines = page.split("```sh\n").skip(1).flat_map(|block| block.split("```").next().unwrap().lines());
    let mut wrong = Vec::new();
    let (mut count, mut read) = (0, BTreeSet::new());
    for line in lines.filter(|line| line.starts_with("passync ")) {
        count += 1;
        if ["--plan", "--canary"].iter().any(|flag| line.contains(flag)) {
            // These are for a night that was not run yet.
            let row = ROW.replace("0000001,", &format!("00{count:05},")).replace(",100,5,", &format!(",{count},5,"));
            write_gz(&tonight(stage), &format!("{HEADER}{row}"));
            read.remove("jobs/nightly.toml");
        }
        let (code, said) = run(stage, line, &sandbox);
        let told = ENDS.iter().find(|(words, ..)| line.contains(words));
        let inputs = inputs_of(line);
        let otherwise = if inputs.as_ref().is_some_and(|inputs| read.contains(inputs)) { AGAIN } else { (0, "") };
        let (expected, words) = told.map_or(otherwise, |(_, exit, words)| (*exit, *words));
        read.extend(inputs.filter(|_| line.starts_with("passync run") && code == 0));
        if code != expected || !said.contains(words) {
            wrong.push(format!("{line}\nended with {code}, expected {expected} and {words:?}:\n{said}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count >= 30, "{count}");
    assert_eq!(sandbox.end()["breaches"], serde_json::json!({}));
}
