//! What a program sees of a terminal that `unikiln run -i` is started on.

use std::process::Command;

use crate::common::outcome;
use crate::common::skip::{Need, has_all};
use crate::kvm;

#[test]
fn a_terminal_is_passed_on() {
    let name = "a_terminal_is_passed_on";
    if kvm(name) && has_all(name, &[Need::Program("script")]) {
        let line = format!(
            "{} run --rm -it host:/bin/busybox ash -c 'echo by tty > /dev/tty; echo by console > /dev/console; test -t 0 && echo a terminal; exec /bin/busybox tty'",
            env!("CARGO_BIN_EXE_unikiln")
        );
        let mut command = Command::new("script");
        command.args(["-qec", &line, "/dev/null"]);
        let outcome = outcome::run(command, Some(Vec::new()));
        outcome
            .assert_code(0)
            .assert_stdout_has("by tty\r\nby console\r\na terminal\r\n/dev/console\r\n");
    }
}

#[test]
fn without_one_there_is_none() {
    if kvm("without_one_there_is_none") {
        let script = "test -t 0 || echo no terminal; echo x > /dev/tty";
        crate::busybox(&[], &["ash", "-c", script])
            .assert_code(1)
            .assert_stdout("no terminal\n")
            .assert_stderr_has("No such device or address");
    }
}

#[test]
fn a_terminal_that_is_asked_for_must_be_there() {
    if kvm("a_terminal_that_is_asked_for_must_be_there") {
        crate::busybox(&["-t"], &["true"])
            .assert_code(125)
            .assert_stderr_has("--tty: standard input or output is no terminal");
    }
}
