//! Short stories that come by the durable steps, and how they are brought to their end.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::Path;
use std::process::{Output, Stdio};
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

use passync::io::fault::{VARIABLE, points};
use passync::sandbox::Config;
use rusqlite::Connection;
use rustix::process::{Pid, Signal, kill_process};
use sha2::{Digest, Sha256};

use super::stage::{Delta, Night, as_csv, deltas, faulty};

/// Rows in flight, and so the most that one kill may cause to be sent again.
pub const CONCURRENCY: u64 = 4;

/// A story: what comes before the command that is disturbed, and that command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scene {
    /// Tonight's file.
    Run,
    /// The same from standard input.
    StandardInput,
    /// A run that a signal stopped is reopened by the same inputs.
    Reopened,
    /// An interrupted run is closed as it stands, then replayed.
    Abandoned,
    /// The ninth night: the survey of the first one goes.
    Ninth,
    /// Tonight's file, and whenever the run is disturbed, its plan is damaged.
    Replanned,
    /// Tonight's file, and before it what last night left open (`replay_open`).
    ReplayOpen,
    /// Another job's file, over a run of ours that was cut off: what it knows is folded first.
    Folding,
    /// A person's answers about what last night left in doubt.
    Settled,
    /// Last night is forgotten.
    Pruned,
    /// What another program has applied is booked without a call.
    Imported,
    /// The ledger is copied over an older copy.
    BackedUp,
    /// Tonight's file, and the files of an old run go.
    Kept,
}

impl Scene {
    /// The scenes that come by a point, each for reasons of its own.
    pub fn of(point: &str) -> &'static [Scene] {
        match point.rsplit_once('.').unwrap().0 {
            "survey.set-aside" | "survey.remove" => &[Scene::Reopened, Scene::Ninth, Scene::Pruned],
            "prune.commit" => &[Scene::Pruned],
            "backup.copy" | "backup.rename" => &[Scene::BackedUp],
            "kept.remove" => &[Scene::Kept],
            "stale.remove" | "stale.sync-folder" => &[Scene::Reopened],
            "ends.commit" | "tails.write" => &[Scene::Abandoned],
            "settle.commit" => &[Scene::Settled],
            step if step.starts_with("file.") => &[Scene::StandardInput],
            _ => &[Scene::Run],
        }
    }

    /// The steps that [`Scene::Imported`] comes by.
    pub const STEPS_OF_IMPORT: &[&str] = &[
        "rows",
        "index",
        "fates",
        "plan.sync",
        "survey.sync-folder",
        "survey.rename",
        "ledger",
        "run",
        "fold",
        "folder",
        "tails.sync",
        "tails.remove",
        "outcomes",
        "failures",
        "report",
        "manifest",
        "latest",
    ];

    fn args(self) -> &'static [&'static str] {
        match self {
            Scene::StandardInput => &["run", "job.toml", "--input", "-"],
            Scene::Abandoned => &["resume", "job.toml", "--abandon"],
            Scene::ReplayOpen => &["run", "job.toml", "--set", "run.replay_open=true"],
            Scene::Folding => &["run", "other.toml"],
            Scene::Settled => &["ledger", "settle", "--file", "answers.csv", "--state", "state"],
            Scene::Pruned => &["ledger", "prune", "--older-than", "0s", "--state", "state", "--apply"],
            Scene::Imported => &["ledger", "import", "sent.csv", "--job", "job.toml", "--apply"],
            Scene::BackedUp => &["ledger", "backup", "out/safe/ledger.db", "--state", "state"],
            Scene::Kept => &["run", "job.toml", "--set", "output.keep=1d"],
            _ => &["run", "job.toml"],
        }
    }
}

/// A story under way.
pub struct Play {
    pub night: Night,
    scene: Scene,
    rows: Vec<Delta>,
    /// Kills, and storage faults: both may cut off as many exchanges as there are slots.
    cuts: u64,
}

impl Play {
    /// Everything up to the command that is to be disturbed.
    pub fn begin(scene: Scene) -> Play {
        Play::with(scene, deltas(8, 2), faulty("unknown=8%,unknown-applied=8%,drop-after=4%,heal=2"), "")
    }

