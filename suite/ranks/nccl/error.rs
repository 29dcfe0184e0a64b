//! Why NCCL cannot sum, by name.

use super::library::{CHOICE, OFF, OLDEST, Version};
use std::ffi::{CStr, c_char};
use std::time::Duration;

/// Why tensors are not summed by NCCL, or a sum failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NcclError {
    /// Somebody does not want it.
    #[error("{CHOICE} is `{OFF}`")]
    Off,
    /// No library could be opened.
    #[error("no NCCL library could be opened ({tried})")]
    Missing {
        /// The names that were tried, with the loader's words on the last.
        tried: String,
    },
    /// No driver could be opened, or one that lacks a function.
    #[error("no NVIDIA driver could be opened ({reason})")]
    NoDriver { reason: String },
    /// A library lacks a function.
    #[error("the NCCL library `{library}` has no function `{function}`")]
    Lacking { library: String, function: &'static str },
    /// A library that passes other numbers than this program knows.
    #[error("`{library}` is NCCL {version}, older than {OLDEST}")]
    Old { library: String, version: Version },
    /// A function failed.
    #[error("{what} failed in {engine}: {text} (code {code})")]
    Failed {
        what: &'static str,
        engine: String,
        code: i32,
        text: String,
    },
    /// A function does not return, or what it began does not end.
    #[error("{what} was not over after {} s", after.as_secs_f64())]
    TimedOut { what: &'static str, after: Duration },
    /// What came out of a first exchange is wrong.
    #[error("a first {what} gave {found} where {expected} is right")]
    Wrong {
        what: &'static str,
        found: String,
        expected: String,
    },
    /// The system starts no more threads.
    #[error("no thread can be started for NCCL: {reason}")]
    Thread { reason: String },
    /// An exchange failed before.
    #[error("NCCL was ended by an error before")]
    Ended,
}

impl NcclError {
    /// What failed, in the library's words for its code.
    ///
    /// # Safety
    /// The words must be null, or a text that ends in a zero.
    pub unsafe fn failed(what: &'static str, engine: String, code: i32, words: *const c_char) -> Self {
        let text = match words.is_null() {
            true => String::new(),
            // SAFETY: the caller's
            false => unsafe { CStr::from_ptr(words) }.to_string_lossy().into_owned(),
        };
        Self::Failed {
            what,
            engine,
            code,
            text,
        }
    }

    /// A change that helps, where there is one.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Missing { .. } => {
                "BRIDLE_NCCL with the path of libnccl.so.2, which `pip install nvidia-nccl-cu12` brings"
            }
            Self::Lacking { .. } | Self::Old { .. } => "BRIDLE_NCCL with the path of another libnccl.so.2",
            Self::NoDriver { .. } => "an NVIDIA driver (libcuda.so.1) of CUDA 11.4 or newer where the loader finds it",
            Self::Failed { .. } | Self::TimedOut { .. } | Self::Wrong { .. } => {
                "NCCL_DEBUG=INFO, which has NCCL say more; BRIDLE_NCCL=off to do without it"
            }
            Self::Off | Self::Thread { .. } | Self::Ended => return None,
        })
    }

    /// The error and the hint, in a line.
    pub fn told(&self) -> String {
        match self.hint() {
            Some(hint) => format!("{self}; try: {hint}"),
            None => self.to_string(),
        }
    }
}
