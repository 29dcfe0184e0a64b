//! The real binary repeats what a record, a plan in a file or a preset file says, and explains every
//! value that it is made of.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use bridle_bench::plan::{AnyTask, Plan, PlanRequest, Written};
use bridle_results::record::RunRecord;
use bridle_results::store;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A plan of a few seconds with every kind of phase.
const PLAN: &str = "--task synthetic --quantizer rq --preset smoke --subset 40 --set data.frames=128 \
                    --set quantizer.codes=64 --set model.estimator.depth=1 --set probe.epochs=20 \
                    --set model.decoder.dim=32 --set model.decoder.depth=1 --set pretrain.encoder.epochs=2 \
                    --set pretrain.encoder.rate=1e-3";

fn program(folder: &Path, line: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bridle-bench"));
    command.args(line.split_whitespace()).current_dir(folder);
    command.stdin(Stdio::null()).env_remove("BRIDLE_DATA");
    command.env("HF_HOME", folder.join("hub"));
    command.output().unwrap()
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn shown(folder: &Path, line: &str) -> String {
    let output = program(folder, line);
    assert!(output.status.success(), "{line}: {}", told(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// What `check` says, whatever it misses.
fn checked(folder: &Path, options: &str) -> (Value, String) {
    let output = program(folder, &format!("check {options} --format json"));
    let report = serde_json::from_slice(&output.stdout);
    let report = report.unwrap_or_else(|error| panic!("{options}: {error}: {}", told(&output)));
    (report, told(&output))
}

/// The code and the message of a refusal.
fn refused(folder: &Path, line: &str) -> (i32, String) {
    let output = program(folder, line);
    assert!(!output.status.success(), "{line}");
    (output.status.code().unwrap(), told(&output))
}

/// Runs the short plan and gives the path of its record below `folder`.
fn run(folder: &Path, options: &str) -> PathBuf {
    shown(folder, &format!("run {PLAN} {options}"));
    let mut found = store::find(&[folder.join("results/records")]).unwrap();
    assert_eq!(found.len(), 1);
    found.remove(0).0.strip_prefix(folder).unwrap().to_owned()
}

#[test]
fn a_record_can_be_run_again_changed_and_reproduced_to_the_bit() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let path = run(folder, "--seed 5 --threads 1");
    let record = store::read(&folder.join(&path)).unwrap();
    let shown_path = path.display();

    let command = record.program.command.clone().unwrap();
    let words = format!("bridle-bench run {PLAN} --seed 5 --threads 1");
    assert_eq!(command, words.split_whitespace().collect::<Vec<_>>());

    let (report, said) = checked(folder, &format!("--from {shown_path}"));
    assert_eq!(report["plan_hash"], record.plan_hash.as_str());
    assert_eq!(report["plan"], Value::Object(record.plan.clone()));
    assert_eq!(report["seeds"], serde_json::json!([5]));
    assert!(
        said.contains("the same plan, seed, fold, backend and number type"),
        "{said}"
    );

    let change = "--seed 6 --set pretrain.encoder.epochs=3 --dtype bf16";
    let (report, said) = checked(folder, &format!("--from {shown_path} {change}"));
    assert_eq!(
        (&report["plan"]["pretrain.encoder.epochs"], &report["seeds"][0]),
        (&3.into(), &6.into())
    );
    assert_eq!(report["backend"]["dtype"], "bf16");
    let changes = "but pretrain.encoder.epochs 3 in place of 2; seed 6 in place of 5; dtype bf16 in place of fp32";
    assert!(said.contains(changes), "{said}");

    // another method keeps the data and the encoder, and takes the rest from the preset
    let (report, said) = checked(folder, &format!("--from {shown_path} --method random-init"));
    assert_eq!(
        (&report["plan"]["method"], &report["plan"]["data.frames"]),
        (&"random-init".into(), &128.into())
    );
    assert!(said.contains("method random-init in place of bridle"), "{said}");

    let equal = program(folder, &format!("reproduce {shown_path}"));
    let line = String::from_utf8(equal.stdout.clone()).unwrap();
    assert_eq!(equal.status.code(), Some(0), "{line}{}", told(&equal));
    assert!(line.contains("equal to the bit"), "{line}");
    assert!(folder.join("runs/reproduce/records/synthetic").is_dir());
    assert_eq!(
        store::find(&[folder.join("results/records")]).unwrap().len(),
        1,
        "nothing was replaced"
    );

    // a number that the run does not give
    let text = std::fs::read_to_string(folder.join(&path)).unwrap();
    let mut other: RunRecord = serde_json::from_str(&text).unwrap();
    other.scores[0].value = other.scores[0].value.map(|value| value - 0.125);
    std::fs::write(folder.join(&path), other.to_json().unwrap()).unwrap();
    let different = program(folder, &format!("reproduce {shown_path} --format json"));
    assert_eq!(different.status.code(), Some(10), "{}", told(&different));
    let found: Value = serde_json::from_slice(&different.stdout).unwrap();
    assert_eq!(found[0]["verdict"], "different");
    let first = found[0]["differences"][0].as_str().unwrap();
    assert!(first.starts_with("score linear-probe top1 value: "), "{first}");
    let within = program(folder, &format!("reproduce {shown_path} --rounding 0.5"));
    let line = String::from_utf8(within.stdout.clone()).unwrap();
    assert!(within.status.success() && line.contains("within rounding"), "{line}");

    // a backend that is not here
    if !cfg!(feature = "cuda") {
        other.backend.name = "cuda".to_owned();
        std::fs::write(folder.join("cuda.json"), other.to_json().unwrap()).unwrap();
        let skipped = program(folder, "reproduce cuda.json");
        let line = String::from_utf8_lossy(&skipped.stdout).into_owned();
        assert!(
            skipped.status.code() == Some(4) && line.contains("skipped: "),
            "{line}{}",
            told(&skipped)
        );
    }
}

#[test]
fn a_record_whose_data_is_not_here_is_skipped_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let records = Path::new(env!("CARGO_MANIFEST_DIR")).join("results/records/esc50/random-init");
    let found = store::find(&[records]).unwrap();
    let line = format!("reproduce {} --offline", found[0].0.display());
    let skipped = program(folder.path(), &line);
    let said = String::from_utf8_lossy(&skipped.stdout).into_owned();
    assert_eq!(skipped.status.code(), Some(3), "{said}{}", told(&skipped));
    assert!(said.contains("skipped: no folder for the esc50 data"), "{said}");
}

#[test]
fn every_committed_record_gives_its_own_plan_again() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = ["records", "ablations", "small-sets", "smoke"].map(|folder| root.join("results").join(folder));
    let (mut same, mut older) = (0, Vec::new());
    for (path, record) in store::find(&folders).unwrap() {
        // one's own data needs its task file
        if AnyTask::find(record.task()).is_err() {
            continue;
        }
        let written = Written::of_record(path.display().to_string(), record.plan.clone());
        let request = PlanRequest {
            written: Some(written.clone()),
            ..PlanRequest::default()
        };
        let plan = Plan::resolve(&request).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let plan = match written.variant() {
            Some(variant) => plan.with_variant(variant),
            None => plan,
        };
        if plan.plan_hash() == record.plan_hash {
            assert_eq!(plan.to_flat(), record.plan, "{}", path.display());
            same += 1;
        } else {
            older.extend(written.changes(&plan.to_flat()).into_iter().map(|change| change.key));
        }
    }
    assert!(same > 50, "{same} records");
    // the one value that came after a record
    assert_eq!(older, ["pretrain.transductive"]);
}

#[test]
fn a_plan_in_a_file_is_the_plan_that_was_printed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for options in [
        "--task esc50 --quantizer vq",
        "--task esc50 --method bridle-joint --subset 10 --set pretrain.accumulate=2",
        "--task audioset --preset paper --protocol linear-probe,knn,finetune,attentive-probe",
        "--task esc50 --method random-init",
        "--task imagenet --recipe corrected --quantizer fsq",
        "--task kinetics --method birq",
        "--task digits --method relabel",
        "--task synthetic --preset smoke",
    ] {
        let printed = program(folder, &format!("check {options} --format toml"));
        std::fs::write(folder.join("plan.toml"), &printed.stdout).unwrap();
        let (first, _) = checked(folder, options);
        let (second, said) = checked(folder, "--plan plan.toml");
        assert_eq!(first["plan"], second["plan"], "{options}");
        assert_eq!(first["plan_hash"], second["plan_hash"], "{options}");
        assert!(said.contains("as plan.toml: the same plan"), "{said}");
    }
}

