//! Every case of numbers computed by the authors' code, on every backend compiled in.
//!
//! Reads the folder named by `BRIDLE_PARITY`, else the core in `tests/parity/`. Shapes, names and tolerances come from
//! the cases. Per case the largest error as a share of its tolerance, and a line; per backend a last line `parity:
//! <backend>: <n> covered, <m> not covered, <f> failed`. No share may be above a half, in another folder than the core none above `BRIDLE_LARGEST_SHARE`, where that is
//! set: draws of others can come close to a tolerance by the rounding of the authors' form alone.

#![allow(clippy::unwrap_used, reason = "a test stops at what it cannot read")]
#![allow(clippy::neg_cmp_op_on_partial_ord, reason = "NaN must fail a comparison")]

#[path = "parity_cases/case.rs"]
mod case;
#[path = "parity_cases/features.rs"]
mod features;
#[path = "parity_cases/finetune.rs"]
mod finetune;
#[path = "parity_cases/models.rs"]
mod models;
#[path = "parity_cases/quantizers.rs"]
mod quantizers;
#[path = "parity_cases/steps.rs"]
mod steps;

use bridle_backends::{Choice, Facts, Job, TrainBackend};
use case::{Case, Worst};
use std::path::{Path, PathBuf};

/// Cases this program does not cover yet, with the reason.
const NOT_COVERED: &[(&str, &str)] = &[];

/// The cases of the core folder: none of them may be missing there.
const CORE: &[&str] = &[
    "codebook_stats",
    "fbank",
    "finetune_mask2d",
    "mae_global_audio",
    "mae_global_image",
    "mae_mask2d",
    "metrics",
    "pos_embed",
    "rq_eval",
    "rq_kmeans",
    "rq_noema",
    "rq_restart_eval",
    "rq_restart_train",
    "rq_soft2",
    "rq_train_steps",
    "schedule",
    "steps_rq_encoder_cold",
    "steps_vq_tokenizer",
    "tokenizer_rq",
    "tokenizer_vq",
    "video_rq_train_steps",
    "vit_audio",
    "vit_image",
    "vq_eval",
    "vq_kmeans",
    "vq_noema",
    "vq_train_steps",
];

/// The largest share of a tolerance that an error may take in the core: another processor rounds otherwise.
const LARGEST_SHARE: f64 = 0.5;

/// Runs the checks of a case; false if the program has none for it.
fn check<B: TrainBackend>(case: &Case, device: &B::Device) -> bool {
    match case.name.as_str() {
        "rq_eval" => quantizers::rq_eval::<B>(case, device),
        "rq_train_steps" => quantizers::rq_train_steps::<B>(case, device),
        "rq_restart_train" | "rq_restart_eval" => quantizers::rq_restart::<B>(case, device),
        "rq_kmeans" => quantizers::rq_kmeans::<B>(case, device),
        "rq_soft2" => quantizers::rq_soft2::<B>(case, device),
        "rq_noema" => quantizers::rq_noema::<B>(case, device),
        "video_rq_train_steps" => quantizers::video_rq_train_steps::<B>(case, device),
        "vq_eval" => quantizers::vq_eval::<B>(case, device),
        "vq_train_steps" => quantizers::vq_train_steps::<B>(case, device),
        "vq_kmeans" => quantizers::vq_kmeans::<B>(case, device),
        "vq_noema" => quantizers::vq_noema::<B>(case, device),
        "pos_embed" => models::pos_embed(case),
        "vit_audio" | "vit_image" => models::vit::<B>(case, device),
        "mae_global_audio" | "mae_global_image" | "mae_mask2d" | "mae_swin_eval" | "mae_swin_train" => {
            models::mae::<B>(case, device);
        }
        "tokenizer_rq" | "tokenizer_vq" => models::tokenizer::<B>(case, device),
        "finetune" => finetune::finetune::<B>(case, device),
        "finetune_mask2d" => finetune::mask2d::<B>(case, device),
        "video_vit" => finetune::video::<B>(case, device),
        "fbank" => features::fbank(case),
        "schedule" => features::schedule(case),
        "codebook_stats" => features::codebook_stats(case),
        "metrics" => features::metrics(case),
        "video" => models::video::<B>(case, device),
        name if name.starts_with("steps_") => steps::steps::<B>(case, device),
        _ => return false,
    }
    true
}

