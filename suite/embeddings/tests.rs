//! Files of embeddings: both kinds in both forms, files that lie, and names that do not fit.

#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

use super::*;
use crate::protocol::Vectors as _;
use proptest::prelude::*;
use safetensors::tensor::{Dtype, TensorView};
use std::collections::{BTreeSet, HashMap};
use std::io::{Cursor, Write as _};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// An array as numpy writes it, of any header.
fn npy(kind: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    npy_in(kind, "False", shape, data)
}

fn npy_in(kind: &str, fortran: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let mut header = format!("{{'descr': '{kind}', 'fortran_order': {fortran}, 'shape': ({shape}), }}");
    while (10 + header.len() + 1) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let length = (header.len() as u16).to_le_bytes();
    [&b"\x93NUMPY\x01\x00"[..], &length, header.as_bytes(), data].concat()
}

fn singles(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// A list of text of 8 characters each.
fn texts(names: &[&str]) -> Vec<u8> {
    let name = |name: &&str| {
        let mut points: Vec<u32> = name.chars().map(u32::from).collect();
        points.resize(8, 0);
        points.into_iter().flat_map(u32::to_le_bytes)
    };
    let data: Vec<u8> = names.iter().flat_map(name).collect();
    npy("<U8", &format!("{},", names.len()), &data)
}

fn zipped(method: CompressionMethod, arrays: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut file = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in arrays {
        let options = SimpleFileOptions::default().compression_method(method);
        file.start_file(format!("{name}.npy"), options).unwrap();
        file.write_all(bytes).unwrap();
    }
    file.finish().unwrap().into_inner()
}

fn stored(arrays: &[(&str, Vec<u8>)]) -> Vec<u8> {
    zipped(CompressionMethod::Stored, arrays)
}

/// The vectors by name of a file with these bytes.
fn read(bytes: &[u8]) -> Result<HashMap<String, Vec<f32>>, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    std::fs::write(&path, bytes).unwrap();
    let found = Embeddings::read(&path).map_err(|error| match error {
        EmbeddingsError::Content { reason, .. } => reason,
        error => error.to_string(),
    })?;
    let rows = found.values.chunks_exact(found.dim).map(<[f32]>::to_vec);
    Ok(found.names.iter().cloned().zip(rows).collect())
}

fn expected() -> HashMap<String, Vec<f32>> {
    HashMap::from([
        ("a".to_owned(), vec![1.0, 2.5]),
        ("b/ü.wav".to_owned(), vec![-3.0, 0.25]),
    ])
}

#[test]
fn a_zip_of_arrays_holds_a_matrix_with_a_list_or_a_vector_for_each_name() {
    let matrix = npy("<f4", "2, 2", &singles(&[1.0, 2.5, -3.0, 0.25]));
    let ids = texts(&["a", "b/ü.wav"]);
    for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
        let both = zipped(method, &[("embeddings", matrix.clone()), ("ids", ids.clone())]);
        assert_eq!(read(&both).unwrap(), expected());
    }
    // another name of the only matrix, names as bytes
    let bytes = npy("|S8", "2,", b"a\0\0\0\0\0\0\0b/\xc3\xbc.wav");
    assert_eq!(
        read(&stored(&[("files", bytes), ("x", matrix.clone())])).unwrap(),
        expected()
    );
    let halves: Vec<u8> = [0x3c00_u16, 0x4100]
        .iter()
        .flat_map(|half| half.to_le_bytes())
        .collect();
    let doubles: Vec<u8> = [-3.0_f64, 0.25]
        .iter()
        .flat_map(|double| double.to_le_bytes())
        .collect();
    let each = [
        ("a", npy("<f2", "2,", &halves)),
        ("b/ü.wav", npy("<f8", "1, 2", &doubles)),
    ];
    assert_eq!(read(&stored(&each)).unwrap(), expected());
}

