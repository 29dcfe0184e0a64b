//! Progress on stderr: a bar on a terminal, plain lines elsewhere, ever fewer the longer the work takes;
//! nothing for short work.

use super::ranks;
use super::terminal::{self, Talk};
use bridle_results::shown;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Work shorter than this shows nothing.
const SHORT: Duration = Duration::from_secs(2);
/// Least time between plain lines.
const LEAST: Duration = Duration::from_secs(5);
/// Most time between plain lines.
const MOST: Duration = Duration::from_secs(600);
/// Between both, a line comes once the work has taken so much longer than at the line before.
const THINNING: u32 = 5;

/// Tells the user how far the current piece of work has come, and all of it.
#[derive(Debug)]
pub struct TerminalProgress {
    bar_possible: bool,
    current: Mutex<Option<Work>>,
    whole: Mutex<Whole>,
    /// Whether much may be fetched without asking.
    agrees: bool,
}

/// All that a command will do.
#[derive(Clone, Debug, Default)]
struct Whole {
    /// Runs that come after the current one.
    runs_left: usize,
    /// The current run's phases of training, with what each costs, in any unit.
    phases: Vec<(String, f64)>,
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
    /// Samples of a unit, where units are steps of training.
    samples: Option<usize>,
    place: Option<Place>,
}

/// Where a phase stands among all work.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Place {
    /// The phase, from 1.
    number: usize,
    of: usize,
    /// What comes after it costs so many times what it costs itself.
    later: f64,
}

impl Default for TerminalProgress {
    fn default() -> Self {
        Self {
            bar_possible: std::io::stderr().is_terminal() && terminal::talk() > Talk::Errors,
            current: Mutex::new(None),
            whole: Mutex::default(),
            agrees: false,
        }
    }
}

impl TerminalProgress {
    /// One that may fetch much data without asking, or not.
    pub fn agreeing(agrees: bool) -> Self {
        Self {
            agrees,
            ..Self::default()
        }
    }

    /// Says what the current run will train, with what each phase costs, and how many runs come after
    /// it that are alike.
    pub fn plan(&self, phases: Vec<(String, f64)>, runs_left: usize) {
        *lock(&self.whole) = Whole { runs_left, phases };
    }

    /// Begins a piece of work of `total` units, `done` of which were finished earlier.
    pub fn start_at(&self, what: &str, done: u64, total: u64) {
        self.begin(what, done, total, None);
    }

    /// Begins steps of training, each on so many samples.
    pub fn start_steps(&self, phase: &str, done: u64, total: u64, samples: usize) {
        self.begin(phase, done, total, Some(samples));
    }

