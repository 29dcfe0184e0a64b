//! From log-probabilities to transcripts: the likeliest symbol of each frame, or a beam search with
//! or without a language model.

use super::Decoding;
use super::Recognised;
use super::symbols::Inventory;
use bridle::speech::ctc::BLANK;
use bridle_ctc::{Frames, LanguageModel, Ngrams, NoModel, Search, SymbolModel, Weights, WordModel, greedy};

impl Recognised<'_> {
    /// The transcript of each utterance, by the likeliest symbol of each frame.
    pub(super) fn greedily(&self) -> Vec<String> {
        self.each(greedy)
    }

    /// The transcript of each utterance, by beam search; None where the plan has none.
    pub(super) fn by_beam(&self, values: Option<&Decoding>, lm: Option<&Ngrams>) -> Option<Vec<String>> {
        let values = values.filter(|values| values.beam > 0)?;
        let weights = Weights {
            model: if lm.is_some() { values.lm_weight } else { 0.0 },
            unit: values.word_bonus,
        };
        let width = values.beam;
        Some(match (lm, self.symbols) {
            (None, _) => self.searched(width, &NoModel, Weights::NONE),
            (Some(lm), Inventory::Characters) => {
                self.searched(width, &WordModel::new(lm, &Inventory::characters()), weights)
            }
            (Some(lm), symbols) => self.searched(width, &SymbolModel::new(lm, &symbols.names()), weights),
        })
    }

    fn searched<M: LanguageModel>(&self, width: usize, model: &M, weights: Weights) -> Vec<String> {
        let search = Search { width, model, weights };
        self.each(|frames| {
            let mut hypotheses = search.run(frames);
            hypotheses.swap_remove(0).symbols
        })
    }

    fn each(&self, symbols: impl Fn(&Frames) -> Vec<usize>) -> Vec<String> {
        let count = self.symbols.count();
        let of = |values: &Vec<f32>| {
            let frames = Frames::new(values, count, BLANK).expect("a softmax gives probabilities");
            self.symbols.decode(&symbols(&frames))
        };
        self.log_probabilities.iter().map(of).collect()
    }
}
