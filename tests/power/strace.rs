//! What a process asks of the system, as strace tells it: files, folders, syncs and sockets, with all bytes.
//!
//! A library that is loaded into the process would miss what SQLite does directly, and wants `unsafe`; a file system of
//! our own wants root. strace sees the real binary as it is, and every call of it.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Every call that changes a file, a folder or the offset of a descriptor, that syncs, or that sends. Some are here only
/// to be noticed: [`super::follow`] does not know them, and says so when it meets one. `?`: not on every machine.
const CALLS: &str = "?open,?creat,openat,?openat2,close,write,writev,pwrite64,pwritev,?pwritev2,lseek,ftruncate,\
    ?truncate,fallocate,copy_file_range,sendfile,splice,mmap,?rename,renameat,renameat2,?unlink,unlinkat,?rmdir,\
    ?mkdir,mkdirat,?link,linkat,?symlink,symlinkat,fsync,fdatasync,sync_file_range,syncfs,sync,?msync,?dup,?dup2,dup3,\
    ?io_uring_setup,sendto,sendmsg,sendmmsg";

/// One call, with the lines of the trace on which it began and ended.
#[derive(Debug)]
pub struct Call {
    pub name: String,
    pub args: Vec<Arg>,
    /// What it returned; `None` where the process ended before it did.
    pub returned: Option<i64>,
    pub began: usize,
    pub ended: usize,
}

/// One argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arg {
    /// A descriptor and the file that it leads to; `AT_FDCWD` is -100. A file without a name has no path.
    Descriptor(i64, Option<PathBuf>),
    /// All strings of the argument: one, or those of an `iovec`.
    Bytes(Vec<u8>),
    Word(String),
}

impl Call {
    /// The bytes of all its strings.
    pub fn bytes(&self) -> Vec<u8> {
        let strings = self.args.iter().map(|arg| match arg {
            Arg::Bytes(bytes) => &bytes[..],
            _ => &[],
        });
        strings.collect::<Vec<_>>().concat()
    }

    /// The descriptor that is its first argument.
    pub fn descriptor(&self) -> Option<i64> {
        match self.args.first() {
            Some(Arg::Descriptor(descriptor, _)) => Some(*descriptor),
            _ => None,
        }
    }

    pub fn number(&self, arg: usize) -> usize {
        let Some(Arg::Word(word)) = self.args.get(arg) else { panic!("argument {arg} is no number: {self:?}") };
        word.parse().unwrap_or_else(|_| panic!("argument {arg} is no number: {self:?}"))
    }

    /// Whether a flag is set.
    pub fn has(&self, flag: &str) -> bool {
        self.args.iter().any(|arg| matches!(arg, Arg::Word(word) if word.split('|').any(|set| set == flag)))
    }

    /// The paths that it names; relative ones start at the descriptor before them, or at `cwd`.
    pub fn paths(&self, cwd: &Path) -> Vec<PathBuf> {
        use std::os::unix::ffi::OsStrExt;
        let (mut base, mut paths) = (cwd, Vec::new());
        for arg in &self.args {
            match arg {
                Arg::Descriptor(_, Some(path)) => base = path,
                Arg::Bytes(bytes) => paths.push(base.join(std::ffi::OsStr::from_bytes(bytes))),
                _ => {}
            }
        }
        paths
    }
}

/// Whether this machine has strace and lets it work; the error says what is missing.
pub fn is_usable() -> Result<(), String> {
    let tried = Command::new("strace").args(["-f", "-o", "/dev/null", "true"]).stdin(Stdio::null()).output();
    let tried = tried.map_err(|error| format!("strace: {error}; install the package strace"))?;
    let said = String::from_utf8_lossy(&tried.stderr);
    if tried.status.success() { Ok(()) } else { Err(format!("strace may not trace here: {}", said.trim())) }
}

/// A command that writes its trace into `trace`.
pub fn command(program: &str, trace: &Path) -> Command {
    let mut command = Command::new("strace");
    command.args(["-f", "-yy", "-xx", "-s", "16777216", "-e", "signal=none", "-e"]).arg(format!("trace={CALLS}"));
    command.arg("-o").arg(trace).arg(program);
    command
}

/// The calls of a trace, in the order in which they ended, or began if they never ended.
pub fn read(trace: &Path) -> Vec<Call> {
    let text = fs::read_to_string(trace).unwrap();
    let mut open: HashMap<&str, (usize, &str)> = HashMap::new();
    let mut calls = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let (thread, line) = line.split_once(' ').unwrap();
        let line = line.trim_start();
        if line.starts_with("+++") || line.starts_with("---") {
            continue;
        }
        if let Some(beginning) = line.strip_suffix(" <unfinished ...>") {
            open.insert(thread, (at, beginning));
        } else if let Some((_, rest)) = line.strip_prefix("<... ").and_then(|line| line.split_once(" resumed>")) {
            let (began, beginning) = open.remove(thread).unwrap_or_else(|| panic!("never begun: {line}"));
            calls.push(call(&format!("{beginning}{rest}"), began, at));
        } else {
            calls.push(call(line, at, at));
        }
    }
    calls.extend(open.into_values().map(|(began, beginning)| call(&format!("{beginning}) = ?"), began, began)));
    calls.sort_by_key(|call| call.ended);
    calls
}

