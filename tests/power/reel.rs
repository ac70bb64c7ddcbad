//! A reel: two nights of a job as they were recorded, and the ways in which the power may fail in them.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use passync::sandbox::Config;
use rustix::process::{Pid, Signal, kill_process_group};

use super::disk::{Dice, Disk, Event, Loss};
use super::image::Image;
use super::stage::{Delta, Night, as_csv, deltas, faulty};
use super::{FOLDERS, follow, strace};

/// Rows in flight, and so the most that one power loss may cause to be sent again.
pub const CONCURRENCY: usize = 4;

/// The job and its two nights.
pub struct Stage {
    pub night: Night,
    base: PathBuf,
    rows: [Vec<Delta>; 2],
}

/// A command of the job, the night that it is for, and after how many calls it is told to stop.
#[derive(Clone, Copy, Debug)]
pub struct Command {
    pub night: usize,
    args: &'static [&'static str],
    stop_after: Option<u64>,
}

const TONIGHT: Command = Command { night: 0, args: &["run", "job.toml"], stop_after: None };

/// A first night that a signal stops, that goes on, and ends; then a second one over the same cards, from standard input.
pub const TWO_NIGHTS: [Command; 3] = [
    Command { args: &["run", "job.toml", "--set", "limits.quota=6/100ms"], stop_after: Some(10), ..TONIGHT },
    TONIGHT,
    Command { night: 1, args: &["run", "job.toml", "--input", "-"], stop_after: None },
];

/// What was recorded.
pub struct Tape {
    start: Image,
    /// Requests that the gateway had heard before.
    heard: Vec<Vec<u8>>,
    pub events: Vec<Event>,
    /// Those that make names durable.
    folder_syncs: Vec<usize>,
    commands: Vec<Command>,
}

/// A moment of a tape: the disk with what waits on its way there, and all that left the machine.
pub struct Moment {
    pub disk: Disk,
    pub heard: Vec<Vec<u8>>,
    /// The command under way, or the last one.
    pub command: Command,
    ended: usize,
}

fn gateway() -> Config {
    faulty("unknown=8%,unknown-applied=8%,drop-after=4%,heal=2")
}

