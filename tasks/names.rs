//! Names that look the same: Unicode writes `é` as one character or as `e` and an accent, and
//! systems disagree on which.

use unicode_normalization::UnicodeNormalization as _;

/// The name with every accent within its letter (Unicode's form NFC).
pub(crate) fn composed(name: &str) -> String {
    name.nfc().collect()
}

/// Whether two names differ in nothing but capital letters and the form of their accents.
pub fn is_same_name(a: &str, b: &str) -> bool {
    let plain = |name: &str| composed(&name.to_lowercase());
    plain(a) == plain(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accents_and_capitals_make_no_other_name() {
        assert_eq!(composed("e\u{301}tude"), "étude");
        assert!(is_same_name("E\u{301}tude", "étude") && is_same_name("Wren", "wren"));
        assert!(!is_same_name("etude", "étude") && !is_same_name("wren", "wrens"));
    }
}
