//! What is thrown for a seed: files of rows, a gateway with its faults, a network with its moods, and the settings of
//! each run.

use std::time::Duration;

use passync::core::halt::ErrorLimit;
use passync::core::limits;
use passync::core::retry::Policy;
use passync::model::{Digest, Digester, Tick};

use super::dice::Dice;

/// The member of CLOSED rows, which carry nothing else; the others are points, levels and a date.
pub const STATUS: u64 = 1 << 4;
const UPDATED: u64 = STATUS - 1;

/// One line of an input file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its bill's number.
    pub bill: Option<u64>,
    /// Its card.
    pub card: usize,
    /// Its own time, in files that have times.
    pub occurred: Option<i64>,
    /// Orders rows of one time.
    pub sequence: i64,
    /// A bit per member.
    pub members: u64,
    /// CLOSED.
    pub closing: bool,
    /// Tells values apart.
    pub version: u64,
    /// Tells users apart.
    pub user: u64,
    /// An Alipay transaction: absorbed only where the job says so.
    pub transaction: bool,
    /// A row that is not is rejected.
    pub valid: bool,
    /// `last_changed_points`.
    pub change: i64,
}

impl Row {
    /// What it says, apart from when.
    pub fn content(&self) -> Digest {
        let mut digester = Digester::new("content");
        for word in [self.card as u64, self.members, u64::from(self.closing), self.version, self.user] {
            digester.part(&word.to_le_bytes());
        }
        digester.part(&self.change.to_le_bytes());
        digester.finish()
    }
}

/// What goes wrong with one world's gateway and network, and for how long.
#[derive(Clone, Debug, Default)]
pub struct Trouble {
    /// The sandbox's own table.
    pub faults: String,
    /// Nothing can be reached.
    pub down: Vec<(Tick, Tick)>,
    /// The gateway refuses our identity: with signed replies, or with unsigned ones.
    pub disowned: Vec<(Tick, Tick, bool)>,
    /// The longest way there, in microseconds.
    pub there_max: u64,
    /// The longest way back.
    pub back_max: u64,
    /// Of a hundred calls, so many are answered by somebody in between with a success of another time.
    pub stale: u64,
    /// Somebody in between permits only so many arrivals in a window, until then.
    pub narrow: Option<(u32, Tick)>,
}

/// Wall clocks.
#[derive(Clone, Debug, Default)]
pub struct Clocks {
    /// How far a response-time may be from the expected.
    pub max_skew_ms: Option<i64>,
    /// Ours less the gateway's.
    pub ours_ahead_ms: i64,
    /// Ours is set: when, and by how much.
    pub set: Vec<(Tick, i64)>,
}

impl Clocks {
    /// The gateway's wall clock, milliseconds since 1970.
    pub fn theirs_ms(now: Tick) -> i64 {
        1_800_000_000_000 + (now.0 / 1_000_000) as i64
    }

    /// What it writes into a reply: whole seconds.
    pub fn said_ms(now: Tick) -> i64 {
        Clocks::theirs_ms(now) / 1_000 * 1_000
    }

    /// Ours.
    pub fn ours_ms(&self, now: Tick) -> i64 {
        let set: i64 = self.set.iter().filter(|(at, _)| *at <= now).map(|(_, by)| by).sum();
        Clocks::theirs_ms(now) + self.ours_ahead_ms + set
    }

    fn any(dice: &mut Dice) -> Clocks {
        const MINUTE: u64 = 60_000;
        if dice.percent(60) {
            return Clocks::default();
        }
        let off = |dice: &mut Dice| dice.of(0..=120 * MINUTE) as i64 - 60 * MINUTE as i64;
        Clocks {
            max_skew_ms: Some((dice.of(1..=10) * MINUTE) as i64),
            ours_ahead_ms: if dice.percent(50) { off(dice) } else { 0 },
            set: (0..dice.of(0..=2)).map(|_| (Tick::ZERO + dice.micros(0..=20_000_000), off(dice))).collect(),
        }
    }
}

impl Trouble {
    /// Whether nothing can be reached.
    pub fn is_down(&self, now: Tick) -> bool {
        self.down.iter().any(|(from, to)| (*from..*to).contains(&now))
    }

    /// Whether the gateway refuses our identity, and signs that.
    pub fn disowns(&self, now: Tick) -> Option<bool> {
        self.disowned.iter().find(|(from, to, _)| (*from..*to).contains(&now)).map(|(.., signed)| *signed)
    }
}

/// What a world is about: what chance alone would bring together too seldom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// Nothing in particular.
    Any,
    /// Groups whose carriers are refused, and kills among them.
    Groups,
    /// More rows than one window of the quota takes, and nothing that slows them down.
    Rush,
    /// A card with more rows than the dispatcher keeps in memory.
    Wide,
    /// Somebody before the gateway permits a quarter of our quota for a while.
    Narrow,
}

