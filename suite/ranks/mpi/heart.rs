//! Signs of life: a thread of each rank tells the others now and then how many exchanges it has
//! begun. A process that hangs is noticed by its silence, also where the others wait without limit,
//! and whoever keeps the others waiting has a name.

use super::abi::Constants;
use super::library::Functions;
use super::wait::awake_since;
use crate::error::RanksError;
use std::ffi::c_int;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

/// Nothing else is sent between two ranks, so that any tag will do.
const TAG: c_int = 1;

/// Other ranks leave the first one so much time to tell who is lost.
const FIRST_WORD: Duration = Duration::from_secs(2);

/// What the threads of this process share that call MPI.
#[derive(Debug)]
pub struct Shared {
    pub functions: Functions,
    pub constants: Constants,
    /// One thread calls MPI at a time.
    turn: Mutex<()>,
    /// Exchanges that this rank has begun.
    begun: AtomicU64,
    others: Mutex<Vec<Other>>,
}

/// What is known of a rank.
#[derive(Clone, Debug, Default)]
struct Other {
    /// What messages call it.
    name: String,
    /// Exchanges that it had begun when it was last heard.
    begun: u64,
    /// Time without a sign, as far as this process was awake.
    silent: Duration,
}

impl Shared {
    pub fn new(functions: Functions, constants: Constants) -> Self {
        Self {
            functions,
            constants,
            turn: Mutex::default(),
            begun: AtomicU64::new(0),
            others: Mutex::default(),
        }
    }

    /// Keeps other threads from calling MPI.
    pub fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends all processes, when the launcher has had time to pass on what this one said.
    pub fn abort(&self, code: i32) -> ! {
        std::thread::sleep(Duration::from_millis(200));
        // a thread that hangs within MPI does not give its turn away
        let _turn = (0..1_000).find_map(|_| {
            let turn = self.turn.try_lock().ok();
            if turn.is_none() {
                std::thread::sleep(Duration::from_millis(1));
            }
            turn
        });
        // SAFETY: may be called at any time after the start
        unsafe { (self.functions.abort)(self.constants.world, code) };
        std::process::exit(code)
    }

    pub fn count_exchange(&self) {
        self.begun.fetch_add(1, Ordering::Relaxed);
    }

    /// The ranks that have begun fewer exchanges than this one, by name.
    pub fn behind(&self) -> String {
        let begun = self.begun.load(Ordering::Relaxed);
        named(&self.others(), |other| other.begun < begun)
    }

