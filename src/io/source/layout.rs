//! File columns -> the dialect's columns. Pure: a header, the settings and the dialect are all it knows.
//!
//! A column that almost bears a canonical name, or bears one that this dialect cannot send, stops the job: a level
//! that is silently not sent is worse than a job that asks. Every other unknown column is kept for the failure file.

use std::borrow::Cow;
use std::fmt;

use super::{Cells, Kind, TailColumn};
use crate::io::job::settings;
use crate::model::reject::{shown, veiled};
use crate::wire::{self, Columns, Dialect};

/// How the columns of one file become canonical ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    columns: Vec<String>,
    /// By canonical column: where its cells come from.
    sources: Vec<Source>,
    meta: Meta,
    /// (canonical name, name in the file), in the file's order.
    pub sent: Vec<(String, String)>,
    /// Canonical columns that every row takes from `[input.defaults]`.
    pub defaulted: Vec<String>,
    /// Unknown columns of the file: kept for the failure file, otherwise ignored.
    pub kept: Vec<String>,
    /// Columns that `input.ignore` lists.
    pub ignored: Vec<String>,
}

/// Where a canonical column's cells come from.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Source {
    /// A column of the file; the default fills its absent cells (`defaults_fill_empty`).
    File { column: usize, absent: Option<String> },
    /// The file has no such column.
    Default(String),
}

/// Where a failure file tells whose row a line is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    /// `_outcome`: the class that `replay --include` asks for.
    pub outcome: Option<usize>,
    /// `_run`.
    pub run: Option<usize>,
    /// `_source`.
    pub source: Option<usize>,
    /// `_line`.
    pub line: Option<usize>,
}

/// Why a file's columns cannot be used, everything at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayoutFault {
    /// One sentence each: what was found, what was expected, what to do.
    pub faults: Vec<String>,
    /// Whether it is the file alone that is at fault, not the job: ids that are no text any more.
    pub is_of_input: bool,
}

impl std::error::Error for LayoutFault {}

impl fmt::Display for LayoutFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.faults.join("\n"))
    }
}

impl Layout {
    /// Lays the columns of a file out. `kinds` stand as `header`.
    pub fn new(
        header: &[String],
        kinds: &[Kind],
        settings: &settings::Input,
        dialect: &dyn Dialect,
    ) -> Result<Layout, LayoutFault> {
        let mut draft =
            Draft { header, kinds, settings, dialect, used: Vec::new(), faults: Vec::new(), suspect: Vec::new() };
        draft.check_names();
        draft.take_mapped();
        let (kept, ignored) = draft.take_by_name();
        draft.check_kinds();
        draft.check_verbatim();
        let layout = draft.assemble(kept, ignored);
        draft.check_required(&layout.columns);
        let Draft { mut faults, suspect, .. } = draft;
        let is_of_input = faults.is_empty();
        faults.extend(suspect);
        if faults.is_empty() { Ok(layout) } else { Err(LayoutFault { faults, is_of_input }) }
    }

    /// The canonical columns, those with a default included.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Where a failure file tells whose row a line is.
    pub fn meta(&self) -> Meta {
        self.meta
    }

    /// The file's column behind a canonical one, for rows that cannot be read as a whole.
    pub fn column_of(&self, canonical: &str) -> Option<usize> {
        let at = self.columns.iter().position(|column| column == canonical)?;
        match &self.sources[at] {
            Source::File { column, .. } => Some(*column),
            Source::Default(_) => None,
        }
    }

    /// The file's columns that must be read, for [`Reader::select`](super::Reader::select).
    pub fn needed(&self) -> Vec<usize> {
        let sent = self.sources.iter().filter_map(|source| match source {
            Source::File { column, .. } => Some(*column),
            Source::Default(_) => None,
        });
        let Meta { outcome, run, source, line } = self.meta;
        sent.chain([outcome, run, source, line].into_iter().flatten()).collect()
    }

    /// Puts the canonical cells of a row into `out`, as [`Layout::columns`] stand.
    pub fn project<'a>(&'a self, cells: Cells<'a>, out: &mut Vec<Option<Cow<'a, str>>>) {
        out.clear();
        out.extend(self.sources.iter().map(|source| {
            let cell = match source {
                Source::File { column, absent } => cells.get(*column).or(absent.as_deref()),
                Source::Default(value) => Some(value.as_str()),
            };
            cell.filter(|cell| !cell.is_empty()).map(Cow::Borrowed)
        }));
    }
}

/// A layout in the making.
struct Draft<'a> {
    header: &'a [String],
    kinds: &'a [Kind],
    settings: &'a settings::Input,
    dialect: &'a dyn Dialect,
    /// (column of the file, canonical name).
    used: Vec<(usize, String)>,
    faults: Vec<String>,
    /// Columns of ids that are numbers.
    suspect: Vec<String>,
}

