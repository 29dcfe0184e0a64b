//! Encoders over waves and frames, read from the files of their authors' code.

mod fixture;
mod outputs;
mod strict;
