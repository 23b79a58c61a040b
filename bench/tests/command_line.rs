//! The real command: what it prints, and how it ends.

#![allow(clippy::unwrap_used, reason = "a test's helpers panic as its tests do")]

use std::process::{Command, Output};

use serde_json::Value;

fn bench(arguments: &[&str]) -> std::io::Result<Output> {
    Command::new(env!("CARGO_BIN_EXE_bench")).args(arguments).output()
}

/// A folder of this test alone, in the build's.
fn folder(name: &str) -> String {
    format!("{}/bench-{}-{name}", env!("CARGO_TARGET_TMPDIR"), std::process::id())
}

/// What a bench says of a quick run in a folder, which it leaves empty.
fn quick_report(verb: &str) -> Value {
    let folder = folder(verb);
    let report = report(&[verb, "--quick", "--dir", &folder]);
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0, "{folder}");
    std::fs::remove_dir(&folder).unwrap();
    report
}

/// What a bench says in JSON; its figures are of this machine.
fn report(arguments: &[&str]) -> Value {
    let output = bench(&[arguments, &["--json"]].concat()).unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(report["machine"]["rustc"].as_str().is_some_and(|text| text.starts_with("rustc")));
    report
}

fn is_positive(figure: &Value) -> bool {
    figure.as_f64().is_some_and(|figure| 0.0 < figure)
}

#[test]
fn a_flow_gives_figures_of_both_books() {
    let report = report(&["book", "--flow", "far", "--runs", "1", "--seed", "3"]);
    let flow = &report["flows"][0];
    assert_eq!((flow["flow"].as_str(), flow["commands"].as_u64()), (Some("far"), Some(500_000)));
    for book in ["engine", "reference"] {
        assert!(is_positive(&flow[book]["ns_per_command"]), "{flow}");
        assert_eq!(flow[book]["latency_ns"]["count"], 500_000);
    }
}

#[test]
fn a_flow_gives_figures_of_shard_book_and_parts() {
    let report = report(&["shard", "--flow", "far", "--runs", "1", "--gateways", "3"]);
    let flow = &report["flows"][0];
    // Neither reduced nor moved orders are in it: as many commands as the flow has.
    assert_eq!((flow["flow"].as_str(), flow["commands"].as_u64()), (Some("far"), Some(500_000)));
    for subject in ["shard", "book"] {
        assert!(is_positive(&flow[subject]["ns_per_command"]), "{flow}");
    }
    for part in ["recognition_ns", "digest_ns", "ledger_ns", "frame_ns"] {
        assert!(is_positive(&flow["parts"][part]), "{part}: {flow}");
    }
    assert_eq!(report["senders"]["gateways"], 3);
}

#[test]
fn the_journal_gives_figures_with_sync_and_without() {
    let report = quick_report("journal");
    assert!(report["disk"]["kind"].is_string());
    let steps = report["steps"].as_array().unwrap();
    assert_eq!(steps.len(), 2);
    for step in steps {
        for way in ["fsync", "write"] {
            for figure in ["acknowledged_per_second", "group_mean", "bytes_per_command"] {
                assert!(is_positive(&step[way][figure]), "{figure}: {step}");
            }
        }
    }
    // A hundred milliseconds of 5,000 commands a second.
    assert_eq!(steps[0]["fsync"]["latency_ns"]["count"], 500);
    assert!(steps[1]["fsync"]["latency_ns"].is_null());
}

#[test]
fn recovery_gives_figures_of_each_way() {
    let report = quick_report("recovery");
    let ways = report["ways"].as_array().unwrap();
    assert_eq!(ways.len(), 5);
    // 20 accounts with two deposits each, 500 orders, and the tail.
    let (opening, tail) = (20 * 3 + 500, 2000);
    for way in ways {
        let from_snapshot = way["way"].as_str().unwrap().starts_with("snapshot");
        let frames = if from_snapshot { tail } else { opening + tail };
        assert_eq!(way["frames"], frames, "{way}");
        assert!(is_positive(&way["frames_per_second"]), "{way}");
    }
    assert_eq!(report["snapshot"]["orders"], 500);
    assert!(is_positive(&report["snapshot"]["bytes"]));
}

