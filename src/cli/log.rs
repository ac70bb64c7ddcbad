//! The log: text or JSON lines on stderr.

use std::io::{Write, stderr};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{format, layer};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::{CliError, Global, LogFormat, Screen};

/// Begins the log. Libraries are heard from warnings on, and only with -vv below that: their debug lines would show
/// requests.
pub fn begin(global: &Global, screen: Screen) -> Result<(), CliError> {
    let words = match (global.quiet, global.verbose) {
        (true, _) => "error",
        (false, 0) => "warn,passync=info",
        (false, 1) => "warn,passync=debug",
        (false, _) => "info,passync=trace",
    };
    let asked = std::env::var("PASSYNC_LOG").unwrap_or_default();
    let words = if asked.is_empty() { words } else { &asked };
    let filter = EnvFilter::try_new(words).map_err(|error| {
        CliError::usage(format!("PASSYNC_LOG={words}: {error}"))
            .help("for example PASSYNC_LOG=passync=debug,hyper=info")
    })?;
    let registry = tracing_subscriber::registry().with(filter);
    let done = match global.log_format {
        LogFormat::Json => registry.with(layer().json().flatten_event(true).with_writer(stderr)).try_init(),
        LogFormat::Text => {
            let time = Stamp { shown: !screen.progress };
            let writer = move || Lines { over_progress: screen.progress };
            let text = layer().with_writer(writer).with_ansi(screen.color).with_target(false).with_timer(time);
            registry.with(text).try_init()
        }
    };
    done.expect("the log begins once");
    Ok(())
}

/// Lines on stderr. Where a progress line stands there, it is wiped first; it is drawn again below.
struct Lines {
    over_progress: bool,
}

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        const WIPE: &[u8] = b"\r\x1b[2K";
        let mut out = stderr().lock();
        if self.over_progress {
            out.write_all(WIPE)?;
        }
        out.write_all(line).map(|()| line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        stderr().flush()
    }
}

/// The time in UTC where lines go to a file; on a terminal a person has a clock of their own.
struct Stamp {
    shown: bool,
}

impl FormatTime for Stamp {
    fn format_time(&self, writer: &mut format::Writer<'_>) -> std::fmt::Result {
        if self.shown { SystemTime.format_time(writer) } else { Ok(()) }
    }
}
