//! A model of a disk under a power loss, as pessimistic as POSIX: what was not synced may be there or not, in any
//! combination, torn anywhere at 512 bytes. A file's sync does not keep its name, only the sync of its folder does.

use std::collections::BTreeMap;
use std::path::Path;

use super::image::{Image, Thing};

/// A file, a folder or a link; names lead to it.
pub type NodeId = usize;

/// The folder in which everything lies.
pub const ROOT: NodeId = 0;

/// What a disk writes at once, or not at all.
const SECTOR: usize = 512;

/// What happened to the disk, or left the machine.
#[derive(Clone, Debug)]
pub enum Event {
    /// A new node, with the next free number.
    Made {
        folder: NodeId,
        name: String,
        node: Node,
    },
    Wrote {
        file: NodeId,
        offset: usize,
        bytes: Vec<u8>,
    },
    Resized {
        file: NodeId,
        length: usize,
    },
    Renamed {
        from: (NodeId, String),
        to: (NodeId, String),
    },
    Removed {
        folder: NodeId,
        name: String,
    },
    /// What had happened to the node before this event is durable: the sync began there, and has ended.
    Synced {
        node: NodeId,
        before: usize,
    },
    /// A request, from its first byte on.
    Sent {
        request: Vec<u8>,
    },
    /// A command ended, and said so.
    Ended {
        exit: i32,
    },
}

/// What a name leads to.
#[derive(Clone, Debug)]
pub enum Node {
    File(Cached<Vec<u8>, Change>),
    Folder(Cached<BTreeMap<String, NodeId>, Entry>),
    Link(String),
}

impl Node {
    pub fn file() -> Node {
        Node::File(Cached { durable: Vec::new(), pending: Vec::new() })
    }

    pub fn folder() -> Node {
        Node::Folder(Cached { durable: BTreeMap::new(), pending: Vec::new() })
    }
}

/// What is on the disk for good, and the changes that are on their way, each with the number of its event.
#[derive(Clone, Debug)]
pub struct Cached<T, C> {
    durable: T,
    pending: Vec<(usize, C)>,
}

impl<T: Clone, C> Cached<T, C> {
    fn sync(&mut self, before: usize, apply: impl Fn(&mut T, &C)) {
        let synced = self.pending.partition_point(|(at, _)| *at < before);
        for (_, change) in self.pending.drain(..synced) {
            apply(&mut self.durable, &change);
        }
    }

    fn with(&self, mut apply: impl FnMut(usize, &mut T, &C)) -> T {
        let mut all = self.durable.clone();
        self.pending.iter().for_each(|(at, change)| apply(*at, &mut all, change));
        all
    }
}

#[derive(Clone, Debug)]
pub enum Change {
    Write(usize, Vec<u8>),
    Length(usize),
}

impl Change {
    fn apply(&self, file: &mut Vec<u8>) {
        match self {
            Change::Write(offset, bytes) => {
                self.stretch(file);
                file[*offset..offset + bytes.len()].copy_from_slice(bytes);
            }
            Change::Length(length) => file.resize(*length, 0),
        }
    }

    /// The length of the file is on the disk, its bytes are not.
    fn stretch(&self, file: &mut Vec<u8>) {
        let Change::Write(offset, bytes) = self else { return };
        file.resize(file.len().max(offset + bytes.len()), 0);
    }

    /// Some sectors are on the disk, others are not.
    fn tear(&self, file: &mut Vec<u8>, mut is_kept: impl FnMut() -> bool) {
        let Change::Write(offset, bytes) = self else { return };
        let mut at = 0;
        while at < bytes.len() {
            let end = bytes.len().min(at + SECTOR - (offset + at) % SECTOR);
            if is_kept() {
                Change::Write(offset + at, bytes[at..end].to_vec()).apply(file);
            }
            at = end;
        }
    }
}

#[derive(Clone, Debug)]
pub enum Entry {
    Add(String, NodeId),
    Remove(String),
    /// Within one folder: one step on the disk.
    Rename(String, String, NodeId),
}

impl Entry {
    fn apply(&self, entries: &mut BTreeMap<String, NodeId>) {
        match self {
            Entry::Add(name, node) => drop(entries.insert(name.clone(), *node)),
            Entry::Remove(name) => drop(entries.remove(name)),
            Entry::Rename(from, to, node) => {
                entries.remove(from);
                entries.insert(to.clone(), *node);
            }
        }
    }
}

/// Everything that happened so far, synced or not.
#[derive(Clone, Debug)]
pub struct Disk {
    nodes: Vec<Node>,
    events: usize,
}

