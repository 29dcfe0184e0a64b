//! Prefix beam search (Graves and Jaitly 2014; Hannun et al. 2014, algorithm 1): the likeliest
//! symbols over all alignments.
//!
//! A prefix is kept with two sums over its alignments so far: those that end in a blank and those
//! that end in its last symbol. Without pruning the sums are exact. A language model ranks
//! prefixes; its share never enters the sums.

use crate::{Frames, LanguageModel};
use std::collections::HashMap;

/// How the parts of a score are weighed: acoustic + `model` x language model + `unit` x units.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weights {
    /// Weight of the language model's log-probability.
    pub model: f64,
    /// What each unit adds, symbol or word: makes up for what the language model takes from long
    /// texts.
    pub unit: f64,
}

impl Weights {
    /// Of a search without a language model.
    pub const NONE: Self = Self { model: 0.0, unit: 0.0 };
}

/// A prefix beam search.
#[derive(Clone, Debug)]
pub struct Search<'m, M> {
    /// Prefixes kept after each frame; at least one.
    pub width: usize,
    /// What ranks them.
    pub model: &'m M,
    /// How it is weighed.
    pub weights: Weights,
}

/// What may have been said.
#[derive(Clone, Debug, PartialEq)]
pub struct Hypothesis {
    /// The symbols, without blanks.
    pub symbols: Vec<usize>,
    /// Logarithm of the sum of the probabilities of the alignments that were followed.
    pub acoustic: f64,
    /// What hypotheses are ranked by: all parts, weighed.
    pub score: f64,
}

impl<M: LanguageModel> Search<'_, M> {
    /// The best hypotheses, at most as many as are kept, the best first. One at least: of no frames
    /// it is empty. Where every alignment that is left has a probability of 0, the acoustic part is
    /// minus infinity.
    pub fn run(&self, frames: &Frames) -> Vec<Hypothesis> {
        let mut prefixes = Prefixes::new(self);
        let mut kept = vec![(
            0,
            Sums {
                blank: 0.0,
                symbol: f64::NEG_INFINITY,
            },
        )];
        for frame in frames.iter() {
            kept = self.step(&mut prefixes, &kept, frame, frames.blank());
        }
        let mut found: Vec<Hypothesis> = kept
            .iter()
            .map(|(prefix, sums)| {
                let node = &prefixes.nodes[*prefix];
                let (added, units) = self.model.end(&node.state);
                let acoustic = sums.total();
                Hypothesis {
                    symbols: prefixes.symbols(*prefix),
                    acoustic,
                    score: acoustic + node.share + self.share(added, units),
                }
            })
            .collect();
        // stable: of equal scores the one that ranked first before the end stays first
        found.sort_by(|a, b| b.score.total_cmp(&a.score));
        found
    }

    fn share(&self, added: f64, units: usize) -> f64 {
        // a weight of 0 makes even a probability of 0 no difference
        let model = if self.weights.model == 0.0 {
            0.0
        } else {
            self.weights.model * added
        };
        model + self.weights.unit * units as f64
    }

    fn step(
        &self,
        prefixes: &mut Prefixes<M::State>,
        kept: &[(usize, Sums)],
        frame: &[f32],
        blank: usize,
    ) -> Vec<(usize, Sums)> {
        let mut next = Next::default();
        for &(prefix, sums) in kept {
            let last = prefixes.nodes[prefix].symbol;
            next.at(prefix).add_blank(sums.total() + f64::from(frame[blank]));
            if let Some(last) = last {
                next.at(prefix).add_symbol(sums.symbol + f64::from(frame[last]));
            }
            for (symbol, &log) in frame.iter().enumerate().filter(|(symbol, _)| *symbol != blank) {
                // a symbol is said again only after a blank
                let before = if last == Some(symbol) { sums.blank } else { sums.total() };
                let sum = before + f64::from(log);
                if sum > f64::NEG_INFINITY {
                    let longer = prefixes.longer(self, prefix, symbol);
                    next.at(longer).add_symbol(sum);
                }
            }
        }
        let mut next = next.prefixes;
        let rank = |(prefix, sums): &(usize, Sums)| sums.total() + prefixes.nodes[*prefix].share;
        next.sort_by(|a, b| rank(b).total_cmp(&rank(a)));
        next.truncate(self.width.max(1));
        next
    }
}

/// Logarithms of sums over the alignments of a prefix.
#[derive(Clone, Copy, Debug)]
struct Sums {
    /// Those that end in a blank.
    blank: f64,
    /// Those that end in the prefix's last symbol.
    symbol: f64,
}

impl Sums {
    fn total(&self) -> f64 {
        log_sum(self.blank, self.symbol)
    }

    fn add_blank(&mut self, log: f64) {
        self.blank = log_sum(self.blank, log);
    }

    fn add_symbol(&mut self, log: f64) {
        self.symbol = log_sum(self.symbol, log);
    }
}

/// ln(e^a + e^b)
fn log_sum(a: f64, b: f64) -> f64 {
    let (low, high) = if a < b { (a, b) } else { (b, a) };
    if low == f64::NEG_INFINITY {
        return high;
    }
    high + (low - high).exp().ln_1p()
}

/// Prefixes of the next frame in the order in which they were met, so that nothing hangs on the
/// order of a hash table.
#[derive(Default)]
struct Next {
    places: HashMap<usize, usize>,
    prefixes: Vec<(usize, Sums)>,
}

impl Next {
    fn at(&mut self, prefix: usize) -> &mut Sums {
        let place = *self.places.entry(prefix).or_insert_with(|| {
            let none = f64::NEG_INFINITY;
            self.prefixes.push((
                prefix,
                Sums {
                    blank: none,
                    symbol: none,
                },
            ));
            self.prefixes.len() - 1
        });
        &mut self.prefixes[place].1
    }
}

/// Every prefix that was met, as a tree; the first is empty.
struct Prefixes<S> {
    nodes: Vec<Node<S>>,
    longer: HashMap<(usize, usize), usize>,
}

struct Node<S> {
    parent: usize,
    symbol: Option<usize>,
    state: S,
    /// What the language model and the units add, weighed.
    share: f64,
}

impl<S: Clone> Prefixes<S> {
    fn new<M: LanguageModel<State = S>>(search: &Search<M>) -> Self {
        let empty = Node {
            parent: 0,
            symbol: None,
            state: search.model.start(),
            share: 0.0,
        };
        Self {
            nodes: vec![empty],
            longer: HashMap::new(),
        }
    }

    fn longer<M: LanguageModel<State = S>>(&mut self, search: &Search<M>, prefix: usize, symbol: usize) -> usize {
        if let Some(&known) = self.longer.get(&(prefix, symbol)) {
            return known;
        }
        let parent = &self.nodes[prefix];
        let (state, added, units) = search.model.extend(&parent.state, symbol);
        let share = parent.share + search.share(added, units);
        let node = Node {
            parent: prefix,
            symbol: Some(symbol),
            state,
            share,
        };
        self.nodes.push(node);
        self.longer.insert((prefix, symbol), self.nodes.len() - 1);
        self.nodes.len() - 1
    }

    fn symbols(&self, prefix: usize) -> Vec<usize> {
        let (mut symbols, mut at) = (Vec::new(), prefix);
        while let Some(symbol) = self.nodes[at].symbol {
            symbols.push(symbol);
            at = self.nodes[at].parent;
        }
        symbols.reverse();
        symbols
    }
}