#[test]
fn a_plan_in_a_file_is_refused_by_the_value_that_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let printed = program(folder, "check --task esc50 --format toml");
    let right = String::from_utf8(printed.stdout).unwrap();
    let with = |from: &str, to: &str| {
        assert!(right.contains(from), "{from} in {right}");
        std::fs::write(folder.join("plan.toml"), right.replacen(from, to, 1)).unwrap();
        refused(folder, "check --plan plan.toml")
    };
    for (from, to, said) in [
        (
            "\n[pretrain]\n",
            "\n[pretrain]\nbacth = 3\n",
            "unknown plan value `pretrain.bacth`; did you mean `pretrain.batch`?",
        ),
        (
            "\n[pretrain]\n",
            "\n[joint]\nevery = 2\n[pretrain]\n",
            "`joint.every` means nothing here",
        ),
        (
            "kind = \"audio\"",
            "kind = \"image\"",
            "`data.kind`, a fact of the data, is audio here and image in plan.toml",
        ),
        (
            "version = 1",
            "version = 7",
            "`data.version`, a fact of the data, is 1 here and 7 in plan.toml",
        ),
        ("dim = 128", "dim = \"wide\"", "the values of plan.toml"),
        ("dim = 128", "dim = 130", "`model.dim`"),
        ("task = \"esc50\"", "task = \"ecs50\"", "unknown task `ecs50`"),
        ("task = \"esc50\"\n", "", "it names no `task`"),
        ("task = ", "task == ", "`plan.toml` is no plan"),
    ] {
        let (code, told) = with(from, to);
        assert!(code == 2 && told.contains(said), "{to}: {code} {told}");
    }
    // the variant of the data is known only when it is opened
    std::fs::write(
        folder.join("plan.toml"),
        right.replace("variant = \"none\"", "variant = \"original-44k\""),
    )
    .unwrap();
    let (code, told) = refused(folder, "check --plan plan.toml");
    assert!(code == 3 && told.contains("no folder for the esc50 data"), "{told}");
    let synthetic =
        String::from_utf8(program(folder, "check --task synthetic --preset smoke --format toml").stdout).unwrap();
    let variant = synthetic.lines().find(|line| line.starts_with("variant = ")).unwrap();
    std::fs::write(
        folder.join("plan.toml"),
        synthetic.replace(variant, "variant = \"louder\""),
    )
    .unwrap();
    let (code, told) = refused(folder, "check --plan plan.toml");
    assert!(
        code == 3 && told.contains("but that of plan.toml is `louder`"),
        "{told}"
    );
    // what was changed is said
    std::fs::write(folder.join("plan.toml"), right.replace("batch = 16", "batch = 8")).unwrap();
    let (report, said) = checked(folder, "--plan plan.toml --set pretrain.batch=4");
    assert_eq!(report["plan"]["pretrain.batch"], 4);
    assert!(said.contains("but pretrain.batch 4 in place of 8"), "{said}");
}

