//! Verdicts against what happens: what "runs" does run, what "may not run" has a
//! reason that a run shows, what "cannot run" is refused before there is a guest.

#[path = "../common/mod.rs"]
mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use common::compile::{self, GO};
use common::guest::{self, Build};
use common::image::tool;
use common::skip::{Need, has_all};
use common::{Outcome, Unikiln, cache_dir};
use unikiln_builder::{CheckOptions, ImageRef, NoProgress, check};
use unikiln_unikernel::{Answer, Verdict};

const PROGRAMS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/verdicts/programs");
/// Compilers of C and Rust, and their options.
const BUILDS: [(&str, &str, &[&str]); 8] = [
    ("gcc", "forks.c", &["-O2"]),
    ("gcc", "forks.c", &["-O0", "-no-pie", "-fno-plt", "-s"]),
    ("gcc", "forks.c", &["-O2", "-static", "-s"]),
    ("gcc", "forks.c", &["-O2", "-static-pie", "-s"]),
    ("musl-gcc", "forks.c", &["-O2", "-static", "-s"]),
    ("musl-gcc", "forks.c", &["-O2", "-s"]),
    ("rustc", "forks.rs", &["-Copt-level=3", "-Cstrip=symbols"]),
    ("rustc", "forks.rs", &["-Copt-level=0"]),
];
/// Guests that make calls which are not there, to see that they fail.
const MAY_NOT: [&str; 3] = ["enosys", "refused", "traced"];

fn verdict(program: &str, args: &[&str]) -> Verdict {
    let options = CheckOptions {
        args: args.iter().map(|word| (*word).to_owned()).collect(),
        ..CheckOptions::default()
    };
    let image = ImageRef::Host {
        program: program.into(),
    };
    check(&image, &options, &mut NoProgress).expect("a verdict")
}

/// A run of what was checked.
fn run(program: &str, args: &[&str]) -> Outcome {
    Unikiln::run(format!("host:{program}"))
        // What some of them start.
        .options(["--memory", "512M", "--include", "/bin/true"])
        .args(args)
        .output()
}

#[test]
fn programs_of_debian_run_as_they_are_judged() {
    let programs: [(&str, &[&str]); 13] = [
        ("/usr/bin/redis-server", &["--version"]),
        ("/usr/bin/python3.11", &["--version"]),
        ("/usr/bin/sqlite3", &[":memory:", "select 1 + 1"]),
        ("/usr/bin/perl", &["-e", "print 2"]),
        ("/usr/bin/lua5.4", &["-e", "print(2)"]),
        ("/usr/bin/gawk", &["BEGIN { print 2 }"]),
        ("/usr/bin/node", &["-e", "console.log(2)"]),
        ("/bin/busybox", &["echo", "2"]),
        ("/bin/ls", &["/"]),
        ("/bin/dash", &["-c", "cd /; exec /bin/dash -c 'echo 2'"]),
        ("/bin/bash", &["-c", "cd / && echo 2"]),
        ("/bin/busybox", &["sh", "-c", "busybox echo 2"]),
        ("/usr/bin/env", &["A=1", "env"]),
    ];
    for (program, args) in programs {
        if !has_all("programs_of_debian", &[Need::Kvm, Need::File(program)]) {
            continue;
        }
        let verdict = verdict(program, args);
        assert_eq!(
            verdict.answer,
            Answer::Runs,
            "{program} {args:?}: {verdict}"
        );
        run(program, args).assert_code(0);
    }
}

#[test]
fn shells_that_start_processes_run_as_they_are_judged() {
    let scripts: [(&str, &str); 3] = [
        ("/bin/dash", "/bin/dash -c 'exit 0'"),
        ("/bin/bash", "/bin/bash -c 'exit 0'; exit 0"),
        ("/bin/busybox", "echo 1 | read x"),
    ];
    for (shell, script) in scripts {
        if !has_all("shells", &[Need::Kvm, Need::File(shell)]) {
            continue;
        }
        let args: &[&str] = if shell == "/bin/busybox" {
            &["sh", "-c", script]
        } else {
            &["-c", script]
        };
        let verdict = verdict(shell, args);
        assert_eq!(verdict.answer, Answer::Runs, "{shell} {script}: {verdict}");
        assert!(verdict.needs.fork, "{shell} {script}: {verdict}");
        run(shell, args).assert_code(0);
    }
}

