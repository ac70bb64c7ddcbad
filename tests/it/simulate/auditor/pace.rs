//! The pace of a run that somebody before the gateway throttles for a while. No law of the CONTRACT, but what AIMD is for.

use passync::model::{Tick, Verdict};

use super::Auditor;

/// What was sent, and what was throttled, window by window.
#[derive(Debug, Default)]
pub struct Pace {
    windows: Vec<(u64, u64)>,
}

/// Windows after the throttling in which the pace comes back. A tenth of it does in each.
const BACK: usize = 15;
/// Windows behind them in which it is measured.
const MEASURED: usize = 10;

impl Auditor {
    pub(super) fn note_send(&mut self, now: Tick) {
        if self.narrow.is_some() {
            self.window_of(now).0 += 1;
        }
    }

    pub(super) fn note_reply(&mut self, now: Tick, verdict: Verdict) {
        if self.narrow.is_some() && verdict == Verdict::Throttled {
            self.window_of(now).1 += 1;
        }
    }

    fn window_of(&mut self, now: Tick) -> &mut (u64, u64) {
        let at = (now.since(Tick::ZERO).as_nanos() / self.window.as_nanos()) as usize;
        let windows = &mut self.pace.windows;
        windows.resize(windows.len().max(at + 1), (0, 0));
        &mut windows[at]
    }

    /// At the end of the first run.
    pub(super) fn check_pace(&mut self) {
        let Some((permits, until)) = self.narrow.take() else { return };
        let narrow = (until.since(Tick::ZERO).as_nanos() / self.window.as_nanos()) as usize;
        let (before, after) = self.pace.windows.split_at(narrow);
        let sum = |windows: &[(u64, u64)]| windows.iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        let (sent, throttled) = sum(before);
        assert!(throttled * 2 <= sent, "{throttled} of {sent} sends were throttled: too fast");
        let useful = (sent - throttled) as f64 / (f64::from(permits) * narrow as f64);
        assert!(useful >= 0.7, "{useful} of what was permitted was used: too slow");
        let (sent, _) = sum(&after[BACK..BACK + MEASURED]);
        let full = (self.quota * MEASURED) as f64;
        assert!(sent as f64 >= 0.8 * full, "{sent} of {full} sends after the throttling: the pace does not come back");
    }
}
