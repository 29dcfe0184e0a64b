//! Other methods and foreign checkpoints beside BRIDLE.

pub mod import;
