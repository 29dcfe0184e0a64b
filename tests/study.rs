//! The command `study`, on the real program.
#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

use std::path::Path;
use std::process::{Command, Output};

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

fn study(folder: &Path, text: &str, options: &str) -> Output {
    std::fs::write(folder.join("study.toml"), text).unwrap();
    Command::new(env!("CARGO_BIN_EXE_bridle-bench"))
        .current_dir(folder)
        .args(["study", "study.toml"])
        .env("COLUMNS", "150")
        .args(options.split_whitespace())
        .output()
        .unwrap()
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
    assert!(errors.contains("1 of 4 runs took"), "{errors}");
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

    // all there: nothing is made
    let (code, again, _) = told(&study(folder, STUDY, ""));
    assert_eq!((code, records(folder)), (Some(0), all));
    assert_eq!(again, text);
}

#[test]
fn a_wrong_study_is_refused_by_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |from: &str, to: &str| {
        let changed = STUDY.replace(from, to);
        assert_ne!(changed, STUDY);
        let (code, _, errors) = told(&study(folder.path(), &changed, ""));
        assert_eq!(code, Some(2), "{errors}");
        assert_eq!(records(folder.path()), []);
        errors
    };
    let told_of = |from: &str, to: &str, what: &str| {
        let errors = refused(from, to);
        assert!(errors.contains(what), "{errors}");
    };
    told_of("seeds = 2", "seed = 2", "unknown field `seed`");
    told_of("seeds = 2", "seeds = 0", "needs a task and a seed");
    told_of("hours = 1.0", "hours = -1.0", "`hours` must be positive");
    told_of(
        "reference = \"one\"",
        "reference = \"two\"",
        "no arm is named `two` (arms: residual, one)",
    );
    told_of("name = \"residual\"", "name = \"one\"", "two arms are named `one`");
    told_of(
        "quantizer = \"rq\"",
        "quantizer = \"vq\"",
        "arms `residual` and `one` are the same plan on `synthetic`",
    );
    told_of("quantizer = \"rq\"", "quantizer = \"qr\"", "arm `residual`");
    told_of(
        "quantizer = \"rq\"",
        "quantizer = \"rq\"\nset = [\"data.subset=20\"]",
        "arm `one` sees other data than arm `residual`",
    );
}
