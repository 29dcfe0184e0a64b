//! Numbers that all ranks know alike, held in memory once on each machine: the labels of a large set
//! are gigabytes, and every rank reads all of them.
//!
//! The first rank of a machine writes them into memory without a name (`memfd_create`), and seals it;
//! the others map it. Nothing is left behind, however the processes end. Where there is one rank on
//! each machine, or the system does not let processes share memory in this way, each holds its own.

use crate::{Patience, Ranks, RanksError};
use std::ops::Deref;

/// Numbers that are being put together, in the same order on every rank.
pub struct Holding {
    ranks: Ranks,
    to: To,
}

enum To {
    /// This rank's own memory.
    Own(Vec<u16>),
    /// Memory of the machine.
    #[cfg(target_os = "linux")]
    Machine(mapped::Memory),
}

/// Numbers that nobody changes any more.
#[derive(Debug)]
pub enum Held {
    Own(Vec<u16>),
    #[cfg(target_os = "linux")]
    Machine(mapped::Mapped),
}

impl Deref for Held {
    type Target = [u16];

    fn deref(&self) -> &[u16] {
        match self {
            Self::Own(values) => values,
            #[cfg(target_os = "linux")]
            Self::Machine(mapped) => mapped,
        }
    }
}

impl Holding {
    /// Nothing yet. All ranks begin together.
    ///
    /// # Errors
    /// If the other ranks do not answer.
    pub fn new(ranks: &Ranks) -> Result<Self, RanksError> {
        let to = if ranks.size() == ranks.machines() {
            To::Own(Vec::new())
        } else {
            to_share(ranks)?
        };
        let ranks = ranks.clone();
        Ok(Self { ranks, to })
    }

    /// Adds these, which all ranks have.
    ///
    /// # Errors
    /// If the machine has no memory left for them.
    pub fn extend(&mut self, values: &[u16]) -> Result<(), RanksError> {
        match &mut self.to {
            To::Own(own) => own.extend_from_slice(values),
            #[cfg(target_os = "linux")]
            To::Machine(memory) => memory.extend(values)?,
        }
        Ok(())
    }

