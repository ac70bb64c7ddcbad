//! The canary: all rows of the plan's first cards go first, and how they end decides about the others.

use std::collections::HashSet;

use crate::model::Digest;

/// Which rows of the plan have their turn. The plan is read once, or, where there is a canary, twice: for the rows of
/// the canary's cards, then for the others.
#[derive(Clone, Debug, Default)]
pub struct Turns {
    /// How many cards are the canary's; `None`: there is no canary.
    limit: Option<usize>,
    /// At most `limit`, in the order of the plan: the same at each reading.
    cards: HashSet<Digest>,
    /// The canary has had its turn.
    is_over: bool,
    /// There are rows that are not the canary's.
    has_others: bool,
}

/// What the end of the plan means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlanEnd {
    /// The others wait: the plan is to be read again, from its beginning.
    OfCanary,
    /// There is nothing more.
    OfAll,
}

impl Turns {
    /// The turns of a plan whose first `limit` cards are a canary.
    pub fn new(limit: Option<usize>) -> Turns {
        Turns { limit, ..Turns::default() }
    }

    /// Whether a row of `card`, the next of the plan, has its turn in this reading.
    pub fn takes(&mut self, card: Digest) -> bool {
        let Some(limit) = self.limit else { return true };
        let has_room = self.cards.len() < limit;
        let is_canarys = self.cards.contains(&card) || has_room && self.cards.insert(card);
        self.has_others |= !is_canarys;
        is_canarys != self.is_over
    }

    /// The plan was read to its end.
    pub fn end(&mut self) -> PlanEnd {
        let is_canarys = self.limit.is_some() && !self.is_over && self.has_others;
        self.is_over = true;
        if is_canarys { PlanEnd::OfCanary } else { PlanEnd::OfAll }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(turns: &mut Turns, plan: &[u8]) -> (Vec<usize>, PlanEnd) {
        let taken = (0..plan.len()).filter(|at| turns.takes(Digest([plan[*at]; 16]))).collect();
        (taken, turns.end())
    }

    #[test]
    fn all_rows_of_the_first_cards_go_first() {
        let plan = [7, 8, 7, 9, 8, 7];
        let mut turns = Turns::new(Some(2));
        assert_eq!(read(&mut turns, &plan), (vec![0, 1, 2, 4, 5], PlanEnd::OfCanary));
        assert_eq!(read(&mut turns, &plan), (vec![3], PlanEnd::OfAll));
    }

    #[test]
    fn a_canary_of_all_cards_is_the_plan() {
        assert_eq!(read(&mut Turns::new(Some(3)), &[1, 2, 3, 1]), (vec![0, 1, 2, 3], PlanEnd::OfAll));
        assert_eq!(read(&mut Turns::new(None), &[1, 2]), (vec![0, 1], PlanEnd::OfAll));
        assert_eq!(read(&mut Turns::new(Some(1)), &[]), (vec![], PlanEnd::OfAll));
    }
}
