//! Records that are damaged: the daemon starts, sets them aside, and names each.

use std::fs;
use std::path::Path;

use libtest_mimic::Trial;
use unikiln_daemon::proto::{ContainerState, PodSandboxState};

use crate::node::Node;
use crate::pod::{Container, Handler};
use crate::random::{Random, count};
use crate::{all, leaks, one};

pub fn trials() -> Vec<Trial> {
    all([
        one(
            "damage::a_thousand_damaged_records",
            a_thousand_damaged_records,
        ),
        one("damage::one_daemon_at_a_time", one_daemon_at_a_time),
    ])
}

/// One of many ways to spoil a record.
fn spoil(random: &mut Random, bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let len = bytes.len() as u64;
    match random.below(8) {
        0 => bytes.clear(),
        1 => bytes.truncate(random.below(len) as usize),
        2 => bytes = bytes.split_off(1 + random.below(len - 1) as usize),
        3 => bytes = (0..len).map(|_| random.below(256) as u8).collect(),
        // What a file system leaves of a block that never came.
        4 => {
            let from = random.below(len) as usize;
            bytes[from..].fill(0);
        }
        5 => bytes.extend_from_within(..(1 + random.below(len - 1)) as usize),
        _ => {
            let bit = random.below(len * 8);
            bytes[(bit / 8) as usize] ^= 1 << (bit % 8);
        }
    }
    bytes
}

fn id(random: &mut Random) -> String {
    (0..64)
        .map(|_| char::from(*random.pick(b"0123456789abcdef")))
        .collect()
}

fn a_thousand_damaged_records() {
    let mut node = Node::start();
    node.pull("all");
    let before = leaks::Snapshot::take(&node);
    let good = Handler::ALL.map(|handler| {
        let pod = node.pod(handler).run();
        let container = pod.container(&["/bin/sleeper"]).start();
        container.says("ready");
        (pod.id.clone(), container.id.clone(), container.log.clone())
    });
    node.kill();
    let mut random = Random::new(0);
    let state = node.path("state");
    let mut damaged = Vec::new();
    for number in 0..count("UNIKILN_CRI_DAMAGED", 1000) {
        let (pod, container, _) = random.pick(&good);
        let (kind, of) = if number % 2 == 0 {
            ("sandboxes", pod)
        } else {
            ("containers", container)
        };
        let original = fs::read(state.join(kind).join(of).join("record.json")).expect("a record");
        let bytes = spoil(&mut random, &original);
        let id = id(&mut random);
        let directory = state.join(kind).join(&id);
        fs::create_dir(&directory).expect("a directory");
        fs::write(directory.join("record.json"), bytes).expect("a file");
        damaged.push((directory, id));
    }
    // And what is no record at all.
    fs::create_dir(state.join("containers/odd.name")).expect("a directory");
    fs::create_dir_all(
        state
            .join("sandboxes")
            .join("0".repeat(64))
            .join("record.json"),
    )
    .expect("a directory");
    fs::write(state.join("sandboxes/a-file"), "words").expect("a file");
    node.start_again();
    let said = node.said();
    for (directory, id) in &damaged {
        assert!(
            !directory.exists(),
            "{} is still there",
            directory.display()
        );
        assert!(said.contains(id.as_str()), "{id} is not named");
        node.container_status(id).expect_err("it is no container");
        node.pod_status(id).expect_err("it is no pod");
    }
    let aside = fs::read_dir(state.join("damaged"))
        .expect("a directory")
        .count();
    assert!(
        aside >= damaged.len(),
        "{aside} of {} set aside",
        damaged.len()
    );
    // What is whole is as before.
    for (pod, container, log) in good {
        assert_eq!(
            node.pod_status(&pod).expect("a pod").state(),
            PodSandboxState::SandboxReady
        );
        let container = Container {
            node: &node,
            id: container,
            log,
        };
        assert_eq!(container.status().state(), ContainerState::ContainerRunning);
        assert_eq!(container.stop(30).exit_code, 0, "{}", container.story());
    }
    node.clear();
    before.assert_back(&node);
}

fn one_daemon_at_a_time() {
    let node = Node::start();
    let config = node.path("serve.toml");
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_unikiln"))
        .args([Path::new("serve"), Path::new("--config"), &config])
        .output()
        .expect("unikiln starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "two daemons: {said}");
    assert!(said.contains("another daemon"), "{said}");
    // The first one is none the worse, its socket neither.
    node.client.version(Default::default()).expect("an answer");
}
