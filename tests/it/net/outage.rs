//! Ten minutes without a gateway, in virtual time: the dispatcher alone, with the settings that jobs have by default.

use std::collections::BTreeMap;
use std::collections::btree_map::OccupiedEntry;
use std::time::Duration;

use passync::core::dispatcher::{Action, Config, Dispatcher, Event, PlanRow, Settlement};
use passync::core::halt::{ErrorLimit, Stop};
use passync::core::limits;
use passync::core::quota::Quota;
use passync::core::retry::Policy;
use passync::model::{Digest, Outcome, Tick, Verdict};

/// How a gateway is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gone {
    /// Connections are refused.
    Refused,
    /// Something accepts them and never answers.
    Silent,
    /// A balancer answers 503 in its place.
    Fronted,
    /// A proxy answers 429 in its place, and names days to wait.
    Deferred,
    /// A balancer answers 503 in its place, and names minutes.
    Busy,
    /// A balancer waits for it, and answers 504 in its place.
    Awaited,
}

const ROWS: u64 = 4_000;
const DIES: Tick = Tick(5_000_000_000);
const OUTAGE: Duration = Duration::from_secs(600);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
const DAY: Duration = Duration::from_secs(86_400);
const BUSY: Duration = Duration::from_secs(180);

/// What a run came to.
struct Story {
    settled: BTreeMap<u64, Settlement>,
    stop: Option<Stop>,
    /// When each request left, and whether the gateway was gone.
    sends: Vec<(Tick, bool)>,
    done_at: Tick,
    /// When each row was answered last, and how long each retry waited from there.
    heard: BTreeMap<u64, Tick>,
    waits: Vec<Duration>,
}

impl Story {
    /// A run with a gateway that is gone from [`DIES`] on, for so long.
    fn of(gone: Gone, outage: Duration, deadline: Tick) -> Story {
        let policy = Policy {
            attempts_max: 6,
            backoff_base: Duration::from_millis(500),
            backoff_max: Duration::from_secs(30),
            schedule: Vec::new(),
        };
        let config = Config {
            concurrency: 32,
            policy,
            budget: ROWS / 5,
            hold: true,
            error_limit: ErrorLimit::Percent(5.0),
            held_max: usize::MAX,
            canary_continues: false,
            cut_off: 0,
            doubt_not_before: Tick::ZERO,
            deadline,
        };
        let quota = Quota::new(50, Duration::from_secs(1), true, Tick::ZERO);
        let mut dispatcher = Dispatcher::new(config, quota);
        let mut story = Story {
            settled: BTreeMap::new(),
            stop: None,
            sends: Vec::new(),
            done_at: Tick::ZERO,
            heard: BTreeMap::new(),
            waits: Vec::new(),
        };
        let (mut now, mut read) = (Tick::ZERO, 0);
        let mut replies: BTreeMap<(Tick, u64), Verdict> = BTreeMap::new();
        loop {
            let wake = match dispatcher.poll(now) {
                Action::Read(rows) => {
                    let until = (read + rows as u64).min(ROWS);
                    dispatcher.handle(Event::Rows((read..until).map(row).collect()), now);
                    read = until;
                    if read == ROWS {
                        dispatcher.handle(Event::EndOfPlan, now);
                    }
                    continue;
                }
                Action::Intend { id, .. } => {
                    dispatcher.handle(Event::Durable(id), now);
                    continue;
                }
                Action::Send { id } => {
                    let (after, verdict) = answer(gone, outage, now);
                    story.waits.extend(story.heard.get(&id).map(|heard| now.since(*heard)));
                    story.sends.push((now, verdict != Verdict::Applied));
                    replies.insert((now + after, id), verdict);
                    continue;
                }
                Action::Settle(settlement) => {
                    let id = settlement.id;
                    assert!(story.settled.insert(id, settlement).is_none(), "row {id} is settled once");
                    dispatcher.handle(Event::Committed(id), now);
                    continue;
                }
                Action::Attempted { .. } => continue,
                Action::Sleep(until) => Some(until),
                Action::Park => None,
                Action::Done => break,
            };
            let reply = replies.keys().next().map(|(at, _)| *at);
            now = reply.into_iter().chain(wake).min().expect("something is awaited");
            while let Some(((_, id), verdict)) =
                replies.first_entry().filter(|next| next.key().0 <= now).map(OccupiedEntry::remove_entry)
            {
                dispatcher.handle(heard(gone, id, verdict), now);
                story.heard.insert(id, now);
            }
        }
        (story.stop, story.done_at) = (dispatcher.stopped().cloned(), now);
        story
    }

    fn count(&self, outcome: Outcome) -> usize {
        self.settled.values().filter(|settlement| settlement.outcome == outcome).count()
    }

    /// Requests that left while the gateway was gone.
    fn in_vain(&self) -> usize {
        self.sends.iter().filter(|(_, gone)| *gone).count()
    }
}

fn row(id: u64) -> PlanRow {
    let mut card = [0; 16];
    card[..8].copy_from_slice(&id.to_le_bytes());
    PlanRow {
        id,
        card: Digest(card),
        members: 1,
        drop: 0,
        cover: 0,
        absorbed: false,
        gates: Vec::new(),
        watched: false,
        doubt: 0,
        recovered: None,
    }
}

fn answer(gone: Gone, outage: Duration, now: Tick) -> (Duration, Verdict) {
    match gone {
        _ if now < DIES || now >= DIES + outage => (Duration::from_millis(30), Verdict::Applied),
        Gone::Refused => (Duration::from_millis(1), Verdict::NotSent),
        Gone::Silent => (REQUEST_TIMEOUT, Verdict::InDoubt),
        Gone::Fronted => (Duration::from_millis(5), Verdict::InDoubt),
        Gone::Deferred => (Duration::from_millis(5), Verdict::Throttled),
        Gone::Busy => (Duration::from_millis(5), Verdict::InDoubt),
        Gone::Awaited => (Duration::from_millis(400), Verdict::InDoubt),
    }
}

