//! Signs replies on threads of their own. A signature takes 0.7 ms: made on the thread that reads calls, it would move
//! the arrivals of others together, and the judge of windows would blame the caller.

use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;

use tokio::sync::oneshot;

use crate::wire::crypto::Signer;
use crate::wire::{Answer, Dialect, Reply};

/// One reply to be signed.
struct Draft {
    answer: Answer,
    now_ms: i64,
    signer: Signer,
    done: oneshot::Sender<Reply>,
}

/// A pool of signing threads; they end when it is dropped. Its queue holds at most one draft a connection.
pub(super) struct Press {
    dialect: Arc<dyn Dialect>,
    drafts: mpsc::Sender<Draft>,
}

impl Press {
    /// Starts the threads.
    pub(super) fn start(dialect: Arc<dyn Dialect>, threads: usize) -> std::io::Result<Press> {
        let (drafts, queue) = mpsc::channel::<Draft>();
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..threads {
            let (dialect, queue) = (Arc::clone(&dialect), Arc::clone(&queue));
            thread::Builder::new().name("sandbox-sign".to_owned()).spawn(move || {
                loop {
                    let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok(draft) = next else { return };
                    let reply = dialect.write_reply(&draft.answer, draft.now_ms, Some(&draft.signer));
                    // The caller may be gone by now; then nobody wants the reply.
                    let _ = draft.done.send(reply);
                }
            })?;
        }
        Ok(Press { dialect, drafts })
    }

    /// Writes a reply; `None` where the signing threads are gone.
    pub(super) async fn reply(&self, answer: Answer, now_ms: i64, signer: Option<Signer>) -> Option<Reply> {
        let Some(signer) = signer else { return Some(self.dialect.write_reply(&answer, now_ms, None)) };
        let (done, reply) = oneshot::channel();
        self.drafts.send(Draft { answer, now_ms, signer, done }).ok()?;
        reply.await.ok()
    }
}
