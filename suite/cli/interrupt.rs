//! SIGINT, SIGTERM and SIGHUP: the first asks training for a clean stop, with a checkpoint; outside
//! of training it ends the program at once. A second one always does.
//!
//! A thread of its own waits for signals, so that they are heard whatever the program does: hashing,
//! decoding, labelling, evaluating, waiting for a lock. That is safe at any moment, as every file is
//! whole or not there.

use super::exit::Exit;
use super::{ranks, terminal};
use signal_hook::consts::{SIGABRT, SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGXFSZ};
use signal_hook::iterator::Signals;
use signal_hook::low_level;
use std::io::{self, IsTerminal};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Builder;
use std::time::Duration;

/// The longest time that a message may take on a terminal that takes nothing any more, and that
/// threads may take to end after a checkpoint.
const PATIENCE: Duration = Duration::from_secs(1);

/// A signal that asked the program to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Ctrl-C.
    Interrupt,
    /// A polite kill, as schedulers send it.
    Terminate,
    /// The terminal is gone.
    HangUp,
}

impl Signal {
    /// All, in an order that ranks share.
    pub const ALL: [Self; 3] = [Self::Interrupt, Self::Terminate, Self::HangUp];

    /// The exit code after a clean stop: 128 + the signal's number.
    pub fn exit(self) -> Exit {
        match self {
            Signal::Interrupt => Exit::Interrupted,
            Signal::Terminate => Exit::Terminated,
            Signal::HangUp => Exit::HungUp,
        }
    }

    /// The signal's usual name.
    pub fn name(self) -> &'static str {
        match self {
            Signal::Interrupt => "SIGINT",
            Signal::Terminate => "SIGTERM",
            Signal::HangUp => "SIGHUP",
        }
    }

    fn of(number: i32) -> Option<Self> {
        match number {
            SIGINT => Some(Self::Interrupt),
            SIGTERM | SIGUSR1 => Some(Self::Terminate),
            SIGHUP => Some(Self::HangUp),
            _ => None,
        }
    }
}

/// Remembers the first signal. Clones share the memory.
#[derive(Clone, Debug, Default)]
pub struct Interrupt {
    state: Arc<Mutex<State>>,
    /// What to try after a stop.
    again: &'static str,
}

#[derive(Debug, Default)]
struct State {
    caught: Option<Signal>,
    /// Whether something runs that looks for signals by itself.
    looked_for: bool,
}

impl Interrupt {
    /// One that no signal reaches, for tests.
    pub fn never() -> Self {
        Self::default()
    }

    /// Listens from now on. After a stop the user is told to try `again`.
    ///
    /// # Errors
    /// If the system refuses the handlers or the thread.
    pub fn listen(again: &'static str) -> io::Result<Self> {
        let interrupt = Self {
            again,
            ..Self::default()
        };
        let mut signals = vec![SIGINT, SIGTERM];
        // `nohup` has it ignored
        if !is_ignored(SIGHUP) {
            signals.push(SIGHUP);
        }
        // the only one that mpirun passes on without killing the ranks soon after
        if ranks::joined().size() > 1 {
            signals.push(SIGUSR1);
        }
        let mut signals = Signals::new(signals)?;
        let heard = interrupt.clone();
        let listen = move || {
            signals
                .forever()
                .filter_map(Signal::of)
                .for_each(|signal| heard.hear(signal))
        };
        let started = Builder::new().name("signals".to_owned()).spawn(listen);
        started.map_err(|error| io::Error::other(format!("no thread can be started: {error}")))?;
        Ok(interrupt)
    }

    fn hear(&self, signal: Signal) {
        let mut state = self.state();
        if state.caught.replace(signal).is_some() {
            low_level::exit(i32::from(signal.exit().code()));
        }
        if !state.looked_for {
            leave(signal, self.again);
        }
        drop(state);
        say(format!(
            "{}: stops after this step and writes a checkpoint; a second one stops at once",
            signal.name()
        ));
    }

    /// Until the guard is dropped, a signal is for whoever asks for it.
    pub fn look_for(&self) -> LookFor<'_> {
        self.state().looked_for = true;
        LookFor(self)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // the state is whole between any two lines
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody looks for signals.
#[derive(Debug)]
pub struct LookFor<'a>(&'a Interrupt);

impl LookFor<'_> {
    /// The signal that asked for a stop, if one came.
    pub fn requested(&self) -> Option<Signal> {
        self.0.state().caught
    }

    /// The stop is on its way: a checkpoint was written. Ends the program if it does not end soon
    /// by itself, because threads that still decode have to be waited for.
    pub fn stops(self, signal: Signal) {
        // without a thread for it, nothing but patience is lost
        let _ = Builder::new().spawn(move || {
            std::thread::sleep(PATIENCE);
            say(format!("stopped by {}; a checkpoint was written", signal.name()));
            low_level::exit(i32::from(signal.exit().code()));
        });
        std::mem::forget(self);
    }
}

impl Drop for LookFor<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.looked_for = false;
        if let Some(signal) = state.caught {
            leave(signal, self.0.again);
        }
    }
}

/// Gives faults of the machine the exit code of a fault: a file that would grow beyond the limit of
/// its size becomes an error of the write, and an abort, such as by a failed allocation, exit code 1.
pub fn faults_have_their_exit_code() {
    // SAFETY: the first handler does nothing; the second only ends the process
    let registered = unsafe {
        let abort = || low_level::exit(i32::from(Exit::Fault.code()));
        [low_level::register(SIGXFSZ, || ()), low_level::register(SIGABRT, abort)]
    };
    // a system that refuses them ends such programs by the signals themselves
    drop(registered);
}

/// Ends the program now.
fn leave(signal: Signal, again: &str) -> ! {
    // so do mpirun and its kin end the others
    let perhaps = match signal {
        Signal::Terminate if ranks::joined().size() > 1 => ", perhaps because another rank failed",
        _ => "",
    };
    say(format!(
        "error: stopped by {}{perhaps}; what was finished is kept: checkpoints, pretrainings, features, records\n\
         try: {again}",
        signal.name()
    ));
    low_level::exit(i32::from(signal.exit().code()))
}

/// Writes a line to stderr, below a progress bar, unless stderr takes nothing any more.
fn say(line: String) {
    let line = if io::stderr().is_terminal() {
        format!("\n{line}")
    } else {
        line
    };
    let (sender, said) = mpsc::channel();
    let _ = Builder::new().spawn(move || {
        terminal::error(&line);
        // nobody waits any more if it took too long
        let _ = sender.send(());
    });
    // without a thread nobody sends, and the line is lost: the exit code says the same
    let _ = said.recv_timeout(PATIENCE);
}

/// Whether the process was started with this signal ignored.
fn is_ignored(signal: i32) -> bool {
    // SAFETY: only asks, and zeros are a valid `sigaction`, a struct of numbers
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, std::ptr::null(), &raw mut action) == 0 && action.sa_sigaction == libc::SIG_IGN
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed unwrap is a failed test
    use super::*;
    use std::time::Instant;

    #[test]
    fn whoever_looks_for_the_first_signal_gets_it_and_the_process_lives() {
        let interrupt = Interrupt::listen("the same test").unwrap();
        let looking = interrupt.look_for();
        assert_eq!(looking.requested(), None);
        low_level::raise(SIGTERM).unwrap();
        let begun = Instant::now();
        while looking.requested().is_none() && begun.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(looking.requested(), Some(Signal::Terminate));
        assert_eq!(Signal::Terminate.exit().code(), 143);
        // dropping it would end the process
        std::mem::forget(looking);
        assert_eq!(Interrupt::never().look_for().requested(), None);
    }
}