#[track_caller]
fn assert_forks(program: &str) {
    let verdict = verdict(program, &[]);
    assert_eq!(verdict.answer, Answer::Runs, "{program}: {verdict}");
    assert_eq!(verdict.findings[0].code, "fork", "{program}: {verdict}");
    assert!(verdict.needs.fork, "{program}: {verdict}");
    run(program, &[]).assert_code(0);
}

#[test]
fn programs_that_make_processes_run_as_they_are_judged() {
    for (number, (compiler, source, options)) in BUILDS.iter().enumerate() {
        if has_all("processes", &[Need::Kvm, Need::Program(compiler)]) {
            let program = cache_dir("verdicts").join(format!("forks-{number}"));
            let program = program.to_str().expect("UTF-8");
            let source = format!("{PROGRAMS}/{source}");
            tool(compiler, &[*options, &["-o", program, &source]].concat());
            assert_forks(program);
        }
    }
}

#[test]
fn go_programs_run_as_they_are_judged() {
    if has_all("go_programs", &[Need::Kvm, Need::File(GO)]) {
        let cache = cache_dir("runtimes").join("go");
        let words = ["build", "-ldflags=-s"];
        let make = |name: &str| {
            let source = format!("{PROGRAMS}/{name}.go");
            compile::go(&cache, &format!("verdict-{name}"), &words, &source)
        };
        assert_forks(&make("forks"));
        let hello = make("hello");
        let verdict = verdict(&hello, &[]);
        assert_eq!(verdict.answer, Answer::Runs, "{verdict}");
        run(&hello, &[]).assert_code(0).assert_stdout("hello\n");
    }
}

#[test]
fn guests_run_as_they_are_judged() {
    // That they run is what `tests/guests.rs` shows.
    let mut may_not = Vec::new();
    for guest in guest::all("tests/guests").expect("they are there") {
        for build in &guest.builds {
            let compiler = guest::Guest::compiler(*build);
            if *build == Build::Rust || !has_all("guests", &[Need::Program(compiler)]) {
                continue;
            }
            let program = guest.compile(*build);
            let verdict = verdict(program.to_str().expect("UTF-8"), &[]);
            assert_ne!(verdict.answer, Answer::Cannot, "{}: {verdict}", guest.name);
            if verdict.answer == Answer::MayNot {
                eprintln!("{} {}: {verdict}", guest.name, build.name());
                may_not.push(guest.name.clone());
            }
        }
    }
    may_not.dedup();
    assert_eq!(may_not, MAY_NOT);
}

#[test]
fn what_cannot_be_checked_is_told() {
    for (words, told) in [
        (&["check", "No-Such-Transport:x"][..], "No-Such-Transport:x"),
        (&["check", "/absent.uk"], "/absent.uk"),
        (&["check", "/bin/ls"], "/bin/ls"),
        (&["check", "oci:/absent"], "/absent"),
        (&["check", "/absent.uk", "argument"], "/absent.uk"),
    ] {
        Unikiln::command(words).output().assert_own_failure(&[told]);
    }
    Unikiln::command(["check"]).output().assert_code(125);
}

/// An executable file of this machine, to be made an image.
fn script(directory: &Path, name: &str, text: &str) -> String {
    let path = directory.join(name);
    fs::write(&path, text).expect("writable");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("ours");
    path.to_str().expect("UTF-8").to_owned()
}

