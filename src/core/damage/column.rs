//! The ids of one column of one file, together: what their common form tells of the few that lack it.
//!
//! Every id has a shape (its class, its length, whether it begins with a nought). Shapes are counted over all rows, and
//! a fair sample of the distinct ids is kept. Once the file has ended, [`Ids::flaw`] tells which shapes are odd, and
//! [`Ids::refusal`] whether the column as a whole was rounded. Memory does not grow with the rows.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::Flaw;
use super::counters::Counters;
use super::order::Order;
use super::rounding::{ACCIDENT, Mark};
use super::shape::{Class, Shape};
use super::tally::{COUNTERS, Tally, noughts_of};
use crate::model::Rule;

/// Distinct ids that are kept in mind: those whose hashes are the smallest, which is a fair sample.
const SAMPLE_MAX: usize = 4096;

/// More shapes than these are no common form; a row has one byte for its shape.
const SHAPES_MAX: usize = 250;

/// The shape of ids beyond [`SHAPES_MAX`]: nothing is said of them.
const OTHER: u8 = u8::MAX;

/// Hardly a counter reaches so many digits: numbers this long have one length, unless noughts were lost.
const NO_COUNTER_DIGITS: u16 = 8;

/// Leading noughts that random digits lose: five are lost by one id in a hundred thousand.
const LOST_MAX: u16 = 4;

/// Random digits lose a nought in one id of ten. Where more than this share are short, that is their nature.
const LOST_SHARE: f64 = 0.3;

/// A length that fewer have is not usual, where ids are of many.
const USUAL_SHARE: f64 = 0.3;

/// From so many distinct ids on, of so many digits, with such a share of one length, that is the column's form. Shorter
/// ones may be a counter on its way past a power of ten.
const FORM_FROM: usize = 20;
const FORM_DIGITS: u16 = 12;
const FORM_SHARE: f64 = 0.95;

/// Noughts beyond those that rounding leaves, in all of so many ids: chance makes them once in a million columns.
const UNIT_NOUGHTS: usize = 2;
const UNIT_FROM: usize = 3;

/// ln(10^5): one honest column in a hundred thousand is refused by chance.
const SURPRISE_MAX: f64 = 11.5;

/// Examples of a refusal, and how long they may be.
const EXAMPLES_MAX: usize = 3;
const EXAMPLE_BYTES_MAX: usize = 64;

/// What a float leaves of random digits has 15 to 17 significant ones; one of a thousand has fewer than these. Ids that
/// are made of a date and numbers padded with noughts often do.
const SIGNIFICANT: usize = 13;

/// A distinct id of the sample.
#[derive(Clone, Copy, Debug)]
struct Sampled {
    shape: Shape,
    /// Its first character.
    first: u8,
    /// The noughts that end it.
    noughts: usize,
    /// By [`Mark::ALL`]: whether it bears the mark, and how likely that is by nature.
    marks: [(bool, f64); 3],
}

/// The ids of one column.
#[derive(Clone, Debug, Default)]
pub struct Ids {
    /// The last one, and its shape: templates are the same in row after row.
    last: (String, u8),
    shapes: Vec<Tally>,
    /// Rows whose ids were not looked at: they have none, or something else is wrong with them.
    missed: u64,
    /// Of digits, by their length.
    orders: BTreeMap<u16, Order>,
    counters: Counters,
    sample: BTreeMap<u64, Sampled>,
    /// By [`Mark::ALL`]: the first ids that bear it.
    examples: [Vec<String>; 3],
}

impl Ids {
    /// Takes an id, and tells its shape for [`Ids::flaw`].
    pub fn see(&mut self, text: &str) -> u8 {
        let (last, at) = &self.last;
        if last == text && !matches!(*at, 0 | OTHER) {
            let tally = &mut self.shapes[usize::from(*at - 1)];
            tally.rows += 1;
            if tally.shape.is_digits() {
                self.counters.see(text);
            }
            return *at;
        }
        text.clone_into(&mut self.last.0);
        self.last.1 = self.see_another(text);
        self.last.1
    }

