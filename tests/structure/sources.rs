//! What every Rust file looks like: a doc at its top, a size a reader can take in, a name that
//! says something, and nothing in it that the style forbids.

use std::fs;
use std::path::Path;

use super::{nothing_found, root};

const LINES_MAX: usize = 500;
const COLUMNS_MAX: usize = 100;

/// Names that say nothing of what a file knows.
const EMPTY_NAMES: &[&str] =
    &["utils", "util", "common", "misc", "manager", "managers", "helper", "helpers"];

/// The only files that may hold `unsafe`, each block with its `// SAFETY:`.
const UNSAFE_FILES: &[&str] = &[];

/// Files on an order's way through a shard; they may not allocate, wait or ask the system.
const HOT_FILES: &[&str] = &[
    "engine/core/src/shard.rs",
    "engine/core/src/ledger.rs",
    "engine/core/src/matching.rs",
    "engine/core/src/book.rs",
    "engine/src/shard_loop.rs",
];
const HOT_FOLDERS: &[&str] = &["engine/core/src/book/"];

const UNBOUNDED: &[&str] = &[
    "unbounded_channel",
    "unbounded(",
    "unbounded::<",
    "UnboundedSender",
    "mpsc::channel()",
    "mpsc::channel::<",
];

/// Put together here so that this file does not hold them itself.
const OPEN_MATTERS: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X:")];

/// All that is wrong with one file; `path` is relative to the clone.
fn findings(path: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut say = |line: usize, what: &str| found.push(format!("{path}:{line}: {what}"));
    let hot =
        HOT_FILES.contains(&path) || HOT_FOLDERS.iter().any(|folder| path.starts_with(folder));
    if !text.starts_with("//!") {
        say(1, "does not open with `//!`");
    } else if hot && !text.starts_with("//! Hot path.") {
        say(1, "is on the hot path and does not open with `//! Hot path.`");
    }
    if LINES_MAX < text.lines().count() {
        say(text.lines().count(), &format!("more than {LINES_MAX} lines"));
    }
    let name = Path::new(path).file_stem().unwrap().to_string_lossy().into_owned();
    if EMPTY_NAMES.contains(&name.as_str()) {
        say(1, &format!("`{name}` does not say what the file knows"));
    }
    for (number, line) in (1..).zip(text.lines()) {
        if COLUMNS_MAX < line.chars().count() {
            say(number, &format!("longer than {COLUMNS_MAX} columns"));
        }
        if OPEN_MATTERS.iter().any(|word| has_word(line, word)) && !names_issue(line) {
            say(number, "an open matter without an issue number (`#12`)");
        }
        if is_code_in_comment(line) {
            say(number, "commented-out code");
        }
        let code = code_of(line);
        if has_word(&code, "unsafe") && !UNSAFE_FILES.contains(&path) {
            say(number, "`unsafe` in a file that is not listed for it");
        }
        if UNBOUNDED.iter().any(|word| code.contains(word)) {
            say(number, "a queue without a bound");
        }
    }
    found
}

/// The line without its comment and without what its string literals hold. A literal that runs
/// over several lines is not followed; such text rarely looks like code.
fn code_of(line: &str) -> String {
    let mut code = String::new();
    let mut rest = line;
    let mut quoted = false;
    while let Some(first) = rest.chars().next() {
        let skipped = match (quoted, first) {
            (true, '\\') => 1 + rest[1..].chars().next().map_or(0, char::len_utf8),
            (false, '/') if rest.starts_with("//") => break,
            (false, '\'') if rest.starts_with("'\"'") => 3,
            (_, '"') => {
                quoted = !quoted;
                1
            }
            (true, _) => first.len_utf8(),
            (false, _) => {
                code.push(first);
                first.len_utf8()
            }
        };
        rest = &rest[skipped..];
    }
    code
}

/// As a word of its own, not as a part of a name.
fn has_word(text: &str, word: &str) -> bool {
    let joins = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        !before.is_some_and(joins) && !after.is_some_and(joins)
    })
}

fn names_issue(line: &str) -> bool {
    line.match_indices('#')
        .any(|(at, _)| line[at + 1..].chars().next().is_some_and(|c| c.is_ascii_digit()))
}

/// A plain comment that opens like a statement and closes like one.
fn is_code_in_comment(line: &str) -> bool {
    let Some(said) = line.trim_start().strip_prefix("// ") else { return false };
    let opens = ["let ", "use ", "fn ", "pub ", "return ", "match ", "assert", "println!", "self."];
    let opens = opens.iter().any(|word| said.starts_with(word));
    said == "}" || said == "});" || (opens && (said.ends_with(';') || said.ends_with('{')))
}

