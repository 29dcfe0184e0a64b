//! Data sets and models from the hub: listed at a revision, fetched, verified, and renamed when whole.
//!
//! The first fetch writes what the hub says of the revision into a lock file, and later ones keep
//! to it. An interrupted fetch leaves parts, from which the next one resumes. In the hub's own
//! cache, other programs find the files too, and what they put there is used as it is.

mod client;
mod error;
mod listing;
mod lock;
mod model;
mod proxy;
mod request;
mod snapshot;
mod transfer;
mod verify;

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use self::client::shown;
pub use self::error::FetchError;
use self::listing::{HubFile, HubListing, is_hex};
use self::lock::LockFile;
pub use self::model::{HubModel, HubNameError, LocalModel};
pub use self::proxy::Proxies;
pub(crate) use self::request::expanded;
pub use self::request::{FetchRequest, HubKind, HubSource};
use self::snapshot::Snapshot;
pub(crate) use self::snapshot::blob_hash;
use self::transfer::{Transfer, pause};
use self::verify::right_at;
use crate::Progress;

/// Attempts to list the files before a fetch gives up.
const TRIES: u32 = 6;
/// More bytes than these are fetched only if whoever watches agrees.
const AGREED: u64 = 1_000_000_000;
const STATE: &str = ".bridle";
const NEVER_FETCHED: &str = "it was never fetched to there";
const MAIN: &str = "main";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedFile {
    /// Path in the repository.
    pub name: String,
    pub size: u64,
    /// Whether a file of this name and size is there; only a fetch verifies it.
    pub present: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchPlan {
    pub repository: String,
    /// The hub or mirror that answered.
    pub endpoint: String,
    pub revision: String,
    pub licence: String,
    /// Whether a token is needed, whose owner accepted the terms.
    pub gated: bool,
    pub to: PathBuf,
    pub files: Vec<PlannedFile>,
}

impl FetchPlan {
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }

    pub fn missing_bytes(&self) -> u64 {
        let missing = self.files.iter().filter(|file| !file.present);
        missing.map(|file| file.size).sum()
    }
}

struct HubFolders {
    /// The repository's folder in the cache; `None` if the user gave a folder.
    repository: Option<PathBuf>,
    to: Option<PathBuf>,
    /// Lock file, lock and parts.
    state: PathBuf,
}

impl HubFolders {
    fn new(source: &HubSource<'_>, request: &FetchRequest) -> Self {
        let name = source.repo(MAIN.to_owned()).folder_name();
        let repository = request.to.is_none().then(|| request.cache.join(name));
        let root = repository.clone().or_else(|| request.to.clone()).unwrap_or_default();
        Self {
            repository,
            to: request.to.clone(),
            state: root.join(STATE).join(lock_of(source, request)),
        }
    }

    fn lock_file(&self) -> PathBuf {
        self.state.join("lock.toml")
    }

    /// A whole snapshot that another program put into the cache, where this one never fetched.
    fn of_others(&self, source: &HubSource<'_>, request: &FetchRequest, locked: Option<&LockFile>) -> Option<Snapshot> {
        let repository = self.repository.as_ref().filter(|_| locked.is_none())?;
        // of a model, another revision may be on its way
        if source.kind == HubKind::Model && repository.join(STATE).exists() {
            return None;
        }
        Snapshot::find(source, repository, wanted(source, request))
    }

    fn files(&self, revision: &str) -> PathBuf {
        match (&self.to, &self.repository) {
            (None, Some(repository)) => repository.join("snapshots").join(revision),
            (to, _) => to.clone().unwrap_or_default(),
        }
    }
}

/// The folder of the lock file below [`STATE`]: of a data set one, of a model one for each revision and
/// file that was asked for.
fn lock_of(source: &HubSource<'_>, request: &FetchRequest) -> String {
    let asked = match source.kind {
        HubKind::DataSet => return String::new(),
        HubKind::Model => format!("{}\n{}", wanted(source, request), source.files.join("\n")),
    };
    crate::files::sha256::sha256(asked.as_bytes())[..12].to_owned()
}

