//! What language runtimes do to start other programs: each in its own way, with pipes,
//! signals and exit codes. What they print is what they print natively.

use std::path::PathBuf;
use std::sync::OnceLock;

use libtest_mimic::{Failed, Trial};

use crate::common::compile::{self, GO};
use crate::common::image::tool;
use crate::common::skip::{Need, has_all};
use crate::common::{Unikiln, cache_dir, native};
use crate::image::{FOLDER, OPTIONS, can_run, guest};

const JAVA_HOME: &str = "/usr/lib/jvm/java-17-openjdk-amd64";
pub(crate) const PYTHON: &str = "/usr/bin/python3.11";
/// Ways in which Java starts a program, from the default on.
const LAUNCHES: [&str; 3] = ["POSIX_SPAWN", "FORK", "VFORK"];
/// What the programs of Go and Java start, which are images of files of this machine.
const STARTED: [&str; 6] = [
    "/bin/sh",
    "/bin/dash",
    "/bin/cat",
    "/bin/echo",
    "/bin/sleep",
    "/usr/bin/wc",
];

/// One for each program.
pub(crate) fn trials() -> Vec<Trial> {
    vec![
        Trial::test("languages::python_subprocess", || python("subprocesses")),
        Trial::test("languages::python_fork", || python("forks")),
        Trial::test("languages::python_multiprocessing", || python("pools")),
        Trial::test("languages::node", node),
        Trial::test("languages::go", go),
        Trial::test("languages::java", java),
    ]
}

fn python(name: &str) -> Result<(), Failed> {
    if can_run(name, &[PYTHON]) {
        let folder = format!("{FOLDER}/files");
        let script = format!("/srv/python/{name}.py");
        let native = native(PYTHON, [format!("{folder}{script}")], &[]);
        native.assert_code(0);
        guest(PYTHON).args([script]).output().assert_same(&native);
    }
    Ok(())
}

/// Debian's, in the image: another one may be installed here.
fn node() -> Result<(), Failed> {
    if can_run("node", &[]) {
        let want = std::fs::read_to_string(format!("{FOLDER}/programs/children.out"))?;
        guest("/usr/bin/node")
            .args(["/srv/node/children.js"])
            .output()
            .assert_code(0)
            .assert_stdout(&want);
    }
    Ok(())
}

/// A program of this machine and [`STARTED`].
fn build(name: &str, program: &str, includes: &[&str]) -> PathBuf {
    let file = cache_dir("processes").join(format!("{name}.uk"));
    let image = format!("host:{program}");
    let mut command = Unikiln::command(["build", &image, "-o"]).options([&file]);
    for include in STARTED.iter().chain(includes) {
        command = command.options(["--include", include]);
    }
    command.output().assert_code(0);
    file
}

fn go() -> Result<(), Failed> {
    if has_all("go", &[Need::Kvm, Need::File(GO)]) {
        let cache = cache_dir("processes").join("go");
        let source = format!("{FOLDER}/programs/children.go");
        let program = compile::go(&cache, "children", &["build"], &source);
        let native = native(&program, [""; 0], &[]);
        native.assert_code(0);
        Unikiln::run(build("go", &program, &[]))
            .options(OPTIONS)
            .output()
            .assert_same(&native);
    }
    Ok(())
}

/// The unikernel file of the virtual machine and the program's classes, and those.
fn java_image() -> &'static (PathBuf, String) {
    static FILE: OnceLock<(PathBuf, String)> = OnceLock::new();
    FILE.get_or_init(|| {
        let classes = cache_dir("processes").join("classes");
        let classes = classes.to_str().expect("UTF-8").to_owned();
        let source = format!("{FOLDER}/programs/Children.java");
        tool(
            &format!("{JAVA_HOME}/bin/javac"),
            &["-d", &classes, &source],
        );
        let (library, settings) = (format!("{JAVA_HOME}/lib"), format!("{JAVA_HOME}/conf"));
        let includes = [&library, &settings, "/etc/java-17-openjdk", &classes];
        let file = build("java", &format!("{JAVA_HOME}/bin/java"), &includes);
        (file, classes)
    })
}

fn java() -> Result<(), Failed> {
    if has_all("java", &[Need::Kvm, Need::File(JAVA_HOME)]) {
        let (file, classes) = java_image();
        for launch in LAUNCHES {
            let launch = format!("-Djdk.lang.Process.launchMechanism={launch}");
            let words = ["-Xshare:auto", &launch, "-cp", classes, "Children"];
            let native = native(format!("{JAVA_HOME}/bin/java"), words, &[]);
            native.assert_code(0);
            Unikiln::run(file)
                .options(OPTIONS)
                .args(words)
                .output()
                .assert_same(&native);
        }
    }
    Ok(())
}
