//! Tasks of speech on the real program: every method from sound to words, stops and resumption, and bad input by name.
//!
//! The sound is made here: a "word" is a tone, a sentence is three to five of them with gaps, so that seconds of training
//! suffice to recognise them. What needs recorded speech says so where there is none.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test stops at what it cannot read")]

mod python;

use bridle::weights::{Weights, from_safetensors};
use bridle_results::record::RunRecord;
use bridle_results::store;
use bridle_seed::Seed;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const RATE: u32 = 16_000;
/// Words and the tones that stand for them, in hertz.
const WORDS: [(&str, f32); 4] = [("LOW", 300.0), ("MID", 800.0), ("HIGH", 1_700.0), ("TOP", 3_400.0)];

/// What makes a run short: the plan's values that cost time.
const SHORT: &str = "--task tones.toml --preset smoke --set data.mels=24 --set model.dim=16 --set finetune.batch=8 \
                     --set finetune.utterances=none";
/// The same of pretraining.
const PRETRAINED: &str = "--set pretrain.batch=8 --set quantizer.codes=16 --set quantizer.code_dim=8";

fn wav(samples: &[f32], rate: u32, channels: u16) -> Vec<u8> {
    let data = samples.len() as u32 * 4;
    let mut bytes = Vec::new();
    bytes.extend(b"RIFF");
    bytes.extend((36 + data).to_le_bytes());
    bytes.extend(b"WAVEfmt ");
    bytes.extend(16u32.to_le_bytes());
    // 32-bit floating point
    bytes.extend(3u16.to_le_bytes());
    bytes.extend(channels.to_le_bytes());
    bytes.extend(rate.to_le_bytes());
    bytes.extend((rate * u32::from(channels) * 4).to_le_bytes());
    bytes.extend((channels * 4).to_le_bytes());
    bytes.extend(32u16.to_le_bytes());
    bytes.extend(b"data");
    bytes.extend(data.to_le_bytes());
    samples.iter().for_each(|sample| bytes.extend(sample.to_le_bytes()));
    bytes
}

/// A sentence and its sound.
fn sentence(seed: &Seed) -> (String, Vec<f32>) {
    let mut stream = seed.stream();
    let (mut words, mut samples) = (Vec::new(), Vec::new());
    let gap = |stream: &mut bridle_seed::Stream, samples: &mut Vec<f32>| {
        let length = RATE as usize * (60 + stream.below(80)) / 1000;
        samples.extend((0..length).map(|_| 0.002 * stream.normal()));
    };
    for _ in 0..3 + stream.below(3) {
        gap(&mut stream, &mut samples);
        let (word, tone) = WORDS[stream.below(WORDS.len())];
        words.push(word);
        let length = RATE as usize * (150 + stream.below(100)) / 1000;
        let step = tone * std::f32::consts::TAU / RATE as f32;
        samples.extend((0..length).map(|i| 0.3 * (step * i as f32).sin() + 0.002 * stream.normal()));
    }
    gap(&mut stream, &mut samples);
    (words.join(" "), samples)
}

/// A folder with a task file, its table and its sounds.
struct Tones {
    folder: tempfile::TempDir,
}

impl Tones {
    fn new(train: usize, test: usize) -> Self {
        let tones = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let mut table = "path,text,split,speaker\n".to_owned();
        for number in 0..train + test {
            let (text, samples) = sentence(&Seed::root(7).indexed(number as u64));
            let split = if number < train { "train" } else { "test" };
            writeln!(table, "{number}.wav,{text},{split},voice-{}", number % 2).unwrap();
            tones.write(&format!("{number}.wav"), &wav(&samples, RATE, 1));
        }
        tones.write("tones.csv", table.as_bytes());
        tones.write(
            "tones.toml",
            b"name = \"tones\"\nmodality = \"speech\"\ncsv = \"tones.csv\"\n",
        );
        tones
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path().join(name), bytes).unwrap();
    }

    /// Adds a row to the table.
    fn row(&self, row: &str) {
        let table = self.path().join("tones.csv");
        let text = fs::read_to_string(&table).unwrap();
        fs::write(table, format!("{text}{row}\n")).unwrap();
    }

    /// Runs to the end and gives the record.
    fn record(&self, line: &str) -> RunRecord {
        finish(self.path(), &format!("run {SHORT} {line} --format json"))
    }

    /// Runs into an error: the exit code and what is told.
    fn error(&self, line: &str) -> (i32, String) {
        let output = bench(self.path(), &format!("{line} {SHORT}"));
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code().unwrap(), told)
    }
}

