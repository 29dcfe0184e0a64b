//! The footer of a feature file, and the hashes that verify rows and footer.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use serde::{Deserialize, Serialize};

const MARK: &[u8; 8] = b"bridle\0\x01";
const TAIL: usize = 32 + 8 + MARK.len();

#[derive(Serialize, Deserialize)]
pub(super) struct Footer {
    pub key: String,
    pub rows: usize,
    /// Values per row in this file.
    pub row: usize,
    /// The length of each row in units of `row`, if they differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lengths: Option<Vec<usize>>,
    pub skipped: Vec<(usize, String)>,
    pub mean: f64,
    pub std: f64,
    /// Hash of the rows' bytes.
    pub blake3: String,
}

impl Footer {
    /// Writes it with its own hash, its length and the mark.
    pub fn write(&self, file: &mut impl Write) -> io::Result<()> {
        let json = serde_json::to_vec(self).expect("a footer is numbers and strings");
        file.write_all(&json)?;
        file.write_all(blake3::hash(&json).as_bytes())?;
        file.write_all(&(json.len() as u64).to_le_bytes())?;
        file.write_all(MARK)
    }

    /// Reads an intact footer whose rows have the length that it states.
    pub fn read(file: &mut File) -> Option<Self> {
        let length = file.metadata().ok()?.len();
        file.seek(SeekFrom::Start(length.checked_sub(TAIL as u64)?)).ok()?;
        let mut tail = [0; TAIL];
        file.read_exact(&mut tail).ok()?;
        let (hash, rest) = tail.split_at(32);
        let (json_length, mark) = rest.split_at(8);
        let json_length = u64::from_le_bytes(json_length.try_into().ok()?);
        let start = length.checked_sub(TAIL as u64)?.checked_sub(json_length)?;
        if mark != MARK {
            return None;
        }
        let mut json = vec![0; json_length as usize];
        file.seek(SeekFrom::Start(start)).ok()?;
        file.read_exact(&mut json).ok()?;
        if blake3::hash(&json).as_bytes() != hash {
            return None;
        }
        let footer: Self = serde_json::from_slice(&json).ok()?;
        (footer.bytes()? == start as usize).then_some(footer)
    }

    pub fn bytes(&self) -> Option<usize> {
        let rows = match &self.lengths {
            Some(lengths) if lengths.len() != self.rows => return None,
            Some(lengths) => lengths
                .iter()
                .try_fold(0usize, |sum, &length| sum.checked_add(length))?,
            None => self.rows,
        };
        rows.checked_mul(self.row)?.checked_mul(size_of::<f32>())
    }
}

/// blake3 of the first `bytes` bytes, read in pieces so that the file does not count as used
/// memory.
pub(super) fn hash_start(file: &mut File, bytes: usize) -> io::Result<String> {
    let mut hasher = blake3::Hasher::new();
    let mut piece = vec![0; bytes.min(4 << 20)];
    file.seek(SeekFrom::Start(0))?;
    let mut left = bytes;
    while left > 0 {
        let piece = &mut piece[..left.min(4 << 20)];
        file.read_exact(piece)?;
        hasher.update_rayon(piece);
        left -= piece.len();
    }
    Ok(hasher.finalize().to_hex().to_string())
}