    fn see_another(&mut self, text: &str) -> u8 {
        let shape = Shape::of(text);
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        let hash = hasher.finish();
        self.keep(text, hash, shape);
        if shape.is_digits() && (self.orders.len() < SHAPES_MAX || self.orders.contains_key(&shape.chars)) {
            self.orders.entry(shape.chars).or_insert_with(Order::new).see(text, shape.is_rounded());
            self.counters.see(text);
        }
        let known = self.shapes.iter().position(|known| known.shape == shape);
        let at = match known {
            Some(at) => at,
            None if self.shapes.len() == SHAPES_MAX => return OTHER,
            None => {
                self.shapes.push(Tally::new(shape));
                self.shapes.len() - 1
            }
        };
        self.shapes[at].see(text, hash);
        at as u8 + 1
    }

    /// Takes notice of a row without an id that can be looked at.
    pub fn miss(&mut self) {
        self.missed += 1;
    }

    fn keep(&mut self, text: &str, hash: u64, shape: Shape) {
        let is_full = self.sample.len() == SAMPLE_MAX;
        if is_full && self.sample.last_key_value().is_some_and(|(last, _)| *last < hash)
            || self.sample.contains_key(&hash)
        {
            return;
        }
        if is_full {
            self.sample.pop_last();
        }
        let is_number = shape.is_digits() && !shape.leading_zero;
        let marks = Mark::ALL.map(|mark| match is_number {
            true => (mark.is_on(text), mark.natural(text)),
            false => (false, 0.0),
        });
        for (examples, (is_on, _)) in self.examples.iter_mut().zip(marks) {
            if is_on && examples.len() < EXAMPLES_MAX && text.len() < EXAMPLE_BYTES_MAX {
                examples.push(text.to_owned());
            }
        }
        let first = text.bytes().next().unwrap_or_default();
        self.sample.insert(hash, Sampled { shape, first, noughts: noughts_of(text), marks });
    }

    /// What is wrong with the ids of a shape, once all were seen; 0 is no id.
    pub fn flaw(&self, shape: u8) -> Option<Flaw> {
        const ROUNDED: &str = "every digit; a spreadsheet or a float has rounded it: export the column as text";
        let tally = self.shapes.get(usize::from(shape).checked_sub(1)?)?;
        let shape = tally.shape;
        let chars = shape.chars;
        match shape.class {
            Class::Rounded | Class::MaybeRounded if !self.is_meant(tally) => {
                return Some(Flaw::new(Rule::IdRounded, "more noughts than chance makes", ROUNDED));
            }
            Class::BareExponent if self.has_no_letters() => {
                const EXPECTED: &str = "every digit; export the column as text";
                return Some(Flaw::new(Rule::IdScientific, "the other ids of the column are digits", EXPECTED));
            }
            _ => {}
        }
        let short = |usual: u16| {
            const EXPECTED: &str = "every digit, leading zeros too; export the column as text";
            Some(Flaw::new(Rule::IdWidth, format!("{chars} digits, in a column whose ids have {usual}"), EXPECTED))
        };
        if shape.is_digits() && !shape.leading_zero {
            if let Some(usual) = self.padded_to(chars) {
                return short(usual);
            }
            if let Some(usual) = self.zeros_lost_from().filter(|usual| chars < *usual && chars + LOST_MAX >= *usual) {
                return short(usual);
            }
        }
        const FORM: &str =
            "an id like the others; correct it, or list the column in input.verbatim where both are meant";
        let usual = self.form().filter(|usual| chars != *usual || !shape.is_digits())?;
        if shape.class == Class::Text || chars.abs_diff(usual) > LOST_MAX && self.is_kind(shape) {
            return None;
        }
        Some(Flaw::new(Rule::IdWidth, format!("{chars} characters, in a column whose ids have {usual} digits"), FORM))
    }

