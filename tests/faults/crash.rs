//! `kill -9` at every durable step, in every part of a run, in its recovery too, and at any moment.

use std::sync::Mutex;

use passync::io::fault::points;

use super::scenes::{Play, Scene, with_each};

/// Kills at each point of the table, in the first scene that comes by it; `before` is killed beforehand. Returns the
/// points that no scene comes by.
fn kill_at_each(before: &str) -> Vec<String> {
    let never = Mutex::new(Vec::new());
    with_each(points(), |point| {
        let killed_in = Scene::ALL.into_iter().find(|scene| {
            let mut play = Play::begin(*scene);
            if !before.is_empty() {
                play.disturb(before);
            }
            let kills = play.kills();
            play.disturb(&format!("{point}:1:kill"));
            let killed = play.kills() > kills;
            play.end_well(&format!("{scene:?}, killed at {point}"));
            killed
        });
        if killed_in.is_none() {
            never.lock().unwrap().push(point);
        }
    });
    never.into_inner().unwrap()
}

#[test]
fn a_kill_at_every_point_costs_nothing() {
    assert_eq!(kill_at_each(""), [""; 0], "no scene comes by these");
}
