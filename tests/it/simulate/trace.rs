//! What happened, for whoever has to understand a failing seed.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;

use passync::core::dispatcher::{Cause, Gate};
use passync::model::{Outcome, Place, Tick};

use super::network::Told;

/// So many events of a card are told.
const TOLD: usize = 60;

/// One event of one row.
#[derive(Clone, Debug)]
#[expect(dead_code, reason = "read by a person, through Debug")]
pub enum Event {
    Planned { at: Place, members: u64, drop: u64, cover: u32, absorbed: bool, gates: Vec<Gate>, doubt: u32 },
    Intend { drop: u64 },
    Durable,
    Send { carried: u64 },
    Arrived { applied: bool, after_our_end: bool },
    Told(Told),
    Attempted,
    Settle { outcome: Outcome, cause: Cause, in_doubt: u32 },
    SettledDurable(Outcome),
}

/// The story so far.
#[derive(Debug, Default)]
pub struct Trace {
    cards: BTreeMap<usize, VecDeque<(Tick, u64, Event)>>,
    /// What happened to all cards: runs and processes.
    stages: VecDeque<(Tick, String)>,
    /// The card of the last event.
    last: usize,
}

impl Trace {
    /// Something happened to a row of a card.
    pub fn row(&mut self, now: Tick, card: usize, row: u64, event: Event) {
        let events = self.cards.entry(card).or_default();
        if events.len() == TOLD {
            events.pop_front();
        }
        events.push_back((now, row, event));
        self.last = card;
    }

    /// The card to tell of.
    pub fn look_at(&mut self, card: usize) {
        self.last = card;
    }

    /// Something happened to all.
    pub fn stage(&mut self, now: Tick, what: String) {
        if self.stages.len() == TOLD {
            self.stages.pop_front();
        }
        self.stages.push_back((now, what));
    }

    /// The last events of the card that something happened to last, or that was looked at.
    pub fn tell(&self) -> String {
        let mut lines: Vec<(Tick, usize, String)> = Vec::new();
        for (at, (now, what)) in self.stages.iter().enumerate() {
            lines.push((*now, at, format!("-- {what}")));
        }
        for (at, (now, row, event)) in self.cards.get(&self.last).into_iter().flatten().enumerate() {
            lines.push((*now, TOLD + at, format!("   row {row}: {event:?}")));
        }
        lines.sort();
        let mut text = format!("card {} and the stages:\n", self.last);
        for (now, _, line) in lines {
            let ms = now.0 as f64 / 1e6;
            writeln!(text, "{ms:>12.3} ms {line}").expect("a String takes all");
        }
        text
    }
}
