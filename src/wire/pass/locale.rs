//! The languages that a card speaks, and its level in each of them.

use crate::model::{Delta, Field, Reject};
use crate::wire::row::{Cells, Col};
use crate::wire::setting::Keys;
use crate::wire::{ColumnFault, SettingFault};

/// A member a locale and the rest of the members together are bits of a `u64` ([`Delta::MEMBERS_MAX`]).
const LOCALES_MAX: usize = 16;

/// The configured locales, in the order in which bodies name them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Locales(Vec<String>);

impl Locales {
    /// Reads `gateway.locales`.
    pub fn from_settings(keys: &Keys<'_>) -> Result<Locales, SettingFault> {
        let locales = keys.texts("locales", &["zh_HK", "en_US"])?;
        if locales.is_empty() || locales.len() > LOCALES_MAX {
            return Err(keys.fault("locales", format!("found {}, expected 1 to {LOCALES_MAX}", locales.len())));
        }
        let plain = |locale: &&str| locale.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        match locales.iter().find(|locale| !plain(locale)) {
            Some(odd) => Err(keys.fault("locales", format!("found {odd:?}, expected a locale as \"zh_HK\""))),
            None => Ok(Locales(locales.into_iter().map(str::to_owned).collect())),
        }
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Whether it is one of them.
    pub fn has(&self, locale: &str) -> bool {
        self.0.iter().any(|known| known == locale)
    }

    /// A fault of `column` unless its `locale` is one of them.
    pub fn check(&self, column: &str, locale: &str) -> Result<(), ColumnFault> {
        if self.has(locale) {
            return Ok(());
        }
        let known = self.0.join(", ");
        Err(ColumnFault {
            column: column.to_owned(),
            text: format!(
                "`{locale}` is not in `gateway.locales` ({known}); add it, or list the column in `input.ignore`"
            ),
        })
    }
}

/// Reads `level.<locale>`, and `level` for every locale that has no level of its own in the row.
pub struct LevelReader {
    level: Col,
    /// Sorted by name: what a row says must not depend on the order of `gateway.locales`.
    levels: Vec<Col>,
}

impl LevelReader {
    /// Looks the columns up.
    pub fn new(columns: &[String], locales: &Locales) -> Result<LevelReader, ColumnFault> {
        for column in columns {
            if let Some(locale) = column.strip_prefix("level.") {
                locales.check(column, locale)?;
            }
        }
        let mut levels: Vec<_> = locales.iter().map(|locale| Col::of(columns, &format!("level.{locale}"))).collect();
        levels.sort_by(|one, other| one.name().cmp(other.name()));
        Ok(LevelReader { level: Col::of(columns, "level"), levels })
    }

    /// How many members a row may have from here.
    pub fn members_max(&self) -> usize {
        self.levels.len()
    }

    /// The columns, `level` first.
    pub fn columns(&self) -> impl Iterator<Item = &Col> {
        std::iter::once(&self.level).chain(&self.levels)
    }

    /// Adds the levels to a delta's members.
    pub fn read(&self, cells: &Cells<'_>, delta: &mut Delta) -> Result<(), Reject> {
        let every = self.level.cell(cells);
        for column in &self.levels {
            let level = column.cell(cells).or(every);
            delta.members.extend(level.map(|level| Field::text(column.name(), level)));
        }
        delta.level = every.map(str::to_owned);
        Ok(())
    }
}
