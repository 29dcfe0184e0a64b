//! Own data in archives: the same samples as unpacked.

use super::*;
use crate::fixtures::archives::{Files, tar_of, zip_of};

#[test]
fn packed_samples_are_those_of_the_folder() {
    let layouts = [
        [
            "hum/a.wav",
            "hum/b.wav",
            "hum/c.wav",
            "buzz/a.wav",
            "buzz/b.wav",
            "buzz/.c.wav",
            "buzz/notes.txt",
        ],
        [
            "train/hum/a.wav",
            "train/buzz/b.wav",
            "val/hum/c.wav",
            "val/buzz/d.wav",
            "x.txt",
            "val/x.wav",
            "a/b/c/d.wav",
        ],
        [
            "train/hum/a.wav",
            "train/buzz/b.wav",
            "val/hum/c.wav",
            "val/rest/d.wav",
            "test/hum/e.wav",
            "test/buzz/f.wav",
            "test/g.wav",
        ],
    ];
    for names in layouts {
        let within = names.map(|name| format!("data/{name}"));
        let folder = folder(&within.each_ref().map(|name| (name.as_str(), "")));
        let files = |before: &str| -> Files {
            let file = |name: &&str| {
                let content = std::fs::read(folder.path().join("data").join(name)).unwrap();
                (format!("{before}{name}"), content)
            };
            names.iter().map(file).collect()
        };
        std::fs::write(
            folder.path().join("a.zip"),
            zip_of(&files("some birds/"), zip::CompressionMethod::Deflated),
        )
        .unwrap();
        std::fs::write(folder.path().join("a.tar"), tar_of(&files(""))).unwrap();
        let open = |place: &str| {
            let task = folder.path().join("my.toml");
            std::fs::write(&task, format!("{place}\n{SOUND}")).unwrap();
            open(&task, &folder.path().join("cache"), None)
        };
        let (spec, plain) = open("folder = \"data\"");
        for packed in ["folder = \"a.zip\"", "folder = \"a.tar\""] {
            let (packed_spec, data) = open(packed);
            assert_eq!(packed_spec.input, spec.input, "{packed}");
            assert_eq!((&data.samples, &data.classes), (&plain.samples, &plain.classes));
            assert_eq!(data.facts.splitting, plain.facts.splitting);
            (0..data.samples.len())
                .for_each(|index| assert_eq!(data.input(index).unwrap(), plain.input(index).unwrap()));
        }
    }
}

#[test]
fn a_table_may_stand_beside_an_archive() {
    let folder = folder(&[("hum/a.wav", ""), ("buzz/b.wav", "")]);
    let file = |name: &str| (name.to_owned(), std::fs::read(folder.path().join(name)).unwrap());
    let files = ["hum/a.wav", "buzz/b.wav"].map(file).to_vec();
    std::fs::write(folder.path().join("a.tar"), tar_of(&files)).unwrap();
    std::fs::write(
        folder.path().join("a.csv"),
        "path,label,fold\nhum/a.wav,hum,1\nbuzz/b.wav,buzz,2\n",
    )
    .unwrap();
    let open = |root: &str| {
        let task = folder.path().join("my.toml");
        std::fs::write(&task, format!("csv = \"a.csv\"\nroot = \"{root}\"\n{SOUND}")).unwrap();
        open(&task, &folder.path().join("cache"), None).1
    };
    let (plain, packed) = (open("."), open("a.tar"));
    assert_eq!(packed.samples, plain.samples);
    (0..2).for_each(|index| assert_eq!(packed.input(index).unwrap(), plain.input(index).unwrap()));
    let told = error(
        &format!("csv = \"a.csv\"\nroot = \"a.tar\"\n{SOUND}"),
        &[("a.csv", "path,label\na,b\nc,d\n"), ("a.tar", "no tar")],
    );
    assert!(told.starts_with("D/a.csv, line 1: D/a.tar: "), "{told}");
}
