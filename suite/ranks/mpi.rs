//! Ranks joined by an MPI library.
//!
//! All exchanges are non-blocking ones of bytes, waited for with a limit: MPI itself waits for ever
//! when a process hangs. Sums are made here and not by MPI, whose order of adding is its own. What
//! is exchanged lies in buffers of this module, so that an exchange that never ends cannot write
//! into memory that somebody else has got meanwhile.

mod abi;
mod groups;
mod heart;
mod library;
mod wait;

pub use wait::Waiting;
use wait::awake_since;

use crate::Patience;
use crate::error::{RanksError, STARTING};
use crate::launcher::Launcher;
use crate::nccl::{self, Nccl};
use crate::tree::{self, Number};
use crate::{say, values_of};
use abi::Constants;
use groups::{Group, Groups};
use heart::{Heart, Shared};
use library::{Functions, Library, text_of};
use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::Builder;
use std::time::{Duration, Instant};

/// Bytes of values that are summed at a time. Larger buckets are no faster, smaller ones are slower.
const BUCKET: usize = 25 << 20;

/// Bytes that a rank gives at a time where all give their own: lengths in MPI are 32-bit, and each
/// rank receives as much from each other.
const PIECE: usize = 16 << 20;

/// The processes of one MPI world.
#[derive(Debug)]
pub struct Mpi {
    /// What sums on devices, once that is asked for; ends before MPI does.
    nccl: OnceLock<Option<Nccl>>,
    /// Ends before the library is closed.
    heart: Option<Heart>,
    shared: Arc<Shared>,
    library: Library,
    groups: Groups,
    waiting: Waiting,
    /// What is sent and received; one exchange at a time.
    buffers: Mutex<Buffers>,
    /// An exchange failed: nothing is known of where the others are.
    broken: AtomicBool,
    /// In exchanges.
    nanoseconds: AtomicU64,
}

/// Memory of exchanges, as numbers of 8 bytes so that any number may lie in it.
#[derive(Debug, Default)]
struct Buffers {
    sent: Vec<u64>,
    received: Vec<u64>,
}

impl Buffers {
    /// Makes room for so many bytes.
    fn reserve(&mut self, sent: usize, received: usize) {
        self.sent.resize(sent.div_ceil(8), 0);
        self.received.resize(received.div_ceil(8), 0);
    }
}

/// What non-blocking functions get beside the request.
type Exchange<'a> = &'a dyn Fn(&Functions, &Constants, *mut usize) -> c_int;

impl Mpi {
    /// Joins the processes that `launcher` started. To be called once in a process.
    ///
    /// # Errors
    /// If no library can be opened, or it is not the launcher's, or it does not start.
    pub fn open(launcher: &Launcher, patience: Duration) -> Result<Self, RanksError> {
        if !launcher.kind.joins() {
            return Err(lone(launcher));
        }
        let (library, functions, constants) = Library::open(launcher)?;
        let _watch = Watch::start(patience, launcher, STARTING);
        start(&library, &functions, &constants)?;
        let mut mpi = Self {
            nccl: OnceLock::new(),
            heart: None,
            shared: Arc::new(Shared::new(functions, constants)),
            library,
            groups: Groups::default(),
            waiting: Waiting::new(patience),
            buffers: Mutex::default(),
            broken: AtomicBool::new(false),
            nanoseconds: AtomicU64::new(0),
        };
        let world = mpi.group(constants.world)?;
        if world.size != launcher.size {
            // alone in a world of its own, or in a part of the whole: not what the launcher started
            if world.size == 1 {
                // SAFETY: started above, and nothing is under way
                unsafe { (functions.finalize)() };
            }
            return Err(RanksError::Foreign {
                launcher: launcher.kind.name(),
                size: launcher.size,
                library: mpi.library.name().to_owned(),
                engine: mpi.library.engine.clone(),
                joined: world.size,
            });
        }
        mpi.groups = Groups::alone(world);
        mpi.groups = mpi.find_machines(world)?;
        mpi.waiting.share_cores(mpi.groups.local.size);
        mpi.heart = Some(mpi.start_heart(patience)?);
        Ok(mpi)
    }

