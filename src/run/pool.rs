//! The signing pool: RSA on a few threads of the operating system, never on the IO runtime. Signing inside its tasks
//! showed a round trip of 6 ms as 52 ms at 128 in flight: timeouts would be fiction. For the same reason they give way to
//! the IO thread where processors are scarce: at 512 in flight one call of a hundred seemed to take 25 ms longer than it did.

use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use super::timings::{Stage, Timings};
use crate::io::cpu;
use crate::model::Reading;
use crate::wire::crypto::{Signer, Verifier};
use crate::wire::{Dialect, Reply, Request};

/// What the pool does.
enum Task {
    Sign { row: u64, body: Arc<[u8]>, now_ms: i64 },
    Read { row: u64, reply: Reply },
}

/// What came of it.
pub enum Product {
    /// A freshly signed request.
    Request(u64, Box<Request>),
    /// What a reply means.
    Reading(u64, Box<Reading>),
}

/// The keys and the wire form that the pool works with.
#[derive(Clone)]
pub struct Tools {
    /// The wire form.
    pub dialect: Arc<dyn Dialect>,
    /// Our key.
    pub signer: Signer,
    /// Any of these verifies.
    pub verifiers: Arc<[Verifier]>,
}

/// The threads. Their queue is as short as the run's slots are few, so a request's time is fresh.
pub struct Pool {
    tasks: Option<Sender<Task>>,
    threads: Vec<JoinHandle<()>>,
}

impl Pool {
    /// Starts one thread per processor, and returns when all are ready; `done` is called with each product.
    ///
    /// The first signature of a process takes longer: up to a tenth of a second, where aws-lc was built to gather
    /// randomness of its own (`.cargo/config.toml`). Behind the quota's clock that would make the first calls late, and
    /// the gateway see them crowded together with those after them.
    pub fn start(
        tools: &Tools,
        timings: &Arc<Timings>,
        done: impl Fn(Product) + Clone + Send + 'static,
    ) -> io::Result<Pool> {
        let (tasks, queue) = channel();
        let queue = Arc::new(Mutex::new(queue));
        let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        let (ready, readiness) = channel();
        let start = |_| {
            let ready = ready.clone();
            let timings = Arc::clone(timings);
            let (queue, tools, done) = (Arc::clone(&queue), tools.clone(), done.clone());
            std::thread::Builder::new().name("signer".to_owned()).spawn(move || {
                cpu::give_way();
                tools.signer.sign(b"");
                drop(ready);
                work(&queue, &tools, &timings, &done);
            })
        };
        let threads = (0..threads).map(start).collect::<io::Result<_>>()?;
        drop(ready);
        let _: Result<(), _> = readiness.recv(); // it ends when the last of them has dropped its end
        Ok(Pool { tasks: Some(tasks), threads })
    }

    /// Signs a body at a moment.
    pub fn sign(&self, row: u64, body: Arc<[u8]>, now_ms: i64) {
        self.give(Task::Sign { row, body, now_ms });
    }

    /// Verifies and reads a reply.
    pub fn read(&self, row: u64, reply: Reply) {
        self.give(Task::Read { row, reply });
    }

    fn give(&self, task: Task) {
        self.tasks.as_ref().expect("open until dropped").send(task).expect("the threads live as long as the pool");
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.tasks.take();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn work(queue: &Mutex<Receiver<Task>>, tools: &Tools, timings: &Timings, done: &impl Fn(Product)) {
    loop {
        let task = queue.lock().expect("no thread panics with the queue").recv();
        match task {
            Ok(Task::Sign { row, body, now_ms }) => {
                let _counting = timings.count(Stage::Sign);
                done(Product::Request(row, Box::new(tools.dialect.request(&body, now_ms, &tools.signer))));
            }
            Ok(Task::Read { row, reply }) => {
                let _counting = timings.count(Stage::Read);
                done(Product::Reading(row, Box::new(tools.dialect.reply(&reply, &tools.verifiers))));
            }
            Err(_) => return,
        }
    }
}
