//! Laws of calls: order, quota, bytes, stops.

use std::time::Duration;

use passync::core::halt::Stop;
use passync::model::{Digest, Outcome, Place, Tick, Verdict};

use super::{Auditor, Event, Sent, Told};

impl Auditor {
    // ---- what the dispatcher asks for

    /// A revision is to become durable.
    pub fn intend(&mut self, now: Tick, id: u64, drop: u64) {
        self.tell(now, id, Event::Intend { drop });
        let row = &self.rows[&id];
        assert!(!self.stopping, "row {id} starts although the run stops");
        assert_eq!(row.settled, None, "row {id} starts after its end");
        assert_eq!(row.plan.row.members & drop, drop, "row {id} drops what it has not");
        assert_ne!(row.plan.row.members, drop, "row {id} is sent without any member");
        assert_eq!(row.plan.row.drop & !drop, 0, "row {id} sends members that are stale");
        if let Some(other) = self.intended.insert(row.card, id).filter(|other| *other != id) {
            panic!("law 5: the intent of row {id} comes before the outcome of row {other} of its card");
        }
        self.check_hold(id);
        self.check_canary(id);
        self.take_slot(id);
        self.live.entry(id).or_default().intended = true;
    }

    fn check_hold(&self, id: u64) {
        if let Some(by) = self.held.get(&self.rows[&id].card) {
            panic!("row {id} goes on although row {by} of its card is unknown or unsent");
        }
    }

    /// Rows behind the canary wait until all of it ended well, and for good where they are not to follow.
    fn check_canary(&mut self, id: u64) {
        if self.canary.is_empty() || self.canary.contains(&self.rows[&id].card) {
            return;
        }
        let (_, continues) = self.settings.as_ref().and_then(|settings| settings.canary).expect("there is a canary");
        assert!(continues, "row {id} is sent behind a canary that nobody follows");
        let canarys = self.rows.iter().filter(|(_, row)| self.canary.contains(&row.card));
        for (other, row) in canarys {
            let is_well = row.settled_durable && row.settled.is_some_and(|outcome| !outcome.is_failure());
            assert!(is_well, "row {id} is sent, and row {other} of the canary ended {:?}", row.settled);
        }
        self.coverage.hit("a canary that others follow");
    }

    fn take_slot(&mut self, id: u64) {
        let concurrency = self.settings.as_ref().expect("a process lives").concurrency;
        self.open.insert(id);
        let open = self.open.len();
        assert!(open <= concurrency, "law 3: a kill would send {open} rows again, not {concurrency}");
    }

    /// A request leaves.
    pub fn send(&mut self, now: Tick, sent: &Sent, drop: u64) {
        let id = sent.row;
        self.tell(now, id, Event::Send { carried: sent.carried });
        let settings = self.settings.clone().expect("a process lives");
        let row = &self.rows[&id];
        assert!(!self.stopping, "a send although the run stops");
        if let Some(deadline) = settings.deadline {
            assert!(now.since(self.began) < deadline, "a send after the deadline");
        }
        assert_eq!(row.durable, Some(drop), "law 5: row {id} is sent before its intent is durable");
        assert_eq!(row.settled, None, "row {id} is sent after its end");
        self.check_hold(id);
        self.take_slot(id);
        if let Some(other) = self.under_way.insert(sent.card, id) {
            panic!("law 4: row {id} is sent while row {other} of its card is under way");
        }
        if self.cut_off.remove(&sent.card) {
            let waited = now.since(self.began);
            assert!(waited >= self.timeout, "law 4: a card in doubt is called {waited:?} after the restart");
        }
        self.check_forward(sent);
        self.check_walk(sent);
        let row = self.rows.get_mut(&id).expect("planned");
        let bill = self.bills.get_mut(&sent.bill).expect("planned");
        assert!(!bill.over, "law 3: row {id} is sent although its bill is settled for good");
        let body = bill.bodies.entry((row.content, drop)).or_insert_with(|| sent.body.clone());
        assert_eq!(*body, sent.body, "law 6: other bytes for the same revision");
        bill.possible |= sent.carried;
        self.given.insert((sent.card, sent.place, sent.bill));
        row.sends += 1;
        let live = self.live.entry(id).or_default();
        live.attempts += 1;
        live.sent_drop = drop;
        let (before, most) = (live.recovered.0, settings.policy.attempts_max);
        assert!(before + live.attempts <= most.max(before + 1), "row {id} costs {} attempts", before + live.attempts);
        if !self.strict {
            self.count(now, "sends");
        }
    }

    /// Law 4: nothing older than what the card was given, or may have been given.
    fn check_forward(&self, sent: &Sent) {
        let newest = (sent.card, Place { occurred_ms: i64::MAX, ..Place::default() }, Digest::default());
        for (_, place, digest) in self.given.range((sent.card, sent.place, Digest([u8::MAX; 16]))..newest) {
            let newer = &self.bills[digest];
            let given = newer.possible | newer.confirmed;
            let clash = if newer.closing { given } else { given & sent.carried };
            assert!(clash == 0, "law 4: row {} ({:?}) is older than {digest} ({place:?})", sent.row, sent.place);
        }
    }

    /// Rows that wait for none and are absorbed by none are sent in the order of their places.
    fn check_walk(&mut self, sent: &Sent) {
        let row = &self.rows[&sent.row];
        if row.sends > 0 || !row.plan.row.gates.is_empty() || row.plan.row.absorbed {
            return;
        }
        if let Some(before) = self.walked.insert(sent.card, sent.place) {
            assert!(before <= sent.place, "law 4: {:?} is sent after {before:?}", sent.place);
        }
    }

