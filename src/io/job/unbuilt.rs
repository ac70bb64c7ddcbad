//! Keys that a job file may have, and that do nothing yet. Set to something they are refused: a guard that is parsed
//! and not kept would be worse than none.

use super::fault::Fault;
use super::layers::Layers;

/// Path, and what would not happen.
const UNBUILT: &[(&str, &str)] = &[("output.keep", "no old run would be removed")];

impl Layers<'_> {
    /// Refuses keys that are set to something and would do nothing.
    pub(super) fn refuse_unbuilt(&mut self) {
        for (path, loss) in UNBUILT {
            let (said, default) = (self.root.at(path), self.defaults.at(path).expect("an unbuilt key has a default"));
            let Some(node) = said.filter(|node| node.bare() != default.bare()) else { continue };
            self.faults.push(Fault {
                spot: Some(node.spot),
                title: format!("{path}: is not built yet"),
                label: (*loss).to_owned(),
                help: Some("remove it from the job until a later version has it".to_owned()),
            });
        }
    }
}
