//! The bytes of a pickle, taken from the front; lengths are held against those that are left.

use super::error::Reason;

pub(super) struct Bytes<'a> {
    all: &'a [u8],
    at: usize,
}

impl<'a> Bytes<'a> {
    pub fn new(all: &'a [u8]) -> Self {
        Self { all, at: 0 }
    }

    /// Bytes that were taken.
    pub fn at(&self) -> usize {
        self.at
    }

    /// The next `length` bytes.
    pub fn take(&mut self, length: u64) -> Result<&'a [u8], Reason> {
        self.holds(length)?;
        let taken = &self.all[self.at..][..length as usize];
        self.at += taken.len();
        Ok(taken)
    }

    /// Whether so many bytes are left.
    pub fn holds(&self, length: u64) -> Result<(), Reason> {
        let left = self.all.len() - self.at;
        if length > left as u64 {
            return Err(Reason::Length { length, left });
        }
        Ok(())
    }

    /// As many bytes as an array has.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Reason> {
        let taken = self.all[self.at..].first_chunk().ok_or(Reason::Ends)?;
        self.at += N;
        Ok(*taken)
    }

    pub fn byte(&mut self) -> Result<u8, Reason> {
        self.array().map(|[byte]| byte)
    }

    /// A length of N bytes, low byte first, and that many bytes.
    pub fn counted<const N: usize>(&mut self) -> Result<&'a [u8], Reason> {
        let mut length = [0; 8];
        length[..N].copy_from_slice(&self.array::<N>()?);
        self.take(u64::from_le_bytes(length))
    }

    /// The bytes up to the end of the line, which is taken too.
    pub fn line(&mut self) -> Result<&'a [u8], Reason> {
        let left = &self.all[self.at..];
        let end = left.iter().position(|&byte| byte == b'\n').ok_or(Reason::Ends)?;
        self.at += end + 1;
        Ok(left[..end].strip_suffix(b"\r").unwrap_or(&left[..end]))
    }
}
