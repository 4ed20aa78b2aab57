//! Hardware-style KVM: the same binary and the same files run under kvm-amd, in
//! a machine whose SVM QEMU emulates (tests/svm.sh). One boot of it runs all
//! cases, because booting is what takes long. It has one CPU, so the vCPUs of a guest
//! take turns on it: what waits for another one by spinning alone does not end in time.

mod common;

use std::collections::HashMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::guest::{Build, Guest, all};
use common::skip::{Need, has_all};
use common::{Unikiln, cache_dir, downloads};

const NEEDS: &[Need<'static>] = &[
    Need::Program("qemu-system-x86_64"),
    Need::Program("cpio"),
    Need::Program("gcc"),
    Need::Program("apt-get"),
    Need::File("/bin/busybox"),
    Need::File("/usr/bin/python3.11"),
];

/// Guests that watch what differs between the two kinds of KVM: traps,
/// registers, page tables, clocks; how vCPUs call each other; and sockets of the
/// machine's loopback device, whose I/O thread shares the CPU. Those that run with
/// several numbers of vCPUs run here with the most alone.
const OK_GUESTS: &[&str] = &[
    "hello",
    "args",
    "auxv",
    "registers",
    "fault_handlers",
    "signals",
    "mprotect",
    "mmap_fixed",
    "mmap_file",
    "mremap",
    "brk",
    "clocks",
    "efault",
    "big_output",
    "exit_code",
    "file_io",
    "image_files",
    "stack_layout",
    "threads",
    "futex",
    "thread_signals",
    "thread_memory",
    "thread_turns",
    "thread_ends",
    "thread_exec",
    "waiting_threads",
    "inet_stream",
    "inet_rings",
];

/// Those of them that run with the fewest vCPUs: there, connections have rings.
const ON_FEWEST_VCPUS: &[&str] = &["inet_stream", "inet_rings"];

/// What one case must do.
struct Case {
    name: String,
    image: String,
    options: Vec<String>,
    args: Vec<String>,
    env: Vec<String>,
    exit: i32,
    stdout: Vec<String>,
    stderr: Vec<String>,
}

impl Case {
    fn of(guest: Guest, build: Build) -> Self {
        let ok = (guest.exit == 0).then(|| format!("ok {}", guest.name));
        // Files are included when the image is built, not when it runs.
        let (mut options, include) = split_include(&guest.options);
        let cpus = match ON_FEWEST_VCPUS.contains(&guest.name.as_str()) {
            true => guest.cpus.first(),
            false => guest.cpus.last(),
        };
        options.extend(
            cpus.cloned()
                .into_iter()
                .flat_map(|cpus| ["--cpus".to_owned(), cpus]),
        );
        let program = guest.compile(build);
        Self {
            image: build_unikernel(
                &format!("{}-{}", guest.name, build.name()),
                &format!("host:{}", program.display()),
                &include,
            ),
            name: format!("{} ({})", guest.name, build.name()),
            options,
            args: guest.args,
            env: guest.env,
            exit: guest.exit,
            stdout: ok.into_iter().collect(),
            stderr: guest
                .record
                .into_iter()
                .flatten()
                .chain(guest.stderr)
                .filter(|words| !words.is_empty())
                .collect(),
        }
    }
}

fn split_include(options: &[String]) -> (Vec<String>, Vec<String>) {
    let (mut rest, mut include) = (Vec::new(), Vec::new());
    let mut words = options.iter().cloned();
    while let Some(word) = words.next() {
        let to = if word == "--include" {
            &mut include
        } else {
            &mut rest
        };
        to.push(word);
        to.extend(words.next());
    }
    (rest, include)
}

/// The file's name in the machine.
fn build_unikernel(name: &str, image: &str, options: &[String]) -> String {
    let file = root().join("cases").join(format!("{name}.uk"));
    let mut words = vec![
        "build".to_owned(),
        image.to_owned(),
        "-o".to_owned(),
        file.display().to_string(),
    ];
    words.extend_from_slice(options);
    Unikiln::command(words).output().assert_code(0);
    format!("/cases/{name}.uk")
}

fn root() -> PathBuf {
    cache_dir("svm-root")
}

fn cases() -> Vec<Case> {
    let guests = all("tests/guests").expect("the folder is in the repository");
    let chosen = guests
        .into_iter()
        .filter(|guest| OK_GUESTS.contains(&guest.name.as_str()));
    let must_fail = all("tests/guests/must_fail").expect("the folder is in the repository");
    let mut cases: Vec<Case> = chosen
        .chain(must_fail)
        .map(|guest| {
            let build = guest.builds[0];
            Case::of(guest, build)
        })
        .collect();
    let include = ["--include", "/usr/lib/python3.11"].map(str::to_owned);
    cases.push(Case {
        name: "python3".to_owned(),
        image: build_unikernel("python3", "host:/usr/bin/python3.11", &include),
        options: Vec::new(),
        args: [
            "-c",
            "import json, hashlib, decimal; print(json.dumps([1, 2]), decimal.Decimal(2).sqrt())",
        ]
        .map(str::to_owned)
        .into(),
        env: Vec::new(),
        exit: 0,
        stdout: vec!["[1, 2] 1.414213562373095048801688724".to_owned()],
        stderr: Vec::new(),
    });
    cases
}

