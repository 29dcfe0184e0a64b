//! Folders and files as they lie on a disk: pieces and their index, links, settings, files that change.
#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

mod make;

use bridle_containers::{Checkpoint, ContainerError};
use make::{NUMBERS, file, training};
use sha2::{Digest, Sha256};
use std::path::Path;

fn safetensors(tensors: &[(&str, f32)]) -> Vec<u8> {
    let told = tensors.iter().enumerate().map(|(index, (name, _))| {
        let (start, end) = (4 * index, 4 * index + 4);
        format!("\"{name}\":{{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[{start},{end}]}}")
    });
    let header = format!("{{{}}}", told.collect::<Vec<_>>().join(","));
    let numbers = tensors.iter().flat_map(|(_, number)| number.to_le_bytes());
    [
        &(header.len() as u64).to_le_bytes()[..],
        header.as_bytes(),
        &numbers.collect::<Vec<_>>(),
    ]
    .concat()
}

fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    folder
}

fn message(path: &Path) -> String {
    Checkpoint::open(path).unwrap_err().to_string()
}

#[test]
fn settings_lie_beside_the_weights_whether_the_folder_or_the_file_is_named() {
    let weights = safetensors(&[("a", 1.5)]);
    let files: [(&str, &[u8]); 3] = [
        ("config.json", b"{\"depth\": 2}"),
        ("model.safetensors", &weights),
        ("preprocessor_config.json", b"{\"size\": 4}"),
    ];
    let folder = folder(&files);
    let whole = Checkpoint::open(folder.path()).unwrap();
    let file = Checkpoint::open(&folder.path().join("model.safetensors")).unwrap();
    assert_eq!(file.name, "model.safetensors");
    assert_eq!(Some(whole.name.as_str()), folder.path().file_name().unwrap().to_str());
    let all: Vec<u8> = files.iter().flat_map(|(_, bytes)| bytes.to_vec()).collect();
    let hash: String = Sha256::digest(&all).iter().map(|byte| format!("{byte:02x}")).collect();
    for checkpoint in [&whole, &file] {
        assert_eq!(checkpoint.config["depth"], 2);
        assert_eq!(checkpoint.preprocessor["size"], 4);
        assert_eq!(checkpoint.sha256, hash);
        assert_eq!(checkpoint.read("a").unwrap().unwrap(), [1.5]);
    }
    std::fs::write(folder.path().join("config.json"), "[1]").unwrap();
    assert!(message(folder.path()).contains("JSON"));
    assert!(matches!(
        Checkpoint::open(&folder.path().join("no")),
        Err(ContainerError::Read { .. })
    ));
}

#[test]
fn a_file_that_changes_after_it_was_opened_is_an_error() {
    let bytes = file(&training(b"N"), &NUMBERS);
    let folder = folder(&[("model.pth", &bytes)]);
    let path = folder.path().join("model.pth");
    let checkpoint = Checkpoint::open(&path).unwrap();
    assert_eq!(checkpoint.read("w").unwrap().unwrap(), NUMBERS);
    // one number, in place
    let at = bytes.windows(4).position(|bytes| bytes == 2_f32.to_le_bytes()).unwrap();
    let mut other = bytes.clone();
    other[at..at + 4].copy_from_slice(&9_f32.to_le_bytes());
    std::fs::write(&path, &other).unwrap();
    let checkpoint = Checkpoint::open(&path).unwrap();
    std::fs::write(&path, &bytes).unwrap();
    assert!(
        checkpoint
            .read("w")
            .unwrap()
            .unwrap_err()
            .to_string()
            .contains("changed")
    );
    std::fs::write(&path, &bytes[..100]).unwrap();
    assert!(
        checkpoint
            .read("w")
            .unwrap()
            .unwrap_err()
            .to_string()
            .contains("changed")
    );
}

#[test]
fn pieces_must_hold_what_their_index_says() {
    let (one, two) = (safetensors(&[("a", 1.0)]), safetensors(&[("b", 2.0)]));
    let with = |index: &str| {
        let index = format!("{{\"weight_map\": {{{index}}}}}");
        let files: [(&str, &[u8]); 3] = [
            ("1.safetensors", &one),
            ("2.safetensors", &two),
            ("model.safetensors.index.json", index.as_bytes()),
        ];
        folder(&files)
    };
    let good = with(r#""a": "1.safetensors", "b": "2.safetensors""#);
    let checkpoint = Checkpoint::open(good.path()).unwrap();
    assert_eq!(checkpoint.read("a").unwrap().unwrap(), [1.0]);
    assert_eq!(checkpoint.read("b").unwrap().unwrap(), [2.0]);
    for (index, reason) in [
        (r#""a": "1.safetensors", "b": "3.safetensors""#, "3.safetensors"),
        (
            r#""a": "1.safetensors", "b": "1.safetensors""#,
            "`b` is not in `1.safetensors`",
        ),
        (r#""a": "1.safetensors""#, ""),
        (r#""a": "1.safetensors", "a": "2.safetensors""#, "`a` is there twice"),
        (
            r#""a": "2.safetensors", "b": "1.safetensors""#,
            "does not say that tensor `a`",
        ),
        (
            r#""a": "1.safetensors", "b": "2.safetensors", "c": "2.safetensors""#,
            "`c` is not in",
        ),
        (r#""a": "../1.safetensors""#, "no file of its folder"),
        (r#""a": "/etc/passwd""#, "no file of its folder"),
        (r#""a": "..""#, "no file of its folder"),
        (r#""a": """#, "no file of its folder"),
        (r#""a": 1"#, "cannot be read"),
        ("", "names no files"),
    ] {
        let folder = with(index);
        if index == r#""a": "1.safetensors""# {
            // a file that no tensor is said to lie in is not read
            assert_eq!(Checkpoint::open(folder.path()).unwrap().tensors.len(), 1);
            continue;
        }
        let message = message(folder.path());
        assert!(message.contains(reason), "{index}: {message}");
    }
}

#[test]
fn a_folder_without_weights_says_what_it_should_hold() {
    let folder = folder(&[("config.json", b"{}"), ("weights.pth", b"")]);
    assert!(message(folder.path()).contains("`model.safetensors`"));
}

#[cfg(unix)]
#[test]
fn links_are_followed_to_files_and_nothing_else() {
    use std::os::unix::fs::symlink;
    // caches of a hub keep files elsewhere, and folders of links
    let blobs = folder(&[("blob", &safetensors(&[("a", 3.0)]))]);
    let snapshot = folder(&[]);
    symlink(blobs.path().join("blob"), snapshot.path().join("model.safetensors")).unwrap();
    let checkpoint = Checkpoint::open(snapshot.path()).unwrap();
    assert_eq!(checkpoint.read("a").unwrap().unwrap(), [3.0]);

    for target in [Path::new("model.safetensors"), blobs.path(), Path::new("/dev/zero")] {
        let snapshot = folder(&[]);
        symlink(target, snapshot.path().join("model.safetensors")).unwrap();
        assert!(Checkpoint::open(snapshot.path()).is_err(), "{}", target.display());
        assert!(
            Checkpoint::open(&snapshot.path().join("model.safetensors")).is_err(),
            "{}",
            target.display()
        );
    }
}
