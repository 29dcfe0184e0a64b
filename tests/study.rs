//! The command `study`, on the real program.
#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

use bridle_results::record::RunRecord;
use bridle_results::store;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Two arms, two seeds, a few steps each.
const STUDY: &str = r#"
question = "Do residual codes help?"
tasks = ["synthetic"]
preset = "smoke"
protocols = ["knn"]
seeds = 2
hours = 1.0
reference = "one"
set = ["pretrain.rounds=1", "pretrain.encoder.epochs=1", "pretrain.encoder.warmup_epochs=0", "data.subset=40"]

[[arm]]
name = "residual"
quantizer = "rq"

[[arm]]
name = "one"
quantizer = "vq"
"#;

fn command(folder: &Path, text: &str, options: &str) -> Command {
    std::fs::write(folder.join("study.toml"), text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_bridle-bench"));
    command.current_dir(folder).args(["study", "study.toml"]);
    command.env("COLUMNS", "150").args(options.split_whitespace());
    command
}

fn study(folder: &Path, text: &str, options: &str) -> Output {
    command(folder, text, options).output().unwrap()
}

fn told(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn records(folder: &Path) -> Vec<(std::path::PathBuf, std::time::SystemTime)> {
    let mut found = Vec::new();
    for label in ["bridle-rq", "bridle-vq"] {
        let Ok(entries) = std::fs::read_dir(folder.join("results/records/synthetic").join(label)) else {
            continue;
        };
        for entry in entries.map(Result::unwrap) {
            if entry.path().extension().is_some_and(|extension| extension == "json") {
                found.push((entry.path(), entry.metadata().unwrap().modified().unwrap()));
            }
        }
    }
    found.sort();
    found
}

#[test]
fn a_study_runs_what_is_missing_and_compares_its_arms() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    // nothing is run for the plan of it
    let (code, text, _) = told(&study(folder, STUDY, "--plan"));
    assert_eq!(code, Some(0));
    assert!(text.contains("one (reference): bridle-vq"), "{text}");
    assert_eq!(records(folder), []);

    // a budget that the first run spends: the message says how to go on
    let tiny = STUDY.replace("hours = 1.0", "hours = 1e-7");
    let (code, text, errors) = told(&study(folder, &tiny, ""));
    assert_eq!(code, Some(2), "{errors}");
    assert!(
        errors.contains("the budget of 0.0000001 h is spent: 1 of 4 runs took 0.00 h"),
        "{errors}"
    );
    assert!(text.contains("residual against one: 0 runs of each"), "{text}");
    assert_eq!(records(folder).len(), 1);
    let first = records(folder);
    // one run of an arm says nothing of another
    let (code, one, _) = told(&study(folder, STUDY, "--report"));
    assert_eq!(code, Some(0));
    assert!(one.contains("not known yet: 0 of 2"), "{one}");

    // the rest, seed by seed; what was there stays as it was
    let (code, text, errors) = told(&study(folder, STUDY, ""));
    assert_eq!(code, Some(0), "{errors}");
    assert!(text.contains("residual against one: 2 runs of each"), "{text}");
    assert!(text.contains("Do residual codes help?"), "{text}");
    let all = records(folder);
    assert_eq!(all.len(), 4);
    assert!(
        first.iter().all(|record| all.contains(record)),
        "a finished run was made again"
    );
    let seeds = errors
        .lines()
        .filter_map(|line| line.split(", seed ").nth(1)?.chars().next());
    assert_eq!(seeds.collect::<String>(), "0011", "{errors}");

    // what the records show, without any data; in JSON the difference is that of `compare`
    let report = |options: &str| told(&study(folder, STUDY, &format!("--report {options}")));
    let (code, text_of_report, _) = report("--format markdown");
    assert_eq!((code, records(folder)), (Some(0), all.clone()));
    assert!(text_of_report.contains("Do residual codes help?"), "{text_of_report}");
    assert!(text_of_report.contains("2 of 2 runs"), "{text_of_report}");
    let row = |text: &str| -> serde_json::Value {
        let tables: serde_json::Value = serde_json::from_str(text).unwrap();
        tables[0]["rows"][0].clone()
    };
    let found = row(&report("--format json").1);
    let plans = found["arm"]["plans"].as_array().unwrap();
    let pair: Vec<&str> = plans.iter().map(|plan| plan.as_str().unwrap()).collect();
    let compared = Command::new(env!("CARGO_BIN_EXE_bridle-bench"))
        .current_dir(folder)
        .args(["compare", "results/records", "results/records", "--format", "json"])
        .args([
            "--where-a",
            &format!("plan={}", pair[0]),
            "--where-b",
            &format!("plan={}", pair[1]),
        ])
        .output()
        .unwrap();
    assert_eq!(found["difference"], row(&told(&compared).1)["difference"]);
    assert!(found["difference"]["interval"]["low"].is_number());
    std::fs::create_dir(folder.join("empty")).unwrap();
    assert_eq!(report("--format markdown --out empty").0, Some(0));
    let (code, none, _) = report("--format markdown --out nowhere");
    assert_eq!(code, Some(0));
    assert!(none.contains("not known yet: 0 of 2 runs"), "{none}");
    assert!(!none.contains("no run of it"), "{none}");
    // a study with a folder of its own
    std::fs::create_dir(folder.join("study")).unwrap();
    let (code, none, _) = report("--format markdown --out nowhere");
    assert_eq!(code, Some(0));
    assert!(
        none.contains("no run of it in nowhere; are they in study (--out study)?"),
        "{none}"
    );
    assert!(!report("--format markdown").1.contains("no run of it"));

    // all there: nothing is made
    let (code, again, _) = told(&study(folder, STUDY, ""));
    assert_eq!((code, records(folder)), (Some(0), all));
    assert_eq!(again, text);

    // the plan of each arm, by which tables tell rows apart
    let shown = format!(
        "  residual: bridle-rq, plan {}\n  one (reference): bridle-vq, plan {}\n",
        &pair[0][..6],
        &pair[1][..6]
    );
    assert!(text.contains(&shown), "{text}");
    let (_, plan, _) = told(&study(folder, STUDY, "--plan"));
    assert!(plan.contains(&shown), "{plan}");

    // seeds that the study does not ask for
    let reported = |text: &str| told(&study(folder, text, "--report --format markdown --figure a.svg")).1;
    let one = reported(&STUDY.replace("seeds = 2", "seeds = 1\nfirst_seed = 1"));
    // scores, while there is no difference; differences once there are
    let drawn = || std::fs::read_to_string(folder.join("a.svg")).unwrap();
    assert!(drawn().matches(" n=1</text>").count() == 2 && drawn().contains("knn top1<"));
    let (code, _, _) = report("--figure a.svg");
    assert!(code == Some(0) && drawn().contains("knn top1: less one<") && !drawn().contains("n=1"));
    let reported = |text: &str| told(&study(folder, text, "--report --format markdown")).1;
    assert!(
        one.contains("reference: one, 1 of 1 runs") && one.contains("not known yet: 1 of 1 runs"),
        "{one}"
    );
    let none = reported(&STUDY.replace("seeds = 2", "seeds = 2\nfirst_seed = 7"));
    assert!(
        none.contains("reference: one, 0 of 2 runs") && none.contains("not known yet: 0 of 2 runs"),
        "{none}"
    );

    // runs of the same plans in another number type, and on other data
    let out = folder.join("results/records");
    let copy = |to: &str, change: &dyn Fn(&mut RunRecord)| {
        for (path, mut record) in store::find(&[out.join("synthetic")]).unwrap() {
            let outputs = store::read_predictions(&path, &record).unwrap().unwrap();
            change(&mut record);
            store::write_outputs(&out.join(to), &record, &outputs).unwrap();
        }
    };
    copy("bf16", &|record| record.backend.dtype = "bf16".to_owned());
    let several = reported(STUDY);
    let titles: Vec<&str> = several.lines().filter(|line| line.starts_with("**")).collect();
    let [bf16, fp32] = titles[..] else { panic!("{several}") };
    assert!(
        bf16.contains("(synthetic, flex bf16, data ") && fp32.contains("(synthetic, flex fp32, data "),
        "{several}"
    );
    assert_eq!(several.matches("reference: one, 2 of 2 runs").count(), 2, "{several}");
    assert_eq!(several.matches("| residual ").count(), 2, "{several}");
    copy("other", &|record| record.data.manifest_sha256 = Some("0".repeat(64)));
    let several = reported(STUDY);
    assert_eq!(several.matches("reference: one, 2 of 2 runs").count(), 3, "{several}");
    let (code, _, errors) = told(&study(folder, STUDY, "--report --figure a.svg"));
    assert_eq!(code, Some(2));
    assert!(errors.contains("a figure shows one table"), "{errors}");
    // nor does the study compare with them
    assert_eq!(told(&study(folder, STUDY, "")).1, text);
}

#[test]
fn folds_that_a_study_does_not_ask_for_are_not_counted() {
    let folder = tempfile::tempdir().unwrap();
    let studies = Path::new(env!("CARGO_MANIFEST_DIR")).join("results/studies");
    let methods = std::fs::read_to_string(studies.join("methods.toml")).unwrap();
    let some = methods.replace("folds = \"all\"", "folds = \"2,4\"");
    assert_ne!(some, methods);
    let options = format!("--report --format markdown --out {}", studies.join("methods").display());
    let (code, text, errors) = told(&study(folder.path(), &some, &options));
    assert_eq!(code, Some(0), "{errors}");
    // three seeds of it are recorded, two of vq, one of the others
    assert!(text.contains("reference: first-labels, 6 of 6 runs"), "{text}");
    assert!(
        text.contains("| 4 of 6 runs |") && text.contains("| 2 of 6 runs |"),
        "{text}"
    );
    assert!(!text.contains("5 of") && !text.contains("10 of"), "{text}");
}

#[test]
fn two_processes_share_the_runs_and_a_damaged_record_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let both = [(); 2].map(|()| {
        let mut command = command(folder, STUDY, "");
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    });
    let both = both.map(|child| told(&child.wait_with_output().unwrap()));
    let made: usize = both
        .iter()
        .map(|(_, _, errors)| errors.matches("\nrecord: ").count())
        .sum();
    assert_eq!(both.each_ref().map(|(code, ..)| *code), [Some(0); 2], "{both:?}");
    assert_eq!((made, records(folder).len()), (4, 4), "{both:?}");
    assert_eq!(both[0].1, both[1].1);

    let whole = records(folder);
    let damaged = &whole[0].0;
    std::fs::write(damaged, "{").unwrap();
    let (code, _, errors) = told(&study(folder, STUDY, "--report"));
    let name = damaged.file_name().unwrap().to_str().unwrap();
    assert!(code == Some(2) && errors.contains(name), "{errors}");
    // a file of others in the folder is none of the study's business
    let notes = folder.join("results/records/notes.json");
    std::fs::write(&notes, "{").unwrap();
    let (code, text, errors) = told(&study(folder, STUDY, ""));
    assert_eq!(code, Some(0), "{errors}");
    assert!(errors.contains("runs again") && text == both[0].1, "{errors}{text}");
    assert_eq!(records(folder)[1..], whole[1..]);

    std::fs::remove_file(notes).unwrap();
    // the record of one seed under the number of another
    let text = std::fs::read_to_string(damaged).unwrap();
    let other = text.replacen("\"seed\": 0", "\"seed\": 1", 1);
    assert_ne!(other, text);
    std::fs::write(damaged, other).unwrap();
    let (code, _, errors) = told(&study(folder, STUDY, "--report"));
    let changed = format!("{name}` was changed since it was written");
    assert!(code == Some(3) && errors.contains(&changed), "{errors}");
    let (code, _, errors) = told(&study(folder, STUDY, ""));
    assert!(
        code == Some(0) && !errors.contains("--fresh") && !errors.contains("--resume"),
        "{errors}"
    );
    assert_eq!(records(folder)[1..], whole[1..]);
}