impl Mood {
    /// Any mood that a sweep has time for.
    pub fn any(dice: &mut Dice) -> Mood {
        match dice.of(0..=99) {
            0..=14 => Mood::Groups,
            15..=17 => Mood::Rush,
            _ => Mood::Any,
        }
    }
}

/// All that is fixed for a story.
#[derive(Clone, Debug)]
pub struct World {
    /// What it is about.
    pub mood: Mood,
    /// The files, in the order of their nights, each with its job.
    pub files: Vec<(usize, Vec<Row>)>,
    /// Arrivals permitted ...
    pub quota: u32,
    /// ... in any window of this length.
    pub window: Duration,
    /// Whether the law is proved at the gateway.
    pub strict: bool,
    /// Whether the gateway throttles what is over the quota.
    pub enforced: bool,
    /// How long an exchange may take.
    pub timeout: Duration,
    /// What goes wrong.
    pub trouble: Trouble,
    /// What the clocks show.
    pub clocks: Clocks,
    /// How long a group commit may take, in microseconds.
    pub commit_max: u64,
}

impl World {
    /// A world of that mood.
    pub fn of(mood: Mood, dice: &mut Dice) -> World {
        let mut world = World::usual(mood, dice);
        if world.clocks.max_skew_ms.is_some() && dice.percent(50) {
            world.trouble.stale = dice.of(1..=20);
        }
        match mood {
            Mood::Any => {}
            Mood::Groups => {
                let (heal, refused, doubted) = (dice.of(2..=6), dice.of(10..=40), dice.of(2..=30));
                let faults = format!("heal={heal},refuse:PASS_STATUS_ILLEGAL={refused}%,unknown-applied={doubted}%");
                world.trouble = Trouble { faults, disowned: Vec::new(), down: Vec::new(), ..world.trouble };
            }
            Mood::Narrow => {
                world.window = Duration::from_secs(1);
                let (until, quota) = (Tick::ZERO + 40 * world.window, dice.of(20..=40) as u32);
                let rows = world.files.iter_mut().flat_map(|(_, file)| file);
                rows.zip(0..).for_each(|(row, at)| row.card = at % 300);
                let narrow = Some((quota / 4, until));
                let faults = "heal=1".to_owned();
                world.trouble = Trouble { faults, there_max: 500, back_max: 500, narrow, ..Trouble::default() };
                (world.timeout, world.commit_max, world.quota) = (Duration::from_secs(5), 300, quota);
                (world.enforced, world.clocks) = (false, Clocks::default());
            }
            Mood::Rush | Mood::Wide => {
                let refused = if mood == Mood::Rush { ",refuse:PASS_STATUS_ILLEGAL=4%" } else { "" };
                let faults = format!("heal=1,unknown=1%{refused}");
                world.trouble = Trouble { faults, there_max: 3_000, back_max: 3_000, ..Trouble::default() };
                (world.timeout, world.commit_max) = (Duration::from_secs(5), 300);
                world.quota = if mood == Mood::Rush { dice.of(40..=80) as u32 } else { 100_000 };
            }
        }
        world
    }

    fn usual(mood: Mood, dice: &mut Dice) -> World {
        let window = dice.micros(20_000..=1_000_000);
        let quota = if dice.percent(20) { dice.of(1..=4) } else { dice.of(5..=80) } as u32;
        let wild = dice.percent(30);
        let timeout = if wild { dice.micros(10_000..=1_500_000) } else { dice.micros(200_000..=5_000_000) };
        let there_max = if wild { window.as_micros() as u64 * 3 / 2 } else { dice.of(1..=8_000) };
        let back_max = if wild { dice.of(1..=1_000_000) } else { dice.of(1..=8_000) };
        World {
            mood,
            files: files(mood, dice).into_iter().map(|file| (usize::from(dice.percent(40)), file)).collect(),
            quota,
            window,
            strict: dice.percent(75),
            enforced: dice.percent(50),
            timeout,
            trouble: Trouble {
                faults: faults(dice),
                down: down(dice),
                disowned: disowned(dice),
                there_max,
                back_max,
                stale: 0,
                narrow: None,
            },
            clocks: Clocks::any(dice),
            commit_max: *dice.pick(&[1, 300, 5_000, 100_000]),
        }
    }
}

fn span(dice: &mut Dice, within_ms: u64, length_ms: u64) -> (Tick, Tick) {
    let from = Tick::ZERO + dice.micros(0..=within_ms * 1_000);
    (from, from + dice.micros(1_000..=length_ms * 1_000))
}

fn down(dice: &mut Dice) -> Vec<(Tick, Tick)> {
    match dice.of(0..=19) {
        0..=2 => (0..dice.of(1..=3)).map(|_| span(dice, 20_000, 20_000)).collect(),
        3 => vec![(Tick::ZERO, Tick::ZERO + Duration::from_secs(300))],
        4 => vec![span(dice, 3_000, 2_000_000)],
        _ => Vec::new(),
    }
}

