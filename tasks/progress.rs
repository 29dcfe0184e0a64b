//! Progress of long work.

/// Hears how far a long piece of work has come. `()` keeps silent.
pub trait Progress: Sync {
    /// Work of `total` units begins, described by `what`.
    fn start(&self, what: &str, total: u64);
    /// `by` more units are done; called from any thread.
    fn advance(&self, by: u64);
    /// The work that was started is done.
    fn finish(&self);
}

impl Progress for () {
    fn start(&self, _what: &str, _total: u64) {}
    fn advance(&self, _by: u64) {}
    fn finish(&self) {}
}
