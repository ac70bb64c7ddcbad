//! The gateway and the way there and back, under a virtual clock.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use passync::model::{BillId, Place, Status, Tick, Verdict};
use passync::sandbox::{Config, Delay, Delivery, Gateway, Plan, Quota, Seal, Transfer};
use passync::wire::{Call, CallFault, Said};

use super::dice::Dice;
use super::world::{Clocks, World};

/// The age of replies of another time: more than our clock is ever wrong.
const STALE_MS: i64 = 5 * 3_600_000;

/// A request on its way: what the auditor knows of it, and what the gateway reads.
#[derive(Clone, Debug)]
pub struct Sent {
    /// The process that sent it.
    pub process: u64,
    pub row: u64,
    pub card: usize,
    pub bill: BillId,
    pub place: Place,
    pub carried: u64,
    pub body: Vec<u8>,
    /// When our side closes the connection, if it has to.
    pub closes: Tick,
    /// Sent by a run that may roll cards back.
    pub allow_stale: bool,
    pub call: Call,
}

/// What our side hears at the end of an exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    pub verdict: Verdict,
    pub verified: bool,
    /// Whether any of a reply came in.
    pub answered: bool,
    pub retry_after: Option<Duration>,
    pub configuration: Option<String>,
    /// The gateway's clock, where it signed it; milliseconds since 1970.
    pub result_ms: Option<i64>,
    /// It is a reply of another time, from somebody between us and the gateway.
    pub is_stale: bool,
    /// Our side does not believe its time.
    pub skewed: bool,
}

impl Told {
    fn plain(verdict: Verdict, verified: bool, answered: bool) -> Told {
        Told {
            verdict,
            verified,
            answered,
            retry_after: None,
            configuration: None,
            result_ms: None,
            is_stale: false,
            skewed: false,
        }
    }

    /// A success that was said at `result_ms`, about another call.
    fn stale(result_ms: i64) -> Told {
        Told { result_ms: Some(result_ms), is_stale: true, ..Told::plain(Verdict::Applied, true, true) }
    }

    /// A throttle of somebody before the gateway.
    fn throttle() -> Told {
        Told::plain(Verdict::Throttled, false, true)
    }

    /// No word within the timeout, or a connection that broke.
    pub fn silence() -> Told {
        Told::plain(Verdict::InDoubt, false, false)
    }
}

/// What the clock brings.
#[derive(Clone, Debug)]
pub enum Tide {
    /// A request reaches the gateway.
    Arrive(Rc<Sent>),
    /// An exchange ends on our side.
    End(Rc<Sent>, Option<u64>, Told),
    /// The oldest records become durable.
    Commit,
    /// The reader has rows.
    Rows,
    /// A person or a scheduler wants us to stop.
    Signal,
    /// The process dies.
    Crash,
}

/// The virtual clock with all that it will bring.
#[derive(Debug, Default)]
pub struct Clock {
    now: Tick,
    /// By time, then by order of booking; with the process that it concerns.
    tides: BTreeMap<(Tick, u64), (u64, Tide)>,
    booked: u64,
}

impl Clock {
    pub fn now(&self) -> Tick {
        self.now
    }

    pub fn book(&mut self, at: Tick, process: u64, tide: Tide) {
        self.booked += 1;
        self.tides.insert((at.max(self.now), self.booked), (process, tide));
    }

    /// Goes on to the next tide, or to `until` where that is earlier.
    pub fn next(&mut self, until: Tick) -> Option<(u64, Tide)> {
        match self.tides.first_key_value() {
            Some(((at, _), _)) if *at <= until => {
                let ((at, _), tide) = self.tides.pop_first().expect("just seen");
                self.now = at;
                Some(tide)
            }
            _ => {
                self.now = self.now.max(until);
                None
            }
        }
    }

    /// Whether anything will come to this process by itself.
    pub fn concerns(&self, process: u64) -> bool {
        self.tides.values().any(|(whose, _)| *whose == process)
    }
}

