//! Laws of everything that reads what others wrote: whatever the bytes, there is a value that keeps
//! its word or an error that names its place; never a panic.
//!
//! The fuzzer of `tests/fuzz` and this crate's tests call the same laws, so this is compiled for them
//! only.
#![allow(clippy::unwrap_used)] // a failed unwrap is a broken law

use std::fmt::Debug;
use std::path::Path;

use crate::data::listing::Listing;
use crate::files::archive::{Archive, members};
use crate::files::folder::ListedPaths;
use crate::files::hashes;
use crate::files::table::CsvTable;
use crate::media::video;
use crate::{
    DataError, audioset, cache, decode, decode_image, esc50, hub, imagenet, kinetics, librispeech, normalise_text,
    open_speech_file, open_task_file, own,
};

/// What holds for a parser, whatever the bytes.
pub type Law = fn(&[u8]);

/// The laws by name, which is also that of the folder of their kept inputs.
pub const LAWS: &[(&str, Law)] = &[
    ("audioset-classes", audioset_classes),
    ("audioset-segments", audioset_segments),
    ("csv-table", csv_table),
    ("esc50-table", esc50_table),
    ("feature-file", cache::untrusted::feature_file),
    ("ffprobe", ffprobe),
    ("flac", |bytes| sound("flac", bytes)),
    ("hub-lock", hub::untrusted::lock_file),
    ("hub-page", hub::untrusted::page),
    ("hub-address", hub::untrusted::address),
    ("imagenet-map", imagenet_map),
    ("imagenet-synsets", imagenet_synsets),
    ("jpeg", picture),
    ("kinetics-labels", kinetics_labels),
    ("kinetics-list", kinetics_list),
    ("known-hashes", known_hashes),
    ("librispeech-transcripts", librispeech_transcripts),
    ("listed-path", listed_path),
    ("mp3", |bytes| sound("mp3", bytes)),
    ("ogg", |bytes| sound("ogg", bytes)),
    ("own-table", own_table),
    ("png", picture),
    ("speech-file", speech_file),
    ("speech-table", speech_table),
    ("tar", |bytes| archive("tar", bytes)),
    ("task-file", task_file),
    ("transcript", transcript),
    ("video-container", video_container),
    ("wav", |bytes| sound("wav", bytes)),
    ("zip", |bytes| archive("zip", bytes)),
];

/// A folder with these files.
fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    folder
}

/// What a reader says of a list: its value, or an error that names a place below `root`, and a line that
/// the list has.
fn outcome<T: Debug>(
    root: &Path,
    list: &Path,
    bytes: &[u8],
    read: impl Fn(&[u8]) -> Result<T, DataError>,
) -> Result<String, String> {
    read(bytes).map(|value| format!("{value:?}")).map_err(|error| {
        let lines = 1 + bytes.iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count() as u64;
        if let DataError::BadRow { path, line, .. } = &error
            && path == list
        {
            assert!((1..=lines).contains(line), "line {line} of {lines}");
        }
        let message = error.to_string();
        let names = message.contains(&root.display().to_string());
        assert!(
            names || matches!(error, DataError::WrongInput { .. }),
            "no file is named: {message}"
        );
        message
    })
}

/// The law of texts: [`outcome`], which is the same for the same text as Windows writes it. Archives
/// and the like are told by their first bytes, and are no texts.
fn text<T: Debug>(root: &Path, list: &Path, bytes: &[u8], read: impl Fn(&[u8]) -> Result<T, DataError>) {
    let told = outcome(root, list, bytes, &read);
    if let Ok(text) = std::str::from_utf8(bytes)
        && !text.contains(['\r', '\u{feff}'])
        && bridle_files::foreign(bytes).is_none()
    {
        let windows = format!("\u{feff}{}", text.replace('\n', "\r\n"));
        assert_eq!(outcome(root, list, windows.as_bytes(), &read), told);
    }
}

