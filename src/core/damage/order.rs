//! Whether the ids of one length stand in order, and whether doubtful ones among them do.

use std::cmp::Ordering;

/// The order of one length's ids, in that of the file.
#[derive(Clone, Debug)]
pub(super) struct Order {
    /// The last one that is not doubtful.
    last: String,
    /// A doubtful one behind it.
    doubtful: Option<String>,
    /// What the others do, and whether the doubtful ones do too.
    rising: Trend,
    falling: Trend,
}

#[derive(Clone, Copy, Debug)]
struct Trend {
    /// How no id compares with the next.
    never: Ordering,
    others: bool,
    doubtful: bool,
}

impl Order {
    pub fn new() -> Order {
        let trend = |never| Trend { never, others: true, doubtful: true };
        let (rising, falling) = (trend(Ordering::Greater), trend(Ordering::Less));
        Order { last: String::new(), doubtful: None, rising, falling }
    }

    /// Takes the next id.
    pub fn see(&mut self, id: &str, is_doubtful: bool) {
        if !self.rising.others && !self.falling.others {
            return; // there is no order, and no id can make one
        }
        let from_last = (!self.last.is_empty()).then(|| self.last.as_str().cmp(id));
        let from_doubtful = self.doubtful.as_deref().map(|doubtful| doubtful.cmp(id));
        for trend in [&mut self.rising, &mut self.falling] {
            if is_doubtful {
                trend.doubtful &= from_last != Some(trend.never);
            } else {
                trend.others &= from_last != Some(trend.never);
                trend.doubtful &= from_doubtful != Some(trend.never);
            }
        }
        if is_doubtful {
            self.doubtful = Some(id.to_owned());
        } else {
            self.doubtful = None;
            id.clone_into(&mut self.last);
        }
    }

    /// Whether the doubtful ones stand where they belong; ids without an order say nothing against it.
    pub fn has_its_place(&self) -> bool {
        match (self.rising.others, self.falling.others) {
            (true, false) => self.rising.doubtful,
            (false, true) => self.falling.doubtful,
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has_its_place(ids: &[&str]) -> bool {
        let mut order = Order::new();
        ids.iter().for_each(|id| order.see(id, *id == "300"));
        order.has_its_place()
    }

    #[test]
    fn a_doubtful_id_stands_in_order_or_out_of_it() {
        for ids in [&["300", "301", "302"][..], &["299", "300", "300", "301"], &["302", "301", "300", "117"], &["300"]]
        {
            assert!(has_its_place(ids), "{ids:?}");
        }
        for ids in [&["301", "300", "303"][..], &["301", "302", "300"], &["309", "307", "300", "305"]] {
            assert!(!has_its_place(ids), "{ids:?}");
        }
        assert!(has_its_place(&["305", "301", "300", "304"]), "no order, no proof");
    }
}
