//! Laws of calls: order, quota, bytes, stops.

use std::time::Duration;

use passync::core::halt::{ErrorLimit, Stop};
use passync::model::{Outcome, Tick, Verdict};

use super::{Auditor, Event, Sent, Settings, Told, bits};

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
        self.coverage.hit_if("an absorbed row in the place of its refused carrier", row.plan.row.absorbed);
        let is_cut_down = row.plan.adopted.is_some_and(|stored| stored != drop);
        self.coverage.hit_if("a stored revision cut down", is_cut_down);
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
        self.coverage.hit("calls");
        self.note_send(now);
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
        if let Some(restart) = self.cut_off.remove(&sent.card) {
            let waited = now.since(restart.expect("a process lives"));
            assert!(waited >= self.timeout, "law 4: a card in doubt is called {waited:?} after the restart");
        }
        assert!(now >= self.quiet_until, "a send before the end of a Retry-After");
        self.check_schedule(now, id, &settings);
        if !settings.allow_stale {
            self.check_forward(sent);
        }
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

    /// A retry after doubt waits as long as a schedule says, at least.
    fn check_schedule(&self, now: Tick, id: u64, settings: &Settings) {
        let Some(live) = self.live.get(&id) else { return };
        let Some((at, told)) = &live.told else { return };
        if told.verdict == Verdict::InDoubt && !settings.policy.schedule.is_empty() {
            let attempts = (live.recovered.0 + live.attempts) as usize;
            let steps = &settings.policy.schedule;
            let step = steps[(attempts - 1).min(steps.len() - 1)];
            assert!(now.since(*at) >= step, "row {id} is sent again {:?} after attempt {attempts}", now.since(*at));
        }
    }

    /// Law 4: nothing older than what the card was given, or may have been given.
    fn check_forward(&self, sent: &Sent) {
        for (place, digest) in self.newer(sent.card, sent.place, sent.bill) {
            let newer = &self.bills[&digest];
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
        let (_, told) = live.told.as_ref().expect("an attempt has a reading");
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
        for bit in bits(sent.carried) {
            let shown = self.shown.entry((sent.card, bit)).or_default();
            let is_forward = *shown <= sent.place || sent.allow_stale;
            assert!(is_forward, "law 4: the card goes back from {shown:?} to {:?}", sent.place);
            *shown = sent.place;
            let newest = self.newest_shown.entry((sent.card, bit)).or_default();
            *newest = sent.place.max(*newest);
        }
        if self.bills[&sent.bill].closing {
            let newest = self.newest_closed.entry(sent.card).or_default();
            *newest = sent.place.max(*newest);
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
        self.note_reply(now, told.verdict);
        assert_eq!(self.under_way.remove(&sent.card), Some(sent.row));
        let live = self.live.get_mut(&sent.row).expect("sent");
        live.told = Some((now, told.clone()));
        if told.verdict == Verdict::Throttled
            && let Some(pause) = told.retry_after
        {
            self.coverage.hit("a Retry-After");
            self.quiet_until = self.quiet_until.max(now + pause);
        }
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
        } else if self.unheard_since.take().is_some() {
            self.coverage.hit("a gateway that is back");
        }
        self.check_clock(told);
        if told.verified {
            self.disowned.clear();
            self.must_stop |= told.verdict == Verdict::Misconfigured;
        } else if told.configuration.is_some() {
            self.disowned.insert(sent.card);
            self.must_stop |= self.disowned.len() >= 5;
        }
    }

    /// Replies of another time are no proof; of the others only those of the first instants may be taken for one, by a wrong clock.
    fn check_clock(&mut self, told: &Told) {
        self.times.extend(told.result_ms.filter(|_| told.verified || told.skewed));
        assert!(!told.is_stale || told.skewed, "law 8: a reply of another time is believed");
        let times = self.times.len();
        assert!(told.is_stale || !told.skewed || times <= 5, "a reply of the {times}. instant is not believed");
        self.coverage.hit_if("a reply of another time", told.is_stale);
        self.coverage.hit_if("a wrong clock", told.skewed && !told.is_stale);
    }

    /// Compares what has to stop the run with what does.
    pub fn check_stop(&mut self, now: Tick, stop: Option<&Stop>) {
        let Some(stop) = stop else { return assert!(!self.must_stop, "the run goes on and must stop") };
        if self.stopping {
            return;
        }
        self.stage(now, format!("stops: {stop:?}"));
        self.stopping = true;
        let settings = self.settings.as_ref().expect("a process lives");
        let case = match stop {
            Stop::Signal => "stop Signal",
            // The ends that these two count are on their way: see `done`.
            Stop::Errors if matches!(settings.error_limit, ErrorLimit::Count(_)) => "stop Errors, a number",
            Stop::Errors => "stop Errors, a share",
            Stop::TooMuchDoubt => "stop TooMuchDoubt",
            Stop::Deadline => {
                let deadline = settings.deadline.expect("no deadline was set");
                assert!(now.since(self.began) >= deadline, "the deadline is not there yet");
                "stop Deadline"
            }
            Stop::Misconfigured(_) => {
                assert!(self.must_stop, "stopped without a reason: {stop:?}");
                if self.disowned.is_empty() { "stop Misconfigured, signed" } else { "stop Misconfigured, unsigned" }
            }
            Stop::Unreachable => {
                let since = self.unheard_since.expect("the gateway was heard");
                assert!(now.since(since) >= Duration::from_secs(120), "given up after {:?}", now.since(since));
                let is_outage = now.since(since) >= Duration::from_secs(900);
                if is_outage { "stop Unreachable, an outage" } else { "stop Unreachable, never reached" }
            }
            Stop::Canary | Stop::CanaryFailed => {
                let (_, continues) = settings.canary.expect("there is no canary");
                assert_eq!(continues, *stop == Stop::CanaryFailed, "{stop:?}");
                let canarys = || self.rows.values().filter(|row| self.canary.contains(&row.card));
                assert!(canarys().all(|row| row.settled_durable), "stopped before the canary is over");
                assert!(self.rows.len() > canarys().count(), "stopped, and there are no others");
                let has_failed = canarys().any(|row| row.settled.is_some_and(Outcome::is_failure));
                assert!(has_failed || *stop == Stop::Canary, "stopped, and all of the canary ended well");
                if continues { "stop CanaryFailed" } else { "stop Canary" }
            }
        };
        self.coverage.hit(case);
    }
}
