//! The members of a run's rows: names that are bits from the survey on.

use super::Fault;
use crate::model::Delta;

/// The canonical members of a run, each a bit.
#[derive(Clone, Debug, Default)]
pub struct Members(pub Vec<String>);

impl Members {
    /// The mask of these members; names not met in this run have no bit.
    pub fn mask<'a>(&self, names: impl Iterator<Item = &'a str>) -> u64 {
        names.filter_map(|name| self.0.iter().position(|known| known == name)).fold(0, |mask, bit| mask | 1 << bit)
    }

    /// The names of a mask.
    pub fn names(&self, mask: u64) -> Vec<String> {
        self.0.iter().enumerate().filter(|(bit, _)| mask >> bit & 1 == 1).map(|(_, name)| name.clone()).collect()
    }

    /// Takes the members of a row; their mask.
    pub fn learn(&mut self, delta: &Delta) -> Result<u64, Fault> {
        let mut mask = 0;
        for member in &delta.members {
            let known = self.0.iter().position(|known| *known == member.name);
            if known.is_none() {
                if self.0.len() == Delta::MEMBERS_MAX {
                    return Err(Fault::input(format!(
                        "the inputs have more than {} different members (the last is `{}`): split them into several runs",
                        Delta::MEMBERS_MAX,
                        member.name
                    )));
                }
                self.0.push(member.name.to_string());
            }
            mask |= 1 << known.unwrap_or(self.0.len() - 1);
        }
        Ok(mask)
    }
}
