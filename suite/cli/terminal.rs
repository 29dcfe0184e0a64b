//! Results go to stdout, everything else to stderr. A closed pipe is no error.

use super::error::{Failure, Result};
use super::exit::Exit;
use std::io::{ErrorKind, IsTerminal, Write};

/// Writes `text` and a line end to stdout. A reader that went away (`| head`) is not an error.
pub fn print(text: &str) -> Result<()> {
    // lines of CSV end in CR LF, the last like the others
    let end: &[u8] = if text.ends_with("\r\n") { b"\r\n" } else { b"\n" };
    let mut out = std::io::stdout().lock();
    match out
        .write_all(text.trim_end().as_bytes())
        .and_then(|()| out.write_all(end))
        .and_then(|()| out.flush())
    {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::fault("cannot write to stdout", error)),
        _ => Ok(()),
    }
}

/// Writes `text` and a line end to stderr, if it is open.
pub fn log(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Whether stdout is a terminal that wants colour (`NO_COLOR` unset, `TERM` not dumb).
pub fn stdout_is_colourful() -> bool {
    let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    wanted && std::env::var_os("TERM").is_none_or(|term| term != "dumb") && std::io::stdout().is_terminal()
}

/// Turns a panic into one line on stderr and exit code 1.
pub fn report_panics() {
    std::panic::set_hook(Box::new(|info| {
        // a decoder met a damaged file; its caller returns an error
        if bridle_tasks::panic_is_caught() {
            return;
        }
        let message = info.payload_as_str().unwrap_or("no message");
        let place = info
            .location()
            .map(|place| format!(" at {}:{}", place.file(), place.line()))
            .unwrap_or_default();
        log(&format!("error: internal fault{place}: {message}"));
        std::process::exit(i32::from(Exit::Fault.code()));
    }));
}