/// Reports what [`fetch`] would do; changes nothing.
///
/// # Errors
/// As [`fetch`], except errors of the files themselves.
pub fn plan_fetch(source: &HubSource<'_>, request: &FetchRequest) -> Result<FetchPlan, FetchError> {
    let place = HubFolders::new(source, request);
    let locked = LockFile::read(&place.lock_file())?;
    let of_others = place.of_others(source, request, locked.as_ref());
    let (revision, endpoint, files) = match (&locked, &of_others) {
        (_, Some(snapshot)) => (
            snapshot.revision.clone(),
            "the hub's cache".to_owned(),
            snapshot.files.clone(),
        ),
        (Some(locked), None) if request.offline => sizes(locked.listing(), "the lock file".to_owned()),
        (None, None) if request.offline => return Err(offline(source, &place.state, NEVER_FETCHED)),
        _ => {
            let (listing, endpoint) = listed(source, request, &place, locked.as_ref())?;
            sizes(listing, endpoint)
        }
    };
    let to = place.files(&revision);
    let file = |(name, size): (String, u64)| PlannedFile {
        present: std::fs::metadata(to.join(&name)).is_ok_and(|facts| facts.len() == size),
        name,
        size,
    };
    let files = files.into_iter().map(file).collect();
    Ok(FetchPlan {
        repository: source.repository.to_owned(),
        endpoint,
        revision,
        licence: source.licence.to_owned(),
        gated: source.gated,
        to,
        files,
    })
}

/// A listing's revision, who made it, and its files with their sizes.
fn sizes(listing: HubListing, endpoint: String) -> (String, String, Vec<(String, u64)>) {
    let files = listing.files.into_iter().map(|file| (file.name, file.size));
    (listing.revision, endpoint, files.collect())
}

/// Fetches every file of `source` and returns the folder. Files that exist are verified and kept.
///
/// # Errors
/// If the hub cannot be reached, refuses, or lacks what it lists; if the revision moved since the
/// first fetch; if the disk cannot be used. Fetched parts stay, and the next fetch resumes from them.
pub fn fetch(source: &HubSource<'_>, request: &FetchRequest, progress: &dyn Progress) -> Result<PathBuf, FetchError> {
    let place = HubFolders::new(source, request);
    let lock_file = place.lock_file();
    let locked = LockFile::read(&lock_file)?;
    if let Some(snapshot) = place.of_others(source, request, locked.as_ref()) {
        match (wrong_file(&snapshot, progress), request.offline) {
            (None, _) => return Ok(snapshot.folder),
            (Some(file), true) => return Err(offline(source, &snapshot.folder, &not_as_locked(&file))),
            // the hub has it right
            (Some(_), false) => {}
        }
    }
    if request.offline {
        let locked = locked.ok_or_else(|| offline(source, &place.state, NEVER_FETCHED))?;
        return verified(source, &place, &locked.listing(), progress);
    }
    std::fs::create_dir_all(&place.state).map_err(FetchError::disk(&place.state))?;
    let _alone = lock::exclusive(&place.state, progress)?;
    let locked = LockFile::read(&lock_file)?;
    let (mut listing, _) = listed(source, request, &place, locked.as_ref())?;
    agreed(source, &place, &listing, progress)?;
    if locked.is_none() {
        LockFile::new(source.repository, &listing, false).write(&lock_file)?;
    }
    let to = place.files(&listing.revision);
    let hashes = bring_all(source, request, &place, &listing, progress)?;
    for (file, hash) in listing.files.iter_mut().zip(hashes) {
        file.sha256 = Some(hash);
    }
    LockFile::new(source.repository, &listing, true).write(&lock_file)?;
    if let Some(repository) = place.repository.filter(|_| wanted(source, request) == MAIN) {
        point(&repository.join("refs"), &listing.revision)?;
    }
    // empty, or parts of files that arrived some other way; leftovers do no harm
    let _ = std::fs::remove_dir_all(place.state.join("parts"));
    Ok(to)
}

