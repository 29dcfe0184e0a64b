//! What huggingface_hub put into the cache is found, verified and left alone.
#![cfg(unix)]

use sha2::Digest;

use super::*;

const COMMIT: &str = "cccccccccccccccccccccccccccccccccccccccc";

/// The cache's folder of the repository, laid out as huggingface_hub does, with these files.
fn laid_out(cache: &Path, files: &[&str]) -> PathBuf {
    let root = cache.join("datasets--someone--sounds");
    for name in files {
        let content = name.as_bytes();
        let hash: String = sha2::Sha256::digest(content)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let link = root.join("snapshots").join(COMMIT).join(name);
        std::fs::create_dir_all(root.join("blobs")).unwrap();
        std::fs::create_dir_all(link.parent().unwrap()).unwrap();
        std::fs::write(root.join("blobs").join(&hash), content).unwrap();
        std::os::unix::fs::symlink(format!("../../../blobs/{hash}"), link).unwrap();
    }
    std::fs::create_dir_all(root.join("refs")).unwrap();
    std::fs::write(root.join("refs/main"), COMMIT).unwrap();
    root
}

/// A request that would find nobody to ask.
fn alone(cache: &Path) -> FetchRequest {
    FetchRequest {
        endpoints: vec!["http://127.0.0.1:9".to_owned()],
        ..request(&Hub::new(Vec::new()), cache)
    }
}

#[test]
fn a_whole_snapshot_is_used_with_and_without_the_network_and_nothing_is_written() {
    let cache = tempfile::tempdir().unwrap();
    let root = laid_out(
        cache.path(),
        &["data/x-00000-of-00002.bin", "data/x-00001-of-00002.bin", "README.md"],
    );
    let folder = root.join("snapshots").join(COMMIT);
    for offline in [false, true] {
        let request = FetchRequest {
            offline,
            ..alone(cache.path())
        };
        assert_eq!(fetched(&SOURCE, &request).unwrap(), Some(folder.clone()));
        assert_eq!(fetch(&SOURCE, &request, &()).unwrap(), folder);
        let plan = plan_fetch(&SOURCE, &request).unwrap();
        assert_eq!(
            (plan.files.len(), plan.missing_bytes(), plan.revision.as_str()),
            (2, 0, COMMIT)
        );
        let by_commit = FetchRequest {
            revision: Some(COMMIT.to_owned()),
            ..request
        };
        assert_eq!(fetched(&SOURCE, &by_commit).unwrap(), Some(folder.clone()));
    }
    assert!(!root.join(STATE).exists());
}

#[test]
fn a_snapshot_that_lacks_something_or_was_altered_is_not_used() {
    let offline = |cache: &Path| FetchRequest {
        offline: true,
        ..alone(cache)
    };
    // a shard, a blob, any file of the pattern
    let cache = tempfile::tempdir().unwrap();
    laid_out(cache.path(), &["data/x-00001-of-00002.bin"]);
    assert_eq!(fetched(&SOURCE, &offline(cache.path())).unwrap(), None);
    let cache = tempfile::tempdir().unwrap();
    let root = laid_out(cache.path(), &["data/x.bin"]);
    std::fs::remove_dir_all(root.join("blobs")).unwrap();
    assert_eq!(fetched(&SOURCE, &offline(cache.path())).unwrap(), None);
    let cache = tempfile::tempdir().unwrap();
    laid_out(cache.path(), &["README.md"]);
    assert_eq!(fetched(&SOURCE, &offline(cache.path())).unwrap(), None);
    // a commit that leads out of the cache
    let cache = tempfile::tempdir().unwrap();
    let root = laid_out(cache.path(), &["data/x.bin"]);
    std::fs::write(root.join("refs/main"), "../snapshots").unwrap();
    assert_eq!(fetched(&SOURCE, &offline(cache.path())).unwrap(), None);
    // other content than the blob's name says
    let cache = tempfile::tempdir().unwrap();
    let root = laid_out(cache.path(), &["data/x.bin"]);
    let blob = std::fs::read_dir(root.join("blobs"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    std::fs::write(blob, "data/y.bin").unwrap();
    let message = fetch(&SOURCE, &offline(cache.path()), &()).unwrap_err().to_string();
    assert!(
        message.contains("data/x.bin is missing or not what was locked"),
        "{message}"
    );
    let folder = root.join("snapshots").join(COMMIT);
    let hashed = crate::files::hashes::KnownHashes::none(&folder);
    let hashed = hashed.hash(vec!["data/x.bin".to_owned()], &crate::cache::pool(1).unwrap(), &());
    let message = hashed.map(|_| ()).unwrap_err().to_string();
    assert!(message.contains("that the hub's cache names"), "{message}");
}
