//! Progress on stderr: a bar on a terminal, a plain line every few seconds elsewhere, nothing for
//! short work.

use super::{ranks, terminal};
use bridle_results::shown;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Work shorter than this shows nothing.
const SHORT: Duration = Duration::from_secs(2);
/// Time between plain lines.
const BETWEEN_LINES: Duration = Duration::from_secs(5);

/// Tells the user how far the current piece of work has come.
#[derive(Debug)]
pub struct TerminalProgress {
    bar_possible: bool,
    current: Mutex<Option<Work>>,
}

#[derive(Debug)]
struct Work {
    what: String,
    bar: ProgressBar,
    shown: bool,
    begun: Instant,
    last_line: Instant,
    /// Units that were done before this process took over (a resumed phase): they must not count as
    /// speed.
    head_start: u64,
}

impl Default for TerminalProgress {
    fn default() -> Self {
        Self {
            bar_possible: std::io::stderr().is_terminal(),
            current: Mutex::new(None),
        }
    }
}

impl TerminalProgress {
    /// Begins a piece of work of `total` units, `done` of which were finished earlier.
    pub fn start_at(&self, what: &str, done: u64, total: u64) {
        if ranks::is_silent() {
            return;
        }
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::hidden());
        bar.set_style(style());
        let what = shown::on_one_line(what);
        bar.set_prefix(what.clone());
        bar.set_position(done);
        bar.reset_eta();
        let now = Instant::now();
        let work = Work {
            what,
            bar,
            shown: false,
            begun: now,
            last_line: now,
            head_start: done,
        };
        if let Some(before) = self.current().replace(work) {
            before.bar.finish_and_clear();
        }
    }

    /// Adds a note to the bar, such as the loss and the rate.
    pub fn note(&self, text: String) {
        if let Some(work) = self.current().as_ref() {
            work.bar.set_message(text);
        }
    }

    /// Prints a line above the bar.
    pub fn say(&self, line: &str) {
        match self.current().as_ref() {
            Some(work) if work.shown => work.bar.suspend(|| terminal::log(line)),
            _ => terminal::log(line),
        }
    }

    fn current(&self) -> MutexGuard<'_, Option<Work>> {
        // a panic elsewhere leaves at worst a wrong bar, which is no reason to panic again
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl bridle_tasks::Progress for TerminalProgress {
    fn start(&self, what: &str, total: u64) {
        self.start_at(what, 0, total);
    }

    fn advance(&self, by: u64) {
        let mut current = self.current();
        let Some(work) = current.as_mut() else { return };
        work.bar.inc(by);
        if self.bar_possible {
            if !work.shown && work.begun.elapsed() >= SHORT {
                work.bar.set_draw_target(ProgressDrawTarget::stderr());
                work.shown = true;
            }
        } else if work.last_line.elapsed() >= BETWEEN_LINES {
            work.last_line = Instant::now();
            terminal::log(&work.line(work.begun.elapsed()));
        }
    }

    fn finish(&self) {
        if let Some(work) = self.current().take() {
            work.bar.finish_and_clear();
        }
    }
}

impl Work {
    /// The plain line: what, how far, the note, the time left.
    fn line(&self, elapsed: Duration) -> String {
        let (done, total) = (self.bar.position(), self.bar.length().unwrap_or(0));
        let note = self.bar.message();
        let note = if note.is_empty() {
            String::new()
        } else {
            format!(", {note}")
        };
        let here = done.saturating_sub(self.head_start).max(1);
        let left = elapsed.mul_f64(total.saturating_sub(done) as f64 / here as f64);
        format!(
            "{}: {done} of {total}{note}, {} left",
            self.what,
            display_duration(left)
        )
    }
}

/// A duration in the largest unit that keeps two digits: `40 s`, `12 min`, `3.5 h`.
pub fn display_duration(duration: Duration) -> String {
    match duration.as_secs_f64() {
        seconds if seconds < 99.5 => format!("{seconds:.0} s"),
        seconds if seconds < 5970.0 => format!("{:.0} min", seconds / 60.0),
        seconds => format!("{:.1} h", seconds / 3600.0),
    }
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{prefix} {wide_bar} {pos}/{len} {msg} {eta} left")
        .expect("the template is a constant that indicatif accepts")
}

#[cfg(test)]
mod tests {
    use super::*;
    use bridle_tasks::Progress;

    #[test]
    fn a_line_tells_what_is_done_and_what_is_left() {
        let progress = TerminalProgress::default();
        progress.start_at("encoder-1", 100, 400);
        progress.advance(100);
        progress.note("loss 5.25, rate 1.0e-3".to_owned());
        let line = progress
            .current()
            .as_ref()
            .map(|work| work.line(Duration::from_secs(30)));
        assert_eq!(
            line.as_deref(),
            Some("encoder-1: 200 of 400, loss 5.25, rate 1.0e-3, 60 s left")
        );
        progress.finish();
        assert!(progress.current().is_none());
    }

    #[test]
    fn durations_keep_two_digits() {
        let spelled = [4.4, 99.4, 100.0, 5900.0, 12_600.0].map(|s| display_duration(Duration::from_secs_f64(s)));
        assert_eq!(spelled, ["4 s", "99 s", "2 min", "98 min", "3.5 h"]);
    }
}