impl Stage {
    pub fn new() -> Stage {
        let night = Night::new(gateway(), "");
        // What a restart waits for is short: a quota's window, and a timeout for the rows in doubt.
        let job = std::fs::read_to_string(night.path("job.toml")).unwrap();
        let job = job.replace(r#""2000/1s""#, r#""200/100ms""#).replace(r#"timeout = "2s""#, r#"timeout = "500ms""#);
        night.write("job.toml", &job.replace("concurrency = 32", &format!("concurrency = {CONCURRENCY}")));
        let first = deltas(10, 3);
        let second = first.iter().filter(|row| row.at % 2 == 0).map(|row| {
            Delta::new(&row.bill.replace("2202303432", "2202303433"), &row.card, row.points + 500, row.at + 1_000)
        });
        let rows = [first.clone(), second.collect()];
        for (rows, name) in rows.iter().zip(["in.csv", "in2.csv"]) {
            night.write(name, &as_csv(rows));
        }
        let base = std::fs::canonicalize(night.path("")).unwrap();
        Stage { night, base, rows }
    }

    /// The rows of a night.
    pub fn rows(&self, night: usize) -> &[Delta] {
        &self.rows[night]
    }

    /// The rows of a night and of those before it.
    pub fn rows_until(&self, night: usize) -> Vec<Delta> {
        self.rows[..=night].concat()
    }

    /// Puts disk and gateway where the power failed.
    pub fn set(&mut self, image: &Image, heard: &[Vec<u8>]) {
        self.night.reopen_gateway(gateway());
        image.place(&self.base, FOLDERS);
        for request in heard {
            self.say(request);
        }
    }

    /// What is on the disk.
    pub fn image(&self) -> Image {
        Image::read(&self.base, FOLDERS)
    }

    pub fn run(&self, command: Command) -> Output {
        self.night.command(command.args).stdin(self.piped()).output().unwrap()
    }

    /// The rows of the second night, for whoever reads them.
    fn piped(&self) -> Stdio {
        Stdio::from(std::fs::File::open(self.base.join("in2.csv")).unwrap())
    }

    /// Tells the gateway what it was told before; waits for its answer, if it gives one.
    fn say(&self, request: &[u8]) {
        let line = 2 + request.windows(2).position(|end| end == b"\r\n").unwrap();
        let mut stream = TcpStream::connect(self.night.server.addr()).unwrap();
        stream.write_all(&[&request[..line], b"connection: close\r\n", &request[line..]].concat()).unwrap();
        let _ = stream.read_to_end(&mut Vec::new()); // it may break the connection
    }

    /// Records these commands, from disk and gateway as they were [set](Stage::set).
    pub fn record(&self, start: &Image, heard: &[Vec<u8>], commands: &[Command]) -> Tape {
        let (mut disk, mut events) = (Disk::of(start), Vec::new());
        for command in commands {
            let exit = self.trace(*command);
            follow::follow(&strace::read(&self.base.join("trace")), &self.base, &mut disk, &mut events);
            follow::compare(&disk, &self.base);
            disk.take(&Event::Ended { exit });
            events.push(Event::Ended { exit });
        }
        let folder_syncs = (0..events.len()).filter(|at| disk.is_folder_sync(&events[*at])).collect();
        Tape { start: start.clone(), heard: heard.to_vec(), events, folder_syncs, commands: commands.to_vec() }
    }

    fn trace(&self, command: Command) -> i32 {
        let mut traced = strace::command(env!("CARGO_BIN_EXE_passync"), &self.base.join("trace"));
        traced.args(command.args).current_dir(&self.base).env_clear().process_group(0);
        let said = self.base.join("said");
        traced.stdin(self.piped()).stdout(Stdio::null()).stderr(std::fs::File::create(&said).unwrap());
        let (before, began) = (self.night.calls(), Instant::now());
        let mut child = traced.spawn().unwrap();
        if let Some(calls) = command.stop_after {
            while self.night.calls() < before + calls && began.elapsed() < Duration::from_secs(30) {
                std::thread::sleep(Duration::from_millis(2));
            }
            // The group: strace itself does not listen.
            kill_process_group(Pid::from_child(&child), Signal::TERM).unwrap();
        }
        let exit = child.wait().unwrap().code().expect("an end of its own");
        // 3: the run was closed before, and these inputs are done.
        let expected = if command.stop_after.is_some() { [5, 5] } else { [0, 3] };
        assert!(expected.contains(&exit), "{command:?}: {exit}, {}", std::fs::read_to_string(said).unwrap());
        exit
    }
}

impl Tape {
    /// The moment after so many events.
    pub fn moment(&self, events: usize) -> Moment {
        let mut moment = self.begin();
        self.events[..events].iter().for_each(|event| self.pass(&mut moment, event));
        moment
    }

    /// Walks through the tape; `look` sees each moment with the event that comes next.
    pub fn walk(&self, mut look: impl FnMut(&Moment, &Event)) {
        let mut moment = self.begin();
        for event in &self.events {
            look(&moment, event);
            self.pass(&mut moment, event);
        }
    }

    fn pass(&self, moment: &mut Moment, event: &Event) {
        moment.disk.take(event);
        match event {
            Event::Sent { request } => moment.heard.push(request.clone()),
            Event::Ended { .. } => {
                moment.ended += 1;
                moment.command = *self.commands.get(moment.ended).unwrap_or(&moment.command);
            }
            _ => {}
        }
    }

    fn begin(&self) -> Moment {
        Moment { disk: Disk::of(&self.start), heard: self.heard.clone(), command: self.commands[0], ended: 0 }
    }

    /// What is on the disk when it begins.
    pub fn start(&self) -> &Image {
        &self.start
    }

    /// Draws a crash: its moment, and what becomes of the changes on their way. Most come right before a sync, when most
    /// is at stake, and half of those before the sync of a folder: of these there are few.
    pub fn draw(&self, mut dice: Dice) -> (usize, Loss) {
        let any = dice.below(self.events.len() + 1);
        let is_sync = |event: &Event| matches!(event, Event::Synced { .. });
        let events = match dice.below(3) {
            0 => any,
            1 => any + self.events[any..].iter().position(is_sync).unwrap_or(0),
            _ => self.folder_syncs[dice.below(self.folder_syncs.len())],
        };
        (events, Loss::draw(dice, events))
    }
}