    fn begin(&self, what: &str, done: u64, total: u64, samples: Option<usize>) {
        if ranks::is_silent() {
            return;
        }
        let place = samples.and_then(|_| lock(&self.whole).place(what));
        let what = shown::on_one_line(what);
        let what = match place {
            Some(Place { number, of, .. }) => format!("{what} (phase {number} of {of})"),
            None => what,
        };
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::hidden());
        bar.set_style(style());
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
            samples,
            place,
        };
        if let Some(before) = lock(&self.current).replace(work) {
            before.bar.finish_and_clear();
        }
    }

    /// Adds a note to the bar, such as the loss and the rate.
    pub fn note(&self, text: &str) {
        if let Some(work) = lock(&self.current).as_ref() {
            let speed = work.speed(work.begun.elapsed());
            work.bar.set_message(format!("{text}{speed}"));
        }
    }

    /// Prints a line above the bar.
    pub fn say(&self, line: &str) {
        match lock(&self.current).as_ref() {
            Some(work) if work.shown => work.bar.suspend(|| terminal::log(line)),
            _ => terminal::log(line),
        }
    }

    /// The same, where more was asked for.
    pub fn say_more(&self, line: &str) {
        if terminal::talk() == Talk::More {
            self.say(line);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // a panic elsewhere leaves at worst a wrong bar, which is no reason to panic again
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl bridle_tasks::Progress for TerminalProgress {
    fn start(&self, what: &str, total: u64) {
        self.start_at(what, 0, total);
    }

    fn advance(&self, by: u64) {
        let mut current = lock(&self.current);
        let Some(work) = current.as_mut() else { return };
        work.bar.inc(by);
        let elapsed = work.begun.elapsed();
        if self.bar_possible {
            if !work.shown && elapsed >= SHORT {
                work.bar.set_draw_target(ProgressDrawTarget::stderr());
                work.shown = true;
            }
        } else if work.last_line.elapsed() >= between_lines(elapsed, terminal::talk()) {
            work.last_line = Instant::now();
            terminal::log(&work.line(elapsed));
        }
    }

    fn finish(&self) {
        if let Some(work) = lock(&self.current).take() {
            work.bar.finish_and_clear();
        }
    }

    fn may_fetch(&self, source: &str, bytes: u64) -> bool {
        self.agrees || terminal::asks(&format!("fetch {:.1} GB of {source}?", bytes as f64 / 1e9))
    }
}

/// Time between two plain lines of work that has taken so long.
fn between_lines(elapsed: Duration, talk: Talk) -> Duration {
    match talk {
        Talk::More => LEAST,
        Talk::Usual | Talk::Errors => (elapsed / THINNING).clamp(LEAST, MOST),
    }
}

impl Whole {
    fn place(&self, phase: &str) -> Option<Place> {
        let index = self.phases.iter().position(|(name, _)| name == phase)?;
        let cost = |phases: &[(String, f64)]| phases.iter().map(|(_, cost)| cost).sum::<f64>();
        let own = cost(&self.phases[index..=index]);
        let later = cost(&self.phases[index + 1..]) + self.runs_left as f64 * cost(&self.phases);
        Some(Place {
            number: index + 1,
            of: self.phases.len(),
            later: if own > 0.0 { later / own } else { 0.0 },
        })
    }
}

impl Work {
    /// Units done by this process.
    fn here(&self) -> u64 {
        self.bar.position().saturating_sub(self.head_start).max(1)
    }

    /// `, 35 samples/s`.
    fn speed(&self, elapsed: Duration) -> String {
        let seconds = elapsed.as_secs_f64();
        let samples = self.samples.filter(|_| seconds > 0.0);
        samples.map_or_else(String::new, |samples| {
            format!(", {:.0} samples/s", self.here() as f64 * samples as f64 / seconds)
        })
    }

    /// The plain line: what, how far, the note, the time left of it and of all training.
    fn line(&self, elapsed: Duration) -> String {
        let (done, total) = (self.bar.position(), self.bar.length().unwrap_or(0));
        let note = self.bar.message();
        let note = if note.is_empty() {
            String::new()
        } else {
            format!(", {note}")
        };
        let a_unit = elapsed.as_secs_f64() / self.here() as f64;
        let left = a_unit * total.saturating_sub(done) as f64;
        let all = self.place.filter(|place| place.later > 0.0);
        let all = all.map_or_else(String::new, |place| {
            let all = left + a_unit * total as f64 * place.later;
            format!(" ({} of all pretraining)", seconds(all))
        });
        format!("{}: {done} of {total}{note}, {} left{all}", self.what, seconds(left))
    }
}

fn seconds(seconds: f64) -> String {
    display_duration(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
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

    fn line(progress: &TerminalProgress, elapsed: u64) -> Option<String> {
        let current = lock(&progress.current);
        current.as_ref().map(|work| work.line(Duration::from_secs(elapsed)))
    }

    #[test]
    fn a_line_tells_what_is_done_and_what_is_left() {
        let progress = TerminalProgress::default();
        progress.start_at("encoder-1", 100, 400);
        progress.advance(100);
        progress.note("loss 5.25, rate 1.0e-3");
        assert_eq!(
            line(&progress, 30).as_deref(),
            Some("encoder-1: 200 of 400, loss 5.25, rate 1.0e-3, 60 s left")
        );
        progress.finish();
        assert!(lock(&progress.current).is_none());
    }

    #[test]
    fn a_phase_tells_its_place_and_the_time_of_all() {
        let progress = TerminalProgress::default();
        let phases = [("encoder-1", 4.0), ("tokenizer-1", 2.0), ("encoder-2", 4.0)];
        progress.plan(phases.map(|(name, cost)| (name.to_owned(), cost)).into(), 0);
        progress.start_steps("tokenizer-1", 0, 100, 16);
        progress.advance(50);
        // 50 s of its own, then twice 100 s
        let said = "tokenizer-1 (phase 2 of 3): 50 of 100, 50 s left (4 min of all pretraining)";
        assert_eq!(line(&progress, 50).as_deref(), Some(said));
        let current = lock(&progress.current);
        let speed = current.as_ref().map(|work| work.speed(Duration::from_secs(50)));
        assert_eq!(speed.as_deref(), Some(", 16 samples/s"));
        drop(current);
        progress.start_steps("encoder-2", 0, 100, 16);
        progress.advance(50);
        assert_eq!(
            line(&progress, 50).as_deref(),
            Some("encoder-2 (phase 3 of 3): 50 of 100, 50 s left")
        );
        progress.start_steps("finetune", 0, 100, 16);
        progress.advance(50);
        assert_eq!(line(&progress, 50).as_deref(), Some("finetune: 50 of 100, 50 s left"));
    }

    #[test]
    fn lines_thin_out_the_longer_the_work_takes() {
        let lines_in = |hours: u64, talk: Talk| {
            let (mut now, mut lines) = (Duration::ZERO, 0);
            while now < Duration::from_secs(hours * 3600) {
                now += between_lines(now, talk);
                lines += 1;
            }
            lines
        };
        assert!(
            (20..60).contains(&lines_in(1, Talk::Usual)),
            "{}",
            lines_in(1, Talk::Usual)
        );
        assert!(
            (150..220).contains(&lines_in(24, Talk::Usual)),
            "{}",
            lines_in(24, Talk::Usual)
        );
        assert_eq!(lines_in(1, Talk::More), 720);
    }

    #[test]
    fn durations_keep_two_digits() {
        let spelled = [4.4, 99.4, 100.0, 5900.0, 12_600.0].map(|s| display_duration(Duration::from_secs_f64(s)));
        assert_eq!(spelled, ["4 s", "99 s", "2 min", "98 min", "3.5 h"]);
    }
}
