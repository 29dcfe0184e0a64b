//! The lines of Python in suite/JUDGE.md make a file that `judge` takes. They are run where python3 has
//! numpy and torch; timm and Pillow, which would fetch weights, have stand-ins of a few lines.

#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

use bridle_bench::embeddings::Embeddings;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

/// A model and a transform by timm's names: the mean colour of each quarter of a picture.
const TIMM: &str = r#"
import types, torch

class Quarters(torch.nn.Module):
    def forward(self, pictures):
        return torch.nn.functional.adaptive_avg_pool2d(pictures, 2).flatten(1)

def create_model(name, pretrained, num_classes):
    assert pretrained and num_classes == 0
    return Quarters()

data = types.SimpleNamespace(
    resolve_model_data_config=lambda model: {"input_size": (3, 8, 8)},
    create_transform=lambda input_size, is_training: lambda picture: torch.tensor(picture.values).reshape(input_size),
)
"#;

/// Opens files of plain numbers, whatever their name.
const PIL: &str = r#"
class Picture:
    def __init__(self, path):
        self.values = [float(word) for word in path.read_text().split()]

    def convert(self, mode):
        assert mode == "RGB"
        return self

def open(path):
    return Picture(path)
"#;

/// The block of Python in the page.
fn lines() -> String {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("suite/JUDGE.md")).unwrap();
    let (_, after) = page.split_once("```python\n").unwrap();
    after.split_once("```").unwrap().0.to_owned()
}

#[test]
fn the_documented_lines_of_python_make_a_file_that_judge_reads() {
    let has_both = Command::new("python3").args(["-c", "import numpy, torch"]).output();
    if !has_both.is_ok_and(|output| output.status.success()) {
        println!("judge: not run: python3 has no numpy and torch");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::create_dir_all(folder.join("stand-ins/PIL")).unwrap();
    fs::write(folder.join("stand-ins/timm.py"), TIMM).unwrap();
    fs::write(folder.join("stand-ins/PIL/__init__.py"), "").unwrap();
    fs::write(folder.join("stand-ins/PIL/Image.py"), PIL).unwrap();
    fs::create_dir_all(folder.join("pictures/a")).unwrap();
    for number in 0..3 {
        let values: Vec<String> = (0..192).map(|place| ((place * (number + 1)) % 7).to_string()).collect();
        fs::write(folder.join(format!("pictures/a/{number}.jpg")), values.join(" ")).unwrap();
    }
    let paths = std::env::join_paths(
        std::iter::once(folder.join("stand-ins"))
            .chain(std::env::var_os("PYTHONPATH").iter().flat_map(std::env::split_paths)),
    );
    let output = Command::new("python3")
        .args(["-c", &lines()])
        .env("PYTHONPATH", paths.unwrap())
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let embeddings = Embeddings::read(&folder.join("embeddings.npz")).unwrap();
    assert_eq!(embeddings.dim, 12);
    let all = BTreeSet::from([0, 1, 2]);
    let found = embeddings.matched("pictures", &["a/0.jpg", "a/1.jpg", "a/2.jpg"], &all, Some(&[]));
    found.unwrap();
}
