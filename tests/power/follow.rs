//! What the calls of a process do to the folders of a job: calls in, events out. A call that it does not know stops the
//! test; and when the command has ended, the model must show what is really there.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::disk::{Disk, Event, Node, NodeId};
use super::image::{Image, Thing};
use super::strace::{Arg, Call};

/// A process under observation.
pub struct Process<'a> {
    base: &'a Path,
    disk: &'a mut Disk,
    events: &'a mut Vec<Event>,
    /// The line of the trace on which each event of this process came about.
    lines: Vec<usize>,
    /// Events of earlier processes.
    earlier: usize,
    open: HashMap<i64, Handle>,
}

struct Handle {
    node: NodeId,
    offset: usize,
}

/// Appends what these calls did under `base` to `events`, and to the disk.
pub fn follow(calls: &[Call], base: &Path, disk: &mut Disk, events: &mut Vec<Event>) {
    let earlier = events.len();
    let mut process = Process { base, disk, events, lines: Vec::new(), earlier, open: HashMap::new() };
    // Whoever closes a descriptor loses it, and whoever sends has sent, as soon as the call begins.
    let is_early = |call: &Call| call.name == "close" || call.name.starts_with("send") || is_request(call);
    let mut order: Vec<(usize, &Call)> =
        calls.iter().map(|call| (if is_early(call) { call.began } else { call.ended }, call)).collect();
    order.sort_by_key(|(line, _)| *line);
    for (line, call) in order {
        // A process that ends itself may leave others in the middle of a call; what they sent may have left.
        if call.returned.is_some_and(|returned| returned >= 0) || call.returned.is_none() && is_request(call) {
            process.take(call, line);
        }
    }
}

/// Whether a call carries a request to the gateway: to a socket, and with its first line.
fn is_request(call: &Call) -> bool {
    matches!(call.args.first(), Some(Arg::Descriptor(_, None))) && call.bytes().starts_with(b"POST ")
}

impl Process<'_> {
    fn take(&mut self, call: &Call, line: usize) {
        let returned = call.returned.unwrap_or(0);
        let handle = call.descriptor().filter(|descriptor| self.open.contains_key(descriptor));
        match (&call.name[..], handle) {
            (_, None) if is_request(call) => self.tell(line, Event::Sent { request: call.bytes() }),
            ("open" | "openat" | "openat2" | "creat", _) => self.opened(call, returned, line),
            ("close", _) => drop(call.descriptor().and_then(|descriptor| self.open.remove(&descriptor))),
            ("write" | "writev", Some(descriptor)) => {
                let handle = self.open.get_mut(&descriptor).unwrap();
                let (file, offset) = (handle.node, handle.offset);
                handle.offset += returned as usize;
                self.wrote(file, offset, call, line);
            }
            ("pwrite64" | "pwritev", Some(descriptor)) => {
                self.wrote(self.open[&descriptor].node, call.number(3), call, line);
            }
            ("lseek", Some(descriptor)) => self.open.get_mut(&descriptor).unwrap().offset = returned as usize,
            ("ftruncate", Some(descriptor)) => {
                self.tell(line, Event::Resized { file: self.open[&descriptor].node, length: call.number(1) });
            }
            ("fsync" | "fdatasync", Some(descriptor)) => {
                let before = self.earlier + self.lines.partition_point(|line| *line < call.began);
                self.tell(line, Event::Synced { node: self.open[&descriptor].node, before });
            }
            ("mmap", _) => self.mapped(call),
            (name, Some(_)) if !name.ends_with("at") => panic!("the model does not know this call: {call:?}"),
            _ => self.named(call, line),
        }
    }

    /// Calls that go by names.
    fn named(&mut self, call: &Call, line: usize) {
        let mut paths = call.paths(self.base);
        let Some(path) = paths.pop().and_then(|path| self.ours(&path)) else { return };
        let place = self.disk.place(&path).unwrap_or_else(|| panic!("no folder for {call:?}"));
        let made = |node| Event::Made { folder: place.0, name: place.1.clone(), node };
        let event = match &call.name[..] {
            "mkdir" | "mkdirat" => made(Node::folder()),
            "symlink" | "symlinkat" => {
                let Some(Arg::Bytes(target)) = call.args.first() else { panic!("no target: {call:?}") };
                made(Node::Link(String::from_utf8(target.clone()).unwrap()))
            }
            "unlink" | "unlinkat" | "rmdir" => Event::Removed { folder: place.0, name: place.1 },
            "rename" | "renameat" | "renameat2" => {
                let from = paths.pop().and_then(|path| self.ours(&path)).and_then(|path| self.disk.place(&path));
                Event::Renamed { from: from.unwrap_or_else(|| panic!("from elsewhere: {call:?}")), to: place }
            }
            _ => panic!("the model does not know this call: {call:?}"),
        };
        self.tell(line, event);
    }

    fn opened(&mut self, call: &Call, descriptor: i64, line: usize) {
        // A temporary file without a name is gone with its process: there is nothing to lose.
        let path = call.paths(self.base).pop().filter(|_| !call.has("O_TMPFILE"));
        let Some(path) = path.and_then(|path| self.ours(&path)) else { return };
        assert!(!call.has("O_APPEND"), "the model does not know O_APPEND: {call:?}");
        let known = self.disk.find(&path);
        if known.is_none() {
            let (folder, name) = self.disk.place(&path).unwrap_or_else(|| panic!("no folder for {call:?}"));
            self.tell(line, Event::Made { folder, name, node: Node::file() });
        }
        let node = self.disk.find(&path).unwrap();
        if known.is_some() && call.has("O_TRUNC") && !self.disk.is_empty(node) {
            self.tell(line, Event::Resized { file: node, length: 0 });
        }
        self.open.insert(descriptor, Handle { node, offset: 0 });
    }

    fn wrote(&mut self, file: NodeId, offset: usize, call: &Call, line: usize) {
        let mut bytes = call.bytes();
        bytes.truncate(call.returned.unwrap_or(0) as usize);
        self.tell(line, Event::Wrote { file, offset, bytes });
    }

    /// Writes through shared memory are not seen. SQLite's index of its log is such a file, and is made anew after a crash.
    fn mapped(&self, call: &Call) {
        let Some(Arg::Descriptor(_, Some(path))) = call.args.get(4) else { return };
        let is_harmless = path.to_string_lossy().ends_with("-shm") || self.ours(path).is_none();
        assert!(is_harmless || !call.has("MAP_SHARED") || !call.has("PROT_WRITE"), "{} is mapped", path.display());
    }

    /// A path within the folders of the job, or that in which they lie, as it is called there.
    fn ours(&self, path: &Path) -> Option<PathBuf> {
        let inside = path.strip_prefix(self.base).ok()?;
        let is_ours = inside == Path::new("") || super::FOLDERS.iter().any(|folder| inside.starts_with(folder));
        is_ours.then(|| inside.to_owned())
    }

    fn tell(&mut self, line: usize, event: Event) {
        self.disk.take(&event);
        self.events.push(event);
        self.lines.push(line);
    }
}

/// Makes sure that the model has missed nothing: it shows what is there.
pub fn compare(disk: &Disk, base: &Path) {
    let (mut model, mut real) = (disk.as_seen(), Image::read(base, super::FOLDERS));
    for image in [&mut model, &mut real] {
        for (path, thing) in &mut image.0 {
            if path.to_string_lossy().ends_with("-shm") {
                *thing = Thing::File(Vec::new()); // shared memory
            }
        }
    }
    assert!(model == real, "the model has {model:#?}\nthere is {real:#?}");
}
