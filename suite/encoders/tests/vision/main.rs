//! Vision transformers, read from the files of their authors' code, on flex. `tests/encoders.rs` of the program compares
//! the values of every encoder on every backend.

#![allow(clippy::unwrap_used, reason = "a test stops at what it cannot read")]
#![allow(clippy::neg_cmp_op_on_partial_ord, reason = "NaN must fail a comparison")]

#[path = "../../../../tests/encoders_cases/fixture.rs"]
mod fixture;
mod strict;
mod values;
#[path = "../../../../tests/encoders_cases/vision.rs"]
mod vision;

use bridle_encoders::{Body, recognise};
use fixture::Fixture;
use std::path::{Path, PathBuf};

/// The committed fixtures.
fn core() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/encoders")
}

/// The fixtures of vision transformers.
fn fixtures() -> Vec<Fixture> {
    let folder = std::env::var_os("BRIDLE_ENCODERS").map_or_else(core, PathBuf::from);
    let all = Fixture::names(&folder)
        .into_iter()
        .map(|name| Fixture::read(&folder, &name));
    let is_vit = |fixture: &Fixture| {
        let recognised = recognise(&fixture.checkpoint(), &fixture.options());
        recognised.is_ok_and(|recognised| matches!(recognised.body, Body::Vit(_)))
    };
    all.filter(is_vit).collect()
}
