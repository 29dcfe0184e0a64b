//! A reader of pickles that runs nothing: it names classes and functions, and calls none.
//!
//! ```text
//! bytes    the pickle's bytes, lengths held against those that are left
//! error    why a pickle is refused, and where
//! globals  names of classes and functions: understood, kept, or refused
//! machine  the instructions
//! objects  those that name classes and functions, and make something of them
//! value    what they make: values in one list, which hold each other by number
//! ```
//!
//! A pickle is a program for a machine with a stack and a memory ("memo"). Every value that it makes
//! goes to one list; what a list or an object holds are places in that list. So a value that is used
//! twice is there once, a value may hold itself, and all are freed at once, without recursion.
//!
//! Crates that read pickles were looked at first, by their sources (November 2026):
//!
//! | crate | why not |
//! |---|---|
//! | candle-core 0.11, burn-store 0.21 | copy a value each time that the memo gives it, so 60 tuples of two take 2^60; no protocol 4 (`STACK_GLOBAL`, `FRAME`); set a text's length aside before it is there; a tuple that is too short is a panic (candle) |
//! | repugnant-pickle 0.0 | copies values; not kept since 2023 |
//! | serde-pickle 1.2 | neither storages outside of the pickle nor classes that it does not know |
//!
//! None refuses what would run programs elsewhere.

mod bytes;
mod error;
mod globals;
mod machine;
mod objects;
mod value;

pub(crate) use machine::read;
pub(crate) use value::{Id, Object, Pickle, Value};
