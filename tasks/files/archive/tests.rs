//! The same files in every form read the same; damage of any kind is an error that names the
//! archive.
#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

mod fuzz;
mod hostile;

use ::zip::CompressionMethod;

use crate::fixtures::archives::{self, Column, Files, tar_of, zip_of};

use std::path::PathBuf;

use super::*;

/// Files of several sizes, one of them empty, one larger than any buffer, in the order of their
/// names.
fn files() -> Files {
    let content = |n: usize, length: usize| (0..length).map(|i| (i * (n + 7) / 3) as u8).collect();
    let lengths = [10, 0, 513, 70_000, 1_024, 3];
    let named = |(n, &length): (usize, &usize)| (format!("set/{n}.bin"), content(n, length));
    lengths.iter().enumerate().map(named).collect()
}

/// As hubs write data sets: `audio: {bytes, path}`, `label`, two rows in each row group, snappy.
fn parquet_of(files: &Files) -> Vec<u8> {
    let labels = (0..files.len() as i64).collect();
    archives::parquet_of(
        &[Column::Files("audio", files.clone()), Column::Numbers("label", labels)],
        2,
    )
}

/// Every packed form: the ending, and the bytes.
fn packed(files: &Files) -> [(&'static str, Vec<u8>); 4] {
    [
        ("zip", zip_of(files, CompressionMethod::Stored)),
        ("zip", zip_of(files, CompressionMethod::Deflated)),
        ("tar", tar_of(files)),
        ("parquet", parquet_of(files)),
    ]
}

fn written(folder: &tempfile::TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, bytes).unwrap();
    path
}

fn read_all(archive: &Archive) -> Result<Files, ArchiveError> {
    let file = |index| Ok((archive.name(index).to_owned(), archive.read(index)?));
    (0..archive.len()).map(file).collect()
}

/// Opens and reads everything.
fn whole(path: &Path) -> Result<Files, ArchiveError> {
    read_all(&Archive::open(path)?)
}

#[test]
fn every_form_gives_the_same_files_to_any_number_of_threads() {
    let files = files();
    let folder = tempfile::tempdir().unwrap();
    for (n, (ending, bytes)) in packed(&files).iter().enumerate() {
        let path = written(&folder, &format!("{n}.{ending}"), bytes);
        let archive = Archive::open(&path).unwrap();
        assert_eq!(archive.len(), files.len());
        std::thread::scope(|scope| {
            (0..4).for_each(|_| {
                scope.spawn(|| (0..5).for_each(|_| assert_eq!(read_all(&archive).unwrap(), files)));
            });
        });
        for (index, (name, content)) in files.iter().enumerate() {
            let size = content.len() as u64;
            assert!(
                archive.size(index).is_none_or(|known| known == size),
                "{}",
                path.display()
            );
            assert_eq!(archive.find(name), Some(index));
        }
        assert_eq!(archive.find("set/9.bin"), None);
    }
}

#[test]
fn a_packed_file_cut_anywhere_is_an_error_that_names_it() {
    let files = files();
    let folder = tempfile::tempdir().unwrap();
    for (ending, bytes) in packed(&files) {
        // the last block of zeros of a tar says nothing that the one before does not
        let last = bytes.len() - if ending == "tar" { 513 } else { 1 };
        for cut in (0..40).map(|n| last - n * n * last / (40 * 40)) {
            let path = written(&folder, &format!("cut.{ending}"), &bytes[..cut]);
            let error = whole(&path).map(|_| format!("{ending} cut at {cut} of {} was read", bytes.len()));
            let message = error.unwrap_err().to_string();
            assert!(message.starts_with(&path.display().to_string()), "{message}");
        }
    }
}

#[test]
fn names_that_lead_out_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["../up", "a/../../up", "/root", "a//b", "a\\b", "c:d", "a/./b"] {
        let files = vec![(name.to_owned(), vec![1])];
        for (ending, bytes) in packed(&files).into_iter().take(3) {
            let path = written(&folder, &format!("out.{ending}"), &bytes);
            let message = whole(&path).map(|files| format!("{files:?}")).unwrap_err().to_string();
            assert!(message.contains("its name"), "{message}");
        }
        // a parquet's names are only labels beside the files, and rows have numbers
        let path = written(&folder, "out.parquet", &parquet_of(&files));
        assert_eq!(whole(&path).unwrap(), [("00000000".to_owned(), vec![1])]);
    }
}

#[test]
fn a_member_that_cannot_be_read_is_named_and_stops_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let mut builder = ::tar::Builder::new(tar_of(&files()));
    builder.get_mut().truncate(tar_of(&files()).len() - 1_024);
    for (name, kind) in [
        (&b"link"[..], ::tar::EntryType::Symlink),
        (b"pipe", ::tar::EntryType::Fifo),
        (b"holes", ::tar::EntryType::GNUSparse),
        (b"\xe9.bin", ::tar::EntryType::Regular),
    ] {
        let mut header = ::tar::Header::new_gnu();
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name);
        header.as_gnu_mut().unwrap().realsize = *b"00000000000\0";
        header.set_entry_type(kind);
        header.set_size(0);
        header.set_cksum();
        builder.append(&header, &[][..]).unwrap();
    }
    let archive = Archive::open(&written(&folder, "odd.tar", &builder.into_inner().unwrap())).unwrap();
    for (name, content) in files() {
        assert_eq!(archive.read(archive.find(&name).unwrap()).unwrap(), content);
    }
    for (name, reason) in [
        ("link", "it is a link, which is not followed in an archive"),
        ("pipe", "it is not a plain file"),
        ("holes", "it is a file with holes, which is not read from a tar"),
        ("\u{fffd}.bin", "its name is not UTF-8"),
    ] {
        let message = archive.read(archive.find(name).unwrap()).unwrap_err().to_string();
        assert!(message.ends_with(&format!("odd.tar, {name}: {reason}")), "{message}");
    }
    let zip = std::io::Cursor::new(zip_of(&files(), CompressionMethod::Stored));
    let mut writer = ::zip::ZipWriter::new_append(zip).unwrap();
    writer
        .add_symlink("link", "/etc/hostname", ::zip::write::SimpleFileOptions::default())
        .unwrap();
    let path = written(&folder, "odd.zip", &writer.finish().unwrap().into_inner());
    let archive = Archive::open(&path).unwrap();
    assert_eq!(archive.read(archive.find("set/0.bin").unwrap()).unwrap(), files()[0].1);
    let message = archive.read(archive.find("link").unwrap()).unwrap_err().to_string();
    assert!(
        message.ends_with("odd.zip, link: it is a link, which is not followed in an archive"),
        "{message}"
    );
}

