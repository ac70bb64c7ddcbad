//! The gateway itself, pure: calls and times in, plans and judgements out. No IO, no clock, no chance but a seed.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use rust_decimal::Decimal;
use sha2::{Digest as _, Sha256};

use crate::model::{Digest, Status, Tick};
use crate::wire::{Call, CallFault, Said};

use super::config::{Config, Delay};
use super::dice::Dice;
use super::exchange::Exchange;
use super::faults::Fault;
use super::judge::{Breach, Judgement, Judgements, Window};
use super::plan::{Delivery, Plan, Seal, Transfer, effect};
use super::summary::Summary;

/// What the gateway knows of one card.
#[derive(Clone, Debug, Default)]
pub struct Card {
    /// What it shows, by canonical column.
    pub members: BTreeMap<String, Shown>,
    /// How it ended, if it did.
    pub ended: Option<Status>,
    /// Every state it was given, oldest first.
    pub history: Vec<Applied>,
    /// Exchanges whose reply is not out yet.
    open: Vec<u64>,
}

/// What a card shows in one member. Order is judged member by member: an older bill may come late with those members
/// that no newer one has given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// The value.
    pub value: String,
    /// The highest rank of a state that gave it.
    rank: Option<Decimal>,
}

/// One state that a card was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// When.
    pub at: Tick,
    /// By which bill, where the wire form tells it.
    pub bill_no: Option<String>,
    /// By which body.
    pub body_sha256: [u8; 32],
}

/// What is remembered of a bill, or of a body without one.
struct Known {
    attempts: u32,
    /// The exchange of its first arrival: bills that first came earlier are older.
    first: u64,
    body_sha256: [u8; 32],
    members: Vec<(String, String)>,
    /// Its success went out: to send it again is to send it twice.
    confirmed: bool,
}

/// A gateway that judges and misbehaves. Its memory grows with the bills and states it is shown.
pub struct Gateway {
    config: Config,
    cards: HashMap<Digest, Card>,
    known: HashMap<Digest, Known>,
    open: HashMap<u64, (Digest, Exchange)>,
    arrivals: Window,
    last_exchange: u64,
    judgements: Judgements,
    summary: Summary,
}

impl Gateway {
    /// A gateway whose cards show nothing yet.
    pub fn new(config: Config) -> Gateway {
        Gateway {
            arrivals: Window::new(config.window()),
            config,
            cards: HashMap::new(),
            known: HashMap::new(),
            open: HashMap::new(),
            last_exchange: 0,
            judgements: Judgements::default(),
            summary: Summary::default(),
        }
    }

    /// Takes a call that verified. Calls come in order of time. What is applied is applied at once: what may be late is
    /// only the word of it, for a caller cannot defend itself against a gateway that applies after the connection ended.
    pub fn arrive(&mut self, now: Tick, call: &Call) -> Plan {
        let throttled = self.count_arrival(now, &call.card, call.bill_no.as_deref());
        let body_sha256: [u8; 32] = Sha256::digest(&call.body).into();
        let card = card_key(&call.merchant, &call.card);
        let key = bill_key(&call.merchant, call.bill_no.as_deref(), &body_sha256);
        let (attempt, rank) = self.judge(now, call, card, key, &body_sha256);

        let mut dice = Dice::new(self.config.seed, key, attempt);
        let fault = match self.scripted(call) {
            _ if throttled => Some(throttle(&mut dice)),
            Some(scripted) => Some(scripted.clone()),
            None => self.config.faults.draw(attempt, &mut dice).cloned(),
        };
        let (wanted, delivery) = effect(fault.as_ref());
        let (applied, delivery) = match self.refusal(card, call.status) {
            Some(refusal) => (false, instead_of_success(delivery, refusal)),
            None => (wanted, delivery),
        };
        if applied {
            self.apply(now, call, card, rank, body_sha256);
        }
        let wait = self.wait(fault.as_ref(), &mut dice);
        let exchange = Exchange {
            id: self.last_exchange,
            arrived: now,
            finished: now,
            merchant: call.merchant.clone(),
            card: call.card.clone(),
            bill_no: call.bill_no.clone(),
            body_sha256,
            attempt,
            fault,
            applied,
            delivery,
            delivered: false,
        };
        self.begin(card, exchange, wait)
    }