fn bench(folder: &Path, line: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bridle-bench"));
    command.args(line.split_whitespace()).current_dir(folder);
    command.stdin(Stdio::null()).output().unwrap()
}

fn finish(folder: &Path, line: &str) -> RunRecord {
    let output = bench(folder, line);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}: {told}");
    let path = told.lines().find_map(|line| line.strip_prefix("record: "));
    store::read(&folder.join(path.unwrap_or_else(|| panic!("{line}: no record in {told}")))).unwrap()
}

/// Steps in the log of pretraining, wherever it lies below `folder`.
fn logged(folder: &Path) -> usize {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let lines = |path: PathBuf| match path.file_name().and_then(|name| name.to_str()) {
        _ if path.is_dir() => logged(&path),
        Some("metrics.jsonl") => fs::read_to_string(path).map_or(0, |text| text.lines().count()),
        _ => 0,
    };
    entries.flatten().map(|entry| lines(entry.path())).sum()
}

fn error_rate(record: &RunRecord, protocol: &str) -> f64 {
    record.score(protocol, "wer").unwrap().value.unwrap()
}

/// The folder `name` within `$BRIDLE_DATA`; without it the test says so, and fails where `$BRIDLE_REQUIRE_DATA` is 1.
fn outside_data(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("BRIDLE_DATA").map(|data| PathBuf::from(data).join(name));
    let folder = folder.filter(|folder| folder.is_dir());
    if folder.is_none() {
        let required = std::env::var("BRIDLE_REQUIRE_DATA").is_ok_and(|value| value == "1");
        assert!(!required, "needs outside data: {name}, and $BRIDLE_REQUIRE_DATA is 1");
        eprintln!("needs outside data: {name}");
    }
    folder
}