    /// All of them, on every rank.
    ///
    /// # Errors
    /// As [`Holding::extend`]; if the other ranks do not answer.
    pub fn finish(self) -> Result<Held, RanksError> {
        match self.to {
            To::Own(values) => Ok(Held::Own(values)),
            #[cfg(target_os = "linux")]
            To::Machine(mut memory) => {
                memory.seal()?;
                self.ranks.barrier(Patience::Usual)?;
                Ok(Held::Machine(memory.map()?))
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn to_share(_ranks: &Ranks) -> Result<To, RanksError> {
    Ok(To::Own(Vec::new()))
}

/// Memory of each machine, if all ranks can reach that of theirs.
#[cfg(target_os = "linux")]
fn to_share(ranks: &Ranks) -> Result<To, RanksError> {
    let (local, _) = ranks.local();
    let own = if local == 0 { mapped::Memory::new() } else { None };
    let place = own.as_ref().map(mapped::Memory::place).unwrap_or_default();
    let places = ranks.gather(place.as_bytes())?;
    let place = String::from_utf8_lossy(&places[ranks.first_of_machine()]).into_owned();
    let memory = own.or_else(|| mapped::Memory::of_other(&place));
    let missing = ranks.max(u64::from(memory.is_none()))? > 0;
    Ok(memory
        .filter(|_| !missing)
        .map_or_else(|| To::Own(Vec::new()), To::Machine))
}

#[cfg(target_os = "linux")]
mod mapped {
    use crate::RanksError;
    use std::fs::File;
    use std::io::{self, BufWriter, Write};
    use std::ops::Deref;
    use std::os::fd::{AsRawFd, FromRawFd};

    fn failed(error: io::Error) -> RanksError {
        RanksError::Memory {
            reason: error.to_string(),
        }
    }

    fn checked(code: libc::c_int) -> io::Result<libc::c_int> {
        if code < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(code)
        }
    }

    /// Memory that several processes reach.
    #[derive(Debug)]
    pub struct Memory {
        file: File,
        /// Only the process that made it writes.
        writer: Option<BufWriter<File>>,
        /// Numbers.
        length: usize,
    }

    impl Memory {
        /// A new one; None where the system has nothing of the kind.
        pub fn new() -> Option<Self> {
            let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
            // SAFETY: a name that ends, and flags of this call
            let made = unsafe { libc::memfd_create(c"bridle-bench".as_ptr(), flags) };
            let made = checked(made).ok()?;
            // SAFETY: a new descriptor, which nobody else owns
            let file = unsafe { File::from_raw_fd(made) };
            Some(Self {
                writer: Some(BufWriter::new(file.try_clone().ok()?)),
                file,
                length: 0,
            })
        }

        /// Where other processes of this machine find it.
        pub fn place(&self) -> String {
            format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd())
        }

        /// That of another process; None if it cannot be reached.
        pub fn of_other(place: &str) -> Option<Self> {
            Some(Self {
                file: File::open(place).ok()?,
                writer: None,
                length: 0,
            })
        }

        pub fn extend(&mut self, values: &[u16]) -> Result<(), RanksError> {
            self.length += values.len();
            match &mut self.writer {
                Some(writer) => writer.write_all(bytemuck::cast_slice(values)).map_err(failed),
                None => Ok(()),
            }
        }

        /// Lets nobody change it any more.
        pub fn seal(&mut self) -> Result<(), RanksError> {
            let Some(mut writer) = self.writer.take() else {
                return Ok(());
            };
            writer.flush().map_err(failed)?;
            let seals = libc::F_SEAL_WRITE | libc::F_SEAL_SHRINK | libc::F_SEAL_GROW;
            // SAFETY: an open descriptor that may be sealed
            let sealed = unsafe { libc::fcntl(self.file.as_raw_fd(), libc::F_ADD_SEALS, seals) };
            checked(sealed).map(drop).map_err(failed)
        }

        pub fn map(self) -> Result<Mapped, RanksError> {
            let bytes = self.length * size_of::<u16>();
            if bytes == 0 {
                return Ok(Mapped {
                    start: std::ptr::NonNull::<u16>::dangling().as_ptr(),
                    length: 0,
                });
            }
            let found = self.file.metadata().map_err(failed)?.len();
            if found != bytes as u64 {
                let reason = format!("{found} bytes in place of {bytes} in the memory of this machine's first rank");
                return Err(RanksError::Memory { reason });
            }
            let descriptor = self.file.as_raw_fd();
            // SAFETY: a new mapping of an open file of this length
            let start = unsafe {
                libc::mmap(
                    std::ptr::null_mut(),
                    bytes,
                    libc::PROT_READ,
                    libc::MAP_SHARED,
                    descriptor,
                    0,
                )
            };
            if start == libc::MAP_FAILED {
                return Err(failed(io::Error::last_os_error()));
            }
            Ok(Mapped {
                start: start.cast(),
                length: self.length,
            })
        }
    }

    /// Memory that is mapped for reading, and sealed.
    #[derive(Debug)]
    pub struct Mapped {
        start: *const u16,
        length: usize,
    }

    // SAFETY: it is only read
    unsafe impl Send for Mapped {}
    // SAFETY: it is only read
    unsafe impl Sync for Mapped {}

    impl Deref for Mapped {
        type Target = [u16];

        fn deref(&self) -> &[u16] {
            // SAFETY: so many numbers are mapped, at the start of a page; the seal keeps everybody from
            // changing or cutting them
            unsafe { std::slice::from_raw_parts(self.start, self.length) }
        }
    }

    impl Drop for Mapped {
        fn drop(&mut self) {
            if self.length > 0 {
                // SAFETY: mapped with this length, and nobody borrows it any more
                unsafe { libc::munmap(self.start.cast_mut().cast(), self.length * size_of::<u16>()) };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alone_numbers_are_held_as_they_come() -> Result<(), RanksError> {
        let mut holding = Holding::new(&Ranks::Alone)?;
        holding.extend(&[1, 2])?;
        holding.extend(&[])?;
        holding.extend(&[u16::MAX])?;
        assert_eq!(*holding.finish()?, [1, 2, u16::MAX]);
        Ok(())
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn sealed_memory_is_what_was_written_and_nobody_changes_it() -> Result<(), RanksError> {
        let Some(mut memory) = mapped::Memory::new() else {
            return Ok(());
        };
        let place = memory.place();
        let Some(mut other) = mapped::Memory::of_other(&place) else {
            return Ok(());
        };
        for values in [&[7u16, 8][..], &[9; 5_000]] {
            memory.extend(values)?;
            other.extend(values)?;
        }
        memory.seal()?;
        let (mine, theirs) = (memory.map()?, other.map()?);
        assert_eq!((mine.len(), mine[..2].to_vec(), mine[5_001]), (5_002, vec![7, 8], 9));
        assert_eq!(*mine, *theirs);
        assert!(std::fs::write(place, "changed").is_err());
        Ok(())
    }
}