fn disowned(dice: &mut Dice) -> Vec<(Tick, Tick, bool)> {
    if !dice.percent(8) {
        return Vec::new();
    }
    let (from, to) = span(dice, 3_000, 10_000);
    vec![(from, to, dice.percent(50))]
}

/// A table of the sandbox: a few faults at a few percent, or one that is rampant.
fn faults(dice: &mut Dice) -> String {
    const WORDS: [&str; 24] = [
        "unknown",
        "unknown-applied",
        "system-error",
        "system-error-applied",
        "drop-before",
        "drop-after",
        "garbage",
        "garbage-applied",
        "html",
        "html-applied",
        "forged",
        "forged-applied",
        "unsigned",
        "unsigned-applied",
        "limit",
        "half",
        "slow",
        "hang",
        "close",
        "429",
        "429:1s",
        "503",
        "503-applied",
        "refuse:PASS_STATUS_ILLEGAL",
    ];
    let mut table = format!("heal={}", dice.of(1..=8));
    if dice.percent(10) {
        return table;
    }
    let (mut words, mut left) = (WORDS.to_vec(), 100);
    dice.shuffle(&mut words);
    if dice.percent(15) {
        words.insert(0, "refuse:PASS_STATUS_ILLEGAL");
        words.dedup();
    }
    let most = *dice.pick(&[4, 12, 40]);
    for word in words.into_iter().take(dice.of(1..=8) as usize) {
        let share = dice.of(1..=most).min(left);
        left -= share;
        if share > 0 && !table.contains(&format!("{word}=")) {
            table += &format!(",{word}={share}%");
        }
    }
    if left > 2 && dice.percent(8) {
        table += ",refuse:ODD_SUCCESS=2%";
    }
    if left > 3 && dice.percent(3) {
        table += ",refuse:ACCESS_DENIED=1%";
    }
    table
}

fn files(mood: Mood, dice: &mut Dice) -> Vec<Vec<Row>> {
    match mood {
        Mood::Any => {}
        Mood::Groups => return vec![file(mood, dice, 0, 40, 3, &[])],
        Mood::Rush => return vec![file(mood, dice, 0, 200, 60, &[])],
        Mood::Wide => return vec![file(mood, dice, 0, 10_000, 400, &[])],
        Mood::Narrow => return vec![file(mood, dice, 0, 1_500, 300, &[])],
    }
    let cards = if dice.percent(15) { 1 } else { dice.of(2..=14) };
    let rows = *dice.pick(&[4, 12, 30, 60]);
    let rows = if dice.percent(4) { 250 } else { rows };
    let mut files: Vec<Vec<Row>> = Vec::new();
    for night in 0..dice.of(1..=3) as i64 {
        let count = dice.of(1..=rows);
        let file = file(mood, dice, night, count, cards, &files);
        files.push(file);
    }
    files
}

/// One night's file. Times of later nights are mostly later, and rows of earlier nights may come again.
fn file(mood: Mood, dice: &mut Dice, night: i64, count: u64, cards: u64, earlier: &[Vec<Row>]) -> Vec<Row> {
    let timed = dice.percent(75);
    let from = if dice.percent(25) { 0 } else { night * 1_000 };
    let plain = mood != Mood::Groups && (dice.percent(30) || count >= 200);
    let members_most = if mood == Mood::Groups { 3 } else { UPDATED };
    let mut rows: Vec<Row> = Vec::new();
    for at in 0..count {
        let number = night as u64 * 1_000 + at;
        let mut row = fresh(dice, number, cards, if plain { 1 } else { members_most });
        row.occurred = timed.then(|| from + dice.of(0..=count * 2) as i64);
        if at > 0 && !plain && dice.percent(12) {
            let known: Vec<&Row> = earlier.iter().flatten().chain(&rows).collect();
            let copied = (*dice.pick(&known)).clone();
            row = Row { occurred: row.occurred, ..copied };
            if dice.percent(35) {
                row.version += 1_000_000;
            }
            if row.bill.is_none() && dice.percent(50) {
                row.occurred = timed.then_some(copied.occurred).flatten().or(row.occurred);
            }
        }
        rows.push(row);
    }
    match dice.of(0..=2) {
        0 => dice.shuffle(&mut rows),
        1 => rows.sort_by_key(|row| std::cmp::Reverse((row.occurred, row.sequence))),
        _ => rows.sort_by_key(|row| (row.occurred, row.sequence)),
    }
    rows
}

