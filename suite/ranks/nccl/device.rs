//! An NVIDIA device by its driver, opened at run time: what NCCL needs of it, and whether its work
//! is over. The backends have libraries of their own for it, which share the device's context.

use super::error::NcclError;
use crate::opened::{Opened, functions};
use std::ffi::{c_char, c_int, c_uint, c_void};
use std::ptr;

/// The driver's library.
const NAME: &str = "libcuda.so.1";
/// What messages call it.
const ENGINE: &str = "NVIDIA's driver";

/// `CU_STREAM_NON_BLOCKING`: in no order with other streams.
const NON_BLOCKING: c_uint = 1;
/// `CUDA_ERROR_NOT_READY`
const NOT_READY: c_int = 600;

functions! {
    init = "cuInit" (c_uint);
    get = "cuDeviceGet" (*mut c_int, c_int);
    uuid = "cuDeviceGetUuid_v2" (*mut [u8; 16], c_int);
    context = "cuDevicePrimaryCtxRetain" (*mut usize, c_int);
    push = "cuCtxPushCurrent_v2" (usize);
    pop = "cuCtxPopCurrent_v2" (*mut usize);
    create_stream = "cuStreamCreate" (*mut usize, c_uint);
    query_stream = "cuStreamQuery" (usize);
    allocate = "cuMemAlloc_v2" (*mut usize, usize);
    write = "cuMemcpyHtoD_v2" (usize, *const c_void, usize);
    read = "cuMemcpyDtoH_v2" (*mut c_void, usize, usize);
    words = "cuGetErrorString" (c_int, *mut *const c_char);
}

/// An order of work on a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// The one that LibTorch works in: CUDA's legacy default stream.
    Default,
    /// One for exchanges, in no order with any other.
    Own,
}

/// A device whose context and stream stay until the process ends.
#[derive(Clone, Copy, Debug)]
pub struct Device {
    functions: Functions,
    /// Its identity, by which ranks find out that they have the same one.
    pub(super) uuid: [u8; 16],
    context: usize,
    stream: usize,
}

impl Device {
    /// Opens the device of this number among those that this process sees.
    ///
    /// # Errors
    /// If there is no driver, or no such device.
    pub fn open(number: usize) -> Result<Self, NcclError> {
        let missing = |reason| NcclError::NoDriver { reason };
        let opened = Opened::first(&[NAME.to_owned()], 0).map_err(missing)?;
        // SAFETY: functions of CUDA's driver, by names that stand for these arguments
        let functions = unsafe { Functions::of(&opened) };
        let mut device = Self {
            functions: functions.map_err(|function| missing(format!("{NAME} has no function `{function}`")))?,
            uuid: [0; 16],
            context: 0,
            stream: 0,
        };
        let Functions {
            init,
            get,
            uuid,
            context,
            create_stream,
            ..
        } = device.functions;
        let (mut handle, mut identity, mut own) = (0, [0; 16], 0);
        // SAFETY: may be called at any time
        device.checked("starting the driver", unsafe { init(0) })?;
        // SAFETY: the handle is written
        device.checked("finding the device", unsafe { get(&mut handle, number as c_int) })?;
        // SAFETY: a device of this driver; 16 bytes are written
        device.checked("asking for the device's identity", unsafe {
            uuid(&mut identity, handle)
        })?;
        // SAFETY: a device of this driver; the context is written
        device.checked("opening the device", unsafe { context(&mut own, handle) })?;
        (device.uuid, device.context) = (identity, own);
        let mut stream = 0;
        // SAFETY: within the context; the stream is written
        let made = device.within(|| unsafe { create_stream(&mut stream, NON_BLOCKING) })?;
        device.checked("making a stream", made)?;
        device.stream = stream;
        Ok(device)
    }

    /// Does `work` with this device as the thread's current one, and sets it back.
    ///
    /// # Errors
    /// If the driver refuses.
    pub(super) fn within<T>(&self, work: impl FnOnce() -> T) -> Result<T, NcclError> {
        let mut context = 0;
        // SAFETY: a context that is never given back
        self.checked("choosing the device", unsafe { (self.functions.push)(self.context) })?;
        let done = work();
        // SAFETY: the context that was pushed, which NCCL leaves in place; it is written
        let popped = unsafe { (self.functions.pop)(&mut context) };
        self.checked("leaving the device", popped).map(|()| done)
    }

    /// The driver's handle of a stream.
    pub(super) const fn handle(&self, stream: Stream) -> usize {
        match stream {
            Stream::Default => 0,
            Stream::Own => self.stream,
        }
    }

    /// Whether all work of the stream is over.
    ///
    /// # Errors
    /// If some of it failed.
    pub(super) fn is_idle(&self, stream: Stream) -> Result<bool, NcclError> {
        // SAFETY: a stream of this device
        let code = self.within(|| unsafe { (self.functions.query_stream)(self.handle(stream)) })?;
        match code {
            NOT_READY => Ok(false),
            code => self.checked("work on the device", code).map(|()| true),
        }
    }

    /// Memory of the device that holds these numbers, until the process ends: where it is. Giving it
    /// back would wait for work with it, which may never be over.
    ///
    /// # Errors
    /// If there is none left.
    pub(super) fn hold(&self, values: &[f32]) -> Result<usize, NcclError> {
        let (mut address, bytes) = (0, size_of_val(values));
        // SAFETY: within the context; the address is written
        let code = self.within(|| unsafe { (self.functions.allocate)(&mut address, bytes) })?;
        self.checked("taking memory", code)?;
        // SAFETY: allocated above
        unsafe { self.write(address, values) }.map(|()| address)
    }

    /// Writes numbers into the device's memory.
    ///
    /// # Safety
    /// There must be room for them, with which nothing else works.
    ///
    /// # Errors
    /// If they cannot be written.
    pub unsafe fn write(&self, address: usize, values: &[f32]) -> Result<(), NcclError> {
        let (from, bytes) = (values.as_ptr().cast(), size_of_val(values));
        // SAFETY: both have so many bytes
        let code = self.within(|| unsafe { (self.functions.write)(address, from, bytes) })?;
        self.checked("writing to the device", code)?;
        // it returns when the numbers have left main memory
        while !self.is_idle(Stream::Default)? {
            std::thread::yield_now();
        }
        Ok(())
    }

    /// So many numbers in the device's memory.
    ///
    /// # Safety
    /// They must be there, and nothing may be writing them.
    ///
    /// # Errors
    /// If they cannot be read.
    pub unsafe fn read(&self, address: usize, count: usize) -> Result<Vec<f32>, NcclError> {
        let mut values = vec![0.0f32; count];
        let (to, bytes) = (values.as_mut_ptr().cast(), count * size_of::<f32>());
        // SAFETY: both have so many bytes
        let code = self.within(|| unsafe { (self.functions.read)(to, address, bytes) })?;
        self.checked("reading from the device", code).map(|()| values)
    }

    /// The driver's words for a code other than success.
    fn checked(&self, what: &'static str, code: c_int) -> Result<(), NcclError> {
        if code == 0 {
            return Ok(());
        }
        let mut words = ptr::null();
        // SAFETY: the pointer is written, to a text that ends in a zero and is never freed, or stays null
        Err(unsafe {
            (self.functions.words)(code, &mut words);
            NcclError::failed(what, ENGINE.to_owned(), code, words)
        })
    }
}
