//! Sharing blocks of work among threads: rayon's, or those of the OpenMP library with which LibTorch computes.
//!
//! OpenMP's threads spin for a while after each operation of LibTorch, and would take the cores from any others.

use rayon::prelude::*;

/// Who does the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Team {
    /// The threads of flex.
    Rayon,
    /// The threads of LibTorch, where its OpenMP library is GNU's; else the calling thread.
    #[cfg(feature = "tch")]
    OpenMp,
}

impl Team {
    /// Does `work` on every item, each on some thread. What an item gives must not depend on which.
    pub(super) fn share<T: Send>(self, items: Vec<T>, work: impl Fn(T) + Send + Sync) {
        match self {
            Self::Rayon => items.into_par_iter().for_each(work),
            #[cfg(feature = "tch")]
            Self::OpenMp => openmp::share(items, &work),
        }
    }
}

#[cfg(feature = "tch")]
mod openmp {
    use std::ffi::{c_uint, c_void};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Mutex, PoisonError};

    /// `GOMP_parallel`: calls a function with its argument on each thread of a team, and returns when all have returned.
    type Parallel = unsafe extern "C" fn(extern "C" fn(*mut c_void), *mut c_void, c_uint, c_uint);

    #[cfg(target_os = "linux")]
    unsafe extern "C" {
        fn dlsym(handle: *mut c_void, symbol: *const std::ffi::c_char) -> *mut c_void;
    }

    /// Elsewhere LibTorch comes with other libraries.
    #[cfg(not(target_os = "linux"))]
    fn parallel() -> Option<Parallel> {
        None
    }

    /// GNU's entry point, where LibTorch has brought that library along.
    #[cfg(target_os = "linux")]
    fn parallel() -> Option<Parallel> {
        static FOUND: std::sync::OnceLock<Option<Parallel>> = std::sync::OnceLock::new();
        *FOUND.get_or_init(|| {
            // SAFETY: a null handle asks for the libraries of the program; the name ends in a zero
            let found = unsafe { dlsym(std::ptr::null_mut(), c"GOMP_parallel".as_ptr()) };
            // SAFETY: the only function of this name has this signature in every version of GNU's library
            (!found.is_null()).then(|| unsafe { std::mem::transmute::<*mut c_void, Parallel>(found) })
        })
    }

    struct Shared<'a, T> {
        items: Vec<Mutex<Option<T>>>,
        next: AtomicUsize,
        work: &'a (dyn Fn(T) + Sync),
    }

    /// Takes items until none is left. A panic must not leave it, and ends the program.
    extern "C" fn take<T: Send>(shared: *mut c_void) {
        // SAFETY: `share` passes a pointer to a `Shared<T>` that outlives the call; all its parts may be used by several
        // threads at once
        let shared = unsafe { &*shared.cast::<Shared<'_, T>>() };
        while let Some(item) = shared.items.get(shared.next.fetch_add(1, Ordering::Relaxed)) {
            let item = item.lock().unwrap_or_else(PoisonError::into_inner).take();
            item.into_iter().for_each(shared.work);
        }
    }

    pub(super) fn share<T: Send>(items: Vec<T>, work: &(dyn Fn(T) + Sync)) {
        let threads = (tch::get_num_threads().max(1) as usize).min(items.len());
        let Some(parallel) = parallel().filter(|_| threads > 1) else {
            return items.into_iter().for_each(work);
        };
        let mut shared = Shared {
            items: items.into_iter().map(|item| Mutex::new(Some(item))).collect(),
            next: AtomicUsize::new(0),
            work,
        };
        // SAFETY: `take` gets what it expects, and `parallel` returns only when all threads have left it
        unsafe { parallel(take::<T>, (&raw mut shared).cast(), threads as c_uint, 0) };
    }
}
