//! What may be made of a file's values, where sharing lets a few bytes stand for many.

/// Bytes that are left to be used: a bound of memory, and of time too.
#[derive(Clone, Copy)]
pub(crate) struct Budget(usize);

/// There is not enough left.
pub(crate) struct Spent;

/// For the names of tensors, or for settings.
const BYTES: usize = 16 << 20;

/// What an item takes beside its text.
const ITEM: usize = 128;

impl Budget {
    pub fn new() -> Self {
        Self(BYTES)
    }

    /// Takes one item.
    pub fn item(&mut self) -> Result<(), Spent> {
        self.bytes(ITEM)
    }

    pub fn bytes(&mut self, bytes: usize) -> Result<(), Spent> {
        self.0 = self.0.checked_sub(bytes).ok_or(Spent)?;
        Ok(())
    }
}