fn call(text: &str, began: usize, ended: usize) -> Call {
    let parse = || {
        let (name, rest) = text.split_once('(')?;
        let (args, returned) = rest.rsplit_once(" = ")?;
        let args = args.trim_end().strip_suffix(')')?;
        let digits = returned.split(|c: char| !c.is_ascii_hexdigit() && c != '-' && c != 'x').next()?;
        let returned = match digits.strip_prefix("0x") {
            Some(address) => i64::from_str_radix(address, 16).ok(),
            None => digits.parse().ok(),
        };
        Some(Call { name: name.to_owned(), args: split(args).into_iter().map(arg).collect(), returned, began, ended })
    };
    parse().unwrap_or_else(|| panic!("not a call: {text}"))
}

/// Splits at commas outside of brackets. All strings and paths are in hexadecimal: no byte of them is in the way.
fn split(args: &str) -> Vec<&str> {
    let (mut depth, mut from, mut parts) = (0, 0, Vec::new());
    for (at, byte) in args.bytes().enumerate() {
        match byte {
            b'[' | b'{' | b'(' => depth += 1,
            b']' | b'}' | b')' => depth -= 1,
            b',' if depth == 0 => {
                parts.push(args[from..at].trim());
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(args[from..].trim());
    parts
}

fn arg(text: &str) -> Arg {
    if text.contains('"') {
        let strings = text.split('"').skip(1).step_by(2);
        assert!(!text.contains("\"..."), "cut off: {} bytes are not enough", text.len());
        return Arg::Bytes(strings.flat_map(unhex).collect());
    }
    let Some((number, path)) = text.split_once('<') else { return Arg::Word(text.to_owned()) };
    let number = if number == "AT_FDCWD" { Some(-100) } else { number.parse().ok() };
    let Some(number) = number else { return Arg::Word(text.to_owned()) };
    // Sockets and devices have more between the brackets; a removed file has `(deleted)` behind its former name.
    let path = path.strip_suffix('>').filter(|path| path.starts_with("\\x") && !path.contains('<'));
    Arg::Descriptor(number, path.map(|path| PathBuf::from(String::from_utf8(unhex(path)).unwrap())))
}

fn unhex(text: &str) -> Vec<u8> {
    text.split("\\x").skip(1).map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}

#[test]
fn lines_are_read() {
    let trace = tempfile::NamedTempFile::new().unwrap();
    let lines = [
        r#"7  openat(AT_FDCWD<\x2f\x61>, "\x62", O_RDWR|O_CREAT, 0600) = 3<\x2f\x61\x2f\x62>"#,
        r"7  fsync(3<\x2f\x61\x2f\x62> <unfinished ...>",
        r#"8  writev(9<TCP:[127.0.0.1:1->127.0.0.1:2]>, [{iov_base="\x61\x62", iov_len=2}, {iov_base="\x2c", iov_len=1}], 2) = 3"#,
        "7  <... fsync resumed>)              = 0",
        r#"8  pwrite64(3<\x2f\x61\x2f\x62>(deleted), "\x00", 1, 4096) = -1 ENOSPC (No space left on device)"#,
        r"8  fdatasync(3<\x2f\x61\x2f\x62> <unfinished ...>",
        "8  +++ killed by SIGKILL +++",
    ];
    fs::write(trace.path(), lines.join("\n")).unwrap();
    let calls = read(trace.path());
    let told: Vec<_> = calls.iter().map(|call| (&call.name[..], call.returned, call.began, call.ended)).collect();
    assert_eq!(
        told,
        [
            ("openat", Some(3), 0, 0),
            ("writev", Some(3), 2, 2),
            ("fsync", Some(0), 1, 3),
            ("pwrite64", Some(-1), 4, 4),
            ("fdatasync", None, 5, 5)
        ]
    );
    assert_eq!(calls[0].paths(Path::new("/")), [Path::new("/a/b")]);
    assert!(calls[0].has("O_CREAT") && !calls[0].has("O_TRUNC"));
    assert_eq!(calls[1].bytes(), b"ab,");
    assert_eq!(
        (calls[3].descriptor(), calls[3].number(3), &calls[3].args[0]),
        (Some(3), 4096, &Arg::Descriptor(3, None))
    );
}