/// The gateway behind its network.
pub struct Network {
    gateway: Gateway,
    /// Open exchanges of the process that lives.
    open: HashMap<u64, Rc<Sent>>,
    /// When processes died.
    deaths: HashMap<u64, Tick>,
    /// Times of verified replies, and how many replies of another time, that each process got or will get.
    replies: HashMap<u64, (BTreeSet<i64>, u32)>,
    /// Arrivals of the last window that somebody before the gateway let through.
    let_through: VecDeque<Tick>,
    /// Faults of the network end with the story's troubles.
    pub well: bool,
}

/// What an arrival did.
pub enum Arrival {
    /// Nobody was there any more, or the bytes never came.
    Lost,
    /// Read by the gateway; whether the card changed.
    Read { applied: bool },
    /// Counted, but the connection was closed before it was read.
    TooLate,
}

impl Network {
    pub fn new(world: &World, dice: &mut Dice) -> Network {
        let gateway = Gateway::new(Config {
            seed: dice.word(),
            faults: world.trouble.faults.parse().expect("the world knows the sandbox's words"),
            quota: Some(Quota { permits: world.quota, window: world.window }),
            enforce_quota: world.enforced,
            delay: Delay { min: Duration::from_millis(1), max: Duration::from_millis(30) },
            slow: world.timeout + Duration::from_millis(500),
            ..Config::default()
        });
        Network {
            gateway,
            open: HashMap::new(),
            deaths: HashMap::new(),
            replies: HashMap::new(),
            let_through: VecDeque::new(),
            well: false,
        }
    }

    pub fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    /// A request leaves.
    pub fn send(&self, sent: Sent, world: &World, clock: &mut Clock, dice: &mut Dice) {
        let (now, process, trouble) = (clock.now(), sent.process, &world.trouble);
        let sent = Rc::new(sent);
        if !self.well && trouble.is_down(now) {
            let told = Told::plain(Verdict::NotSent, false, false);
            return clock.book(now + dice.micros(100..=3_000), process, Tide::End(sent, None, told));
        }
        let there_max = if self.well { 1_000 } else { trouble.there_max };
        let arrives = now + dice.micros(1..=there_max);
        if arrives > sent.closes {
            // The law's assumption: no byte arrives later than one window after we closed.
            let latest = sent.closes + world.window;
            clock.book(sent.closes, process, Tide::End(Rc::clone(&sent), None, Told::silence()));
            clock.book(arrives.min(latest), process, Tide::Arrive(sent));
        } else {
            clock.book(arrives, process, Tide::Arrive(sent));
        }
    }

    /// A request reaches the gateway; books the end of its exchange.
    pub fn arrive(&mut self, sent: &Rc<Sent>, world: &World, clock: &mut Clock, dice: &mut Dice) -> Arrival {
        let (now, trouble) = (clock.now(), &world.trouble);
        let death = self.deaths.get(&sent.process).copied().filter(|death| *death < sent.closes);
        if death.is_some_and(|death| now > death + world.window || dice.percent(50)) {
            return Arrival::Lost;
        }
        if now > sent.closes {
            return Arrival::TooLate;
        }
        if let Some(told) = self.intercepted(sent, now, world, dice).filter(|_| death.is_none()) {
            clock.book(now + dice.micros(1..=3_000), sent.process, Tide::End(Rc::clone(sent), None, told));
            return Arrival::Lost;
        }
        let disowned = if self.well { None } else { trouble.disowns(now) };
        let history =
            |gateway: &Gateway| gateway.card(&sent.call.merchant, &sent.call.card).map_or(0, |card| card.history.len());
        let before = history(&self.gateway);
        let plan = match disowned {
            None => self.gateway.arrive(now, &sent.call),
            Some(true) => self.gateway.turn_away(now, &CallFault::Client("moved".into()), &sent.body),
            Some(false) => self.gateway.turn_away(now, &CallFault::Signature("rotated".into()), &sent.body),
        };
        let applied = history(&self.gateway) > before;
        if death.is_some() {
            self.gateway.end(plan.exchange, now, false);
            return Arrival::Read { applied };
        }
        self.open.insert(plan.exchange, Rc::clone(sent));
        let back_max = if self.well { 1_000 } else { trouble.back_max };
        let heard = now + plan.wait + dice.micros(1..=back_max);
        let result_ms = Clocks::said_ms(now);
        let (at, told) =
            if heard > sent.closes { (sent.closes, Told::silence()) } else { (heard, read(&plan, result_ms)) };
        clock.book(at, sent.process, Tide::End(Rc::clone(sent), Some(plan.exchange), told));
        Arrival::Read { applied }
    }

