use super::*;
use crate::sandbox::judge::{Order, hex};
use crate::sandbox::plan::Page;

const MS: u64 = 1_000_000;

fn call(card: &str, bill_no: Option<&str>, points: &str) -> Call {
    Call {
        merchant: "M1".into(),
        card: card.into(),
        bill_no: bill_no.map(str::to_owned),
        status: Status::Update,
        members: vec![("points".into(), points.into()), ("level.zh_HK".into(), "金".into())],
        sent_at: "2026-11-21T00:00:00Z".into(),
        body: format!("{card} {bill_no:?} {points}").into_bytes(),
    }
}

fn gateway(faults: &str) -> Gateway {
    Gateway::new(Config { faults: faults.parse().unwrap(), ..Config::default() })
}

/// A whole exchange: the reply goes out as planned.
fn exchange(gateway: &mut Gateway, at_ms: u64, call: &Call) -> Exchange {
    let plan = gateway.arrive(Tick(at_ms * MS), call);
    gateway.end(plan.exchange, Tick(at_ms * MS) + plan.wait, true)
}

fn breaches(gateway: &Gateway) -> Vec<(Breach, u64)> {
    gateway.judgements().counts().iter().map(|(kind, count)| (*kind, *count)).collect()
}

#[test]
fn a_healthy_call_changes_its_card_and_is_confirmed() {
    let mut gateway = gateway("");
    let plan = gateway.arrive(Tick(5 * MS), &call("C1", Some("B1"), "10"));
    assert!((Duration::from_millis(1)..=Duration::from_millis(30)).contains(&plan.wait));
    let ended = gateway.end(plan.exchange, Tick(9 * MS), true);
    assert!(ended.applied && ended.delivered && ended.delivery.confirms());
    assert_eq!((ended.arrived, ended.finished, ended.attempt, ended.fault), (Tick(5 * MS), Tick(9 * MS), 1, None));
    let card = gateway.card("M1", "C1").unwrap();
    assert_eq!(card.members["points"].value, "10");
    assert_eq!(card.history.len(), 1);
    assert_eq!(card.history[0].bill_no.as_deref(), Some("B1"));
    assert!(gateway.card("M2", "C1").is_none(), "a card belongs to its merchant");
    assert_eq!(breaches(&gateway), []);
}

#[test]
fn each_fault_does_what_its_word_says() {
    let reply = |said, seal, transfer| Delivery::Reply { said, seal, transfer };
    let page = |status, retry_after_s, page| Delivery::Page { status, retry_after_s, page };
    let success = |seal, transfer| reply(Said::Applied, seal, transfer);
    let signed = |said| reply(said, Seal::True, Transfer::Whole);
    for (word, applied, delivery) in [
        ("unknown", false, signed(Said::Unknown)),
        ("unknown-applied", true, signed(Said::Unknown)),
        ("system-error", false, signed(Said::SystemError)),
        ("system-error-applied", true, signed(Said::SystemError)),
        ("drop-before", false, Delivery::Cut),
        ("drop-after", true, Delivery::Cut),
        ("garbage", false, page(200, None, Page::Garbage)),
        ("garbage-applied", true, page(200, None, Page::Garbage)),
        ("html", false, page(200, None, Page::Html)),
        ("html-applied", true, page(200, None, Page::Html)),
        ("forged", false, success(Seal::Forged, Transfer::Whole)),
        ("forged-applied", true, success(Seal::Forged, Transfer::Whole)),
        ("unsigned", false, success(Seal::Missing, Transfer::Whole)),
        ("unsigned-applied", true, success(Seal::Missing, Transfer::Whole)),
        ("503", false, page(503, None, Page::Html)),
        ("503-applied", true, page(503, None, Page::Html)),
        ("429", false, page(429, None, Page::Empty)),
        ("429:2s", false, page(429, Some(2), Page::Empty)),
        ("limit", false, signed(Said::Throttled)),
        ("half", true, success(Seal::True, Transfer::Half)),
        ("slow", true, success(Seal::True, Transfer::Whole)),
        ("hang", false, Delivery::Cut),
        ("close", true, success(Seal::True, Transfer::ThenClose)),
        ("refuse:PASS_HAS_NOT_EXIST", false, signed(Said::Refused("PASS_HAS_NOT_EXIST".into()))),
    ] {
        let mut gateway = gateway(&format!("{word}=100%"));
        let plan = gateway.arrive(Tick(0), &call("C1", None, "10"));
        assert_eq!(plan.delivery, delivery, "{word}");
        let patience = Duration::from_secs(15);
        assert_eq!(plan.wait > patience, matches!(word, "slow" | "hang"), "{word} takes {:?}", plan.wait);
        let ended = gateway.end(plan.exchange, Tick(MS), true);
        assert_eq!(ended.applied, applied, "{word}");
        assert_eq!(gateway.card("M1", "C1").unwrap().history.len(), usize::from(applied), "{word}");
        assert_eq!(ended.delivered, delivery != Delivery::Cut, "{word}");
        assert_eq!(gateway.summary().faults, BTreeMap::from([(word.to_owned(), 1)]));
    }
}

