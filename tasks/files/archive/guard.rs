//! Turns panics of a third-party reader into errors: some readers assert what a damaged file
//! violates.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

thread_local! {
    static CAUGHT: Cell<bool> = const { Cell::new(false) };
}

/// Whether a panic of this thread would be caught and become an error; a panic hook should then
/// stay silent.
pub fn panic_is_caught() -> bool {
    CAUGHT.with(Cell::get)
}

/// Runs `work`; a panic becomes an error with its message.
///
/// `work` must leave nothing half-done that is used after a panic; here it only reads files.
pub(super) fn catching<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    let before = CAUGHT.replace(true);
    let outcome = catch_unwind(AssertUnwindSafe(work));
    CAUGHT.set(before);
    outcome.unwrap_or_else(|panic| {
        let words = panic.downcast_ref::<String>().map(String::as_str);
        let words = words.or_else(|| panic.downcast_ref::<&str>().copied());
        Err(format!("its reader gave up: {}", words.unwrap_or("without a reason")))
    })
}
