//! The footer of a feature file, and the hashes that verify rows and footer.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

pub(super) const MARK: &[u8; 8] = b"bridle\0\x01";
const TAIL: usize = 32 + 8 + MARK.len();
/// Bytes of the footer itself; one of ten million rows has about a tenth.
const LONGEST: u64 = 1 << 30;
/// Bytes that are read at a time, at least one row.
const PIECE: usize = 4 << 20;

/// The hash of one row: enough of a blake3 to notice any damage.
pub(super) type RowHash = [u8; 16];

pub(super) fn row_hash(bytes: &[u8]) -> RowHash {
    let [hash, _] = *blake3::hash(bytes).as_bytes().as_chunks().0 else {
        unreachable!("a blake3 has 32 bytes")
    };
    hash
}

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
        if mark != MARK || json_length > LONGEST {
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

    /// The length of each row in bytes. The number of rows must have been checked.
    pub fn row_bytes(&self) -> Vec<usize> {
        let row = self.row * size_of::<f32>();
        match &self.lengths {
            Some(lengths) => lengths.iter().map(|length| length * row).collect(),
            None => vec![row; self.rows],
        }
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

/// blake3 of all rows, and the hash of each. `lengths` are the rows' lengths in bytes. They are read
/// in pieces so that the file does not count as used memory.
pub(super) fn hash_rows(file: &mut File, mut lengths: &[usize]) -> io::Result<(String, Vec<RowHash>)> {
    let mut hasher = blake3::Hasher::new();
    let (mut hashes, mut piece) = (Vec::with_capacity(lengths.len()), Vec::new());
    file.seek(SeekFrom::Start(0))?;
    while let Some(first) = lengths.first() {
        let (mut count, mut bytes) = (1, *first);
        while let Some(next) = lengths.get(count).filter(|next| bytes + **next <= PIECE) {
            (count, bytes) = (count + 1, bytes + next);
        }
        piece.resize(bytes, 0);
        file.read_exact(&mut piece)?;
        hasher.update_rayon(&piece);
        let (these, rest) = lengths.split_at(count);
        let mut left = &piece[..];
        let rows: Vec<&[u8]> = these
            .iter()
            .map(|&length| left.split_off(..length).unwrap_or_default())
            .collect();
        hashes.par_extend(rows.into_par_iter().map(row_hash));
        lengths = rest;
    }
    Ok((hasher.finalize().to_hex().to_string(), hashes))
}
