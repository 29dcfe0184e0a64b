//! Libraries that are opened at run time, not linked, and the functions that are called of them.

use libloading::os::unix::{Library, RTLD_NOW};
use std::ffi::{c_int, c_void};
use std::mem::ManuallyDrop;

/// Declares the functions that are used of a library and how they are found, in one place. Each
/// returns an error code.
macro_rules! functions {
    ($($name:ident = $symbol:literal ($($argument:ty),*);)*) => {
        /// The functions; each returns the library's error code.
        #[derive(Clone, Copy, Debug)]
        #[allow(clippy::type_complexity)] // that is what these functions look like
        pub struct Functions {
            $(pub $name: unsafe extern "C" fn($($argument),*) -> std::ffi::c_int,)*
        }

        impl Functions {
            /// The functions, or the name of one that the library lacks.
            ///
            /// # Safety
            /// The library's functions of these names must have these arguments.
            unsafe fn of(library: &$crate::opened::Opened) -> Result<Self, &'static str> {
                // SAFETY: the caller's
                Ok(Self { $($name: unsafe { library.function($symbol) }.ok_or($symbol)?,)* })
            }
        }
    };
}
pub(crate) use functions;

/// An open library. It is never closed: those that start threads do not survive that.
#[derive(Debug)]
pub struct Opened {
    library: ManuallyDrop<Library>,
    /// The name or path that it was opened by.
    pub name: String,
}

impl Opened {
    /// The first of these that the loader finds, else what was tried, with the loader's words on the
    /// last.
    pub fn first(names: &[String], flags: c_int) -> Result<Self, String> {
        let mut reason = String::new();
        for name in names {
            // SAFETY: a library's initialisers run; these are libraries that the user installed, by
            // their names or by a path of his own
            match unsafe { Library::open(Some(name), RTLD_NOW | flags) } {
                Ok(library) => {
                    return Ok(Self {
                        library: ManuallyDrop::new(library),
                        name: name.clone(),
                    });
                }
                Err(error) => reason = error.to_string(),
            }
        }
        Err(format!("tried {}; {reason}", names.join(", ")))
    }

    /// The address of a symbol, if there is one of this name.
    pub fn address(&self, symbol: &str) -> Option<usize> {
        // SAFETY: the address is not followed
        let found = unsafe { self.library.get::<*const c_void>(symbol.as_bytes()) };
        found.ok().map(|symbol| symbol.into_raw() as usize)
    }

    /// A function, if there is one of this name.
    ///
    /// # Safety
    /// `F` must be a function pointer of the function's arguments.
    pub unsafe fn function<F: Copy>(&self, symbol: &str) -> Option<F> {
        // SAFETY: the caller's
        let found = unsafe { self.library.get::<F>(symbol.as_bytes()) };
        found.ok().map(|symbol| *symbol)
    }
}

/// The path that an environment variable gives in place of these names, if it does.
pub fn chosen(variable: &str) -> Option<String> {
    std::env::var(variable).ok().filter(|path| !path.is_empty())
}