/// The law of [`text`] for a file, which is called `name` and lies beside `others`.
fn list<T: Debug>(name: &str, bytes: &[u8], others: &[(&str, &[u8])], read: impl Fn(&Path) -> Result<T, DataError>) {
    let folder = folder(others);
    let path = folder.path().join(name);
    text(folder.path(), &path, bytes, |bytes| {
        std::fs::write(&path, bytes).unwrap();
        read(&path)
    });
}

/// The samples of a listing, for comparison.
fn samples<S: Clone + Debug>(listing: Listing<S>) -> impl Debug {
    (listing.entries, listing.lists, listing.splitting)
}

fn csv_table(bytes: &[u8]) {
    let path = Path::new("t.csv");
    let content = |table: CsvTable| {
        let rows: Vec<csv::StringRecord> = table.rows.into_iter().map(|(_, row)| row).collect();
        (table.headers, rows)
    };
    text(path, path, bytes, |bytes| CsvTable::parse(path, bytes).map(content));
    let Ok(table) = CsvTable::parse(path, bytes) else {
        return;
    };
    assert!(
        table.rows.is_sorted_by(|(a, _), (b, _)| a < b),
        "lines that do not rise"
    );
    let read = content(table);
    if read.0.is_empty() {
        return;
    }
    // in quotes, since a field may begin with what readers pass over
    let mut writer = csv::WriterBuilder::new()
        .quote_style(csv::QuoteStyle::Always)
        .from_writer(Vec::new());
    std::iter::once(&read.0)
        .chain(&read.1)
        .for_each(|row| writer.write_record(row).unwrap());
    let again = CsvTable::parse(path, &writer.into_inner().unwrap()).unwrap();
    assert_eq!(content(again), read);
}

fn esc50_table(bytes: &[u8]) {
    let path = Path::new("esc50.csv");
    text(path, path, bytes, |bytes| {
        let clips = esc50::table::parse(path, bytes)?;
        let classes = esc50::table::classes(path, &clips)?;
        assert!(
            clips
                .iter()
                .all(|clip| classes[clip.target] == clip.category && clip.fold > 0)
        );
        Ok((clips, classes))
    });
}

const CLASSES: &[u8] = b"index,mid,display_name\n0,/m/09x0r,\"Speech\"\n1,/t/dd00003,\"Male speech, man speaking\"\n";
const SEGMENTS: &[u8] = b"-0RWZT-miFs, 420.000, 430.000, \"/m/09x0r,/t/dd00003\"\n";

fn audioset(name: &str, bytes: &[u8]) {
    let others = [
        ("class_labels_indices.csv", CLASSES),
        ("balanced_train_segments.csv", SEGMENTS),
        ("eval_segments.csv", b"-0RWZT-miFt, 0, 10, /m/09x0r"),
        ("a/-0RWZT-miFs.wav", b""),
        ("a/-0RWZT-miFt.wav", b""),
    ];
    list(name, bytes, &others, |list| {
        let folder = list.parent().unwrap();
        let (listing, classes) = audioset::listing("audioset", folder, &["balanced_train_segments.csv"], true)?;
        for entry in &listing.entries {
            let targets = entry.sample.target.classes();
            assert!(targets.is_sorted_by(|a, b| a < b) && targets.iter().all(|&class| class < classes.len()));
        }
        Ok((samples(listing), classes))
    });
}

fn audioset_classes(bytes: &[u8]) {
    audioset("class_labels_indices.csv", bytes);
}

fn audioset_segments(bytes: &[u8]) {
    audioset("balanced_train_segments.csv", bytes);
}

fn imagenet_map(bytes: &[u8]) {
    list("val_map.txt", bytes, &[], |path| {
        imagenet::judged(path.parent().unwrap())
    });
}

fn imagenet_synsets(bytes: &[u8]) {
    let truth: &[(&str, &[u8])] = &[("ILSVRC2012_validation_ground_truth.txt", b"1\n2\n")];
    list("synsets.txt", bytes, truth, |path| {
        imagenet::judged(path.parent().unwrap())
    });
}

