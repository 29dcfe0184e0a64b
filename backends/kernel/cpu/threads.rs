//! Runs blocks of work on threads: rayon's, or those of the OpenMP library that LibTorch uses.
//!
//! OpenMP's threads spin after each operation of LibTorch, and would take the cores from any
//! others.

use rayon::prelude::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Threads {
    /// Those of flex.
    Rayon,
    /// Those of LibTorch, if its OpenMP library is GNU's; otherwise the calling thread.
    #[cfg(feature = "tch")]
    OpenMp,
}

impl Threads {
    /// Runs `work` on every item, each on some thread. A result must not depend on which.
    pub(super) fn for_each<T: Send>(self, items: Vec<T>, work: impl Fn(T) + Send + Sync) {
        match self {
            Self::Rayon => items.into_par_iter().for_each(work),
            #[cfg(feature = "tch")]
            Self::OpenMp => openmp::for_each(items, &work),
        }
    }
}

#[cfg(feature = "tch")]
mod openmp {
    use std::ffi::{c_uint, c_void};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Mutex, PoisonError};

    /// `GOMP_parallel`: calls a function with its argument on each thread, and returns when all
    /// have.
    type Parallel = unsafe extern "C" fn(extern "C" fn(*mut c_void), *mut c_void, c_uint, c_uint);

    #[cfg(target_os = "linux")]
    unsafe extern "C" {
        fn dlsym(handle: *mut c_void, symbol: *const std::ffi::c_char) -> *mut c_void;
    }

    /// LibTorch uses other libraries there.
    #[cfg(not(target_os = "linux"))]
    fn parallel() -> Option<Parallel> {
        None
    }

    /// GNU's entry point, if LibTorch has loaded that library.
    #[cfg(target_os = "linux")]
    fn parallel() -> Option<Parallel> {
        static FOUND: std::sync::OnceLock<Option<Parallel>> = std::sync::OnceLock::new();
        *FOUND.get_or_init(|| {
            // SAFETY: a null handle searches the libraries of the program; the name ends in a zero
            // byte
            let found = unsafe { dlsym(std::ptr::null_mut(), c"GOMP_parallel".as_ptr()) };
            // SAFETY: the function has this signature in every version of GNU's library
            (!found.is_null()).then(|| unsafe { std::mem::transmute::<*mut c_void, Parallel>(found) })
        })
    }

    struct Queue<'a, T> {
        items: Vec<Mutex<Option<T>>>,
        next: AtomicUsize,
        work: &'a (dyn Fn(T) + Sync),
    }

    /// Works on items until none is left. A panic cannot leave it and ends the program.
    extern "C" fn work_through<T: Send>(queue: *mut c_void) {
        // SAFETY: `for_each` passes a pointer to a `Queue<T>` that outlives the call and can be
        // shared
        let queue = unsafe { &*queue.cast::<Queue<'_, T>>() };
        while let Some(item) = queue.items.get(queue.next.fetch_add(1, Ordering::Relaxed)) {
            let item = item.lock().unwrap_or_else(PoisonError::into_inner).take();
            item.into_iter().for_each(queue.work);
        }
    }

    pub(super) fn for_each<T: Send>(items: Vec<T>, work: &(dyn Fn(T) + Sync)) {
        let threads = (tch::get_num_threads().max(1) as usize).min(items.len());
        let Some(parallel) = parallel().filter(|_| threads > 1) else {
            return items.into_iter().for_each(work);
        };
        let mut queue = Queue {
            items: items.into_iter().map(|item| Mutex::new(Some(item))).collect(),
            next: AtomicUsize::new(0),
            work,
        };
        // SAFETY: `work_through` gets its queue, and `parallel` returns only when all threads have
        // left it
        unsafe { parallel(work_through::<T>, (&raw mut queue).cast(), threads as c_uint, 0) };
    }
}
