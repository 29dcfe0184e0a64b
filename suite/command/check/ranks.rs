//! What several processes that train together would need, next to what there is.

use super::needs::size;
use super::verdict::{Verdict, peak};
use super::{Line, Result};
use crate::estimate::Workload;
use crate::run::machine;
use crate::run::request::RunRequest;
use crate::train::PRETRAIN_BATCH;
use bridle_backends::Name;
use bridle_ranks::RanksError;
use serde_json::{Value, json};

/// What each of `count` ranks would need.
pub(super) struct RankNeeds {
    count: usize,
    /// Samples of a batch over all ranks; None where nothing is pretrained.
    batch: Option<usize>,
    /// Bytes of a rank at its peak. None where that cannot be estimated: without data.
    memory_bytes: Option<f64>,
    memory_available: Option<u64>,
}

impl RankNeeds {
    /// For these `training` samples, where they are known.
    pub fn new(request: &RunRequest, training: Option<&Workload>, count: usize) -> Self {
        let plan = &request.plan;
        Self {
            count,
            batch: plan.pretrain.as_ref().map(|pretrain| pretrain.batch),
            memory_bytes: training.map(|training| peak(plan, training, count)),
            // a GPU has memory of its own, of which nothing is known here
            memory_available: match request.backend.name {
                Name::Cuda => None,
                Name::Flex | Name::Tch => machine::available_memory_bytes(),
            },
        }
    }

    /// Fails if not every rank gets a sample of each batch.
    pub fn can_share(&self) -> Result<()> {
        match self.batch {
            Some(samples) if self.count > samples => Err(RanksError::TooMany {
                ranks: self.count,
                what: PRETRAIN_BATCH.to_owned(),
                samples,
            }
            .into()),
            _ => Ok(()),
        }
    }

    /// Processes that there will be.
    pub fn count(&self) -> usize {
        self.count
    }

    /// How many of them this machine's memory holds.
    fn held(&self) -> Option<usize> {
        let (each, available) = (self.memory_bytes?, self.memory_available?);
        Some((available as f64 / each) as usize)
    }

    pub fn line(&self) -> Line {
        let Some(batch) = self.batch else {
            return ("ranks", "nothing is pretrained that they could share".to_owned());
        };
        if let Err(failure) = self.can_share() {
            return ("ranks", format!("not ready: {}", failure.message()));
        }
        let (least, most) = (batch / self.count, batch.div_ceil(self.count));
        let samples = if least == most {
            most.to_string()
        } else {
            format!("{least} or {most}")
        };
        let memory = self
            .memory_bytes
            .map_or_else(String::new, |bytes| format!(", about {} each", size(bytes)));
        (
            "ranks",
            format!("{}: {samples} of a batch's {batch} samples each{memory}", self.count),
        )
    }

    pub fn verdict(&self) -> Verdict {
        Verdict::of_ranks(self.count, self.can_share().err().as_ref(), self.held())
    }

    pub fn json(&self) -> Value {
        json!({
            "count": self.count, "batch": self.batch,
            "batch_per_rank": self.batch.map(|batch| batch.div_ceil(self.count)),
            "memory_bytes_per_rank": self.memory_bytes.map(|bytes| bytes as u64),
            "held_by_this_machine": self.held(),
        })
    }
}
