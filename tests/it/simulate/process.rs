//! One process of a run, as `run::apply` drives the dispatcher: poll, do, tell. It may die at any record.

use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use passync::core::canary::{PlanEnd, Turns};
use passync::core::dispatcher::{Action, Cause, Config, Dispatcher, Event, PlanRow, Recovered, Settlement};
use passync::core::halt::Stop;
use passync::core::quota::{Predecessor, Quota};
use passync::core::skew::Skew;
use passync::model::{Tick, Verdict};

use super::ledger::{Facts, Fate, Ledger, Record, Run, recover};
use super::network::{Arrival, Clock, Network, Sent, Tide, Told, call};
use super::world::World;
use super::{auditor::Auditor, dice::Dice};

/// More polls than this without the clock going on: the dispatcher is going round in circles.
const POLLS: u32 = 100_000;

/// All that outlives a process.
pub struct Stage {
    pub world: World,
    pub dice: Dice,
    pub clock: Clock,
    pub network: Network,
    pub ledger: Ledger,
    pub auditor: Auditor,
    /// Counts processes.
    pub processes: u64,
    /// Counts starts of the machine.
    pub boots: u64,
    /// Who sent last.
    pub stamp: Option<Stamp>,
}

/// What the ledger keeps of whoever sent last.
#[derive(Clone, Copy, Debug)]
pub struct Stamp {
    busy: bool,
    boot: u64,
    ended: Tick,
    /// When the live process has waited for its own rows in doubt, too.
    all_until: Tick,
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    Done(Option<Stop>),
    CutOff,
}

/// When a process dies.
#[derive(Clone, Copy, Debug)]
pub enum Death {
    Never,
    /// When so many records of it are durable.
    AfterRecords(u64),
    /// At a commit of several records, the so-manieth of them, when so many of its records are durable.
    AmidCommit(u64, usize),
    At(Tick),
}

/// A row in the driver's memory.
struct Held {
    drop: u64,
    body: Vec<u8>,
    doubt: bool,
}

/// A process.
pub struct Process<'a> {
    stage: &'a mut Stage,
    run: &'a mut Run,
    name: u64,
    began: Tick,
    dispatcher: Dispatcher,
    skew: Skew,
    /// Our wall clock when the process began: what it is set to later changes nothing here.
    began_ms: i64,
    held: HashMap<u64, Held>,
    /// What the stored revisions of adopted rows leave out.
    adopted: HashMap<u64, u64>,
    /// Records that are not durable yet, and how many of them the commit under way takes.
    pending: VecDeque<Record>,
    committing: usize,
    committed: u64,
    /// Commits of several records.
    wide_commits: u64,
    death: Death,
    /// The next line of the plan to be read.
    read: usize,
    turns: Turns,
    polls: u32,
}

