//! The same files in every form read the same; damage of any kind is an error that names the archive.
#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

mod fuzz;

use std::io::Write;
use std::sync::Arc;

use ::parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use ::parquet::file::properties::WriterProperties;
use ::parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use ::parquet::schema::parser::parse_message_type;
use ::zip::write::SimpleFileOptions;
use ::zip::{CompressionMethod, ZipWriter};

use super::*;

type Files = Vec<(String, Vec<u8>)>;

/// Files of several sizes, one of them empty, one larger than any buffer, in the order of their names.
fn files() -> Files {
    let content = |n: usize, length: usize| (0..length).map(|i| (i * (n + 7) / 3) as u8).collect();
    let lengths = [10, 0, 513, 70_000, 1_024, 3];
    let named = |(n, &length): (usize, &usize)| (format!("set/{n}.bin"), content(n, length));
    lengths.iter().enumerate().map(named).collect()
}

fn zip_of(files: &Files, method: CompressionMethod) -> Vec<u8> {
    let mut writer = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, content) in files {
        let options = SimpleFileOptions::default().compression_method(method);
        writer.start_file(name.as_str(), options).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn tar_of(files: &Files) -> Vec<u8> {
    let mut builder = ::tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = ::tar::Header::new_gnu();
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        builder.append(&header, content.as_slice()).unwrap();
    }
    builder.into_inner().unwrap()
}

/// As hubs write data sets: `audio: {bytes, path}`, `label`, two rows in each row group, snappy.
fn parquet_of(files: &Files) -> Vec<u8> {
    let schema = "message schema { optional group audio { optional binary bytes; optional binary path (UTF8); } \
                  optional int64 label; }";
    let compression = ::parquet::basic::Compression::SNAPPY;
    let properties = Arc::new(WriterProperties::builder().set_compression(compression).build());
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let mut bytes = Vec::new();
    let mut writer = SerializedFileWriter::new(&mut bytes, schema, properties).unwrap();
    for (group, files) in files.chunks(2).enumerate() {
        let mut rows = writer.next_row_group().unwrap();
        let contents = files.iter().map(|(_, content)| content.clone()).collect();
        binary_column(&mut rows, contents);
        binary_column(
            &mut rows,
            files.iter().map(|(name, _)| name.clone().into_bytes()).collect(),
        );
        let labels: Vec<i64> = (0..files.len()).map(|row| (group * 2 + row) as i64).collect();
        let mut column = rows.next_column().unwrap().unwrap();
        let levels = vec![1; labels.len()];
        column
            .typed::<Int64Type>()
            .write_batch(&labels, Some(&levels), None)
            .unwrap();
        column.close().unwrap();
        rows.close().unwrap();
    }
    writer.close().unwrap();
    bytes
}

fn binary_column(rows: &mut SerializedRowGroupWriter<'_, &mut Vec<u8>>, values: Vec<Vec<u8>>) {
    let values: Vec<ByteArray> = values.into_iter().map(ByteArray::from).collect();
    let mut column = rows.next_column().unwrap().unwrap();
    let levels = vec![2; values.len()];
    column
        .typed::<ByteArrayType>()
        .write_batch(&values, Some(&levels), None)
        .unwrap();
    column.close().unwrap();
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

fn read_all(collection: &Collection) -> Result<Files, ArchiveError> {
    let file = |index| Ok((collection.name(index).to_owned(), collection.read(index)?));
    (0..collection.len()).map(file).collect()
}

/// Opens and reads everything.
fn whole(path: &Path) -> Result<Files, ArchiveError> {
    read_all(&Collection::open(path)?)
}

#[test]
fn every_form_gives_the_same_files_to_any_number_of_threads() {
    let files = files();
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in &files {
        written(&folder, &format!("plain/{name}"), content);
    }
    written(&folder, "plain/.hidden", b"not looked at");
    let mut paths = vec![folder.path().join("plain")];
    for (n, (ending, bytes)) in packed(&files).iter().enumerate() {
        paths.push(written(&folder, &format!("{n}.{ending}"), bytes));
    }
    for path in paths {
        let collection = Collection::open(&path).unwrap();
        assert_eq!(collection.len(), files.len());
        std::thread::scope(|scope| {
            (0..4).for_each(|_| {
                scope.spawn(|| (0..5).for_each(|_| assert_eq!(read_all(&collection).unwrap(), files)));
            });
        });
        for (index, (name, content)) in files.iter().enumerate() {
            let size = content.len() as u64;
            assert!(
                collection.size(index).is_none_or(|known| known == size),
                "{}",
                path.display()
            );
            assert_eq!(
                (collection.find(name), collection.archive(index)),
                (Some(index), path.as_path())
            );
        }
        assert_eq!(collection.find("set/9.bin"), None);
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
fn what_is_no_plain_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut builder = ::tar::Builder::new(Vec::new());
    let mut header = ::tar::Header::new_gnu();
    header.set_entry_type(::tar::EntryType::Symlink);
    header.set_size(0);
    builder.append_link(&mut header, "link", "/etc/hostname").unwrap();
    let path = written(&folder, "link.tar", &builder.into_inner().unwrap());
    assert!(
        whole(&path)
            .unwrap_err()
            .to_string()
            .ends_with("link.tar, link: it is not a plain file")
    );
    let twice = vec![("a".to_owned(), vec![1]), ("a".to_owned(), vec![2])];
    let path = written(&folder, "twice.tar", &tar_of(&twice));
    let message = whole(&path).unwrap_err().to_string();
    assert!(
        message.ends_with("twice.tar, a: its name is there a second time"),
        "{message}"
    );
    let path = written(&folder, "a.txt", b"text");
    assert!(
        whole(&path)
            .unwrap_err()
            .to_string()
            .ends_with("nor a .zip, .tar or .parquet file")
    );
    assert!(
        whole(&folder.path().join("none.zip"))
            .unwrap_err()
            .to_string()
            .starts_with("cannot read")
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
fn samples_are_files_with_a_stem_in_common() {
    let names = ["b/1.jpg", "b/1.cls", "a/2.seg.png", "b/1.seg.png", "plain"];
    let files: Files = names.iter().map(|name| (name.to_string(), vec![0])).collect();
    let folder = tempfile::tempdir().unwrap();
    let collection = Collection::open(&written(&folder, "shard.tar", &tar_of(&files))).unwrap();
    let part = |ending: &str, index| (ending.to_owned(), index);
    let expected = [
        (
            "b/1".to_owned(),
            vec![part("jpg", 0), part("cls", 1), part("seg.png", 3)],
        ),
        ("a/2".to_owned(), vec![part("seg.png", 2)]),
        ("plain".to_owned(), vec![part("", 4)]),
    ];
    assert_eq!(collection.samples().unwrap(), expected);
    // the same sample in two shards is a fault of the shards
    let again = written(&folder, "again.tar", &tar_of(&files));
    let both = Collection::open_all(&[folder.path().join("shard.tar"), again]).unwrap();
    assert_eq!((both.len(), both.name(5)), (10, "b/1.jpg"));
    assert!(both.samples().unwrap_err().to_string().contains("again.tar, b/1.jpg"));
}

#[test]
fn a_table_gives_labels_and_what_it_lacks_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let files = files();
    let table = Table::open(&written(&folder, "t.parquet", &parquet_of(&files))).unwrap();
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
