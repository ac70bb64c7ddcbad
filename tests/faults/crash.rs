//! `kill -9` at every durable step, in every part of a run, in its recovery too, and at any moment.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use passync::io::fault::points;

use super::scenes::{Play, Scene, with_each};
use super::stage::{deltas, faulty};

/// Kills at the nth passing of each point, in the first scene that comes by it so often; `before` is killed first.
/// Returns the points that no scene comes by.
fn kill_at_each(nth: u64, before: &str, scenes: &[Scene]) -> Vec<String> {
    let (never, kills) = (Mutex::new(Vec::new()), AtomicU64::new(0));
    with_each(points(), |point| {
        let killed_in = scenes.iter().find(|scene| {
            let mut play = Play::begin(**scene);
            if !before.is_empty() {
                play.disturb(before);
            }
            let earlier = play.kills();
            play.disturb(&format!("{point}:{nth}:kill"));
            let killed = play.kills() > earlier;
            kills.fetch_add(play.kills(), Ordering::Relaxed);
            play.end_well(&format!("{scene:?}, killed at {point}:{nth} {before}"));
            killed
        });
        if killed_in.is_none() {
            never.lock().unwrap().push(point);
        }
    });
    let never = never.into_inner().unwrap();
    eprintln!("{} kills survived, {} points not met", kills.into_inner(), never.len());
    never
}

#[test]
fn a_kill_at_every_point_costs_nothing() {
    assert_eq!(kill_at_each(1, "", &Scene::ALL), [""; 0], "no scene comes by these");
}

#[test]
fn a_kill_further_on_costs_nothing() {
    let never = kill_at_each(6, "", &[Scene::Run]);
    // What happens to each row happens often: in the middle of the rows, of the journal, of the files.
    let often =
        ["rows.write", "index.write", "fates.write", "plan.write", "journal.append", "journal.commit", "fold.append"];
    for step in often {
        assert!(!never.contains(&format!("{step}.after")), "{step} is passed more than once: {never:?}");
    }
}

#[test]
fn a_kill_in_the_recovery_costs_nothing() {
    let never = kill_at_each(1, "journal.commit.before:5:kill", &[Scene::Run]);
    // The survey of an interrupted run stands; all that comes behind it is done again.
    assert!(!never.contains(&"journal.commit.after".to_owned()) && !never.contains(&"run.close.before".to_owned()));
}

#[test]
fn a_kill_while_a_plan_is_made_again_costs_nothing() {
    // Killed in the middle, then at the one moment when the old survey is gone and the new one has no name yet.
    let never = kill_at_each(1, "journal.commit.after:5:kill", &[Scene::Replanned]);
    assert!(!never.contains(&"survey.rename.before".to_owned()), "{never:?}");
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
            for _ in 0..1 + dice.below(8) {
                // At any moment between the first instruction and the end of such a run.
                play.kill_after(Duration::from_micros(dice.below(900_000)));
            }
            kills.fetch_add(play.kills(), Ordering::Relaxed);
            runs.fetch_add(1, Ordering::Relaxed);
            let told = format!("lane {lane}, {} kills", play.kills());
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
