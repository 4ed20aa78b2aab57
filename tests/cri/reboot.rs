//! Records of another boot, and of a clock that was set back.

use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use libtest_mimic::Trial;
use unikiln_daemon::proto::{ContainerState, PodSandboxState};

use crate::node::Node;
use crate::pod::{Container, Handler};
use crate::{all, leaks, one};

pub fn trials() -> Vec<Trial> {
    all([
        one("reboot::records_of_another_boot", records_of_another_boot),
        one("reboot::a_record_from_the_future", a_record_from_the_future),
    ])
}

/// Rewrites a record with its checksum, by the same code that reads it.
fn rewrite(node: &Node, change: impl Fn(&mut unikiln_daemon::state::SandboxRecord)) {
    use unikiln_daemon::state::{SandboxRecord, State};
    let state = State::open(&node.path("state")).expect("nobody uses it");
    for mut record in state.load::<SandboxRecord>().expect("records").records {
        change(&mut record);
        state.save(&record).expect("a record");
    }
}

fn records_of_another_boot() {
    let mut node = Node::start();
    node.pull("all");
    let before = leaks::Snapshot::take(&node);
    let ids = Handler::ALL.map(|handler| {
        let pod = node.pod(handler).run();
        let container = pod.container(&["/bin/sleeper"]).start();
        container.says("ready");
        (pod.id.clone(), container.id.clone())
    });
    node.kill();
    // A reboot takes all processes with it.
    for process in fs::read_dir("/proc").expect("processes").flatten() {
        let name = process.file_name().to_string_lossy().into_owned();
        let line = fs::read(process.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).into_owned();
        let of_node = line.contains(node.path("state").to_str().expect("UTF-8"));
        if name.parse::<u32>().is_ok() && (of_node || line.starts_with("/bin/sleeper")) {
            let _ = std::process::Command::new("kill")
                .args(["-KILL", &name])
                .status();
        }
    }
    rewrite(&node, |record| {
        record.boot_id = "00000000-0000-4000-8000-000000000000".to_owned();
    });
    node.start_again();
    for (pod, container) in &ids {
        let status = node.pod_status(pod).expect("it is found");
        assert_eq!(status.state(), PodSandboxState::SandboxNotready);
        let status = node.container_status(container).expect("it is found");
        assert_eq!(
            status.state(),
            ContainerState::ContainerExited,
            "{status:?}"
        );
        assert_ne!(status.exit_code, 0, "{status:?}");
    }
    node.clear();
    before.assert_back(&node);
}

fn a_record_from_the_future() {
    // The clock was set back: what is there was made later than now.
    let mut node = Node::start();
    node.pull("all");
    let pod = node.pod(Handler::Unikiln).run();
    let plan_id = pod.id.clone();
    let container = pod.container(&["/bin/sleeper"]).start();
    container.says("ready");
    let (id, log) = (container.id.clone(), container.log.clone());
    node.kill();
    rewrite(&node, |record| {
        record.created_at += Duration::from_secs(86_400)
    });
    node.start_again();
    let status = node.pod_status(&plan_id).expect("it is found");
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a time");
    assert!(
        status.created_at > now.as_nanos() as i64,
        "the record is another one"
    );
    assert_eq!(status.state(), PodSandboxState::SandboxReady);
    let container = Container {
        node: &node,
        id,
        log,
    };
    assert_eq!(container.stop(30).exit_code, 0, "{}", container.story());
    node.clear();
}
