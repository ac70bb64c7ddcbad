//! The driver: asks the dispatcher what to do, does it, tells it what happened. It decides nothing.
//!
//! ```text
//! dispatcher -> Intend -> ledger (group commit) -> Durable
//!            -> Send   -> pool signs -> HTTP -> pool reads -> Reply
//!            -> Settle -> ledger (group commit) -> Committed
//! ```
//! One IO thread runs this loop and all connections; it never signs, and never waits for a commit
//! (what it reads of plan, rows and ledger is little, and mostly in the system's memory).

mod meter;
mod plan_rows;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use self::meter::Meter;
use self::plan_rows::PlanRows;
use super::clock::{RunClock, wall_ms};
use super::done::Done;
use super::members::Members;
use super::pool::{Pool, Product, Tools};
use super::progress::Progress;
use super::random::random;
use super::recover::Recovery;
use super::store::{Rows, RunFolder};
use super::stored::Content;
use super::timings::Stage;
use super::trail::Trail;
use super::{Fault, Signals};
use crate::core::canary::PlanEnd;
use crate::core::dispatcher::{Action, Cause, Config, Dispatcher, Event, PlanRow, Settlement};
use crate::core::drift::Drift;
use crate::core::halt::Stop;
use crate::core::quota::Quota;
use crate::core::skew::Skew;
use crate::io::gateway::{Gateway, Line};
use crate::io::ledger::{Ack, Ledger, LedgerError, Writer};
use crate::io::{boot, cpu};
use crate::model::{Attempt, BillId, Delta, Intent, Reading, Record, Settled, Tick, Verdict};
use crate::wire::personal::Personal;
use crate::wire::{Reply, retry_after};

/// What the driver works with.
pub struct Order<'a> {
    /// The ledger; the driver writes through a connection of its own.
    pub ledger: &'a Ledger,
    /// The run's ordinal.
    pub run: u32,
    /// The survey's files.
    pub folder: &'a RunFolder,
    /// The bits of members.
    pub members: &'a Members,
    /// Keys and wire form.
    pub tools: Tools,
    /// Where calls go.
    pub gateway: Gateway,
    /// What shapes the run.
    pub config: Config,
    /// The cards that go first, if not all at once.
    pub canary: Option<usize>,
    /// The quota.
    pub quota: Quota,
    /// The quota's window.
    pub quota_window: Duration,
    /// `max_skew`, in milliseconds.
    pub max_skew_ms: Option<i64>,
    /// What an interrupted part left.
    pub recovery: Recovery,
    /// The time since boot that is `Tick::ZERO`, nanoseconds. It goes on while the machine sleeps, as deadlines do.
    pub began_ns: i64,
    /// What time it is, for records.
    pub clock: RunClock,
    /// Counters.
    pub progress: &'a Progress,
    /// Signals.
    pub signals: &'a Signals,
}

/// What comes back to the loop.
enum Note {
    Product(Product),
    Failed(u64, Duration, Box<Reading>),
    Exchanged(u64, Duration, Reply, Line),
    Acks(Result<Vec<Ack>, LedgerError>),
}

/// A row in memory.
struct Held {
    body: Arc<[u8]>,
    sent_ms: i64,
    first_sent_ms: Option<i64>,
    latency: Duration,
    /// What the reply came on that is being read.
    line: Option<Line>,
    last: Option<Reading>,
    personal: Personal,
}

/// Carries the plan out. An error is a storage fault: nothing more was sent.
pub async fn apply(order: Order<'_>) -> Result<Done, Fault> {
    let (notes, inbox) = unbounded_channel();
    let acks = notes.clone();
    let timings = Arc::clone(&order.progress.timings);
    let mut spent = Duration::ZERO;
    let writer = Writer::start(order.ledger.path(), order.run, move |acknowledged| {
        let before = std::mem::replace(&mut spent, cpu::of_thread());
        timings.add(Stage::Ledger, spent.saturating_sub(before));
        let _ = acks.send(Note::Acks(acknowledged)); // the loop has ended: nobody waits for it
    })?;
    let products = notes.clone();
    let pool = Pool::start(&order.tools, &order.progress.timings, move |product| {
        let _ = products.send(Note::Product(product));
    })
    .map_err(Fault::no_thread)?;
    let mut driver = Driver {
        dispatcher: Dispatcher::new(order.config.clone(), order.quota),
        plan: PlanRows::open(order.folder, order.canary)?,
        rows: Rows::open(order.folder)?,
        held: HashMap::new(),
        adopted: HashMap::new(),
        skew: Skew::new(order.max_skew_ms),
        drift: Drift::default(),
        sends: Meter::new(order.quota_window),
        done: Done::default(),
        recovery: order.recovery,
        ledger: order.ledger,
        members: order.members,
        tools: order.tools,
        gateway: order.gateway,
        began_ns: order.began_ns,
        clock: order.clock,
        progress: order.progress,
        trail: Trail::new(order.progress),
        writer,
        pool,
        notes,
    };
    if let Some(stop) = driver.recovery.stopping().cloned() {
        driver.dispatcher.handle(Event::Stop(stop), driver.now());
    }
    driver.run(inbox, order.signals).await?;
    driver.done.stop = driver.dispatcher.stopped().cloned();
    driver.done.quota_peak = driver.sends.peak();
    driver.done.clock_off_ms = driver.drift.off_by_ms();
    Ok(driver.done)
}

