//! Rows that want a person, as a person can see them: where, which rule, what was found, what was expected; and rows in
//! conflict side by side. Personal ids are masked.

use std::collections::BTreeMap;

use serde::Serialize;
use smol_str::SmolStr;

use super::Fault;
use super::store::{Briefs, Rows, rows_and_fates};
use super::stored::{Content, Fate, StoredRow};
use super::surveyed::Surveyed;
use crate::io::ledger::{BillRow, Ledger};
use crate::model::{Delta, Outcome, Rule};
use crate::wire::personal::is_code;
use crate::wire::row::masked;
use crate::wire::{Dialect, PERSONAL};

/// Findings of each kind that are shown in full; the others are counted.
pub const SHOWN: usize = 20;

/// One rejected row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// `source:line`.
    pub place: String,
    /// The rule's code.
    pub code: String,
    /// The rule's name.
    pub rule: String,
    /// Its bill, where it has one that can be read.
    pub bill_no: Option<SmolStr>,
    /// The canonical column; empty where the record as a whole is at fault.
    pub column: String,
    /// The file's name of that column, where it has one.
    pub column_in_file: Option<String>,
    /// What was found, made visible.
    pub found: String,
    /// What was expected.
    pub expected: String,
    /// The same in a sentence.
    pub message: String,
}

/// A row in conflict, and what it clashes with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Clash {
    /// `source:line`.
    pub place: String,
    /// The kind of conflict.
    pub code: String,
    /// Its bill.
    pub bill_no: Option<SmolStr>,
    /// Where the other one is: `source:line`, or what the ledger knows of it.
    pub other: String,
    /// The columns in which they differ, as far as the other one's are known.
    pub differences: Vec<Difference>,
    /// The same in a sentence.
    pub message: String,
}

/// One column of two rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The canonical column.
    pub column: String,
    /// Here; absent where the row does not have it.
    pub this: Option<String>,
    /// There.
    pub other: Option<String>,
}

/// The findings of a survey.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// Rejected rows by the code of the rule.
    pub rejects: BTreeMap<String, u64>,
    /// The first rejected rows.
    pub first_rejects: Vec<Finding>,
    /// The first rows in conflict.
    pub first_conflicts: Vec<Clash>,
}

/// Where findings are looked up.
pub struct Finder<'a> {
    surveyed: &'a Surveyed,
    rows: Rows,
    dialect: &'a dyn Dialect,
    ledger: &'a Ledger,
    /// What was found so far.
    pub findings: Findings,
}

