//! Where a data set comes from: what was given, else what lies in `$BRIDLE_DATA`, else the hub's cache, else the hub.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::{DataError, FetchError, FetchRequest, HubSource, OpenRequest, Progress, fetch, fetched, sources};

/// A task's name, and where its data is to be had.
#[derive(Clone, Copy)]
pub(crate) struct Wanted {
    pub task: &'static str,
    /// Where the original lies.
    pub original: &'static str,
    /// On the hub, where that copy is whole.
    pub source: Option<HubSource>,
}

impl Wanted {
    /// As the list of sources has it.
    pub fn of(task: &'static str, original: &'static str) -> Self {
        let known = sources().iter().find(|known| known.task == task);
        let source = known.and_then(|known| known.source);
        Self { task, original, source }
    }
}

/// The folder or archive of a task's data; fetched into the hub's cache if it is nowhere and the network may be used.
pub(crate) fn obtain(wanted: Wanted, request: &OpenRequest, progress: &dyn Progress) -> Result<PathBuf, DataError> {
    let all = std::env::var_os("BRIDLE_DATA").filter(|value| !value.is_empty());
    let hub = FetchRequest::from_environment();
    let hub = FetchRequest {
        offline: hub.offline || request.offline,
        ..hub
    };
    obtained(wanted, request.data.as_deref(), all.as_deref(), &hub, progress)
}

fn obtained(
    wanted: Wanted,
    given: Option<&Path>,
    all: Option<&OsStr>,
    hub: &FetchRequest,
    progress: &dyn Progress,
) -> Result<PathBuf, DataError> {
    let Wanted { task, original, source } = wanted;
    let within = all.map(|all| Path::new(all).join(task));
    match (given, &within) {
        (Some(given), _) if given.exists() => return Ok(given.to_owned()),
        (Some(given), _) => {
            let path = given.to_owned();
            return Err(DataError::NoFolder { task, path, original });
        }
        (None, Some(within)) if within.exists() => return Ok(within.clone()),
        (None, _) => {}
    }
    let failed = |error: FetchError| DataError::NotFetched {
        task,
        original,
        source: Box::new(error),
    };
    if let Some(source) = &source {
        if let Some(cached) = fetched(source, hub).map_err(failed)? {
            return Ok(cached);
        }
        if !hub.offline {
            return fetch(source, hub, progress).map_err(failed);
        }
    }
    let fetch = if source.is_some() {
        "; `bridle-bench fetch` brings a copy into the hub's cache"
    } else {
        ""
    };
    Err(match within {
        Some(path) => DataError::NoFolder { task, path, original },
        None => DataError::NoFolderGiven { task, original, fetch },
    })
}

#[cfg(test)]
mod tests;
