//! TERM, INT and HUP: the first asks the run to stop, the second ends the process at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;

/// What signals said so far. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Signals(Arc<State>);

#[derive(Debug, Default)]
struct State {
    raised: AtomicBool,
    notify: Notify,
}

impl Signals {
    /// Listens from now on, on a thread of its own: a survey has no runtime that could.
    pub fn listen() -> std::io::Result<Signals> {
        let signals = Signals::default();
        let told = signals.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let kinds = {
            let _guard = runtime.enter();
            [signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?, signal(SignalKind::hangup())?]
        };
        std::thread::Builder::new().name("signals".to_owned()).spawn(move || runtime.block_on(told.serve(kinds)))?;
        Ok(signals)
    }

    async fn serve(self, [mut terminate, mut interrupt, mut hangup]: [Signal; 3]) {
        loop {
            let number = tokio::select! {
                _ = terminate.recv() => 15,
                _ = interrupt.recv() => 2,
                _ = hangup.recv() => 1,
            };
            if self.0.raised.swap(true, Ordering::SeqCst) {
                // At once means at once: everything that counts is durable already.
                std::process::exit(128 + number);
            }
            tracing::warn!("signal {number}: no more sends; waiting for replies. A second signal ends the process");
            self.0.notify.notify_waiters();
            self.0.notify.notify_one();
        }
    }

    /// Whether a signal has come.
    pub fn raised(&self) -> bool {
        self.0.raised.load(Ordering::SeqCst)
    }

    /// Waits for the first signal.
    pub async fn wait(&self) {
        while !self.raised() {
            self.0.notify.notified().await;
        }
    }
}
