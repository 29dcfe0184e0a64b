//! What connectionist temporal classification predicts: letters or whole words, and the way there
//! and back. Symbol 0 is the blank.

use super::Symbols;
use bridle::speech::ctc::{BLANK, least_frames};
use bridle_tasks::{ALPHABET, SpeechSet};
use std::collections::BTreeSet;

/// The symbols of one training.
#[derive(Clone, Debug, PartialEq)]
pub enum Inventory {
    /// The alphabet of transcripts.
    Characters,
    /// These words, sorted.
    Words(Vec<String>),
}

impl Inventory {
    /// Of these training utterances.
    pub fn new(kind: Symbols, set: &SpeechSet, train: &[usize]) -> Self {
        match kind {
            Symbols::Characters => Self::Characters,
            Symbols::Words => {
                let texts = train.iter().map(|&index| &set.utterances[index].text);
                let words: BTreeSet<&str> = texts.flat_map(|text| text.split(' ')).collect();
                Self::Words(words.into_iter().map(str::to_owned).collect())
            }
        }
    }

    /// How many symbols there are, the blank among them.
    pub fn count(&self) -> usize {
        1 + match self {
            Self::Characters => ALPHABET.len(),
            Self::Words(words) => words.len(),
        }
    }

    /// The symbols of a transcript; None if one is unknown.
    pub fn encode(&self, text: &str) -> Option<Vec<usize>> {
        let after_blank = |place: usize| place + BLANK + 1;
        match self {
            Self::Characters => {
                let numbers = bridle_tasks::encode_text(text)?;
                Some(numbers.into_iter().map(after_blank).collect())
            }
            Self::Words(words) => {
                let number = |word: &str| words.binary_search_by(|known| known.as_str().cmp(word)).ok();
                text.split(' ').map(|word| number(word).map(after_blank)).collect()
            }
        }
    }

    /// The transcript of these symbols, none of which is the blank; spaces that part no words are
    /// left out.
    pub fn decode(&self, symbols: &[usize]) -> String {
        let places = symbols.iter().map(|symbol| symbol - BLANK - 1);
        match self {
            Self::Characters => {
                let text = bridle_tasks::decode_text(&places.collect::<Vec<_>>());
                text.split_whitespace().collect::<Vec<_>>().join(" ")
            }
            Self::Words(words) => places.map(|place| words[place].as_str()).collect::<Vec<_>>().join(" "),
        }
    }

    /// Frames that a transcript needs; None if it has an unknown symbol.
    pub fn frames_needed(&self, text: &str) -> Option<usize> {
        Some(least_frames(&self.encode(text)?))
    }

    /// The names of all symbols, the blank's first, for language models of symbols.
    pub fn names(&self) -> Vec<&str> {
        match self {
            Self::Characters => Vec::new(),
            Self::Words(words) => std::iter::once("").chain(words.iter().map(String::as_str)).collect(),
        }
    }

    /// The characters of all symbols, the blank's first, for language models of words.
    pub fn characters() -> Vec<char> {
        std::iter::once('\0').chain(ALPHABET).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed unwrap is a failed test
    use super::*;

    #[test]
    fn transcripts_come_back_from_their_symbols() {
        let words = Inventory::Words(["ONE", "SIX", "TWO"].map(str::to_owned).to_vec());
        for (inventory, count) in [(Inventory::Characters, 29), (words.clone(), 4)] {
            assert_eq!(inventory.count(), count);
            let symbols = inventory.encode("TWO ONE ONE").unwrap();
            assert!(symbols.iter().all(|&symbol| symbol != BLANK && symbol < count));
            assert_eq!(inventory.decode(&symbols), "TWO ONE ONE");
        }
        assert_eq!(words.encode("TWO THREE"), None);
        assert_eq!(words.frames_needed("ONE ONE SIX"), Some(4));
        assert_eq!(Inventory::Characters.frames_needed("THREE"), Some(6));
    }
}
