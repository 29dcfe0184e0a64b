//! Encoders over waves and frames, read from the files of their authors' code, on flex. `tests/encoders.rs` of the
//! program compares the values of every encoder on every backend.

#![allow(clippy::unwrap_used, reason = "a test stops at what it cannot read")]
#![allow(clippy::neg_cmp_op_on_partial_ord, reason = "NaN must fail a comparison")]

#[path = "../../../../tests/encoders_cases/fixture.rs"]
mod fixture;
#[path = "../../../../tests/encoders_cases/speech.rs"]
mod speech;
mod strict;
mod values;

use bridle_encoders::{Body, recognise};
use fixture::Fixture;
use std::path::{Path, PathBuf};

/// The committed fixtures.
fn core() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/encoders")
}

/// The fixtures of encoders over waves and frames.
fn fixtures() -> Vec<Fixture> {
    let folder = std::env::var_os("BRIDLE_ENCODERS").map_or_else(core, PathBuf::from);
    let all = Fixture::names(&folder)
        .into_iter()
        .map(|name| Fixture::read(&folder, &name));
    let is_sequence = |fixture: &Fixture| {
        let recognised = recognise(&fixture.checkpoint(), &fixture.options());
        recognised.is_ok_and(|recognised| matches!(recognised.body, Body::Speech(_) | Body::Conformer(_)))
    };
    let fixtures: Vec<Fixture> = all.filter(is_sequence).collect();
    assert!(fixtures.len() >= 4, "the core has four");
    fixtures
}
