//! The program's edge: its command line, how it speaks, and how it ends.
//!
//! ```text
//! args                  the command line as types
//! terminal, progress    results on stdout, all else on stderr
//! error, exit           what ends a command early, and the exit codes
//! interrupt             a clean stop by signal
//! ranks                 this process among those that train one model together
//! ```

mod args;
pub mod error;
pub mod exit;
pub mod interrupt;
pub mod progress;
pub mod ranks;
pub mod terminal;

pub use args::*;
