//! What rank 0 tells the other ranks of each run: it alone reads what decides.

use crate::cli::error::{Failure, Result};
use crate::run::checkpoint;
use crate::train::PretrainState;
use bridle::weights::Weights;
use bridle_ranks::{Patience, Ranks};
use std::path::Path;

/// Weights and progress of an earlier part of a run.
pub type Saved = (Weights, PretrainState);

/// What is to be done together.
pub enum Work {
    /// Nothing: the run is recorded already.
    Nothing,
    /// Train, from a checkpoint if there is one, then evaluate.
    Train(Option<Box<Saved>>),
    /// Evaluate the encoder of these weights.
    Evaluate(Weights),
}

impl Work {
    /// The word for it, before the weights.
    const fn word(&self) -> u8 {
        match self {
            Self::Nothing => 0,
            Self::Train(None) => 1,
            Self::Train(Some(_)) => 2,
            Self::Evaluate(_) => 3,
        }
    }

    /// Tells the other ranks; `work` is not called where there are none.
    ///
    /// # Errors
    /// If they do not answer.
    pub fn tell(ranks: &Ranks, work: impl FnOnce() -> Self) -> Result<()> {
        if ranks.size() == 1 {
            return Ok(());
        }
        let work = work();
        let weights = match &work {
            Self::Nothing | Self::Train(None) => Ok(Vec::new()),
            Self::Train(Some(saved)) => checkpoint::bytes(&saved.0, &saved.1),
            Self::Evaluate(weights) => checkpoint::bytes(weights, &PretrainState::default()),
        };
        let mut words = vec![work.word()];
        words.extend(weights.map_err(Failure::from)?);
        passed(ranks, words).map(drop)
    }

    /// Waits for what rank 0 tells.
    ///
    /// # Errors
    /// If it does not answer.
    pub fn wait(ranks: &Ranks) -> Result<Self> {
        let words = passed(ranks, Vec::new())?;
        let saved = || checkpoint::parse::<PretrainState>(Path::new("what rank 0 sent"), &words[1..], true);
        Ok(match words.first() {
            Some(1) => Self::Train(None),
            Some(2) => Self::Train(Some(Box::new(saved()?))),
            Some(3) => Self::Evaluate(saved()?.0),
            _ => Self::Nothing,
        })
    }
}

/// Rank 0's words. It may have had long work to do by itself before.
fn passed(ranks: &Ranks, mut words: Vec<u8>) -> Result<Vec<u8>> {
    ranks.barrier(Patience::Endless)?;
    ranks.broadcast(&mut words)?;
    Ok(words)
}