/// Every Rust file of the clone with its path, made and fetched ones left out.
fn rust_files() -> Vec<(String, String)> {
    let root = root();
    let mut files = Vec::new();
    let mut open = vec![root.clone()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let skipped = ["target", "node_modules", "var", "dist"].contains(&name.as_str());
            if path.is_dir() && !skipped && !name.starts_with('.') {
                open.push(path);
            } else if path.extension().is_some_and(|suffix| suffix == "rs") {
                let relative = path.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
                files.push((relative, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    files.sort();
    files
}

#[test]
fn every_source_file_keeps_to_the_style() {
    let files = rust_files();
    assert!(files.iter().any(|(path, _)| path == "tests/structure/sources.rs"), "nothing was read");
    let found: Vec<String> = files.iter().flat_map(|(path, text)| findings(path, text)).collect();
    nothing_found(&found);
}

#[test]
fn files_listed_for_unsafe_exist() {
    for path in UNSAFE_FILES {
        assert!(root().join(path).exists(), "{path} is listed for unsafe but gone");
    }
}

fn found_in(path: &str, body: &str) -> Vec<String> {
    findings(path, &format!("//! A sample.\n{body}\n"))
}

#[test]
fn a_file_in_order_has_no_findings() {
    let body = "/// Unsafe at any speed, and unbounded; see http://example.org/ for more.\n\
                fn sound() -> &'static str { \"http://x\" } // let it be.";
    assert_eq!(found_in("mm/src/sample.rs", body), Vec::<String>::new());
}

#[test]
fn top_size_name_and_width_are_held() {
    assert_eq!(findings("a/b.rs", "fn f() {}\n"), ["a/b.rs:1: does not open with `//!`"]);
    assert_eq!(
        found_in("a/utils.rs", ""),
        ["a/utils.rs:1: `utils` does not say what the file knows"]
    );
    assert_eq!(found_in("a/b.rs", &"\n".repeat(499)), ["a/b.rs:501: more than 500 lines"]);
    assert_eq!(found_in("a/b.rs", &"\n".repeat(498)), Vec::<String>::new());
    let wide = format!("// {}", "é".repeat(98));
    assert_eq!(found_in("a/b.rs", &wide), ["a/b.rs:2: longer than 100 columns"]);
    assert_eq!(found_in("a/b.rs", &wide[..wide.len() - 2]), Vec::<String>::new());
}

#[test]
fn a_hot_file_says_so() {
    for path in ["engine/core/src/ledger.rs", "engine/core/src/book/level.rs"] {
        assert_eq!(found_in(path, "").len(), 1, "{path}");
        assert_eq!(findings(path, "//! Hot path. Cells.\n"), Vec::<String>::new());
    }
}

#[test]
fn an_open_matter_needs_an_issue() {
    let [todo, fixme, _] = OPEN_MATTERS else { panic!("three words") };
    assert_eq!(found_in("a/b.rs", &format!("// {todo}: later")).len(), 1);
    assert_eq!(found_in("a/b.rs", &format!("// {fixme} when it rains")).len(), 1);
    assert_eq!(found_in("a/b.rs", &format!("// {todo} #12: later")), Vec::<String>::new());
    assert_eq!(found_in("a/b.rs", &format!("// {todo}S are listed")), Vec::<String>::new());
}

#[test]
fn unsafe_is_found_as_a_word_in_code() {
    for code in ["    unsafe { f() }", "let c = '\"'; unsafe { f() }", "\"\\\"\"; unsafe {}"] {
        assert_eq!(found_in("a/b.rs", code).len(), 1, "{code}");
    }
    for fine in ["#![forbid(unsafe_code)]", "// unsafe is a word", "say(\"unsafe {\");"] {
        assert_eq!(found_in("a/b.rs", fine), Vec::<String>::new(), "{fine}");
    }
}

#[test]
fn a_queue_without_a_bound_is_found() {
    for word in UNBOUNDED {
        assert_eq!(found_in("a/b.rs", &format!("let (a, b) = {word}")).len(), 1, "{word}");
    }
    let bounded = "let (sender, receiver) = mpsc::channel(64);";
    assert_eq!(found_in("a/b.rs", bounded), Vec::<String>::new());
}

#[test]
fn commented_out_code_is_told_from_prose() {
    for code in ["// let x = 1;", "    // return Err(e);", "// match x {", "// }"] {
        assert_eq!(found_in("a/b.rs", code).len(), 1, "{code}");
    }
    for prose in ["// Returns early;", "// let this stand", "/// use it thus: `a;`"] {
        assert_eq!(found_in("a/b.rs", prose), Vec::<String>::new(), "{prose}");
    }
}