impl Disk {
    /// A disk on which all of this is durable.
    pub fn of(image: &Image) -> Disk {
        let mut disk = Disk { nodes: vec![Node::folder()], events: 0 };
        for (path, thing) in &image.0 {
            let (folder, name) = disk.place(path).expect("a folder comes before what is in it");
            let mut node = Node::folder();
            match thing {
                Thing::Folder => {}
                Thing::File(bytes) => node = Node::File(Cached { durable: bytes.clone(), pending: Vec::new() }),
                Thing::Link(target) => node = Node::Link(target.clone()),
            }
            disk.make(folder, &name, node);
            disk.sync(folder, usize::MAX);
        }
        disk
    }

    pub fn take(&mut self, event: &Event) {
        match event {
            Event::Made { folder, name, node } => self.make(*folder, name, node.clone()),
            Event::Wrote { file, offset, bytes } => self.change(*file, Change::Write(*offset, bytes.clone())),
            Event::Resized { file, length } => self.change(*file, Change::Length(*length)),
            Event::Removed { folder, name } => self.enter(*folder, Entry::Remove(name.clone())),
            Event::Renamed { from, to } => {
                let node = self.entries(from.0)[&from.1];
                if from.0 == to.0 {
                    self.enter(from.0, Entry::Rename(from.1.clone(), to.1.clone(), node));
                } else {
                    self.enter(from.0, Entry::Remove(from.1.clone()));
                    self.enter(to.0, Entry::Add(to.1.clone(), node));
                }
            }
            Event::Synced { node, before } => self.sync(*node, *before),
            Event::Sent { .. } | Event::Ended { .. } => {}
        }
        self.events += 1;
    }

    /// Whether an event made the names of a folder durable.
    pub fn is_folder_sync(&self, event: &Event) -> bool {
        matches!(event, Event::Synced { node, .. } if matches!(self.nodes[*node], Node::Folder(_)))
    }

    fn make(&mut self, folder: NodeId, name: &str, node: Node) {
        self.enter(folder, Entry::Add(name.to_owned(), self.nodes.len()));
        self.nodes.push(node);
    }

    fn enter(&mut self, folder: NodeId, entry: Entry) {
        let Node::Folder(entries) = &mut self.nodes[folder] else { panic!("{folder} is no folder") };
        entries.pending.push((self.events, entry));
    }

    fn change(&mut self, file: NodeId, change: Change) {
        let Node::File(bytes) = &mut self.nodes[file] else { panic!("{file} is no file") };
        bytes.pending.push((self.events, change));
    }

    fn sync(&mut self, node: NodeId, before: usize) {
        match &mut self.nodes[node] {
            Node::File(bytes) => bytes.sync(before, |file, change| change.apply(file)),
            Node::Folder(entries) => entries.sync(before, |names, entry| entry.apply(names)),
            Node::Link(_) => {}
        }
    }

    fn entries(&self, folder: NodeId) -> BTreeMap<String, NodeId> {
        match &self.nodes[folder] {
            Node::Folder(entries) => entries.with(|_, names, entry| entry.apply(names)),
            _ => BTreeMap::new(),
        }
    }

    /// Whether nothing was ever written into a file.
    pub fn is_empty(&self, file: NodeId) -> bool {
        matches!(&self.nodes[file], Node::File(bytes) if bytes.durable.is_empty() && bytes.pending.is_empty())
    }

    /// Where a path ends: its folder, and its name there.
    pub fn place(&self, path: &Path) -> Option<(NodeId, String)> {
        let folder = self.find(path.parent()?)?;
        Some((folder, path.file_name()?.to_str()?.to_owned()))
    }

    /// What a path leads to.
    pub fn find(&self, path: &Path) -> Option<NodeId> {
        path.iter().try_fold(ROOT, |folder, name| self.entries(folder).get(name.to_str()?).copied())
    }

    /// What the process itself sees, and what a `kill -9` leaves.
    pub fn as_seen(&self) -> Image {
        self.after(&mut Loss { names: Fate::Kept, bytes: Fate::Kept, cut: 0, dice: Dice(0) })
    }

    /// What is there in any case: nothing that was not synced.
    pub fn as_synced(&self) -> Image {
        self.after(&mut Loss { names: Fate::Lost, bytes: Fate::Lost, cut: 0, dice: Dice(0) })
    }

    /// What is there when the power is back.
    pub fn after(&self, loss: &mut Loss) -> Image {
        let mut image = Image::default();
        self.walk(ROOT, Path::new(""), loss, &mut image);
        image
    }

    fn walk(&self, folder: NodeId, path: &Path, loss: &mut Loss, image: &mut Image) {
        let Node::Folder(entries) = &self.nodes[folder] else { return };
        let names = entries.with(|at, names, entry| {
            if loss.keeps_name(at) {
                entry.apply(names);
            }
        });
        for (name, node) in names {
            let path = path.join(name);
            let thing = match &self.nodes[node] {
                Node::Folder(_) => Thing::Folder,
                Node::File(bytes) => Thing::File(bytes.with(|at, file, change| loss.of_bytes(at, file, change))),
                Node::Link(target) => Thing::Link(target.clone()),
            };
            image.0.insert(path.clone(), thing);
            self.walk(node, &path, loss, image);
        }
    }
}

