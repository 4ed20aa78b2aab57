//! How containers end: exit codes, reasons, messages; stopping with grace and without.

use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use unikiln_daemon::proto::{ContainerState, Signal};

use crate::node::shared;
use crate::pod::{Handler, assert_lines};
use crate::{all, each};

pub fn trials() -> Vec<Trial> {
    all([
        each("ends::exit_codes_and_reasons", exit_codes_and_reasons),
        each("ends::memory_beyond_the_limit", memory_beyond_the_limit),
        each("ends::a_crash_is_told", a_crash_is_told),
        each("ends::grace_and_kill", grace_and_kill),
        each("ends::no_grace_at_all", no_grace_at_all),
        each("ends::the_images_stop_signal", the_images_stop_signal),
        each(
            "ends::a_program_that_is_not_there",
            a_program_that_is_not_there,
        ),
        each("ends::a_container_runs_once", a_container_runs_once),
    ])
}

fn exit_codes_and_reasons(handler: Handler) {
    let node = shared();
    let pod = node.pod(handler).run();
    for (words, code, reason) in [
        (["exit", "0"], 0, "Completed"),
        (["exit", "7"], 7, "Error"),
        (["exit", "255"], 255, "Error"),
        (["signal", "15"], 143, "Error"),
        (["signal", "9"], 137, "Error"),
    ] {
        // Linux lets no signal of its own end the first process of a namespace.
        if handler == Handler::Runc && words[0] == "signal" {
            continue;
        }
        let container = pod.container(&["/bin/ends", words[0], words[1]]).start();
        let status = container.ends();
        assert_eq!(
            (status.exit_code, status.reason.as_str()),
            (code, reason),
            "{words:?}\n{}",
            container.story()
        );
        let times = [status.created_at, status.started_at, status.finished_at];
        assert!(times.is_sorted() && times[0] > 0, "{times:?}");
        assert_lines(&container.lines(), &[&words.join(" ")]);
    }
    pod.remove();
}

fn memory_beyond_the_limit(handler: Handler) {
    let node = shared();
    let pod = node.pod(handler).run();
    let container = pod.container(&["/bin/ends", "memory"]).start();
    let status = container.ends();
    let end = (status.exit_code, status.reason.as_str());
    assert_eq!(end, (137, "OOMKilled"), "{}", container.story());
    pod.remove();
}

fn a_crash_is_told(handler: Handler) {
    let node = shared();
    let pod = node.pod(handler).run();
    let container = pod.container(&["/bin/ends", "crash"]).start();
    let status = container.ends();
    assert_eq!((status.exit_code, status.reason.as_str()), (139, "Error"));
    if handler == Handler::Unikiln {
        // The record is in the log, its first line in the status.
        let message = &status.message;
        assert!(message.contains("SIGSEGV"), "{}", container.story());
        let lines = container.lines();
        let in_log = lines.iter().any(|line| line.contains(message.as_str()));
        assert!(in_log, "no record: {}", container.story());
    }
    pod.remove();
}

fn grace_and_kill(handler: Handler) {
    let node = shared();
    let pod = node.pod(handler).run();
    let container = pod.container(&["/bin/sleeper", "stubborn"]).start();
    container.says("ready");
    let since = Instant::now();
    let status = container.stop(2);
    assert!(
        since.elapsed() >= Duration::from_secs(2),
        "{:?}",
        since.elapsed()
    );
    assert_eq!((status.exit_code, status.reason.as_str()), (137, "Error"));
    assert_lines(&container.lines(), &["ready", "signal 15"]);
    pod.remove();
}

fn no_grace_at_all(handler: Handler) {
    let node = shared();
    let pod = node.pod(handler).run();
    let container = pod.container(&["/bin/sleeper"]).start();
    container.says("ready");
    assert_eq!(container.stop(0).exit_code, 137, "{}", container.story());
    assert!(!container.lines().contains(&"signal 15".to_owned()));
    pod.remove();
}

fn the_images_stop_signal(handler: Handler) {
    let node = shared();
    node.pull("entry");
    let pod = node.pod(handler).run();
    // SIGUSR1 by the image, and SIGTERM where the pod says so.
    let image = pod.of_image("entry", &["/bin/sleeper"]).start();
    let own = pod.of_image("entry", &["/bin/sleeper"]);
    let own = own.with(|config| config.stop_signal = Signal::Sigterm.into());
    let own = own.start();
    for (container, code, line) in [(image, 3, "signal 10"), (own, 0, "signal 15")] {
        container.says("ready");
        assert_eq!(container.stop(30).exit_code, code, "{}", container.story());
        assert_lines(&container.lines(), &[line]);
    }
    pod.remove();
}

fn a_program_that_is_not_there(handler: Handler) {
    let node = shared();
    let pod = node.pod(handler).run();
    let plan = pod.container(&["/bin/nothing-here"]);
    let error = match plan.try_create() {
        Err(error) => error,
        Ok(container) => {
            let error = container.try_start().expect_err("nothing can start");
            let status = container.status();
            assert_eq!(status.state(), ContainerState::ContainerExited);
            assert_eq!(status.reason, "StartError", "{status:?}");
            assert_ne!(status.exit_code, 0, "{status:?}");
            container.remove();
            error
        }
    };
    assert!(error.message().contains("nothing-here"), "{error}");
    // The pod is none the worse.
    let next = pod.container(&["/bin/ends", "exit", "0"]).start();
    assert_eq!(next.ends().exit_code, 0);
    pod.remove();
}

fn a_container_runs_once(handler: Handler) {
    let node = shared();
    let pod = node.pod(handler).run();
    let container = pod.container(&["/bin/ends", "exit", "0"]).start();
    container.ends();
    let error = container.try_start().expect_err("it has run");
    assert_eq!(error.code(), tonic::Code::FailedPrecondition, "{error}");
    pod.remove();
}