#[test]
fn a_file_of_safetensors_holds_a_matrix_with_a_list_or_a_vector_for_each_name() {
    let write = |tensors: &[(&str, Dtype, Vec<usize>, Vec<u8>)], header: Option<HashMap<String, String>>| {
        let views = tensors.iter().map(|(name, dtype, shape, data)| {
            let view = TensorView::new(*dtype, shape.clone(), data).unwrap();
            ((*name).to_owned(), view)
        });
        safetensors::serialize(views, header).unwrap()
    };
    let bytes = singles(&[1.0, 2.5, -3.0, 0.25]);
    let matrix = [("features", Dtype::F32, vec![2, 2], bytes)];
    let ids = |text: &str| Some(HashMap::from([("ids".to_owned(), text.to_owned())]));
    assert_eq!(read(&write(&matrix, ids(r#"["a", "b/ü.wav"]"#))).unwrap(), expected());
    let halves: Vec<u8> = [0x3f80_u16, 0x4020]
        .iter()
        .flat_map(|half| half.to_le_bytes())
        .collect();
    let each = [
        ("a", Dtype::BF16, vec![2], halves),
        ("b/ü.wav", Dtype::F32, vec![2], singles(&[-3.0, 0.25])),
    ];
    assert_eq!(read(&write(&each, None)).unwrap(), expected());
    for (file, why) in [
        (write(&matrix, None), "no list ids or names"),
        (write(&matrix, ids(r#"["a"]"#)), "2 rows, and its list 1 names"),
        (write(&matrix, ids("a, b")), "no list of names in JSON"),
        (write(&[("a", Dtype::I32, vec![1], vec![0; 4])], None), "not of floats"),
    ] {
        let found = read(&file).unwrap_err();
        assert!(found.contains(why), "{found}");
    }
}

#[test]
fn what_cannot_be_read_safely_is_named() {
    let numbers = singles(&[1.0, 2.0]);
    let one = |array: Vec<u8>| stored(&[("a", array)]);
    let with_ids = |ids: Vec<u8>| stored(&[("ids", ids), ("embeddings", npy("<f4", "1, 2", &numbers))]);
    for (file, why) in [
        (b"PK\x03\x04 and no more".to_vec(), "no whole zip"),
        (b"{}".to_vec(), "neither a safetensors nor an npz"),
        (b"\x1f\x8b\x08\0".to_vec(), "gunzip"),
        (b"\xff\xff\xff\xff\xff\xff\xff\x7f{".to_vec(), "no whole safetensors"),
        (one(npy(">f4", "2,", &numbers)), "`>f4`"),
        (one(npy("<i4", "2,", &numbers)), "`<i4`"),
        (one(npy_in("<f4", "True", "1, 2", &numbers)), "Fortran"),
        (one(npy("<f4", "3,", &numbers)), "has 8 bytes"),
        (one(npy("<f4", "4294967296, 4294967296, 2", &numbers)), "has 8 bytes"),
        (one(npy("<f4", "-2,", &numbers)), "no whole array"),
        (one(npy("<f4", "", &numbers[..4])), "no vector"),
        (one(npy("<f4", "0,", &[])), "no vector"),
        (one(b"\x93NUMPY\x02\x00\xff\xff\xff\xff".to_vec()), "no whole array"),
        (with_ids(npy("|O", "1,", b"\x80\x04N.")), "not of text"),
        (with_ids(npy("<i8", "1,", &[0; 8])), "not of text"),
        (with_ids(npy("<U99999999", "1,", b"")), "not a list of names"),
        (with_ids(npy("<U0", "1099511627776,", b"")), "empty"),
        (with_ids(npy("<U1", "1,", &[0, 0xd8, 0, 0])), "no Unicode"),
        (
            stored(&[
                ("a", npy("<f4", "2,", &numbers)),
                ("b", npy("<f4", "1,", &numbers[..4])),
            ]),
            "`b` has 1",
        ),
        (stored(&[]), "it is empty"),
    ] {
        let found = read(&file).unwrap_err();
        assert!(found.contains(why), "{why}: {found}");
    }
}

#[test]
fn a_small_file_that_unpacks_to_a_large_one_is_refused_at_the_limit() {
    let zeros = npy("<f4", "1048576,", &vec![0; 4 << 20]);
    let file = zipped(CompressionMethod::Deflated, &[("a", zeros.clone()), ("b", zeros)]);
    assert!(file.len() < 64 << 10);
    assert!(npz::read(&file, 16 << 20, Holds::Embeddings).is_ok());
    let found = npz::read(&file, 5 << 20, Holds::Embeddings).unwrap_err();
    assert!(found.contains("unpacks to more than"), "{found}");
}

#[test]
fn a_file_that_is_written_is_read_again_and_has_numpys_form() {
    let (names, values) = (["a", "b/ü.wav"], [1.0, 2.5, -3.0, 0.25]);
    let file = to_npz(&names, &values, &[2, 2], "made by a test").unwrap();
    assert_eq!(read(&file).unwrap(), expected());
    assert_eq!(file, to_npz(&names, &values, &[2, 2], "made by a test").unwrap());
    assert_eq!(
        super::npy::array("<f4", &[3], &singles(&[0.0; 3])),
        npy("<f4", "3,", &singles(&[0.0; 3]))
    );
    assert_eq!(super::npy::array("<f4", &[0, 7], &[]), npy("<f4", "0, 7,", &[]));
    // labels beside a matrix and its list are passed over
    let labels = npy("<i8", "2,", &[0; 16]);
    let matrix = npy("<f4", "2, 2", &singles(&values));
    let both = stored(&[("y", labels), ("embeddings", matrix), ("ids", texts(&names))]);
    assert_eq!(read(&both).unwrap(), expected());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    /// Whatever a damaged file says, it is read or refused: nothing panics or takes more than its limit.
    #[test]
    fn damaged_files_are_read_or_refused(
        place in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>(), is_zip in any::<bool>(),
    ) {
        let mut bytes = if is_zip {
            to_npz(&["a", "b/ü.wav"], &[1.0, 2.5, -3.0, 0.25], &[2, 2], "about").unwrap()
        } else {
            let data = singles(&[1.0, 2.5, -3.0, 0.25]);
            let view = TensorView::new(Dtype::F32, vec![2, 2], &data).unwrap();
            let header = HashMap::from([("ids".to_owned(), r#"["a", "b"]"#.to_owned())]);
            safetensors::serialize([("embeddings", view)], Some(header)).unwrap()
        };
        let end = bytes.len();
        bytes[place.index(end)] = byte;
        bytes.truncate(end - cut.index(end) % 3 * (end / 3));
        for holds in [Holds::Embeddings, Holds::Labels] {
            let _ = if is_zip { npz::read(&bytes, 1 << 20, holds) } else { tensors::read(&bytes, holds) };
        }
    }
}

/// Embeddings of these names, the vector of the nth is [n].
fn named(names: &[&str]) -> Embeddings {
    Embeddings {
        holds: Holds::Embeddings,
        path: "e.npz".into(),
        sha256: String::new(),
        dim: 1,
        shape: vec![1],
        names: names.iter().map(|&name| name.to_owned()).collect(),
        values: (0..names.len()).map(|row| row as f32).collect(),
    }
}

/// The vectors of these samples, all of which are read, or what is wrong.
fn matched(names: &[&str], ids: &[&str]) -> Result<Vec<f32>, String> {
    let embeddings = named(names);
    let read: BTreeSet<usize> = (0..ids.len()).collect();
    let found = embeddings.matched("birds", ids, &read, Some(&["skipped.wav"]));
    let found = found.map_err(|error| error.to_string())?;
    let all: Vec<usize> = read.into_iter().collect();
    Ok(found.of(&all, None, &()).unwrap())
}

#[test]
fn a_sample_is_found_by_its_id_or_by_the_name_of_its_file() {
    assert_eq!(matched(&["b", "a"], &["a", "b"]).unwrap(), [1.0, 0.0]);
    assert_eq!(matched(&["x/b.flac", "x/a.ogg"], &["a", "b"]).unwrap(), [1.0, 0.0]);
    assert_eq!(
        matched(&["b", "a", "skipped"], &["x/a.wav", "y/b.wav"]).unwrap(),
        [1.0, 0.0]
    );
    assert_eq!(matched(&["x/a", "y/a"], &["x/a.wav", "y/a.wav"]).unwrap(), [0.0, 1.0]);
    // a dot in an id is no ending where ids would be the same without it
    assert_eq!(matched(&["v1.2", "v1.1"], &["v1.1", "v1.2"]).unwrap(), [1.0, 0.0]);
}

#[test]
fn samples_and_vectors_that_do_not_fit_together_are_named_and_counted() {
    let ids = ["a", "b", "c", "d", "e", "f", "g"];
    let found = matched(&["a", "b", "b", "z"], &ids).unwrap_err();
    assert_eq!(
        found,
        "`e.npz` does not fit the samples of `birds`: 5 samples without a vector: c, d, e, f, g; 1 sample with several \
         vectors: b; 1 vector of no sample: z"
    );
    assert!(
        matched(&[], &ids)
            .unwrap_err()
            .contains("7 samples without a vector: a, b, c, d, e, ...")
    );
    // by file name both would be `a`, and neither is known
    let found = matched(&["x/a", "y/a"], &["a"]).unwrap_err();
    assert!(found.contains("1 sample with"), "{found}");

    let mut embeddings = named(&["a", "b"]);
    embeddings.values[1] = f32::NAN;
    let both = embeddings.matched("birds", &["a", "b"], &BTreeSet::from([0, 1]), None);
    assert!(
        both.unwrap_err()
            .to_string()
            .ends_with("1 vector with numbers that are not finite as 32-bit floats: b")
    );
    // nobody reads it
    assert!(
        embeddings
            .matched("birds", &["a", "b"], &BTreeSet::from([0]), None)
            .is_ok()
    );
    // of a subset, others may be there
    assert!(
        named(&["a", "b"])
            .matched("birds", &["a"], &BTreeSet::from([0]), None)
            .is_ok()
    );
}
