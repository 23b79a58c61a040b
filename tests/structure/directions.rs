//! Dependencies point one way: everything knows `protocol`, the engine process knows its core, no
//! service knows another, and nobody knows the scenarios.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

use super::{nothing_found, root};

/// What a package may depend on inside this repository. A package that is not listed here fails:
/// whoever adds one says where it stands.
const ALLOWED: &[(&str, &[&str])] = &[
    ("protocol", &[]),
    ("service", &["protocol"]),
    ("engine-core", &["protocol"]),
    ("engine", &["engine-core", "protocol", "service"]),
    ("io-gateway", &["protocol", "service"]),
    ("ws-fanout", &["protocol", "service"]),
    ("db-sink", &["protocol", "service"]),
    ("mm", &["protocol", "service"]),
    ("orderflow", &[]),
    (
        "bench",
        &[
            "db-sink",
            "engine",
            "engine-core",
            "orderflow",
            "protocol",
            "service",
            "tuning",
            "xtask",
        ],
    ),
    ("tuning", &["protocol", "service"]),
    ("xtask", &[]),
    ("simulation", &["engine", "engine-core", "orderflow", "protocol"]),
    ("bpx-client", &["scenarios", "xtask"]),
    ("scenarios", &["engine-core", "orderflow", "protocol", "service", "xtask"]),
];

/// What the tests and benches of any package may use besides.
const ALLOWED_IN_TESTS: &[&str] = &["orderflow", "xtask"];

/// What a package must not know of the outside world, itself or through the repository's own
/// packages it is built from.
const FORBIDDEN: &[(&str, &[&str])] = &[
    ("protocol", &["tokio", "redis", "axum", "hyper", "sqlx", "tungstenite", "rand"]),
    (
        "engine-core",
        &["tokio", "redis", "axum", "hyper", "sqlx", "rand", "tracing", "log", "metrics"],
    ),
    ("engine", &["tokio", "axum", "hyper", "sqlx", "tungstenite", "tokio-tungstenite", "warp"]),
    ("ws-fanout", &["sqlx", "tokio-postgres", "postgres"]),
    ("db-sink", &["axum", "hyper", "tungstenite", "tokio-tungstenite"]),
    ("mm", &["sqlx", "axum"]),
];

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Use {
    Always,
    /// Behind a feature of the package, so another one may go without it.
    Optional,
    InTests,
}

/// Direct dependencies by package.
type Packages = BTreeMap<String, Vec<(String, Use)>>;

fn packages(metadata: &Value) -> Packages {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let dependency = |one: &Value| {
        let kind = match (one["kind"].as_str(), one["optional"].as_bool()) {
            (Some("dev"), _) => Use::InTests,
            (_, Some(true)) => Use::Optional,
            _ => Use::Always,
        };
        (text(&one["name"]), kind)
    };
    let listed = metadata["packages"].as_array().unwrap().iter();
    listed
        .map(|package| {
            let dependencies = package["dependencies"].as_array().unwrap();
            (text(&package["name"]), dependencies.iter().map(dependency).collect())
        })
        .collect()
}

fn wrong_directions(packages: &Packages) -> Vec<String> {
    let mut findings = Vec::new();
    for (name, dependencies) in packages {
        let Some((_, allowed)) = ALLOWED.iter().find(|(listed, _)| listed == name) else {
            findings.push(format!("{name}: not listed in tests/structure/directions.rs"));
            continue;
        };
        for (other, kind) in dependencies {
            let fine = allowed.contains(&other.as_str())
                || (*kind == Use::InTests && ALLOWED_IN_TESTS.contains(&other.as_str()))
                || (*kind == Use::InTests && other == name);
            if packages.contains_key(other) && !fine {
                findings.push(format!("{name}: must not depend on {other}"));
            }
        }
    }
    findings
}

fn forbidden_outsiders(packages: &Packages) -> Vec<String> {
    let mut findings = Vec::new();
    for (name, forbidden) in FORBIDDEN {
        for (path, other) in reached(packages, name) {
            if forbidden.contains(&other.as_str()) {
                findings.push(format!("{name}: must not use {other} ({path})"));
            }
        }
    }
    findings
}

/// Direct dependencies, and those of the repository's own packages among them.
fn reached(packages: &Packages, name: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut open = vec![(name.to_owned(), name.to_owned())];
    while let Some((path, package)) = open.pop() {
        let own = package == name;
        for (other, kind) in packages.get(&package).into_iter().flatten() {
            if *kind == Use::InTests || (*kind == Use::Optional && !own) {
                continue;
            }
            found.push((path.clone(), other.clone()));
            if packages.contains_key(other) {
                open.push((format!("{path} → {other}"), other.clone()));
            }
        }
    }
    found
}

fn of_this_repository() -> Packages {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["metadata", "--no-deps", "--offline", "--format-version", "1"]);
    let done = command.current_dir(root()).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    packages(&serde_json::from_slice(&done.stdout).unwrap())
}

#[test]
fn dependencies_point_one_way() {
    let packages = of_this_repository();
    assert!(packages.contains_key("scenarios"), "the repository was not read");
    nothing_found(&wrong_directions(&packages));
}

#[test]
fn nobody_knows_what_it_must_not() {
    nothing_found(&forbidden_outsiders(&of_this_repository()));
}

fn sample(lines: &[(&str, &[(&str, Use)])]) -> Packages {
    let line = |(name, dependencies): &(&str, &[(&str, Use)])| {
        let own = dependencies.iter().map(|(other, kind)| ((*other).to_owned(), *kind));
        ((*name).to_owned(), own.collect())
    };
    lines.iter().map(line).collect()
}

#[test]
fn a_wrong_direction_is_found_and_a_right_one_is_not() {
    let found = wrong_directions(&sample(&[
        ("protocol", &[("mm", Use::Always)]),
        ("mm", &[("protocol", Use::Always), ("xtask", Use::InTests), ("engine", Use::InTests)]),
        ("engine", &[("engine-core", Use::Always), ("scenarios", Use::InTests)]),
        ("engine-core", &[("serde", Use::Always)]),
        ("scenarios", &[("xtask", Use::Always)]),
        ("xtask", &[]),
        ("newcomer", &[]),
    ]));
    assert_eq!(
        found,
        [
            "engine: must not depend on scenarios",
            "mm: must not depend on engine",
            "newcomer: not listed in tests/structure/directions.rs",
            "protocol: must not depend on mm",
        ]
    );
}

#[test]
fn a_forbidden_outsider_is_found_also_behind_a_package_of_ours() {
    let found = forbidden_outsiders(&sample(&[
        ("engine", &[("service", Use::Always), ("redis", Use::Always), ("tokio", Use::InTests)]),
        ("service", &[("axum", Use::Always), ("tokio", Use::Optional)]),
        ("db-sink", &[("axum", Use::Optional)]),
    ]));
    assert_eq!(
        found,
        ["engine: must not use axum (engine → service)", "db-sink: must not use axum (db-sink)"]
    );
}

#[test]
fn metadata_is_read_by_kind() {
    let metadata = serde_json::json!({"packages": [{"name": "a", "dependencies": [
        {"name": "x", "kind": null, "optional": false},
        {"name": "y", "kind": "dev", "optional": false},
        {"name": "z", "kind": "build", "optional": true}]}]});
    let read = packages(&metadata);
    let wanted = sample(&[("a", &[("x", Use::Always), ("y", Use::InTests), ("z", Use::Optional)])]);
    assert_eq!(read, wanted);
}