    /// Whether the column's ids as a whole were rounded: marks of rounding that short numbers bear by accident, and
    /// that are too many here. Tells what was found, and examples.
    pub fn refusal(&self) -> Option<(String, &[String])> {
        let doubtful = Mark::ALL.iter().enumerate().find_map(|(at, mark)| {
            let marks = self.sample.values().map(|id| id.marks[at]).filter(|(_, natural)| *natural > ACCIDENT);
            let (mut seen, mut all, mut expected) = (0_u32, 0_u32, 0.0);
            for (is_on, natural) in marks {
                (seen, all, expected) = (seen + u32::from(is_on), all + 1, expected + natural);
            }
            let is_odd = seen > 1 && surprise(seen, all, expected) > SURPRISE_MAX && !self.is_unit(*mark);
            is_odd.then_some((at, mark, seen, expected))
        });
        doubtful.map(|(at, mark, seen, expected)| {
            let like = match mark {
                Mark::Fifteen => "end in zeros behind at most 15 digits",
                Mark::Seventeen => "end in zeros behind at most 17 digits",
                Mark::Binary => "are just what a float of 53 bits can hold",
            };
            let found =
                format!("{seen} of {} different ids {like}, chance would make {expected:.1}", self.sample.len());
            (found, self.examples[at].as_slice())
        })
    }

    /// Whether all ids end in more noughts than rounding leaves: seconds that are written as nanoseconds.
    fn is_unit(&self, mark: Mark) -> bool {
        let Some(kept) = mark.kept() else { return false };
        let is_more = |id: &Sampled| id.noughts >= usize::from(id.shape.chars).saturating_sub(kept) + UNIT_NOUGHTS;
        self.sample.len() >= UNIT_FROM && self.sample.values().all(is_more)
    }

    /// Whether ids of a shape, of another length than nearly all, are a kind of their own: damage makes one of a kind.
    fn is_kind(&self, shape: Shape) -> bool {
        let is_like = |other: &Shape| {
            other.chars == shape.chars && (other.class == shape.class || other.is_digits() && shape.is_digits())
        };
        let like = self.shapes.iter().filter(|tally| is_like(&tally.shape));
        let different: usize = like.map(|tally| if tally.is_one { 1 } else { 2 }).sum();
        shape.class == Class::Labelled || shape.class != Class::Stranger && different > 1
    }

    /// Whether an id that ends in noughts may be meant so: the only one, and of few significant digits, where it belongs
    /// in the order of the others; or the nought of a counter, where the others of its length count up from one without
    /// a gap, in as many digits. A number that was rounded leaves a gap where it stood.
    fn is_meant(&self, nought: &Tally) -> bool {
        if self.counters.begin_at_nought(self.missed) {
            return true;
        }
        let chars = nought.shape.chars;
        let same = || self.shapes.iter().filter(|tally| tally.shape.is_digits() && tally.shape.chars == chars);
        if !nought.is_one || same().filter(|tally| tally.shape.is_rounded()).count() != 1 {
            return false;
        }
        let is_short = usize::from(chars) - nought.noughts < SIGNIFICANT;
        if is_short && self.orders.get(&chars).is_some_and(Order::has_its_place) {
            return true;
        }
        let others: Vec<&Tally> = same().filter(|tally| !tally.shape.is_rounded()).collect();
        match others[..] {
            [] => nought.rows == 1 && nought.shape.class == Class::MaybeRounded,
            [others] => {
                let is_counter = |(counted, digits): (&u64, usize)| {
                    // Several counters are told by themselves: each counts a part of the rows.
                    digits <= nought.noughts && *counted <= others.rows + self.missed && counted * 2 > others.rows
                };
                // The digit before the counter is a nought in one id of ten.
                nought.noughts <= others.counter + 1 && others.counted.iter().zip(COUNTERS).any(is_counter)
            }
            _ => false,
        }
    }

    fn has_no_letters(&self) -> bool {
        let has = |class| self.shapes.iter().any(|tally| tally.shape.class == class);
        ![Class::Text, Class::Labelled, Class::Marked, Class::Stranger].into_iter().any(has) && has(Class::Digits)
    }

    /// The length to which digits are padded with noughts, where those of `chars` digits have lost some; none where
    /// several lengths have them. Random digits begin with a few noughts, too: then much shorter ones are another kind.
    fn padded_to(&self, chars: u16) -> Option<u16> {
        let mut lengths = self.shapes.iter().filter(|tally| tally.shape.leading_zero);
        let first = lengths.next()?;
        let (mut rows, mut leading, usual) = (first.rows, first.leading, first.shape.chars);
        for other in lengths {
            if other.shape.chars != usual {
                return None;
            }
            (rows, leading) = (rows + other.rows, leading.max(other.leading));
        }
        let is_counter = u32::from(leading) > u32::from(LOST_MAX) + rows.ilog10();
        (chars < usual && (is_counter || chars + LOST_MAX.max(leading + 1) >= usual)).then_some(usual)
    }