/// Changes of an ELF file's headers, one at a time: where, and what is written there.
fn damage(file: &[u8]) -> Vec<(usize, Vec<u8>)> {
    let mut changes: Vec<(usize, Vec<u8>)> = vec![
        (0, b"X".to_vec()),
        (4, vec![1]),
        (5, vec![2]),
        (16, vec![1]),
        (16, vec![4]),
        (18, vec![183]),
        (32, vec![0xff; 8]),
        (54, vec![55]),
        (56, vec![0, 0]),
        (56, vec![0xff, 0xff]),
    ];
    let headers = usize::from(u16::from_le_bytes([file[56], file[57]]));
    for at in (0..headers).map(|number| 64 + number * 56) {
        if file[at..at + 4] == [1, 0, 0, 0] {
            // Type, offset, address, bytes in the file, bytes in memory.
            changes.push((at, vec![2]));
            changes.push((at + 8, vec![1]));
            changes.push((at + 8, vec![0xff; 8]));
            changes.push((at + 16, vec![0, 0, 0, 0, 0, 0xff]));
            changes.push((at + 37, vec![0xff]));
            changes.push((at + 40, vec![0; 8]));
        }
    }
    changes
}

/// The builder refuses exactly the headers that the libOS refuses.
#[test]
fn damaged_headers_are_refused_as_the_libos_refuses_them() {
    if !has_all("damaged_headers", &[Need::Kvm, Need::Program("gcc")]) {
        return;
    }
    let directory = tempfile::tempdir().expect("temporary directory");
    let source = script(directory.path(), "p.c", "int main(void) { return 0; }");
    let program = directory.path().join("p");
    let program = program.to_str().expect("UTF-8");
    tool("gcc", &["-static", "-o", program, &source]);
    let good = fs::read(program).expect("it was made");
    let mut refused = 0;
    for (at, bytes) in damage(&good) {
        let mut file = good.clone();
        file[at..at + bytes.len()].copy_from_slice(&bytes);
        fs::write(program, file).expect("writable");
        let verdict = verdict(program, &[]);
        // Another entrypoint, the same as it is, is not refused by the verdict.
        let outcome = Unikiln::run(format!("host:{program}"))
            .options(["--entrypoint", program])
            .output();
        let by_libos = outcome.code == 126 && outcome.err().contains("cannot start");
        let by_builder = verdict.exit_code == Some(126);
        let story = outcome.story();
        assert_eq!(
            by_builder, by_libos,
            "{bytes:x?} at {at}: {verdict}\n{story}"
        );
        refused += u32::from(by_libos);
    }
    assert!(refused > 20, "{refused}");
}

/// Neither needs KVM: there is no guest.
#[test]
fn what_cannot_run_is_refused_before_there_is_a_guest() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let lost = script(directory.path(), "lost", "#!/absent/program -x\n");
    let empty = script(directory.path(), "empty", "");
    for (program, code, words) in [(&lost, 127, "/absent/program"), (&empty, 126, "is empty")] {
        let image = format!("host:{program}");
        let checked = Unikiln::command(["check", image.as_str()]).output();
        checked
            .assert_code(2)
            .assert_stdout_has("cannot run: ")
            .assert_stdout_has(words);
        let first = checked.out().lines().next().unwrap_or_default().to_owned();
        let outcome = Unikiln::run(&image).output();
        outcome.assert_code(code).assert_stderr_has(&first);
        assert_eq!(outcome.err().lines().count(), 1, "{}", outcome.story());
        let cri = Unikiln::run(&image)
            .options(["--log-format", "cri"])
            .output();
        cri.assert_code(code)
            .assert_stdout_has(&format!("stderr F unikiln: {first}"));

        let file = directory.path().join("file.uk");
        let file = file.to_str().expect("UTF-8");
        Unikiln::command(["build", image.as_str(), "-o", file])
            .output()
            .assert_code(0);
        Unikiln::command(["check", file])
            .output()
            .assert_code(2)
            .assert_stdout_has(&first);
        Unikiln::command(["inspect", file])
            .output()
            .assert_code(0)
            .assert_stdout_has(&first);
        Unikiln::run(file)
            .output()
            .assert_code(code)
            .assert_stderr_has(&first);
    }
}
