//! What a language model says while symbols are appended one by one.

use crate::Ngrams;

/// Gives log-probabilities of symbols after symbols.
pub trait LanguageModel {
    /// What is kept of the symbols so far.
    type State: Clone;

    /// Before any symbol.
    fn start(&self) -> Self::State;

    /// The state after one more symbol, the log-probability that it adds, and the units that it
    /// completes: symbols or words.
    fn extend(&self, state: &Self::State, symbol: usize) -> (Self::State, f64, usize);

    /// The log-probability that the end adds, and the units that it completes.
    fn end(&self, state: &Self::State) -> (f64, usize);
}

/// Says nothing; every symbol is a unit.
#[derive(Clone, Copy, Debug)]
pub struct NoModel;

impl LanguageModel for NoModel {
    type State = ();

    fn start(&self) -> Self::State {}

    fn extend(&self, _state: &(), _symbol: usize) -> ((), f64, usize) {
        ((), 0.0, 1)
    }

    fn end(&self, _state: &()) -> (f64, usize) {
        (0.0, 0)
    }
}

/// An n-gram model whose words are the symbols.
#[derive(Clone, Debug)]
pub struct SymbolModel<'a> {
    ngrams: &'a Ngrams,
    /// The model's word for each symbol.
    words: Vec<Option<u32>>,
}

impl<'a> SymbolModel<'a> {
    /// The model of symbols with these names.
    pub fn new(ngrams: &'a Ngrams, names: &[&str]) -> Self {
        let words = names.iter().map(|name| ngrams.word(name)).collect();
        Self { ngrams, words }
    }
}

impl LanguageModel for SymbolModel<'_> {
    type State = Vec<u32>;

    fn start(&self) -> Self::State {
        self.ngrams.start()
    }

    fn extend(&self, state: &Self::State, symbol: usize) -> (Self::State, f64, usize) {
        let mut state = state.clone();
        let added = self.ngrams.append(&mut state, self.words[symbol]);
        (state, added, 1)
    }

    fn end(&self, state: &Self::State) -> (f64, usize) {
        (self.ngrams.end(state), 0)
    }
}

/// An n-gram model of words, which a space ends. A word is scored when it is complete.
#[derive(Clone, Debug)]
pub struct WordModel<'a> {
    ngrams: &'a Ngrams,
    symbols: Vec<char>,
}

/// The words so far, as far back as the model looks, and the word that was begun.
#[derive(Clone, Debug)]
pub struct WordState {
    history: Vec<u32>,
    begun: String,
}

impl<'a> WordModel<'a> {
    /// The model of words that these symbols spell.
    pub fn new(ngrams: &'a Ngrams, symbols: &[char]) -> Self {
        Self {
            ngrams,
            symbols: symbols.to_vec(),
        }
    }

    /// The word that was begun is whole. Of no letters there is none: spaces at the start, at the
    /// end and one after the other part no words.
    fn whole(&self, history: &mut Vec<u32>, begun: &str) -> (f64, usize) {
        match begun.is_empty() {
            true => (0.0, 0),
            false => (self.ngrams.append(history, self.ngrams.word(begun)), 1),
        }
    }
}

impl LanguageModel for WordModel<'_> {
    type State = WordState;

    fn start(&self) -> Self::State {
        WordState {
            history: self.ngrams.start(),
            begun: String::new(),
        }
    }

    fn extend(&self, state: &Self::State, symbol: usize) -> (Self::State, f64, usize) {
        let mut state = state.clone();
        match self.symbols[symbol] {
            ' ' => {
                let begun = std::mem::take(&mut state.begun);
                let (added, words) = self.whole(&mut state.history, &begun);
                (state, added, words)
            }
            letter => {
                state.begun.push(letter);
                (state, 0.0, 0)
            }
        }
    }

    fn end(&self, state: &Self::State) -> (f64, usize) {
        let mut history = state.history.clone();
        let (added, words) = self.whole(&mut history, &state.begun);
        (added + self.ngrams.end(&history), words)
    }
}