#[test]
fn a_preset_file_of_ones_own_changes_another_preset() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let write = |text: &str| std::fs::write(folder.join("my.toml"), text).unwrap();
    write(
        "base = \"smoke\"\n[pretrain.encoder]\nepochs = 7\n[method.birq.mask]\nspan = 16\n[quantizer.vq]\ncodes = 9\n",
    );
    let value = |options: &str, key: &str| {
        let (report, _) = checked(folder, &format!("--task esc50 --preset ./my.toml {options}"));
        report["plan"][key].clone()
    };
    assert_eq!(value("", "pretrain.encoder.epochs"), 7);
    assert_eq!(value("", "model.dim"), 64);
    assert_eq!(value("", "preset"), "my.toml");
    assert_eq!(value("--method birq", "mask.span"), 16);
    assert_eq!(value("--quantizer vq", "quantizer.codes"), 9);
    let (with_control, _) = checked(folder, "--task esc50 --preset my.toml --control");
    assert_eq!(with_control["plan"]["pretrain.encoder.epochs"], 7);
    write("[pretrain]\nbatch = 8\n");
    assert_eq!(value("", "model.dim"), 128, "without a base it changes `mini`");
    for (text, said) in [
        (
            "[pretrain]\nbacth = 8\n",
            "unknown plan value `pretrain.bacth`; did you mean `pretrain.batch`?",
        ),
        ("[pretrian]\nbatch = 8\n", "unknown plan value `pretrian.batch`"),
        ("base = \"tiny\"\n", "unknown preset `tiny`"),
        ("[task.ecs50.probe]\nepochs = 1\n", "unknown task `ecs50`"),
        ("[method.bridel.probe]\nepochs = 1\n", "unknown method `bridel`"),
        ("[modality.sound.probe]\nepochs = 1\n", "unknown modality `sound`"),
        ("[model]\ndim = \"wide\"\n", "the values of preset my.toml"),
        ("[model\n", "`./my.toml` is no preset"),
    ] {
        write(text);
        let (code, told) = refused(folder, "check --task esc50 --preset ./my.toml");
        assert!(code == 2 && told.contains(said), "{text}: {told}");
    }
    let (code, told) = refused(folder, "check --task esc50 --preset nowhere.toml");
    assert!(code == 2 && told.contains("cannot read `nowhere.toml`"), "{told}");
}