#[test]
fn only_a_whole_success_of_the_platform_confirms() {
    for (word, confirms) in
        [("close", true), ("slow", true), ("half", false), ("forged-applied", false), ("unsigned-applied", false)]
    {
        let mut gateway = gateway(&format!("{word}=100%,heal=1"));
        let call = call("C1", Some("B1"), "10");
        exchange(&mut gateway, 0, &call);
        exchange(&mut gateway, 100, &call);
        assert_eq!(breaches(&gateway), if confirms { vec![(Breach::DoubleSend, 1)] } else { vec![] }, "{word}");
    }
}

#[test]
fn faults_follow_bill_attempt_and_seed_whatever_the_interleaving() {
    let faults = "unknown=20%,drop-after=20%,503=20%,heal=3";
    let calls: Vec<_> = (0..50).map(|n| call(&format!("C{n}"), Some(&format!("B{n}")), "10")).collect();
    let told = |ended: &Exchange| (ended.bill_no.clone(), ended.attempt, ended.fault.clone());
    let mut by_bill = gateway(faults);
    let mut by_round = gateway(faults);
    let mut first: Vec<_> = calls
        .iter()
        .flat_map(|call| (0..5).map(|at| told(&exchange(&mut by_bill, at, call))).collect::<Vec<_>>())
        .collect();
    let mut second: Vec<_> = (0..5)
        .flat_map(|at| calls.iter().rev().map(|call| told(&exchange(&mut by_round, at, call))).collect::<Vec<_>>())
        .collect();
    let order = |(bill_no, attempt, _): &(Option<String>, u32, Option<Fault>)| (bill_no.clone(), *attempt);
    first.sort_by_key(order);
    second.sort_by_key(order);
    assert_eq!(first, second);
    assert!(first.iter().all(|(_, attempt, fault)| *attempt <= 3 || fault.is_none()), "a bill heals after 3 attempts");
    assert!((60..120).contains(&first.iter().filter(|(_, _, fault)| fault.is_some()).count()));
    let mut other = Gateway::new(Config { seed: 2, faults: faults.parse().unwrap(), ..Config::default() });
    let third: Vec<_> = calls.iter().map(|call| told(&exchange(&mut other, 0, call)).2).collect();
    assert_ne!(third, first.iter().filter(|told| told.1 == 1).map(|told| told.2.clone()).collect::<Vec<_>>());
}

#[test]
fn a_second_exchange_on_a_card_overlaps_until_the_first_has_ended() {
    let mut gateway = gateway("");
    let first = gateway.arrive(Tick(0), &call("C1", Some("B1"), "1"));
    gateway.arrive(Tick(1), &call("C2", Some("B2"), "1"));
    assert_eq!(breaches(&gateway), []);
    assert_eq!(gateway.open_on("M1", "C1"), [first.exchange]);
    let second = gateway.arrive(Tick(2), &call("C1", Some("B3"), "2"));
    assert_eq!(breaches(&gateway), [(Breach::Overlap, 1)]);
    gateway.end(first.exchange, Tick(3), false);
    gateway.end(second.exchange, Tick(3), true);
    gateway.arrive(Tick(4), &call("C1", Some("B4"), "3"));
    assert_eq!(breaches(&gateway), [(Breach::Overlap, 1)]);
    assert_eq!(gateway.judgements().kept()[0].bill_no.as_deref(), Some("B3"));
}

#[test]
fn a_bill_that_came_first_must_not_come_after_a_later_one_was_applied() {
    let mut gateway = gateway("drop-before=100%,heal=1");
    let (older, newer) = (call("C1", Some("B1"), "1"), call("C1", Some("B2"), "2"));
    exchange(&mut gateway, 0, &older);
    exchange(&mut gateway, 100, &newer);
    exchange(&mut gateway, 200, &older);
    assert_eq!(breaches(&gateway), [], "nothing was applied when it came");
    exchange(&mut gateway, 300, &newer);
    assert_eq!(breaches(&gateway), []);
    exchange(&mut gateway, 400, &older);
    assert_eq!(breaches(&gateway), [(Breach::Inversion, 1), (Breach::DoubleSend, 1)]);
}

#[test]
fn an_older_bill_may_bring_what_no_newer_one_gave() {
    let mut gateway = gateway("drop-before=100%,heal=1");
    let older = call("C1", Some("B1"), "1");
    let newer = Call { members: older.members[..1].to_vec(), ..call("C1", Some("B2"), "2") };
    let rest = Call { members: older.members[1..].to_vec(), body: b"trimmed".to_vec(), ..older.clone() };
    for (at, call) in [&older, &newer, &newer, &rest].into_iter().enumerate() {
        exchange(&mut gateway, 100 * at as u64, call);
    }
    assert_eq!(breaches(&gateway), []);
    exchange(&mut gateway, 500, &Call { members: newer.members.clone(), ..rest });
    assert!(breaches(&gateway).contains(&(Breach::Inversion, 1)));
}

