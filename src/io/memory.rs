//! Memory stays in memory: it holds keys and the ids of people (law 11), and a core dump would write all of it into a
//! file that nobody looks after.

use rustix::io;
use rustix::process::{Resource, Rlimit, setrlimit};

/// Forbids core dumps of this process. Linux also keeps the memory from every process that is not root's: where dumps go
/// to a program (`core_pattern` with a pipe) the limit alone does not count. A debugger has to be root's, too.
pub fn forbid_dumps() -> io::Result<()> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    #[cfg(target_os = "linux")]
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    Ok(())
}
