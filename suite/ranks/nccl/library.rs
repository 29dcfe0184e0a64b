//! NVIDIA's library NCCL, opened at run time: which file, the functions that are called, and what
//! can be had of it without a device.

use super::error::NcclError;
use crate::opened::{Opened, chosen, functions};
use std::ffi::{c_char, c_int, c_void};
use std::fmt;

/// The path of a library that is to be used in place of those that are looked for, or [`OFF`].
pub const CHOICE: &str = "BRIDLE_NCCL";

/// In place of a path: no NCCL.
pub const OFF: &str = "off";

/// NVIDIA's packages and wheels have the first name only.
const NAMES: [&str; 2] = ["libnccl.so.2", "libnccl.so"];

/// From this one on results have the numbers of [`SUCCESS`] and [`IN_PROGRESS`].
pub const OLDEST: Version = Version(21_400);

/// `ncclSuccess`
const SUCCESS: c_int = 0;
/// `ncclInProgress`
const IN_PROGRESS: c_int = 7;
/// `ncclFloat32`
const FLOAT: c_int = 7;
/// `ncclSum`
const SUM: c_int = 0;

/// A version as the library numbers it: 22705 is 2.27.5.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub c_int);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // two digits for the second number since 2.9
        let of = if self.0 < 10_000 { 1_000 } else { 10_000 };
        write!(f, "{}.{}.{}", self.0 / of, self.0 % of / 100, self.0 % 100)
    }
}

/// What ranks that join have in common: `ncclUniqueId`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Id(pub [u8; 128]);

functions! {
    version = "ncclGetVersion" (*mut c_int);
    id = "ncclGetUniqueId" (*mut Id);
    join = "ncclCommInitRank" (*mut usize, c_int, Id, c_int);
    destroy = "ncclCommDestroy" (usize);
    abort = "ncclCommAbort" (usize);
    async_error = "ncclCommGetAsyncError" (usize, *mut c_int);
    all_reduce = "ncclAllReduce" (*const c_void, *mut c_void, usize, c_int, c_int, usize, usize);
    broadcast = "ncclBroadcast" (*const c_void, *mut c_void, usize, c_int, c_int, usize, usize);
}

/// An open library.
#[derive(Clone, Copy, Debug)]
pub struct Library {
    functions: Functions,
    words: unsafe extern "C" fn(c_int) -> *const c_char,
    version: Version,
}

impl Library {
    /// Opens the library that `BRIDLE_NCCL` names, else the first that is found.
    ///
    /// # Errors
    /// If there is none, it is not NCCL, or too old; if `BRIDLE_NCCL` is `off`.
    pub fn open() -> Result<Self, NcclError> {
        let names = match chosen(CHOICE) {
            Some(off) if off == OFF => return Err(NcclError::Off),
            Some(path) => vec![path],
            None => NAMES.map(str::to_owned).to_vec(),
        };
        let opened = Opened::first(&names, 0).map_err(|tried| NcclError::Missing { tried })?;
        let lacking = |function| NcclError::Lacking {
            library: opened.name.clone(),
            function,
        };
        const WORDS: &str = "ncclGetErrorString";
        // SAFETY: the functions of NCCL 2, whose arguments have not changed since its first version
        let (functions, words) = unsafe { (Functions::of(&opened), opened.function(WORDS)) };
        let mut library = Self {
            functions: functions.map_err(lacking)?,
            words: words.ok_or_else(|| lacking(WORDS))?,
            version: Version(0),
        };
        let mut version = 0;
        // SAFETY: may be called at any time; the number is written
        library.checked("asking for the version", unsafe {
            (library.functions.version)(&mut version)
        })?;
        library.version = Version(version);
        if library.version < OLDEST {
            return Err(NcclError::Old {
                library: opened.name,
                version: library.version,
            });
        }
        Ok(library)
    }

    /// The library's version.
    pub const fn version(&self) -> Version {
        self.version
    }

    /// What it is called in messages and records, such as `NCCL 2.27.5`.
    pub fn engine(&self) -> String {
        format!("NCCL {}", self.version)
    }

