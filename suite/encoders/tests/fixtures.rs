//! Every fixture on flex, by values and by strictness; `tests/encoders.rs` of the program has the values on every
//! backend.

#![allow(clippy::unwrap_used, reason = "a test stops at what it cannot read")]
#![allow(clippy::neg_cmp_op_on_partial_ord, reason = "NaN must fail a comparison")]

#[path = "../../../tests/encoders_cases/fixture.rs"]
mod fixture;
#[path = "../../../tests/encoders_cases/vision.rs"]
mod vision;

use bridle_encoders::Body;
use burn_flex::Flex;
use fixture::Fixture;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    let core = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/encoders");
    std::env::var_os("BRIDLE_ENCODERS").map_or_else(core, PathBuf::from)
}

#[test]
fn every_value_is_within_its_tolerance() {
    let mut failed = 0;
    let mut unknown = 0;
    for name in Fixture::names(&folder()) {
        let fixture = Fixture::read(&folder(), &name);
        let checkpoint = fixture.checkpoint();
        let recognised = match bridle_encoders::recognise(&checkpoint, &fixture.options()) {
            Ok(recognised) => recognised,
            Err(error) => {
                println!("{name}: {error}");
                unknown += 1;
                continue;
            }
        };
        let device = Default::default();
        match bridle_encoders::build::<Flex>(&recognised, &checkpoint, &device) {
            Err(error) => fixture.fail(error.to_string()),
            Ok((encoder, _)) => match recognised.body {
                Body::Vit(_) => vision::check(&fixture, &recognised.pipeline, &encoder, &device),
            },
        }
        let failures = fixture.finish();
        println!(
            "{name}: {} {}",
            recognised.family,
            if failures.is_empty() { "equal" } else { "FAILED" }
        );
        failures.iter().for_each(|failure| println!("    {failure}"));
        failed += usize::from(!failures.is_empty());
    }
    println!("{unknown} unknown, {failed} failed");
    assert_eq!(failed, 0);
}