    /// The length of digits that nearly all have, and of which those have lost noughts that lack a few: their first
    /// digits are of all kinds, so that a nought is as likely.
    fn zeros_lost_from(&self) -> Option<u16> {
        if self.shapes.iter().any(|tally| tally.shape.leading_zero) {
            return None;
        }
        let mut lengths: BTreeMap<u16, (usize, u16)> = BTreeMap::new();
        for id in self.sample.values().filter(|id| id.shape.is_digits()) {
            let (count, firsts) = lengths.entry(id.shape.chars).or_default();
            *count += 1;
            *firsts |= 1 << (id.first - b'0');
        }
        let (usual, (count, firsts)) = lengths.iter().max_by_key(|(_, (count, _))| *count)?;
        let all: usize = lengths.values().map(|(count, _)| count).sum();
        let short: usize = lengths.range(usual.saturating_sub(LOST_MAX)..*usual).map(|(_, (count, _))| count).sum();
        let share = short as f64 / (short + count) as f64;
        let is_usual = *count as f64 >= USUAL_SHARE * all as f64;
        (is_usual && *usual >= NO_COUNTER_DIGITS && firsts.count_ones() >= 3 && share <= LOST_SHARE).then_some(*usual)
    }

    /// The length that all ids but a few have, where they are digits.
    fn form(&self) -> Option<u16> {
        let mut lengths: BTreeMap<u16, usize> = BTreeMap::new();
        for id in self.sample.values().filter(|id| id.shape.is_digits()) {
            *lengths.entry(id.shape.chars).or_default() += 1;
        }
        let (usual, count) = lengths.into_iter().max_by_key(|(_, count)| *count)?;
        let is_nearly_all = count as f64 >= self.sample.len() as f64 * FORM_SHARE;
        (self.sample.len() >= FORM_FROM && usual >= FORM_DIGITS && is_nearly_all).then_some(usual)
    }
}

