//! Every bound of the core, with its reason.

use std::time::Duration;

/// Rows of the plan that are in memory at once. A row is about 200 bytes here and about 1 KiB with its body, so
/// this is the 8 MiB that keep 4,096 lanes fed even where a card's rows are neighbours.
pub const WINDOW_ROWS: usize = 8_192;

/// Rows asked of the reader at once: enough that a wake-up is cheap, small against the window.
pub const READ_ROWS: usize = 512;

/// Rows that one row may absorb. A group is in the window as a whole, so it must be small against it.
pub const COALESCED_MAX: u32 = 1_024;

/// Rows of one card that are judged at once: a card may have all rows of a run. So few in this crate's tests that theirs
/// do not always suffice; otherwise large against what one row may absorb, which is less at the end of a stretch.
pub const STRETCH_ROWS: usize = if cfg!(test) { 6 } else { 4 * COALESCED_MAX as usize };

/// Cards that hold later rows back in one run. The set is in memory; a run with more doubt than this is halted.
pub const HELD_CARDS: usize = 200_000;

/// Unsigned configuration codes in a row, on different cards, that halt a run.
pub const UNSIGNED_CONFIGURATION: usize = 5;

/// Cards in a row without an answer that can be believed, before that is the gateway's fault and not theirs: were three
/// replies of ten lost by chance, eight in a row would come once in 15,000.
pub const UNANSWERED_CARDS: usize = 8;

/// How long a run waits for a gateway that it never heard: a wrong address or a wrong key will not mend itself.
pub const NEVER_HEARD: Duration = Duration::from_secs(120);

/// How long a run waits for a gateway that it heard before: ten minutes of outage must cost no row.
pub const OUTAGE: Duration = Duration::from_secs(15 * 60);

/// The longest that one reply may have us wait (`Retry-After`): as long as an outage. A proxy that names days must not
/// stop a night, and whoever is asked again after so long is not hurt by it.
pub const RETRY_AFTER: Duration = OUTAGE;

/// How far our clock may be from the gateway's before that is told. `Date` has whole seconds, and a machine with a time
/// service is off by milliseconds; gateways that look at request times are known to permit minutes, ours state no figure.
pub const CLOCK_TOLERANCE: Duration = Duration::from_secs(60);

/// The share of errors is judged from so many settled sends on: less is chance.
pub const ERRORS_JUDGED_FROM: u64 = 100;

/// In-doubt retries that every run may spend, however few its rows.
pub const BUDGET_LEAST: u64 = 100;