fn heard(gone: Gone, id: u64, verdict: Verdict) -> Event {
    let verified = verdict == Verdict::Applied;
    Event::Reply {
        id,
        verdict,
        answered: verified,
        retry_after: match gone {
            Gone::Deferred if !verified => Some(3 * DAY),
            Gone::Busy if !verified => Some(BUSY),
            _ => None,
        },
        verified,
        configuration: None,
        random: u64::MAX / 2,
    }
}

#[test]
fn ten_minutes_cost_no_row() {
    for gone in [Gone::Refused, Gone::Silent, Gone::Fronted, Gone::Busy] {
        let story = Story::of(gone, OUTAGE, Tick::NEVER);
        assert_eq!((story.stop.as_ref(), story.count(Outcome::Applied)), (None, ROWS as usize), "{gone:?}");
        let attempts = story.settled.values().map(|settlement| settlement.attempts);
        let most = attempts.clone().max().unwrap();
        if gone == Gone::Refused {
            assert_eq!(most, 1, "a connection that was refused is no attempt");
            assert!(story.in_vain() < 100, "{} probes", story.in_vain());
        } else {
            // What was under way when it died, and then one probe at a time.
            assert!(most <= 4 && story.in_vain() <= 32 + 26, "{gone:?}: {most} attempts, {} in vain", story.in_vain());
            assert_eq!(attempts.sum::<u32>() as usize, story.sends.len());
        }
        let back = story.sends.iter().map(|(at, _)| *at).find(|at| *at >= DIES + OUTAGE).unwrap();
        let idle = back.since(DIES + OUTAGE);
        assert!(idle <= Duration::from_secs(30) + REQUEST_TIMEOUT, "{gone:?}: noticed after {idle:?}");
    }
}

#[test]
fn a_second_of_outage_costs_seconds_however_many_calls_were_under_way() {
    let outage = Duration::from_secs(1);
    let story = Story::of(Gone::Awaited, outage, Tick::NEVER);
    assert_eq!((story.stop.as_ref(), story.count(Outcome::Applied)), (None, ROWS as usize));
    assert!(story.in_vain() > 20, "{} calls in vain", story.in_vain());
    let back = story.sends.iter().map(|(at, _)| *at).find(|at| *at >= DIES + outage).unwrap();
    assert!(back.since(DIES + outage) <= Duration::from_secs(2), "{:?}", back.since(DIES + outage));
}

#[test]
fn nobody_is_waited_for_longer_than_an_outage() {
    let story = Story::of(Gone::Deferred, Duration::from_secs(60), Tick::NEVER);
    assert_eq!((story.stop.as_ref(), story.count(Outcome::Applied)), (None, ROWS as usize));
    let longest = story.sends.windows(2).map(|pair| pair[1].0.since(pair[0].0)).max().unwrap();
    assert!(longest > limits::RETRY_AFTER && longest < limits::RETRY_AFTER + Duration::from_secs(5), "{longest:?}");
}

#[test]
fn a_gateway_that_is_busy_is_given_the_time_it_names_up_to_the_longest_wait() {
    let story = Story::of(Gone::Busy, Duration::from_secs(60), Tick::NEVER);
    assert_eq!((story.stop.as_ref(), story.count(Outcome::Applied)), (None, ROWS as usize));
    let longest = Duration::from_secs(30); // the policy's: what it names is more than any row waits
    assert!(BUSY > longest && !story.waits.is_empty());
    assert!(story.waits.iter().all(|wait| *wait >= longest && *wait < 3 * longest), "{:?}", story.waits);
    let back = story.sends.iter().map(|(at, _)| *at).find(|at| *at >= DIES + Duration::from_secs(60)).unwrap();
    assert!(back.since(DIES + Duration::from_secs(60)) <= longest, "probes go out");
}

#[test]
fn finish_by_holds_while_the_gateway_is_gone() {
    let deadline = DIES + Duration::from_secs(300);
    for gone in [Gone::Refused, Gone::Silent, Gone::Fronted, Gone::Busy] {
        let story = Story::of(gone, OUTAGE, deadline);
        assert_eq!(story.stop, Some(Stop::Deadline), "{gone:?}");
        assert!(story.sends.iter().all(|(at, _)| *at < deadline), "{gone:?}");
        assert!(story.done_at.since(deadline) <= REQUEST_TIMEOUT, "{gone:?}");
        // Rows that were under way are in doubt; the others were never begun, or end as never sent.
        let (unknown, unsent) = (story.count(Outcome::Unknown), story.count(Outcome::Unsent));
        assert_eq!(unknown > 0, gone != Gone::Refused, "{gone:?}");
        assert!(unknown + unsent <= 32, "{gone:?}: {unknown} unknown, {unsent} unsent");
        assert!(story.settled.values().all(|one| (one.in_doubt > 0) == (one.outcome == Outcome::Unknown)));
    }
}

#[test]
fn a_gateway_that_never_comes_back_is_given_up() {
    for gone in [Gone::Refused, Gone::Silent, Gone::Fronted, Gone::Busy] {
        let story = Story::of(gone, Duration::from_secs(1 << 30), Tick::NEVER);
        assert_eq!(story.stop, Some(Stop::Unreachable), "{gone:?}");
        let waited = story.done_at.since(DIES);
        assert!(waited >= Duration::from_secs(900) && waited < Duration::from_secs(980), "{gone:?}: {waited:?}");
    }
}
