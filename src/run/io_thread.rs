//! The runtime of the IO thread, which runs the driver and all connections.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

/// From so many requests under way on there is news at any time ...
const CROWD: u64 = 32;

/// ... and it is gathered for so long, which is little against any call. Signers give way to this thread: woken by each
/// product of theirs, each reply and each commit it would use a tenth more of a processor, and keep putting them aside.
const GATHER: Duration = Duration::from_micros(300);

/// The runtime; `in_flight`: requests under way.
pub fn runtime(in_flight: Arc<AtomicU64>) -> io::Result<Runtime> {
    let gather = move || {
        if in_flight.load(Ordering::Relaxed) >= CROWD {
            std::thread::sleep(GATHER);
        }
    };
    Builder::new_current_thread().enable_all().on_thread_park(gather).build()
}
