//! From log-probabilities to transcripts: the likeliest symbol of each frame, or a beam search with
//! or without a language model.

use super::Decoding;
use super::Recognised;
use super::symbols::Inventory;
use crate::train::TrainError;
use bridle::speech::ctc::BLANK;
use bridle_backends::kernel::ranks;
use bridle_ctc::{Frames, LanguageModel, Ngrams, NoModel, Search, SymbolModel, Weights, WordModel, greedy};

impl Recognised<'_> {
    /// The transcript of each utterance, by the likeliest symbol of each frame.
    ///
    /// # Errors
    /// If the other ranks do not answer; so for all that follow.
    pub(super) fn greedily(&self) -> Result<Vec<String>, TrainError> {
        self.each(greedy)
    }

    /// The transcript of each utterance, by beam search; None where the plan has none.
    pub(super) fn by_beam(
        &self,
        values: Option<&Decoding>,
        lm: Option<&Ngrams>,
    ) -> Result<Option<Vec<String>>, TrainError> {
        let Some(values) = values.filter(|values| values.beam > 0) else {
            return Ok(None);
        };
        let weights = Weights {
            model: if lm.is_some() { values.lm_weight } else { 0.0 },
            unit: values.word_bonus,
        };
        let width = values.beam;
        let texts = match (lm, self.symbols) {
            (None, _) => self.searched(width, &NoModel, Weights::NONE),
            (Some(lm), Inventory::Characters) => {
                self.searched(width, &WordModel::new(lm, &Inventory::characters()), weights)
            }
            (Some(lm), symbols) => self.searched(width, &SymbolModel::new(lm, &symbols.names()), weights),
        };
        texts.map(Some)
    }

    fn searched<M: LanguageModel>(&self, width: usize, model: &M, weights: Weights) -> Result<Vec<String>, TrainError> {
        let search = Search { width, model, weights };
        let count = ranks().part(self.log_probabilities.len()).len();
        self.progress
            .start(&format!("{}: beam search", self.protocol), count as u64);
        let texts = self.each(|frames| {
            let mut hypotheses = search.run(frames);
            self.progress.advance(1);
            hypotheses.swap_remove(0).symbols
        })?;
        self.progress.finish();
        Ok(texts)
    }

    /// Each rank decodes its part of the utterances.
    fn each(&self, symbols: impl Fn(&Frames) -> Vec<usize>) -> Result<Vec<String>, TrainError> {
        let count = self.symbols.count();
        let of = |values: &Vec<f32>| {
            let frames = Frames::new(values, count, BLANK).expect("a softmax gives probabilities");
            self.symbols.decode(&symbols(&frames))
        };
        let (ranks, all) = (ranks(), &self.log_probabilities);
        let mine: Vec<String> = all[ranks.part(all.len())].iter().map(of).collect();
        // transcripts have no line ends
        let mine: String = mine.into_iter().map(|text| text + "\n").collect();
        let texts = ranks.gather(mine.as_bytes())?.concat();
        Ok(String::from_utf8_lossy(&texts).lines().map(str::to_owned).collect())
    }
}
