//! Finds a data set: `--data`, else `$BRIDLE_DATA/<task>`, else the hub's cache, else the hub.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::hub::expanded;
use crate::{DataError, FetchError, FetchRequest, HubSource, Progress, fetch, fetched, sources};

/// Where a task's data can come from.
#[derive(Clone, Copy)]
pub(crate) struct Origin {
    task: &'static str,
    /// The address of the original data.
    original: &'static str,
    /// A complete copy on the hub.
    hub: Option<HubSource<'static>>,
    /// Whether the data may also be a file, an archive.
    may_be_file: bool,
}

impl Origin {
    /// Data that lies in a folder; never fetched by itself.
    pub const fn folder(task: &'static str, original: &'static str) -> Self {
        let (hub, may_be_file) = (None, false);
        Self {
            task,
            original,
            hub,
            may_be_file,
        }
    }

    /// Data in a folder or archive, fetched from where `sources()` says if it is nowhere on this
    /// machine.
    pub fn hub(task: &'static str, original: &'static str) -> Self {
        let hub = sources()
            .iter()
            .find(|known| known.task == task)
            .and_then(|known| known.source);
        Self {
            hub,
            may_be_file: true,
            ..Self::folder(task, original)
        }
    }

    /// The folder or archive. It is fetched into the hub's cache if it is nowhere else and the
    /// network may be used.
    pub fn locate(&self, given: Option<&Path>, offline: bool, progress: &dyn Progress) -> Result<PathBuf, DataError> {
        let all = std::env::var_os("BRIDLE_DATA")
            .filter(|value| !value.is_empty())
            .map(home_expanded);
        let hub = FetchRequest::from_environment();
        let offline = hub.offline || offline;
        self.locate_in(given, all.as_deref(), &FetchRequest { offline, ..hub }, progress)
    }

    fn locate_in(
        &self,
        given: Option<&Path>,
        all: Option<&OsStr>,
        request: &FetchRequest,
        progress: &dyn Progress,
    ) -> Result<PathBuf, DataError> {
        let &Self {
            task,
            original,
            hub,
            may_be_file,
        } = self;
        let exists = |path: &Path| path.is_dir() || (may_be_file && path.exists());
        let missing = |path: PathBuf| DataError::NoFolder { task, path, original };
        if let Some(given) = given.map(Path::to_owned) {
            return if exists(&given) { Ok(given) } else { Err(missing(given)) };
        }
        let within = all.map(|all| Path::new(all).join(task));
        if let Some(within) = within.as_ref().filter(|within| exists(within)) {
            return Ok(within.clone());
        }
        if let Some(source) = &hub {
            let failed = |error: FetchError| DataError::NotFetched {
                task,
                original,
                source: Box::new(error),
            };
            if let Some(cached) = fetched(source, request).map_err(failed)? {
                return Ok(cached);
            }
            if !request.offline {
                return fetch(source, request, progress).map_err(failed);
            }
        }
        let fetch = match hub {
            Some(_) => "; `bridle-bench fetch` brings a copy into the hub's cache",
            None => "",
        };
        Err(within.map_or(DataError::NoFolderGiven { task, original, fetch }, missing))
    }
}

/// A value in which `~` is the home folder, as in those of the hub; one that is no text stays as it is.
fn home_expanded(value: OsString) -> OsString {
    match value.into_string() {
        Ok(text) => expanded(&text, |name| std::env::var(name).ok()).into(),
        Err(value) => value,
    }
}

#[cfg(test)]
mod tests;
