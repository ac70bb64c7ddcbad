//! The machine's boot and the time since it: what quota stamps are compared by, whatever the wall clock does.

use rustix::time::{ClockId, clock_gettime};

/// The kernel's name for this boot; empty where it does not tell, which is then no boot at all.
pub fn id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned()).unwrap_or_default()
}

/// Nanoseconds since boot, sleep included.
pub fn clock_ns() -> i64 {
    let time = clock_gettime(ClockId::Boottime);
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}
