//! The gate for damaged values: which cells of a file are looked at, and what becomes of those that are not right.
//!
//! ```text
//! an id, by itself               scientific notation, `.0`, separators, words for nothing, odd characters   -> the row
//! a text that people read        blanks around it, odd characters, a wrong decoding                         -> the row
//! an id against its column       lost zeros, rounded digits, another form                                   -> the row
//! a column                       more marks of rounding than chance makes                                   -> the file
//! ```
//!
//! The profile of a column is that of one file, and is known once the file has ended; the planner then ends the rows
//! that do not fit. Rows of a replay were judged with the file that they come from: for them only the first two hold.

use super::brief::Shapes;
use super::stored::StoredRow;
use crate::core::damage::column::Ids;
use crate::core::damage::cut::LastColumn;
use crate::core::damage::number::Numbers;
use crate::core::damage::{Flaw, id, text};
use crate::io::source::{Cells, Kind, Layout, Reader};
use crate::model::{Delta, Reject, Rule, Value};
use crate::wire::{self, Dialect, row};

/// The gate of one file.
pub struct Gate {
    columns: Vec<Column>,
    /// The file's last column, where its cells are sent: a file may end within it.
    last: Option<(usize, LastColumn)>,
}

/// A column whose cells are looked at.
struct Column {
    canonical: String,
    /// In the file.
    at: usize,
    header: String,
    look: Look,
    sound: Sound,
}

/// Texts that a column had a moment ago, and that were sound. Levels and templates come again in nearly every row, and to
/// look at one costs more than to read the whole row.
#[derive(Default)]
struct Sound {
    texts: Vec<String>,
    /// The one that makes room next.
    oldest: usize,
}

impl Sound {
    /// So many are told apart from a text by their length and a glance.
    const TEXTS_MAX: usize = 8;
    /// Longer ones do not come again.
    const BYTES_MAX: usize = 64;

    /// What `look` finds wrong with the text.
    fn flaw(&mut self, text: &str, look: impl FnOnce() -> Option<Flaw>) -> Option<Flaw> {
        if self.texts.iter().any(|known| known == text) {
            return None;
        }
        let flaw = look();
        if flaw.is_none() && text.len() <= Self::BYTES_MAX {
            if self.texts.len() < Self::TEXTS_MAX {
                self.texts.push(text.to_owned());
            } else {
                text.clone_into(&mut self.texts[self.oldest]);
                self.oldest = (self.oldest + 1) % Self::TEXTS_MAX;
            }
        }
        flaw
    }
}

/// What is looked for in a column.
enum Look {
    Id(Box<Ids>),
    /// A text that people read.
    Prose,
    Number(Numbers),
    /// Anything else: only whether it was decoded as what it is.
    Other,
}

impl Gate {
    /// The gate for a file of that layout. `verbatim` are the columns that a person vouches for.
    pub fn new(reader: &Reader, layout: &Layout, dialect: &dyn Dialect, verbatim: &[String]) -> Gate {
        let kinds = reader.kinds();
        let columns = layout.columns().iter().filter(|column| !verbatim.contains(column)).filter_map(|canonical| {
            let at = layout.column_of(canonical)?;
            let is_id = dialect.column(canonical).is_some_and(|known| known.id);
            let look = match canonical.as_str() {
                _ if is_id => Look::Id(Box::default()),
                "points" | "last_changed_points" | "balance" if kinds[at] == Kind::Text => {
                    Look::Number(Numbers::default())
                }
                name if wire::is_prose(name) => Look::Prose,
                _ => Look::Other,
            };
            let (canonical, header) = (canonical.clone(), reader.header()[at].clone());
            Some(Column { canonical, at, header, look, sound: Sound::default() })
        });
        let end = reader.header().len().saturating_sub(1);
        let last = layout.needed().contains(&end).then(|| (end, LastColumn::default()));
        Gate { columns: columns.collect(), last }
    }

    /// Looks at the ids of a row, each by itself.
    pub fn check_ids(&mut self, cells: &Cells<'_>) -> Result<(), Reject> {
        self.check(cells, |Column { look, canonical, header, sound, .. }, text| match look {
            Look::Id(_) if !id::is_digits(text) => sound.flaw(text, || id::flaw(text, &[canonical, header])),
            _ => None,
        })
    }

    /// Looks at everything else, once the row is otherwise valid: what a number or a time must be, its own reader says
    /// better.
    pub fn check_texts(&mut self, cells: &Cells<'_>, delta: &Delta) -> Result<(), Reject> {
        let is_number = |name: &str| matches!(delta.member(name), Some(Value::Number(_)));
        self.check(cells, |Column { look, canonical, sound, .. }, text| match look {
            Look::Prose if is_number(canonical) => None,
            Look::Prose => sound.flaw(text, || text::flaw(text)),
            Look::Other if !text.is_ascii() => sound.flaw(text, || text::decoding(text)),
            Look::Id(_) | Look::Number(_) | Look::Other => None,
        })
    }

