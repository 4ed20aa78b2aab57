//! ELF files: machines, damage, libraries, what they do of their own accord.

use std::fs;

use serde_json::json;
use unikiln_builder::{CheckOptions, NoProgress, check};
use unikiln_unikernel::{Answer, Severity};

use super::{
    assert_cannot, assert_may_not, assert_notes, assert_runs, compile, hello, verdict,
    verdict_with, with_libc,
};
use crate::image::{Layout, Tar};

#[test]
fn libraries_and_versions() {
    let program = hello();
    let runs = verdict(with_libc(Tar::new()).program("p", &program), &["/p"]);
    assert_runs(&runs);
    let only = &runs.needs.programs[0];
    assert_eq!(
        only.interpreter.as_deref(),
        Some("/lib64/ld-linux-x86-64.so.2")
    );
    assert_eq!(only.libraries, ["/lib/x86_64-linux-gnu/libc.so.6"]);
    assert!(only.position_independent);

    let alone = verdict(Tar::new().program("p", &program), &["/p"]);
    assert_cannot(
        &alone,
        127,
        "missing-interpreter",
        &["/p", "/lib64/ld-linux-x86-64.so.2"],
    );
    let loader = fs::read("/lib64/ld-linux-x86-64.so.2").expect("loader");
    let without = || {
        Tar::new()
            .program("p", &program)
            .program("lib64/ld-linux-x86-64.so.2", &loader)
    };
    assert_cannot(
        &verdict(without(), &["/p"]),
        127,
        "missing-library",
        &["/p", "libc.so.6"],
    );

    let libc = fs::read("/lib/x86_64-linux-gnu/libc.so.6").expect("libc");
    let elsewhere = || without().program("opt/libc.so.6", &libc);
    assert_may_not(
        &verdict(elsewhere(), &["/p"]),
        "missing-library",
        &["/opt/libc.so.6"],
    );
    let config = json!({"Entrypoint": ["/p"], "Env": ["LD_LIBRARY_PATH=/srv:/opt"]});
    assert_runs(&verdict_with(elsewhere(), config));

    // Another dynamic linker may look elsewhere.
    let other = compile("int main(void) { return 0; }", &["-static-pie"]);
    let other = Tar::new()
        .program("p", &program)
        .program("lib64/ld-linux-x86-64.so.2", &other);
    assert_may_not(&verdict(other, &["/p"]), "missing-library", &["libc.so.6"]);

    // The same length, so that nothing moves.
    let mut newer = program;
    let name = b"GLIBC_2.2.5\0";
    let at = newer
        .windows(name.len())
        .position(|window| window == name)
        .expect("it is named");
    newer[at..at + name.len()].copy_from_slice(b"GLIBC_9.9.9\0");
    let newer = verdict(with_libc(Tar::new()).program("p", &newer), &["/p"]);
    assert_cannot(
        &newer,
        126,
        "missing-version",
        &["GLIBC_9.9.9", "libc.so.6"],
    );
}

#[test]
fn other_machines_and_damaged_files() {
    let good = compile("int main(void) { return 0; }", &["-static"]);
    let changed = |at: usize, bytes: &[u8]| {
        let mut file = good.clone();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        verdict(Tar::new().program("p", &file), &["/p"])
    };
    assert_runs(&verdict(Tar::new().program("p", &good), &["/p"]));
    assert_cannot(
        &changed(18, &[183, 0]),
        126,
        "wrong-architecture",
        &["/p", "arm64"],
    );
    assert_cannot(
        &changed(4, &[1]),
        126,
        "wrong-architecture",
        &["only x86-64"],
    );
    assert_cannot(&changed(16, &[1, 0]), 126, "bad-elf", &["object file"]);
    assert_cannot(
        &changed(32, &[0xff; 8]),
        126,
        "bad-elf",
        &["program headers"],
    );
    let garbage = [b"\x7fELF".as_slice(), &[0x5a; 500]].concat();
    assert_cannot(
        &verdict(Tar::new().program("p", &garbage), &["/p"]),
        126,
        "bad-elf",
        &["/p"],
    );
    let half = &good[..good.len() / 2];
    assert_may_not(
        &verdict(Tar::new().program("p", half), &["/p"]),
        "bad-elf",
        &["cut off"],
    );
    let start = &good[..40];
    assert_cannot(
        &verdict(Tar::new().program("p", start), &["/p"]),
        126,
        "bad-elf",
        &["cut off"],
    );

    let mut layout = Layout::new(&[Tar::new().program("p", &good).gzip()]);
    layout.config["architecture"] = json!("arm64");
    layout.write();
    let other = check(
        &layout.reference(),
        &CheckOptions::default(),
        &mut NoProgress,
    )
    .expect("a verdict");
    assert_eq!((other.answer, other.exit_code), (Answer::Cannot, None));
    assert!(other.summary.contains("linux/arm64"), "{other}");
    layout.config["architecture"] = json!("amd64");
    layout.config["config"] = json!({"Entrypoint": ["/p"], "User": "nobody-knows"});
    layout.write();
    let unknown = check(
        &layout.reference(),
        &CheckOptions::default(),
        &mut NoProgress,
    )
    .expect("a verdict");
    assert_eq!(unknown.findings[0].code, "unknown-user");
    assert!(unknown.summary.contains("nobody-knows"), "{unknown}");
}

#[test]
fn processes_and_calls() {
    let fork = compile(
        "#include <unistd.h>\nint main(void) { return fork() != 0; }",
        &[],
    );
    let forks = verdict(with_libc(Tar::new()).program("p", &fork), &["/p"]);
    assert_notes(&forks, "fork", &["/p", "main"]);
    assert!(forks.needs.fork && forks.needs.system_calls.missing.is_empty());

    let unknown = "int main(void) { long n = 999; asm volatile(\"syscall\" : \"+a\"(n) : : \"rcx\", \"r11\", \"memory\"); return 0; }";
    let unknown = compile(unknown, &["-static"]);
    let unknown = verdict(Tar::new().program("p", &unknown), &["/p"]);
    assert_may_not(&unknown, "missing-call", &["999"]);

    let plain = compile(
        "int main(void) { return 0; }",
        &["-static", "-z", "execstack"],
    );
    let plain = verdict(Tar::new().mode("p", &plain, 0o4755), &["/p"]);
    assert_runs(&plain);
    let codes: Vec<&str> = plain
        .findings
        .iter()
        .map(|finding| finding.code.as_str())
        .collect();
    assert_eq!(codes, ["executable-stack", "set-id"]);
    assert!(
        plain
            .findings
            .iter()
            .all(|finding| finding.severity == Severity::Note)
    );
}

#[test]
fn an_image_that_is_made_to_say_much_says_little() {
    let calls: String = (0..5000)
        .map(|number| format!("syscall({});", number + 1000))
        .collect();
    let text = format!("#include <unistd.h>\nint main(void) {{ {calls} return 0; }}");
    let program = compile(&text, &["-O0"]);
    let much = verdict(with_libc(Tar::new()).program("p", &program), &["/p"]);
    assert_may_not(&much, "missing-call", &["1000"]);
    assert!(much.findings.len() <= 64 && much.needs.system_calls.missing.len() <= 512);
    let long = "x".repeat(100_000);
    let long = verdict(Tar::new(), &["/x", &long]);
    assert_cannot(&long, 127, "not-found", &["/x"]);
    let long = verdict(Tar::new(), &[&"y".repeat(100_000)]);
    assert_cannot(&long, 127, "not-found", &["yyy"]);
    assert!(long.summary.len() < 2000);
}
