//! CPython: what programs with threads, an event loop, shared memory and
//! signals do, and how what needs a process is refused.

use libtest_mimic::{Failed, Trial};

use crate::common::skip::{Need, has_all};
use crate::common::{Unikiln, native};
use crate::image::{Image, PROGRAMS};

/// The interpreter with its library, its own tests among it, and what those start
/// and load while they run.
pub(crate) static PYTHON: Image = Image::new(
    "python",
    "/usr/bin/python3.11",
    &[
        "/usr/lib/python3.11",
        "/etc/python3.11",
        "/etc/mime.types",
        "/usr/share/zoneinfo",
        "/usr/lib/locale/C.utf8",
        "/lib/x86_64-linux-gnu/libgcc_s.so.1",
        "/etc/ld.so.cache",
        "/sbin/ldconfig",
        "/bin/sh",
        "/bin/dash",
        "/bin/bash",
        "/bin/cat",
        "/bin/echo",
        "/bin/false",
        "/bin/ls",
        "/bin/sleep",
        "/bin/stty",
        "/bin/tar",
        "/bin/true",
        "/bin/uname",
        "/usr/bin/env",
        "/usr/bin/getconf",
        "/usr/bin/gzip",
        "/usr/bin/id",
        "/usr/bin/tr",
        "/usr/sbin/ip",
    ],
);

/// What all of its guests get.
pub(crate) const OPTIONS: [&str; 4] = ["--memory", "1G", "--cpus", "2"];

/// What it needs of this machine.
pub(crate) const NEEDS: [Need<'static>; 3] = [
    Need::Kvm,
    Need::File("/usr/bin/python3.11"),
    Need::File("/usr/lib/python3.11/test/test_threading.py"),
];

/// Programs of the folder `python` that print the same natively.
const SAME: [&str; 6] = [
    "executors",
    "faults",
    "shared",
    "signals",
    "tasks",
    "threads",
];

/// What `no_processes.py` prints with `--processes deny`.
const REFUSED: &str = "\
subprocess.run refused: PermissionError True
subprocess.Popen refused: PermissionError True
a program that is not there refused: PermissionError True
fork refused: PermissionError True
forkpty refused: PermissionError True
posix_spawn refused: PermissionError True
popen refused: PermissionError True
descriptors left open: 0
multiprocessing refused: PermissionError True
system True
waitpid refused: ChildProcessError True
spawn refused: PermissionError True
alive (3, 11)
";

/// One for each program.
pub(crate) fn trials() -> Vec<Trial> {
    let same = SAME
        .map(|name| Trial::test(format!("python::{name}"), move || prints_the_same(name)))
        .into_iter();
    same.chain([
        Trial::test("python::no_processes", no_processes),
        Trial::test("python::crash", crash),
    ])
    .collect()
}

fn program(name: &str) -> String {
    format!("{PROGRAMS}/python/{name}.py")
}

fn guest(name: &str) -> Unikiln {
    Unikiln::run(PYTHON.file())
        .options(OPTIONS)
        .args([program(name)])
}

fn prints_the_same(name: &str) -> Result<(), Failed> {
    if has_all(name, &NEEDS) {
        let native = native(PYTHON.program(), [program(name)], &[]);
        native.assert_code(0);
        guest(name).output().assert_same(&native);
    }
    Ok(())
}

fn no_processes() -> Result<(), Failed> {
    if has_all("no_processes", &NEEDS) {
        guest("no_processes")
            .options(["--processes", "deny"])
            .output()
            .assert_code(0)
            .assert_stdout(REFUSED);
    }
    Ok(())
}

/// A fatal error ends with faulthandler's words and the signal.
fn crash() -> Result<(), Failed> {
    if has_all("crash", &NEEDS) {
        let outcome = guest("faults").args(["crash"]).output();
        outcome
            .assert_code(139)
            .assert_stdout("about to crash\n")
            .assert_stderr_has("Fatal Python error: Segmentation fault")
            .assert_stderr_has("in wait_in_thread")
            .assert_stderr_has("unikiln: crash: SIGSEGV");
    }
    Ok(())
}
