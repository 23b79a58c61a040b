//! The papers at the top of the clone name files that exist.

use std::fs;
use std::path::Path;

use super::{nothing_found, root};

const SUFFIXES: &[&str] = &[
    "rs", "toml", "md", "sql", "ts", "tsx", "json", "csv", "sh", "html", "yml", "bin", "py", "txt",
];

/// Made at run time or by a build, so not there in a clean clone.
const MADE: &[&str] = &["var/", "target/", "web/dist/", "web/node_modules/"];

/// Paths in backticks: a slash, no blank, a known suffix or a slash at the end; `{a,b}` stands for
/// both.
fn named_paths(text: &str) -> Vec<String> {
    let mut fenced = false;
    let mut paths = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
            continue;
        }
        if fenced {
            continue;
        }
        // What stands between the first and the second backtick, the third and the fourth, …
        for quoted in line.split('`').skip(1).step_by(2) {
            paths.extend(expanded(quoted).into_iter().filter(|path| is_path(path)));
        }
    }
    paths
}

fn is_path(quoted: &str) -> bool {
    let plain = quoted.chars().all(|c| c.is_ascii_alphanumeric() || "._-/".contains(c));
    let known = quoted.ends_with('/')
        || Path::new(quoted)
            .extension()
            .is_some_and(|suffix| SUFFIXES.iter().any(|known| suffix == *known));
    let made = MADE.iter().any(|folder| quoted.starts_with(folder));
    plain && known && !made && quoted.contains('/') && !quoted.starts_with('/')
}

/// `a/{b,c}.rs` → `a/b.rs`, `a/c.rs`.
fn expanded(quoted: &str) -> Vec<String> {
    let parts = quoted.split_once('{').and_then(|(before, rest)| {
        let (choices, after) = rest.split_once('}')?;
        Some((before, choices, after))
    });
    match parts {
        None => vec![quoted.to_owned()],
        Some((before, choices, after)) => {
            choices.split(',').map(|choice| format!("{before}{}{after}", choice.trim())).collect()
        }
    }
}

#[test]
fn every_path_the_papers_name_exists() {
    let root = root();
    let mut found = Vec::new();
    for paper in ["ARCHITECTURE.md", "README.md", "RUNBOOK.md", "docs/api.md"] {
        let Ok(text) = fs::read_to_string(root.join(paper)) else { continue };
        for path in named_paths(&text) {
            if !root.join(&path).exists() {
                found.push(format!("{paper} names `{path}`, which does not exist"));
            }
        }
    }
    nothing_found(&found);
}

#[test]
fn paths_are_told_from_other_things_in_backticks() {
    let text = "See `engine/src/main.rs` and `db-sink/migrations/`, written by `a/{b,c}.rs`.\n\
                Not `GET /api/v1/order`, `SOL/USDC`, `main.rs`, `/etc/hosts.md`, nor\n\
                `var/stack.json`.\n\
                ```text\n`in/a/fence.rs`\n```\nBut `docs/a.md`.";
    assert_eq!(
        named_paths(text),
        ["engine/src/main.rs", "db-sink/migrations/", "a/b.rs", "a/c.rs", "docs/a.md"]
    );
}
