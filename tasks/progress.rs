//! Progress of long work.

/// Receives progress updates. `()` ignores them.
pub trait Progress: Sync {
    /// Work of `total` units begins, described by `what`.
    fn start(&self, what: &str, total: u64);
    /// `by` more units are done; called from any thread.
    fn advance(&self, by: u64);
    fn finish(&self);
}

impl Progress for () {
    fn start(&self, _what: &str, _total: u64) {}
    fn advance(&self, _by: u64) {}
    fn finish(&self) {}
}