    /// The same with other rows, another gateway and further settings.
    pub fn with(scene: Scene, rows: Vec<Delta>, gateway: Config, settings: &str) -> Play {
        let night = Night::new(gateway, settings);
        // What a restart waits for is short: a quota's window, and a timeout for the rows in doubt.
        let job = std::fs::read_to_string(night.path("job.toml")).unwrap();
        let job = job.replace(r#""2000/1s""#, r#""200/100ms""#).replace(r#"timeout = "2s""#, r#"timeout = "1s""#);
        night.write("job.toml", &job.replace("concurrency = 32", &format!("concurrency = {CONCURRENCY}")));
        night.write("in.csv", &as_csv(&rows));
        let mut play = Play { night, scene, rows, cuts: 0 };
        match scene {
            Scene::Run | Scene::StandardInput | Scene::Replanned => {}
            Scene::Reopened => play.stop_early(),
            Scene::Abandoned => {
                let output =
                    play.night.command(&["run", "job.toml"]).env(VARIABLE, "journal.commit.after:4:kill").output();
                assert!(play.was_killed(&output.unwrap()));
            }
            Scene::Ninth => {
                for night in 0..8 {
                    let row =
                        Delta::new(&format!("22023034324344243332{night:07}"), &format!("early-{night}"), 1, night);
                    play.night.write("in.csv", &as_csv(&[row]));
                    play.night.passync(&["run", "job.toml"]);
                }
                play.night.write("in.csv", &as_csv(&play.rows));
            }
            Scene::ReplayOpen => {
                play.leave_doubt();
                play.rows = newer(&play.rows);
                play.night.write("in.csv", &as_csv(&play.rows));
            }
            Scene::Folding => {
                play.night.second_job();
                let output =
                    play.night.command(&["run", "job.toml"]).env(VARIABLE, "journal.commit.after:4:kill").output();
                assert!(play.was_killed(&output.unwrap()));
                play.rows = newer(&play.rows);
                play.night.write("other.csv", &as_csv(&play.rows));
            }
            Scene::Settled => {
                let answers = play.leave_doubt();
                play.night.write("answers.csv", &answers);
            }
            Scene::Pruned => drop(play.night.expect(0, &["run", "job.toml"])),
            Scene::Imported => {
                let (sent, new): (Vec<_>, Vec<_>) = play.rows.iter().cloned().partition(|row| row.points == 1_000);
                play.night.write("sent.csv", &as_csv(&sent));
                play.rows = new;
            }
            Scene::BackedUp => {
                play.night.expect(0, &["run", "job.toml"]);
                play.night.expect(0, scene.args());
            }
            Scene::Kept => {
                play.night.expect(0, &["run", "job.toml"]);
                let ledger = Connection::open(play.night.path("state/ledger.db")).unwrap();
                ledger.execute("UPDATE runs SET closed_ms = closed_ms - 864000000", []).unwrap();
                play.rows = newer(&play.rows);
                play.night.write("in.csv", &as_csv(&play.rows));
            }
        }
        play
    }

    /// A night that asks nobody twice, and what a person who looked at the gateway would answer about its doubts.
    fn leave_doubt(&self) -> String {
        self.night.expect(1, &["run", "job.toml", "--set", "retry.attempts_max=1"]);
        let exchanges = self.night.exchanges();
        let mut answers = "bill_no,as,reason\n".to_owned();
        for line in self.night.outcomes().iter().filter(|line| line["outcome"] == *"unknown") {
            let is_applied =
                exchanges.iter().any(|exchange| exchange["bill_no"] == line["bill_no"] && exchange["applied"] == true);
            let answer = if is_applied { "applied" } else { "not-applied" };
            answers += &format!("{},{answer},seen in the console\n", &line["bill_no"]);
        }
        assert!(answers.lines().count() > 1, "nothing is in doubt");
        answers
    }

    fn stop_early(&self) {
        let mut child = self.night.start(&["run", "job.toml", "--set", "limits.quota=4/100ms"]);
        let began = Instant::now();
        while self.night.calls() < 6 && began.elapsed() < Duration::from_secs(20) {
            std::thread::sleep(Duration::from_millis(2));
        }
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(5));
    }

