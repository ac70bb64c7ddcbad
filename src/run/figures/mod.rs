//! What the calls of a run were, told by its journal: pure, and as large for a billion calls as for a thousand.

mod histogram;
mod slowest;
mod timeline;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

pub use histogram::Histogram;
pub use slowest::{Slow, Slowest};
pub use timeline::{Slot, Timeline};

use crate::model::reject::{as_shown, shown};
use crate::model::{Attempt, Outcome, Record, Settled, Verdict};
use crate::wire;

/// Different answers that are counted apart. A gateway has a few dozen codes; one that makes up more is not given more
/// memory, and what is counted together is said.
const ANSWERS_MAX: usize = 200;
/// Characters kept of a code; the longest that a vendor lists has 41.
const CODE_MAX: usize = 60;

/// What a call came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Meant {
    /// Confirmed.
    Applied,
    /// A final no.
    Refused,
    /// It may or may not have been applied.
    InDoubt,
    /// Not applied; the gateway wants a slower pace.
    Throttled,
    /// No byte of it left.
    NotSent,
    /// The gateway refuses our identity.
    Misconfigured,
}

impl Meant {
    /// The word of reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Meant::Applied => Verdict::Applied.as_str(),
            Meant::Refused => Verdict::Refused.as_str(),
            Meant::InDoubt => Verdict::InDoubt.as_str(),
            Meant::Throttled => Verdict::Throttled.as_str(),
            Meant::NotSent => Verdict::NotSent.as_str(),
            Meant::Misconfigured => Verdict::Misconfigured.as_str(),
        }
    }

    fn of_verdict(verdict: Verdict) -> Meant {
        match verdict {
            Verdict::Applied => Meant::Applied,
            Verdict::Refused => Meant::Refused,
            Verdict::InDoubt | Verdict::InDoubtFinal => Meant::InDoubt,
            Verdict::Throttled => Meant::Throttled,
            Verdict::NotSent => Meant::NotSent,
            Verdict::Misconfigured => Meant::Misconfigured,
        }
    }

    /// Of the call that settled a row, only the row's end is kept.
    fn of_end(settled: &Settled) -> Meant {
        match settled.outcome {
            Outcome::Refused => Meant::Refused,
            Outcome::Unknown | Outcome::Held => Meant::InDoubt,
            Outcome::Unsent if settled.http_status == 0 => Meant::NotSent,
            // The call that halts a run leaves no record but the end of its row.
            Outcome::Unsent if wire::meaning(&settled.code, &settled.status) == Verdict::Misconfigured => {
                Meant::Misconfigured
            }
            Outcome::Unsent => Meant::Throttled,
            _ => Meant::Applied,
        }
    }
}

/// One call, as a record tells of it.
struct Call<'a> {
    row: u64,
    sent_ms: i64,
    latency_us: u64,
    meant: Meant,
    is_retry: bool,
    code: &'a str,
    trace_id: &'a str,
    http_status: u16,
}

/// The calls of a run.
#[derive(Clone, Debug)]
pub struct Figures {
    /// By the time at which they began.
    pub timeline: Timeline,
    /// Those that took longest.
    pub slowest: Slowest,
    /// How many had which meaning and code.
    pub answers: BTreeMap<Meant, BTreeMap<String, u64>>,
    /// Those whose code is counted with others', since there were too many different ones.
    pub other_answers: u64,
    /// Calls of rows without an end yet: how many, and the latency of the last. As many as a run has slots, times the
    /// crashes it went through.
    pending: HashMap<u64, (u32, u64)>,
}

impl Figures {
    /// No calls yet. `window`: the quota's.
    pub fn new(window: Duration) -> Figures {
        Figures {
            timeline: Timeline::new(window),
            slowest: Slowest::default(),
            answers: BTreeMap::new(),
            other_answers: 0,
            pending: HashMap::new(),
        }
    }

    /// Calls whose time is known. Those that a crash cut off left no record.
    pub fn calls(&self) -> u64 {
        self.timeline.slots().map(|(_, slot)| slot.calls).sum()
    }

    /// Takes the next record of the journal.
    pub fn take(&mut self, record: &Record) {
        match record {
            Record::Intent(_) => {}
            Record::Attempt(attempt) => self.attempt(attempt),
            Record::Settled(row, settled) => self.end(*row, settled),
        }
    }

    fn attempt(&mut self, attempt: &Attempt) {
        let (before, last_us) = self.pending.entry(attempt.row).or_default();
        *before += 1;
        *last_us = attempt.latency_us;
        let is_retry = *before > 1;
        self.count(&Call {
            row: attempt.row,
            sent_ms: attempt.sent_ms,
            latency_us: attempt.latency_us,
            meant: Meant::of_verdict(attempt.reading.verdict),
            is_retry,
            code: &attempt.reading.code,
            trace_id: &attempt.reading.trace_id,
            http_status: attempt.reading.http_status,
        });
    }

    fn end(&mut self, row: u64, settled: &Settled) {
        let (before, last_us) = self.pending.remove(&row).unwrap_or_default();
        // A row that a stop settled has no call beside those on record: its latency is that of the last one.
        let is_on_record = |us: u64| settled.attempts <= before || (before > 0 && us == last_us);
        let Some(latency_us) = settled.latency_us.filter(|us| !is_on_record(*us)) else { return };
        let sent_ms = match settled.first_sent_ms {
            Some(first) if settled.attempts == 1 => first,
            _ => settled.settled_ms.saturating_sub((latency_us / 1_000).cast_signed()),
        };
        self.count(&Call {
            row,
            sent_ms,
            latency_us,
            meant: Meant::of_end(settled),
            is_retry: settled.attempts > 1,
            code: &settled.code,
            trace_id: &settled.trace_id,
            http_status: settled.http_status,
        });
    }

