//! What a person agrees to before all of it is sent: a plan by its digest, and a canary.

use passync::sandbox::Config;

use super::stops::wait_for;
use super::{Delta, Night, as_csv, deltas, scripted};

impl Night {
    /// The digest that `check` shows.
    #[track_caller]
    fn plan(&self, exit: i32, more: &[&str]) -> String {
        self.json(exit, &[&["check", "job.toml"], more].concat())["plan"].as_str().unwrap().to_owned()
    }
}

#[test]
fn a_plan_is_sent_as_it_was_checked_or_not_at_all() {
    let night = Night::new(Config::default(), "");
    night.write("in.csv", &as_csv(&deltas(10, 2)));
    let plan = night.plan(0, &[]);
    assert_eq!(plan, night.plan(0, &["--input", "in.csv"]), "the same each time");
    assert_ne!(plan, night.plan(0, &["--set", "limits.quota=1999/1s"]), "another pace");
    assert_ne!(plan, night.plan(0, &["--set", "gateway.locales=['zh_HK']"]), "other bytes");

    night.write("in.csv", &as_csv(&deltas(10, 2)).replace(",1001,", ",1002,"));
    let text = night.expect(3, &["run", "job.toml", "--plan", &plan]);
    let now = night.plan(0, &[]);
    assert!(text.contains(&now) && text.contains(&plan), "{text}");
    assert_eq!((night.calls(), night.path("out").exists()), (0, false));

    night.write("in.csv", &as_csv(&deltas(10, 2)));
    night.expect(0, &["run", "job.toml", "--plan", &plan.to_uppercase()]);
    assert_eq!((night.calls(), night.manifest()["plan"].as_str()), (20, Some(plan.as_str())));
    night.expect(3, &["run", "job.toml", "--again", "--plan", &plan]);
    let again = night.plan(0, &["--again"]);
    assert_ne!(again, plan, "the ledger knows the rows now");
    night.expect(0, &["run", "job.toml", "--again", "--plan", &again]);
    assert_eq!(night.calls(), 20);
    night.expect(3, &["run", "job.toml", "--plan", "3f1c"]);
}

#[test]
fn the_command_that_check_shows_is_the_run_of_its_plan() {
    let night = Night::new(Config::default(), "");
    // Rows without a time take that of the start: a later start is the same plan.
    night.write("bare.csv", "bill_no,pass_id,user_id,points\nb1,card-1,u1,5\n,card-2,u1,6\n");
    let text = night.expect(0, &["check", "job.toml", "--input", "bare.csv"]);
    let command = text.lines().last().unwrap().trim();
    let words: Vec<&str> = command.split(' ').skip(1).collect();
    assert_eq!(words[..4], ["run", "job.toml", "--input", "bare.csv"], "{command}");
    night.expect(0, &words);
    assert_eq!(night.points("card-2").as_deref(), Some("6"));
}

#[test]
fn closing_more_cards_than_usual_wants_a_plan() {
    let night = Night::new(Config::default(), "guard = { statuses = ['UPDATE', 'CLOSED'], closing_max = 1 }");
    let rows = "b1,c1,u1,CLOSED\nb2,c2,u1,CLOSED\n";
    night.write("in.csv", &format!("bill_no,pass_id,user_id,status\n{rows}"));
    let text = night.expect(3, &["run", "job.toml"]);
    assert!(text.contains("2 rows close their cards, expected at most 1") && text.contains("--plan DIGEST"), "{text}");
    let plan = night.plan(3, &[]);
    night.expect(0, &["run", "job.toml", "--plan", &plan]);
    assert_eq!(night.calls(), 2);
}

