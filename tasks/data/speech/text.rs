//! Transcripts in one alphabet: the 26 letters in upper case, the apostrophe, and one space between
//! words.

/// Every symbol of a transcript; its number is its index. The blank is not among them.
pub const ALPHABET: [char; 28] = [
    ' ', '\'', 'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'I', 'J', 'K', 'L', 'M', 'N', 'O', 'P', 'Q', 'R', 'S', 'T', 'U',
    'V', 'W', 'X', 'Y', 'Z',
];

/// Symbols that are not in the alphabet, each once, in order of appearance.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the transcript has unknown symbols: {}; known are letters without accents, apostrophe and space", listed(.0))]
pub struct UnknownSymbols(pub Vec<char>);

fn listed(symbols: &[char]) -> String {
    let quoted: Vec<String> = symbols
        .iter()
        .map(|symbol| format!("'{}' (U+{:04X})", symbol.escape_debug(), *symbol as u32))
        .collect();
    quoted.join(", ")
}

/// Converts a transcript to the alphabet: letters a to z become upper case, the typographic
/// apostrophe becomes the plain one, and white space becomes one space between words. Nothing is
/// dropped: digits, punctuation and accents are errors, because their pronunciation is unknown.
/// Idempotent.
///
/// # Errors
/// If a symbol is unknown.
pub fn normalise_text(text: &str) -> Result<String, UnknownSymbols> {
    let mut unknown = Vec::new();
    let words = text.split_whitespace().map(|word| {
        let symbol = |symbol: char| match symbol {
            '\u{2019}' => '\'',
            symbol => symbol.to_ascii_uppercase(),
        };
        let word: String = word.chars().map(symbol).collect();
        for symbol in word.chars().filter(|symbol| !ALPHABET.contains(symbol)) {
            if !unknown.contains(&symbol) {
                unknown.push(symbol);
            }
        }
        word
    });
    let text = words.collect::<Vec<_>>().join(" ");
    match unknown.is_empty() {
        true => Ok(text),
        false => Err(UnknownSymbols(unknown)),
    }
}

/// The numbers of a normalised transcript's symbols; `None` if it is not normalised.
pub fn encode_text(text: &str) -> Option<Vec<usize>> {
    let number = |symbol| ALPHABET.iter().position(|known| *known == symbol);
    text.chars().map(number).collect()
}

/// The transcript of these numbers. Panics if a number is not a symbol's.
pub fn decode_text(numbers: &[usize]) -> String {
    numbers.iter().map(|&number| ALPHABET[number]).collect()
}

/// The smallest number of frames that a normalised transcript can be aligned to: one per symbol,
/// and a blank between two equal ones.
pub fn min_frames(text: &str) -> usize {
    let repeated = text.chars().zip(text.chars().skip(1)).filter(|(a, b)| a == b);
    text.chars().count() + repeated.count()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

    use super::*;

    #[test]
    fn transcripts_come_into_the_alphabet_and_stay_there() {
        let found = normalise_text("  He didn\u{2019}t\tsay \n WHY ").unwrap();
        assert_eq!(found, "HE DIDN'T SAY WHY");
        assert_eq!(normalise_text(&found).unwrap(), found);
        assert_eq!(decode_text(&encode_text(&found).unwrap()), found);
        assert_eq!(encode_text("no"), None);
        assert_eq!(normalise_text(" ").unwrap(), "");
    }

    #[test]
    fn unknown_symbols_are_listed_once_each() {
        let error = normalise_text("Room 22, caf\u{e9}!").unwrap_err();
        assert_eq!(error.0, ['2', ',', '\u{e9}', '!']);
        insta::assert_snapshot!(error, @"the transcript has unknown symbols: '2' (U+0032), ',' (U+002C), 'é' (U+00E9), '!' (U+0021); known are letters without accents, apostrophe and space");
    }

    #[test]
    fn equal_neighbours_need_a_blank_between_them() {
        assert_eq!(
            [min_frames(""), min_frames("A"), min_frames("THREE"), min_frames("AAA")],
            [0, 1, 6, 5]
        );
    }
}