impl<'a> Finder<'a> {
    /// Over the rows of a survey.
    pub fn new(surveyed: &'a Surveyed, dialect: &'a dyn Dialect, ledger: &'a Ledger) -> Result<Finder<'a>, Fault> {
        let rows = Rows::open(&surveyed.folder())?;
        Ok(Finder { surveyed, rows, dialect, ledger, findings: Findings::default() })
    }

    /// Takes the end of a row, of which `rows` told last.
    pub fn take(&mut self, rows: &Briefs, fate: &Fate) -> Result<(), Fault> {
        let Fate::End { outcome, code, message, by, .. } = fate else { return Ok(()) };
        match outcome {
            Outcome::Rejected => {
                *self.findings.rejects.entry(code.clone()).or_default() += 1;
                if self.findings.first_rejects.len() < SHOWN {
                    let finding = self.reject(&rows.row()?, code, message);
                    self.findings.first_rejects.push(finding);
                }
            }
            Outcome::Conflict if self.findings.first_conflicts.len() < SHOWN => {
                let clash = self.clash(&rows.row()?, code, message, *by)?;
                self.findings.first_conflicts.push(clash);
            }
            _ => {}
        }
        Ok(())
    }

    fn place(&self, row: &StoredRow) -> String {
        format!("{}:{}", self.surveyed.facts[usize::from(row.seat.source)].name, row.seat.line)
    }

    fn reject(&self, row: &StoredRow, code: &str, message: &str) -> Finding {
        let rule = Rule::ALL.iter().find(|rule| rule.code() == code);
        let (column, found, expected) = match &row.content {
            Content::Reject(reject) => (reject.column.clone(), reject.found.clone(), reject.expected.clone()),
            Content::Delta(_) => Default::default(), // rejected in the light of other rows: the message says it
        };
        let columns = &self.surveyed.found.files[usize::from(row.seat.source)].columns;
        Finding {
            place: self.place(row),
            code: code.to_owned(),
            rule: rule.map_or("", |rule| rule.slug()).to_owned(),
            bill_no: row.bill_no.clone(),
            column_in_file: columns.in_file(&column).map(str::to_owned),
            column,
            found,
            expected,
            message: message.to_owned(),
        }
    }

    fn clash(&self, row: &StoredRow, code: &str, message: &str, by: Option<u64>) -> Result<Clash, Fault> {
        let Content::Delta(delta) = &row.content else { unreachable!("rows in conflict are valid") };
        let (other, differences) = match by {
            Some(id) => {
                let other = self.rows.get(id)?;
                let differences = match &other.content {
                    Content::Delta(there) => differing(&shown(delta), &shown(there)),
                    Content::Reject(_) => Vec::new(),
                };
                (self.place(&other), differences)
            }
            None => match delta.bill_id(&self.dialect.scope()).map(|bill| self.ledger.bill(bill)).transpose()? {
                Some(Some(bill)) => (self.told_of(&bill)?, differing_from_ledger(delta, &bill)),
                _ => ("the ledger".to_owned(), Vec::new()),
            },
        };
        let (code, message) = (code.to_owned(), message.to_owned());
        Ok(Clash { place: self.place(row), code, bill_no: row.bill_no.clone(), other, differences, message })
    }

    fn told_of(&self, bill: &BillRow) -> Result<String, Fault> {
        let run = self.ledger.run(bill.last_run)?.map_or_else(|| bill.last_run.to_string(), |run| run.id);
        Ok(format!("the ledger: {} in run {run}", bill.outcome))
    }
}

/// What a row says, column by column.
fn shown(delta: &Delta) -> BTreeMap<String, String> {
    let mut shown = BTreeMap::new();
    let mut add = |column: &str, value: String| drop(shown.insert(column.to_owned(), value));
    add("card", delta.card.to_string());
    add("merchant_id", delta.merchant.to_string());
    add("status", delta.status.as_str().to_owned());
    for field in delta.ids.iter().chain(&delta.members).chain(&delta.riders) {
        add(&field.name, field.value.text());
    }
    if let Some(level) = &delta.level {
        add("level", level.clone());
    }
    if let Some(change) = delta.last_changed_points {
        add("last_changed_points", change.to_string());
    }
    shown
}

fn differing(this: &BTreeMap<String, String>, other: &BTreeMap<String, String>) -> Vec<Difference> {
    let columns: std::collections::BTreeSet<&String> = this.keys().chain(other.keys()).collect();
    let differ = columns.into_iter().filter(|column| this.get(*column) != other.get(*column));
    let of = |row: &BTreeMap<String, String>, column: &str| row.get(column).map(|value| seen(column, value));
    differ
        .map(|column| Difference { column: column.clone(), this: of(this, column), other: of(other, column) })
        .collect()
}

/// The ledger keeps the values of a bill only while it is open or possible; its card it always knows.
fn differing_from_ledger(delta: &Delta, bill: &BillRow) -> Vec<Difference> {
    let mut this = shown(delta);
    let mut other: BTreeMap<String, String> = bill.members.iter().cloned().collect();
    other.insert("card".to_owned(), bill.card_no.clone());
    this.retain(|column, _| other.contains_key(column));
    differing(&this, &other)
}

fn seen(column: &str, value: &str) -> String {
    let personal = column == "card" || is_code(column) || PERSONAL.contains(&column);
    if personal { masked(value) } else { crate::model::reject::visible(value) }
}

/// Tells the log of rejected rows: the first of them in full, then how many broke which rule.
pub fn warn_of_rejects(surveyed: &Surveyed) -> Result<(), Fault> {
    let (mut shown, mut rules) = (0, BTreeMap::<String, u64>::new());
    for item in rows_and_fates(&surveyed.folder())? {
        let (_, row, fate) = item?;
        let Fate::End { outcome: Outcome::Rejected, code, message, .. } = fate else { continue };
        if shown < SHOWN {
            let name = &surveyed.facts[usize::from(row.seat.source)].name;
            tracing::warn!("{name}:{}: rejected, {code} {message}", row.seat.line);
        }
        shown += 1;
        *rules.entry(code).or_default() += 1;
    }
    if shown > SHOWN {
        for (code, rows) in rules {
            let slug = Rule::ALL.iter().find(|rule| rule.code() == code).map_or("", |rule| rule.slug());
            tracing::warn!("rejected by {code} {slug}: {rows} rows (`passync explain {code}`)");
        }
    }
    Ok(())
}
