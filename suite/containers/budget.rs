//! What may be made of a file's values, where sharing lets a few bytes stand for many.

/// Bytes that are left to be used.
#[derive(Clone, Copy)]
pub(crate) struct Budget(usize);

/// Bytes that an item takes beside its text, roughly.
const ITEM: usize = 64;

impl Budget {
    /// For the names of tensors, or for settings: as many bytes as a file of settings may have.
    pub fn new() -> Self {
        Self(bridle_files::SETTINGS as usize)
    }

    /// Takes an item with a text of `length` bytes. None if there is not enough left.
    pub fn take(&mut self, length: usize) -> Option<()> {
        self.0 = self.0.checked_sub(length.checked_add(ITEM)?)?;
        Some(())
    }
}
