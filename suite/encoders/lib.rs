//! Encoders of other people's making: which family a checkpoint is of, its weights by name, its
//! forward pass, its input.

pub mod names;
pub mod vit;