/// Fails if much is left to fetch and whoever watches does not agree.
fn agreed(
    source: &HubSource<'_>,
    place: &HubFolders,
    listing: &HubListing,
    progress: &dyn Progress,
) -> Result<(), FetchError> {
    let to = place.files(&listing.revision);
    let length = |path: &Path| std::fs::metadata(path).map_or(0, |facts| facts.len());
    let left = |file: &HubFile| {
        let there = length(&to.join(&file.name)).max(length(&part(place, file)));
        file.size.saturating_sub(there)
    };
    let bytes = listing.files.iter().map(left).sum();
    if bytes <= AGREED || progress.may_fetch(source.repository, bytes) {
        return Ok(());
    }
    Err(FetchError::NotAgreed {
        repository: source.repository.to_owned(),
        bytes,
    })
}

/// Records for the hub's own programs which snapshot is that of the main branch.
fn point(refs: &Path, revision: &str) -> Result<(), FetchError> {
    let (part, main) = (refs.join(".main.part"), refs.join(MAIN));
    let write = || {
        std::fs::create_dir_all(refs)?;
        std::fs::write(&part, revision)?;
        std::fs::rename(&part, &main)
    };
    write().map_err(FetchError::disk(&main))
}

/// The revision to request: a commit or a branch.
fn wanted<'a>(source: &'a HubSource<'_>, request: &'a FetchRequest) -> &'a str {
    request.revision.as_deref().or(source.revision).unwrap_or(MAIN)
}

/// The folder of a complete data set: every file exists with the size of the lock file, and its hash
/// was verified when it was fetched; or another program put it into the hub's cache, and its hashes
/// are verified when it is opened.
///
/// # Errors
/// If the lock file cannot be used.
pub fn fetched(source: &HubSource<'_>, request: &FetchRequest) -> Result<Option<PathBuf>, FetchError> {
    Ok(located(source, request)?.map(|(folder, ..)| folder))
}

/// The same with the commit, and the names of the files.
fn located(
    source: &HubSource<'_>,
    request: &FetchRequest,
) -> Result<Option<(PathBuf, String, Vec<String>)>, FetchError> {
    let place = HubFolders::new(source, request);
    let locked = LockFile::read(&place.lock_file())?;
    if let Some(Snapshot {
        folder,
        revision,
        files,
    }) = place.of_others(source, request, locked.as_ref())
    {
        return Ok(Some((
            folder,
            revision,
            files.into_iter().map(|(name, _)| name).collect(),
        )));
    }
    let Some(locked) = locked.filter(|locked| locked.complete) else {
        return Ok(None);
    };
    let to = place.files(&locked.revision);
    let there = |file: &lock::LockedFile| {
        std::fs::metadata(to.join(&file.name)).is_ok_and(|facts| facts.is_file() && facts.len() == file.size)
    };
    let is_there = locked.files.iter().all(there);
    let names = locked.files.into_iter().map(|file| file.name);
    Ok(is_there.then(|| (to, locked.revision, names.collect())))
}

/// The listing from the first hub or mirror that answers, with the lock file's hashes if there is
/// one.
fn listed(
    source: &HubSource<'_>,
    request: &FetchRequest,
    place: &HubFolders,
    locked: Option<&LockFile>,
) -> Result<(HubListing, String), FetchError> {
    let mut tries = 0;
    let (listing, endpoint) = loop {
        let endpoint = request.endpoints.get(tries as usize % request.endpoints.len().max(1));
        let endpoint = endpoint.ok_or_else(|| offline(source, &place.state, "no hub is named"))?;
        let error = match listing::list(source, wanted(source, request), endpoint, request) {
            Ok(listing) => break (listing, shown(endpoint)),
            Err(error) => error,
        };
        tries += 1;
        if !error.may_pass() || tries >= TRIES {
            return Err(error);
        }
        pause(&error, tries, request)?;
    };
    let Some(locked) = locked else {
        return Ok((listing, endpoint));
    };
    let (repository, lock) = (source.repository.to_owned(), place.lock_file());
    // asking for the locked commit by name works wherever `main` is now
    if listing.revision != locked.revision {
        let (locked, now) = (locked.revision.clone(), listing.revision);
        return Err(FetchError::Moved {
            repository,
            locked,
            now,
            lock,
        });
    }
    match locked.difference(&listing) {
        Some(file) => Err(FetchError::Differs { repository, file, lock }),
        None => Ok((locked.listing(), endpoint)),
    }
}

