//! A disk that fills up or fails, at every durable step: sending stops, exit 6 says what and what to do, nothing is lost.

use std::process::{Command, Output};
use std::time::Duration;

use jiff::Timestamp;
use passync::io::fault::points;
use passync::sandbox::Config;

use super::scenes::{Play, Scene, points_of, thorough, with_each};
use super::stage::deltas;

#[track_caller]
fn says_what_and_what_to_do(output: &Output, told: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(6), "{told}: {said}");
    let error = said.lines().skip_while(|line| !line.starts_with("error")).collect::<Vec<_>>().join(" ");
    assert!(["state/", "out/"].iter().any(|place| error.contains(place)), "{told} names no file: {error}");
    let remedies = ["free some space", "see that the disk is well"];
    assert!(remedies.iter().any(|remedy| error.contains(remedy)), "{told} has no remedy: {error}");
}

/// Steps behind the end of a run, which are no fault of it.
const BEHIND_THE_END: [&str; 2] = ["kept.", "file.remove"];

#[test]
fn a_fault_of_the_disk_at_every_point_costs_nothing() {
    let mut asked =
        points().flat_map(|point| ["enospc", "eio"].map(|error| (point.clone(), error))).collect::<Vec<_>>();
    asked.retain(|(point, _)| !BEHIND_THE_END.iter().any(|step| point.starts_with(step)));
    if !thorough() {
        // The one before the step, the other behind it.
        asked.retain(|(point, error)| point.ends_with("before") == (*error == "enospc"));
    }
    let faults = asked.len();
    with_each(asked, |(point, error)| {
        let scene = Scene::of(&point)[0];
        let told = format!("{scene:?}, {error} at {point}");
        let mut play = Play::begin(scene);
        says_what_and_what_to_do(&play.disturb(&format!("{point}:1:{error}")), &told);
        play.end_well(&told);
    });
    eprintln!("{faults} faults of the disk survived");
}

#[test]
fn a_fault_of_the_disk_while_an_import_is_booked_costs_nothing() {
    let points = points_of(Scene::STEPS_OF_IMPORT, Scene::Imported);
    // The one before the step, the other behind it.
    let error_at = |point: &str| if point.ends_with("before") { "enospc" } else { "eio" };
    with_each(points, |(point, scene)| {
        let told = format!("{scene:?}, {} at {point}", error_at(&point));
        let mut play = Play::begin(scene);
        says_what_and_what_to_do(&play.disturb(&format!("{point}:1:{}", error_at(&point))), &told);
        play.end_well(&told);
    });
}

#[test]
fn what_cannot_go_behind_the_end_is_a_warning() {
    let cases = [
        (Scene::Kept, "kept.remove.before:2", "[output] keep: cannot remove ", "out/"),
        (Scene::StandardInput, "file.remove.before:1", "what is not needed any more stays: cannot remove ", "state/"),
    ];
    with_each(cases.into_iter().flat_map(|case| ["enospc", "eio"].map(|error| (case, error))), |(case, error)| {
        let (scene, point, warning, place) = case;
        let mut play = Play::begin(scene);
        let output = play.disturb(&format!("{point}:{error}"));
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{said}");
        assert!(said.contains(warning) && said.contains(place), "{said}");
        play.end_well(error);
    });
}

#[test]
fn nothing_is_sent_behind_a_fault_of_the_ledger() {
    with_each(
        ["journal.begin.before", "journal.append.before", "journal.commit.before", "journal.commit.after"],
        |point| {
            // Slow enough that most rows are still to come when the disk fails.
            let rows = deltas(120, 1);
            let mut play = Play::with(Scene::Run, rows, Config::default(), "");
            play.slow_down();
            let began = Timestamp::now();
            let output = play.disturb(&format!("{point}:9:eio"));
            says_what_and_what_to_do(&output, point);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            let failed = said.lines().find(|line| line.contains("fault point")).unwrap();
            let failed: Timestamp = failed.split_whitespace().next().unwrap().parse().unwrap();
            assert!(failed > began);
            let arrivals = play.night.arrivals();
            assert!((1..120).contains(&arrivals.len()), "{} of 120 rows were sent", arrivals.len());
            // What was on its way to the gateway when the disk failed may still arrive.
            let grace = Duration::from_millis(100);
            let late = arrivals.iter().filter(|arrival| **arrival > failed + grace).count();
            assert_eq!(late, 0, "{point}: sent behind the fault at {failed}: {arrivals:?}");
            play.end_well(point);
        },
    );
}

/// Mounts a small disk; `None` where this user may not.
fn small_disk(path: &std::path::Path, size: &str) -> Option<Mounted> {
    std::fs::create_dir_all(path).unwrap();
    let mount = |options: &str| Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(path).output();
    let mounted = mount(&format!("size={size},mode=0700")).is_ok_and(|output| output.status.success());
    if !mounted {
        eprintln!("skipped: only root can mount a small disk here");
    }
    mounted.then(|| Mounted(path.to_owned()))
}

struct Mounted(std::path::PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

#[test]
fn a_disk_that_is_too_small_is_told_before_the_first_call() {
    let rows = deltas(1_000, 1);
    let mut play = Play::with(Scene::Run, rows, Config::default(), "");
    let Some(_disk) = small_disk(&play.night.path("state"), "1m") else { return };
    let output = play.disturb("");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(6), "{said}");
    assert!(
        said.contains("no room for this run") && said.contains("MiB free under") && said.contains("free some space"),
        "{said}"
    );
    assert_eq!(play.night.calls(), 0);
}

/// Runs the job, and fills the disk under `place` when ten calls have come; the disk is emptied afterwards.
fn fill_while_sending(play: &Play, place: &str) {
    let ballast = play.night.path(place).join("ballast");
    let output = std::thread::scope(|scope| {
        let filler = scope.spawn(|| {
            let began = std::time::Instant::now();
            while play.night.calls() < 10 && began.elapsed() < Duration::from_secs(30) {
                std::thread::sleep(Duration::from_millis(2));
            }
            std::fs::write(&ballast, vec![1; 16 << 20]).unwrap_err().kind()
        });
        let output = play.night.command(&["run", "job.toml"]).output().unwrap();
        assert_eq!(filler.join().unwrap(), std::io::ErrorKind::StorageFull);
        output
    });
    std::fs::remove_file(ballast).unwrap();
    says_what_and_what_to_do(&output, &format!("{place} on a disk that fills up"));
    assert!(String::from_utf8_lossy(&output.stderr).contains("free some space"), "{output:?}");
}

#[test]
fn a_disk_that_fills_up_while_we_send_costs_nothing() {
    let mut play = Play::with(Scene::Run, deltas(400, 1), Config::default(), "");
    let Some(_disk) = small_disk(&play.night.path("state"), "12m") else { return };
    play.slow_down();
    fill_while_sending(&play, "state");
    assert!(play.night.calls() < 400);
    play.is_cut();
    play.end_well("the ledger on a disk that had filled up");
}

#[test]
fn a_disk_that_fills_up_under_the_outputs_costs_nothing() {
    let play = Play::with(Scene::Run, deltas(60, 1), Config::default(), "");
    let Some(_disk) = small_disk(&play.night.path("out"), "256k") else { return };
    play.slow_down();
    fill_while_sending(&play, "out");
    assert_eq!(play.night.calls(), 60, "all was sent before the files were written");
    play.end_well("outputs on a disk that had been full");
}
