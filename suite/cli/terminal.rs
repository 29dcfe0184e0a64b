//! Results go to stdout, everything else to stderr: as much as `--quiet` or `--verbose` ask for. A
//! closed pipe is no error.

use super::error::{Failure, Result};
use super::exit::Exit;
use super::ranks;
use bridle_results::shown;
use std::io::{ErrorKind, IsTerminal, Write};
use std::sync::OnceLock;

/// What goes to stderr.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Talk {
    /// Only why a command failed or stopped.
    Errors,
    /// Notes and progress, which thins out where no terminal shows it.
    #[default]
    Usual,
    /// Every note, and progress every few seconds.
    More,
}

static TALK: OnceLock<Talk> = OnceLock::new();

/// Decides what goes to stderr. Only the first call does.
pub fn decide(talk: Talk) {
    let _ = TALK.set(talk);
}

/// What was decided.
pub fn talk() -> Talk {
    TALK.get().copied().unwrap_or_default()
}

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

/// Says something beside the results, unless nothing but errors was asked for.
pub fn log(text: &str) {
    if talk() > Talk::Errors {
        error(text);
    }
}

/// Writes `text` and a line end to stderr, if it is open, without control characters; nothing where
/// another rank speaks for this one.
pub fn error(text: &str) {
    if ranks::is_silent() {
        return;
    }
    // in one call, so that lines of several programs do not mix
    let _ = std::io::stderr()
        .lock()
        .write_all(format!("{}\n", shown::printable(text)).as_bytes());
}

/// Asks a question on the terminal, and gives whether the answer is yes. Without a terminal it is no.
pub fn asks(question: &str) -> bool {
    if !(std::io::stdin().is_terminal() && std::io::stderr().is_terminal()) {
        return false;
    }
    let _ = write!(std::io::stderr(), "{} [y/N] ", shown::printable(question));
    let mut answer = String::new();
    // an input that ends or fails is no answer
    let _ = std::io::stdin().read_line(&mut answer);
    matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
}

/// The columns of text where stdout is no terminal, and of pages.
pub const PAGE: usize = 100;

/// The columns to write in: `COLUMNS` if it is a number above 0, else those of the terminal.
pub fn columns() -> usize {
    let wanted = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let of_terminal = || terminal_size::terminal_size_of(std::io::stdout()).map(|(width, _)| usize::from(width.0));
    let found = wanted.filter(|columns| *columns > 0).or_else(of_terminal);
    found.filter(|columns| *columns > 0).unwrap_or(PAGE)
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
