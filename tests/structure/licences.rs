//! Everything we are built from may be passed on under a licence that asks for no more than a
//! notice.

use std::process::Command;

use serde_json::Value;

use super::{nothing_found, root};

const PERMITTED: &[&str] = &[
    "MIT",
    "MIT-0",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "Zlib",
    "BSL-1.0",
    "Unlicense",
    "CC0-1.0",
    "Unicode-3.0",
    // The root certificates that a test's client carries: data, not code.
    "CDLA-Permissive-2.0",
];

/// Whether every part that `AND` joins has an alternative that is permitted. A `/` is an `OR` of
/// old.
fn is_permitted(expression: &str) -> bool {
    let flat = expression.replace('/', " OR ").replace(['(', ')'], " ");
    flat.split(" AND ")
        .all(|part| part.split(" OR ").any(|licence| PERMITTED.contains(&licence.trim())))
}

fn findings(metadata: &Value) -> Vec<String> {
    let packages = metadata["packages"].as_array().unwrap().iter();
    packages
        .filter(|package| !package["license"].as_str().is_some_and(is_permitted))
        .map(|package| {
            format!("{} {}: {}", package["name"], package["version"], package["license"])
        })
        .collect()
}

#[test]
fn every_dependency_has_a_permitted_licence() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // What other platforms need may not be on this machine.
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let mut command = Command::new(cargo);
    command.args(["metadata", "--offline", "--format-version", "1", "--filter-platform"]);
    let done = command.arg(platform).current_dir(root()).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let metadata: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert!(100 < metadata["packages"].as_array().unwrap().len(), "dependencies were not read");
    nothing_found(&findings(&metadata));
}

#[test]
fn expressions_are_read_by_their_alternatives() {
    for fine in ["MIT", "GPL-3.0 OR MIT", "Unlicense/MIT", "ISC AND (Apache-2.0 OR GPL-3.0)"] {
        assert!(is_permitted(fine), "{fine}");
    }
    for not in ["GPL-3.0", "MIT AND GPL-3.0", "", "MITRE"] {
        assert!(!is_permitted(not), "{not}");
    }
}

#[test]
fn a_package_without_a_licence_is_found() {
    let metadata = serde_json::json!({"packages": [
        {"name": "a", "version": "1.0.0", "license": null},
        {"name": "b", "version": "1.0.0", "license": "MIT"}]});
    assert_eq!(findings(&metadata), [r#""a" "1.0.0": null"#]);
}
