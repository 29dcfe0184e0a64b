//! What tells the data of one run from that of another.

use super::{DIFFERENT, Data};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

impl Data {
    /// Equal for equal data of one task: SHA-256 over the manifest of its files, the counts of its
    /// splits and, unless it is a known variant, whose files decide all else, its samples with their
    /// labels and splits. 64 hexadecimal digits.
    pub fn identity(&self) -> String {
        let samples = self.samples_sha256.as_deref().filter(|_| self.is_own());
        identity(self.manifest_sha256.as_deref(), &self.counts, samples)
    }

    /// The first 8 digits of the identity, for names.
    pub fn short_identity(&self) -> String {
        self.identity()[..8].to_owned()
    }

    /// Whether the data is none of the task's known variants, so that its task and variant do not
    /// say which data it is.
    pub fn is_own(&self) -> bool {
        self.variant == DIFFERENT
    }

    /// The data in a few words: `1a2b3c4d (test 2, train 14)`.
    pub(crate) fn words(&self) -> String {
        let counts = self.counts.iter().map(|(split, count)| format!("{split} {count}"));
        let counts: Vec<String> = counts.collect();
        format!("{} ({})", self.short_identity(), counts.join(", "))
    }
}

/// [`Data::identity`] from its parts.
pub(crate) fn identity(manifest: Option<&str>, counts: &BTreeMap<String, u64>, samples: Option<&str>) -> String {
    sha256(format!("{manifest:?} {counts:?} {samples:?}").as_bytes())
}

/// SHA-256 in hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    let digits = Sha256::digest(bytes);
    digits.iter().map(|byte| format!("{byte:02x}")).collect()
}
