//! Files: reading what others wrote, replacing files as a whole, and locks.

mod foreign;
mod read;
mod write;

pub use foreign::foreign;
pub use read::{SETTINGS, TEXT, is_of_the_machine, open, read, text, too_large};
pub use write::{Temporary, create, is_temporary, lock, prove_writable, remove_abandoned, replace};
