//! An MPI library, opened at run time: which file, and the functions that are called.

use super::abi::{Constants, Family, OPEN_MPI_WORLD, short_name};
use crate::error::RanksError;
use crate::launcher::{Kind, Launcher};
use libloading::os::unix::{Library as Opened, RTLD_GLOBAL, RTLD_NOW};
use std::ffi::{c_char, c_int, c_void};

/// The path of a library that is to be used in place of those that are looked for.
const CHOICE: &str = "BRIDLE_MPI";

/// Bytes for texts of the library: more than any of them writes (MPI_MAX_LIBRARY_VERSION_STRING is
/// 8192 in MPICH, the longest).
const TEXT: usize = 1 << 14;

/// Declares the functions that are used and how they are found, in one place.
macro_rules! functions {
    ($($name:ident = $symbol:literal ($($argument:ty),*);)*) => {
        /// The functions; each returns MPI's error code.
        #[derive(Clone, Copy, Debug)]
        #[allow(clippy::type_complexity)] // that is what MPI's functions look like
        pub struct Functions {
            $(pub $name: unsafe extern "C" fn($($argument),*) -> c_int,)*
        }

        impl Functions {
            /// # Safety
            /// The symbols must be MPI's.
            unsafe fn of(library: &Library) -> Result<Self, RanksError> {
                // SAFETY: the caller says that these are MPI's functions, whose arguments these are
                Ok(Self { $($name: unsafe { library.function($symbol)? },)* })
            }
        }
    };
}

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

/// An open library. It is never closed: MPI libraries do not survive that.
#[derive(Debug)]
pub struct Library {
    opened: Opened,
    /// The name or path that it was opened by.
    pub name: String,
    /// What it calls itself, such as `Open MPI 4.1.4`.
    pub engine: String,
}

impl Library {
    /// Opens the library that belongs to the launcher, or the one that `BRIDLE_MPI` names.
    ///
    /// # Errors
    /// If there is none, or it is no MPI library.
    pub fn open(launcher: &Launcher) -> Result<(Self, Functions, Constants), RanksError> {
        let chosen = std::env::var(CHOICE).ok().filter(|path| !path.is_empty());
        let names = chosen.map_or_else(|| candidates(launcher.kind), |path| vec![path]);
        let mut reason = String::new();
        let opened = names.iter().find_map(|name| {
            // SAFETY: a library's initialisers run; these are libraries that the user installed, by
            // MPI's names or by a path of his own. Open MPI's plugins look for its symbols: global.
            let opened = unsafe { Opened::open(Some(name), RTLD_NOW | RTLD_GLOBAL) };
            let keep = |error: libloading::Error| reason = error.to_string();
            Some((name.clone(), opened.map_err(keep).ok()?))
        });
        let Some((name, opened)) = opened else {
            return Err(RanksError::Missing {
                launcher: launcher.kind.name(),
                size: launcher.size,
                tried: format!("tried {}; {reason}", names.join(", ")),
            });
        };
        let mut library = Self {
            opened,
            name,
            engine: String::new(),
        };
        let says = library.says()?;
        library.engine = short_name(&says);
        let family = Family::of(&library.name, &says, library.address(OPEN_MPI_WORLD).is_ok())?;
        let constants = family.constants(&library)?;
        // SAFETY: it says of itself that it is an MPI library of a known family
        let functions = unsafe { Functions::of(&library)? };
        Ok((library, functions, constants))
    }

    /// What `MPI_Get_library_version` says, which may be called at any time.
    fn says(&self) -> Result<String, RanksError> {
        type Version = unsafe extern "C" fn(*mut c_char, *mut c_int) -> c_int;
        // SAFETY: the function's arguments since MPI 3.0
        let version: Version = unsafe { self.function("MPI_Get_library_version")? };
        // SAFETY: the text has room
        Ok(text_of(|text, length| unsafe { version(text, length) }))
    }

    /// A function by its name.
    ///
    /// # Safety
    /// `F` must be a function pointer of the function's arguments.
    unsafe fn function<F: Copy>(&self, name: &str) -> Result<F, RanksError> {
        // SAFETY: the caller's
        let found = unsafe { self.opened.get::<F>(name.as_bytes()) };
        found.map(|symbol| *symbol).map_err(|_| self.lacking(name))
    }

    /// The address of a variable.
    ///
    /// # Errors
    /// If there is none of this name.
    pub fn address(&self, name: &str) -> Result<usize, RanksError> {
        // SAFETY: the address is not followed
        let found = unsafe { self.opened.get::<*const c_void>(name.as_bytes()) };
        found
            .map(|symbol| symbol.into_raw() as usize)
            .map_err(|_| self.lacking(name))
    }

    fn lacking(&self, name: &str) -> RanksError {
        RanksError::Lacking {
            library: self.name.clone(),
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
