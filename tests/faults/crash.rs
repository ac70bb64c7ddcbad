//! `kill -9` at every durable step, in every part of a run, in its recovery too, and at any moment.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use passync::io::fault::{VARIABLE, points};
use passync::sandbox::Config;

use super::scenes::{Play, Scene, points_of, thorough, with_each};
use super::signals::wait_for;
use super::stage::{Delta, Night, as_csv, deltas, faulty, scripted};

/// Kills at the nth passing of a point, each of which must be met; `before` is killed first.
fn kill_at_each(points: impl Iterator<Item = (String, Scene)>, nth: u64, before: &str) {
    let kills = AtomicU64::new(0);
    with_each(points, |(point, scene)| {
        let told = format!("{scene:?}, killed at {point}:{nth} {before}");
        let mut play = Play::begin(scene);
        if !before.is_empty() {
            play.disturb(before);
        }
        let earlier = play.cuts();
        play.disturb(&format!("{point}:{nth}:kill"));
        assert_eq!(play.cuts(), earlier + 1, "{told}: it does not come by there");
        kills.fetch_add(play.cuts(), Ordering::Relaxed);
        play.end_well(&told);
    });
    eprintln!("{} kills survived", kills.into_inner());
}

/// Two kills take twice the time: behind each step will do, unless somebody has more of it.
#[expect(clippy::case_sensitive_file_extension_comparisons, reason = "a point is no file")]
fn is_due((point, _): &(String, Scene)) -> bool {
    thorough() || point.ends_with(".after")
}

#[test]
fn a_kill_at_every_point_costs_nothing() {
    let in_each = |point: String| Scene::of(&point).iter().map(move |scene| (point.clone(), *scene));
    kill_at_each(points().flat_map(in_each), 1, "");
}

#[test]
fn a_kill_in_the_middle_of_rows_journal_and_files_costs_nothing() {
    let often = ["rows.write", "index.write", "fates.write", "plan.write", "journal", "fold.append"];
    kill_at_each(points_of(&often, Scene::Run), 6, "");
}

#[test]
fn a_kill_in_the_recovery_costs_nothing() {
    let again =
        ["stamp", "journal", "fold", "folder", "outcomes", "failures", "report", "manifest", "latest", "run.close"];
    kill_at_each(points_of(&again, Scene::Run).filter(is_due), 1, "journal.commit.before:5:kill");
}

#[test]
fn a_kill_while_a_plan_is_made_again_costs_nothing() {
    let again = ["rows.sync", "fates", "plan.sync", "survey", "run.book", "fold", "stamp", "journal.commit"];
    kill_at_each(points_of(&again, Scene::Replanned).filter(is_due), 1, "journal.commit.after:5:kill");
}

#[test]
fn a_kill_in_the_replay_of_open_rows_costs_nothing() {
    let first = ["rows.sync", "plan.sync", "survey.rename", "run", "stamp", "journal", "fold", "outcomes", "manifest"];
    kill_at_each(points_of(&first, Scene::ReplayOpen).filter(is_due), 1, "");
}

#[test]
fn a_kill_while_another_jobs_run_is_taken_over_costs_nothing() {
    let taken = ["fold", "plan.sync", "survey.rename", "run.book", "stamp", "journal.commit"];
    kill_at_each(points_of(&taken, Scene::Folding), 1, "");
}

#[test]
fn a_kill_while_a_run_is_abandoned_costs_nothing() {
    let closing =
        ["folder", "tails", "fold", "ends", "outcomes", "failures", "report", "manifest", "latest", "run.close"];
    kill_at_each(points_of(&closing, Scene::Abandoned), 1, "");
}

#[test]
fn a_kill_while_an_import_is_booked_costs_nothing() {
    kill_at_each(points_of(Scene::STEPS_OF_IMPORT, Scene::Imported), 1, "");
}

#[test]
fn a_kill_in_the_recovery_of_an_import_costs_nothing() {
    let closing = ["rows.sync", "fold", "outcomes", "manifest"];
    kill_at_each(points_of(&closing, Scene::Imported).filter(is_due), 1, "run.book.before:1:kill");
}

