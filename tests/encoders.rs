//! Every fixture of other people's encoders, on every backend compiled in.
//!
//! Reads the folder named by `BRIDLE_ENCODERS`, else the core in `tests/encoders/`. Sizes, options, names and tolerances
//! come from the manifests. One line per fixture, and per backend a last line `encoders: <backend>: <n> covered, <m> not
//! covered, <f> failed`.

#![allow(clippy::unwrap_used, reason = "a test stops at what it cannot read")]
#![allow(clippy::neg_cmp_op_on_partial_ord, reason = "NaN must fail a comparison")]

#[path = "encoders_cases/fixture.rs"]
mod fixture;
#[path = "encoders_cases/gradients.rs"]
mod gradients;
#[path = "encoders_cases/speech.rs"]
mod speech;
#[path = "encoders_cases/vision.rs"]
mod vision;

use bridle_backends::{Choice, Facts, Job, TrainBackend};
use bridle_encoders::Encoder;
use fixture::Fixture;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// Fixtures this program does not cover yet, with the reason.
const NOT_COVERED: &[(&str, &str)] = &[];

/// Runs every check of a fixture.
fn check<B: TrainBackend>(fixture: &Fixture, device: &B::Device) {
    let (recognised, encoder) = fixture.encoder::<B>(device);
    match &encoder {
        Encoder::Vit(_) => vision::check(fixture, &recognised.pipeline, &encoder, device),
        Encoder::Speech(_) | Encoder::Conformer(_) => speech::check(fixture, &recognised.pipeline, &encoder, device),
    }
}

struct Encoders {
    folder: PathBuf,
}

impl Job for Encoders {
    type Output = usize;

    fn run<B: TrainBackend>(self, device: B::Device, facts: Facts) -> usize {
        let backend = facts.name;
        let (mut covered, mut not_covered, mut failed) = (0, 0, 0);
        for name in Fixture::names(&self.folder) {
            if let Some((_, reason)) = NOT_COVERED.iter().find(|(known, _)| *known == name) {
                println!("encoders: {backend}: {name}: not covered, {reason}");
                not_covered += 1;
                continue;
            }
            let fixture = Fixture::read(&self.folder, &name);
            // a fixture that breaks off has failed, and the others still run
            let outcome = catch_unwind(AssertUnwindSafe(|| check::<B>(&fixture, &device)));
            let mut failures = fixture.finish();
            if let Err(cause) = outcome {
                let text = cause.downcast_ref::<String>().map(String::as_str);
                let text = text.or_else(|| cause.downcast_ref::<&str>().copied());
                failures.push(text.unwrap_or("it broke off").to_owned());
            }
            covered += 1;
            failed += usize::from(!failures.is_empty());
            let verdict = if failures.is_empty() { "equal" } else { "FAILED" };
            println!("encoders: {backend}: {name}: {verdict}");
            failures.iter().for_each(|failure| println!("    {failure}"));
        }
        println!("encoders: {backend}: {covered} covered, {not_covered} not covered, {failed} failed");
        failed
    }
}

#[test]
fn every_fixture_on_every_backend() {
    let core = || Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/encoders");
    let folder = std::env::var_os("BRIDLE_ENCODERS").map_or_else(core, PathBuf::from);
    let mut failed = 0;
    for name in bridle_backends::compiled() {
        let job = Encoders { folder: folder.clone() };
        match bridle_backends::run(&Choice::of(name), job) {
            Ok(count) => failed += count,
            Err(error) => println!("encoders: {}: not run, {error}", name.as_str()),
        }
    }
    assert_eq!(failed, 0, "fixtures failed, see above");
}

/// The row of a fixture in the table of families: its cells.
fn row<'a>(page: &'a str, fixture: &str) -> Option<Vec<&'a str>> {
    let end = format!("| `{fixture}` |");
    let row = page.lines().find(|line| line.ends_with(&end))?;
    Some(row.trim_matches('|').split('|').map(str::trim).collect())
}

#[test]
fn the_table_of_families_says_what_is_recognised() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("baselines/README.md")).unwrap();
    for (folder, is_core) in [
        (Some(root.join("tests/encoders")), true),
        (std::env::var_os("BRIDLE_ENCODERS").map(PathBuf::from), false),
    ] {
        let names = folder.as_deref().map_or_else(Vec::new, Fixture::names);
        for name in names {
            let Some(cells) = row(&page, &name) else {
                assert!(!is_core, "{name} is not in the table of baselines/README.md");
                continue;
            };
            let fixture = Fixture::read(folder.as_deref().unwrap(), &name);
            let recognised = fixture.recognised(&fixture.checkpoint());
            let (licence, labels) = (cells[3], cells[4]);
            assert_eq!(labels.split(';').next(), Some(&*recognised.labels), "{name}");
            let known = recognised.licence.unwrap_or_default();
            assert!(
                licence.contains(&known),
                "{name}: {known}, and the table says {licence}"
            );
        }
    }
}
