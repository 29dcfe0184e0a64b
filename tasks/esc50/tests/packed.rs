//! ESC-50 as an archive and as tables: the same as its folder, and what is wrong is named.

use ::zip::CompressionMethod;

use super::*;
use crate::fixtures::archives::{Column, Files, parquet_of, tar_of, zip_of};

/// The forms that are not a folder, named as those of a tiny set.
const PACKED: [Variant; 3] = [
    TINY,
    Variant {
        name: "tiny-zip",
        packaging: Packaging::Archive,
        ..TINY
    },
    Variant {
        name: "tiny-parquet",
        packaging: Packaging::Parquet,
        endings: &[],
        ..TINY
    },
];

impl Fake {
    /// Its files as the original's archive has them.
    fn files(&self) -> Files {
        let mut names: Vec<String> = std::fs::read_dir(self.path("audio"))
            .unwrap()
            .map(|entry| format!("audio/{}", entry.unwrap().file_name().to_string_lossy()))
            .collect();
        names.push(TABLE.to_owned());
        names.sort();
        let file = |name: &String| (format!("ESC-50-master/{name}"), std::fs::read(self.path(name)).unwrap());
        names
            .iter()
            .map(file)
            .chain([("ESC-50-master/README.md".to_owned(), b"text".to_vec())])
            .collect()
    }

    /// Some rows of its table as the hub's files have them.
    fn rows(&self, rows: std::ops::Range<usize>) -> Vec<Column<'static>> {
        let rows = &table::parse(&self.path(TABLE), &std::fs::read(self.path(TABLE)).unwrap()).unwrap()[rows];
        let name = |row: &ClipRow| format!("{}.wav", row.stem);
        let files = rows
            .iter()
            .map(|row| (name(row), std::fs::read(self.clip(&name(row))).unwrap()));
        vec![
            Column::Texts("filename", rows.iter().map(name).collect()),
            Column::Numbers("fold", rows.iter().map(|row| row.fold.into()).collect()),
            Column::Numbers("target", rows.iter().map(|row| row.target as i64).collect()),
            Column::Texts("category", rows.iter().map(|row| row.category.clone()).collect()),
            Column::Files("audio", files.collect()),
        ]
    }

    /// Puts the archive into a folder of its own.
    fn packed(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn open_at(&self, place: &Path) -> Result<Dataset, DataError> {
        open(place, &PACKED, &self.request(), &())
    }
}

#[test]
fn archive_and_tables_give_what_the_folder_gives() {
    let fake = Fake::new();
    let plain = fake.open().unwrap();
    let zip = fake.packed(
        "zip/ESC-50-master.zip",
        &zip_of(&fake.files(), CompressionMethod::Deflated),
    );
    let first = fake.packed("hub/data/train-0.parquet", &parquet_of(&fake.rows(0..200), 100));
    fake.packed("hub/data/train-1.parquet", &parquet_of(&fake.rows(200..250), 100));
    let whole = fake.packed("one.parquet", &parquet_of(&fake.rows(0..250), 64));
    let below = fake.path("unpacked/ESC-50-master");
    std::fs::create_dir_all(below.parent().unwrap()).unwrap();
    for (name, content) in fake.files() {
        fake.packed(&format!("unpacked/{name}"), &content);
    }
    for (place, variant) in [
        (zip.clone(), "tiny-zip"),
        (zip.parent().unwrap().to_owned(), "tiny-zip"),
        (fake.path("hub"), "tiny-parquet"),
        (first.parent().unwrap().to_owned(), "tiny-parquet"),
        (whole, "tiny-parquet"),
        (fake.path("unpacked"), "tiny"),
        (below, "tiny"),
    ] {
        let data = fake.open_at(&place).unwrap();
        assert_eq!(
            (data.facts.variant.as_str(), &data.samples),
            (variant, &plain.samples),
            "{}",
            place.display()
        );
        assert_eq!(
            (&data.facts.counts, &data.classes),
            (&plain.facts.counts, &plain.classes)
        );
        assert!((0..250).all(|index| data.input(index).unwrap() == plain.input(index).unwrap()));
        let same = data.facts.manifest_sha256 == plain.facts.manifest_sha256;
        assert_eq!(same, variant == "tiny");
        // sizes are told by all but tables
        assert_eq!(data.bytes(), plain.bytes().filter(|_| variant != "tiny-parquet"));
    }
    // a tar is no known form, and the same as different data
    let tar = fake.packed("tar/esc50.tar", &tar_of(&fake.files()));
    let request = OpenRequest {
        allow_different: true,
        ..fake.request()
    };
    let different = open(&tar, &[TINY], &request, &()).unwrap();
    assert_eq!(
        (different.facts.variant.as_str(), different.samples.len()),
        (DIFFERENT, 250)
    );
    assert!((0..250).all(|index| different.input(index).unwrap() == plain.input(index).unwrap()));
}