impl Draft<'_> {
    fn check_names(&mut self) {
        for (at, name) in self.header.iter().enumerate() {
            if name.trim().is_empty() {
                self.faults.push(format!("column {} of the header has no name; every column wants one", at + 1));
            } else if let Some(first) = self.header[..at].iter().position(|earlier| earlier == name) {
                let fault = format!(
                    "the header has `{}` twice, as columns {} and {}; names are unique",
                    as_named(name),
                    first + 1,
                    at + 1
                );
                self.faults.push(fault);
            }
        }
    }

    /// `[input.columns]`.
    fn take_mapped(&mut self) {
        for (canonical, file) in &self.settings.columns {
            if self.dialect.column(canonical).is_none() {
                self.faults.push(format!("[input.columns] {canonical}: {}", self.not_a_column(canonical)));
            }
            if self.settings.ignore.contains(file) {
                self.faults.push(format!(
                    "the column `{file}` is mapped to `{canonical}` and listed in input.ignore; take one away"
                ));
            }
            match self.header.iter().position(|name| name == file) {
                Some(column) => self.used.push((column, canonical.clone())),
                None => self.faults.push(format!(
                    "[input.columns] {canonical} = \"{file}\": the file has no such column; {}",
                    found(self.header, file)
                )),
            }
        }
    }

    /// Columns that bear a canonical name themselves; the others are (kept, ignored).
    fn take_by_name(&mut self) -> (Vec<String>, Vec<String>) {
        let (mut kept, mut ignored) = (Vec::new(), Vec::new());
        for (column, name) in self.header.iter().enumerate() {
            if name.starts_with('_') || self.used.iter().any(|(used, _)| *used == column) {
                continue;
            }
            let remedy = "map it in [input.columns] or list it in input.ignore";
            if self.settings.ignore.contains(name) {
                ignored.push(name.clone());
            } else if self.dialect.column(name).is_some() {
                match self.settings.columns.iter().find(|(canonical, _)| canonical == name) {
                    Some((_, file)) => self.faults.push(format!(
                        "`{name}` is mapped to the column `{file}`, and the file has a column `{name}` too; list one of them in input.ignore"
                    )),
                    None => self.used.push((column, name.clone())),
                }
            } else if is_canonical(name) {
                let fault = format!("{} cannot send the column `{name}`; {remedy}", self.dialect.name());
                self.faults.push(fault);
            } else if let Some(near) = near_miss(name, self.dialect.columns()) {
                let name = shown(name, 60);
                self.faults.push(format!("the column `{name}` is nearly `{near}`; rename it, {remedy}"));
            } else {
                kept.push(name.clone());
            }
        }
        self.used.sort();
        (kept, ignored)
    }

    fn check_kinds(&mut self) {
        for (column, canonical) in &self.used {
            let is_id = self.dialect.column(canonical).is_some_and(|known| known.id);
            match self.kinds.get(*column) {
                Some(Kind::Float) if is_id => self.suspect.push(format!(
                    "suspect ids: the column `{}` holds floating-point numbers, and `{canonical}` is an id: digits are already lost; export it as text",
                    self.header[*column]
                )),
                Some(Kind::Decimal) if is_id && !self.settings.verbatim.contains(canonical) => self.suspect.push(format!(
                    "suspect ids: the column `{}` holds decimal numbers, and `{canonical}` is an id: leading zeros are already lost; export it as text, or list `{canonical}` in input.verbatim if its ids are numbers",
                    self.header[*column]
                )),
                Some(Kind::Nested) if !wire::is_json(canonical) => self.faults.push(format!(
                    "the column `{}` is nested (a list, map or struct), and `{canonical}` is not; write it as text",
                    self.header[*column]
                )),
                Some(Kind::Unreadable(why)) => {
                    self.faults.push(format!("the column `{}` cannot be read as `{canonical}`: it is {why}", self.header[*column]));
                }
                _ => {}
            }
        }
    }

    fn check_verbatim(&mut self) {
        for canonical in &self.settings.verbatim {
            if self.dialect.column(canonical).is_none() {
                self.faults.push(format!("input.verbatim: `{canonical}`: {}", self.not_a_column(canonical)));
            }
        }
    }

    fn assemble(&mut self, kept: Vec<String>, ignored: Vec<String>) -> Layout {
        let position = |column: TailColumn| self.header.iter().position(|name| name == column.name());
        let mut layout = Layout {
            columns: Vec::new(),
            sources: Vec::new(),
            meta: Meta {
                outcome: position(TailColumn::Outcome),
                run: position(TailColumn::Run),
                source: position(TailColumn::Source),
                line: position(TailColumn::Line),
            },
            sent: Vec::new(),
            defaulted: Vec::new(),
            kept,
            ignored,
        };
        let default_of = |wanted: &String| self.settings.defaults.iter().find(|(name, _)| name == wanted);
        for (column, canonical) in &self.used {
            let absent =
                default_of(canonical).filter(|_| self.settings.defaults_fill_empty).map(|(_, value)| value.clone());
            layout.columns.push(canonical.clone());
            layout.sources.push(Source::File { column: *column, absent });
            layout.sent.push((canonical.clone(), self.header[*column].clone()));
        }
        for (canonical, value) in &self.settings.defaults {
            if self.dialect.column(canonical).is_none() {
                self.faults.push(format!("[input.defaults] {canonical}: {}", self.not_a_column(canonical)));
            } else if !layout.columns.contains(canonical) {
                layout.columns.push(canonical.clone());
                layout.sources.push(Source::Default(value.clone()));
                layout.defaulted.push(canonical.clone());
            }
        }
        layout
    }

    fn check_required(&mut self, columns: &[String]) {
        for name in self.dialect.columns().iter() {
            let is_required = self.dialect.column(name).is_some_and(|known| known.required);
            // A column whose mapping leads nowhere is told already.
            let is_mapped = self.settings.columns.iter().any(|(canonical, _)| canonical == name);
            if is_required && !is_mapped && !columns.iter().any(|column| column == name) {
                self.faults.push(format!(
                    "the required column `{name}` is missing; {}; map it: [input.columns] {name} = \"...\"",
                    found(self.header, name)
                ));
            }
        }
    }

    fn not_a_column(&self, name: &str) -> String {
        let dialect = self.dialect.name();
        match near_miss(name, self.dialect.columns()) {
            Some(near) => format!("{dialect} has no such column; did you mean `{near}`?"),
            None => format!(
                "{dialect} has no such column; it has {}",
                self.dialect.columns().iter().collect::<Vec<_>>().join(", ")
            ),
        }
    }
}