    fn check(
        &mut self,
        cells: &Cells<'_>,
        mut flaw: impl FnMut(&mut Column, &str) -> Option<Flaw>,
    ) -> Result<(), Reject> {
        for column in &mut self.columns {
            if let Some(text) = cells.get(column.at)
                && let Some(flaw) = flaw(column, text)
            {
                return Err(reject(&column.canonical, &shown(&column.canonical, text), flaw));
            }
        }
        Ok(())
    }

    /// Whether the row is whole; `is_open`: the file ends within its last cell, or does not end its lines.
    pub fn check_end(&mut self, cells: &Cells<'_>, is_open: bool) -> Result<(), Reject> {
        let Some((at, column)) = &mut self.last else { return Ok(()) };
        let text = cells.get(*at).unwrap_or_default();
        if is_open && column.is_cut(text) {
            let name = self.columns.iter().find(|column| column.at == *at).map_or("", |column| &column.canonical);
            let flaw = Flaw {
                rule: Rule::CutOff,
                detail: "the file ends here without a line end, and other rows go on".to_owned(),
                expected: "the whole record; fetch the file again, and see that its writer ends the last line",
            };
            return Err(reject(name, &shown(name, text), flaw));
        }
        column.see(text);
        Ok(())
    }

    /// Takes a valid row into the profiles; the shapes of its cells, for [`Suspects::find`].
    pub fn see(&mut self, cells: &Cells<'_>) -> Shapes {
        let shape = |column: &mut Column| match (&mut column.look, cells.get(column.at)) {
            (Look::Id(ids), Some(text)) => Some(ids.see(text)),
            (Look::Id(ids), None) => {
                ids.miss();
                Some(0)
            }
            (Look::Number(numbers), text) => Some(text.map_or(0, |text| numbers.see(text))),
            (Look::Prose | Look::Other, _) => None,
        };
        Shapes(self.columns.iter_mut().filter_map(shape).collect())
    }

    /// Takes notice of a row that is not valid: its ids are in no profile.
    pub fn miss(&mut self) {
        for column in &mut self.columns {
            if let Look::Id(ids) = &mut column.look {
                ids.miss();
            }
        }
    }

    /// The file has ended: which shapes are odd, and why it is refused as a whole.
    pub fn finish(self) -> (Suspects, Vec<String>) {
        let mut suspects = Suspects::default();
        let mut refusals = Vec::new();
        let has_shapes = |column: &Column| matches!(column.look, Look::Id(_) | Look::Number(_));
        for (place, column) in self.columns.into_iter().filter(has_shapes).enumerate() {
            let flaw_of = |shape| match &column.look {
                Look::Id(ids) => ids.flaw(shape),
                Look::Number(numbers) => numbers.flaw(shape),
                Look::Prose | Look::Other => None,
            };
            for shape in 1..u8::MAX {
                if let Some(flaw) = flaw_of(shape) {
                    suspects.0.push(Suspect { place, shape, canonical: column.canonical.clone(), flaw });
                }
            }
            if let Look::Id(ids) = &column.look
                && let Some((found, examples)) = ids.refusal()
            {
                let examples: Vec<_> = examples.iter().map(|text| shown(&column.canonical, text)).collect();
                refusals.push(format!(
                    "column `{}`: suspect ids: {found} ({}); export the column as text, or list it in input.verbatim if its ids are meant so",
                    column.canonical,
                    examples.join(", ")
                ));
            }
        }
        (suspects, refusals)
    }
}

/// The shapes of one file's cells that do not fit their columns.
#[derive(Debug, Default)]
pub struct Suspects(Vec<Suspect>);

/// A shape that does not fit its column.
#[derive(Debug)]
pub struct Suspect {
    /// Of the cell in [`Shapes`].
    place: usize,
    shape: u8,
    canonical: String,
    flaw: Flaw,
}

impl Suspects {
    /// What does not fit in a row of the file.
    pub fn find(&self, shapes: &Shapes) -> Option<&Suspect> {
        self.0.iter().find(|suspect| shapes.0.get(suspect.place) == Some(&suspect.shape))
    }
}

impl Suspect {
    /// Why the row does not fit its file.
    pub fn reject(&self, row: &StoredRow) -> Reject {
        let text = match self.canonical.as_str() {
            "bill_no" => row.bill_no.as_deref().unwrap_or_default(),
            _ => "",
        };
        reject(&self.canonical, text, self.flaw.clone())
    }
}

/// A value as a reject may show it: whose it is, is nobody's business.
fn shown(canonical: &str, text: &str) -> String {
    if wire::PERSONAL.contains(&canonical) { row::masked(text) } else { text.to_owned() }
}

fn reject(canonical: &str, shown: &str, flaw: Flaw) -> Reject {
    let mut reject = Reject::new(flaw.rule, canonical, shown, flaw.expected);
    match (shown.is_empty(), flaw.detail.is_empty()) {
        (_, true) => {}
        (true, false) => reject.found = flaw.detail,
        (false, false) => reject.found = format!("{} ({})", reject.found, flaw.detail),
    }
    reject
}

#[cfg(test)]
mod tests;