#[test]
fn a_packed_file_in_the_place_of_an_archive_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let told = |name: &str, bytes: &[u8]| {
        let message = whole(&written(&folder, name, bytes)).unwrap_err().to_string();
        message.rsplit_once(": ").unwrap().1.to_owned()
    };
    for name in ["a.tar", "a.zip", "a.parquet", "a.tgz", "a.tar.gz"] {
        assert_eq!(
            told(name, b"\x1f\x8b\x08\0rest"),
            "it is packed by gzip; `gunzip` unpacks it"
        );
    }
    assert_eq!(told("b.zip", &tar_of(&files())), "it is a tar archive");
    assert_eq!(
        told("b.tar", &zip_of(&files(), CompressionMethod::Stored)),
        "it is a zip archive"
    );
    assert_eq!(
        told("c.zip", b"version https://git-lfs.github.com/spec/v1\n"),
        "it is a pointer of Git LFS; `git lfs pull` fetches the file"
    );
}

#[test]
fn what_is_no_archive_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let twice = vec![("a".to_owned(), vec![1]), ("a".to_owned(), vec![2])];
    let path = written(&folder, "twice.tar", &tar_of(&twice));
    let message = whole(&path).unwrap_err().to_string();
    assert!(message.ends_with("twice.tar, a: its name occurs twice"), "{message}");
    let path = written(&folder, "a.txt", b"text");
    assert!(
        whole(&path)
            .unwrap_err()
            .to_string()
            .ends_with("a.txt: it is not a .zip, .tar or .parquet file")
    );
    assert!(
        whole(&folder.path().join("none.zip"))
            .unwrap_err()
            .to_string()
            .starts_with("cannot read")
    );
}

#[test]
fn a_tar_of_tars_has_the_members_of_the_inner_ones() {
    let folder = tempfile::tempdir().unwrap();
    let inner = |from: usize| tar_of(&files()[from..from + 3].to_vec());
    let tars: Files = vec![("n1.tar".to_owned(), inner(0)), ("n2.tar".to_owned(), inner(3))];
    let path = written(&folder, "train.tar", &tar_of(&tars));
    let named = |(n, (name, content))| (format!("n{}/{name}", 1 + n / 3), content);
    let expected: Files = files().into_iter().enumerate().map(named).collect();
    assert_eq!(whole(&path).unwrap(), expected);
    // one plain file beside them, and the tars are files like others
    let beside: Files = tars.iter().cloned().chain([("readme".to_owned(), vec![1])]).collect();
    assert_eq!(whole(&written(&folder, "mixed.tar", &tar_of(&beside))).unwrap(), beside);
    let cut = inner(3)[..2_000].to_vec();
    let path = written(
        &folder,
        "cut.tar",
        &tar_of(&vec![tars[0].clone(), ("n2.tar".to_owned(), cut)]),
    );
    let message = whole(&path).unwrap_err().to_string();
    assert!(
        message.contains("cut.tar, n2.tar/set/3.bin: the archive is cut off within it"),
        "{message}"
    );
}

#[test]
fn a_size_that_the_bytes_cannot_hold_sets_nothing_aside() {
    let folder = tempfile::tempdir().unwrap();
    let files: Files = vec![("a".to_owned(), vec![7; 100])];
    for (method, deflated) in [(CompressionMethod::Stored, false), (CompressionMethod::Deflated, true)] {
        for claim in [101_u32, 4_000_000_000] {
            let mut bytes = zip_of(&files, method);
            let directory = bytes.windows(4).position(|four| four == b"PK\x01\x02").unwrap();
            bytes[directory + 24..][..4].copy_from_slice(&claim.to_le_bytes());
            let path = written(&folder, "claim.zip", &bytes);
            let message = whole(&path)
                .map(|_| format!("{claim} {deflated}"))
                .unwrap_err()
                .to_string();
            assert!(message.contains("claim.zip, a: "), "{message}");
        }
    }
}

#[test]
fn a_table_gives_labels_and_what_it_lacks_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let files = files();
    let table = ParquetTable::open(&written(&folder, "t.parquet", &parquet_of(&files))).unwrap();
    assert_eq!((table.rows(), table.columns()), (6, vec!["audio", "label"]));
    let labels: Vec<Value> = (0..6).map(Value::Integer).collect();
    assert_eq!(table.column("label").unwrap(), labels);
    let message = table.column("fold").unwrap_err().to_string();
    assert!(
        message.ends_with("t.parquet, column 'fold': there is no such column among audio, label"),
        "{message}"
    );
    assert!(
        table
            .column("audio")
            .unwrap_err()
            .to_string()
            .ends_with("neither numbers nor texts")
    );
}