fn kinetics(name: &str, bytes: &[u8]) {
    let others: [(&str, &[u8]); 3] = [
        ("train.csv", b"a/1.mp4 0\na/2.mp4 1\n"),
        ("val.csv", b"a/3.mp4 0\n"),
        ("a/1.mp4", b""),
    ];
    list(name, bytes, &others, |list| {
        let (listing, classes) = kinetics::listing(list.parent().unwrap())?;
        for entry in &listing.entries {
            assert!(entry.sample.target.classes().iter().all(|&class| class < classes.len()));
            stays_within(&entry.sample.id);
        }
        Ok((samples(listing), classes))
    });
}

fn kinetics_list(bytes: &[u8]) {
    kinetics("train.csv", bytes);
}

fn kinetics_labels(bytes: &[u8]) {
    kinetics("labels.csv", bytes);
}

fn librispeech_transcripts(bytes: &[u8]) {
    let others: [(&str, &[u8]); 4] = [
        ("train-a/1/2/1-2-0000.flac", b""),
        ("train-a/1/2/1-2-0001.flac", b""),
        ("test-a/3/4/3-4-0000.flac", b""),
        ("test-a/3/4/3-4.trans.txt", b"3-4-0000 TWO WORDS\n"),
    ];
    list("train-a/1/2/1-2.trans.txt", bytes, &others, |list| {
        librispeech::list(list.ancestors().nth(4).unwrap()).map(samples)
    });
}

const TONE: &[u8] = include_bytes!("../tests/fuzz/corpus/wav/tone.wav");

fn task_file(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    // places outside of the folder may hold anything, and videos start programs
    if text.contains("..") || text.contains(['/', '\\']) || text.contains("video") {
        return;
    }
    let others: [(&str, &[u8]); 5] = [
        ("data/one/1.wav", TONE),
        ("data/two/2.wav", TONE),
        ("t.csv", b"path,label\ndata/one/1.wav,1\ndata/two/2.wav,2\n"),
        ("train/one/1.png", include_bytes!("../tests/fuzz/corpus/png/grey.png")),
        ("val/two/2.png", include_bytes!("../tests/fuzz/corpus/png/grey.png")),
    ];
    list("my.toml", bytes, &others, |path| {
        let task = open_task_file(path)?;
        let spec = task.spec();
        let distinct: std::collections::BTreeSet<&String> = spec.classes.iter().collect();
        assert!(spec.classes.len() > 1 && distinct.len() == spec.classes.len());
        Ok((spec.name, spec.input, spec.classes, spec.folds, spec.metric))
    });
}

fn own_table(bytes: &[u8]) {
    let task = b"name = \"mine\"\nmodality = \"image\"\ncsv = \"t.csv\"\ninput = { mean = 0.5, std = 0.5 }\n";
    list("t.csv", bytes, &[("my.toml", task), ("a.png", b"")], |csv| {
        let task = open_task_file(&csv.with_file_name("my.toml"))?;
        let spec = task.spec();
        assert!(spec.classes.len() > 1 && spec.folds != Some(1));
        Ok((spec.classes, spec.folds, spec.metric))
    });
}

fn speech_file(bytes: &[u8]) {
    list("my.toml", bytes, &[("t.csv", b"path,text\na.wav,ONE\n")], |path| {
        Ok(open_speech_file(path)?.map(|task| task.spec().name))
    });
}

fn speech_table(bytes: &[u8]) {
    list("t.csv", bytes, &[("a.wav", TONE), ("b.wav", TONE)], |csv| {
        let listing = own::speech::list("own", csv)?;
        for entry in &listing.entries {
            assert_eq!(normalise_text(&entry.sample.text).as_ref(), Ok(&entry.sample.text));
            stays_within(&entry.sample.id);
        }
        Ok(samples(listing))
    });
}

fn transcript(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    match normalise_text(&text) {
        Ok(normal) => {
            assert_eq!(normalise_text(&normal).as_ref(), Ok(&normal));
            let numbers = crate::encode_text(&normal).unwrap();
            assert_eq!(crate::decode_text(&numbers), normal);
            assert!(crate::min_frames(&normal) >= numbers.len());
        }
        Err(unknown) => assert!(!unknown.0.is_empty() && unknown.0.iter().all(|symbol| text.contains(*symbol))),
    }
}