/// A row of a new bill; where there is but one member, nothing else is out of the ordinary either.
fn fresh(dice: &mut Dice, number: u64, cards: u64, members_most: u64) -> Row {
    let plain = members_most == 1;
    let closing = !plain && dice.percent(4);
    let members = dice.of(1..=members_most);
    // Every other card is hot.
    let card = if dice.percent(50) { 0 } else { dice.of(0..=cards - 1) };
    Row {
        bill: (!dice.percent(10)).then_some(number),
        card: card as usize,
        occurred: None,
        sequence: dice.of(0..=1) as i64,
        members: if closing { STATUS } else { members },
        closing,
        // Rows without a bill say the same now and then.
        version: if dice.percent(30) { 0 } else { number },
        user: u64::from(!plain && dice.percent(5)),
        transaction: dice.percent(15),
        valid: plain || !dice.percent(3),
        change: dice.of(0..=200) as i64 - 100,
    }
}

/// The settings of one run.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a key of the job file")]
pub struct Settings {
    pub concurrency: usize,
    pub policy: Policy,
    pub budget: u64,
    pub hold: bool,
    pub coalesce: bool,
    pub coalesce_bills: bool,
    pub include_refused: bool,
    pub allow_stale: bool,
    /// Cards that may hold rows back.
    pub held_max: usize,
    pub error_limit: ErrorLimit,
    /// From the start of a process.
    pub deadline: Option<Duration>,
    /// From the start of the run's first process.
    pub signal: Option<Duration>,
    /// How many rows the reader hands over at once.
    pub chunk: usize,
    /// How long the reader takes, in microseconds; 0: at once.
    pub read_max: u64,
    /// How often the run is cut off.
    pub crashes: u64,
    /// Whether it is given up after the last crash.
    pub abandon: bool,
    /// How many cards are a canary, and whether the others follow.
    pub canary: Option<(usize, bool)>,
}

impl Settings {
    /// Those of any night of a world.
    pub fn of(mood: Mood, dice: &mut Dice) -> Settings {
        let calm = Settings::calm(dice);
        match mood {
            Mood::Any => Settings::any(calm, dice),
            Mood::Groups => Settings { coalesce: true, coalesce_bills: true, crashes: dice.of(1..=8), ..calm },
            Mood::Rush => {
                let error_limit = if dice.percent(25) { ErrorLimit::Percent(2.0) } else { ErrorLimit::Off };
                Settings { concurrency: 32, error_limit, ..calm }
            }
            Mood::Narrow => {
                let policy = Policy { attempts_max: 50, ..calm.policy };
                Settings { concurrency: 32, coalesce: false, policy, ..calm }
            }
            Mood::Wide => Settings { concurrency: 8, chunk: 512, crashes: 2, ..calm },
        }
    }

    fn any(mut settings: Settings, dice: &mut Dice) -> Settings {
        settings.policy.attempts_max = dice.of(1..=6) as u32;
        if dice.percent(15) {
            settings.policy.schedule = vec![dice.micros(0..=50_000), dice.micros(0..=2_000_000)];
        }
        settings.budget = if dice.percent(25) { dice.of(0..=4) } else { 200 };
        settings.error_limit = match dice.of(0..=9) {
            0 => ErrorLimit::Count(dice.of(0..=5)),
            1 => ErrorLimit::Percent(dice.of(1..=30) as f64),
            _ => ErrorLimit::Off,
        };
        settings.allow_stale = dice.percent(5);
        settings.held_max = if dice.percent(4) { 1 } else { settings.held_max };
        settings.deadline = dice.percent(6).then(|| dice.micros(0..=2_000_000));
        settings.signal = dice.percent(6).then(|| dice.micros(0..=2_000_000));
        settings.crashes = if dice.percent(45) { dice.of(1..=4) } else { 0 };
        settings.abandon = settings.crashes > 0 && dice.percent(15);
        settings.canary = dice.percent(15).then(|| (dice.of(1..=4) as usize, dice.percent(60)));
        settings
    }

    /// Those under which a healthy gateway settles everything.
    pub fn calm(dice: &mut Dice) -> Settings {
        Settings {
            concurrency: *dice.pick(&[1, 2, 3, 8, 32]),
            policy: Policy {
                attempts_max: 10, // more than a bill has faults
                backoff_base: dice.micros(1_000..=100_000),
                backoff_max: Duration::from_secs(1),
                schedule: Vec::new(),
            },
            budget: 1_000,
            hold: dice.percent(60),
            coalesce: dice.percent(40),
            coalesce_bills: dice.percent(30),
            include_refused: dice.percent(10),
            allow_stale: false,
            held_max: limits::HELD_CARDS,
            error_limit: ErrorLimit::Off,
            deadline: None,
            signal: None,
            chunk: *dice.pick(&[1, 3, 17, 512]),
            read_max: *dice.pick(&[0, 0, 3_000]),
            crashes: 0,
            abandon: false,
            canary: None,
        }
    }
}
