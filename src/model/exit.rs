//! How a command ends: the exit codes that schedulers and scripts act on.

/// How a command ends. Only `main` turns it into the process's exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Exit {
    /// 0: every row settled well.
    Clean,
    /// 1: the run completed, and the failure file has rows.
    Failures,
    /// 2: a fault of usage or configuration; nothing was sent.
    Usage,
    /// 3: the input was refused; nothing was sent.
    Input,
    /// 4: halted; all files are written, the rest is `unsent`.
    Halted,
    /// 5: stopped by a signal, `finish_by` or the canary; likewise.
    Stopped,
    /// 6: a storage fault; the run goes on from disk.
    Storage,
    /// 75: another run holds the lease or the lock.
    Busy,
}

impl Exit {
    /// The first that applies wins: who cannot run at all has no say about rows.
    const PRECEDENCE: [Exit; 8] =
        [Exit::Busy, Exit::Usage, Exit::Storage, Exit::Halted, Exit::Stopped, Exit::Input, Exit::Failures, Exit::Clean];

    /// The process's exit code.
    pub fn code(self) -> u8 {
        match self {
            Exit::Clean => 0,
            Exit::Failures => 1,
            Exit::Usage => 2,
            Exit::Input => 3,
            Exit::Halted => 4,
            Exit::Stopped => 5,
            Exit::Storage => 6,
            Exit::Busy => 75,
        }
    }

    /// The exit with this code, as manifests keep it.
    pub fn of_code(code: u8) -> Option<Exit> {
        Self::PRECEDENCE.into_iter().find(|exit| exit.code() == code)
    }

    /// The one that counts where two runs ended, an interrupted one and tonight's.
    pub fn worse(self, other: Exit) -> Exit {
        Self::PRECEDENCE.into_iter().find(|exit| [self, other].contains(exit)).expect("every exit has its precedence")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_75_2_6_4_5_3_1_0_counts() {
        let order = [75, 2, 6, 4, 5, 3, 1, 0];
        for (at, worse) in order.into_iter().enumerate() {
            for better in &order[at..] {
                let [worse, better] = [worse, *better].map(|code| Exit::of_code(code).unwrap());
                assert_eq!(worse.worse(better), worse);
                assert_eq!(better.worse(worse), worse);
            }
        }
        assert_eq!(Exit::of_code(7), None);
    }
}