    /// The last attempt goes on record.
    pub fn attempted(&mut self, now: Tick, id: u64) {
        self.tell(now, id, Event::Attempted);
        let live = &self.live[&id];
        let told = live.told.as_ref().expect("an attempt has a reading");
        assert!(matches!(told.verdict, Verdict::InDoubt | Verdict::Throttled), "{told:?} is retried");
        if told.verdict == Verdict::InDoubt {
            self.budget_spent += 1;
        }
        let budget = self.settings.as_ref().expect("a process lives").budget;
        assert!(self.budget_spent <= budget, "more in-doubt retries than the budget of {budget}");
    }

    // ---- what comes back

    /// A request reached the gateway.
    pub fn arrived(&mut self, now: Tick, sent: &Sent, applied: bool, after_our_end: bool) {
        self.trace.borrow_mut().row(now, sent.card, sent.row, Event::Arrived { applied, after_our_end });
        self.coverage.hit_if("an arrival after our end", after_our_end);
        if self.strict {
            self.count(now, "arrivals");
        }
        if !applied {
            return;
        }
        self.bills.get_mut(&sent.bill).expect("sent").applied = true;
        for bit in (0..u64::BITS).map(|bit| 1 << bit).filter(|bit| sent.carried & bit != 0) {
            let shown = self.shown.entry((sent.card, bit)).or_default();
            assert!(*shown <= sent.place, "law 4: the card goes back from {shown:?} to {:?}", sent.place);
            *shown = sent.place;
        }
    }

    /// Law 7.
    fn count(&mut self, now: Tick, what: &str) {
        while self.arrivals.front().is_some_and(|first| now.since(*first) >= self.window) {
            self.arrivals.pop_front();
        }
        self.arrivals.push_back(now);
        let inside = self.arrivals.len();
        assert!(inside <= self.quota, "law 7: {inside} {what} in one window, the quota is {}", self.quota);
    }

    /// An exchange ended on our side.
    pub fn told(&mut self, now: Tick, sent: &Sent, told: &Told) {
        self.tell(now, sent.row, Event::Told(told.clone()));
        self.coverage.verdict(told.verdict);
        assert_eq!(self.under_way.remove(&sent.card), Some(sent.row));
        let live = self.live.get_mut(&sent.row).expect("sent");
        live.told = Some(told.clone());
        let bill = self.bills.get_mut(&sent.bill).expect("sent");
        match told.verdict {
            Verdict::Applied => bill.over = true,
            Verdict::InDoubt | Verdict::InDoubtFinal => {
                live.doubts += 1;
                bill.doubted = true;
            }
            Verdict::Refused | Verdict::Throttled | Verdict::NotSent | Verdict::Misconfigured => {}
        }
        if !bill.doubted && told.verdict != Verdict::Applied && live.recovered.1 == 0 {
            bill.possible = 0; // no attempt of it can have been applied
        }
        if told.verdict == Verdict::NotSent {
            live.attempts -= 1;
            self.rows.get_mut(&sent.row).expect("sent").sends -= 1;
        }
        if told.verdict == Verdict::NotSent || told.verdict.in_doubt() && !told.verified {
            self.unheard_since.get_or_insert(now);
        } else {
            self.unheard_since = None;
        }
        if told.verified {
            self.disowned.clear();
            self.must_stop |= told.verdict == Verdict::Misconfigured;
        } else if told.configuration.is_some() {
            self.disowned.insert(sent.card);
            self.must_stop |= self.disowned.len() >= 5;
        }
    }

    /// Compares what has to stop the run with what does.
    pub fn check_stop(&mut self, now: Tick, stop: Option<&Stop>) {
        let Some(stop) = stop else { return assert!(!self.must_stop, "the run goes on and must stop") };
        if self.stopping {
            return;
        }
        self.stage(now, format!("stops: {stop:?}"));
        self.coverage.stop(stop);
        self.stopping = true;
        let settings = self.settings.as_ref().expect("a process lives");
        match stop {
            // The ends that `Errors` counts are on their way: see `done`.
            Stop::Signal | Stop::Errors => {}
            Stop::Deadline => {
                let deadline = settings.deadline.expect("no deadline was set");
                assert!(now.since(self.began) >= deadline, "the deadline is not there yet");
            }
            Stop::Misconfigured(_) => assert!(self.must_stop, "stopped without a reason: {stop:?}"),
            Stop::Unreachable => {
                let since = self.unheard_since.expect("the gateway was heard");
                assert!(now.since(since) >= Duration::from_secs(120), "given up after {:?}", now.since(since));
            }
            Stop::Canary | Stop::CanaryFailed => {
                let (_, continues) = settings.canary.expect("there is no canary");
                assert_eq!(continues, *stop == Stop::CanaryFailed, "{stop:?}");
                let canarys = || self.rows.values().filter(|row| self.canary.contains(&row.card));
                assert!(canarys().all(|row| row.settled_durable), "stopped before the canary is over");
                assert!(self.rows.len() > canarys().count(), "stopped, and there are no others");
                let has_failed = canarys().any(|row| row.settled.is_some_and(Outcome::is_failure));
                assert!(has_failed || *stop == Stop::Canary, "stopped, and all of the canary ended well");
            }
            Stop::TooMuchDoubt => panic!("so many cards are not in this world"),
        }
    }
}
