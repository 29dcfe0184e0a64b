//! Files of data sets: where they are, what is in them, and whether they are unchanged.

pub(crate) mod archive;
pub(crate) mod folder;
pub(crate) mod hashes;
pub(crate) mod limits;
pub(crate) mod locate;
pub(crate) mod lock;
pub(crate) mod manifest;
pub(crate) mod sha256;
pub(crate) mod table;
pub(crate) mod tree;
pub(crate) mod verified;
