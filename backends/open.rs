//! Opens a backend by name, and lists what there is.

use crate::backend::{Availability, BackendError, BackendState, Choice, Job, Name};
#[cfg(feature = "cuda")]
use crate::cuda;
use crate::flex;
use crate::kernel::with_precision;
#[cfg(feature = "tch")]
use crate::libtorch;
use burn_std::config::{BurnConfig, RuntimeConfig};

/// Opens the chosen backend and runs `job` on it.
///
/// # Errors
/// If the backend is not compiled in, or its library or device cannot be opened.
pub fn run<J: Job>(choice: &Choice, job: J) -> Result<J::Output, BackendError> {
    // or burn reads a `burn.toml` of this folder or any above it, and panics if it is malformed
    BurnConfig::storage().lock().get_or_insert_default();
    with_precision(choice.precision, || match choice.name {
        Name::Flex => flex::run(choice, job),
        #[cfg(feature = "tch")]
        Name::Tch => libtorch::run(choice, job),
        #[cfg(feature = "cuda")]
        Name::Cuda => cuda::run(choice, job),
        #[cfg(not(all(feature = "tch", feature = "cuda")))]
        name => Err(BackendError::NotCompiled {
            name: name.as_str(),
            how_to_get: name.how_to_get().to_owned(),
        }),
    })
}

/// Every known backend with its state on this machine.
pub fn list() -> Vec<BackendState> {
    let state = |name: Name| {
        let availability = probe(name);
        let how_to_get = (availability != Availability::Ready).then(|| name.how_to_get().to_owned());
        BackendState {
            name: name.as_str(),
            summary: name.summary(),
            availability,
            bf16: name.bf16(),
            note: name.note(),
            how_to_get,
        }
    };
    Name::ALL.map(state).to_vec()
}

/// The backends compiled into this program.
pub fn compiled() -> Vec<Name> {
    let compiled = |&name: &Name| probe(name) != Availability::NotCompiled;
    Name::ALL.into_iter().filter(compiled).collect()
}

fn probe(name: Name) -> Availability {
    match name {
        Name::Flex => Availability::Ready,
        #[cfg(feature = "tch")]
        Name::Tch => Availability::Ready,
        #[cfg(feature = "cuda")]
        Name::Cuda => cuda::probe(0).map_or_else(Availability::Unavailable, |()| Availability::Ready),
        #[cfg(not(all(feature = "tch", feature = "cuda")))]
        _ => Availability::NotCompiled,
    }
}