#[test]
fn a_canary_stops_behind_its_cards_and_the_rest_follows() {
    let night = Night::new(Config::default(), "");
    // Newest first: the plan goes by time, and all rows of a canary's card are the canary's.
    let mut rows = deltas(30, 2);
    rows.push(Delta::new("220230343242343442433399999", &rows[0].card.clone(), 5_000, 1_000));
    rows.reverse();
    night.write("in.csv", &as_csv(&rows));
    night.expect(5, &["run", "job.toml", "--canary", "3"]);
    let sent: Vec<_> = night
        .outcomes()
        .iter()
        .filter(|line| line["outcome"] == *"applied")
        .map(|line| line["card"].to_owned())
        .collect();
    assert_eq!(sent.len(), 7, "three cards of two rows each, and the late one: {sent:?}");
    assert!(night.outcomes().iter().all(|line| line["outcome"] == *"applied" || line["code"] == *"CANARY"));
    assert_eq!((night.points(&rows[0].card), night.failures()), (Some("5000".to_owned()), 54));
    let manifest = night.manifest();
    assert_eq!((&manifest["stopped"]["code"], &manifest["flags"]["canary"]["cards"]), (&"CANARY".into(), &3.into()));

    let checked = night.json(0, &["check", "job.toml"]);
    assert_eq!((&checked["calls"], &checked["kept"]["rows"]), (&54.into(), &7.into()), "{checked}");
    assert_eq!(checked["reopens"], manifest["run"]);
    night.expect(5, &["run", "job.toml", "--canary", "2", "--plan", checked["plan"].as_str().unwrap()]);
    assert_eq!(night.calls(), 11, "the next two cards");
    let peak = |manifest: &serde_json::Value| manifest["calls"]["quota_peak"].as_u64().unwrap();
    assert!(peak(&night.manifest()) >= peak(&manifest), "the first part had more in one window");
    night.expect(0, &["run", "job.toml"]);
    assert_eq!((&night.manifest()["run"], night.calls()), (&manifest["run"], 61));
    night.is_well(&rows);
}

#[test]
fn behind_a_canary_the_rest_follows_only_where_none_failed() {
    let refused = deltas(1, 1).remove(0).bill;
    let night = Night::new(scripted(&[(&refused, "refuse:PASS_STATUS_ILLEGAL")]), "");
    let rows = deltas(20, 1);
    night.write("in.csv", &as_csv(&rows));
    night.expect(2, &["run", "job.toml", "--canary-then-continue"]);
    night.expect(2, &["run", "job.toml", "--canary", "0"]);
    let text = night.expect(5, &["run", "job.toml", "--canary", "4", "--canary-then-continue"]);
    assert!(text.contains("a row of the canary did not end well"), "{text}");
    assert_eq!(night.counts(), [("applied".into(), 3), ("refused".into(), 1), ("unsent".into(), 16)].into());
    // What was refused is settled: the next canary is of others.
    night.expect(1, &["run", "job.toml", "--canary", "4", "--canary-then-continue"]);
    assert_eq!(night.counts(), [("applied".into(), 19), ("refused".into(), 1)].into());

    let night = Night::new(Config::default(), "");
    night.write("in.csv", &as_csv(&rows));
    night.expect(0, &["run", "job.toml", "--canary", "100"]);
    assert_eq!(night.calls(), 20, "a canary of all cards is the run");
}

#[test]
fn an_interrupted_run_goes_on_under_its_own_plan_alone() {
    let night = Night::new(Config::default(), "");
    let rows = deltas(60, 2);
    night.write("in.csv", &as_csv(&rows));
    let slow = ["--set", "limits.quota=40/1s"];
    let plan = night.plan(0, &slow);
    let mut child = night.start(&[&["run", "job.toml", "--plan", &plan], &slow[..]].concat());
    wait_for(|| night.calls() > 20);
    child.kill().unwrap();
    child.wait().unwrap();
    let calls = night.calls();
    let text = night.expect(3, &["run", "job.toml", "--plan", &"0".repeat(32)]);
    assert!(text.contains("was cut off and would be finished first") && text.contains(&plan), "{text}");
    assert_eq!(night.calls(), calls, "nothing was sent");
    night.expect(0, &["run", "job.toml", "--plan", &plan]);
    night.is_well_after(&rows, 32);
}
