//! Files of data sets: where they lie, what is in them, and whether they are what they were.

pub(crate) mod archive;
pub(crate) mod folder;
pub(crate) mod hashes;
pub(crate) mod locate;
pub(crate) mod lock;
pub(crate) mod manifest;
pub(crate) mod tree;
