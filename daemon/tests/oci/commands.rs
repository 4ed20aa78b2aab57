//! Commands in a container.

use std::fs;
use std::time::Duration;

use unikiln_daemon::handler::{Handler, HandlerError};

use crate::node::{Node, wait_for};

#[test]
fn a_command_has_the_containers_user_and_gives_output_and_exit_code() {
    let Some(node) = Node::new("oci exec") else {
        return;
    };
    let mut container = node.container("echo up; sleep 1000");
    container.security().run_as_username = "web".to_owned();
    container.config.working_dir = "/etc".to_owned();
    let process = container.start();
    container.wait_line("up");
    let script = "id -u; id -G; pwd; echo $PATH; echo err >&2; exit 42";
    let output = container
        .exec(process, script, Some(Duration::from_secs(60)))
        .expect("exec");
    let text = String::from_utf8(output.stdout).expect("utf-8");
    assert_eq!(text, "33\n34 60\n/etc\n/bin\n");
    assert_eq!((output.exit_code, output.stderr), (42, b"err\n".to_vec()));
    let user = node.handler().user(&container.launch()).expect("user");
    assert_eq!((user.uid, user.gid), (33, 34));
    assert_eq!(user.supplemental_groups, [34, 60]);
    let command = ["/no/such/command".to_owned()];
    let handler = node.handler();
    let error = handler.exec_sync(&container.launch(), process, &command, None);
    let error = error.expect_err("must fail").to_string();
    assert!(error.contains("/no/such/command"), "{error}");
    assert!(
        handler
            .exec_sync(&container.launch(), process, &[], None)
            .is_err()
    );
    drop(container);
    node.assert_clean();
}

#[test]
fn output_is_bounded_and_complete_up_to_there() {
    let Some(node) = Node::new("oci exec output") else {
        return;
    };
    let container = node.container("sleep 1000");
    let process = container.start();
    let output = container.exec(process, "head -c 3000000 /dev/zero; echo end >&2", None);
    let output = output.expect("exec");
    assert_eq!(
        (output.stdout.len(), output.stderr),
        (3_000_000, b"end\n".to_vec())
    );
    let output = container.exec(process, "head -c 17825792 /dev/zero; exit 6", None);
    let output = output.expect("exec");
    assert_eq!((output.stdout.len(), output.exit_code), (16 << 20, 6));
}

#[test]
fn a_command_that_takes_too_long_is_killed_with_its_children() {
    let Some(node) = Node::new("oci exec timeout") else {
        return;
    };
    let container = node.container("sleep 1000");
    let process = container.start();
    let script = "echo begun > /tmp/begun; (sleep 54321 & sleep 54322 & wait) & sleep 54323";
    let error = container.exec(process, script, Some(Duration::from_secs(3)));
    assert!(matches!(error, Err(HandlerError::Timeout(_))), "{error:?}");
    let begun = container.directory.join("bundle/rootfs/tmp/begun");
    assert!(begun.exists(), "the command had no time to begin");
    let has_sleepers = || {
        let entries = fs::read_dir("/proc").expect("proc").flatten();
        let mut lines = entries.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
        lines.any(|line| line.windows(4).any(|word| word == b"5432"))
    };
    wait_for("the end of the command's children", || !has_sleepers());
    // The container goes on.
    let output = container
        .exec(process, "echo still here", None)
        .expect("exec");
    assert_eq!(output.stdout, b"still here\n");
    drop(container);
    node.assert_clean();
}

#[test]
fn nothing_runs_in_a_container_that_has_ended() {
    let Some(node) = Node::new("oci exec ended") else {
        return;
    };
    let container = node.container("true");
    let process = container.start();
    container.wait(process);
    let error = container.exec(process, "true", None);
    assert!(
        matches!(error, Err(HandlerError::Precondition(_))),
        "{error:?}"
    );
}

#[test]
fn a_command_that_leaves_a_child_behind_is_over_when_the_child_is() {
    let Some(node) = Node::new("oci exec child") else {
        return;
    };
    let container = node.container("sleep 1000");
    let process = container.start();
    // Who reads its output may still get some of the child.
    let output = container.exec(process, "(sleep 1; echo late) & echo mine; exit 3", None);
    let output = output.expect("exec");
    assert_eq!(
        (output.exit_code, output.stdout),
        (3, b"mine\nlate\n".to_vec())
    );
}
