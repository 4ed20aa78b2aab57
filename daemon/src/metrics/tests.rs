//! What was counted is told, under few labels.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;

fn has(text: &str, line: &str) {
    assert!(text.lines().any(|one| one == line), "{line} in\n{text}");
}

#[test]
fn what_was_counted_is_told() {
    let metrics = Metrics::new();
    let path = "/runtime.v1.RuntimeService/RunPodSandbox";
    metrics.rpc(path, tonic::Code::Ok, Duration::from_millis(3));
    metrics.rpc("RunPodSandbox", tonic::Code::NotFound, Duration::ZERO);
    metrics.phase(Phase::SandboxNetwork, Duration::from_millis(20));
    metrics.exit("OOMKilled");
    metrics.pull(Outcome::Done);
    metrics.pull(Outcome::Done);
    metrics.pull(Outcome::Refused);
    let live = Arc::new(AtomicU64::new(0));
    let read = Arc::clone(&live);
    metrics.gauge("containers", "Containers that run", move || {
        read.load(Ordering::Relaxed)
    });
    live.store(7, Ordering::Relaxed);
    let text = metrics.text().unwrap();
    has(
        &text,
        r#"unikiln_rpc_total{method="RunPodSandbox",code="OK"} 1"#,
    );
    has(
        &text,
        r#"unikiln_rpc_total{method="RunPodSandbox",code="NotFound"} 1"#,
    );
    has(
        &text,
        r#"unikiln_rpc_duration_seconds_count{method="RunPodSandbox"} 2"#,
    );
    has(
        &text,
        r#"unikiln_phase_duration_seconds_bucket{phase="sandbox_network",le="0.01"} 0"#,
    );
    has(
        &text,
        r#"unikiln_phase_duration_seconds_bucket{phase="sandbox_network",le="0.025"} 1"#,
    );
    has(
        &text,
        r#"unikiln_phase_duration_seconds_sum{phase="sandbox_network"} 0.02"#,
    );
    has(
        &text,
        r#"unikiln_container_exits_total{reason="OOMKilled"} 1"#,
    );
    has(&text, r#"unikiln_pulls_total{outcome="done"} 2"#);
    has(&text, r#"unikiln_pulls_total{outcome="refused"} 1"#);
    has(&text, "# TYPE unikiln_containers gauge");
    has(&text, "unikiln_containers 7");
}

#[test]
fn clients_make_no_labels() {
    let metrics = Metrics::new();
    for number in 0..1000 {
        let method = format!("/x.Y/Z{number}\"\n");
        metrics.rpc(&method, tonic::Code::Unimplemented, Duration::ZERO);
        metrics.exit(&method);
    }
    let text = metrics.text().unwrap();
    has(
        &text,
        r#"unikiln_rpc_total{method="other",code="Unimplemented"} 1000"#,
    );
    has(
        &text,
        r#"unikiln_container_exits_total{reason="other"} 1000"#,
    );
}

#[test]
fn every_call_is_known() {
    let proto = concat!(
        include_str!("../../../proto/runtime.proto"),
        include_str!("../../../proto/image.proto"),
    );
    let names = proto
        .lines()
        .filter_map(|line| line.trim().strip_prefix("rpc "));
    let names: Vec<_> = names
        .map(|rest| rest.split('(').next().unwrap().trim())
        .collect();
    assert_eq!(names, METHODS);
}
