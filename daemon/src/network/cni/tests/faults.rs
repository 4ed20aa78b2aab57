//! Plugins that fail in each way that there is, and caches that are not as they were written.

use rustix::fs::FlockOperation;

use super::*;

/// The pod has nothing afterwards, and the plugin was asked to undo.
fn fails(plugin: &str, timeout: Duration) -> (Node, String) {
    let node = Node::with(&["first", plugin]).with_timeout(timeout);
    let reason = node.cni.add(&pod()).unwrap_err().reason();
    let calls: Vec<_> = node
        .calls()
        .into_iter()
        .filter(|call| !call.starts_with("VERSION"))
        .collect();
    let expected = [
        "ADD first".into(),
        format!("ADD {plugin}"),
        format!("DEL {plugin}"),
        "DEL first".into(),
    ];
    assert_eq!(calls, expected, "{reason}");
    assert_eq!(node.cni.attached().unwrap(), [""; 0]);
    assert!(reason.contains(&format!("plugin {plugin}")), "{reason}");
    (node, reason)
}

#[track_caller]
fn fails_with(plugin: &str, parts: &[&str]) {
    let (_node, reason) = fails(plugin, Duration::from_secs(30));
    for part in parts {
        assert!(reason.contains(part), "{part:?} in {reason}");
    }
}

#[test]
fn errors_are_quoted() {
    fails_with("fails", &["ADD, code 11", "try again; the pool is empty"]);
    fails_with("fails-raw", &["exit code 3", "no such bridge"]);
    fails_with("nonsense", &["no result", "Hello <world>"]);
    fails_with("silent", &["no result", "EOF"]);
    fails_with("dies", &["killed by signal 11"]);
    fails_with("floods", &["more than 1048576 bytes"]);
    fails_with(
        "old-only",
        &["code 1", "asks for 1.0.0, the plugin speaks 0.3.1, 0.4.0"],
    );
}

#[test]
fn one_that_hangs_is_killed_with_its_children() {
    let (node, reason) = fails("hangs", Duration::from_secs(2));
    assert!(
        reason.contains("within 2 s") && reason.contains("waiting for the agent"),
        "{reason}"
    );
    let sleeper = fs::read_to_string(node.at("bin/sleeper")).unwrap();
    let sleeper = Path::new("/proc").join(sleeper.trim()).join("stat");
    // Gone, or a zombie until init reaps it.
    let deadline = Instant::now() + Duration::from_secs(20);
    while fs::read_to_string(&sleeper).is_ok_and(|stat| !stat.contains(") Z ")) {
        assert!(Instant::now() < deadline, "its child still runs");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn noise_and_children_left_behind_do_no_harm() {
    let node = Node::with(&["noisy"]);
    node.cni.add(&pod()).unwrap();
    let node = Node::with(&["leaves"]);
    let start = Instant::now();
    node.cni.add(&pod()).unwrap();
    node.cni.del(&pod()).unwrap();
    assert!(
        start.elapsed() < Duration::from_secs(25),
        "waited for the child"
    );
    let sleeper = fs::read_to_string(node.at("bin/sleeper")).unwrap();
    let sleeper = rustix::process::Pid::from_raw(sleeper.trim().parse().unwrap()).unwrap();
    rustix::process::kill_process(sleeper, rustix::process::Signal::KILL).unwrap();
}

#[test]
fn a_plugin_that_is_missing_is_seen_before_any_runs() {
    let node = Node::with(&["first", "second"]);
    fs::remove_file(node.at("bin/second")).unwrap();
    let reason = node.cni.add(&pod()).unwrap_err().reason();
    assert!(
        reason.contains("\"second\"") && reason.contains("/no-such-dir, "),
        "{reason}"
    );
    assert_eq!(node.calls(), [""; 0]);
}

#[test]
fn a_failed_del_runs_the_others_and_is_tried_again() {
    let node = Node::with(&["first", "fails-del"]);
    node.cni.add(&pod()).unwrap();
    let reason = node.cni.del(&pod()).unwrap_err().reason();
    assert!(reason.contains("still in use"), "{reason}");
    assert_eq!(node.calls()[2..], ["DEL fails-del", "DEL first"]);
    fs::write(node.at("bin/repaired"), "").unwrap();
    node.cni.del(&pod()).unwrap();
    node.cni.del(&pod()).unwrap();
    assert_eq!(node.calls().len(), 6);
}

#[test]
fn a_failed_undo_is_told_and_done_later() {
    let node = Node::with(&["fails-del", "fails"]);
    let reason = node.cni.add(&pod()).unwrap_err().reason();
    assert!(
        reason.contains("try again") && reason.contains("still in use"),
        "{reason}"
    );
    fs::write(node.at("bin/repaired"), "").unwrap();
    node.cni.del(&pod()).unwrap();
    assert_eq!(node.cni.attached().unwrap(), [""; 0]);
}

#[test]
fn a_damaged_cache_is_set_aside_and_the_present_network_taken_away() {
    let node = Node::with(&["first"]);
    node.cni.add(&pod()).unwrap();
    let file = node.at("cache").join(format!("{ID}.json"));
    let whole = fs::read(&file).unwrap();
    fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    node.cni.del(&pod()).unwrap();
    assert_eq!(node.calls(), ["ADD first", "DEL first"]);
    assert!(node.at("cache").join(format!("{ID}.damaged")).exists());
    assert!(!file.exists());
}

#[test]
fn a_plugin_of_a_killed_daemon_is_waited_for_but_not_for_ever() {
    let node = Node::with(&["first"]).with_timeout(Duration::from_secs(1));
    node.cni.add(&pod()).unwrap();
    let input = fs::File::open(node.at("cache").join(format!("{ID}.stdin"))).unwrap();
    rustix::fs::flock(&input, FlockOperation::LockExclusive).unwrap();
    let start = Instant::now();
    node.cni.del(&pod()).unwrap();
    assert!(start.elapsed() >= Duration::from_secs(1));
    assert_eq!(node.calls(), ["ADD first", "DEL first"]);
}

#[test]
fn what_plugins_would_misread_is_refused() {
    let node = Node::with(&["first"]);
    let refused = |pod: PodNetwork| {
        let error = node.cni.add(&pod).unwrap_err();
        assert!(matches!(error, CniError::BadPod(_)), "{error}");
    };
    refused(PodNetwork {
        id: "../x".into(),
        ..pod()
    });
    refused(PodNetwork {
        id: String::new(),
        ..pod()
    });
    refused(PodNetwork {
        name: "a;CNI_NETNS=b".into(),
        ..pod()
    });
    refused(PodNetwork {
        uid: "a\nb".into(),
        ..pod()
    });
    let pod = PodNetwork {
        netns: "/dev/null".into(),
        ..pod()
    };
    assert!(matches!(node.cni.add(&pod), Err(CniError::Namespace(_))));
    assert_eq!(node.calls(), [""; 0]);
}
