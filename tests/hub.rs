//! `--init hub:ORG/NAME` against a hub on loopback with a fixture as its model: fetched once, pinned in
//! the record, and refused by name.

#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

#[path = "../tasks/hub/tests/server.rs"]
#[allow(dead_code)] // the crate's own tests use the rest
mod server;

use bridle_results::store;
use server::{Fault, Hub, Stored};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const COMMIT: &str = "cccccccccccccccccccccccccccccccccccccccc";
const REPOSITORY: &str = "someone/tiny-vit";

/// A folder with a hub's cache, and pictures of two classes.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        for (class, base) in [("dark", 10), ("light", 140)] {
            let folder = place.path().join("pictures").join(class);
            fs::create_dir_all(&folder).unwrap();
            for number in 0..8_u32 {
                let value = |at: u32| (base + (at * (7 + number)) % 97) as u8;
                let bytes: Vec<u8> = (0..3 * 40 * 30).map(value).collect();
                let file = fs::File::create(folder.join(format!("{number}.png"))).unwrap();
                let mut encoder = png::Encoder::new(file, 40, 30);
                encoder.set_color(png::ColorType::Rgb);
                encoder.write_header().unwrap().write_image_data(&bytes).unwrap();
            }
        }
        place
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// The exit code and all that was told; `variables` come on top of the address of the hub.
    fn program(&self, address: &str, variables: &[(&str, &str)], line: &str) -> (Option<i32>, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bridle-bench"));
        command
            .args(line.split_whitespace())
            .current_dir(self.path())
            .stdin(Stdio::null());
        for variable in ["BRIDLE_DATA", "HF_HUB_OFFLINE", "HF_TOKEN", "http_proxy", "HTTP_PROXY"] {
            command.env_remove(variable);
        }
        command
            .env("HF_HOME", self.path().join("hub"))
            .env("HF_ENDPOINT", address);
        let output = command.envs(variables.iter().copied()).output().unwrap();
        let told = [output.stderr, output.stdout].concat();
        (output.status.code(), String::from_utf8(told).unwrap())
    }

    fn done(&self, address: &str, line: &str) -> String {
        let (code, told) = self.program(address, &[], line);
        assert_eq!(code, Some(0), "{line}: {told}");
        told
    }

    fn refusal(&self, address: &str, code: i32, line: &str) -> String {
        let (found, told) = self.program(address, &[], line);
        assert_eq!(found, Some(code), "{line}: {told}");
        assert!(!told.contains("panicked"), "{told}");
        told
    }

    fn cache(&self) -> PathBuf {
        self.path().join("hub/hub/models--someone--tiny-vit")
    }
}

/// The files of a model in a folder.
fn fixture(name: &str) -> Vec<(String, Vec<u8>)> {
    let committed = || Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/encoders");
    let root = std::env::var_os("BRIDLE_ENCODERS").map_or_else(committed, PathBuf::from);
    let files = fs::read_dir(root.join(name).join("model")).unwrap();
    let read = |path: PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        (name, fs::read(path).unwrap())
    };
    files.map(|file| read(file.unwrap().path())).collect()
}

/// A hub whose one repository has these files; weights lie beside git.
fn hub(files: &[(&str, &[u8])]) -> Hub {
    let stored = files
        .iter()
        .map(|(name, content)| Stored::new((*name).to_owned(), content.to_vec(), name.contains("safetensors")));
    Hub::of(REPOSITORY, stored.collect())
}

/// The fixture, among what repositories hold beside it.
fn usual() -> Hub {
    let files = fixture("vit-hf");
    let mut files: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (&**name, &**bytes)).collect();
    let beside: [(&str, &[u8]); 5] = [
        ("README.md", b"# a card"),
        ("pytorch_model.bin", b"other weights, which do not win"),
        ("tf_model.h5", b"of another program"),
        ("onnx/model.onnx", b"of a third"),
        ("optimizer.pt", b"what training left"),
    ];
    files.extend(beside);
    hub(&files)
}

const RUN: &str = "run --task ./pictures --preset smoke --protocol knn --init";

