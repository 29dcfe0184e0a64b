//! Counts the memory and the time that opening a file takes.

use bridle_containers::Checkpoint;
use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// The system's allocator, which counts.
struct Counting;

static USED: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);
/// Only one file is read at a time, so that what is counted is its own, nearly.
static ONE: Mutex<()> = Mutex::new(());

// SAFETY: every call goes to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let used = USED.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        MOST.fetch_max(used, Ordering::Relaxed);
        // SAFETY: the caller keeps the rules of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        USED.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the rules of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Opens a file that may be hostile, or gives the error's text, which names the file. It takes at most
/// 5 seconds and `limit` bytes, freeing included.
pub fn open(path: &Path, limit: usize) -> Result<Checkpoint, String> {
    let _one = ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let before = USED.load(Ordering::Relaxed);
    MOST.store(before, Ordering::Relaxed);
    let start = Instant::now();
    let opened = Checkpoint::open(path).map_err(|error| error.to_string());
    let (took, most) = (start.elapsed(), MOST.load(Ordering::Relaxed).saturating_sub(before));
    assert!(took < Duration::from_secs(5), "{}: {took:?}", path.display());
    assert!(most < limit, "{}: {most} bytes", path.display());
    println!("{took:?}, {} KiB: {:?}", most >> 10, opened.as_ref().err());
    if let Err(message) = &opened {
        assert!(message.contains(&path.display().to_string()), "{message}");
        assert!(
            message.len() < 3_000 && !message.contains(char::is_control),
            "{message}"
        );
    }
    opened
}