    /// Signs of life, from now until the end.
    fn start_heart(&self, limit: Duration) -> Result<Heart, RanksError> {
        let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let mine = format!("process {} on {}", std::process::id(), machine.trim());
        let all = self.gather(mine.as_bytes())?.into_iter().enumerate();
        let names = all.map(|(rank, process)| format!("rank {rank} ({})", String::from_utf8_lossy(&process)));
        let (rank, ends) = (self.rank(), Arc::clone(&self.shared));
        let lost = move |error: RanksError| {
            say(rank, &error.told());
            ends.abort(i32::from(error.exit()))
        };
        let heart = Heart::start(&self.shared, rank, names.collect(), limit, lost);
        heart.map_err(|source| RanksError::Thread {
            reason: source.to_string(),
        })
    }

    pub fn rank(&self) -> usize {
        self.groups.world.rank
    }

    pub fn size(&self) -> usize {
        self.groups.world.size
    }

    pub fn local(&self) -> (usize, usize) {
        (self.groups.local.rank, self.groups.local.size)
    }

    pub fn first_of_machine(&self) -> usize {
        self.groups.first_of_machine
    }

    pub fn machines(&self) -> usize {
        self.groups.machines
    }

    pub fn engine(&self) -> &str {
        &self.library.engine
    }

    /// A communicator with this process's place in it.
    fn group(&self, handle: usize) -> Result<Group, RanksError> {
        let (mut rank, mut size) = (0, 0);
        // SAFETY: the handle is a communicator of this library
        self.checked("asking for the rank", unsafe {
            (self.shared.functions.rank)(handle, &mut rank)
        })?;
        // SAFETY: as before
        self.checked("asking for the number of ranks", unsafe {
            (self.shared.functions.size)(handle, &mut size)
        })?;
        Ok(Group {
            handle,
            rank: usize::try_from(rank).unwrap_or(0),
            size: usize::try_from(size).unwrap_or(1),
        })
    }

    /// Finds out who is on which machine.
    fn find_machines(&self, world: Group) -> Result<Groups, RanksError> {
        let Constants {
            world: all,
            info_null,
            shared_memory,
            ..
        } = self.shared.constants;
        let (mut handle, key) = (all, world.rank as c_int);
        // SAFETY: a communicator and an info of this library; the handle is written
        let code = unsafe { (self.shared.functions.split_type)(all, shared_memory, key, info_null, &mut handle) };
        self.checked("finding the ranks of this machine", code)?;
        let local = self.group(handle)?;
        // a machine is named by its first rank
        let mine = self.gather_in(local, &(world.rank as u64).to_ne_bytes())?;
        let named = self.gather(&mine[0])?;
        let machine: Vec<u64> = named.iter().flat_map(|bytes| values_of(bytes)).collect();
        self.group_by_machine(world, local, &machine)
    }

    /// The groups in which sums are made, where rank r is on the machine `machine[r]`.
    fn group_by_machine(&self, world: Group, local: Group, machine: &[u64]) -> Result<Groups, RanksError> {
        let Some(each) = groups::alike(machine) else {
            return Ok(Groups::flat(world, local, machine));
        };
        let across = self.split(world, world.rank % each)?;
        Ok(Groups {
            levels: vec![local, across],
            ..Groups::flat(world, local, machine)
        })
    }

    /// The same ranks, grouped as if each machine had `each` of them, for tests of sums over
    /// machines where there is one.
    ///
    /// # Errors
    /// If the engine fails.
    #[doc(hidden)]
    pub fn regrouped(mut self, each: usize) -> Result<Self, RanksError> {
        let world = self.groups.world;
        let local = self.split(world, world.rank / each)?;
        let machine: Vec<u64> = (0..world.size).map(|rank| (rank / each * each) as u64).collect();
        self.groups = self.group_by_machine(world, local, &machine)?;
        Ok(self)
    }

