//! Audio in: files to mono waveforms, waveforms to 16 kHz, 16 kHz to log-mel model inputs.

mod decode;
mod fbank;
mod input;
mod kind;
mod resample;
pub(crate) mod speechbrain;
mod triangle;

pub use decode::{AudioError, Waveform, decode};
pub use fbank::{FBANK_VERSION, Fbank, TooShort};
pub(crate) use fbank::{frames_in, normalise};
pub(crate) use input::Sounds;
pub use resample::{RESAMPLER_VERSION, resample};
