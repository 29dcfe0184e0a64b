//! Sums of tensors on NVIDIA devices, without leaving them: by NVIDIA's library NCCL, opened at run
//! time. MPI passes its id round, and carries whatever is no tensor on a device.
//!
//! ```text
//! opening    how ranks agree on NCCL, or on doing without
//! library    its functions
//! device     what it needs of the driver
//! error      why there is no NCCL, by name
//! ```
//!
//! Every rank gets the same bits. The order of adding is NCCL's own and depends on its version and on
//! the layout of devices and machines.

mod device;
mod error;
mod library;
mod opening;

pub use device::{Device, Stream};
pub use error::NcclError;
pub use library::{Id, Library, Version};
pub(crate) use opening::open;

use crate::Patience;
use crate::error::RanksError;
use crate::mpi::{Mpi, Waiting};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread::Builder;
use std::time::Duration;

/// NVLink SHARP adds in an order that differs from run to run; it is left out unless this variable is
/// set.
const NVLS: &str = "NCCL_NVLS_ENABLE";

/// So long an end by force may take before nobody waits for it any more.
const LAST_ACT: Duration = Duration::from_secs(10);

/// Numbers of the first exchange of each kind.
const TRIAL: usize = 1_000;

/// Has NCCL add in the same order in every run of one layout, unless the environment says otherwise.
///
/// # Safety
/// No other thread may run in this process: it changes the environment.
pub unsafe fn keep_order_of_sums() {
    if std::env::var_os(NVLS).is_none() {
        // SAFETY: the caller's
        unsafe { std::env::set_var(NVLS, "0") };
    }
}

/// Numbers in a device's memory, and where their sums go, which may be the same place.
#[derive(Clone, Copy, Debug)]
pub struct Buffers {
    /// An address.
    pub from: usize,
    /// An address.
    pub to: usize,
    /// How many numbers.
    pub count: usize,
    /// The work that the sum comes after.
    pub stream: Stream,
}

/// A function of the library that begins an exchange.
type Begin = unsafe fn(&Library, usize, [usize; 2], usize, usize) -> Result<(), NcclError>;

/// The ranks, joined by NCCL as well, each with a device of its own.
#[derive(Debug)]
pub struct Nccl {
    library: Library,
    device: Device,
    /// 0 when it is ended.
    communicator: AtomicUsize,
    /// What messages and records call it.
    pub engine: String,
}

impl Nccl {
    /// Joins the ranks, and tries both kinds of exchange. Blocks until all are there.
    fn join(
        library: Library,
        device: Device,
        id: Id,
        [rank, size]: [usize; 2],
        waiting: Waiting,
    ) -> Result<Self, NcclError> {
        let communicator = device.within(|| library.join(id, rank, size))??;
        let nvls = std::env::var(NVLS).map_or_else(|_| String::new(), |value| format!(" with {NVLS}={value}"));
        let joined = Self {
            engine: format!("{}{nvls}", library.engine()),
            library,
            device,
            communicator: AtomicUsize::new(communicator),
        };
        joined.try_out([rank, size], waiting)?;
        Ok(joined)
    }

    /// A broadcast and a sum whose results are known.
    fn try_out(&self, [rank, size]: [usize; 2], waiting: Waiting) -> Result<(), NcclError> {
        let broadcast: (&str, Begin, f32) = ("broadcast", Library::broadcast, 1.0);
        let sum: (&str, Begin, f32) = ("sum", Library::sum, (size * (size + 1) / 2) as f32);
        for (what, begin, expected) in [broadcast, sum] {
            let address = self.device.hold(&[(rank + 1) as f32; TRIAL])?;
            let buffers = Buffers {
                from: address,
                to: address,
                count: TRIAL,
                stream: Stream::Own,
            };
            // SAFETY: the numbers are there until the process ends
            unsafe { self.begin(begin, &buffers)? };
            if !waiting.until(Patience::Usual, || self.is_over(Stream::Own))? {
                return Err(NcclError::TimedOut {
                    what: "a first exchange",
                    after: waiting.limit(),
                });
            }
            // SAFETY: as before
            let found = unsafe { self.device.read(address, TRIAL)? };
            if let Some(value) = found.iter().find(|value| **value != expected) {
                let (found, expected) = (value.to_string(), expected.to_string());
                return Err(NcclError::Wrong { what, found, expected });
            }
        }
        Ok(())
    }

