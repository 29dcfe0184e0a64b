//! Progress of long work.

/// Receives progress updates. `()` ignores them.
pub trait Progress: Sync {
    /// Work of `total` units begins, described by `what`.
    fn start(&self, what: &str, total: u64);
    /// `by` more units are done; called from any thread.
    fn advance(&self, by: u64);
    fn finish(&self);
    /// Whether so many bytes from `source` may be fetched. Asked only of more than a gigabyte.
    fn may_fetch(&self, _source: &str, _bytes: u64) -> bool {
        true
    }
}

impl Progress for () {
    fn start(&self, _what: &str, _total: u64) {}
    fn advance(&self, _by: u64) {}
    fn finish(&self) {}
}