#[test]
fn a_model_is_fetched_once_and_pinned_in_the_record() {
    let (place, hub) = (Place::new(), usual());
    let model = "hub:someone/tiny-vit";
    // looking fetches nothing
    let told = place.refusal(&hub.address, 3, &format!("check --task ./pictures --init {model}"));
    assert!(
        told.contains("is not on this machine") && told.contains("bridle-bench fetch hub:"),
        "{told}"
    );
    let told = place.done(&hub.address, &format!("fetch {model} --dry-run"));
    assert!(
        told.contains(&format!("at revision {COMMIT}")) && told.contains("3 files"),
        "{told}"
    );
    assert!(!place.cache().exists());

    let told = place.done(&hub.address, &format!("{RUN} {model}"));
    assert!(
        told.contains("config.json, model.safetensors, preprocessor_config.json"),
        "{told}"
    );
    assert!(told.contains("someone/tiny-vit: recognised as vit"), "{told}");
    let mut there: Vec<String> = fs::read_dir(place.cache().join("snapshots").join(COMMIT))
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    there.sort();
    assert_eq!(there, ["config.json", "model.safetensors", "preprocessor_config.json"]);
    let records = store::find(&[place.path().join("results/records")]).unwrap();
    let [(_, record)] = &records[..] else {
        panic!("one record")
    };
    assert_eq!(record.plan["foreign.source"], format!("{model}@{COMMIT}"));
    assert_eq!(record.plan["foreign.name"], "someone/tiny-vit");
    assert!(record.plan["foreign.sha256"].as_str().unwrap().len() == 64);
    let table = place.done("http://127.0.0.1:9", "table");
    assert!(table.contains("someone/tiny-vit"), "{table}");

    // the record says where to find it again
    let path = records[0].0.display();
    let told = place.done(&hub.address, &format!("reproduce {path} --task ./pictures"));
    assert!(told.contains("equal to the bit"), "{told}");

    // from now on nobody is asked, whatever `main` is and wherever the hub
    let gone = "http://127.0.0.1:9";
    place.done(gone, &format!("{RUN} {model} --fresh"));
    place.done(gone, &format!("{RUN} {model} --offline"));
    place.done(gone, &format!("check --task ./pictures --init {model}"));
    place.done(gone, &format!("features --init {model} --files pictures"));
    // by its commit it is another request, which finds the files there
    hub.misbehave(Fault::None, 0, 1);
    place.done(
        &hub.address,
        &format!("features --init {model}@{COMMIT} --files pictures"),
    );
    assert_eq!(hub.state.lock().unwrap().answers, 0, "files were fetched twice");
    // a file that changed is fetched again; without the network it is an error
    let weights = place.cache().join("snapshots").join(COMMIT).join("model.safetensors");
    let whole = fs::read(&weights).unwrap();
    fs::write(&weights, &whole[1..]).unwrap();
    let told = place.refusal(gone, 3, &format!("{RUN} {model} --offline"));
    assert!(told.contains("not wholly in") || told.contains("missing"), "{told}");
    place.done(&hub.address, &format!("{RUN} {model} --fresh"));
    assert_eq!(fs::read(&weights).unwrap(), whole);
}

#[test]
fn what_the_hub_does_not_give_is_named() {
    let place = Place::new();
    let none = "http://127.0.0.1:9";
    for word in [
        "hub:",
        "hub:bert",
        "hub:../..",
        "hub:a/..",
        "hub:a/b@../c",
        "hub:a/b/../c.pt",
        "hub:a/b/*.pt",
    ] {
        let told = place.refusal(none, 2, &format!("{RUN} {word}"));
        assert!(told.contains("does not name a model on the hub"), "{told}");
        place.refusal(none, 2, &format!("fetch {word}"));
        place.refusal(none, 2, &format!("features --files pictures --init {word}"));
    }
    let told = place.refusal(none, 3, &format!("{RUN} hub:someone/tiny-vit --offline"));
    assert!(told.contains("it was never fetched to there"), "{told}");

    let hub = usual();
    let told = place.refusal(&hub.address, 3, &format!("{RUN} hub:someone/other"));
    assert!(
        told.contains("someone/other") && told.contains("does not exist"),
        "{told}"
    );
    // gated: the listing is open, or not
    for status in [401, 403] {
        hub.state.lock().unwrap().listing = Some(status);
        let told = place.refusal(&hub.address, 3, &format!("{RUN} hub:someone/tiny-vit"));
        assert!(told.contains("accept the terms") && told.contains("HF_TOKEN"), "{told}");
    }
    hub.state.lock().unwrap().listing = None;
    hub.state.lock().unwrap().token = Some("secret".to_owned());
    place.refusal(&hub.address, 3, &format!("{RUN} hub:someone/tiny-vit"));
    let (code, told) = place.program(
        &hub.address,
        &[("HF_TOKEN", "secret")],
        "features --init hub:someone/tiny-vit --files pictures",
    );
    assert_eq!(code, Some(0), "{told}");
    assert!(!told.contains("secret"), "{told}");
    // a revision that is gone
    hub.state.lock().unwrap().token = None;
    hub.state.lock().unwrap().listing = Some(404);
    let told = place.refusal(&hub.address, 3, &format!("{RUN} hub:someone/tiny-vit@v9"));
    assert!(told.contains("does not exist") && told.contains("revision"), "{told}");
}