    /// The ranks that choose the same group as this one.
    fn split(&self, world: Group, group: usize) -> Result<Group, RanksError> {
        let all = self.shared.constants.world;
        let (mut handle, key) = (all, world.rank as c_int);
        let turn = self.shared.turn();
        // SAFETY: a communicator of this library; the handle is written
        let code = unsafe { (self.shared.functions.split)(all, group as c_int, key, &mut handle) };
        drop(turn);
        self.checked("grouping ranks", code)?;
        self.group(handle)
    }

    /// Replaces each value by its sum over ranks.
    ///
    /// # Errors
    /// If the others do not answer, or the engine fails.
    pub fn sum<T: Number>(&self, values: &mut [T]) -> Result<(), RanksError> {
        for bucket in values.chunks_mut(BUCKET / size_of::<T>()) {
            self.sum_within(&self.groups.levels, bucket)?;
        }
        Ok(())
    }

    /// Replaces each value by its sum over ranks as MPI adds, for comparison only: the order is the
    /// library's own.
    ///
    /// # Errors
    /// As [`Mpi::sum`].
    pub fn sum_by_engine(&self, values: &mut [f32]) -> Result<(), RanksError> {
        for bucket in values.chunks_mut(BUCKET / size_of::<f32>()) {
            self.exchange("summing by MPI", |buffers| {
                let length = bucket.len();
                buffers.reserve(size_of_val(bucket), size_of_val(bucket));
                bytemuck::cast_slice_mut::<u64, f32>(&mut buffers.sent)[..length].copy_from_slice(bucket);
                let (sent, received) = (buffers.sent.as_ptr().cast(), buffers.received.as_mut_ptr().cast());
                self.wait(Patience::Usual, "summing by MPI", &|functions, constants, request| {
                    let Constants { float, sum, world, .. } = *constants;
                    // SAFETY: both buffers have the length, and stay until the exchange is over or
                    // for ever
                    unsafe { (functions.all_reduce)(sent, received, length as c_int, float, sum, world, request) }
                })?;
                bucket.copy_from_slice(&bytemuck::cast_slice(&buffers.received)[..length]);
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Time in exchanges until now, waiting for slower ranks included.
    pub fn exchanging(&self) -> Duration {
        Duration::from_nanos(self.nanoseconds.load(Ordering::Relaxed))
    }

    /// Each rank of a group gets its piece of everybody's values and adds them; the piece is summed
    /// over the groups that are left; then all get all pieces.
    fn sum_within<T: Number>(&self, levels: &[Group], values: &mut [T]) -> Result<(), RanksError> {
        let Some((&group, rest)) = levels.split_first() else {
            return Ok(());
        };
        let each = values.len().div_ceil(group.size);
        let (bytes, all) = (each * size_of::<T>(), each * size_of::<T>() * group.size);
        let mut piece = self.exchange("summing over ranks", |buffers| {
            buffers.reserve(all, all);
            let sent = &mut bytemuck::cast_slice_mut::<u64, T>(&mut buffers.sent)[..each * group.size];
            sent[..values.len()].copy_from_slice(values);
            sent[values.len()..].fill(T::zeroed());
            let (sent, received) = (buffers.sent.as_ptr(), buffers.received.as_mut_ptr());
            self.all_to_all(group, sent.cast(), received.cast(), bytes)?;
            let rows = &mut bytemuck::cast_slice_mut::<u64, T>(&mut buffers.received)[..each * group.size];
            tree::add_rows(rows, group.size);
            Ok(rows[..each].to_vec())
        })?;
        self.sum_within(rest, &mut piece)?;
        self.exchange("summing over ranks", |buffers| {
            buffers.reserve(bytes, all);
            bytemuck::cast_slice_mut::<u64, T>(&mut buffers.sent)[..each].copy_from_slice(&piece);
            let (sent, received) = (buffers.sent.as_ptr(), buffers.received.as_mut_ptr());
            self.all_gather(group, sent.cast(), received.cast(), bytes)?;
            values.copy_from_slice(&bytemuck::cast_slice(&buffers.received)[..values.len()]);
            Ok(())
        })
    }

    /// Everybody's bytes, by rank.
    ///
    /// # Errors
    /// As [`Mpi::sum`].
    pub fn gather(&self, mine: &[u8]) -> Result<Vec<Vec<u8>>, RanksError> {
        self.gather_in(self.groups.world, mine)
    }

    fn gather_in(&self, group: Group, mine: &[u8]) -> Result<Vec<Vec<u8>>, RanksError> {
        let lengths = self.gather_alike(group, &(mine.len() as u64).to_ne_bytes())?;
        let lengths: Vec<u64> = values_of(&lengths).collect();
        let longest = lengths.iter().copied().max().unwrap_or(0) as usize;
        let mut all: Vec<Vec<u8>> = lengths
            .iter()
            .map(|&length| Vec::with_capacity(length as usize))
            .collect();
        let most = (4 * PIECE / group.size).clamp(8, PIECE);
        for start in (0..longest).step_by(most) {
            let length = most.min(longest - start);
            // shorter ones are filled up with what is cut off again
            let mut piece = mine.get(start..mine.len().min(start + length)).unwrap_or(&[]).to_vec();
            piece.resize(length, 0);
            let found = self.gather_alike(group, &piece)?;
            for ((bytes, row), &own) in all.iter_mut().zip(found.chunks_exact(length)).zip(&lengths) {
                bytes.extend_from_slice(&row[..length.min((own as usize).saturating_sub(start))]);
            }
        }
        Ok(all)
    }

    /// Everybody's bytes, of one length, one after the other.
    fn gather_alike(&self, group: Group, mine: &[u8]) -> Result<Vec<u8>, RanksError> {
        self.exchange("gathering", |buffers| {
            let all = mine.len() * group.size;
            buffers.reserve(mine.len(), all);
            bytemuck::cast_slice_mut::<u64, u8>(&mut buffers.sent)[..mine.len()].copy_from_slice(mine);
            let (sent, received) = (buffers.sent.as_ptr(), buffers.received.as_mut_ptr());
            self.all_gather(group, sent.cast(), received.cast(), mine.len())?;
            Ok(bytemuck::cast_slice::<u64, u8>(&buffers.received)[..all].to_vec())
        })
    }

    /// Rank 0's bytes in place of one's own.
    ///
    /// # Errors
    /// As [`Mpi::sum`].
    pub fn broadcast(&self, bytes: &mut Vec<u8>) -> Result<(), RanksError> {
        let mut length = (bytes.len() as u64).to_ne_bytes();
        self.broadcast_piece(&mut length)?;
        bytes.resize(u64::from_ne_bytes(length) as usize, 0);
        bytes
            .chunks_mut(PIECE)
            .try_for_each(|piece| self.broadcast_piece(piece))
    }

    fn broadcast_piece(&self, piece: &mut [u8]) -> Result<(), RanksError> {
        self.exchange("broadcasting", |buffers| {
            buffers.reserve(0, piece.len());
            bytemuck::cast_slice_mut::<u64, u8>(&mut buffers.received)[..piece.len()].copy_from_slice(piece);
            let (received, length) = (buffers.received.as_mut_ptr().cast::<c_void>(), piece.len() as c_int);
            self.wait(Patience::Usual, "broadcasting", &|functions, constants, request| {
                let Constants { byte, world, .. } = *constants;
                // SAFETY: the buffer has the length, and stays until the exchange is over or for ever
                unsafe { (functions.broadcast)(received, length, byte, 0, world, request) }
            })?;
            piece.copy_from_slice(&bytemuck::cast_slice(&buffers.received)[..piece.len()]);
            Ok(())
        })
    }

    /// Waits until all are here.
    ///
    /// # Errors
    /// As [`Mpi::sum`].
    pub fn barrier(&self, patience: Patience) -> Result<(), RanksError> {
        self.exchange("waiting for the other ranks", |_| {
            self.wait(
                patience,
                "waiting for the other ranks",
                &|functions, constants, request| {
                    // SAFETY: the world of a library that is started
                    unsafe { (functions.barrier)(constants.world, request) }
                },
            )
        })
    }

    /// Ends MPI in this process, when all are here.
    ///
    /// # Errors
    /// As [`Mpi::sum`].
    pub fn finish(&self) -> Result<(), RanksError> {
        self.barrier(Patience::Endless)?;
        self.nccl().flatten().into_iter().for_each(Nccl::finish);
        self.heart.iter().for_each(Heart::stop);
        // nobody sends any more after this
        self.barrier(Patience::Usual)?;
        heart::drain(&self.shared);
        self.broken.store(true, Ordering::Relaxed);
        let _turn = self.shared.turn();
        // SAFETY: all exchanges are over, and none can begin
        self.checked("ending MPI", unsafe { (self.shared.functions.finalize)() })
    }

    /// Ends all processes.
    pub fn abort(&self, code: i32) -> ! {
        self.shared.abort(code)
    }

    fn all_to_all(
        &self,
        group: Group,
        sent: *const c_void,
        received: *mut c_void,
        each: usize,
    ) -> Result<(), RanksError> {
        self.wait(
            Patience::Usual,
            "summing over ranks",
            &|functions, constants, request| {
                let (byte, each) = (constants.byte, each as c_int);
                // SAFETY: both buffers have `each` bytes for each rank, and stay until the exchange is
                // over or for ever
                unsafe { (functions.all_to_all)(sent, each, byte, received, each, byte, group.handle, request) }
            },
        )
    }

    fn all_gather(
        &self,
        group: Group,
        sent: *const c_void,
        received: *mut c_void,
        each: usize,
    ) -> Result<(), RanksError> {
        self.wait(Patience::Usual, "gathering", &|functions, constants, request| {
            let (byte, each) = (constants.byte, each as c_int);
            // SAFETY: `each` bytes are sent, and there is room for those of each rank; both buffers
            // stay until the exchange is over or for ever
            unsafe { (functions.all_gather)(sent, each, byte, received, each, byte, group.handle, request) }
        })
    }

    /// Does one exchange with the buffers; after a failure they are kept for ever, since the engine
    /// may still write to them, and no exchange begins again.
    fn exchange<T>(
        &self,
        what: &'static str,
        work: impl FnOnce(&mut Buffers) -> Result<T, RanksError>,
    ) -> Result<T, RanksError> {
        let mut buffers = self.buffers.lock().unwrap_or_else(PoisonError::into_inner);
        if self.broken.load(Ordering::Relaxed) {
            return Err(RanksError::Broken { what });
        }
        self.shared.count_exchange();
        let begun = Instant::now();
        let done = work(&mut buffers).inspect_err(|_| {
            self.broken.store(true, Ordering::Relaxed);
            std::mem::forget(std::mem::take(&mut *buffers));
        });
        let took = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds.fetch_add(took, Ordering::Relaxed);
        done
    }

    /// Begins an exchange and waits until it is over.
    fn wait(&self, patience: Patience, what: &'static str, begin: Exchange<'_>) -> Result<(), RanksError> {
        let Shared {
            functions, constants, ..
        } = &*self.shared;
        let mut request = constants.request_null;
        let turn = self.shared.turn();
        let begun = begin(functions, constants, &mut request);
        drop(turn);
        self.checked(what, begun)?;
        self.until(patience, what, || {
            let (mut over, turn) = (0, self.shared.turn());
            // SAFETY: the request was begun above; it is written over when it is done
            let code = unsafe { (functions.test)(&mut request, &mut over, constants.status_ignore) };
            drop(turn);
            self.checked(what, code).map(|()| over != 0)
        })
    }

    /// Waits until `over`, and names the others if that takes too long.
    fn until(
        &self,
        patience: Patience,
        what: &'static str,
        over: impl FnMut() -> Result<bool, RanksError>,
    ) -> Result<(), RanksError> {
        match self.waiting.until(patience, over)? {
            true => Ok(()),
            false => Err(RanksError::TimedOut {
                what,
                after: self.waiting.limit(),
                missing: self.shared.behind(),
            }),
        }
    }

    /// An exchange that another library carries: counted and waited for as one of this one.
    ///
    /// # Errors
    /// As [`Mpi::sum`].
    pub fn carried(
        &self,
        what: &'static str,
        begin: impl FnOnce() -> Result<(), RanksError>,
        over: impl FnMut() -> Result<bool, RanksError>,
    ) -> Result<(), RanksError> {
        self.exchange(what, |_| {
            begin()?;
            self.until(Patience::Usual, what, over)
        })
    }

    /// How this rank waits for others.
    pub const fn waiting(&self) -> Waiting {
        self.waiting
    }

    /// Joins the ranks by NCCL too, unless that was tried before. Returns why that cannot be, the same
    /// on all ranks.
    ///
    /// # Errors
    /// As [`Mpi::sum`].
    pub fn open_nccl(&self, device: usize) -> Result<Option<String>, RanksError> {
        if self.nccl.get().is_some() {
            return Ok(None);
        }
        let (opened, why) = match nccl::open(self, device)? {
            Ok(opened) => (Some(opened), None),
            Err(why) => (None, Some(why)),
        };
        self.nccl.get_or_init(|| opened);
        Ok(why)
    }

    /// What [`Mpi::open_nccl`] found; None before.
    pub fn nccl(&self) -> Option<Option<&Nccl>> {
        self.nccl.get().map(Option::as_ref)
    }

    /// The engine's words for a code other than success, which is 0 in all libraries.
    fn checked(&self, what: &'static str, code: c_int) -> Result<(), RanksError> {
        checked(&self.library, &self.shared.functions, what, code)
    }
}

fn checked(library: &Library, functions: &Functions, what: &'static str, code: c_int) -> Result<(), RanksError> {
    if code == 0 {
        return Ok(());
    }
    // SAFETY: the text has room for the longest
    let text = text_of(|text, length| unsafe { (functions.error_string)(code, text, length) });
    let engine = library.engine.clone();
    Err(RanksError::Engine {
        what,
        engine,
        code,
        text,
    })
}

/// Ends this process if something takes too long that waits for the others within MPI, which knows no
/// limit: a rank that never starts keeps all others there for ever.
struct Watch(#[allow(dead_code)] mpsc::Sender<()>); // dropped when it is over

impl Watch {
    fn start(limit: Duration, launcher: &Launcher, what: &'static str) -> Self {
        let (over, waiting) = mpsc::channel();
        let rank = launcher.rank.unwrap_or(0);
        let watch = move || {
            let (mut waited, mut last) = (Duration::ZERO, Instant::now());
            let step = Duration::from_millis(100);
            while waited < limit && waiting.recv_timeout(step) == Err(RecvTimeoutError::Timeout) {
                waited += awake_since(&mut last, step);
            }
            if waited >= limit {
                let (after, missing) = (limit, String::new());
                let error = RanksError::TimedOut { what, after, missing };
                say(rank, &error.told());
                std::process::exit(i32::from(error.exit()));
            }
        };
        // without a thread nobody watches, and all goes as usual if all goes well
        drop(Builder::new().spawn(watch));
        Self(over)
    }
}

/// Starts MPI with error codes instead of aborts.
fn start(library: &Library, functions: &Functions, constants: &Constants) -> Result<(), RanksError> {
    let mut flag = 0;
    // SAFETY: may be called at any time
    checked(library, functions, "asking for MPI's state", unsafe {
        (functions.initialized)(&mut flag)
    })?;
    if flag != 0 {
        return Err(RanksError::Initialised);
    }
    let (null, mut provided) = (std::ptr::null_mut::<c_void>(), 0);
    // SAFETY: not started before; MPI takes no arguments from the command line
    let code = unsafe { (functions.init_thread)(null.cast(), null, constants.serialized, &mut provided) };
    checked(library, functions, "starting MPI", code)?;
    if provided < constants.serialized {
        return Err(RanksError::Threads {
            engine: library.engine.clone(),
            provided,
            needed: constants.serialized,
        });
    }
    // SAFETY: started above
    let code = unsafe { (functions.set_errhandler)(constants.world, constants.errors_return) };
    checked(library, functions, "asking MPI for error codes", code)
}

fn lone(launcher: &Launcher) -> RanksError {
    RanksError::Lone {
        launcher: launcher.kind.name(),
        variable: launcher.variable,
        size: launcher.size,
    }
}