    /// Begins an exchange.
    ///
    /// # Safety
    /// The buffers must be in this device's memory and have their length until the exchange is over.
    unsafe fn begin(&self, begin: Begin, buffers: &Buffers) -> Result<(), NcclError> {
        let (addresses, stream) = ([buffers.from, buffers.to], self.device.handle(buffers.stream));
        let communicator = self.communicator()?;
        // SAFETY: the caller's; communicator and stream are of this library and device
        let begin = || unsafe { begin(&self.library, communicator, addresses, buffers.count, stream) };
        self.device.within(begin)?
    }

    /// Whether all work of the stream is over.
    fn is_over(&self, stream: Stream) -> Result<bool, NcclError> {
        let communicator = self.communicator()?;
        let over = self.device.is_idle(stream)?;
        // SAFETY: not ended, and of this library
        unsafe { self.library.healthy(communicator)? };
        Ok(over)
    }

    fn communicator(&self) -> Result<usize, NcclError> {
        match self.communicator.load(Ordering::Relaxed) {
            0 => Err(NcclError::Ended),
            communicator => Ok(communicator),
        }
    }

    /// Leaves the other ranks in peace, when all exchanges are over.
    pub fn finish(&self) {
        let communicator = self.communicator.swap(0, Ordering::Relaxed);
        if communicator != 0 {
            // SAFETY: it was not ended. A device that does not answer is no matter any more.
            let _ = self.device.within(|| unsafe { self.library.destroy(communicator) });
        }
    }

    /// Ends what is under way, which never ends by itself when a rank is gone.
    fn abort(&self) {
        let communicator = self.communicator.swap(0, Ordering::Relaxed);
        if communicator == 0 {
            return;
        }
        let (library, device, (over, ended)) = (self.library, self.device, mpsc::channel::<()>());
        let abort = move || {
            // SAFETY: it was not ended
            let _ = device.within(|| unsafe { library.abort(communicator) });
            drop(over);
        };
        // without a thread it stays as it is until the process ends
        if Builder::new().spawn(abort).is_ok() {
            let _ = ended.recv_timeout(LAST_ACT);
        }
    }
}

impl Drop for Nccl {
    fn drop(&mut self) {
        self.abort();
    }
}

/// The ranks, for sums on their devices.
#[derive(Clone, Copy, Debug)]
pub struct OnDevices<'a> {
    pub(crate) mpi: &'a Mpi,
    pub(crate) nccl: &'a Nccl,
}

impl OnDevices<'_> {
    /// Sums numbers over ranks, and waits until they are there.
    ///
    /// # Safety
    /// The buffers must be in the memory of the device that NCCL was opened with, and have their
    /// length. Nothing else may use them meanwhile, but for work in the stream that was queued before.
    ///
    /// # Errors
    /// If the others do not answer, or NCCL fails; so for all exchanges that follow.
    pub unsafe fn sum(&self, buffers: &Buffers) -> Result<(), RanksError> {
        if buffers.count == 0 {
            return Ok(());
        }
        // SAFETY: the caller's
        let begin = || unsafe { self.nccl.begin(Library::sum, buffers) };
        let over = || self.nccl.is_over(buffers.stream).map_err(RanksError::from);
        let summed = self.mpi.carried("summing by NCCL", || Ok(begin()?), over);
        summed.inspect_err(|_| self.nccl.abort())
    }
}
