//! Counts the memory and the time that opening a file takes.

use bridle_containers::Checkpoint;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::path::Path;
use std::time::{Duration, Instant};

/// The system's allocator, which counts.
struct Counting;

thread_local! {
    // of this thread alone, which opens its files by itself
    static USED: Cell<isize> = const { Cell::new(0) };
    static MOST: Cell<isize> = const { Cell::new(0) };
}

fn count(change: isize) {
    let used = USED.get() + change;
    USED.set(used);
    MOST.set(MOST.get().max(used));
}

// SAFETY: every call goes to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller keeps the rules of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller keeps the rules of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Opens a file that may be hostile, or gives the error's text, which names the file. It takes at most
/// 5 seconds and `limit` bytes, freeing included.
pub fn open(path: &Path, limit: usize) -> Result<Checkpoint, String> {
    let before = USED.get();
    MOST.set(before);
    let start = Instant::now();
    let opened = Checkpoint::open(path).map_err(|error| error.to_string());
    let (took, most) = (start.elapsed(), (MOST.get() - before) as usize);
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