impl<'a> Process<'a> {
    /// Takes a run up where the journal ends.
    pub fn begin(stage: &'a mut Stage, run: &'a mut Run, death: Death) -> Process<'a> {
        stage.processes += 1;
        let (began, name) = (stage.clock.now(), stage.processes);
        let recovered = recover(run.since_plan());
        let in_doubt = recovered.values().filter(|row| row.settled.is_none()).count();
        let has_doubt = in_doubt > 0;
        // Without a record nobody knows whether a process of this run was the last to call.
        let wait = stage.begin((!run.since_plan().is_empty()).then_some(in_doubt));
        let (settings, world) = (&run.settings, &stage.world);
        let config = Config {
            concurrency: settings.concurrency,
            policy: settings.policy.clone(),
            budget: settings.budget,
            hold: settings.hold,
            error_limit: settings.error_limit,
            held_max: settings.held_max,
            cut_off: recovered.values().filter(|row| row.settled.is_none()).count(),
            doubt_not_before: if has_doubt { Tick::ZERO + world.timeout } else { Tick::ZERO },
            deadline: settings.deadline.map_or(Tick::NEVER, |after| Tick::ZERO + after),
            canary_continues: settings.canary.is_some_and(|(_, continues)| continues),
        };
        let quota = Quota::new(world.quota, world.window, world.strict, Tick::ZERO + wait);
        let (skew, began_ms) = (Skew::new(world.clocks.max_skew_ms), world.clocks.ours_ms(began));
        let open: Vec<(u64, u32, u32)> = recovered
            .iter()
            .filter(|(_, row)| row.settled.is_none())
            .map(|(id, row)| (*id, row.attempts, row.doubt))
            .collect();
        stage.auditor.stage(began, format!("run {}, process {name}, dies: {death:?}, {settings:?}", run.ordinal));
        stage.auditor.process(began, settings, &open);
        if let Death::At(at) = death {
            stage.clock.book(at, name, Tide::Crash);
        }
        if let Some(after) = settings.signal {
            stage.clock.book(began + after, name, Tide::Signal);
        }
        Process {
            dispatcher: Dispatcher::new(config, quota),
            skew,
            began_ms,
            stage,
            name,
            began,
            adopted: run.survey.plan.iter().filter_map(|row| Some((row.row.id, row.adopted?))).collect(),
            held: HashMap::new(),
            pending: VecDeque::new(),
            committing: 0,
            committed: 0,
            wide_commits: 0,
            death,
            read: 0,
            turns: Turns::new(run.settings.canary.map(|(cards, _)| cards)),
            polls: 0,
            run,
        }
    }

    /// Drives the dispatcher until it is done, or the process dies.
    pub fn live(mut self) -> End {
        loop {
            let until = match self.poll() {
                Action::Done => {
                    assert_eq!(self.poll(), Action::Done, "an action after Done");
                    let stop = self.dispatcher.stopped().cloned();
                    self.stage.auditor.done(self.now(), stop.as_ref());
                    self.stage.end();
                    return End::Done(stop);
                }
                Action::Sleep(until) if until < Tick::NEVER => self.began + until.since(Tick::ZERO),
                Action::Sleep(_) | Action::Park => {
                    assert!(self.stage.clock.concerns(self.name), "parked, and nothing will ever happen");
                    Tick::NEVER
                }
                action => {
                    self.act(action);
                    continue;
                }
            };
            if until > self.now() {
                self.polls = 0;
            }
            if let Some((process, tide)) = self.stage.clock.next(until)
                && self.take(process, tide)
            {
                let now = self.now();
                self.stage.auditor.cut(now);
                self.stage.auditor.forget();
                self.stage.network.cut(self.name, now);
                return End::CutOff;
            }
        }
    }

    fn now(&self) -> Tick {
        self.stage.clock.now()
    }

    /// The process's own time.
    fn tick(&self) -> Tick {
        Tick::ZERO + self.now().since(self.began)
    }

    fn poll(&mut self) -> Action {
        self.polls += 1;
        assert!(self.polls < POLLS, "the dispatcher goes round in circles");
        let action = self.dispatcher.poll(self.tick());
        self.check_stop();
        action
    }

    fn handle(&mut self, event: Event) {
        let now = self.tick();
        self.dispatcher.handle(event, now);
        self.check_stop();
    }

    fn check_stop(&mut self) {
        self.stage.auditor.check_stop(self.stage.clock.now(), self.dispatcher.stopped());
    }

    fn facts(&self, id: u64) -> &Facts {
        match &self.run.survey.fates[id as usize] {
            Fate::Send(facts) => facts,
            Fate::End(..) | Fate::Keep(..) => panic!("row {id} was not planned"),
        }
    }

    // ---- what the dispatcher wants

    fn act(&mut self, action: Action) {
        let now = self.now();
        match action {
            Action::Read(_) if self.run.settings.read_max > 0 => {
                let at = now + self.stage.dice.micros(1..=self.run.settings.read_max);
                self.stage.clock.book(at, self.name, Tide::Rows);
            }
            Action::Read(_) => self.read(),
            Action::Intend { id, drop } => {
                self.stage.auditor.intend(now, id, drop);
                let body = self.body(id, drop);
                self.held.insert(id, Held { drop, body: body.clone(), doubt: false });
                self.append(Record::Intent { row: id, drop, body });
            }
            Action::Send { id } => self.send(id),
            Action::Attempted { id } => {
                self.stage.auditor.attempted(now, id);
                let doubt = self.held[&id].doubt;
                self.append(Record::Attempt { row: id, doubt });
            }
            Action::Settle(end) => self.settle(&end),
            Action::Sleep(_) | Action::Park | Action::Done => unreachable!("the loop takes these"),
        }
    }

    fn read(&mut self) {
        let recovered = recover(self.run.since_plan());
        let end = (self.read + self.run.settings.chunk).min(self.run.survey.plan.len());
        let mut rows = Vec::new();
        for planning in &self.run.survey.plan[self.read..end] {
            if self.turns.takes(planning.row.card) {
                let row = PlanRow { recovered: recovered.get(&planning.row.id).copied(), ..planning.row.clone() };
                let case = match &row.recovered {
                    Some(Recovered { settled: Some(_), .. }) if row.absorbed => "an end taken over of an absorbed row",
                    Some(Recovered { settled: Some(_), .. }) => "an end taken over",
                    Some(_) => "a row taken up",
                    None => "a row begun",
                };
                self.stage.auditor.coverage.hit(case);
                rows.push(row);
            }
        }
        self.read = end;
        self.handle(Event::Rows(rows));
        if self.read == self.run.survey.plan.len() {
            match self.turns.end() {
                PlanEnd::OfAll => self.handle(Event::EndOfPlan),
                PlanEnd::OfCanary => {
                    self.read = 0;
                    self.handle(Event::EndOfCanary);
                }
            }
        }
    }

    /// The bytes of a revision: those that an earlier run made durable, or new ones.
    fn body(&self, id: u64, drop: u64) -> Vec<u8> {
        let facts = self.facts(id);
        let is_stored = self.adopted.get(&id) == Some(&drop);
        let known = self.stage.ledger.bills.get(&facts.bill).filter(|_| is_stored);
        known.and_then(|bill| bill.body.clone()).unwrap_or_else(|| {
            let row = &facts.row;
            let members: Vec<String> =
                members(facts, drop).into_iter().map(|(name, value)| format!("{name}={value}")).collect();
            // What only shapes bytes may change from run to run; a frozen body keeps its own.
            format!("{} {:?} {} {} run {}", row.card, row.bill, row.closing, members.join(" "), self.run.ordinal).into()
        })
    }

    fn send(&mut self, id: u64) {
        if !self.held.contains_key(&id) {
            let intent = self.run.since_plan().iter().rev().find_map(|record| match record {
                Record::Intent { row, drop, body } if *row == id => Some((*drop, body.clone())),
                _ => None,
            });
            let (drop, body) = intent.expect("law 5: a send without an intent");
            self.held.insert(id, Held { drop, body, doubt: false });
        }
        let (facts, held) = (self.facts(id), &self.held[&id]);
        let row = &facts.row;
        let sent = Sent {
            process: self.name,
            row: id,
            card: row.card,
            bill: facts.bill,
            place: facts.place,
            carried: row.members & !held.drop,
            body: held.body.clone(),
            closes: self.now() + self.stage.world.timeout,
            allow_stale: self.run.settings.allow_stale,
            call: call(row.card, row.bill, row.closing, members(facts, held.drop), &held.body),
        };
        let (now, drop) = (self.now(), held.drop);
        let stage = &mut *self.stage;
        stage.auditor.send(now, &sent, drop);
        stage.network.send(sent, &stage.world, &mut stage.clock, &mut stage.dice);
    }

    fn settle(&mut self, end: &Settlement) {
        let now = self.now();
        self.stage.auditor.settle(now, end);
        self.held.remove(&end.id);
        let (row, outcome, doubt, drop) = (end.id, end.outcome, end.in_doubt, end.drop);
        let by_stop = matches!(end.cause, Cause::Stopped(_));
        self.append(Record::Settled { row, outcome, doubt, drop, by_stop });
    }

    fn append(&mut self, record: Record) {
        self.pending.push_back(record);
        if self.committing == 0 {
            self.commit();
        }
    }

    fn commit(&mut self) {
        self.committing = self.pending.len();
        let at = self.now() + self.stage.dice.micros(1..=self.stage.world.commit_max);
        self.stage.clock.book(at, self.name, Tide::Commit);
    }

    // ---- what comes

    /// Whether it kills the process.
    fn take(&mut self, process: u64, tide: Tide) -> bool {
        if let Tide::Arrive(sent) = &tide {
            let stage = &mut *self.stage;
            stage.arrive(sent);
            return false;
        }
        if process != self.name {
            return false;
        }
        match tide {
            Tide::Arrive(_) => unreachable!("just taken"),
            Tide::End(sent, exchange, told) => self.told(&sent, exchange, told),
            Tide::Commit => return self.committed(),
            Tide::Rows => self.read(),
            Tide::Signal => self.handle(Event::Stop(Stop::Signal)),
            Tide::Crash => return true,
        }
        false
    }

    fn told(&mut self, sent: &Sent, exchange: Option<u64>, mut told: Told) {
        let now = self.now();
        self.stage.network.end(exchange, now, sent, &told);
        if told.verified
            && let Some(theirs) = told.result_ms
            && !self.skew.believes(Some(theirs), self.began_ms + self.tick().since(Tick::ZERO).as_millis() as i64)
        {
            (told.verdict, told.verified, told.skewed) = (Verdict::InDoubt, false, true);
        }
        self.stage.auditor.told(now, sent, &told);
        self.stage.auditor.pace(self.dispatcher.load().2);
        self.held.get_mut(&sent.row).expect("a row in flight").doubt = told.verdict.in_doubt();
        let random = self.stage.dice.word();
        self.handle(Event::Reply {
            id: sent.row,
            verdict: told.verdict,
            answered: told.answered,
            retry_after: told.retry_after,
            verified: told.verified,
            configuration: told.configuration,
            random,
        });
    }

    /// A commit ended; whether the process dies in it.
    fn committed(&mut self) -> bool {
        let now = self.now();
        let mut events = Vec::new();
        let count = std::mem::take(&mut self.committing);
        self.wide_commits += u64::from(count > 1);
        for (at, record) in self.pending.drain(..count).enumerate() {
            let is_last = match self.death {
                Death::Never | Death::At(_) => false,
                Death::AfterRecords(last) => self.committed == last,
                Death::AmidCommit(last, durable) => at == durable && count > 1 && self.wide_commits > last,
            };
            if is_last {
                return true;
            }
            self.committed += 1;
            match &record {
                Record::Intent { row, drop, .. } => {
                    self.stage.auditor.intent_durable(now, *row, *drop);
                    events.push(Event::Durable(*row));
                }
                Record::Attempt { .. } => {}
                Record::Settled { row, outcome, drop, .. } => {
                    self.stage.auditor.settled_durable(now, *row, *outcome, *drop);
                    events.push(Event::Committed(*row));
                }
            }
            self.run.journal.push(record);
        }
        if !self.pending.is_empty() {
            self.commit();
        }
        for event in events {
            self.handle(event);
        }
        false
    }
}