#[test]
fn the_judge_can_be_told_the_order() {
    let (older, newer) = (call("C1", None, "1"), call("C1", Some("B2"), "2"));
    let ranks = HashMap::from([(hex(&Sha256::digest(&older.body)), 1), ("B2".to_owned(), 2)]);
    for order in [Order::Listed(ranks), Order::Rising("points".into())] {
        let mut gateway = Gateway::new(Config { order, ..Config::default() });
        exchange(&mut gateway, 0, &newer);
        exchange(&mut gateway, 100, &call("C2", None, "1"));
        assert_eq!(breaches(&gateway), [], "another card has its own history");
        exchange(&mut gateway, 200, &older);
        assert_eq!(breaches(&gateway), [(Breach::Inversion, 1)]);
    }
}

#[test]
fn a_bill_keeps_its_bytes_but_may_lose_members() {
    let mut gateway = gateway("unknown=100%");
    let whole = call("C1", Some("B1"), "10");
    exchange(&mut gateway, 0, &whole);
    let mut trimmed = Call { body: b"trimmed".to_vec(), ..whole.clone() };
    trimmed.members.pop();
    exchange(&mut gateway, 100, &trimmed);
    exchange(&mut gateway, 200, &trimmed);
    assert_eq!(breaches(&gateway), []);
    exchange(&mut gateway, 300, &whole);
    assert_eq!(breaches(&gateway), [(Breach::ChangedBody, 1)], "members never come back");
    exchange(&mut gateway, 400, &call("C1", Some("B1"), "11"));
    assert_eq!(breaches(&gateway), [(Breach::ChangedBody, 2)]);
}

#[test]
fn a_second_send_is_judged_by_bill_and_counted_by_body() {
    let mut gateway = gateway("");
    for at in [0, 100] {
        exchange(&mut gateway, at, &call("C1", None, "10"));
    }
    assert_eq!((breaches(&gateway), gateway.summary().bodies_repeated), (vec![], 1));
    let bill = call("C2", Some("B1"), "10");
    let unheard = gateway.arrive(Tick(200 * MS), &bill);
    gateway.end(unheard.exchange, Tick(201 * MS), false);
    exchange(&mut gateway, 300, &bill);
    assert_eq!(breaches(&gateway), [], "the caller could not know");
    exchange(&mut gateway, 400, &bill);
    assert_eq!(breaches(&gateway), [(Breach::DoubleSend, 1)]);
}

#[test]
fn arrivals_over_the_quota_are_judged_and_throttled() {
    for (enforce_quota, applied) in [(true, 3), (false, 5)] {
        let mut gateway = Gateway::new(Config { quota: "3/1s".parse().ok(), enforce_quota, ..Config::default() });
        for n in 0..5 {
            exchange(&mut gateway, 10 * n, &call(&format!("C{n}"), None, "1"));
        }
        assert_eq!(breaches(&gateway), [(Breach::OverQuota, 2)]);
        let summary = gateway.summary();
        assert_eq!((summary.calls, summary.applied, summary.peak), (5, applied, 5));
        let said: u64 = ["429", "limit"].iter().filter_map(|word| summary.faults.get(*word)).sum();
        assert_eq!(said, 5 - applied);
        let later = exchange(&mut gateway, 1_041, &call("C9", None, "1"));
        assert!(later.applied, "the window has moved on");
    }
}

#[test]
fn calls_that_cannot_be_read_are_judged_and_pay_the_quota() {
    let mut gateway = Gateway::new(Config { quota: "2/1s".parse().ok(), ..Config::default() });
    for (fault, said, seal) in [
        (CallFault::Signature("none".into()), Said::BadSignature, Seal::Missing),
        (CallFault::Client("2110".into()), Said::WrongClient, Seal::True),
        (CallFault::Parameter("passId".into()), Said::BadParameter, Seal::True),
    ] {
        let plan = gateway.turn_away(Tick(0), &fault, b"body");
        assert_eq!(plan.delivery, Delivery::Reply { said, seal, transfer: Transfer::Whole });
        let ended = gateway.end(plan.exchange, Tick(1), true);
        assert_eq!((ended.applied, ended.attempt, ended.card.as_str()), (false, 0, ""));
    }
    assert_eq!(breaches(&gateway), [(Breach::OverQuota, 1), (Breach::BadSignature, 1), (Breach::BadCall, 2)]);
}

#[test]
fn a_card_that_ended_takes_no_more() {
    let mut gateway = gateway("");
    let closing = Call { status: Status::Closed, members: vec![], ..call("C1", Some("B1"), "") };
    assert!(exchange(&mut gateway, 0, &closing).applied);
    for (status, said) in [(Status::Update, Said::NotActive), (Status::Closed, Said::AlreadyEnded)] {
        let ended = exchange(&mut gateway, 100, &Call { status, ..call("C1", Some(status.as_str()), "9") });
        assert_eq!((ended.applied, ended.delivery.said()), (false, Some(&said)));
    }
    assert_eq!(gateway.card("M1", "C1").unwrap().ended, Some(Status::Closed));
    assert_eq!(breaches(&gateway), []);
}
