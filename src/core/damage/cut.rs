//! The last value of a file that does not end its last line: whole, or cut off.
//!
//! A number that lost its last digits is a number: nothing within the file tells, and a control file would. What does
//! tell: a value shorter than all others of its column, where those are equally long; a word that another one begins
//! with, where the column has few words.

use std::collections::BTreeSet;

/// Beyond so many different words a column has no vocabulary.
const WORDS_MAX: usize = 64;

/// Longer words are sentences.
const WORD_BYTES_MAX: usize = 256;

/// Widths of less say nothing: points have four digits in every row of a small file.
const WIDTH_MIN: usize = 8;

/// The values of a file's last column so far.
#[derive(Clone, Debug, Default)]
pub struct LastColumn {
    rows: u64,
    /// The length of all values in bytes; `None` where they differ.
    width: Option<usize>,
    /// The different values; `None` where there are too many.
    words: Option<BTreeSet<String>>,
}

impl LastColumn {
    /// Takes the value of a row that is whole.
    pub fn see(&mut self, text: &str) {
        if self.rows == 0 {
            (self.width, self.words) = (Some(text.len()), Some(BTreeSet::new()));
        }
        self.rows += 1;
        self.width = self.width.filter(|width| *width == text.len());
        if let Some(words) = &mut self.words
            && !words.contains(text)
        {
            words.insert(text.to_owned());
            if words.len() > WORDS_MAX || text.len() > WORD_BYTES_MAX {
                self.words = None;
            }
        }
    }

    /// Whether the value, with which the file ends, looks cut off.
    pub fn is_cut(&self, text: &str) -> bool {
        let is_short = self.rows >= 2 && self.width.is_some_and(|width| width >= WIDTH_MIN && text.len() < width);
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || b".-+".contains(&byte));
        is_short
            || !is_number
                && self.words.as_ref().is_some_and(|words| {
                    !words.contains(text) && words.iter().any(|word| word.len() > text.len() && word.starts_with(text))
                })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_cut(values: &[&str], last: &str) -> bool {
        let mut column = LastColumn::default();
        values.iter().for_each(|value| column.see(value));
        column.is_cut(last)
    }

    #[test]
    fn a_last_value_that_others_go_on_from_is_cut() {
        assert!(is_cut(&["Gold", "Silver"], "Gol"));
        assert!(is_cut(&["Gold", "Silver"], ""));
        assert!(is_cut(&["1702866811000", "1702866811001"], "17028668110"));
        assert!(is_cut(&["2026-12-31 00:00:00", "2026-12-31 00:00:01"], "2026-12-31"));
    }

    #[test]
    fn a_last_value_of_its_own_is_whole() {
        assert!(!is_cut(&["Gold", "Silver"], "Bronze"));
        assert!(!is_cut(&["Gold", "Gold Card"], "Gold"));
        assert!(!is_cut(&["100", "200", "1000"], "50"));
        assert!(!is_cut(&["1000", "2000"], "10"), "nothing tells");
        assert!(!is_cut(&[], "x") && !is_cut(&["1702866811000"], "1"));
    }
}
