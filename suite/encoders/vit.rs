//! One vision transformer for pictures, sounds and videos.

pub mod config;
pub mod posconv;

use crate::input::{Input, States};
use crate::names::{EncoderError, Taker};
use crate::pooling::Pooling;
use bridle_backends::Ops;
use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use config::VitConfig;