#[test]
fn every_method_goes_from_sound_to_words() {
    let tones = Tones::new(48, 12);
    let methods = [
        ("--method scratch", 0),
        ("--method best-rq", 1),
        ("--method birq", 1),
        ("--method relabel --set relabel.clusters=8", 2),
        ("--quantizer rq", 3),
        ("--quantizer vq", 3),
        ("--quantizer fsq --set quantizer.sizes=[4,4]", 3),
    ];
    for (method, phases) in methods {
        let pretrained = match phases {
            0 => "",
            // it has no values of codebooks
            _ if method.contains("fsq") => "--set pretrain.batch=8",
            _ => PRETRAINED,
        };
        let record = tones.record(&format!("{method} {pretrained}"));
        assert_eq!(record.phases.len(), phases, "{method}");
        let named: Vec<(&str, &str)> = record
            .scores
            .iter()
            .map(|score| (&*score.protocol, &*score.metric))
            .collect();
        let all = [
            ("finetune", "wer"),
            ("finetune", "cer"),
            ("finetune-beam", "wer"),
            ("finetune-beam", "cer"),
        ];
        assert_eq!(named, all, "{method}");
        let wer = record.score("finetune", "wer").unwrap();
        assert_eq!((wer.n, wer.details["train_n"].as_u64()), (12, Some(48)), "{method}");
        for phase in &record.phases {
            let labels = phase.labels.as_ref().unwrap();
            // the table names voices, and says nothing of when words are said
            assert_eq!(labels.annotations.keys().collect::<Vec<_>>(), ["speaker"], "{method}");
            assert!(
                phase.loss.last.is_finite() && phase.codebooks.iter().all(|level| level.used > 1),
                "{method}"
            );
        }
    }
    let compared = bench(
        tones.path(),
        "compare results/records/tones/birq-random results/records/tones/best-rq-random",
    );
    let told = String::from_utf8_lossy(&compared.stdout);
    assert!(compared.status.success() && told.contains("wer"), "{told}");
    // encoder files hold the encoders of the other tasks
    let records = store::find(&[tones.path().join("results/records/tones/birq-random")]).unwrap();
    let (code, told) = {
        let output = bench(
            tones.path(),
            &format!("export {} --to x.safetensors", records[0].0.display()),
        );
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    assert!(code == Some(2) && told.contains("encoder of speech"), "{told}");
    published(tones.path(), &records[0].0);
}

/// A folder for others holds an encoder of speech with what standardises its inputs.
fn published(folder: &Path, record: &Path) {
    let line = format!("export {} --card card", record.display());
    let told = String::from_utf8(bench(folder, &line).stderr).unwrap();
    assert!(told.contains("--task FILE"), "{told}");
    let output = bench(folder, &format!("{line} --task tones.toml"));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && told.contains("bridle_speech.py"), "{told}");
    let config = fs::read(folder.join("card/config.json")).unwrap();
    let config: serde_json::Value = serde_json::from_slice(&config).unwrap();
    assert_eq!(
        config["mean"].as_array().map(Vec::len),
        config["mels"].as_u64().map(|mels| mels as usize)
    );
    let card = fs::read_to_string(folder.join("card/README.md")).unwrap();
    assert!(
        card.contains("automatic-speech-recognition") && card.contains("| wer |"),
        "{card}"
    );
    if let Some(python) = python::interpreter("the lines of a card of speech", "safetensors, torch") {
        let [lines] = &python::blocks(&card)[..] else {
            panic!("a card has one block of Python")
        };
        let told = python::run(&python, folder, &format!("{lines}\nprint(tuple(features.shape))"));
        // a second has 98 frames of 10 ms
        let dim = config["dim"].as_u64().unwrap();
        let frames = 98 / config["stacked"].as_u64().unwrap();
        assert_eq!(told.trim(), format!("(1, {frames}, {dim})"));
    }
}

#[test]
fn words_and_letters_are_learnt_and_a_language_model_is_heeded() {
    let tones = Tones::new(64, 16);
    let longer = "--method scratch --set finetune.epochs=30 --set finetune.rate=5e-3 --set finetune.mel_mask=0";
    let words = tones.record(&format!("{longer} --set finetune.symbols=words"));
    assert!(
        error_rate(&words, "finetune") < 0.1,
        "{}",
        error_rate(&words, "finetune")
    );
    assert!(error_rate(&words, "finetune-beam") < 0.1);
    // a model that knows one word makes everything that word, if it weighs enough
    tones.write(
        "one.arpa",
        b"\\data\\\nngram 1=3\n\n\\1-grams:\n-1.0 </s>\n-99 <s>\n-0.1 LOW\n\n\\end\\\n",
    );
    let one = "--set finetune.symbols=words --lm one.arpa --set decoding.lm_weight=50 --set decoding.beam=16";
    let with_model = tones.record(&format!("{longer} {one}"));
    assert_ne!(with_model.plan_hash, words.plan_hash);
    assert!(error_rate(&with_model, "finetune-beam") > error_rate(&with_model, "finetune") + 0.3);
}

