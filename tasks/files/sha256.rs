//! sha256 of bytes and of files, in hexadecimal.

use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::limits::largest_hashed;

pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Size in bytes and sha256 of a file, read in pieces because videos are large.
pub(crate) fn hash_file(path: &Path) -> io::Result<(u64, String)> {
    let mut file = bridle_files::open(path)?;
    let limit = largest_hashed(&path.to_string_lossy());
    if file.metadata()?.len() > limit {
        return Err(bridle_files::too_large(limit));
    }
    let (mut hasher, mut bytes, mut piece) = (Sha256::new(), 0, vec![0; 1 << 17]);
    loop {
        match file.read(&mut piece)? {
            0 => return Ok((bytes, hex(&hasher.finalize()))),
            read => {
                hasher.update(&piece[..read]);
                bytes += read as u64;
            }
        }
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