/// The columns that a file has, and the one that is nearest to what was wanted.
fn found(header: &[String], wanted: &str) -> String {
    const SHOWN_MAX: usize = 40;
    let own: Vec<_> = header.iter().filter(|name| !TailColumn::is_tail(name)).collect();
    let mut names: Vec<_> = own.iter().take(SHOWN_MAX).map(|name| format!("`{}`", as_named(name))).collect();
    if own.len() > SHOWN_MAX {
        names.push(format!("{} more", own.len() - SHOWN_MAX));
    }
    let nearest = own.iter().min_by_key(|name| strsim::osa_distance(&folded(name), &folded(wanted)));
    let nearest = nearest.map_or(String::new(), |name| format!(" (the nearest is `{}`)", as_named(name)));
    let row =
        if own.iter().any(|name| is_value(name)) { "; its first line looks like a row, not like names" } else { "" };
    format!("it has {}{nearest}{row}", names.join(", "))
}

/// A column's name as messages show it. Without a line of names the first row stands for it, and that names a person.
fn as_named(name: &str) -> String {
    if is_value(name) { veiled(name) } else { shown(name, 60) }
}

/// Whether a name is rather an id, a number, a time or an address.
fn is_value(name: &str) -> bool {
    name.contains('@') || name.bytes().filter(u8::is_ascii_digit).count() > 4
}

/// Whether a name is canonical in some dialect.
fn is_canonical(name: &str) -> bool {
    wire::canonical().any(|canonical| match canonical.split_once('<') {
        Some((head, _)) => name.len() > head.len() && name.starts_with(head),
        None => canonical == name,
    })
}

/// The canonical name that `name` misses by at most two edits, by case or by separators.
fn near_miss(name: &str, columns: Columns) -> Option<&'static str> {
    columns.iter().find(|canonical| match canonical.split_once(".<") {
        Some((head, _)) => misses_pattern(name, head),
        None => folded(name) == folded(canonical) || strsim::osa_distance(name, canonical) <= EDITS_MAX,
    })
}

const EDITS_MAX: usize = 2;

/// `level_zh_HK`, `Level.en_US`, `levl.zh_HK` for the head `level`.
fn misses_pattern(name: &str, head: &str) -> bool {
    if name.trim() != name {
        return name.trim().starts_with(&format!("{head}.")) || misses_pattern(name.trim(), head);
    }
    let Some(at) = name.find(['.', '_', '-', ' ', ':', '/']).filter(|at| at + 1 < name.len()) else { return false };
    let own = &name[..at];
    folded(own) == head || (name[at..].starts_with('.') && strsim::osa_distance(own, head) <= EDITS_MAX)
}

/// Without case and separators.
fn folded(name: &str) -> String {
    name.chars().filter(|character| character.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests;