#[test]
fn a_run_that_is_killed_and_resumed_ends_in_the_same_record() {
    // 24 steps of relabel, 30 of rq, 12 of best-rq, whose second book learns from the fourth on
    for (method, kills) in [
        (
            "--method relabel --set relabel.clusters=8 --set refine.projection=pca",
            [2, 9, 14],
        ),
        ("--quantizer rq", [2, 9, 14]),
        ("--method best-rq --set refine.distilled_codes=12", [2, 5, 8]),
    ] {
        let options = format!("{method} {PRETRAINED} --set pretrain.encoder.epochs=2");
        let unbroken = Tones::new(48, 8).record(&options);
        let tones = Tones::new(48, 8);
        let line = format!("run {SHORT} {options} --checkpoint-every 0 --resume");
        // every start gets some steps further before it is killed
        for steps in kills {
            let mut command = Command::new(env!("CARGO_BIN_EXE_bridle-bench"));
            command.args(line.split_whitespace()).current_dir(tones.path());
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            let mut child = command.spawn().unwrap();
            while logged(&tones.path().join("runs")) < steps {
                assert_eq!(child.try_wait().unwrap(), None, "{method}: over before step {steps}");
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
            child.kill().unwrap();
            child.wait().unwrap();
        }
        let resumed = finish(tones.path(), &line);
        let differences = resumed.differences(&unbroken).unwrap();
        assert!(differences.is_empty(), "{method}: {differences:?}");
    }
}

/// The head learns, at whatever rate, and the encoder stays what it was.
#[test]
fn the_encoder_rests_while_the_head_learns_alone() {
    let tones = Tones::new(16, 8);
    let weights = |options: &str| {
        let line = format!("run {SHORT} --method scratch --set finetune.epochs=3 --checkpoint-every 0 {options}");
        let record = finish(tones.path(), &line);
        let runs = fs::read_dir(tones.path().join("runs/tones/scratch")).unwrap();
        let mut runs = runs.map(|entry| entry.unwrap().path());
        let of_plan = |run: &PathBuf| {
            run.file_name()
                .unwrap()
                .to_str()
                .unwrap()
                .starts_with(&record.plan_hash)
        };
        let files = fs::read_dir(runs.find(of_plan).unwrap().join("finetune")).unwrap();
        let newest = files.map(|entry| entry.unwrap().path()).max().unwrap();
        from_safetensors(&fs::read(newest).unwrap()).unwrap().0
    };
    let part = |weights: &Weights, name: &str| {
        weights
            .iter()
            .filter(|(key, _)| key.starts_with(name))
            .map(|(_, values)| values.clone())
            .collect::<Vec<_>>()
    };
    let (slow, quick) = (
        weights("--set finetune.head_epochs=3"),
        weights("--set finetune.head_epochs=3 --set finetune.rate=2e-3"),
    );
    assert!(!part(&slow, "model.encoder.").is_empty());
    assert_eq!(part(&slow, "model.encoder."), part(&quick, "model.encoder."));
    assert_ne!(part(&slow, "model.head."), part(&quick, "model.head."));
    let both = weights("--set finetune.head_epochs=1");
    assert_ne!(part(&slow, "model.encoder."), part(&both, "model.encoder."));
}

#[test]
fn codes_that_follow_their_frames_and_several_books_train() {
    let tones = Tones::new(32, 8);
    let refined =
        "--method best-rq --set quantizer.levels=3 --set refine.projection=pca --set refine.centroids_every=2";
    let record = tones.record(refined);
    assert_eq!(record.phases[0].codebooks.len(), 3);
    let plain = tones.record("--method best-rq --set quantizer.levels=3 --set refine.projection=pca");
    let codes = |record: &RunRecord| {
        record.phases[0]
            .codebooks
            .iter()
            .map(|level| level.entropy_bits)
            .collect::<Vec<_>>()
    };
    assert_ne!(codes(&record), codes(&plain), "moved codes give other labels");
    let second = |from: f64| {
        let options = format!("--set refine.distilled_codes=12 --set refine.distilled_from={from:?} {PRETRAINED}");
        tones.record(&format!("--method best-rq {options}"))
    };
    let (learnt, drawn) = (second(0.3), second(0.99));
    let sizes: Vec<usize> = learnt.phases[0].codebooks.iter().map(|level| level.codes).collect();
    assert_eq!(sizes, [16, 12]);
    assert_eq!(
        codes(&learnt)[0].to_bits(),
        codes(&drawn)[0].to_bits(),
        "the first book stays as it is"
    );
    assert_ne!(
        codes(&learnt)[1].to_bits(),
        codes(&drawn)[1].to_bits(),
        "the second one learns"
    );
}

#[test]
fn bad_input_is_named_and_the_exit_code_says_whose_fault_it_is() {
    let told = |change: &dyn Fn(&Tones)| {
        let tones = Tones::new(6, 2);
        change(&tones);
        tones.error("check")
    };
    let (code, text) = told(&|tones| tones.row("0.wav,,train,voice-0"));
    assert!(
        code == 3 && text.contains("tones.csv") && text.contains("empty"),
        "{code} {text}"
    );
    let (code, text) = told(&|tones| {
        tones.write("9.wav", &wav(&[0.1; 16_000], RATE, 1));
        tones.row("9.wav,CAF\u{c9} 22,train,voice-0");
    });
    assert!(
        code == 3 && text.contains("U+00C9") && text.contains('2'),
        "{code} {text}"
    );
    let short = |tones: &Tones| {
        tones.write("9.wav", &wav(&[0.1; 1_600], RATE, 1));
        tones.row("9.wav,A VERY LONG SENTENCE FOR A TENTH OF A SECOND,train,voice-0");
    };
    let tones = Tones::new(6, 2);
    short(&tones);
    let output = bench(tones.path(), &format!("check {SHORT}"));
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("left out") && text.contains("9.wav"),
        "{text}"
    );
    let tones = Tones::new(6, 2);
    tones.write("9.wav", &wav(&[f32::NAN; 16_000], RATE, 1));
    tones.row("9.wav,LOW,train,voice-0");
    let output = bench(tones.path(), &format!("check {SHORT}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("9.wav"), "{text}");
    // other rates and channels are no fault
    let tones = Tones::new(6, 2);
    tones.write("9.wav", &wav(&[0.1; 96_000], 48_000, 2));
    tones.row("9.wav,LOW,train,voice-0");
    let output = bench(tones.path(), &format!("check {SHORT}"));
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("9 utterances"), "{text}");
}

#[test]
fn options_that_mean_nothing_here_and_broken_language_models_are_refused() {
    let tones = Tones::new(6, 2);
    tones.write("broken.arpa", b"\\data\\\nngram 1=2\n\n\\1-grams:\nx LOW\n");
    for (line, code, words) in [
        ("check --lm broken.arpa", 3, &["broken.arpa"][..]),
        ("check --lm missing.arpa", 3, &["missing.arpa"]),
        ("check --protocol knn", 2, &["knn", "transcripts"]),
        ("check --method bridle-joint", 2, &["bridle-joint", "speech"]),
        ("check --method best-rq --quantizer fsq", 2, &["--quantizer random"]),
        ("check --recipe corrected", 2, &["--recipe"]),
        ("check --set model.kernel=4", 2, &["model.kernel"]),
        ("check --set relabel.layer=1", 2, &["relabel.layer"]),
        ("check --method relabel --set relabel.layer=9", 2, &["relabel.layer"]),
        ("check --set decoding.beam=many", 2, &["decoding.beam"]),
    ] {
        let (found, told) = tones.error(line);
        assert_eq!(found, code, "{line}: {told}");
        assert!(words.iter().all(|word| told.contains(word)), "{line}: {told}");
    }
    let output = bench(tones.path(), "check --task synthetic --method relabel");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && told.contains("digits"), "{told}");
}

