//! The real command: what it prints, and how it ends.

use std::process::{Command, Output};

fn bench(arguments: &[&str]) -> std::io::Result<Output> {
    Command::new(env!("CARGO_BIN_EXE_bench")).args(arguments).output()
}

#[test]
fn a_flow_gives_figures_of_both_books() {
    let output = bench(&["book", "--flow", "far", "--runs", "1", "--seed", "3", "--json"]).unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let flow = &report["flows"][0];
    assert_eq!((flow["flow"].as_str(), flow["commands"].as_u64()), (Some("far"), Some(500_000)));
    for book in ["engine", "reference"] {
        assert!(flow[book]["ns_per_command"].as_f64().is_some_and(|ns| 0.0 < ns), "{flow}");
        assert_eq!(flow[book]["latency_ns"]["count"], 500_000);
    }
    assert!(report["machine"]["rustc"].as_str().is_some_and(|text| text.starts_with("rustc")));
}

#[test]
fn misuse_is_told_from_failure() {
    for arguments in [&["book", "--flow", "none"][..], &["book", "--runs", "0"], &[]] {
        assert_eq!(bench(arguments).unwrap().status.code(), Some(2), "{arguments:?}");
    }
}
