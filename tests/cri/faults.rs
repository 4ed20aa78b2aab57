//! What fails around the daemon: CNI plugins, disks, monitors, OCI runtimes.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use tonic::Code;
use unikiln_daemon::proto::{self, ContainerState};

use crate::client::PATIENCE;
use crate::common::image::tool;
use crate::network::host_network;
use crate::node::{Node, Wants, shared};
use crate::pod::Handler;
use crate::{all, one};

pub fn trials() -> Vec<Trial> {
    all([
        one("faults::plugins_that_fail", plugins_that_fail),
        one("faults::a_plugin_that_hangs", a_plugin_that_hangs),
        one("faults::a_full_disk", a_full_disk),
        one(
            "faults::a_log_that_cannot_be_written",
            a_log_that_cannot_be_written,
        ),
        one("faults::a_monitor_that_is_killed", a_monitor_that_is_killed),
        one("faults::conmon_that_is_killed", conmon_that_is_killed),
        one(
            "faults::an_oci_runtime_that_is_missing",
            an_oci_runtime_that_is_missing,
        ),
    ])
}

/// A directory of Debian's plugins, and one more, of this script.
fn plugins(place: &Path, name: &str, script: &str) -> PathBuf {
    let directory = place.join("plugins");
    fs::create_dir_all(&directory).expect("a directory");
    for entry in fs::read_dir("/usr/lib/cni").expect("plugins").flatten() {
        symlink(entry.path(), directory.join(entry.file_name())).expect("a link");
    }
    let file = directory.join(name);
    fs::write(&file, format!("#!/bin/sh\n{script}\n")).expect("a file");
    fs::set_permissions(&file, Permissions::from_mode(0o755)).expect("ours");
    directory
}

/// A node whose first plugin is this script; what it was called for is in the file `calls`.
fn node_with(script: &str) -> (tempfile::TempDir, Node) {
    let place = tempfile::tempdir().expect("temporary directory");
    let calls = place.path().join("calls");
    let script = format!(
        "echo $CNI_COMMAND $CNI_CONTAINERID >>{}\n{script}",
        calls.display()
    );
    let node = Node::with(&Wants {
        plugins: Some(plugins(place.path(), "broken", &script)),
        plugin: Some("broken"),
        ..Default::default()
    });
    node.pull("all");
    (place, node)
}

fn plugins_that_fail() {
    let said = r#"echo '{"cniVersion":"1.0.0","code":11,"msg":"no clay left"}'; exit 1"#;
    for (script, words) in [
        (said, "no clay left"),
        ("echo nonsense; exit 0", "broken"),
        ("exit 3", "broken"),
        ("echo 'out of luck' >&2; exit 1", "out of luck"),
        ("kill -SEGV $$", "broken"),
        ("head -c 100000000 /dev/zero", "broken"),
    ] {
        let on_del = format!("[ $CNI_COMMAND = DEL ] && exit 0\n{script}");
        let (place, node) = node_with(&on_del);
        let namespaces = || fs::read_dir("/run/netns").map_or(0, Iterator::count);
        let plan = node.pod(Handler::Unikiln);
        let error = plan.try_run().expect_err("there is no network");
        assert!(error.message().contains(words), "no {words:?} in {error}");
        assert!(
            error.message().len() < 20_000,
            "{} bytes",
            error.message().len()
        );
        let list = node
            .client
            .list_pod_sandbox(Default::default())
            .expect("a list");
        assert!(list.items.is_empty(), "{:?}", list.items);
        // DEL after each ADD that failed, for the same pod.
        let calls = fs::read_to_string(place.path().join("calls")).expect("calls");
        let of = |command: &str| -> Vec<String> {
            let lines = calls.lines().filter_map(|line| line.strip_prefix(command));
            lines.map(str::to_owned).collect()
        };
        let (added, deleted) = (of("ADD "), of("DEL "));
        assert!(!added.is_empty(), "{calls}");
        for id in added {
            assert!(deleted.contains(&id), "no DEL for {id} in {calls}");
            let pinned = format!("/run/netns/unikiln-{}", &id[..id.len().min(16)]);
            assert!(!Path::new(&pinned).exists(), "{pinned} of {}", namespaces());
        }
        // The rest of the node works.
        node.pod(Handler::Unikiln).with(host_network).run().remove();
    }
}

fn a_plugin_that_hangs() {
    let own = tempfile::tempdir().expect("temporary directory");
    let pid = own.path().join("pid");
    let hangs = format!("echo $$ >{}; exec sleep 1000000", pid.display());
    let script = format!("if [ $CNI_COMMAND = ADD ]; then {hangs}; fi\nexit 0");
    let (_place, node) = node_with(&script);
    let mut client = node.client.runtime_service();
    let request = node.pod(Handler::Unikiln).request();
    let call = async move {
        let call = client.run_pod_sandbox(request);
        // Kubelet gives up at some time; the daemon must not hang with the plugin.
        tokio::time::timeout(Duration::from_secs(1), call).await
    };
    let answer = crate::client::runtime().block_on(call);
    assert!(!matches!(answer, Ok(Ok(_))), "{answer:?}");
    // Others are served meanwhile.
    let since = Instant::now();
    let pod = node.pod(Handler::Unikiln).with(host_network).run();
    let container = pod.container(&["/bin/ends", "exit", "0"]).start();
    assert_eq!(container.ends().exit_code, 0);
    pod.remove();
    assert!(
        since.elapsed() < Duration::from_secs(60),
        "{:?}",
        since.elapsed()
    );
    // What is left of the pod can be removed once the plugin is gone; it would be ended
    // by the daemon after a minute and a half.
    let pid = fs::read_to_string(&pid).expect("the plugin runs");
    tool("kill", &["-KILL", pid.trim()]);
}