    /// From here on the quota takes more than a second for 100 rows.
    pub fn slow_down(&self) {
        let job = std::fs::read_to_string(self.night.path("job.toml")).unwrap();
        self.night.write("job.toml", &job.replace(r#""200/100ms""#, r#""20/200ms""#));
    }

    /// The command of the scene, with these points armed.
    pub fn disturb(&mut self, faults: &str) -> Output {
        if self.scene == Scene::Replanned {
            self.damage_plan();
        }
        let mut command = self.night.command(self.scene.args());
        if !faults.is_empty() {
            command.env(VARIABLE, faults);
        }
        if self.scene == Scene::StandardInput {
            command.stdin(Stdio::from(File::open(self.night.path("in.csv")).unwrap()));
        }
        let output = command.output().unwrap();
        self.was_killed(&output);
        // Cut off, and sound all the same; but for what we damaged ourselves, until the plan is made again.
        if self.night.path("state/ledger.db").exists() && self.scene != Scene::Replanned {
            self.night.is_sound();
        }
        output
    }

    /// Cuts a byte off the plan of the interrupted run, if there is one.
    fn damage_plan(&self) {
        for run in std::fs::read_dir(self.night.path("state/runs")).into_iter().flatten() {
            let plan = run.unwrap().path().join("plan");
            if let Ok(file) = File::options().write(true).open(plan) {
                let length = file.metadata().unwrap().len();
                file.set_len(length.saturating_sub(1)).unwrap();
            }
        }
    }

    /// The command of the scene, killed after a while if it has not ended by then.
    pub fn kill_after(&mut self, time: Duration) {
        let mut child = self.night.start(self.scene.args());
        std::thread::sleep(time);
        let _ = child.kill(); // it may have ended
        let status = child.wait().unwrap();
        let output = Output { status, stdout: Vec::new(), stderr: Vec::new() };
        self.was_killed(&output);
    }

    fn was_killed(&mut self, output: &Output) -> bool {
        use std::os::unix::process::ExitStatusExt;
        let killed = output.status.signal() == Some(9);
        self.cuts += u64::from(killed || output.status.code() == Some(6));
        killed
    }

    /// The process was cut off by other means.
    pub fn is_cut(&mut self) {
        self.cuts += 1;
    }

    /// How often the process was cut off so far.
    pub fn cuts(&self) -> u64 {
        self.cuts
    }

    /// Goes on without disturbance until nothing is left to do, and looks at all that is left.
    #[track_caller]
    pub fn end_well(mut self, told: &str) {
        let output = self.disturb("");
        let ends: &[i32] = match self.scene {
            // Closed, or closed before: then there is nothing to resume.
            Scene::Abandoned => &[0, 1, 2],
            // 3: the run was closed before the disturbance, and these inputs are done; the answers were booked; or an
            // import was cut off, and is finished before another one.
            _ => &[0, 3],
        };
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code().is_some_and(|code| ends.contains(&code)), "{told}: {:?} {said}", output.status);
        match self.scene {
            Scene::Abandoned | Scene::Settled => drop(self.night.passync(&["replay", "job.toml", "out/night/latest"])),
            Scene::Folding => {
                self.all_are_applied("other", told);
                self.night.expect(0, &["run", "job.toml"]);
            }
            Scene::Imported => self.all_are_known(output.status.code() == Some(3), told),
            _ => self.all_are_applied("night", told),
        }
        match self.scene {
            Scene::Pruned => {
                assert_eq!(entries(&self.night.path("state/runs")), 0, "{told}: a survey outlived its run");
            }
            Scene::BackedUp => drop(self.night.expect(0, &["ledger", "verify", "--state", "out/safe"])),
            Scene::Kept => {
                // A removal that was cut off is taken up by the next run.
                self.night.expect(0, &["run", "job.toml", "--again", "--set", "output.keep=1d"]);
                assert_eq!(entries(&self.night.path("out/night")), 3, "{told}: two runs, and their link");
            }
            _ => {}
        }
        self.night.expect(0, &["open", "job.toml", "--max-age", "0s"]);
        self.night.is_well_after(&self.rows, CONCURRENCY * self.cuts);
        self.files_are_whole(told);
        self.night.expect(0, &["reconcile", "out/night/latest"]);
    }

    #[track_caller]
    fn all_are_applied(&self, job: &str, told: &str) {
        let outcomes = self.night.outcomes_of(job);
        let bills = outcomes.iter().map(|line| &line["bill_no"]).collect::<Vec<_>>();
        assert_eq!(bills, self.rows.iter().map(|row| &row.bill[..]).collect::<Vec<_>>(), "{told}");
        assert!(outcomes.iter().all(|line| line["outcome"] == *"applied"), "{told}: {outcomes:?}");
    }

    /// The import was booked, as a whole: none of its rows is sent, and nothing older than they are.
    #[track_caller]
    fn all_are_known(&self, is_cut_off: bool, told: &str) {
        if is_cut_off {
            self.night.expect(0, &["resume", "job.toml"]);
        }
        assert_eq!(self.night.calls(), 0, "{told}: an import makes no call");
        assert_eq!(self.night.manifest()["kind"], "import", "{told}");
        self.night.expect(0, &["reconcile", "out/night/latest"]);
        self.night.expect(0, &["run", "job.toml"]);
        let counts = self.night.counts();
        let each = self.rows.len();
        assert_eq!((counts["already_applied"], counts["applied"]), (each, each), "{told}: {counts:?}");
        let exchanges = self.night.exchanges();
        let sent = exchanges.iter().filter_map(|exchange| exchange["bill_no"].as_str()).collect::<BTreeSet<_>>();
        assert_eq!(sent, self.rows.iter().map(|row| &row.bill[..]).collect(), "{told}");
    }

    /// Every file of the run is the one that its manifest has digested, and nothing lies beside them.
    #[track_caller]
    fn files_are_whole(&self, told: &str) {
        let dir = self.night.path("out/night/latest");
        let manifest = self.night.manifest();
        let mut digested: BTreeMap<String, String> = BTreeMap::new();
        for (name, fact) in manifest["files"].as_object().unwrap() {
            let bytes = std::fs::read(dir.join(name)).unwrap();
            let hex = Sha256::digest(&bytes).iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
            assert_eq!(fact["sha256"], hex, "{told}: {name}");
            digested.insert(name.clone(), hex);
        }
        for entry in std::fs::read_dir(&dir).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(name == "manifest.json" || digested.contains_key(&name), "{told}: {name} lies in the run's folder");
        }
        let read = manifest["rows"]["read"]["rows"].as_u64().unwrap();
        assert!(read > 0 && digested.contains_key("outcomes.csv") && digested.contains_key("failures.csv"), "{told}");
    }
}