#[test]
fn the_budget_is_that_of_all_tasks() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let tasks = |tasks: &str| {
        let study = STUDY.replace("hours = 1.0", "hours = 1e-7");
        study.replace("tasks = [\"synthetic\"]", &format!("tasks = [{tasks}]"))
    };
    for (order, told_of) in [
        (
            "\"synthetic\", \"synthetic-image\"",
            "1 of 4 runs took 0.00 h of computing\n",
        ),
        (
            "\"synthetic-image\", \"synthetic\"",
            "0 of 4 runs took 0.00 h of computing, those on the study's other tasks 0.00 h",
        ),
    ] {
        let (code, _, errors) = told(&study(folder, &tasks(order), ""));
        assert_eq!(code, Some(2), "{errors}");
        assert!(errors.contains(told_of), "{errors}");
        assert_eq!(
            store::find(&[folder.join("results/records")]).unwrap().len(),
            1,
            "{errors}"
        );
    }
}

#[test]
fn options_that_mean_nothing_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (options, what) in [
        ("--figure a.svg", "--report"),
        ("--figure a.svg --plan", "cannot be used with"),
        ("--report --figure study.toml", "`study.toml` does not end in .svg"),
        ("--report --out study.toml", "`study.toml` is no folder"),
        ("--out study.toml", "study.toml"),
    ] {
        let (code, _, errors) = told(&study(folder.path(), STUDY, options));
        assert_eq!(code, Some(2), "{options}: {errors}");
        assert!(errors.contains(what), "{options}: {errors}");
    }
    let studies = Path::new(env!("CARGO_MANIFEST_DIR")).join("results/studies");
    // the plan of a study whose labels are not here
    let oracle = std::fs::read_to_string(studies.join("oracle.toml")).unwrap();
    let (code, text, errors) = told(&study(folder.path(), &oracle, "--plan"));
    assert!(code == Some(0) && text.contains("long-encoder: bridle-rq"), "{errors}");
    let (code, _, errors) = told(&study(folder.path(), &oracle, ""));
    assert!(
        code == Some(3) && errors.contains("there is no file of labels `oracle-"),
        "{errors}"
    );
    // of a quantizer that makes no labels nothing is read, but where a tokenizer phase follows on given labels
    let given = oracle.lines().find(|line| line.starts_with("labels_sha256")).unwrap();
    let raw = format!(
        "{oracle}\n[[arm]]\nname = \"raw\"\nquantizer = \"rq\"\nlabels = \"oracle-encoder.safetensors\"\n{given}\n\
         set = [\"quantizer.space=raw\"]\n"
    );
    let (code, _, errors) = told(&study(folder.path(), &raw, "--plan"));
    assert!(
        code == Some(2) && errors.contains("in effect: no phase of them reads quantizer.space"),
        "{errors}"
    );
    let followed = raw.replace("pretrain.rounds=1", "pretrain.rounds=2");
    let (code, _, errors) = told(&study(folder.path(), &followed, "--plan"));
    assert_eq!(code, Some(0), "{errors}");
    let methods = std::fs::read_to_string(studies.join("methods.toml")).unwrap();
    let options = format!(
        "--report --figure nowhere/a.svg --out {}",
        studies.join("methods").display()
    );
    let (code, _, errors) = told(&study(folder.path(), &methods, &options));
    assert_eq!(code, Some(2), "{errors}");
    assert!(
        errors.contains("cannot write `nowhere/a.svg`") && errors.contains("try: --figure FILE"),
        "{errors}"
    );
}

