//! A reader of pickles that runs nothing: it names classes and functions, and calls none.
//!
//! ```text
//! bytes    the pickle's bytes, lengths held against those that are left
//! error    why a pickle is refused, and where
//! globals  names of classes and functions: understood, kept, or refused
//! machine  the instructions
//! value    what they make: values in one list, which hold each other by number
//! ```
//!
//! A pickle is a program for a machine with a stack and a memory ("memo"). Every value that it makes
//! goes to one list; what a list or an object holds are places in that list. So a value that is used
//! twice is there once, a value may hold itself, and all are freed at once, without recursion.

mod bytes;
mod error;
mod globals;
mod machine;
mod value;

pub(crate) use machine::read;
pub(crate) use value::{Id, Object, Pickle, Value};