#[test]
fn what_is_repeated_needs_no_task_and_takes_no_preset() {
    let folder = tempfile::tempdir().unwrap();
    let (code, told) = refused(folder.path(), "run --preset smoke");
    assert!(code == 2 && told.contains("--task"), "{told}");
    for line in [
        "run --from a.json --preset smoke",
        "run --plan a.toml --recipe corrected",
        "run --from a --plan b",
    ] {
        let (code, told) = refused(folder.path(), line);
        assert!(code == 2 && told.contains("cannot be used with"), "{told}");
    }
    let (code, told) = refused(folder.path(), "run --from nowhere.json");
    assert!(code == 2 && told.contains("nowhere.json does not exist"), "{told}");
    let (code, told) = refused(folder.path(), "run --task synthetic --format toml");
    assert!(code == 2 && told.contains("bridle-bench check"), "{told}");
}

#[test]
fn values_are_explained_one_by_one_by_section_and_all() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    insta::assert_snapshot!(
        "explain_values",
        shown(folder, "explain quantizer.restart pretrain.encoder.epochs mask.kind")
    );
    insta::assert_snapshot!("explain_section", shown(folder, "explain joint"));
    let all = shown(folder, "explain");
    assert!(all.lines().count() > 120 && all.contains("knn.temperature"), "{all}");
    let (code, told) = refused(folder, "explain pretrain.bacth");
    assert!(
        code == 2 && told.contains("did you mean `pretrain.batch`?") && told.contains("explain"),
        "{told}"
    );
    let entries: Value = serde_json::from_str(&shown(folder, "explain pretrain --format json")).unwrap();
    let encoder = entries
        .as_array()
        .unwrap()
        .iter()
        .find(|entry| entry["key"] == "pretrain.encoder.rate")
        .unwrap();
    assert_eq!(encoder["defaults"]["paper"][0]["value"], 5e-4);
    assert_eq!(encoder["authors"][0]["source"], "submit_pt_encoder.sh:1");
    assert_eq!(encoder["decides"], "pretraining");
}

#[test]
fn quiet_says_only_results_and_verbose_says_more() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let quiet = program(folder, &format!("run {PLAN} -q"));
    assert!(quiet.status.success());
    assert_eq!(told(&quiet), "");
    assert!(String::from_utf8_lossy(&quiet.stdout).contains("Scores"));
    let usual = program(folder, &format!("run {PLAN} --resume"));
    assert!(
        told(&usual).contains("already complete") && !told(&usual).contains("works in"),
        "{}",
        told(&usual)
    );
    let verbose = program(folder, &format!("run {PLAN} --fresh --verbose --checkpoint-every 0"));
    let said = told(&verbose);
    assert!(
        said.contains("works in runs/synthetic") && said.contains("encoder-1: a checkpoint after step 1"),
        "{said}"
    );
    // errors are said all the same
    let (code, said) = refused(folder, "run --task ecs50 --quiet");
    assert!(code == 2 && said.contains("did you mean `esc50`?"), "{said}");
    let (code, _) = refused(folder, "list tasks -q -v");
    assert_eq!(code, 2);
}

/// Two classes of tones, with nothing beside them.
fn own_sounds(folder: &Path) {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 16_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    for (class, pitch) in [("low", 300.0), ("high", 900.0)] {
        std::fs::create_dir_all(folder.join(class)).unwrap();
        for number in 0..20 {
            let mut file = hound::WavWriter::create(folder.join(format!("{class}/{number}.wav")), spec).unwrap();
            for step in 0..16_000 {
                let turns = f64::from(step) * (pitch + f64::from(number)) / 16_000.0;
                file.write_sample(((turns * std::f64::consts::TAU).sin() * 8_000.0) as i16)
                    .unwrap();
            }
            file.finalize().unwrap();
        }
    }
}

