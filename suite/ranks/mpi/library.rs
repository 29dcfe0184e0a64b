//! An MPI library, opened at run time: which file, and the functions that are called.

use super::abi::{Constants, Family, OPEN_MPI_WORLD, short_name};
use crate::error::RanksError;
use crate::launcher::{Kind, Launcher};
use crate::opened::{Opened, chosen, functions};
use libloading::os::unix::RTLD_GLOBAL;
use std::ffi::{c_char, c_int, c_void};

/// The path of a library that is to be used in place of those that are looked for.
const CHOICE: &str = "BRIDLE_MPI";

/// Bytes for texts of the library: more than any of them writes (MPI_MAX_LIBRARY_VERSION_STRING is
/// 8192 in MPICH, the longest).
const TEXT: usize = 1 << 14;

type Handle = usize;
type Sent = *const c_void;
type Received = *mut c_void;

functions! {
    initialized = "MPI_Initialized" (*mut c_int);
    init_thread = "MPI_Init_thread" (*mut c_int, *mut c_void, c_int, *mut c_int);
    finalize = "MPI_Finalize" ();
    abort = "MPI_Abort" (Handle, c_int);
    error_string = "MPI_Error_string" (c_int, *mut c_char, *mut c_int);
    set_errhandler = "MPI_Comm_set_errhandler" (Handle, Handle);
    rank = "MPI_Comm_rank" (Handle, *mut c_int);
    size = "MPI_Comm_size" (Handle, *mut c_int);
    split = "MPI_Comm_split" (Handle, c_int, c_int, *mut Handle);
    split_type = "MPI_Comm_split_type" (Handle, c_int, c_int, Handle, *mut Handle);
    test = "MPI_Test" (*mut Handle, *mut c_int, Handle);
    barrier = "MPI_Ibarrier" (Handle, *mut Handle);
    broadcast = "MPI_Ibcast" (Received, c_int, Handle, c_int, Handle, *mut Handle);
    all_gather = "MPI_Iallgather" (Sent, c_int, Handle, Received, c_int, Handle, Handle, *mut Handle);
    all_to_all = "MPI_Ialltoall" (Sent, c_int, Handle, Received, c_int, Handle, Handle, *mut Handle);
    all_reduce = "MPI_Iallreduce" (Sent, Received, c_int, Handle, Handle, Handle, *mut Handle);
    send = "MPI_Isend" (Sent, c_int, Handle, c_int, c_int, Handle, *mut Handle);
    probe = "MPI_Iprobe" (c_int, c_int, Handle, *mut c_int, Handle);
    receive = "MPI_Recv" (Received, c_int, Handle, c_int, c_int, Handle, Handle);
}

/// An open library.
#[derive(Debug)]
pub struct Library {
    opened: Opened,
    /// What it calls itself, such as `Open MPI 4.1.4`.
    pub engine: String,
}

impl Library {
    /// Opens the library that belongs to the launcher, or the one that `BRIDLE_MPI` names.
    ///
    /// # Errors
    /// If there is none, or it is no MPI library.
    pub fn open(launcher: &Launcher) -> Result<(Self, Functions, Constants), RanksError> {
        let names = chosen(CHOICE).map_or_else(|| candidates(launcher.kind), |path| vec![path]);
        // Open MPI's plugins look for its symbols: global
        let opened = Opened::first(&names, RTLD_GLOBAL).map_err(|tried| RanksError::Missing {
            launcher: launcher.kind.name(),
            size: launcher.size,
            tried,
        })?;
        let mut library = Self {
            opened,
            engine: String::new(),
        };
        let says = library.says()?;
        library.engine = short_name(&says);
        let family = Family::of(library.name(), &says, library.address(OPEN_MPI_WORLD).is_ok())?;
        let constants = family.constants(&library)?;
        // SAFETY: it says of itself that it is an MPI library of a known family
        let functions = unsafe { Functions::of(&library.opened) };
        let functions = functions.map_err(|name| library.lacking(name))?;
        Ok((library, functions, constants))
    }

    /// The name or path that it was opened by.
    pub fn name(&self) -> &str {
        &self.opened.name
    }

    /// What `MPI_Get_library_version` says, which may be called at any time.
    fn says(&self) -> Result<String, RanksError> {
        type Version = unsafe extern "C" fn(*mut c_char, *mut c_int) -> c_int;
        const NAME: &str = "MPI_Get_library_version";
        // SAFETY: the function's arguments since MPI 3.0
        let version: Option<Version> = unsafe { self.opened.function(NAME) };
        let version = version.ok_or_else(|| self.lacking(NAME))?;
        // SAFETY: the text has room
        Ok(text_of(|text, length| unsafe { version(text, length) }))
    }

    /// The address of a variable.
    ///
    /// # Errors
    /// If there is none of this name.
    pub fn address(&self, name: &str) -> Result<usize, RanksError> {
        self.opened.address(name).ok_or_else(|| self.lacking(name))
    }

    fn lacking(&self, name: &str) -> RanksError {
        RanksError::Lacking {
            library: self.opened.name.clone(),
            function: name.to_owned(),
        }
    }
}

/// The names of libraries that may belong to a launcher: those that surely do first.
fn candidates(launcher: Kind) -> Vec<String> {
    let open_mpi = ["libmpi.so.40"];
    let others = ["libmpi_abi.so.1", "libmpi.so.12", "libmpich.so.12"];
    let names = match launcher {
        Kind::Pmi => [&others[..], &open_mpi].concat(),
        _ => [&open_mpi[..], &others].concat(),
    };
    names.into_iter().map(str::to_owned).collect()
}

/// A text that a function of the library writes.
pub fn text_of(write: impl FnOnce(*mut c_char, *mut c_int) -> c_int) -> String {
    let (mut text, mut length) = (vec![0u8; TEXT], 0);
    if write(text.as_mut_ptr().cast(), &mut length) != 0 {
        return String::new();
    }
    text.truncate(usize::try_from(length).unwrap_or(0));
    let text = String::from_utf8_lossy(&text);
    text.trim_end_matches('\0').trim().to_owned()
}
