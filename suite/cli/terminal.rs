//! Results go to stdout, everything else to stderr. A closed pipe is no error.

use super::error::{Failure, Result};
use super::exit::Exit;
use super::ranks;
use bridle_results::shown;
use std::io::{ErrorKind, IsTerminal, Write};

/// Writes `text` and a line end to stdout, without control characters. A reader that went away (`| head`) is not an error.
pub fn print(text: &str) -> Result<()> {
    // lines of CSV end in CR LF, the last like the others
    let end: &[u8] = if text.ends_with("\r\n") { b"\r\n" } else { b"\n" };
    let stray = |c: char| shown::is_control(c) && !matches!(c, '\n' | '\r' | '\t');
    let text = text.trim_end().replace(stray, "\u{fffd}");
    let mut out = std::io::stdout().lock();
    match out
        .write_all(text.as_bytes())
        .and_then(|()| out.write_all(end))
        .and_then(|()| out.flush())
    {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::fault("cannot write to stdout", error)),
        _ => Ok(()),
    }
}

/// Writes a value as JSON to stdout, control characters as escapes.
pub fn print_json(value: &serde_json::Value) -> Result<()> {
    print(&shown::json_escaped(&format!("{value:#}")))
}

/// Writes `text` and a line end to stderr, if it is open, without control characters; nothing where
/// another rank speaks for this one.
pub fn log(text: &str) {
    if ranks::is_silent() {
        return;
    }
    // in one call, so that lines of several programs do not mix
    let _ = std::io::stderr()
        .lock()
        .write_all(format!("{}\n", shown::printable(text)).as_bytes());
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
        if is_thread_refused(message) {
            end_all(&format!(
                "error: the system starts no more threads\n  because: {message}\ntry: a smaller --threads"
            ));
        }
        let place = info
            .location()
            .map(|place| format!(" at {}:{}", place.file(), place.line()))
            .unwrap_or_default();
        end_all(&format!("error: internal fault{place}: {message}"));
    }));
}

/// Ends this process, and the other ranks, which would wait for it.
fn end_all(told: &str) -> ! {
    ranks::joined().abort(i32::from(Exit::Fault.code()), &shown::printable(told))
}

/// Whether a panic says that a library could not start a thread.
fn is_thread_refused(message: &str) -> bool {
    ["failed to spawn thread", "ThreadPoolBuildError", "alternative stack"]
        .iter()
        .any(|said| message.contains(said))
}