    fn others(&self) -> MutexGuard<'_, Vec<Other>> {
        self.others.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The names of those that `fits`, in a list of words.
fn named(others: &[Other], fits: impl Fn(&Other) -> bool) -> String {
    let fitting = others.iter().filter(|other| !other.name.is_empty() && fits(other));
    let names: Vec<&str> = fitting.map(|other| other.name.as_str()).collect();
    names.join(", ")
}

/// The thread, until it is stopped.
#[derive(Debug)]
pub struct Heart {
    ends: Arc<AtomicBool>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Heart {
    /// Starts it. `names` are those of all ranks; `lost` is called if some of them are silent for so
    /// long.
    ///
    /// # Errors
    /// If the system starts no more threads.
    pub fn start(
        shared: &Arc<Shared>,
        rank: usize,
        mut names: Vec<String>,
        limit: Duration,
        lost: impl Fn(RanksError) + Send + 'static,
    ) -> io::Result<Self> {
        let interval = (limit / 10).clamp(Duration::from_millis(50), Duration::from_secs(10));
        let sending = Sending::new(names.len());
        // nobody is told about oneself
        names[rank].clear();
        *shared.others() = names
            .into_iter()
            .map(|name| Other {
                name,
                ..Other::default()
            })
            .collect();
        let ends = Arc::new(AtomicBool::new(false));
        let (shared, ended) = (Arc::clone(shared), Arc::clone(&ends));
        let beat = move || beat(&shared, rank, sending, interval, limit, &ended, &lost);
        let thread = Builder::new().name("signs of life".to_owned()).spawn(beat)?;
        Ok(Self {
            ends,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Ends the thread and waits for it.
    pub fn stop(&self) {
        self.ends.store(true, Ordering::Relaxed);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            thread.thread().unpark();
            // it does not panic, and if it did, the panic hook has ended this process
            let _ = thread.join();
        }
    }
}

impl Drop for Heart {
    fn drop(&mut self) {
        self.stop();
    }
}

fn beat(
    shared: &Shared,
    rank: usize,
    mut sending: Sending,
    interval: Duration,
    limit: Duration,
    ends: &AtomicBool,
    lost: &impl Fn(RanksError),
) {
    let mut last = Instant::now();
    loop {
        sending.tell(shared, rank);
        std::thread::park_timeout(interval);
        if ends.load(Ordering::Relaxed) {
            return sending.end(shared);
        }
        listen(shared, awake_since(&mut last, 2 * interval));
        let others = shared.others().clone();
        let ranks = named(&others, |other| other.silent >= limit);
        if !ranks.is_empty() {
            let first = others.iter().position(|other| other.silent < limit);
            if first != Some(rank) {
                std::thread::sleep(FIRST_WORD);
            }
            return lost(RanksError::Lost { ranks, after: limit });
        }
    }
}

/// Takes what the others have told; `passed` is the time since the last look.
fn listen(shared: &Shared, passed: Duration) {
    let Constants {
        world,
        byte,
        status_ignore,
        ..
    } = shared.constants;
    for (rank, other) in shared.others().iter_mut().enumerate() {
        if other.name.is_empty() {
            continue;
        }
        other.silent += passed;
        loop {
            let (mut there, mut told) = (0, [0u8; 8]);
            let _turn = shared.turn();
            // SAFETY: a rank of this world; the flag is written
            let code = unsafe { (shared.functions.probe)(rank as c_int, TAG, world, &mut there, status_ignore) };
            if code != 0 || there == 0 {
                break;
            }
            let (to, length) = (told.as_mut_ptr().cast(), told.len() as c_int);
            // SAFETY: the message is there, and of this length
            let code =
                unsafe { (shared.functions.receive)(to, length, byte, rank as c_int, TAG, world, status_ignore) };
            if code != 0 {
                break;
            }
            (other.begun, other.silent) = (u64::from_ne_bytes(told), Duration::ZERO);
        }
    }
}

/// What is being sent to each rank: the number, and the request while it is under way.
struct Sending(Vec<(Box<u64>, Option<usize>)>);

impl Sending {
    fn new(ranks: usize) -> Self {
        Self((0..ranks).map(|_| (Box::default(), None)).collect())
    }

    /// Tells the others how many exchanges this rank has begun, but for those that have not taken the
    /// last message yet.
    fn tell(&mut self, shared: &Shared, rank: usize) {
        self.look(shared);
        let Constants {
            world,
            byte,
            request_null,
            ..
        } = shared.constants;
        for (other, (number, request)) in self.0.iter_mut().enumerate() {
            if other == rank || request.is_some() {
                continue;
            }
            **number = shared.begun.load(Ordering::Relaxed);
            let (from, length, mut begun) = ((&raw const **number).cast(), size_of::<u64>() as c_int, request_null);
            let _turn = shared.turn();
            // SAFETY: the number stays where it is until the request is done
            let code = unsafe { (shared.functions.send)(from, length, byte, other as c_int, TAG, world, &mut begun) };
            // what cannot be sent is a silence that the other notices
            *request = (code == 0).then_some(begun);
        }
        self.look(shared);
    }

    /// Forgets the requests that are done.
    fn look(&mut self, shared: &Shared) {
        for (_, request) in &mut self.0 {
            let Some(handle) = request else { continue };
            let (mut done, _turn) = (0, shared.turn());
            // SAFETY: the request was begun; it is written over when it is done
            let code = unsafe { (shared.functions.test)(handle, &mut done, shared.constants.status_ignore) };
            if code != 0 || done != 0 {
                *request = None;
            }
        }
    }

    /// Waits a moment for what is under way; what then still is keeps its memory.
    fn end(mut self, shared: &Shared) {
        let begun = Instant::now();
        while self.0.iter().any(|(_, request)| request.is_some()) {
            if begun.elapsed() > FIRST_WORD {
                std::mem::forget(self);
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
            self.look(shared);
        }
    }
}

/// Takes what is left, once nobody sends any more.
pub fn drain(shared: &Shared) {
    listen(shared, Duration::ZERO);
}