#[test]
fn snapshots_are_taken_while_commands_become_durable() {
    let report = quick_report("snapshots");
    for run in ["paced", "all"] {
        let run = &report[run];
        assert!(is_positive(&run["commands"]), "{run}");
        let stretches = run["stretches"].as_array().unwrap();
        let seen: Vec<_> = stretches.iter().map(|it| it["stretch"].as_str().unwrap()).collect();
        assert_eq!(seen, ["quiet", "encode", "write"]);
    }
    assert_eq!(report["paced"]["commands"], 1000);
    assert!(is_positive(&report["paced"]["snapshots"]), "{report}");
}

#[test]
fn queries_of_all_kinds_are_answered() {
    let report = report(&["queries", "--quick"]);
    let load = &report["loads"][0];
    assert_eq!((load["rows"].as_array().unwrap().len(), &load["unanswered"]), (8, &Value::from(0)));
    let counts = load["rows"].as_array().unwrap().iter().map(|row| &row["latency_ns"]["count"]);
    assert_eq!(counts.map(|count| count.as_u64().unwrap()).sum::<u64>(), 60);
}

#[test]
fn misuse_is_told_from_failure() {
    let cases = [
        &["book", "--flow", "none"][..],
        &["book", "--runs", "0"],
        &["shard", "--gateways", "0"],
        &["journal", "--shards", "0"],
        &["recovery", "--orders", "none"],
        &[],
    ];
    for arguments in cases {
        assert_eq!(bench(arguments).unwrap().status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn orders_go_over_rest_through_a_whole_exchange() {
    let report = quick_report("rest");
    let steps = report["steps"].as_array().unwrap();
    // Three kinds, two loops, two numbers of connections, two of orders at rest.
    assert_eq!(steps.len(), 24);
    for step in steps {
        assert_eq!(step["failed"], 0, "{step}");
        assert!(is_positive(&step["answered_per_second"]), "{step}");
        assert!(is_positive(&step["latency_ns"]["p50"]), "{step}");
        for part in ["request_us", "verify_us", "queue_us", "decision_us", "durable_us"] {
            assert!(is_positive(&step["split"][part]), "{part}: {step}");
        }
        let split = |part: &str| step["split"][part].as_f64().unwrap();
        assert!(split("verify_us") + split("decision_us") < split("request_us"), "{step}");
    }
}

#[test]
fn streams_bring_every_trade_to_every_socket() {
    let report = quick_report("streams");
    for (step, sockets) in report["trades"].as_array().unwrap().iter().zip([1, 20]) {
        assert_eq!((&step["sockets"], &step["trades"]), (&sockets.into(), &5.into()), "{step}");
        for from in ["from_order", "from_engine"] {
            for reached in ["first", "half", "most", "last"] {
                assert!(is_positive(&step[from][reached]["p50"]), "{from} {reached}: {step}");
            }
        }
    }
    // Three hundred milliseconds of 50 updates a second to 20 sockets.
    let flood = &report["floods"][0];
    assert_eq!((&flood["missing"], &flood["closed"]), (&0.into(), &0.into()), "{flood}");
    assert_eq!(flood["lag_ns"]["count"], 15 * 20);
    for turns in ["with", "without"] {
        assert_eq!(report["stalled"][turns][0]["lag_ns"]["count"], 15 * 10, "{turns}");
    }
}

#[test]
fn libraries_for_websockets_write_and_read() {
    let report = report(&["websockets", "--quick"]);
    let ways = report["ways"].as_array().unwrap();
    assert_eq!(ways.len(), 4);
    for way in ways {
        assert!(is_positive(&way["read_ns"]) && is_positive(&way["write_ns"][2][1]), "{way}");
    }
}
