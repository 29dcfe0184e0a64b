//! SIGINT and SIGTERM: the first asks for a clean stop (checkpoint, then exit), the second leaves
//! at once.

use super::exit::Exit;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// A signal that asked the program to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Ctrl-C.
    Interrupt,
    /// A polite kill, as schedulers send it.
    Terminate,
}

impl Signal {
    /// The exit code after a clean stop: 128 + the signal's number.
    pub fn exit(self) -> Exit {
        match self {
            Signal::Interrupt => Exit::Interrupted,
            Signal::Terminate => Exit::Terminated,
        }
    }

    /// The signal's usual name.
    pub fn name(self) -> &'static str {
        match self {
            Signal::Interrupt => "SIGINT",
            Signal::Terminate => "SIGTERM",
        }
    }
}

/// Remembers the first signal. Clones share the memory.
#[derive(Clone, Debug, Default)]
pub struct Interrupt {
    caught: Arc<AtomicUsize>,
}

impl Interrupt {
    /// One that no signal reaches, for tests and for short commands.
    pub fn never() -> Self {
        Self::default()
    }

    /// Listens from now on. A second signal of either kind ends the process at once with its exit
    /// code.
    ///
    /// # Errors
    /// If the system refuses the handlers.
    pub fn listen() -> io::Result<Self> {
        let interrupt = Self::default();
        let armed = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // order matters: the shutdown must see `armed` as it was before this signal set it
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&armed))?;
        }
        for signal in [SIGINT, SIGTERM] {
            flag::register_usize(signal, Arc::clone(&interrupt.caught), signal as usize)?;
            flag::register(signal, Arc::clone(&armed))?;
        }
        Ok(interrupt)
    }

    /// The signal that asked for a stop, if one came.
    pub fn requested(&self) -> Option<Signal> {
        match self.caught.load(Ordering::Relaxed) as i32 {
            SIGINT => Some(Signal::Interrupt),
            SIGTERM => Some(Signal::Terminate),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed unwrap is a failed test
    use super::*;

    #[test]
    fn the_first_signal_is_remembered_and_the_process_lives() {
        let interrupt = Interrupt::listen().unwrap();
        assert_eq!(interrupt.requested(), None);
        signal_hook::low_level::raise(SIGTERM).unwrap();
        assert_eq!(interrupt.requested(), Some(Signal::Terminate));
        assert_eq!(Signal::Terminate.exit().code(), 143);
        assert_eq!(Interrupt::never().requested(), None);
    }
}
