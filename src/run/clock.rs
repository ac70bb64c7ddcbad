//! The clocks of a run. The wall clock may jump while a run is on: people and time services set it, either way. So it
//! is read once when the process begins, to know what time it is; for every request, whose signed time must be what the
//! wall clock says then; and to be compared with what is dated by it (the gateway's `Date`, files that were just written).
//! All that a run decides or writes down about its rows goes by [`RunClock`].

use jiff::Timestamp;

use crate::io::boot;

/// The wall clock as it was when the process began, carried on by the time since boot, which nobody sets and which
/// goes on while the machine sleeps.
#[derive(Clone, Copy, Debug)]
pub struct RunClock {
    began_ms: i64,
    began_ns: i64,
}

impl RunClock {
    /// A clock that begins now.
    pub fn start() -> RunClock {
        RunClock::at(wall_ms(), boot::clock_ns())
    }

    /// A clock that shows `wall_ms` (milliseconds since 1970) when `boot_ns` (nanoseconds) have passed since boot.
    fn at(wall_ms: i64, boot_ns: i64) -> RunClock {
        RunClock { began_ms: wall_ms, began_ns: boot_ns }
    }

    /// When it began, milliseconds since 1970: what a command was started for does not change while it waits.
    pub fn began_ms(self) -> i64 {
        self.began_ms
    }

    /// Milliseconds since 1970.
    pub fn now_ms(self) -> i64 {
        self.ms_at(boot::clock_ns())
    }

    fn ms_at(self, boot_ns: i64) -> i64 {
        self.began_ms + (boot_ns - self.began_ns) / 1_000_000
    }
}

/// The wall clock, milliseconds since 1970: for the signed request time, and for commands that look at one moment.
pub fn wall_ms() -> i64 {
    Timestamp::now().as_millisecond()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_by_the_time_since_boot_alone() {
        let clock = RunClock::at(1_700_000_000_000, 5_000_000_000);
        assert_eq!(clock.ms_at(5_000_000_000), 1_700_000_000_000);
        assert_eq!(clock.ms_at(3_605_000_000_000), 1_700_003_600_000);
        let clock = RunClock::start();
        assert!((clock.now_ms() - wall_ms()).abs() < 1_000);
    }
}