impl Stage {
    /// A process begins: how long it has to wait for what others may have under way.
    fn begin(&mut self, in_doubt: Option<usize>) -> Duration {
        let now = self.clock.now();
        let predecessor = self.stamp.map(|stamp| Predecessor {
            busy: stamp.busy,
            ended_ns: (stamp.boot == self.boots).then(|| now.0 as i64 - stamp.ended.0 as i64),
        });
        if let Some(known) = predecessor {
            self.auditor.coverage.hit(match known {
                Predecessor { ended_ns: None, .. } => "a predecessor of another boot",
                Predecessor { busy: false, .. } => "a predecessor that ended",
                _ if in_doubt == Some(0) => "a predecessor that died over this run between its calls",
                _ if in_doubt.is_some() => "a predecessor that died over this run",
                _ => "a predecessor that died over another run",
            });
        }
        let rest = Quota::rest(self.world.window, self.world.strict);
        let wait = predecessor.map_or(Duration::ZERO, |known| known.wait(rest, self.world.timeout, in_doubt));
        let all_until = now + if in_doubt > Some(0) { wait.max(self.world.timeout) } else { wait };
        self.stamp = Some(Stamp { busy: true, boot: self.boots, ended: now + wait, all_until });
        wait
    }

    /// Its last exchange is over.
    fn end(&mut self) {
        let stamp = self.stamp.as_mut().expect("a process began");
        (stamp.busy, stamp.ended) = (false, stamp.all_until.max(self.clock.now()));
    }

    /// A request reaches the gateway.
    pub fn arrive(&mut self, sent: &Rc<Sent>) {
        let now = self.clock.now();
        match self.network.arrive(sent, &self.world, &mut self.clock, &mut self.dice) {
            Arrival::Lost => {}
            Arrival::TooLate => self.auditor.arrived(now, sent, false, true),
            Arrival::Read { applied } => self.auditor.arrived(now, sent, applied, sent.process != self.processes),
        }
    }
}

/// What a revision says, for the gateway and for its bytes.
fn members(facts: &Facts, drop: u64) -> Vec<(String, String)> {
    let row = &facts.row;
    let carried = (0..u64::BITS).filter(|bit| row.members & !drop & 1 << bit != 0);
    let value = match row.bill {
        Some(bill) => format!("B{bill}-{}", row.version),
        None => format!("{}-{:?}-{}", row.version, row.occurred, facts.origin.line),
    };
    carried.map(|bit| (format!("m{bit}"), value.clone())).collect()
}