    /// What somebody between us and the gateway says in its place.
    fn intercepted(&mut self, sent: &Sent, now: Tick, world: &World, dice: &mut Dice) -> Option<Told> {
        if let Some((permits, until)) = world.trouble.narrow
            && now < until
        {
            while self.let_through.front().is_some_and(|first| now.since(*first) >= world.window) {
                self.let_through.pop_front();
            }
            if self.let_through.len() >= permits as usize {
                return Some(Told::throttle());
            }
            self.let_through.push_back(now);
        }
        // The clock check learns from verified replies of the first five times: most of them must be of their time.
        let (times, stale) = self.replies.entry(sent.process).or_default();
        if self.well || (*stale >= 2 && times.len() < 5) || !dice.percent(world.trouble.stale) {
            return None;
        }
        *stale += 1;
        Some(Told::stale(Clocks::said_ms(now) - STALE_MS))
    }

    /// An exchange ended on our side.
    pub fn end(&mut self, exchange: Option<u64>, now: Tick, sent: &Sent, told: &Told) {
        self.replies.entry(sent.process).or_default().0.extend(told.result_ms.filter(|_| told.verified));
        if let Some(exchange) = exchange {
            self.open.remove(&exchange).expect("an exchange ends once");
            self.gateway.end(exchange, now, told.answered);
        }
    }

    /// The process died, and its connections with it.
    pub fn cut(&mut self, process: u64, now: Tick) {
        self.deaths.insert(process, now);
        for (exchange, _) in self.open.drain() {
            self.gateway.end(exchange, now, false);
        }
    }
}

/// What a reply means: the dialect's part, in short.
fn read(plan: &Plan, result_ms: i64) -> Told {
    match &plan.delivery {
        Delivery::Cut => Told::silence(),
        Delivery::Page { status: 429, retry_after_s, .. } => Told {
            retry_after: retry_after_s.map(|seconds| Duration::from_secs(seconds.into())),
            ..Told::plain(Verdict::Throttled, false, true)
        },
        Delivery::Page { .. } | Delivery::Reply { transfer: Transfer::Half, .. } => {
            Told::plain(Verdict::InDoubt, false, true)
        }
        Delivery::Reply { said, seal, .. } => {
            let verified = *seal == Seal::True;
            let (verdict, code) = meaning(said);
            let verdict = if verified { verdict } else { Verdict::InDoubt };
            Told { configuration: code, result_ms: Some(result_ms), ..Told::plain(verdict, verified, true) }
        }
    }
}

fn meaning(said: &Said) -> (Verdict, Option<String>) {
    match said {
        Said::Applied => (Verdict::Applied, None),
        Said::Unknown | Said::SystemError => (Verdict::InDoubt, None),
        Said::Throttled => (Verdict::Throttled, None),
        Said::Refused(code) if code == "ODD_SUCCESS" => (Verdict::InDoubtFinal, None),
        Said::Refused(code) if code == "ACCESS_DENIED" => (Verdict::Misconfigured, Some(code.clone())),
        Said::Refused(_) | Said::NotActive | Said::AlreadyEnded | Said::BadParameter => (Verdict::Refused, None),
        Said::BadSignature => (Verdict::Misconfigured, Some("INVALID_SIGNATURE".to_owned())),
        Said::WrongClient => (Verdict::Misconfigured, Some("INVALID_CLIENT".to_owned())),
    }
}

/// A call as the gateway reads it.
pub fn call(card: usize, bill: Option<u64>, closing: bool, members: Vec<(String, String)>, body: &[u8]) -> Call {
    Call {
        merchant: "M".to_owned(),
        card: format!("C{card}"),
        bill_no: bill.map(|bill| format!("B{bill}")),
        status: if closing { Status::Closed } else { Status::Update },
        members,
        sent_at: String::new(),
        body: body.to_vec(),
    }
}