/// Whatever is left open is left for a person, or for another run: what a canary keeps back, and what stayed in doubt.
#[test]
fn a_run_that_is_cut_off_while_it_is_closed_sends_nothing_more() {
    let rows = deltas(12, 1);
    let config = || scripted(&[(rows[1].bill.as_str(), "unknown"), (rows[7].bill.as_str(), "unknown")]);
    for (canary, code) in [(&["--canary", "4"][..], 5), (&[], 1)] {
        for point in [
            "sending.note.after",
            "fold.commit.before",
            "fold.commit.after",
            "outcomes.rename.after",
            "report.write.before",
            "manifest.rename.after",
            "latest.rename.before",
            "run.close.before",
        ] {
            let night = Night::new(config(), "retry.attempts_max = 2");
            night.write("in.csv", &as_csv(&rows));
            let mut run = night.command(&[&["run", "job.toml"], canary].concat());
            let output = run.env(VARIABLE, format!("{point}:1:kill")).output().unwrap();
            assert_eq!(output.status.code(), None, "{point}: it is killed");
            let calls = night.calls();
            night.expect(code, &["resume", "job.toml"]);
            assert_eq!(night.calls(), calls, "{point}");
            night.is_sound();
            night.expect(0, &["reconcile", "out/night/latest"]);
        }
    }
}

#[test]
fn a_canary_that_is_cut_off_at_any_commit_comes_to_no_other_card() {
    let rows = deltas(12, 1);
    for side in ["before", "after"] {
        let survived = (1..).take_while(|nth| {
            let night = Night::new(Config::default(), "");
            night.write("in.csv", &as_csv(&rows));
            let mut run = night.command(&["run", "job.toml", "--canary", "4"]);
            let output = run.env(VARIABLE, format!("journal.commit.{side}:{nth}:kill")).output().unwrap();
            if let Some(code) = output.status.code() {
                assert_eq!(code, 5, "it came to its end");
                return false;
            }
            night.expect(5, &["resume", "job.toml"]);
            let touched = rows.iter().filter(|row| night.points(&row.card).is_some()).count();
            assert_eq!(touched, 4, "killed {side} commit {nth}");
            night.is_sound();
            true
        });
        assert!(survived.count() >= 2, "intents and ends");
    }
}

#[test]
fn a_closing_is_the_same_whatever_else_went_wrong() {
    let killed = |night: &Night, args: &[&str], point: &str| {
        let output = night.command(args).env(VARIABLE, format!("{point}:1:kill")).output().unwrap();
        assert_eq!(output.status.code(), None, "{point}: it is killed");
        night.calls()
    };
    let rows = deltas(12, 1);
    // A canary's survey is damaged: it is made again, and nothing more is sent.
    let night = Night::new(Config::default(), "");
    night.write("in.csv", &as_csv(&rows));
    let calls = killed(&night, &["run", "job.toml", "--canary", "4"], "outcomes.rename.after");
    let run = std::fs::read_dir(night.path("state/runs")).unwrap().next().unwrap().unwrap();
    std::fs::write(run.path().join("plan"), "damaged").unwrap();
    night.expect(5, &["resume", "job.toml"]);
    assert_eq!(night.calls(), calls);
    night.is_sound();
    // What a person answers meanwhile is told by the closing, and by the journal from then on.
    let doubtful = rows[1].bill.as_str();
    let night = Night::new(scripted(&[(doubtful, "unknown")]), "retry.attempts_max = 2");
    night.write("in.csv", &as_csv(&rows));
    killed(&night, &["run", "job.toml"], "outcomes.rename.after");
    night.expect(0, &["ledger", "settle", doubtful, "--as", "not-applied", "--reason", "seen", "--state", "state"]);
    night.expect(1, &["resume", "job.toml"]);
    assert_eq!(night.counts(), [("applied".to_owned(), 11), ("unsent".to_owned(), 1)].into());
    assert_eq!(night.manifest()["calls"]["attempts"], 13);
    night.is_sound();
    night.expect(0, &["reconcile", "out/night/latest"]);
    night.expect(0, &["report", "out/night/latest", "--state", "state"]);
    assert_eq!((&night.manifest()["calls"]["attempts"], night.counts()["unsent"]), (&13.into(), 1));
    // A person has closed a run as it stands: so it stays.
    let night = Night::new(Config::default(), "");
    night.write("in.csv", &as_csv(&rows));
    killed(&night, &["run", "job.toml"], "journal.commit.after");
    let calls = killed(&night, &["resume", "job.toml", "--abandon"], "outcomes.rename.after");
    night.expect(1, &["run", "job.toml"]);
    assert_eq!(night.calls(), calls);
    night.is_sound();
}

/// A run that was cut off before its first call knows nothing of whoever called last.
#[test]
fn a_run_that_never_called_waits_for_what_another_left_under_way() {
    let night = Night::new(Config::default(), "");
    night.second_job();
    let rows = deltas(40, 1);
    night.write("in.csv", &as_csv(&rows));
    let newer: Vec<_> =
        (0..).zip(&rows).map(|(at, row)| Delta::new(&format!("n-{at}"), &row.card, 9, 90_000)).collect();
    night.write("other.csv", &as_csv(&newer));
    let quota = ["--set", "limits.quota=2/100ms"];
    let mut first = night.start(&[&["run", "job.toml"], &quota[..]].concat());
    wait_for(|| night.calls() > 5);
    first.kill().unwrap();
    first.wait().unwrap();
    let killed = std::time::Instant::now();
    let mut second = night.command(&[&["run", "other.toml"], &quota[..]].concat());
    assert_eq!(second.env(VARIABLE, "run.book.after:1:kill").output().unwrap().status.code(), None);
    let calls = night.calls();
    let mut again = night.start(&["resume", "other.toml"]);
    wait_for(|| night.calls() > calls);
    assert!(killed.elapsed() >= Duration::from_secs(2), "a request timeout: {:?}", killed.elapsed());
    assert_eq!(again.wait().unwrap().code(), Some(0));
}