struct Driver<'a> {
    dispatcher: Dispatcher,
    plan: PlanRows,
    rows: Rows,
    held: HashMap<u64, Held>,
    /// Rows of the window whose revision an earlier run made durable.
    adopted: HashMap<u64, (BillId, u64)>,
    skew: Skew,
    drift: Drift,
    sends: Meter,
    done: Done,
    recovery: Recovery,
    ledger: &'a Ledger,
    members: &'a Members,
    tools: Tools,
    gateway: Gateway,
    began_ns: i64,
    clock: RunClock,
    progress: &'a Progress,
    trail: Trail<'a>,
    writer: Writer,
    pool: Pool,
    notes: UnboundedSender<Note>,
}

impl Driver<'_> {
    async fn run(&mut self, mut inbox: UnboundedReceiver<Note>, signals: &Signals) -> Result<(), Fault> {
        let mut signalled = false;
        loop {
            // Asked each time: with enough to do the wait below may not come for a while.
            if !signalled && signals.raised() {
                signalled = true;
                self.dispatcher.handle(Event::Stop(Stop::Signal), self.now());
            }
            let wait = match self.dispatcher.poll(self.now()) {
                Action::Done => return Ok(()),
                Action::Sleep(until) => Some(until.since(self.now())),
                Action::Park => None,
                action => {
                    let is_reading = matches!(action, Action::Read(_));
                    self.act(action)?;
                    if is_reading {
                        // Many readings may follow one another where few rows have their turn: exchanges go on between.
                        tokio::task::yield_now().await;
                        self.take_all(&mut inbox)?;
                    }
                    continue;
                }
            };
            let (in_flight, _, pace) = self.dispatcher.load();
            self.progress.in_flight.store(in_flight as u64, Ordering::Relaxed);
            self.progress.pace_percent.store((pace * 100.0) as u64, Ordering::Relaxed);
            let timer = async {
                match wait {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                note = inbox.recv() => self.take(note.expect("the driver itself holds a sender"))?,
                () = timer => {}
                () = signals.wait(), if !signalled => {}
            }
            self.take_all(&mut inbox)?;
        }
    }

    fn take_all(&mut self, inbox: &mut UnboundedReceiver<Note>) -> Result<(), Fault> {
        while let Ok(note) = inbox.try_recv() {
            self.take(note)?;
        }
        Ok(())
    }

    fn now(&self) -> Tick {
        Tick::ZERO + Duration::from_nanos((boot::clock_ns() - self.began_ns) as u64)
    }

    // ---- what the dispatcher wants

    fn act(&mut self, action: Action) -> Result<(), Fault> {
        match action {
            Action::Read(rows) => self.read(rows),
            Action::Intend { id, drop } => self.intend(id, drop),
            Action::Send { id } => self.send(id),
            Action::Attempted { id } => {
                self.attempted(id);
                Ok(())
            }
            Action::Settle(settlement) => {
                self.settle(&settlement);
                Ok(())
            }
            Action::Sleep(_) | Action::Park | Action::Done => unreachable!("the loop takes these"),
        }
    }

    fn read(&mut self, rows: usize) -> Result<(), Fault> {
        let (records, end) = self.plan.next(rows)?;
        let mut batch = Vec::with_capacity(records.len());
        for record in records {
            let recovered = self.recovery.of(record.id)?;
            if let Some(outcome) = recovered.as_ref().and_then(|recovered| recovered.settled) {
                self.progress.settled(outcome); // by the part that was interrupted
            }
            if let Some(dropped) = record.adopted {
                self.adopted.insert(record.id, (record.bill, dropped));
            }
            batch.push(PlanRow {
                id: record.id,
                card: record.card,
                members: record.members,
                drop: record.drop,
                cover: record.cover,
                absorbed: record.absorbed,
                gates: record.gates,
                watched: record.watched,
                doubt: record.doubt,
                recovered,
            });
        }
        let now = self.now();
        self.dispatcher.handle(Event::Rows(batch), now);
        match end {
            None => {}
            Some(PlanEnd::OfAll) => self.dispatcher.handle(Event::EndOfPlan, now),
            Some(PlanEnd::OfCanary) => self.dispatcher.handle(Event::EndOfCanary, now),
        }
        Ok(())
    }

    /// Loads a row with the bytes of its revision: those that are durable already, or new ones.
    fn hold(&mut self, id: u64, drop: u64) -> Result<(), Fault> {
        let delta = match self.rows.get(id)?.content {
            Content::Delta(delta) => *delta,
            Content::Reject(_) => unreachable!("rejected rows are not in the plan"),
        };
        let (body, first_sent_ms) = match self.recovery.take(id, drop) {
            Some((body, first)) => (Some(body), first),
            None => (None, None),
        };
        let adopted = self.adopted.remove(&id);
        let stored = match (body, adopted) {
            (Some(body), _) => Some(body),
            (None, Some((bill, dropped))) if dropped == drop => self.ledger.bill(bill)?.and_then(|bill| bill.body),
            (None, _) => None,
        };
        let body = stored.unwrap_or_else(|| self.tools.dialect.body(&delta, self.drop_of(&delta, drop)));
        let held = Held {
            body: body.into(),
            sent_ms: 0,
            first_sent_ms,
            latency: Duration::ZERO,
            line: None,
            last: None,
            personal: Personal::of(&delta),
        };
        self.trail.hold(id, &delta);
        self.held.insert(id, held);
        Ok(())
    }

    /// The run's member bits as bits of this row's own members.
    fn drop_of(&self, delta: &Delta, drop: u64) -> u64 {
        let is_dropped = |name: &str| self.members.mask(std::iter::once(name)) & drop != 0;
        let dropped = delta.members.iter().enumerate().filter(|(_, member)| is_dropped(&member.name));
        dropped.fold(0, |mask, (bit, _)| mask | 1 << bit)
    }

    fn intend(&mut self, id: u64, drop: u64) -> Result<(), Fault> {
        self.hold(id, drop)?;
        let body = self.held[&id].body.to_vec();
        self.writer.append(Record::Intent(Intent { row: id, drop, body }));
        Ok(())
    }

    fn send(&mut self, id: u64) -> Result<(), Fault> {
        if !self.held.contains_key(&id) {
            // Its intent was durable before this process began.
            let drop = self.recovery.drop_of(id);
            self.hold(id, drop)?;
        }
        let now_ms = self.clock.now_ms();
        self.sends.note(self.now());
        self.progress.quota_peak.store(self.sends.peak(), Ordering::Relaxed);
        self.progress.calls.fetch_add(1, Ordering::Relaxed);
        let held = self.held.get_mut(&id).expect("just held");
        if held.last.is_some() {
            self.progress.retries.fetch_add(1, Ordering::Relaxed);
        }
        held.sent_ms = now_ms;
        held.first_sent_ms.get_or_insert(now_ms);
        self.trail.begin(id, now_ms);
        self.pool.sign(id, Arc::clone(&held.body), wall_ms());
        Ok(())
    }

    fn attempted(&mut self, id: u64) {
        let held = &self.held[&id];
        self.writer.append(Record::Attempt(Attempt {
            row: id,
            sent_ms: held.sent_ms,
            latency_us: held.latency.as_micros() as u64,
            reading: held.last.clone().expect("an attempt has a reading"),
        }));
    }

    fn settle(&mut self, settlement: &Settlement) {
        let held = self.held.remove(&settlement.id);
        self.trail.forget(settlement.id);
        self.adopted.remove(&settlement.id);
        self.progress.settled(settlement.outcome);
        let settled = self.settled(settlement, held.as_ref());
        self.writer.append(Record::Settled(settlement.id, Box::new(settled)));
    }

    fn settled(&self, settlement: &Settlement, held: Option<&Held>) -> Settled {
        let reading = held.and_then(|held| held.last.clone());
        let mut settled = Settled {
            attempts: settlement.attempts,
            in_doubt: settlement.in_doubt,
            trimmed: self.members.names(settlement.drop),
            first_sent_ms: held.and_then(|held| held.first_sent_ms).filter(|_| settlement.attempts > 0),
            latency_us: held.filter(|held| held.last.is_some()).map(|held| held.latency.as_micros() as u64),
            ..Settled::local(settlement.outcome, "", "", self.clock.now_ms())
        };
        if let Some(reading) = reading {
            settled.code = reading.code;
            settled.status = reading.status;
            settled.message = reading.message;
            settled.trace_id = reading.trace_id;
            settled.http_status = reading.http_status;
            settled.result_at = reading.result_at;
        }
        super::words::explain(&mut settled, &settlement.cause);
        settled.carried_by = match settlement.cause {
            Cause::CarriedBy(carrier) => Some(carrier),
            Cause::OvertakenBy(giver) => giver,
            _ => None,
        };
        settled
    }

    // ---- what comes back

    fn take(&mut self, note: Note) -> Result<(), Fault> {
        match note {
            Note::Acks(acks) => {
                let now = self.now();
                for ack in acks? {
                    let event = match ack {
                        Ack::Intent(id) => Event::Durable(id),
                        Ack::Settled(id) => Event::Committed(id),
                    };
                    self.dispatcher.handle(event, now);
                }
            }
            Note::Product(Product::Request(id, request)) => self.exchange(id, *request),
            Note::Exchanged(id, latency, reply, line) => {
                let held = self.held.get_mut(&id).expect("a row in flight");
                (held.latency, held.line) = (latency, Some(line));
                self.compare_clocks(&reply, latency);
                self.pool.read(id, reply);
            }
            Note::Product(Product::Reading(id, reading)) => self.heard(id, *reading, true),
            Note::Failed(id, latency, reading) => {
                self.held.get_mut(&id).expect("a row in flight").latency = latency;
                self.heard(id, *reading, false);
            }
        }
        Ok(())
    }

    fn exchange(&self, id: u64, request: crate::wire::Request) {
        let (gateway, notes) = (self.gateway.clone(), self.notes.clone());
        tokio::spawn(async move {
            let out = Instant::now();
            let note = match gateway.exchange(request).await {
                Ok((reply, line)) => Note::Exchanged(id, out.elapsed(), reply, line),
                Err(reading) => Note::Failed(id, out.elapsed(), Box::new(reading)),
            };
            let _ = notes.send(note); // the loop has ended: a storage fault, nobody waits for it
        });
    }

    fn compare_clocks(&mut self, reply: &Reply, latency: Duration) {
        let theirs = retry_after::date_ms(&reply.headers);
        if theirs.is_some_and(|theirs| self.drift.hear(theirs, wall_ms(), latency))
            && let Some(off) = self.drift.off_by_ms()
        {
            tracing::warn!("{}", super::words::clock_is_off(off));
        }
    }

    fn heard(&mut self, id: u64, mut reading: Reading, answered: bool) {
        let held = self.held.get_mut(&id).expect("a row in flight");
        held.personal.hide_in(&mut reading);
        let is_proved = reading.verified == Some(true);
        let is_dated = is_proved && self.tools.dialect.signs_times();
        let is_skewed = is_dated && !self.skew.believes(reading.result_ms, self.clock.now_ms());
        if is_skewed {
            reading.verdict = Verdict::InDoubt;
            let found = if reading.result_ms.is_some() { "is too far from ours" } else { "cannot be read" };
            reading.message = format!("response-time {:?} {found}: {}", reading.result_at, reading.message);
            "SKEWED".clone_into(&mut reading.code);
        }
        // Behind a reply that proves nothing the real one may come, and be taken for the next call's.
        if let Some(line) = held.line.take().filter(|_| is_proved && !is_skewed) {
            self.gateway.keep(line);
        }
        if !reading.listed {
            self.done.unlisted.count(&reading.code);
        }
        self.count(reading.verdict, self.held[&id].latency);
        self.trail.heard(id, &reading, self.held[&id].latency);
        let event = Event::Reply {
            id,
            verdict: reading.verdict,
            answered,
            retry_after: reading.retry_after_ms.map(Duration::from_millis),
            verified: is_proved && !is_skewed,
            configuration: reading.configuration.then(|| reading.code.clone()),
            random: random(),
        };
        self.held.get_mut(&id).expect("a row in flight").last = Some(reading);
        let now = self.now();
        self.dispatcher.handle(event, now);
    }

    fn count(&self, verdict: Verdict, latency: Duration) {
        match verdict {
            Verdict::Throttled => self.progress.throttled.fetch_add(1, Ordering::Relaxed),
            Verdict::InDoubt | Verdict::InDoubtFinal => self.progress.in_doubt.fetch_add(1, Ordering::Relaxed),
            _ => 0,
        };
        if verdict != Verdict::NotSent {
            self.progress.latencies.add(latency);
        }
    }
}
