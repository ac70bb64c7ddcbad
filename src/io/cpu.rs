//! Processor time: what this thread, or the whole process, has used so far. It does not grow while others are at work,
//! so that shares of it mean the same on a busy machine as on a quiet one.

use std::time::Duration;

use rustix::time::{ClockId, Timespec, clock_gettime};

/// Used by the calling thread.
pub fn of_thread() -> Duration {
    duration(clock_gettime(ClockId::ThreadCPUTime))
}

/// Used by all threads of the process, those that have ended included.
pub fn of_process() -> Duration {
    duration(clock_gettime(ClockId::ProcessCPUTime))
}

/// Lets other threads go first where processors are scarce: for the calling thread, and for good.
pub fn give_way() {
    /// Enough that a thread which wakes up is let in at once; more than a third of a processor is left beside one at work.
    const NICE: i32 = 5;
    let _ = rustix::process::nice(NICE); // a favour to others, no more
}

fn duration(time: Timespec) -> Duration {
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