#[test]
fn weights_are_told_from_what_lies_beside_them() {
    let place = Place::new();
    let files = fixture("vit-hf");
    let of = |name: &str| -> &[u8] { &files.iter().find(|(found, _)| found == name).unwrap().1 };
    let (config, weights) = (of("config.json"), of("model.safetensors"));
    let preprocessor = of("preprocessor_config.json");

    let empty = hub(&[("README.md", b"words"), ("config.json", config), ("tf_model.h5", b"x")]);
    let told = place.refusal(&empty.address, 3, &format!("{RUN} hub:someone/tiny-vit@a"));
    assert!(told.contains("has no weights"), "{told}");

    // none by transformers' names: the only one, or the one that is named
    let one = hub(&[
        ("config.json", config),
        ("preprocessor_config.json", preprocessor),
        ("vit.safetensors", weights),
        ("optimizer.bin", b"x"),
    ]);
    place.done(&one.address, &format!("{RUN} hub:someone/tiny-vit@b"));
    let two = hub(&[
        ("config.json", config),
        ("preprocessor_config.json", preprocessor),
        ("vit.safetensors", weights),
        ("old.pt", b"x"),
    ]);
    let told = place.refusal(&two.address, 3, &format!("{RUN} hub:someone/tiny-vit@c"));
    assert!(
        told.contains("several files with weights: `old.pt`, `vit.safetensors`"),
        "{told}"
    );
    assert!(told.contains("hub:someone/tiny-vit/old.pt"), "{told}");
    let told = place.done(
        &two.address,
        &format!("{RUN} hub:someone/tiny-vit/vit.safetensors@c --fresh"),
    );
    assert!(
        told.contains("someone/tiny-vit/vit.safetensors: recognised as vit"),
        "{told}"
    );

    // what is fetched is still held to be what it says
    let other = hub(&[("config.json", config), ("model.safetensors", b"no weights")]);
    let told = place.refusal(&other.address, 3, &format!("{RUN} hub:someone/tiny-vit@d"));
    assert!(
        told.contains("someone/tiny-vit") && told.contains("holds no weights"),
        "{told}"
    );
}

#[test]
fn a_published_encoder_comes_back_from_a_hub() {
    let place = Place::new();
    let pretrain = "run --task ./pictures --preset smoke --quantizer rq --set data.side=64 --set quantizer.codes=8 \
                    --set pretrain.encoder.epochs=1 --set pretrain.encoder.warmup_epochs=0 --set pretrain.rounds=1 \
                    --set model.estimator.depth=1 --set model.decoder.dim=32 --set model.decoder.depth=1 --protocol knn";
    let none = "http://127.0.0.1:9";
    place.done(none, pretrain);
    let records = store::find(&[place.path().join("results/records")]).unwrap();
    let (path, own) = records.iter().find(|(_, record)| record.method() == "bridle").unwrap();
    place.done(none, &format!("export {} --card published", path.display()));
    let card = fs::read_dir(place.path().join("published"))
        .unwrap()
        .map(|file| file.unwrap().path());
    let files: Vec<(String, Vec<u8>)> = card
        .map(|path| {
            (
                path.file_name().unwrap().to_string_lossy().into_owned(),
                fs::read(&path).unwrap(),
            )
        })
        .collect();
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (&**name, &**bytes)).collect();
    let hub = hub(&files);
    place.done(
        &hub.address,
        "run --task ./pictures --preset smoke --set data.side=64 --init hub:someone/tiny-vit --protocol knn --out back",
    );
    let back = store::find(&[place.path().join("back")]).unwrap();
    let back = back.iter().find(|(_, record)| record.method() == "init").unwrap();
    assert_eq!(back.1.scores, own.scores);
    assert_eq!(back.1.plan["init.name"], format!("hub:someone/tiny-vit@{COMMIT}"));
}