    fn scripted(&self, call: &Call) -> Option<&Fault> {
        let script = &self.config.script;
        call.bill_no.as_ref().and_then(|bill| script.get(bill)).or_else(|| script.get(&call.card))
    }

    /// Takes a call that could not be read. It pays the quota as every other; a wrong signature gets an unsigned answer,
    /// as the vendor's gateways do.
    pub fn turn_away(&mut self, now: Tick, fault: &CallFault, body: &[u8]) -> Plan {
        self.count_arrival(now, "", None);
        let (breach, said, seal) = match fault {
            CallFault::Signature(_) => (Breach::BadSignature, Said::BadSignature, Seal::Missing),
            CallFault::Client(_) => (Breach::BadCall, Said::WrongClient, Seal::True),
            CallFault::Parameter(_) => (Breach::BadCall, Said::BadParameter, Seal::True),
        };
        self.book(now, breach, "", None, fault.to_string());
        let exchange = Exchange {
            id: self.last_exchange,
            arrived: now,
            finished: now,
            merchant: String::new(),
            card: String::new(),
            bill_no: None,
            body_sha256: Sha256::digest(body).into(),
            attempt: 0,
            fault: None,
            applied: false,
            delivery: Delivery::Reply { said, seal, transfer: Transfer::Whole },
            delivered: false,
        };
        self.begin(Digest::default(), exchange, self.config.delay.min)
    }

    /// The exchange is over: its reply went out whole as planned (`delivered`), or the connection is closed.
    ///
    /// # Panics
    /// Where it ended before.
    pub fn end(&mut self, exchange: u64, now: Tick, delivered: bool) -> Exchange {
        let (card, mut ended) = self.open.remove(&exchange).expect("an exchange ends once");
        if let Some(card) = self.cards.get_mut(&card) {
            card.open.retain(|open| *open != exchange);
        }
        ended.finished = now;
        ended.delivered = delivered && ended.delivery.http_status().is_some();
        if ended.delivered && ended.delivery.confirms() {
            let key = bill_key(&ended.merchant, ended.bill_no.as_deref(), &ended.body_sha256);
            self.known.get_mut(&key).expect("a confirmed bill has arrived").confirmed = true;
        }
        self.summary.end(&ended);
        ended
    }

    /// The open exchanges of a card, oldest first: whoever can see that one of them was given up by the caller ends it
    /// before the next call arrives.
    pub fn open_on(&self, merchant: &str, card: &str) -> Vec<u64> {
        self.card(merchant, card).map(|card| card.open.clone()).unwrap_or_default()
    }

    /// What is known of a card, if it was ever named.
    pub fn card(&self, merchant: &str, card: &str) -> Option<&Card> {
        self.cards.get(&card_key(merchant, card))
    }

    /// What was wrong so far.
    pub fn judgements(&self) -> &Judgements {
        &self.judgements
    }

    /// The sums so far.
    pub fn summary(&self) -> Summary {
        Summary {
            quota: self.config.quota.map(|quota| quota.permits),
            window_ms: self.config.window().as_millis() as u64,
            peak: self.arrivals.peak() as u64,
            breaches: self.judgements.counts().clone(),
            judgements: self.judgements.kept().to_vec(),
            ..self.summary.clone()
        }
    }

    /// Whether the call is to be throttled.
    fn count_arrival(&mut self, now: Tick, card: &str, bill_no: Option<&str>) -> bool {
        self.last_exchange += 1;
        let inside = self.arrivals.arrive(now);
        let Some(quota) = self.config.quota.filter(|quota| inside > quota.permits as usize) else { return false };
        let text = format!("arrival {inside} in one window, the quota is {quota}");
        self.book(now, Breach::OverQuota, card, bill_no, text);
        self.config.enforce_quota
    }