/// Fetches or verifies every file, several at a time, and returns their hashes. The first error
/// stops all.
fn bring_all(
    source: &HubSource<'_>,
    request: &FetchRequest,
    place: &HubFolders,
    listing: &HubListing,
    progress: &dyn Progress,
) -> Result<Vec<String>, FetchError> {
    let to = place.files(&listing.revision);
    let transfer = Transfer::new(source, &listing.revision, request);
    let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let done: Mutex<Vec<Result<(usize, String), FetchError>>> = Mutex::default();
    let bytes = listing.files.iter().map(|file| file.size).sum();
    let work = || {
        while !stop.load(Ordering::Relaxed) {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(file) = listing.files.get(index) else { break };
            let path = to.join(&file.name);
            let outcome = match right_at(&path, file) {
                Some(hash) => {
                    progress.advance(file.size);
                    Ok(hash)
                }
                None => transfer.bring(file, &path, &part(place, file), progress),
            };
            stop.fetch_or(outcome.is_err(), Ordering::Relaxed);
            let outcome = outcome.map(|hash| (index, hash));
            done.lock().expect("no thread panics while it holds this").push(outcome);
        }
    };
    progress.start(&format!("fetching {}", source.repository), bytes);
    std::thread::scope(|scope| {
        (0..request.connections.max(1)).for_each(|_| {
            scope.spawn(work);
        });
    });
    progress.finish();
    let done = done.into_inner().expect("no thread panics while it holds this");
    let mut done = done.into_iter().collect::<Result<Vec<_>, _>>()?;
    done.sort();
    Ok(done.into_iter().map(|(_, hash)| hash).collect())
}

/// Where a file is written until it is complete: named after its content, so that it never resumes
/// another file.
fn part(place: &HubFolders, file: &HubFile) -> PathBuf {
    let name = format!("{}-{}", file.oid, crate::files::sha256::sha256(file.name.as_bytes()));
    let oid_is_safe = is_hex(&file.oid, 40) || is_hex(&file.oid, 64);
    let name = if oid_is_safe {
        name
    } else {
        crate::files::sha256::sha256(name.as_bytes())
    };
    place.state.join("parts").join(name)
}

/// Verifies without the network.
fn verified(
    source: &HubSource<'_>,
    place: &HubFolders,
    listing: &HubListing,
    progress: &dyn Progress,
) -> Result<PathBuf, FetchError> {
    let to = place.files(&listing.revision);
    progress.start("verifying files", listing.files.iter().map(|file| file.size).sum());
    let wrong = listing.files.iter().find(|file| {
        progress.advance(file.size);
        right_at(&to.join(&file.name), file).is_none()
    });
    progress.finish();
    match wrong {
        Some(file) => Err(offline(source, &to, &not_as_locked(&file.name))),
        None => Ok(to),
    }
}

fn wrong_file(snapshot: &Snapshot, progress: &dyn Progress) -> Option<String> {
    progress.start("verifying files", snapshot.files.iter().map(|(_, size)| size).sum());
    let wrong = snapshot.first_wrong(|bytes| progress.advance(bytes));
    progress.finish();
    wrong
}

fn not_as_locked(file: &str) -> String {
    format!("{file} is missing or not what was locked")
}

fn offline(source: &HubSource<'_>, path: &Path, reason: &str) -> FetchError {
    FetchError::Offline {
        repository: source.repository.to_owned(),
        path: path.to_owned(),
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
pub(crate) mod tests;
#[cfg(any(test, fuzzing))]
pub(crate) mod untrusted;