/// How many a folder has, but for surveys that wait for the next one to remove them.
fn entries(folder: &Path) -> usize {
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| !name.starts_with(".survey-")).count()
}

/// One more row for each card, newer than all of these.
fn newer(rows: &[Delta]) -> Vec<Delta> {
    let cards = rows.iter().map(|row| &row.card).collect::<BTreeSet<_>>();
    let row = |(at, card): (u64, &String)| Delta::new(&format!("tonight-{at:04}"), card, 9_000, 10_000 + at);
    (0..).zip(cards).map(row).collect()
}

/// The points of these steps, or of all steps of these subjects.
pub fn points_of(steps: &[&str], scene: Scene) -> impl Iterator<Item = (String, Scene)> {
    let is_of = |point: &str, step: &str| point.strip_prefix(step).is_some_and(|rest| rest.starts_with('.'));
    points().filter(move |point| steps.iter().any(|step| is_of(point, step))).map(move |point| (point, scene))
}

/// Whether somebody has the time for all of it.
pub fn thorough() -> bool {
    std::env::var_os("PASSYNC_THOROUGH").is_some()
}

/// Processes at once, of all tests together: as many as keep two processors busy when each mostly waits.
static PLACES: Places = Places { free: Mutex::new(12), freed: Condvar::new() };

struct Places {
    free: Mutex<u32>,
    freed: Condvar,
}

impl Places {
    fn hold<T>(&self, work: impl FnOnce() -> T) -> T {
        *self.freed.wait_while(self.free.lock().unwrap(), |free| *free == 0).unwrap() -= 1;
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        *self.free.lock().unwrap() += 1;
        self.freed.notify_one();
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

/// Does the same with every item, several at a time.
pub fn with_each<T: Send>(items: impl IntoIterator<Item = T>, work: impl Fn(T) + Sync) {
    const THREADS: usize = 8;
    let queue = Mutex::new(items.into_iter().collect::<Vec<_>>().into_iter());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().unwrap().next();
                    match next {
                        Some(item) => PLACES.hold(|| work(item)),
                        None => return,
                    }
                }
            });
        }
    });
}