#[test]
fn a_folder_of_class_folders_is_a_task_without_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    own_sounds(&folder.join("my tones"));
    std::fs::rename(folder.join("my tones"), folder.join("esc50")).unwrap();
    std::fs::write(
        folder.join("own.toml"),
        "name = \"esc50-folder\"\nmodality = \"audio\"\nfolder = \"esc50\"\n",
    )
    .unwrap();
    // the name of a built-in task is that task; a path is the folder
    let (built_in, _) = checked(folder, "--task esc50 --offline");
    assert!(built_in["data"].is_null());
    let (of_folder, _) = checked(folder, "--task ./esc50 --preset smoke");
    let (of_file, _) = checked(folder, "--task own.toml --preset smoke");
    assert_eq!(of_folder["plan"]["task"], "esc50-folder");
    assert_eq!(of_folder["data"], of_file["data"]);
    assert_eq!(of_folder["plan_hash"], of_file["plan_hash"]);
    assert_eq!(of_folder["data"]["counts"].as_object().unwrap().len(), 2);
    std::fs::create_dir_all(folder.join("texts/a")).unwrap();
    std::fs::write(folder.join("texts/a/b.txt"), "c").unwrap();
    let (code, told) = refused(folder, "check --task ./texts");
    assert!(
        code == 3 && told.contains("no folder of a class with files of sound, pictures or video"),
        "{told}"
    );
    let (code, told) = refused(folder, "check --task ./nowhere");
    assert!(code == 2 && told.contains("unknown task `./nowhere`"), "{told}");
}

#[test]
fn a_check_rules_on_what_there_is_and_fails_where_the_run_would() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let rulings = |options: &str| {
        let (report, _) = checked(folder, options);
        let verdicts = report["verdicts"].as_array().unwrap().iter();
        let named = verdicts.map(|verdict| {
            let word = |name: &str| verdict[name].as_str().unwrap().to_owned();
            (word("topic"), word("verdict"))
        });
        named.collect::<std::collections::BTreeMap<_, _>>()
    };
    let small = rulings("--task synthetic --preset smoke --subset 40");
    assert_eq!(small.len(), 7);
    assert!(small.values().all(|verdict| verdict == "ok"), "{small:?}");
    assert_eq!(rulings("--task synthetic --preset mini --subset 40")["steps"], "short");
    assert_eq!(rulings("--task esc50 --offline")["data"], "cannot");
    // more than any machine has
    let huge = "--task synthetic --preset smoke --subset 40 --set model.dim=65536 --set model.depth=400";
    let output = program(folder, &format!("check {huge}"));
    let (shown, said) = (String::from_utf8_lossy(&output.stdout).into_owned(), told(&output));
    assert_eq!(output.status.code(), Some(4), "{shown}{said}");
    assert!(shown.contains("verdict   memory: cannot, about "), "{shown}");
    assert!(said.contains("this machine cannot run the plan: memory"), "{said}");
}

/// Runs the script of the CI workflows in `folder`.
fn ci(folder: &Path, forge: &str) -> Output {
    let program = Path::new(env!("CARGO_BIN_EXE_bridle-bench")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/ci/bench.sh");
    let options = PLAN.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut command = Command::new("bash");
    command
        .arg(script)
        .args(["baseline.toml", forge, "summary.md"])
        .current_dir(folder);
    command.env("PATH", path).env("BENCH_RUN", options).stdin(Stdio::null());
    command.output().unwrap()
}

#[test]
fn the_workflows_of_ci_write_a_baseline_pass_quietly_and_name_what_regressed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let first = ci(folder, "github");
    assert!(
        first.status.success() && told(&first).contains("baseline.toml was written"),
        "{}",
        told(&first)
    );
    let second = ci(folder, "github");
    assert_eq!(
        (second.status.code(), &second.stdout[..], told(&second)),
        (Some(0), &b""[..], String::new())
    );
    let text = std::fs::read_to_string(folder.join("baseline.toml")).unwrap();
    let line = text.lines().find(|line| line.contains("top1 = ")).unwrap();
    let (name, _) = line.split_once(" = ").unwrap();
    std::fs::write(
        folder.join("baseline.toml"),
        text.replace(line, &format!("{name} = 5.0")),
    )
    .unwrap();
    let github = ci(folder, "github");
    let lines = String::from_utf8(github.stdout.clone()).unwrap();
    assert_eq!(github.status.code(), Some(10), "{lines}{}", told(&github));
    assert!(
        lines.starts_with("::error file=baseline.toml,title=linear-probe top1::synthetic bridle rq, plan "),
        "{lines}"
    );
    assert_eq!(lines.lines().count(), 1);
    let gitlab = ci(folder, "gitlab");
    let report: Value = serde_json::from_slice(&gitlab.stdout).unwrap();
    assert_eq!(
        (gitlab.status.code(), report[0]["location"]["path"].as_str()),
        (Some(10), Some("baseline.toml"))
    );
    let summary = std::fs::read_to_string(folder.join("summary.md")).unwrap();
    assert!(summary.contains("top1"), "{summary}");
    // the workflows call this script, which is where they say
    for workflow in ["github.yml", "gitlab.yml"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/ci").join(workflow);
        assert!(
            std::fs::read_to_string(path)
                .unwrap()
                .contains(" examples/ci/bench.sh results/gates/ci.toml ")
        );
    }
}
