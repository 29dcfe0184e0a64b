//! Answers what needs no backend before LibTorch's libraries start.
//!
//! Their initializers register every operation of LibTorch and take 0.4 s, whatever the program is about to do. An executable's
//! `.preinit_array` runs before them (System V ABI, "Initialization and Termination Functions"), with memory, files and threads of
//! glibc ready. A command that reads registries and records alone is performed there and ends the process; for any other the
//! function returns, and the program starts as usual.

use bridle_bench::cli::Cli;
use clap::Parser;
use libc::{c_char, c_int};
use std::ffi::{CStr, OsString};
use std::os::unix::ffi::OsStringExt;

#[used]
#[unsafe(link_section = ".preinit_array")]
static BEFORE_INITIALIZERS: extern "C" fn(c_int, *const *const c_char, *mut *mut c_char) = before_initializers;

/// Performs the command of `arguments` if it needs no backend, and then does not return.
extern "C" fn before_initializers(count: c_int, arguments: *const *const c_char, environment: *mut *mut c_char) {
    let count = usize::try_from(count).unwrap_or(0);
    let arguments: Vec<OsString> = (0..count)
        // SAFETY: the loader passes `count` pointers to strings that end in a zero byte and live as long as the process.
        .map(|index| unsafe { CStr::from_ptr(*arguments.add(index)) })
        .map(|argument| OsString::from_vec(argument.to_bytes().to_vec()))
        .collect();
    // SAFETY: no other thread is there yet. What is set here is what glibc's own initializer and Rust's start set later: the
    // environment, and that a closed pipe is an error of the writer.
    unsafe {
        libc::environ = environment;
        libc::signal(libc::SIGPIPE, libc::SIG_IGN);
    }
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) if cli.command.needs_backend() => return,
        parsed => parsed.unwrap_or_else(|error| error.exit()),
    };
    // libraries that were not started are not ended either
    std::process::exit(i32::from(crate::answer(&cli).code()))
}
