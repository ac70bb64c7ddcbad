//! The loop: pick, mutate, run, remember.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// One input must not take longer, in a debug build on a busy machine either.
pub const SLOW: Duration = Duration::from_secs(20);

/// The process must not grow beyond.
pub const PEAK_MAX_MIB: u64 = 512;

/// Inputs that the corpus grows to.
const CORPUS_MAX: usize = 4_000;

/// Bytes of a mutated input.
const BYTES_MAX: usize = 256 * 1024;

/// The peak of memory is the process's: one target at a time.
static TURN: Mutex<()> = Mutex::new(());

/// Random numbers, the same for a seed.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x2545_f491_4f6c_dd1d)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.next() >> 11) as usize % end.max(1)
    }

    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }
}

/// A fingerprint of what a target did.
pub fn print_of(parts: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    parts.hash(&mut hasher);
    hasher.finish()
}

/// A message without its numbers and quotations: which message it is.
pub fn kind_of(message: &str) -> String {
    let mut quoted = false;
    let plain = message.chars().filter(|character| {
        quoted ^= matches!(character, '"' | '`');
        !quoted && !character.is_numeric()
    });
    plain.take(120).collect()
}

/// Runs a target over its corpus and over mutations of it, until its time is up.
pub fn fuzz(name: &str, corpus: Vec<Vec<u8>>, words: &[&[u8]], mut target: impl FnMut(&[u8], &mut Dice) -> u64) {
    let _turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let time = Duration::from_secs(number("PASSYNC_FUZZ_SECONDS").unwrap_or(2));
    let seed = number("PASSYNC_FUZZ_SEED").unwrap_or(1);
    let mut dice = Dice::new(seed);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let last = folder.join(format!("fuzz-{name}.last"));
    let (mut corpus, mut prints, mut runs) = (corpus, HashSet::new(), 0_u64);
    let began = Instant::now();
    let seeds = corpus.len();
    let mut slowest = Duration::ZERO;
    while began.elapsed() < time || runs < seeds as u64 {
        let input = match corpus.get(runs as usize) {
            Some(whole) if runs < seeds as u64 => whole.clone(),
            _ => mutated(&corpus, words, &mut dice),
        };
        runs += 1;
        std::fs::write(&last, &input).unwrap();
        let start = Instant::now();
        let print = catch_unwind(AssertUnwindSafe(|| target(&input, &mut dice)))
            .unwrap_or_else(|_| panic!("{name}, seed {seed}, run {runs}: the bytes are in {}", keep(&last).display()));
        let took = start.elapsed();
        slowest = slowest.max(took);
        assert!(took < SLOW, "{name}, seed {seed}, run {runs}: {took:?} for {}", keep(&last).display());
        let peak = peak_mib();
        assert!(peak <= PEAK_MAX_MIB, "{name}, seed {seed}, run {runs}: {peak} MiB for {}", keep(&last).display());
        if prints.insert(print) && corpus.len() < CORPUS_MAX {
            corpus.push(input);
        }
    }
    eprintln!(
        "{name}: {runs} inputs in {:?}, {} behaviours, slowest {slowest:?}, peak {} MiB",
        began.elapsed(),
        prints.len(),
        peak_mib()
    );
}

/// Keeps the input of a failure under a name of its own.
fn keep(last: &Path) -> PathBuf {
    let kept = last.with_extension(format!("{:x}", print_of(std::fs::read(last).unwrap_or_default())));
    let _ = std::fs::copy(last, &kept);
    kept
}

/// The process's peak of resident memory.
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mark = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
    mark.and_then(|mark| mark.parse::<u64>().ok()).unwrap_or(0) / 1024
}

/// Bytes that break counters, lengths and signs.
const ODD: [u8; 12] = [0, 1, 0x0a, 0x0d, 0x22, 0x2c, 0x7f, 0x80, 0x81, 0xc3, 0xfe, 0xff];

fn mutated(corpus: &[Vec<u8>], words: &[&[u8]], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = dice.pick(corpus).clone();
    let most = 1 << dice.below(4);
    let count = 1 + dice.below(most);
    for _ in 0..count {
        mutate(&mut bytes, corpus, words, dice);
    }
    bytes.truncate(BYTES_MAX);
    bytes
}

fn mutate(bytes: &mut Vec<u8>, corpus: &[Vec<u8>], words: &[&[u8]], dice: &mut Dice) {
    let at = dice.below(bytes.len());
    let near = at + dice.below(64).min(bytes.len() - at);
    match dice.below(11) {
        0 if !bytes.is_empty() => bytes[at] ^= 1 << dice.below(8),
        1 if !bytes.is_empty() => bytes[at] = *dice.pick(&ODD),
        2 => bytes.insert(at, *dice.pick(&ODD)),
        3 => drop(bytes.drain(at..near)),
        4 => {
            let copied = bytes[at..near].to_vec();
            let to = dice.below(bytes.len());
            bytes.splice(to..to, copied);
        }
        5 if !words.is_empty() => {
            let word = *dice.pick(words);
            let end = if dice.below(2) == 0 { at } else { (at + word.len()).min(bytes.len()) };
            bytes.splice(at..end, word.iter().copied());
        }
        6 => bytes.truncate(at),
        7 => {
            let other = dice.pick(corpus);
            let from = dice.below(other.len());
            let until = from + dice.below(4096).min(other.len() - from);
            bytes.splice(at..near, other[from..until].iter().copied());
        }
        8 if bytes.len() >= at + 4 && !bytes.is_empty() => {
            let number: u32 = *dice.pick(&[0, 1, 0x7f, 0xff, 0xffff, 0x7fff_ffff, 0x8000_0000, u32::MAX]);
            bytes[at..at + 4].copy_from_slice(&number.to_le_bytes());
        }
        9 if !bytes.is_empty() => bytes[at] = bytes[at].wrapping_add(*dice.pick(&[1, 255, 16, 240])),
        10 => {
            // A long run: what is cheap to say may be dear to hear.
            let byte = if bytes.is_empty() { *dice.pick(&ODD) } else { bytes[at] };
            let run = vec![byte; 1 << dice.below(14)];
            bytes.splice(at..at, run);
        }
        _ => {}
    }
}

/// The files of a folder of the suites; none, with a notice, where it is absent.
pub fn suite(name: &str) -> Vec<Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared").join(name);
    if !path.is_dir() {
        eprintln!("SKIPPED: no suite at {}", path.display());
        return Vec::new();
    }
    files(&path)
}

/// The files of a folder and of those below it, in the order of their names.
pub fn files(folder: &Path) -> Vec<Vec<u8>> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let read = |path: PathBuf| if path.is_dir() { files(&path) } else { vec![std::fs::read(path).unwrap()] };
    paths.into_iter().flat_map(read).collect()
}
