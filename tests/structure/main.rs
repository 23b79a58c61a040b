//! What a machine holds of this repository's shape: who may depend on whom, what a source file
//! looks like, and that the papers name files that exist. Reads sources only; starts nothing.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

mod directions;
mod sources;
mod papers;
mod licences;

use std::path::{Path, PathBuf};

/// The clone this test was built from.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap().to_path_buf()
}

/// Fails with all findings at once, a line each.
fn nothing_found(findings: &[String]) {
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}