#[test]
fn an_import_that_was_cut_off_is_given_up_and_books_nothing() {
    let night = Night::new(Config::default(), "");
    night.write("in.csv", &as_csv(&deltas(3, 1)));
    for (point, booked) in [("run.book.after", 0), ("fold.commit.before", 0), ("fold.commit.after", 3)] {
        let import = ["ledger", "import", "in.csv", "--job", "job.toml", "--apply"];
        let output = night.command(&import).env(VARIABLE, format!("{point}:1:kill")).output().unwrap();
        assert_eq!(output.status.code(), None, "{point}: it is killed");
        let said = night.expect(0, &["resume", "job.toml", "--abandon"]);
        assert_eq!(said.contains("is given up"), booked == 0, "{point}: {said}");
        let stats = night.expect(0, &["ledger", "stats", "--state", "state", "--json"]);
        let stats: serde_json::Value = serde_json::from_str(&stats).unwrap();
        assert_eq!(stats["bills"]["applied"].as_u64().unwrap_or_default(), booked, "{point}: {stats}");
        night.is_sound();
        let again = night.expect(2, &["resume", "job.toml"]);
        assert!(again.contains("nothing to resume"), "{point}: {again}");
    }
}

#[test]
fn an_import_that_was_booked_is_closed_whatever_killed_its_closing() {
    let night = Night::new(Config::default(), "");
    night.write("in.csv", &as_csv(&deltas(3, 1)));
    let killed = |args: &[&str], point: &str| {
        let output = night.command(args).env(VARIABLE, format!("{point}:1:kill")).output().unwrap();
        assert_eq!(output.status.code(), None, "{point}: it is killed");
    };
    killed(&["ledger", "import", "in.csv", "--job", "job.toml", "--apply"], "fold.commit.after");
    killed(&["resume", "job.toml"], "run.book.after");
    let said = night.expect(0, &["resume", "job.toml", "--abandon"]);
    assert!(!said.contains("is given up"), "{said}");
    night.is_sound();
    // Another job's night books no import that was cut off.
    let other = Night::new(Config::default(), "");
    other.second_job();
    other.write("in.csv", &as_csv(&deltas(3, 1)));
    other.write("other.csv", &as_csv(&deltas(5, 1)[3..]));
    let import = ["ledger", "import", "in.csv", "--job", "job.toml", "--apply"];
    let output = other.command(&import).env(VARIABLE, "run.book.after:1:kill").output().unwrap();
    assert_eq!(output.status.code(), None, "it is killed");
    other.expect(0, &["run", "other.toml"]);
    let said = other.expect(0, &["resume", "job.toml", "--abandon"]);
    assert!(said.contains("is given up"), "{said}");
    other.is_sound();
}

/// How often the loop below kills: `PASSYNC_KILLS`, or so many that nobody waits for them.
fn kills_asked_for() -> u64 {
    std::env::var("PASSYNC_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(30)
}

#[test]
fn random_kills() {
    let wanted = kills_asked_for();
    let kills = AtomicU64::new(0);
    let runs = AtomicU64::new(0);
    with_each(0..8, |lane: u64| {
        let mut dice = Dice(0x9e37_79b9_7f4a_7c15 ^ lane);
        while kills.load(Ordering::Relaxed) < wanted {
            let rows = deltas(20 + dice.below(40), 1 + dice.below(3));
            let gateway = faulty("unknown=5%,unknown-applied=5%,drop-after=3%,429=2%,heal=2");
            let mut play = Play::with(Scene::Run, rows, gateway, "");
            for _ in 0..=dice.below(8) {
                // At any moment between the first instruction and the end of such a run.
                play.kill_after(Duration::from_micros(dice.below(900_000)));
            }
            kills.fetch_add(play.cuts(), Ordering::Relaxed);
            runs.fetch_add(1, Ordering::Relaxed);
            let told = format!("lane {lane}, {} kills", play.cuts());
            play.end_well(&told);
        }
    });
    eprintln!("{} random kills survived in {} runs", kills.into_inner(), runs.into_inner());
}

/// Where the random kills fall; the same every time, as far as the machine lets them.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}
