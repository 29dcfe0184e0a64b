//! Files: reading what others wrote.

mod read;

pub use read::{SETTINGS, TEXT, is_of_the_machine, open, read, text, too_large};
