//! The law of ARPA files: whatever the text, there is a model whose sentences have a probability, or
//! an error that names a line.
//!
//! The fuzzer of `tests/fuzz` and this crate's tests call the same law, so this is compiled for them
//! only.
#![allow(clippy::unwrap_used)] // a failed unwrap is a broken law

use crate::{ArpaError, Frames, Ngrams, Search, Weights, WordModel};

/// What holds for a parser, whatever the bytes.
pub type Law = fn(&[u8]);

/// The laws by name, which is also that of the folder of their kept inputs.
pub const LAWS: &[(&str, Law)] = &[("arpa", arpa)];

fn arpa(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let told = |text: &str| Ngrams::parse(text).map_err(|error| error.to_string());
    let model = match Ngrams::parse(&text) {
        Ok(model) => model,
        Err(ArpaError::Line { line, .. }) => {
            assert!((1..=1 + text.lines().count()).contains(&line), "line {line}");
            return assert_eq!(told(&text.replace('\n', "\r\n")).err(), told(&text).err());
        }
        Err(error) => panic!("{error}"),
    };
    let mut words: Vec<&str> = model.words().collect();
    words.sort_unstable();
    words.truncate(3);
    words.push("never heard of");
    for first in &words {
        for second in &words {
            let log = model.sentence([*first, *second, *first]);
            assert!(!log.is_nan() && log < f64::INFINITY, "{first} {second}: {log}");
        }
    }
    let symbols = ['-', ' ', 'A', 'B'];
    let values = [0.25_f32.ln(); 4 * 5];
    let frames = Frames::new(&values, 4, 0).unwrap();
    let (model, weights) = (&WordModel::new(&model, &symbols), Weights { model: 0.5, unit: 1.0 });
    for found in (Search {
        width: 8,
        model,
        weights,
    })
    .run(&frames)
    {
        assert!(!found.score.is_nan(), "{found:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay;

    #[test]
    fn the_law_holds_for_kept_and_damaged_inputs() {
        replay::hold(LAWS, 2_000);
    }
}
