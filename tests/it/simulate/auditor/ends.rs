//! Laws of ends: what may be said of a row, and why.

use passync::core::dispatcher::{Cause, Settlement};
use passync::core::halt::ErrorLimit;
use passync::model::{Outcome, Tick, Verdict};

use super::{Auditor, Event, Live, Row, bits};

impl Auditor {
    /// A row ends.
    pub fn settle(&mut self, now: Tick, end: &Settlement) {
        let id = end.id;
        let event = Event::Settle { outcome: end.outcome, cause: end.cause.clone(), in_doubt: end.in_doubt };
        self.tell(now, id, event);
        self.coverage.outcome(end.outcome);
        self.coverage.cause(&end.cause);
        let row = &self.rows[&id];
        assert_eq!(row.settled, None, "row {id} ends twice");
        let nothing = Live::default();
        let live = self.live.get(&id).unwrap_or(&nothing);
        assert_ne!(self.under_way.get(&row.card), Some(&id), "row {id} ends while it is under way");
        let doubts = row.plan.row.doubt + live.recovered.1 + live.doubts;
        assert_eq!(end.in_doubt, doubts, "doubts of row {id}");
        assert_eq!(end.attempts, live.recovered.0 + live.attempts, "attempts of row {id}");
        let bill = &self.bills[&row.bill];
        let told = live.told.as_ref().map(|(_, told)| (told.verdict, told.verified));
        match end.outcome {
            Outcome::Applied => {
                assert_eq!(told, Some((Verdict::Applied, true)), "law 8: row {id}");
                assert_eq!(end.drop, live.sent_drop, "row {id} ends with another revision");
                assert!(bill.applied, "law 8: the gateway never applied row {id}");
            }
            Outcome::Refused => assert_eq!(told, Some((Verdict::Refused, true)), "row {id}"),
            Outcome::Unknown => assert!(doubts > 0, "row {id} is unknown without a doubt"),
            Outcome::Unsent | Outcome::Held => {
                assert!(doubts == 0 && !bill.doubted, "once in doubt, always in doubt: row {id}");
                assert!(!bill.applied, "row {id} is provably never applied, and the gateway applied it");
                assert!(end.outcome == Outcome::Unsent || live.attempts == 0, "row {id} is held after it was sent");
            }
            Outcome::Coalesced => self.check_carrier(row, &end.cause),
            Outcome::Superseded => self.check_overtaken(row, &end.cause),
            other => panic!("the dispatcher never ends a row as {other}"),
        }
        self.check_cause(row, end);
        let is_by_stop = matches!(end.cause, Cause::Stopped(_));
        let (card, over) = (row.card, matches!(end.outcome, Outcome::Applied | Outcome::Coalesced));
        self.count_error(end);
        self.bills.get_mut(&self.rows[&id].bill).expect("planned").over |= over;
        let row = self.rows.get_mut(&id).expect("planned");
        (row.settled, row.in_doubt, row.by_stop) = (Some(end.outcome), end.in_doubt, is_by_stop);
        if self.intended.get(&card) == Some(&id) {
            self.intended.remove(&card);
        }
        if self.hold && matches!(end.outcome, Outcome::Unknown | Outcome::Unsent) && !is_by_stop {
            self.held.insert(card, id);
        }
    }

    fn check_carrier(&self, row: &Row, cause: &Cause) {
        let Cause::CarriedBy(by) = cause else { panic!("coalesced by {cause:?}") };
        let carrier = &self.rows[by];
        let (old, new) = (&self.bills[&row.bill], &self.bills[&carrier.bill]);
        assert_eq!(carrier.settled, Some(Outcome::Applied), "the carrier was not applied");
        assert!(carrier.card == row.card && old.place < new.place && old.user == new.user, "carried by a stranger");
        assert!(!old.closing && !new.closing, "carried across CLOSED");
        let carried = row.members & !row.plan.row.drop;
        assert_eq!(carried & !new.possible & !new.confirmed, 0, "carried by a row that does not carry it all");
        assert_eq!(row.sends, 0, "carried after it was sent");
    }

    fn check_overtaken(&self, row: &Row, cause: &Cause) {
        let Cause::OvertakenBy(by) = cause else { panic!("superseded by {cause:?}") };
        if let Some(by) = by {
            assert_eq!(self.rows[by].settled, Some(Outcome::Applied), "superseded by a row that was not applied");
        }
        // What the card was given, even if a run that may roll cards back took it from the card again.
        let place = self.bills[&row.bill].place;
        let is_closed = self.newest_closed.get(&row.card).is_some_and(|closed| *closed > place);
        let is_given = |bit| self.newest_shown.get(&(row.card, bit)) > Some(&place);
        assert!(is_closed || bits(row.members).all(is_given), "superseded, and no newer row gave all of it");
    }

    fn check_cause(&self, row: &Row, end: &Settlement) {
        let place = self.bills[&row.bill].place;
        match &end.cause {
            Cause::Reply | Cause::CarriedBy(_) | Cause::OvertakenBy(_) => {}
            Cause::Budget => {
                let budget = self.settings.as_ref().expect("a process lives").budget;
                assert_eq!(self.budget_spent, budget, "the budget is not spent");
            }
            Cause::HeldBy(by) => {
                let other = &self.rows[by];
                assert_eq!(other.card, row.card, "held by a row of another card");
                assert!(
                    matches!(other.settled, Some(Outcome::Unknown | Outcome::Unsent)),
                    "held by {:?}",
                    other.settled
                );
                // In the order of sending: a carrier, and rows that another one waited for, are newer.
                let is_earlier = self.bills[&other.bill].place < place;
                let is_moved = row.plan.row.absorbed || !row.plan.row.gates.is_empty();
                assert!(is_earlier || is_moved, "held by a newer row");
            }
            Cause::NewerInDoubt(by) => {
                let other = &self.rows[by];
                let newer = &self.bills[&other.bill];
                assert!(other.card == row.card && newer.place > place, "held by a row that is not newer");
                assert!(newer.doubted || other.in_doubt > 0, "held by a row without doubt");
            }
            Cause::Stopped(_) => assert!(self.stopping, "row {} ends by a stop that is none", end.id),
        }
    }

    fn count_error(&mut self, end: &Settlement) {
        if end.attempts == 0 {
            return;
        }
        self.errors.0 += 1;
        self.errors.1 += u64::from(matches!(end.outcome, Outcome::Refused | Outcome::Unknown));
        let (settled, errors) = self.errors;
        self.must_stop |= match self.settings.as_ref().expect("a process lives").error_limit {
            ErrorLimit::Off => false,
            ErrorLimit::Count(most) => errors > most,
            ErrorLimit::Percent(most) => settled >= 100 && errors as f64 / settled as f64 > most / 100.0,
        };
    }
}
