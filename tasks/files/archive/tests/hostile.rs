//! Archives made to mislead: two members of one name, members that overlap, names and sizes without
//! end.

use super::*;

/// The content with every `from` replaced by `to`, of the same length.
fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let (mut bytes, mut at) = (bytes.to_vec(), 0);
    while let Some(found) = bytes[at..].windows(from.len()).position(|part| part == from) {
        at += found;
        bytes[at..at + to.len()].copy_from_slice(to);
    }
    bytes
}

fn message(path: &Path) -> String {
    whole(path)
        .map(|files| format!("{} files", files.len()))
        .unwrap_err()
        .to_string()
}

#[test]
fn a_name_that_occurs_twice_is_refused_in_every_form() {
    let folder = tempfile::tempdir().unwrap();
    let files = vec![("set/a.bin".to_owned(), vec![1]), ("set/b.bin".to_owned(), vec![2])];
    for (ending, bytes) in [
        ("zip", zip_of(&files, CompressionMethod::Stored)),
        ("zip", zip_of(&files, CompressionMethod::Deflated)),
    ] {
        let path = written(
            &folder,
            &format!("twice.{ending}"),
            &replaced(&bytes, b"set/b", b"set/a"),
        );
        let told = message(&path);
        assert!(told.contains("twice"), "{told}");
    }
    let twice = vec![files[0].clone(), files[0].clone()];
    let told = message(&written(&folder, "twice.tar", &tar_of(&twice)));
    assert!(told.contains("set/a.bin: its name occurs twice"), "{told}");
}

#[test]
fn members_of_a_zip_that_overlap_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let files: Files = (0..3).map(|n| (format!("set/{n}.bin"), vec![7; 1_000])).collect();
    let mut bytes = zip_of(&files, CompressionMethod::Stored);
    let path = written(&folder, "whole.zip", &bytes);
    assert_eq!(whole(&path).unwrap().len(), 3);
    // each entry of the directory says where its member begins: all at the first
    let entries: Vec<usize> = (0..bytes.len() - 4)
        .filter(|&at| bytes[at..].starts_with(b"PK\x01\x02"))
        .collect();
    assert_eq!(entries.len(), 3);
    for at in entries {
        bytes[at + 42..at + 46].fill(0);
    }
    let told = message(&written(&folder, "overlap.zip", &bytes));
    assert!(told.contains("overlap"), "{told}");
}

/// A tar whose one file has a name of so many letters, in an extension before it.
fn with_long_name(letters: usize) -> Vec<u8> {
    let mut builder = ::tar::Builder::new(Vec::new());
    let mut header = ::tar::Header::new_gnu();
    header.set_size(1);
    header.set_mode(0o644);
    builder
        .append_data(&mut header, "a".repeat(letters), &[1_u8][..])
        .unwrap();
    builder.into_inner().unwrap()
}

#[test]
fn long_names_and_extensions_of_a_tar_have_a_limit() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(
        whole(&written(&folder, "long.tar", &with_long_name(300)))
            .unwrap()
            .len(),
        1
    );
    for letters in [5_000, 3_000_000] {
        let begun = std::time::Instant::now();
        let told = message(&written(&folder, "longer.tar", &with_long_name(letters)));
        assert!(told.contains("too long") && told.len() < 1_000, "{letters}: {told}");
        assert!(begun.elapsed().as_secs() < 10);
    }
    let mut builder = ::tar::Builder::new(Vec::new());
    let value = vec![b'x'; 2_000_000];
    builder.append_pax_extensions([("comment", &value[..])]).unwrap();
    let mut header = ::tar::Header::new_ustar();
    header.set_path("a.bin").unwrap();
    header.set_size(0);
    header.set_cksum();
    builder.append(&header, &[][..]).unwrap();
    let told = message(&written(&folder, "pax.tar", &builder.into_inner().unwrap()));
    assert!(told.contains("too long"), "{told}");
}

#[test]
fn a_member_larger_than_any_sample_of_its_kind_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    for (name, size) in [("a.jpg", 600 << 20), ("a.wav", 3_u64 << 30)] {
        let mut header = ::tar::Header::new_gnu();
        header.set_path(name).unwrap();
        header.set_size(size);
        header.set_mode(0o644);
        header.set_cksum();
        let path = written(&folder, "large.tar", header.as_bytes());
        // holes on the disk
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        file.set_len(512 + size + 1_024).unwrap();
        let archive = Archive::open(&path).unwrap();
        let told = archive.read(0).map(|bytes| bytes.len()).unwrap_err().to_string();
        assert!(told.contains("more than the"), "{told}");
    }
}