    fn count(&mut self, call: &Call<'_>) {
        let slot = self.timeline.at(call.sent_ms);
        slot.calls += 1;
        slot.retries += u64::from(call.is_retry);
        slot.in_doubt += u64::from(call.meant == Meant::InDoubt);
        slot.throttled += u64::from(call.meant == Meant::Throttled);
        slot.not_sent += u64::from(call.meant == Meant::NotSent);
        if call.meant != Meant::NotSent {
            slot.latency.add(call.latency_us);
            self.slowest.offer(call.latency_us, || Slow {
                latency_us: call.latency_us,
                row: call.row,
                sent_ms: call.sent_ms,
                meant: call.meant,
                code: shown(call.code, CODE_MAX),
                trace_id: shown(call.trace_id, CODE_MAX),
                http_status: call.http_status,
            });
        }
        let code = as_shown(call.code, CODE_MAX);
        if let Some(calls) = self.answers.get_mut(&call.meant).and_then(|codes| codes.get_mut(code.as_ref())) {
            *calls += 1;
        } else if self.answers.values().map(BTreeMap::len).sum::<usize>() < ANSWERS_MAX {
            self.answers.entry(call.meant).or_default().insert(code.into_owned(), 1);
        } else {
            self.other_answers += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Reading;

    fn attempt(row: u64, sent_ms: i64, latency_us: u64, verdict: Verdict, code: &str) -> Record {
        Record::Attempt(Attempt { row, sent_ms, latency_us, reading: Reading::transport(verdict, code, "") })
    }

    fn end(row: u64, outcome: Outcome, attempts: u32, settled_ms: i64, latency_us: Option<u64>) -> Record {
        let first_sent_ms = latency_us.map(|us| settled_ms - (us / 1_000).cast_signed());
        let settled =
            Settled { attempts, first_sent_ms, latency_us, ..Settled::local(outcome, "CODE", "", settled_ms) };
        Record::Settled(row, Box::new(settled))
    }

    fn of(records: &[Record]) -> Figures {
        let mut figures = Figures::new(Duration::from_secs(1));
        for record in records {
            figures.take(record);
        }
        figures
    }

    #[test]
    fn every_call_counts_once_whichever_record_tells_of_it() {
        let figures = of(&[
            end(0, Outcome::Applied, 1, 10_050, Some(40_000)),
            end(1, Outcome::Rejected, 0, 10_060, None),
            attempt(2, 10_100, 50_000, Verdict::InDoubt, "TIMEOUT"),
            attempt(2, 11_100, 60_000, Verdict::Throttled, "SLOW"),
            end(2, Outcome::Applied, 3, 12_100, Some(70_000)),
            // A stop settled this one while it waited: nothing was sent since the record.
            attempt(3, 10_200, 80_000, Verdict::InDoubt, "TIMEOUT"),
            end(3, Outcome::Unknown, 1, 13_000, Some(80_000)),
            // A crash cut this one off: three calls were made, and two are told of.
            attempt(4, 10_300, 90_000, Verdict::InDoubt, "TIMEOUT"),
            end(4, Outcome::Refused, 3, 14_100, Some(90_001)),
        ]);
        let sum = |of: fn(&Slot) -> u64| figures.timeline.slots().map(|(_, slot)| of(slot)).sum::<u64>();
        assert_eq!(figures.calls(), 7);
        assert_eq!((sum(|slot| slot.retries), sum(|slot| slot.in_doubt), sum(|slot| slot.throttled)), (3, 3, 1));
        assert_eq!(figures.answers[&Meant::InDoubt]["TIMEOUT"], 3);
        assert_eq!(figures.slowest.iter().next().unwrap().row, 4);
        assert!(figures.pending.is_empty());
    }

    #[test]
    fn a_call_that_halts_a_run_is_no_throttled_one() {
        let end = |code: &str, status: &str| Settled {
            http_status: 200,
            attempts: 1,
            first_sent_ms: Some(1_000),
            latency_us: Some(5_000),
            status: status.to_owned(),
            ..Settled::local(Outcome::Unsent, code, "", 1_005)
        };
        let ends = [
            ("INVALID_SIGNATURE", "F"),
            ("REQUEST_TRAFFIC_EXCEED_LIMIT", "F"),
            ("20001/aop.of-tomorrow", ""), // on no page: the dialect decides by its form
            ("40005/isv.call-limited", ""),
        ];
        let records = (0..).zip(ends).map(|(row, (code, status))| Record::Settled(row, Box::new(end(code, status))));
        let figures = of(&records.collect::<Vec<_>>());
        let answered = |meant| figures.answers.get(&meant).map_or(0, BTreeMap::len);
        assert_eq!((answered(Meant::Misconfigured), answered(Meant::Throttled)), (2, 2), "{:?}", figures.answers);
    }

    #[test]
    fn rows_that_are_reopened_count_their_calls_again() {
        let part =
            [attempt(0, 1_000, 5_000, Verdict::InDoubt, "TIMEOUT"), end(0, Outcome::Unknown, 2, 2_000, Some(6_000))];
        assert_eq!(of(&[part.clone(), part].concat()).calls(), 4);
    }

    #[test]
    fn a_gateway_that_makes_up_codes_gets_no_more_memory() {
        let long = "X".repeat(100_000);
        let records = (0..1_000).map(|row| attempt(row, 0, 1, Verdict::Refused, &format!("{row:0>6}{long}")));
        let figures = of(&records.collect::<Vec<_>>());
        let codes = &figures.answers[&Meant::Refused];
        assert_eq!((figures.answers.len(), codes.len(), figures.other_answers), (1, 200, 800));
        assert!(codes.keys().all(|code| code.chars().count() <= CODE_MAX + 1));
    }
}