/// What becomes of changes that were not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Lost,
    Kept,
    /// Those before the cut are kept: the disk wrote them in order.
    Ordered,
    /// Each is kept or not: the disk wrote them in its own order.
    Some,
    /// Each sector of each is kept or not.
    Torn,
    /// The file has its length, but zeros where bytes were to be.
    Hollow,
}

/// One way to lose what was not synced.
#[derive(Clone, Debug)]
pub struct Loss {
    names: Fate,
    bytes: Fate,
    cut: usize,
    dice: Dice,
}

impl Loss {
    /// A way for a crash after so many events.
    pub fn draw(mut dice: Dice, events: usize) -> Loss {
        let names = [Fate::Lost, Fate::Kept, Fate::Ordered, Fate::Some];
        let bytes = [Fate::Lost, Fate::Kept, Fate::Ordered, Fate::Some, Fate::Torn, Fate::Hollow];
        let (names, bytes) = (names[dice.below(names.len())], bytes[dice.below(bytes.len())]);
        // What waits for a sync is young: a cut far back would keep nothing.
        let cut = events - dice.below(events.min(40) + 1);
        Loss { names, bytes, cut, dice }
    }

    fn keeps_name(&mut self, at: usize) -> bool {
        match self.names {
            Fate::Kept => true,
            Fate::Ordered => at < self.cut,
            Fate::Some => self.dice.below(2) == 0,
            Fate::Lost | Fate::Torn | Fate::Hollow => false,
        }
    }

    fn of_bytes(&mut self, at: usize, file: &mut Vec<u8>, change: &Change) {
        match self.bytes {
            Fate::Kept => change.apply(file),
            Fate::Ordered if at < self.cut => change.apply(file),
            // The one on which the light went out.
            Fate::Ordered if at == self.cut => change.tear(file, || self.dice.below(2) == 0),
            Fate::Some if self.dice.below(2) == 0 => change.apply(file),
            Fate::Torn => change.tear(file, || self.dice.below(2) == 0),
            Fate::Hollow => change.stretch(file),
            Fate::Lost | Fate::Ordered | Fate::Some => {}
        }
    }
}

/// Chance that is the same every time.
#[derive(Clone, Debug)]
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }

    /// Others, for one purpose: how often they are thrown is nobody else's affair.
    pub fn split(&mut self) -> Dice {
        self.below(1);
        Dice(self.0 ^ 0x9e37_79b9_7f4a_7c15)
    }
}

#[test]
fn what_was_not_synced_may_be_there_or_not() {
    let mut disk = Disk::of(&Image::default());
    let write = |offset, byte| Event::Wrote { file: 1, offset, bytes: vec![byte; 2 * SECTOR] };
    let events = [
        Event::Made { folder: ROOT, name: "new".to_owned(), node: Node::file() },
        write(0, b'a'),
        Event::Synced { node: ROOT, before: 1 },
        Event::Synced { node: 1, before: 2 },
        write(SECTOR, b'b'),
        Event::Renamed { from: (ROOT, "new".to_owned()), to: (ROOT, "file".to_owned()) },
    ];
    for event in &events {
        disk.take(event);
    }
    let synced = Image([("new".into(), Thing::File(vec![b'a'; 2 * SECTOR]))].into());
    assert_eq!(disk.as_synced(), synced);
    let whole = [vec![b'a'; SECTOR], vec![b'b'; 2 * SECTOR]].concat();
    assert_eq!(disk.as_seen(), Image([("file".into(), Thing::File(whole))].into()));

    let found: std::collections::HashSet<Image> =
        (0..400).map(|seed| disk.after(&mut Loss::draw(Dice(seed).split(), events.len()))).collect();
    let length = |image: &Image| image.file("new").or(image.file("file")).unwrap().len();
    let torn =
        |image: &&Image| image.file("file").is_some_and(|file| file.ends_with(&[b'b'; SECTOR]) && file[SECTOR] == b'a');
    let hollow = |image: &&Image| image.file("new").is_some_and(|file| file.ends_with(&[0; SECTOR]));
    assert!(found.contains(&synced) && found.contains(&disk.as_seen()));
    assert!(found.iter().any(|image| torn(&image)) && found.iter().any(|image| hollow(&image)));
    assert!(found.iter().all(|image| image.0.len() == 1 && [2 * SECTOR, 3 * SECTOR].contains(&length(image))));
}
