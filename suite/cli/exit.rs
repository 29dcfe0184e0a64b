//! The exit codes of the program: a documented contract that scripts may rely on.

/// How the program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// The work is done.
    Done = 0,
    /// A fault of the program or the machine: a full disk, a folder that became unwritable while it
    /// ran, no more memory, threads or open files.
    Fault = 1,
    /// Wrong use: an unknown name, a bad value, a malformed record, an `--out` that cannot be
    /// written.
    WrongUse = 2,
    /// Data is missing or not what it should be.
    Data = 3,
    /// A device or a library is missing.
    Device = 4,
    /// Training diverged.
    Diverged = 5,
    /// `regress` found a regression, `reproduce` a difference, or `table --check` an outdated table.
    Regression = 10,
    /// Stopped by SIGHUP (the terminal is gone); in training, a checkpoint was written first.
    HungUp = 129,
    /// Stopped by SIGINT (Ctrl-C); in training, a checkpoint was written first.
    Interrupted = 130,
    /// Stopped by SIGTERM; in training, a checkpoint was written first.
    Terminated = 143,
}

impl Exit {
    /// The number that the shell sees.
    pub fn code(self) -> u8 {
        self as u8
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// The contract as shown at the end of `--help`.
pub const TABLE: &str = "\
Exit codes:
  0    done
  1    a fault of program or machine: disk full, folder unwritable while running
  2    wrong use: unknown name, bad value, malformed record, unwritable --out
  3    data missing or not what it should be
  4    a device or library is missing
  5    training diverged
  10   `regress` found a regression, `reproduce` a difference, `table --check` an outdated table
  130  stopped by SIGINT, 143 by SIGTERM, 129 by SIGHUP (training writes a checkpoint first)";