    /// An id under which ranks can join. It holds an address of this machine, at which the library
    /// now listens.
    ///
    /// # Errors
    /// If the library finds no network.
    pub fn id(&self) -> Result<Id, NcclError> {
        let mut id = Id([0; 128]);
        // SAFETY: the id is written
        self.checked("making an id", unsafe { (self.functions.id)(&mut id) })?;
        Ok(id)
    }

    /// Joins the ranks that have this id: the communicator. Waits for all of them, without limit. The
    /// device is the current one of this thread.
    ///
    /// # Errors
    /// If a rank has no device, or they find no way to each other.
    pub fn join(&self, id: Id, rank: usize, size: usize) -> Result<usize, NcclError> {
        let mut communicator = 0;
        // SAFETY: the communicator is written
        let code = unsafe { (self.functions.join)(&mut communicator, size as c_int, id, rank as c_int) };
        self.checked("joining ranks", code)?;
        Ok(communicator)
    }

    /// Begins a sum of `count` f32 over ranks, in the order of the stream.
    ///
    /// # Safety
    /// The communicator must be one of this library that is not ended. The addresses must have `count`
    /// f32 in its device's memory each, may be the same, and stay so until the sum is over. The
    /// stream must be one of that device.
    pub unsafe fn sum(
        &self,
        communicator: usize,
        [from, to]: [usize; 2],
        count: usize,
        stream: usize,
    ) -> Result<(), NcclError> {
        let (from, to) = (from as *const c_void, to as *mut c_void);
        // SAFETY: the caller's
        let code = unsafe { (self.functions.all_reduce)(from, to, count, FLOAT, SUM, communicator, stream) };
        self.checked("beginning a sum", code)
    }

    /// Begins to put rank 0's `count` f32 in place of those of all ranks.
    ///
    /// # Safety
    /// As for [`Library::sum`].
    pub unsafe fn broadcast(
        &self,
        communicator: usize,
        [from, to]: [usize; 2],
        count: usize,
        stream: usize,
    ) -> Result<(), NcclError> {
        let (from, to) = (from as *const c_void, to as *mut c_void);
        // SAFETY: the caller's
        let code = unsafe { (self.functions.broadcast)(from, to, count, FLOAT, 0, communicator, stream) };
        self.checked("beginning a broadcast", code)
    }

    /// Fails if something that was begun has failed meanwhile.
    ///
    /// # Safety
    /// The communicator must be one of this library that is not ended.
    pub unsafe fn healthy(&self, communicator: usize) -> Result<(), NcclError> {
        let mut code = SUCCESS;
        // SAFETY: the caller's; the code is written
        let asked = unsafe { (self.functions.async_error)(communicator, &mut code) };
        self.checked("asking for errors", asked)?;
        match code {
            IN_PROGRESS => Ok(()),
            code => self.checked("an exchange between devices", code),
        }
    }

    /// Ends a communicator whose exchanges are all over.
    ///
    /// # Safety
    /// The communicator must be one of this library that is not ended; it is now.
    pub unsafe fn destroy(&self, communicator: usize) {
        // SAFETY: the caller's. Nothing depends on whether it could be ended.
        unsafe { (self.functions.destroy)(communicator) };
    }

    /// Ends a communicator and whatever was begun with it.
    ///
    /// # Safety
    /// As for [`Library::destroy`].
    pub unsafe fn abort(&self, communicator: usize) {
        // SAFETY: the caller's. It failed anyway.
        unsafe { (self.functions.abort)(communicator) };
    }

    /// The library's words for a code other than success.
    fn checked(&self, what: &'static str, code: c_int) -> Result<(), NcclError> {
        if code == SUCCESS {
            return Ok(());
        }
        // SAFETY: a text of the library that ends in a zero and is never freed, for any code
        Err(unsafe { NcclError::failed(what, self.engine(), code, (self.words)(code)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_read_as_nvidia_writes_them() {
        for (number, text) in [
            (22_705, "2.27.5"),
            (21_400, "2.14.0"),
            (2_804, "2.8.4"),
            (20_900, "2.9.0"),
        ] {
            assert_eq!(Version(number).to_string(), text);
        }
    }
}
