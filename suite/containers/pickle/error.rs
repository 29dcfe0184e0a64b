//! Why a pickle is refused, and where.

/// What is wrong, and the byte of the pickle that it was found at.
#[derive(Debug, thiserror::Error)]
#[error("byte {at} of its pickle: {reason}")]
pub(crate) struct PickleError {
    pub at: usize,
    pub reason: Reason,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum Reason {
    #[error("it ends within an instruction, or before the last one")]
    Ends,
    #[error("a length of {length} bytes, of which {left} are there")]
    Length { length: u64, left: usize },
    #[error("the instruction {0}, which files of weights do not have")]
    Instruction(String),
    #[error("protocol {0}, which is newer than this reader")]
    Protocol(u8),
    #[error("an instruction that needs more values than there are")]
    Stack,
    #[error("an instruction that needs a mark, and there is none")]
    Mark,
    #[error("it asks for number {0} of its memory, which was never stored")]
    Memory(u32),
    #[error("it names `{0}`, which could run programs or reach the system")]
    Harmful(String),
    #[error("{instruction} of {found}")]
    Kind {
        instruction: &'static str,
        found: &'static str,
    },
    #[error("a number or name that cannot be read")]
    Text,
    #[error("more than {0} values or instructions")]
    TooMany(usize),
}