#[test]
fn check_judges_memory_time_and_steps_of_speech_as_they_turn_out() {
    let tones = Tones::new(40, 10);
    let short = SHORT
        .replace("model.dim=16", "model.dim=128")
        .replace("finetune.batch=8", "finetune.batch=40");
    let pretrained = PRETRAINED.replace("pretrain.batch=8", "pretrain.batch=40");
    let line = format!("{short} --method best-rq {pretrained} --set model.depth=4");
    let check = |line: &str| {
        let output = bench(tones.path(), &format!("check {line} --format json"));
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let verdicts: Vec<(String, String, usize)> = report["verdicts"]
            .as_array()
            .unwrap()
            .iter()
            .map(|verdict| {
                let word = |name: &str| verdict[name].as_str().unwrap().to_owned();
                (word("topic"), word("verdict"), verdict["set"].as_array().unwrap().len())
            })
            .collect();
        (report["needs"].clone(), verdicts, output.status.code())
    };
    let (needs, verdicts, code) = check(&line);
    let topics: Vec<&str> = verdicts.iter().map(|(topic, ..)| &topic[..]).collect();
    assert_eq!(topics, ["data", "device", "records", "memory", "disk", "steps"]);
    assert!(
        code == Some(0) && verdicts.iter().all(|(_, verdict, _)| verdict == "ok"),
        "{verdicts:?}"
    );
    assert!(needs["seconds"].is_null(), "no record tells the speed: {needs}");
    let record = finish(tones.path(), &format!("run {line} --format json"));
    let steps: Vec<u64> = record.phases.iter().map(|phase| phase.steps).collect();
    assert_eq!(needs["steps"], serde_json::json!(steps));
    let (told, measured) = (
        needs["memory_bytes"].as_f64().unwrap(),
        record.peak_memory_bytes.host.unwrap() as f64,
    );
    assert!(
        (measured / 1.5..measured * 1.5).contains(&told),
        "{told} bytes of {measured}"
    );
    // the same again takes as long, but for what is not training
    let (needs, ..) = check(&line);
    let (told, measured) = (needs["seconds"].as_f64().unwrap(), record.computing_seconds());
    assert!(
        (measured / 3.0..measured * 2.0).contains(&told),
        "{told} s of {measured}"
    );
    // more than any machine has; a batch in parts would do, if there were parts
    let huge = line.replace("model.dim=128", "model.dim=131072");
    let (_, verdicts, code) = check(&huge);
    assert!(code == Some(4) && verdicts[3].1 == "cannot", "{code:?} {verdicts:?}");
    let (_, verdicts, _) = check(&line.replace("--preset smoke", "--preset mini"));
    assert_eq!((&verdicts[5].0[..], &verdicts[5].1[..]), ("steps", "short"));
}