/// A name that is joined to a folder leads to what is below it.
fn stays_within(name: &str) {
    let parts = Path::new(name).components();
    let is_plain = |part: std::path::Component| matches!(part, std::path::Component::Normal(_));
    assert!(parts.into_iter().all(is_plain), "{name:?} leads out");
}

fn listed_path(bytes: &[u8]) {
    let listed = String::from_utf8_lossy(bytes);
    let root = Path::new("/no/such/folder");
    if let Some(inner) = ListedPaths::new(root).within(&listed) {
        stays_within(&inner);
    }
}

fn known_hashes(bytes: &[u8]) {
    // random bytes never have the checksum of the lines before it
    let lines = String::from_utf8_lossy(bytes);
    let text = format!("{lines}{}", blake3::hash(lines.as_bytes()).to_hex());
    let _ = hashes::parse(&lines);
    if let Some(known) = hashes::parse(&text) {
        assert_eq!(hashes::parse(&hashes::text(&known)), Some(known));
    }
}

/// The law of archives: names stay within, sizes are those that are told, and reading twice gives the
/// same; every error names the file.
fn archive(ending: &str, bytes: &[u8]) {
    let folder = folder(&[]);
    let path = folder.path().join(format!("a.{ending}"));
    std::fs::write(&path, bytes).unwrap();
    let named = |error: crate::files::archive::ArchiveError| {
        let message = error.to_string();
        assert!(message.contains(&path.display().to_string()), "{message}");
    };
    let archive = match Archive::open(&path) {
        Ok(archive) => archive,
        Err(error) => {
            let _ = Archive::told_names(&path);
            return named(error);
        }
    };
    for index in 0..archive.len() {
        let name = archive.name(index);
        assert_eq!(members::objection(name), None, "{name:?}");
        assert_eq!(archive.find(name), Some(index));
        match (archive.read(index), archive.read(index)) {
            (Ok(content), Ok(again)) => {
                assert_eq!(content, again);
                assert!(archive.size(index).is_none_or(|size| size == content.len() as u64));
            }
            (Err(error), Err(_)) => named(error),
            _ => panic!("{name:?} is read once only"),
        }
    }
}

fn sound(ending: &str, bytes: &[u8]) {
    match (decode(bytes.to_vec(), ending), decode(bytes.to_vec(), ending)) {
        (Ok(wave), Ok(again)) => {
            assert_eq!(wave, again);
            assert!(!wave.samples.is_empty() && (1_000..=768_000).contains(&wave.sample_rate));
            assert!(wave.samples.iter().all(|sample| sample.is_finite()));
        }
        (Err(error), Err(_)) => assert!(!error.to_string().is_empty()),
        _ => panic!("it is decoded once only"),
    }
}

fn picture(bytes: &[u8]) {
    match (decode_image(bytes), decode_image(bytes)) {
        (Ok(picture), Ok(again)) => {
            assert!(picture == again, "two pictures of one file");
            assert_eq!(picture.rgb.len(), 3 * picture.width * picture.height);
            assert!(picture.width > 0 && picture.height > 0);
        }
        (Err(error), Err(again)) => assert_eq!(error, again),
        _ => panic!("it is decoded once only"),
    }
}

fn ffprobe(bytes: &[u8]) {
    let Ok(facts) = video::facts_of(bytes) else { return };
    let (short, long) = (facts.width.min(facts.height), facts.width.max(facts.height));
    assert!(short > 0 && long <= 16_384 && facts.frames > 0, "{facts:?}");
    assert!(facts.seconds.is_none_or(f64::is_finite), "{facts:?}");
}

fn video_container(bytes: &[u8]) {
    let folder = folder(&[("a.mp4", bytes)]);
    video::ends_early(&folder.path().join("a.mp4")).unwrap();
}

#[cfg(test)]
mod tests;