#[test]
fn what_is_wrong_with_an_archive_or_table_is_named() {
    let fake = Fake::new();
    let error = |place: PathBuf| fake.cleaned(fake.open_at(&place));
    let zip_with = |change: &dyn Fn(&mut Files)| {
        let mut files = fake.files();
        change(&mut files);
        fake.packed("zip/a.zip", &zip_of(&files, CompressionMethod::Stored))
    };
    let at = |files: &Files, name: &str| files.iter().position(|(file, _)| file.ends_with(name)).unwrap();
    let lost = zip_with(&|files| drop(files.remove(at(files, "2-100-A-31.wav"))));
    insta::assert_snapshot!(error(lost), @"ESC/zip/a.zip/ESC-50-master/audio/2-100-A-31.wav is missing, though meta/esc50.csv, line 83, lists it");
    let bad = zip_with(&|files| {
        let index = at(files, "2-100-A-31.wav");
        files[index].1.truncate(400);
    });
    insta::assert_snapshot!(error(bad), @"ESC/zip/a.zip/ESC-50-master/audio/2-100-A-31.wav: it is damaged after 83 samples: unexpected end of file");
    let more = zip_with(&|files| files.push(("ESC-50-master/audio/x.wav".to_owned(), Vec::new())));
    insta::assert_snapshot!(error(more), @"ESC/zip/a.zip/ESC-50-master/audio/x.wav is not listed in meta/esc50.csv");
    let none = zip_with(&|files| files.retain(|(name, _)| !name.ends_with("csv")));
    insta::assert_snapshot!(error(none), @"ESC/zip/a.zip is not the esc50 data: it has no meta/esc50.csv");
    std::fs::write(fake.path("zip/a.zip"), "no zip").unwrap();
    let told = error(fake.path("zip"));
    assert!(told.starts_with("ESC/zip/a.zip: it is no whole zip file"), "{told}");
    std::fs::write(fake.path("zip/a.zip"), b"\x1f\x8b\x08\0").unwrap();
    insta::assert_snapshot!(error(fake.path("zip")), @"ESC/zip/a.zip: it is packed by gzip; `gunzip` unpacks it");
    let whole = zip_of(&fake.files(), CompressionMethod::Stored);
    for name in ["zip/a.zip", "zip/b.zip"] {
        fake.packed(name, &whole);
    }
    insta::assert_snapshot!(error(fake.path("zip")), @"ESC/zip is no known variant of the esc50 data: it has several archives (a.zip, b.zip); one of them must be given");
    fake.packed("packed/esc50.tar.gz", b"\x1f\x8b\x08\0");
    insta::assert_snapshot!(error(fake.path("packed")), @"ESC/packed is not the esc50 data: it has no meta/esc50.csv; esc50.tar.gz must be unpacked first");
    let table = |columns: &[Column]| fake.packed("hub/t.parquet", &parquet_of(columns, 100));
    insta::assert_snapshot!(error(table(&fake.rows(0..249))), @"ESC/hub/t.parquet has 249 clips, not 250");
    insta::assert_snapshot!(error(table(&fake.rows(0..250)[1..])), @"ESC/hub/t.parquet/column 'filename': there is no such column among fold, target, category, audio");
    let mut columns = fake.rows(0..250);
    columns[1] = Column::Texts("fold", vec!["one".to_owned(); 250]);
    insta::assert_snapshot!(error(table(&columns)), @"ESC/hub/t.parquet, line 1: the fold 'one' is not a number from 1");
    fake.packed("hub/u.parquet", &parquet_of(&fake.rows(0..1), 1));
    table(&fake.rows(0..250));
    insta::assert_snapshot!(error(fake.path("hub")), @"ESC/hub/u.parquet, line 1: the clip '1-100-A-0' is there a second time");
}

#[test]
fn archives_of_something_else_are_left_alone_and_a_table_must_be_whole() {
    let fake = Fake::new();
    let something_else = |folder: &str| {
        let code = tar_of(&vec![("tool/readme".to_owned(), vec![1])]);
        let energies = parquet_of(&[Column::Numbers("energy", vec![1, 2, 3])], 3);
        for (name, bytes) in [
            ("code.tar", code),
            ("damaged.zip", b"no zip".to_vec()),
            ("energies.parquet", energies),
        ] {
            fake.packed(&format!("{folder}/{name}"), &bytes);
        }
    };
    let zip = zip_of(&fake.files(), CompressionMethod::Deflated);
    fake.packed("zip/a.zip", &zip);
    fake.packed("zip/damaged.parquet", b"no table");
    fake.packed("hub/data/train-0.parquet", &parquet_of(&fake.rows(0..250), 100));
    for (folder, within, variant) in [("zip", "zip", "tiny-zip"), ("hub", "hub/data", "tiny-parquet")] {
        something_else(within);
        let data = fake.open_at(&fake.path(folder)).unwrap();
        assert_eq!((data.facts.variant.as_str(), data.samples.len()), (variant, 250));
    }
    fake.packed("hub/data/train-1.parquet", b"no table");
    let told = fake.cleaned(fake.open_at(&fake.path("hub")));
    assert!(
        told.starts_with("ESC/hub/data/train-1.parquet: it is no whole parquet file"),
        "{told}"
    );
}