/// Copies the command line under test, its libraries and their loader.
fn install(root: &Path) {
    let program = env!("CARGO_BIN_EXE_unikiln");
    let place = root.join("bin/unikiln");
    fs::create_dir_all(root.join("bin")).expect("target is writable");
    let text = |path: &Path| path.to_str().expect("UTF-8").to_owned();
    common::image::tool("strip", &["-o", &text(&place), program]);
    let listing = Command::new("ldd")
        .arg(program)
        .output()
        .expect("ldd is part of libc-bin");
    let listing = String::from_utf8_lossy(&listing.stdout).into_owned();
    for library in listing
        .split_whitespace()
        .filter(|word| word.starts_with('/'))
    {
        let to = root.join(library.trim_start_matches('/'));
        fs::create_dir_all(to.parent().expect("absolute")).expect("target is writable");
        fs::copy(library, to).expect("ldd found it");
    }
}

fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Runs every case and marks on the console where each part of it begins.
fn script(cases: &[Case]) -> String {
    let mut script = String::new();
    for (index, case) in cases.iter().enumerate() {
        let mut words = vec!["run".to_owned()];
        words.extend(case.options.iter().cloned());
        words.extend(
            case.env
                .iter()
                .flat_map(|assignment| ["-e".to_owned(), assignment.clone()]),
        );
        words.push(case.image.clone());
        words.extend(case.args.iter().cloned());
        let words: Vec<String> = words.iter().map(|word| quote(word)).collect();
        let _ = writeln!(
            script,
            "timeout -s KILL 60 unikiln {} >/tmp/out 2>/tmp/err; code=$?\necho; echo \"@@OUT {index} $code\"; tail -c 2000 /tmp/out; \
             echo; echo '@@ERR {index}'; head -c 8000 /tmp/err; echo; echo '@@END {index}'",
            words.join(" ")
        );
    }
    script
}

/// Exit code, standard output and standard error of each case, by index.
fn parse(console: &str) -> HashMap<usize, (i32, String, String)> {
    let mut results = HashMap::new();
    for chunk in console.split("@@OUT ").skip(1) {
        let Some((head, rest)) = chunk.split_once('\n') else {
            continue;
        };
        let mut numbers = head.split_whitespace().map(str::parse::<i32>);
        let (Some(Ok(index)), Some(Ok(code))) = (numbers.next(), numbers.next()) else {
            continue;
        };
        let Some((out, rest)) = rest.split_once(&format!("@@ERR {index}\n")) else {
            continue;
        };
        let err = rest.split("@@END").next().unwrap_or_default();
        results.insert(index as usize, (code, out.to_owned(), err.to_owned()));
    }
    results
}

#[test]
fn every_case_runs_under_hardware_style_kvm() {
    if !has_all("every_case_runs_under_hardware_style_kvm", NEEDS) {
        return;
    }
    let root = root();
    fs::remove_dir_all(&root).expect("root() made it");
    fs::create_dir_all(root.join("cases")).expect("target is writable");
    install(&root);
    let cases = cases();
    fs::write(root.join("script"), script(&cases)).expect("target is writable");

    let machine = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/svm.sh");
    let output = Command::new(machine)
        .arg(downloads::svm_machine())
        .arg(&root)
        .output()
        .expect("bash is there");
    let console = String::from_utf8_lossy(&output.stdout).replace('\r', "");
    let results = parse(&console);
    let mut wrong = String::new();
    for (index, case) in cases.iter().enumerate() {
        let Some((code, out, err)) = results.get(&index) else {
            let _ = writeln!(wrong, "{}: did not run", case.name);
            continue;
        };
        let lacks =
            |text: &str, words: &[String]| words.iter().find(|word| !text.contains(*word)).cloned();
        let complaint = if *code != case.exit {
            Some(format!("exit code {code} instead of {}", case.exit))
        } else if let Some(word) = lacks(out, &case.stdout) {
            Some(format!("stdout lacks {word:?}"))
        } else {
            lacks(err, &case.stderr).map(|word| format!("stderr lacks {word:?}"))
        };
        if let Some(complaint) = complaint {
            let _ = writeln!(
                wrong,
                "{}: {complaint}\n--- stdout ---\n{out}\n--- stderr ---\n{err}",
                case.name
            );
        }
    }
    let tail: String = console.lines().rev().take(5).collect::<Vec<_>>().join("\n");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        wrong.is_empty(),
        "of {} cases:\n{wrong}\nlast on the console:\n{tail}\n{said}",
        cases.len()
    );
}
