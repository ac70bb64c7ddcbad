//! Updates that may have been applied: what waits for them, the commands that end that, and answers of persons.

use passync::sandbox::Config;
use serde_json::Value;

use super::{Night, scripted};

const HEADER: &str = "bill_no,pass_id,user_id,points,level,occurred_at";

impl Night {
    /// Writes an input of these lines.
    fn input(&self, name: &str, lines: &[&str]) {
        self.write(name, &format!("{HEADER}\n{}\n", lines.join("\n")));
    }

    /// Runs the commands that end what an open row waits for, as a shell would.
    fn close(&self, row: &Value) {
        for command in row["close"].as_str().unwrap().split(" && ") {
            self.expect(0, &command.split(' ').skip(1).collect::<Vec<_>>());
        }
    }

    pub fn open(&self) -> Vec<Value> {
        self.json(0, &["open", "job.toml"]).as_array().unwrap().clone()
    }

    /// What `ledger show` says of the bills of a number.
    fn shown(&self, number: &str) -> Vec<Value> {
        self.json(0, &["ledger", "show", number, "--log-pii", "--state", "state"])["bills"].as_array().unwrap().clone()
    }
}

#[test]
fn an_older_row_behind_a_newer_one_in_doubt_is_no_disorder() {
    let mut night = Night::new(scripted(&[("P1", "unknown")]), "retry.attempts_max = 1\nrun.on_in_doubt = 'continue'");
    let (older, newer) = ("B1,P1,U1,1001,Gold,2026-01-01 10:00:00", "B2,P1,U1,1002,,2026-01-01 11:00:00");
    // A third one, which nobody sent before and which has nothing to do with the others' doubt.
    let between = "B3,P1,U1,,Silver,2026-01-01 10:30:00";
    night.input("in.csv", &[older, newer]);
    night.expect(1, &["run", "job.toml"]);
    night.reopen_gateway(Config::default());
    night.expect(0, &["replay", "job.toml", "out/night/latest"]);
    let outcomes = night.outcomes();
    assert_eq!(outcomes.iter().map(|line| &line["code"]).collect::<Vec<_>>(), ["TRIMMED", "SUCCESS"]);
    assert!(night.expect(0, &["ledger", "verify", "--state", "state"]).contains("sound"));
    night.input("in.csv", &[between]);
    night.expect(0, &["run", "job.toml"]);
    assert!(night.expect(0, &["ledger", "verify", "--state", "state"]).contains("sound"));
}

#[test]
fn a_row_that_waits_is_closed_by_the_commands_that_are_told() {
    let mut night = Night::new(scripted(&[("P1", "unknown")]), "retry.attempts_max = 1");
    night.input("in.csv", &["B1,P1,U1,1001,,2026-01-01 10:00:00"]);
    night.input("newer.csv", &["B2,P1,U1,1002,,2026-01-01 11:00:00"]);
    night.expect(1, &["run", "job.toml"]);
    let first = night.manifest()["run"].as_str().unwrap().to_owned();
    night.expect(1, &["run", "job.toml", "--input", "newer.csv"]);
    let second = night.manifest()["run"].as_str().unwrap().to_owned();

    // The newer one is open itself: its replay goes first, whatever is older.
    let [older, newer] = &night.open()[..] else { panic!("two rows are open") };
    assert_eq!((&older["behind"]["run"], &newer["behind"]), (&second.as_str().into(), &Value::Null));
    let said = night.expect(0, &["open", "job.toml"]);
    assert!(said.rfind(&second) < said.rfind(&first), "its command comes first: {said}");

    // It is refused, which after a doubt says nothing: a person, or another call, has to.
    night.reopen_gateway(scripted(&[("P1", "refuse:PASS_STATUS_ILLEGAL")]));
    night.expect(1, &["replay", "job.toml", &format!("out/night/{second}")]);
    let refusing = night.manifest()["run"].as_str().unwrap().to_owned();
    let said = night.expect(1, &["replay", "job.toml", &format!("out/night/{first}")]);
    assert!(said.contains("have to wait") && said.contains("open job.toml"), "{said}");
    let open = night.open();
    assert_eq!((open.len(), &open[0]["bill_no"], &open[0]["code"]), (1, &"B1".into(), &"NEWER_IN_DOUBT".into()));
    assert_eq!((&open[0]["behind"]["bill_no"], &open[0]["behind"]["refused"]), (&"B2".into(), &true.into()));
    let said = night.expect(0, &["open", "job.toml"]);
    assert!(said.contains(&format!("{refusing} --include refused   # a person looks at bill B2")), "{said}");

    night.reopen_gateway(Config::default());
    night.close(&open[0]);
    assert_eq!(night.open(), Vec::<Value>::new());
    assert_eq!(night.points("P1").as_deref(), Some("1002"));
    night.expect(0, &["ledger", "verify", "--state", "state"]);
}

#[test]
fn an_answer_is_about_one_bill() {
    let night = Night::new(
        scripted(&[("P1", "unknown"), ("P2", "unknown"), ("SAME", "unknown")]),
        "retry.attempts_max = 1\ngateway.merchants = ['M2']\ninput.verbatim = ['bill_no', 'pass_id']",
    );
    night.write(
        "in.csv",
        "merchant_id,bill_no,pass_id,user_id,points,occurred_at\n\
         M1,X1,P1,U1,1001,2026-01-01 10:00:00\n\
         M2,X1,P2,U1,1002,2026-01-01 10:00:00\n\
         M1,SAME,P2,U1,1003,2026-01-01 11:00:00\n\
         M1,Z1,SAME,U1,1004,2026-01-01 10:00:00\n",
    );
    night.expect(1, &["run", "job.toml"]);
    let settle =
        |exit: i32, words: &[&str]| night.expect(exit, &[&["ledger", "settle", "--state", "state"], words].concat());
    let answer = |key: &str, exit: i32| settle(exit, &[key, "--as", "applied", "--reason", "seen"]);
    for number in ["X1", "SAME"] {
        let said = answer(number, 2);
        assert!(said.contains(&format!("{number} means 2 bills: name each that is meant by its identity")), "{said}");
    }
    assert_eq!(night.open().len(), 4, "nothing was booked");
    let [one, other] = &night.shown("X1")[..] else { panic!("two bills have the number") };
    let of_p1 = if one["card"] == "P1" { one } else { other };
    let identity = of_p1["identity"].as_str().unwrap();
    assert!(
        answer("X1", 2).contains(&format!("{identity}  bill X1 of 2026-01-01T"))
            && answer("X1", 2).contains(", in.csv:3 of run ")
    );
    assert_eq!(night.shown(identity), std::slice::from_ref(of_p1), "it is known by what tells it from the other");
    answer(identity, 0);
    assert!(answer(identity, 2).contains("is applied: there is nothing to settle"));
    let states = night.shown("X1").iter().filter(|bill| bill["state"] == "applied").count();
    assert_eq!(states, 1);
    answer("X1", 0); // the other one is the only one in doubt now
    let same = night.shown("SAME")[0]["identity"].as_str().unwrap().to_owned();
    night.write("answers.csv", &format!("bill_no,as,reason\n{same},not-applied,seen\nSAME,applied,seen\n"));
    let said = settle(3, &["--file", "answers.csv"]);
    assert!(said.contains("answers.csv:3: nothing was booked"), "{said}");
    night.write("answers.csv", &format!("bill_no,as,reason\n{same},not-applied,seen\nZ1,applied,seen\n"));
    settle(0, &["--file", "answers.csv"]);
    assert_eq!(night.open(), Vec::<Value>::new());
}