/// How unlikely it is that `seen` or more of `all` bear a mark of which chance makes `expected`: minus the logarithm of
/// Chernoff's bound.
fn surprise(seen: u32, all: u32, expected: f64) -> f64 {
    if f64::from(seen) <= expected {
        return 0.0;
    }
    let (share, natural) = (f64::from(seen) / f64::from(all), expected / f64::from(all));
    let term = |share: f64, natural: f64| if share > 0.0 { share * f64::ln(share / natural) } else { 0.0 };
    f64::from(all) * (term(share, natural) + term(1.0 - share, 1.0 - natural))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The ids that are odd, and why the column is refused.
    fn judge(ids: &[String]) -> (Vec<(String, Rule)>, Option<String>) {
        let mut column = Ids::default();
        let shapes: Vec<u8> = ids.iter().map(|id| column.see(id)).collect();
        let odd = ids.iter().zip(shapes).filter_map(|(id, shape)| Some((id.clone(), column.flaw(shape)?.rule)));
        (odd.collect(), column.refusal().map(|(found, examples)| format!("{found}: {examples:?}")))
    }

    fn odd(ids: &[String]) -> Vec<(String, Rule)> {
        let (odd, refusal) = judge(ids);
        assert_eq!(refusal, None);
        odd
    }

    /// Digits that look random, the same every time.
    fn digits(count: usize, seed: u64) -> String {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(0x1234_5678);
        let digit = |_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            char::from(b'0' + ((state >> 33) % 10) as u8)
        };
        (0..count).map(digit).collect()
    }

    fn random(count: u64, width: usize) -> Vec<String> {
        (0..count).map(|seed| digits(width, seed + 1)).collect()
    }

    fn stripped(id: &str) -> String {
        id.trim_start_matches('0').to_owned()
    }

    #[test]
    fn honest_columns_are_left_alone() {
        let count = |format: fn(u64) -> String, range: std::ops::Range<u64>| range.map(format).collect::<Vec<_>>();
        for ids in [
            count(|at| at.to_string(), 0..2000),
            count(|at| at.to_string(), 9_950..10_050),
            count(|at| format!("b{at}"), 0..1500),
            count(|at| format!("card-2026-{at}"), 0..100),
            count(|at| format!("2026010200000{at}"), 0..1000),
            count(|at| format!("{at:08}"), 0..1500),
            count(|at| format!("2026010200000000000{at:08}"), 0..500),
            count(|at| format!("202601020000000000{at}"), 0..1500),
            count(|at| format!("2026010231{}{at:010}", digits(7, at)), 0..1500),
            count(|at| (2_088_100_031_000_000 + at * 7).to_string(), 0..500),
            count(|at| (1_541_815_603_606_036_480 + (at << 22)).to_string(), 0..2000),
            count(
                |at| format!("{:032x}", u128::from(at).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c834)),
                0..3000,
            ),
            random(1200, 27),
            random(1200, 16),
            random(200, 20),
            // A counter for each day and shop, from nought; and one behind the time of day.
            count(|at| format!("202611{:02}{:019}", 1 + at / 40, at % 40), 0..400),
            count(|at| format!("20261101{:06}{:013}", 140 + at % 5, at / 5), 0..100),
            count(|at| format!("202611150014{:06}{at:09}", 84_020 + at % 7), 0..60),
            // Seconds as microseconds, milliseconds as nanoseconds.
            count(|at| format!("{}000000", 1_793_500_000 + at * 7), 0..300),
            count(|at| format!("{}000000", 1_793_500_000_000 + at * 777), 0..300),
            // Of many lengths.
            [21, 21, 21, 21, 18, 9, 10, 11, 12, 13, 14, 15, 16, 25]
                .iter()
                .enumerate()
                .map(|(at, width)| format!("{}{}", at % 9 + 1, digits(width - 1, at as u64)))
                .collect(),
            // Two kinds, of which one is rare.
            [random(97, 27), random(3, 16)].concat(),
            [count(|at| format!("20261101{at:019}"), 1..97), count(|at| format!("20261101{at:08}7"), 1..4)].concat(),
            [count(|at| format!("20261101{at:019}"), 1..97), count(|at| format!("20261101-02-{at:06}"), 1..4)].concat(),
            vec!["2160120036095020".to_owned(); 500],
            vec!["T5228480402".to_owned(); 500],
            vec!["202601020000000000000000001".to_owned()],
            vec!["202601023109165510000000000".to_owned()],
            vec!["12E45".to_owned(), "5f3a1".to_owned(), "12345".to_owned()],
            [random(60, 27), random(30, 16)].concat(),
        ] {
            assert_eq!(judge(&ids), (vec![], None), "{:?}...", &ids[..ids.len().min(3)]);
        }
    }

    #[test]
    fn lost_zeros_show_against_those_that_were_kept() {
        let whole: Vec<String> = (0..300).map(|at| format!("{:012}", at * 7919)).collect();
        for every in [1, 2, 50, 299] {
            let damaged: Vec<String> = whole
                .iter()
                .enumerate()
                .map(|(at, id)| if at % every == 0 && at > 0 { stripped(id) } else { id.clone() })
                .collect();
            let short = damaged.iter().filter(|id| id.len() < 12).count();
            let found = odd(&damaged);
            assert_eq!(found.len(), short, "every {every}");
            assert!(short > 0 && found.iter().all(|(_, rule)| *rule == Rule::IdWidth));
        }
    }

    #[test]
    fn lost_zeros_of_long_random_ids_show_by_their_length() {
        for (count, width) in [(1000, 27), (200, 16), (100, 8)] {
            let damaged: Vec<String> = random(count, width).iter().map(|id| stripped(id)).collect();
            let short: Vec<_> = damaged.iter().filter(|id| id.len() < width).cloned().collect();
            assert!(!short.is_empty());
            assert_eq!(odd(&damaged).into_iter().map(|(id, _)| id).collect::<Vec<_>>(), short, "{width}");
        }
    }

    #[test]
    fn one_id_unlike_all_others_shows() {
        for stranger in ["20260102000000000000000017", "2026010200000000000000000017", "Total 500", "20260102-17"] {
            let mut ids: Vec<String> = (1..200).map(|at| format!("20260102{at:019}")).collect();
            ids.push(stranger.to_owned());
            assert_eq!(odd(&ids), [(stranger.to_owned(), Rule::IdWidth)]);
        }
        for other_kind in ["manual-17", "B-000001", "B20261110-000139", "2f9c1e4a-77aa-4c1b-9d52-0a6f3e9b1c55"] {
            let mut ids: Vec<String> = (1..200).map(|at| format!("20260102{at:019}")).collect();
            ids.push(other_kind.to_owned());
            assert_eq!(odd(&ids), []);
        }
    }

    #[test]
    fn rounded_ids_show_alone_and_all_together() {
        let mut ids = random(40, 27);
        ids[7] = format!("{}{}", &ids[7][..15], "0".repeat(12));
        assert_eq!(odd(&ids), [(ids[7].clone(), Rule::IdRounded)]);
        let counter: Vec<String> = (1..40).map(|at| format!("20260102{at:019}")).collect();
        let float: f64 = counter[5].parse().unwrap();
        for rounded in [format!("{float:.0}"), format!("20260102{}", "0".repeat(19))] {
            let mut ids = counter.clone();
            ids[5].clone_from(&rounded);
            assert_eq!(odd(&ids), [(rounded, Rule::IdRounded)]);
        }
        let all: Vec<String> = random(40, 27).iter().map(|id| format!("1{}{}", &id[..14], "0".repeat(12))).collect();
        assert_eq!(judge(&all).0.len(), 40);
        assert_eq!(odd(&[all[0].clone()]).len(), 1, "alone in its file");
        for (width, count) in [(16, 5), (16, 300), (17, 4), (18, 50), (20, 3)] {
            let ids: Vec<String> =
                random(count, 20).iter().map(|id| format!("2{}{}", &id[..14], "0".repeat(width - 15))).collect();
            let (_, refusal) = judge(&ids);
            assert!(refusal.is_some_and(|text| text.contains("behind at most 15 digits")), "{count} of {width}");
        }
    }

    #[test]
    fn the_nought_of_a_counter_is_no_rounding_but_two_of_it_are() {
        let counter: Vec<String> = (0..40).map(|at| format!("20260102{at:019}")).collect();
        let mut shuffled = counter.clone();
        shuffled.sort_by_key(|id| id.bytes().rev().map(|digit| digit ^ 5).collect::<Vec<_>>());
        assert_eq!((odd(&counter), odd(&shuffled)), (vec![], vec![]));
        let mut twice = counter.clone();
        twice[9] = twice[0].clone();
        assert_eq!(odd(&twice).len(), 2);
        // One of them was rounded to what would be the nought.
        for lost in [2, 9, 38] {
            let mut ids = counter[1..].to_vec();
            ids[lost - 1] = counter[0].clone();
            assert_eq!(odd(&ids).len(), 1, "{lost}");
        }
    }

    #[test]
    fn a_rounded_id_of_one_of_several_counters_shows() {
        // The last of a counter from nought makes its nought come twice: two rows of one bill, a conflict.
        for (from, end) in [(0, 57), (1, 60)] {
            let ids: Vec<String> =
                (0..60).map(|at| format!("20261101{:06}{:013}", 141 + at % 3, from + at / 3)).collect();
            for lost in 3..end {
                let mut ids = ids.clone();
                ids[lost] = format!("{}{}", &ids[lost][..15], "0".repeat(12));
                assert!(!odd(&ids).is_empty(), "{lost} of those from {from}");
            }
        }
    }

    #[test]
    fn a_bare_exponent_shows_among_digits() {
        let ids = ["12E24", "123", "4567"].map(str::to_owned);
        assert_eq!(odd(&ids), [("12E24".to_owned(), Rule::IdScientific)]);
    }

    #[test]
    fn memory_does_not_grow_with_ids() {
        let mut column = Ids::default();
        for at in 0..6_000_u64 {
            column.see(&format!("{at}{}", "x".repeat((at % 400) as usize)));
        }
        assert_eq!((column.sample.len(), column.shapes.len()), (SAMPLE_MAX, SHAPES_MAX));
    }
}