fn a_full_disk() {
    let node = Node::with(&Wants {
        state_kib: Some(4096),
        ..Default::default()
    });
    node.pull("all");
    let pod = node.pod(Handler::Unikiln).with(host_network).run();
    let running = pod.container(&["/bin/sleeper"]).start();
    running.says("ready");
    let ballast = node.path("state/ballast");
    let fill = || {
        let target = format!("of={}", ballast.display());
        let words = ["if=/dev/zero", &target, "bs=4k"];
        // It ends with the disk.
        let _ = Command::new("dd").args(words).output();
    };
    fill();
    let error = node.pod(Handler::Unikiln).with(host_network).try_run();
    let error = error
        .map(|pod| pod.id)
        .expect_err("there is no room for a record");
    let codes = [Code::ResourceExhausted, Code::Internal, Code::Unknown];
    assert!(codes.contains(&error.code()), "{error}");
    assert!(error.message().to_lowercase().contains("space"), "{error}");
    let error = pod
        .container(&["/bin/look"])
        .try_create()
        .expect_err("no room");
    assert!(error.message().to_lowercase().contains("space"), "{error}");
    // What is there can be asked about, and is what it was.
    assert_eq!(running.status().state(), ContainerState::ContainerRunning);
    fs::remove_file(&ballast).expect("it is there");
    assert_eq!(running.stop(30).exit_code, 0, "{}", running.story());
    let next = node.pod(Handler::Unikiln).with(host_network).run();
    next.remove();
    pod.remove();
    let left = fs::read_dir(node.path("state/sandboxes"))
        .expect("a directory")
        .count();
    assert_eq!(left, 0, "pods are left in the state directory");
}

fn a_log_that_cannot_be_written() {
    let node = shared();
    let plan = node.pod(Handler::Unikiln);
    let directory = PathBuf::from(&plan.config.log_directory);
    fs::create_dir_all(&directory).expect("a directory");
    let options = ["-t", "tmpfs", "-o", "size=64k", "logs"];
    let mounted = Command::new("mount").args(options).arg(&directory).status();
    assert!(mounted.expect("mount starts").success());
    let pod = plan.run();
    // More than there is room for: the program must come to its end all the same.
    let container = pod.container(&["/bin/count", "5000", "0", "100"]).start();
    let since = Instant::now();
    let status = container.ends();
    assert_eq!(status.exit_code, 0, "{status:?}");
    assert!(since.elapsed() < PATIENCE, "{:?}", since.elapsed());
    pod.remove();
    let unmounted = Command::new("umount").arg(&directory).status();
    assert!(
        unmounted.expect("umount starts").success(),
        "somebody holds the log"
    );
}

/// Processes whose command line has all of these.
fn processes(words: &[&str]) -> Vec<String> {
    let entries = fs::read_dir("/proc").expect("processes").flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let found = names.filter(|name| {
        let line = fs::read(format!("/proc/{name}/cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).into_owned();
        name.parse::<u32>().is_ok() && words.iter().all(|word| line.contains(word))
    });
    found.collect()
}

fn kill(pids: &[String]) {
    assert!(!pids.is_empty(), "no such process");
    let killed = Command::new("kill").arg("-KILL").args(pids).status();
    assert!(killed.expect("kill starts").success());
}

fn a_monitor_that_is_killed() {
    let node = shared();
    let pod = node.pod(Handler::Unikiln).run();
    let container = pod.container(&["/bin/sleeper"]).start();
    container.says("ready");
    kill(&processes(&["unikiln-vmm", &container.id]));
    let status = container.ends();
    assert_eq!(
        (status.exit_code, status.reason.as_str()),
        (137, "Error"),
        "{status:?}"
    );
    // Its pod goes on.
    let next = pod.container(&["/bin/ends", "exit", "4"]).start();
    assert_eq!(next.ends().exit_code, 4);
    pod.remove();
}

fn conmon_that_is_killed() {
    let node = shared();
    let pod = node.pod(Handler::Runc).run();
    let container = pod.container(&["/bin/sleeper"]).start();
    container.says("ready");
    kill(&processes(&["conmon", &container.id]));
    let status = container.ends();
    assert_ne!(status.exit_code, 0, "{status:?}");
    pod.remove();
    // Its container did not outlive it.
    let since = Instant::now();
    while !processes(&[&container.id]).is_empty() {
        assert!(
            since.elapsed() < PATIENCE,
            "{:?}",
            processes(&[&container.id])
        );
        thread::sleep(Duration::from_millis(20));
    }
}

fn an_oci_runtime_that_is_missing() {
    let place = tempfile::tempdir().expect("temporary directory");
    let runtime = place.path().join("runc");
    fs::copy("/usr/sbin/runc", &runtime).expect("a program");
    let node = Node::with(&Wants {
        oci_runtime: Some(runtime.clone()),
        ..Default::default()
    });
    node.pull("all");
    let pod = node.pod(Handler::Runc).run();
    let container = pod.container(&["/bin/sleeper"]).create();
    fs::remove_file(&runtime).expect("it is there");
    let error = container.try_start().expect_err("there is no runtime");
    assert!(error.message().contains("runc"), "{error}");
    // Unikernels do not need it.
    let other = node.pod(Handler::Unikiln).run();
    let sleeper = other.container(&["/bin/sleeper"]).start();
    sleeper.says("ready");
    assert_eq!(sleeper.stop(30).exit_code, 0);
    other.remove();
    let status = node
        .client
        .status(proto::StatusRequest::default())
        .expect("a status");
    assert!(status.status.is_some());
    fs::copy("/usr/sbin/runc", &runtime).expect("a program");
    pod.remove();
}