#[test]
fn all_utterances_of_librispeech_are_read_and_recognised() {
    let Some(data) = outside_data("librispeech-mini") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let line = format!(
        "run --task librispeech --method best-rq --preset smoke --data {} --format json",
        data.display()
    );
    let record = finish(folder.path(), &line);
    assert_eq!(record.data.counts.values().sum::<u64>(), 11);
    assert!(record.data.skipped.is_empty() && record.data.missing.is_none());
    assert!(error_rate(&record, "finetune").is_finite());
}

#[test]
fn connected_digits_know_their_words_and_speakers() {
    let Some(_) = outside_data("fsdd") else { return };
    let folder = tempfile::tempdir().unwrap();
    let line = "run --task digits --method birq --preset smoke --subset 60 --format json";
    let record = finish(folder.path(), line);
    let labels = record.phases[0].labels.as_ref().unwrap();
    assert_eq!(labels.annotations.keys().collect::<Vec<_>>(), ["speaker", "word"]);
    // the anchor label and the encoder's own
    assert_eq!(labels.annotations["word"].information_bits.len(), 2);
    assert!(labels.annotations["word"].entropy_bits > 3.0);
    // four speakers for training, each as often as the others
    assert!((labels.annotations["speaker"].entropy_bits - 2.0).abs() < 0.1);
}
