//! From log-probabilities to transcripts: the likeliest symbol of each frame, or a beam search with or without a language
//! model.

use super::recognise::Recognised;
use super::symbols::Inventory;
use crate::plan::Decoding;
use bridle::speech::ctc::BLANK;
use bridle_ctc::{Frames, LanguageModel, Ngrams, NoModel, Search, SymbolModel, Weights, WordModel, greedy};

/// What was recognised in each utterance, by the likeliest symbol of each frame.
pub fn greedily(found: &Recognised) -> Vec<String> {
    each(found, greedy)
}

/// What was recognised in each utterance, by beam search; None where the plan wants none.
pub fn by_beam(found: &Recognised, values: &Decoding, lm: Option<&Ngrams>) -> Option<Vec<String>> {
    if values.beam == 0 {
        return None;
    }
    let weights = Weights {
        model: if lm.is_some() { values.lm_weight } else { 0.0 },
        unit: values.word_bonus,
    };
    let width = values.beam;
    Some(match (lm, &found.symbols) {
        (None, _) => searched(found, width, &NoModel, Weights::NONE),
        (Some(lm), Inventory::Characters) => {
            searched(found, width, &WordModel::new(lm, &Inventory::characters()), weights)
        }
        (Some(lm), symbols) => searched(found, width, &SymbolModel::new(lm, &symbols.names()), weights),
    })
}

fn searched<M: LanguageModel>(found: &Recognised, width: usize, model: &M, weights: Weights) -> Vec<String> {
    let search = Search { width, model, weights };
    each(found, |frames| {
        let mut hypotheses = search.run(frames);
        hypotheses.swap_remove(0).symbols
    })
}

fn each(found: &Recognised, symbols: impl Fn(&Frames) -> Vec<usize>) -> Vec<String> {
    let count = found.symbols.count();
    let of = |values: &Vec<f32>| {
        let frames = Frames::new(values, count, BLANK).expect("a softmax gives probabilities");
        found.symbols.decode(&symbols(&frames))
    };
    found.log_probabilities.iter().map(of).collect()
}