/// The names of a folder's cases, sorted.
fn cases(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut names: Vec<String> = entries
        .filter_map(|entry| {
            entry
                .unwrap()
                .file_name()
                .to_str()?
                .strip_suffix(".json")
                .map(str::to_owned)
        })
        .collect();
    names.sort();
    names
}

struct Parity {
    folder: PathBuf,
    missing: Vec<&'static str>,
    /// The largest share of a tolerance that an error may take.
    largest: f64,
}

/// What went wrong on one backend.
struct Found {
    failed: usize,
    /// Cases with an error above the largest share of their tolerance.
    close: Vec<String>,
}

impl Job for Parity {
    type Output = Found;

    fn run<B: TrainBackend>(self, device: B::Device, facts: Facts) -> Found {
        let backend = facts.name;
        let (mut covered, mut not_covered, mut failed, mut close) = (0, 0, 0, Vec::new());
        for name in &self.missing {
            println!("parity: {backend}: {name}: missing in {}", self.folder.display());
            failed += 1;
        }
        for name in cases(&self.folder) {
            if let Some((_, reason)) = NOT_COVERED.iter().find(|(known, _)| *known == name) {
                println!("parity: {backend}: {name}: not covered, {reason}");
                not_covered += 1;
                continue;
            }
            let case = Case::read(&self.folder, &name);
            // a case that breaks off has failed, and the others still run
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                if !check::<B>(&case, &device) {
                    case.fail("the program has no check for this case".to_owned());
                }
                let Worst { share, tensor } = case.worst();
                println!("share: {backend}: {name}: {share:.3} of the tolerance {tensor}");
                if !(share <= self.largest) {
                    close.push(format!("{backend}: {name}: {share:.3} of the tolerance {tensor}"));
                }
                case.finish()
            }));
            let failures = outcome.unwrap_or_else(|cause| {
                let text = cause.downcast_ref::<String>().cloned();
                vec![
                    text.or_else(|| cause.downcast_ref::<&str>().map(|s| (*s).to_owned()))
                        .unwrap_or_default(),
                ]
            });
            covered += 1;
            failed += usize::from(!failures.is_empty());
            println!(
                "parity: {backend}: {name}: {}",
                if failures.is_empty() { "equal" } else { "FAILED" }
            );
            failures.iter().for_each(|failure| println!("    {failure}"));
        }
        println!("parity: {backend}: {covered} covered, {not_covered} not covered, {failed} failed");
        Found { failed, close }
    }
}

#[test]
fn every_case_on_every_backend() {
    let core = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity");
    let folder = std::env::var_os("BRIDLE_PARITY").map_or_else(|| core.clone(), PathBuf::from);
    let present = cases(&folder);
    let is_missing = |name: &&&str| folder == core && !present.iter().any(|case| case == **name);
    let missing: Vec<&'static str> = CORE.iter().filter(is_missing).copied().collect();
    let largest = match std::env::var("BRIDLE_LARGEST_SHARE") {
        Ok(share) => share.parse().expect("BRIDLE_LARGEST_SHARE is a number"),
        Err(_) if folder == core => LARGEST_SHARE,
        Err(_) => f64::INFINITY,
    };
    let (mut failed, mut close) = (0, Vec::new());
    for name in bridle_backends::compiled() {
        let job = Parity {
            folder: folder.clone(),
            missing: missing.clone(),
            largest,
        };
        match bridle_backends::run(&Choice::of(name), job) {
            Ok(found) => {
                failed += found.failed;
                close.extend(found.close);
            }
            Err(error) => println!("parity: {}: not run, {error}", name.as_str()),
        }
    }
    assert_eq!(failed, 0, "parity cases failed, see above");
    assert!(
        close.is_empty(),
        "errors above {largest} of the tolerance:\n{}",
        close.join("\n")
    );
}
