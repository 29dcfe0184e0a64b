//! How large the files of data sets may be, by the ending of their names. A file with holes, or an
//! archive that claims any size, is refused before it is read.

use super::folder::ends_in;

/// A picture; the largest that is decoded has less without any compression.
const PICTURE: u64 = 512 << 20;
/// A sound: an hour in two channels of 48 kHz and 24 bits.
const SOUND: u64 = 1 << 30;
/// A video that FFmpeg reads from its folder, and an archive.
const LARGE: u64 = 1 << 42;

/// The most bytes of a file that is read into memory, plain or in an archive.
pub(crate) fn largest(name: &str) -> u64 {
    match ends_in(name, &["jpg", "jpeg", "png"]) {
        true => PICTURE,
        false => SOUND,
    }
}

/// The most bytes of a file that is hashed.
pub(crate) fn largest_hashed(name: &str) -> u64 {
    match ends_in(name, &["jpg", "jpeg", "png", "wav", "flac", "ogg", "mp3", "csv", "txt"]) {
        true => largest(name),
        false => LARGE,
    }
}