#[test]
fn a_wrong_study_is_refused_by_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |from: &str, to: &str| {
        let changed = STUDY.replace(from, to);
        assert_ne!(changed, STUDY);
        // in the same words where records alone are looked at
        let [(code, _, errors), report] =
            ["", "--report"].map(|options| told(&study(folder.path(), &changed, options)));
        assert_eq!((code, report.0), (Some(2), Some(2)), "{errors}");
        assert_eq!(records(folder.path()), []);
        assert!(errors.ends_with(&report.2), "{errors}{}", report.2);
        errors
    };
    let labels = |digits: &str| format!("labels = \"a.npz\"\nlabels_sha256 = \"{digits}\"");
    let (short, no_digits) = (labels("12"), labels(&"G".repeat(64)));
    let subset = "quantizer = \"rq\"\nset = [\"data.subset=20\"]";
    let (seeds, hours, name, rq) = ("seeds = 2", "hours = 1.0", "name = \"residual\"", "quantizer = \"rq\"");
    let (question, tasks, protocols) = ("\"Do residual codes help?\"", "[\"synthetic\"]", "[\"knn\"]");
    let (no_name, no_labels) = (
        "an arm's name is a line of text, not",
        "`labels_sha256` of arm `residual` is 64",
    );
    let reference = "reference = \"one\"";
    for (from, to, what) in [
        (seeds, "seed = 2", "unknown field `seed`"),
        (seeds, "seeds = 0", "needs a task and a seed"),
        (
            seeds,
            "seeds = 4000000000",
            "4000000000 seeds are too many: at most 10000",
        ),
        (hours, "hours = -1.0", "`hours` must be positive"),
        (hours, "hours = inf", "`hours` must be positive"),
        (question, "\" \"", "its question is a line of text, not \" \""),
        (question, "\"a\\nb\"", "its question is a line of text, not \"a\\nb\""),
        (protocols, "[\"knn\", \"knn\"]", "protocol `knn` is there twice"),
        (
            tasks,
            "[\"synthetic\", \"synthetic\"]",
            "task `synthetic` is there twice",
        ),
        (name, "name = \"\"", &format!("{no_name} \"\"")),
        (name, "name = \"resi\\ndual\"", &format!("{no_name} \"resi\\ndual\"")),
        (name, "name = \"one\"", "two arms are named `one`"),
        (rq, &short, no_labels),
        (rq, &no_digits, no_labels),
        (
            reference,
            "reference = \"two\"",
            "no arm is named `two` (arms: residual, one)",
        ),
        (
            rq,
            "quantizer = \"vq\"",
            "arms `residual` and `one` are the same plan on `synthetic`",
        ),
        (
            rq,
            "quantizer = \"vq\"\nset = [\"pretrain.tokenizer.rate=1e-2\", \"pretrain.relabel=false\"]",
            "`residual` and `one` are the same plan on `synthetic` in effect: no phase of them reads pretrain.relabel, \
             pretrain.tokenizer.rate\n",
        ),
        (
            rq,
            "quantizer = \"vq\"\nset = [\"quantizer.decay=0.5\", \"pretrain.checkpoint=true\"]",
            "in effect: no phase of them reads pretrain.checkpoint, quantizer.decay\n",
        ),
        (
            rq,
            "quantizer = \"rq\"\nset = [\"task=synthetic-image\"]",
            "`set` changes `task`, which is that of the whole study",
        ),
        (
            rq,
            "quantizer = \"rq\"\nset = [\"protocols = linear-probe\"]",
            "`set` changes `protocols`, which is that of the whole study",
        ),
        (rq, "quantizer = \"qr\"", "arm `residual`"),
        (rq, subset, "arm `one` sees other data than arm `residual`"),
    ] {
        let errors = refused(from, to);
        assert!(errors.contains(what), "{errors}");
    }
}