    /// Judges an arrival; says the how-manieth of its key it is, and its rank among the states of its card.
    fn judge(
        &mut self,
        now: Tick,
        call: &Call,
        card: Digest,
        key: Digest,
        body_sha256: &[u8; 32],
    ) -> (u32, Option<Decimal>) {
        let mut found = Vec::new();
        let card = self.cards.entry(card).or_default();
        if let Some(open) = card.open.first() {
            found.push((Breach::Overlap, format!("exchange {open} of the card is still open")));
        }
        let known = self.known.entry(key).or_insert_with(|| Known {
            attempts: 0,
            first: self.last_exchange,
            body_sha256: *body_sha256,
            members: call.members.clone(),
            confirmed: false,
        });
        known.attempts += 1;
        if known.body_sha256 != *body_sha256 {
            if !is_trimmed(&call.members, &known.members) {
                found.push((Breach::ChangedBody, "the bill came before with other bytes".to_owned()));
            }
            known.body_sha256 = *body_sha256;
            known.members.clone_from(&call.members);
        }
        if known.confirmed {
            match call.bill_no {
                Some(_) => found.push((Breach::DoubleSend, "its success was delivered before".to_owned())),
                // A -> B -> A is an honest history of a card; only a bill tells it from a second send.
                None => self.summary.bodies_repeated += 1,
            }
        }
        let rank = self.config.order.rank(call, body_sha256, known.first);
        let newer = |name: &String| card.members.get(name).is_some_and(|shown| rank.is_some() && rank < shown.rank);
        if let Some((name, _)) = call.members.iter().find(|(name, _)| newer(name)) {
            found.push((Breach::Inversion, format!("the card was given a newer `{name}` before")));
        }
        let attempt = known.attempts;
        for (breach, text) in found {
            self.book(now, breach, &call.card, call.bill_no.as_deref(), text);
        }
        (attempt, rank)
    }

    /// Why the card takes no such call any more.
    fn refusal(&self, card: Digest, status: Status) -> Option<Said> {
        self.cards.get(&card)?.ended?;
        Some(if status.is_final() { Said::AlreadyEnded } else { Said::NotActive })
    }

    fn apply(&mut self, now: Tick, call: &Call, card: Digest, rank: Option<Decimal>, body_sha256: [u8; 32]) {
        let card = self.cards.entry(card).or_default();
        for (name, value) in &call.members {
            let shown = card.members.entry(name.clone()).or_default();
            *shown = Shown { value: value.clone(), rank: shown.rank.max(rank) };
        }
        card.ended = call.status.is_final().then_some(call.status);
        card.history.push(Applied { at: now, bill_no: call.bill_no.clone(), body_sha256 });
    }

    fn wait(&self, fault: Option<&Fault>, dice: &mut Dice) -> Duration {
        if matches!(fault, Some(Fault::Slow | Fault::Hang)) {
            return self.config.slow;
        }
        let Delay { min, max } = self.config.delay;
        let spread = max.saturating_sub(min).as_nanos() as u64;
        min + Duration::from_nanos(dice.below(spread.saturating_add(1)))
    }

    fn begin(&mut self, card: Digest, exchange: Exchange, wait: Duration) -> Plan {
        if let Some(card) = self.cards.get_mut(&card) {
            card.open.push(exchange.id);
        }
        self.summary.begin(&exchange);
        let plan = Plan { exchange: exchange.id, wait, delivery: exchange.delivery.clone() };
        self.open.insert(exchange.id, (card, exchange));
        plan
    }

    fn book(&mut self, at: Tick, breach: Breach, card: &str, bill_no: Option<&str>, text: String) {
        let (card, bill_no) = (card.to_owned(), bill_no.map(str::to_owned));
        self.judgements.book(Judgement { at, breach, card, bill_no, text });
    }
}

/// A gateway over its limit says so in one of two ways.
fn throttle(dice: &mut Dice) -> Fault {
    if dice.below(2) == 0 { Fault::Limit } else { Fault::TooMany { retry_after_s: None } }
}

fn instead_of_success(delivery: Delivery, refusal: Said) -> Delivery {
    match delivery {
        Delivery::Reply { said: Said::Applied, seal, transfer } => Delivery::Reply { said: refusal, seal, transfer },
        other => other,
    }
}

/// Whether `now` is `before` with members left out: the one change of a body that a caller may make.
fn is_trimmed(now: &[(String, String)], before: &[(String, String)]) -> bool {
    now.len() < before.len() && now.iter().all(|member| before.contains(member))
}

fn card_key(merchant: &str, card: &str) -> Digest {
    Digest::of("card", &[merchant, card])
}

/// What attempts are counted by and chance is drawn for: the bill, or else the body.
fn bill_key(merchant: &str, bill_no: Option<&str>, body_sha256: &[u8; 32]) -> Digest {
    match bill_no {
        Some(bill_no) => Digest::of("bill", &[merchant, bill_no]),
        None => Digest(body_sha256[..16].try_into().expect("SHA-256 has 32 bytes")),
    }
}

#[cfg(test)]
mod tests;
