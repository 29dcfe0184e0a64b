//! burn-flex: pure Rust on the processor, with vectors of the width found at run time and rayon's
//! threads.

use crate::backend::{BackendError, Choice, Facts, Job, Name};
use burn::backend::Autodiff;
use burn_flex::{Flex, FlexDevice};

/// Runs `job` on the processor, in rayon's global pool of `--threads`.
pub(crate) fn run<J: Job>(choice: &Choice, job: J) -> Result<J::Output, BackendError> {
    let unavailable = |reason: String, how_to_get: &str| BackendError::Unavailable {
        name: "flex",
        reason,
        how_to_get: how_to_get.to_owned(),
    };
    if let Some(number) = choice.device.filter(|&number| number != 0) {
        return Err(unavailable(
            format!("there is no device {number}, only the processor"),
            "omit --device",
        ));
    }
    if let Some(threads) = choice.threads {
        // a pool that has started keeps its size: only the first job of a process can set it
        let built = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
        if built.is_err() && rayon::current_num_threads() != threads {
            return Err(unavailable(
                format!("its {} threads are already running", rayon::current_num_threads()),
                "restart the program",
            ));
        }
    }
    let facts = Facts {
        name: "flex",
        device: "cpu".to_owned(),
        cuda: None,
        library: "burn-flex 0.21.0".to_owned(),
        threads: Some(rayon::current_num_threads()),
        tf32: false,
        bf16: Name::Flex.bf16(),
    };
    Ok(job.run::<Autodiff<Flex>>(FlexDevice, facts))
}
