//! Signs replies on threads of their own. A signature takes 0.7 ms: made on the thread that reads calls, it would move
//! the arrivals of others together, and the judge of windows would blame the caller.

use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;

use tokio::sync::oneshot;

use crate::wire::crypto::Signer;
use crate::wire::{Answer, Dialect, Reply, Request};

/// One reply to be written.
pub(super) struct Draft {
    /// The wire form of the call.
    pub dialect: Arc<dyn Dialect>,
    /// The call.
    pub asked: Request,
    /// What is said.
    pub answer: Answer,
    /// The wall clock, milliseconds since 1970.
    pub now_ms: i64,
    /// Who signs it, if anybody does.
    pub signer: Option<Signer>,
}

impl Draft {
    fn write(&self) -> Reply {
        self.dialect.write_reply(&self.asked, &self.answer, self.now_ms, self.signer.as_ref())
    }
}

/// A pool of signing threads; they end when it is dropped. Its queue holds at most one draft a connection.
pub(super) struct Press(mpsc::Sender<(Draft, oneshot::Sender<Reply>)>);

impl Press {
    /// Starts the threads.
    pub(super) fn start(threads: usize) -> std::io::Result<Press> {
        let (drafts, queue) = mpsc::channel::<(Draft, oneshot::Sender<Reply>)>();
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..threads {
            let queue = Arc::clone(&queue);
            thread::Builder::new().name("sandbox-sign".to_owned()).spawn(move || {
                loop {
                    let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok((draft, done)) = next else { return };
                    // The caller may be gone by now; then nobody wants the reply.
                    let _ = done.send(draft.write());
                }
            })?;
        }
        Ok(Press(drafts))
    }

    /// Writes a reply; `None` where the signing threads are gone.
    pub(super) async fn reply(&self, draft: Draft) -> Option<Reply> {
        if draft.signer.is_none() {
            return Some(draft.write());
        }
        let (done, reply) = oneshot::channel();
        self.0.send((draft, done)).ok()?;
        reply.await.ok()
    }
}
