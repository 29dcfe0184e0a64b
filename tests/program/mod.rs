//! The real program in a folder of its own, and sounds for it.

#![allow(dead_code, reason = "each test uses a part")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Runs it in `folder`, with the words of a line.
pub fn program(folder: &Path, line: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bridle-bench"));
    command.args(line.split_whitespace()).current_dir(folder);
    command.stdin(Stdio::null()).env_remove("BRIDLE_DATA").output().unwrap()
}

/// What goes to stdout and to stderr; it succeeds.
pub fn said(folder: &Path, line: &str) -> [String; 2] {
    let output = program(folder, line);
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    assert!(output.status.success(), "{line}: {}", said[1]);
    said
}

/// What goes to stdout; it succeeds.
pub fn done(folder: &Path, line: &str) -> String {
    let [stdout, _] = said(folder, line);
    stdout
}

/// What was told; it fails with this code.
pub fn refusal(folder: &Path, code: i32, line: &str) -> String {
    let output = program(folder, line);
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{line}: {told}");
    told
}

/// Tones of two kinds, 12 files of each in `files`, of which no two are alike, and the task `tones.toml` of them with
/// so many bands.
pub fn write_tones(folder: &Path, mels: usize) {
    let form = hound::WavSpec {
        channels: 1,
        sample_rate: 16_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    for (class, pitch) in [("high", 900.0), ("low", 300.0)] {
        fs::create_dir_all(folder.join("files").join(class)).unwrap();
        for number in 0..12 {
            let path = folder.join(format!("files/{class}/{class}{number}.wav"));
            let mut file = hound::WavWriter::create(path, form).unwrap();
            for time in 0..12_000 {
                let turn = std::f32::consts::TAU * time as f32 / 16_000.0;
                let beat = (turn * (3.0 + number as f32)).sin();
                let value = 9000.0 * beat * (turn * (pitch + 31.0 * number as f32)).sin();
                file.write_sample(value as i16).unwrap();
            }
            file.finalize().unwrap();
        }
    }
    let task = format!(
        "name = \"tones\"\nmodality = \"audio\"\nfolder = \"files\"\nholdout = 0.5\n\
         [input]\nframes = 64\nmels = {mels}\nsample_rate = 16000\nmean = -5.0\nstd = 4.0\n"
    );
    fs::write(folder.join("tones.toml"), task).unwrap();
}
