//! Makes a set in AudioSet's own layout out of ESC-50: `cargo run --release -p bridle-tasks
//! --example mixtures -- ESC50 TO`.
//!
//! Each clip of ESC-50 is mixed with another of its part and carries the classes of both. Folds 2
//! to 5 are the training list with 1,600 mixtures, fold 1 the evaluation list with 400; there are
//! 50 classes. The same files come out each time.

mod mix;

use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(esc50), Some(to), None) = (arguments.next(), arguments.next(), arguments.next()) else {
        eprintln!("two folders are needed: that of ESC-50 and the one to write to");
        return ExitCode::from(2);
    };
    match mix::write(&esc50, &to, mix::Classes::All) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
