//! What programs in C do of their own accord, as their machine code tells.

use std::process::Command;

use super::super::elf::Mapped;
use super::super::reach::{File, Reach, reach};
use super::super::{calls, sweep};

/// Compiles a C program. A machine that links Rust has a C compiler.
pub(super) fn compile(text: &str, flags: &[&str]) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().join("source.c");
    let output = directory.path().join("output");
    std::fs::write(&source, text).unwrap();
    let done = Command::new("cc")
        .args(["-O1", "-w", "-o"])
        .arg(&output)
        .arg(&source)
        .args(flags)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}");
    std::fs::read(output).unwrap()
}

fn reach_of(text: &str, flags: &[&str]) -> Reach {
    let bytes = compile(text, flags);
    let mapped = Mapped::parse(&bytes).unwrap();
    reach(&[File::new("/p".to_owned(), mapped)])
}

const BUILDS: [&[&str]; 4] = [&[], &["-no-pie", "-s"], &["-fno-plt", "-s"], &["-static"]];

/// Called directly, through two functions that stay functions.
const DIRECT: &str = "#include <unistd.h>
    #include <stdio.h>
    __attribute__((noinline)) int deep(int n) { if (n > 1) return fork(); return n; }
    __attribute__((noinline)) int less(int n) { puts(\"x\"); return deep(n) + 1; }
    int main(int argc, char **argv) { return less(argc); }";

/// Called through a table alone.
const TABLE: &str = "#include <unistd.h>
    #include <stdio.h>
    __attribute__((noinline)) int one(void) { return fork(); }
    __attribute__((noinline)) int two(void) { return puts(\"x\"); }
    int (*volatile table[2])(void) = { one, two };
    int main(int argc, char **argv) { return table[argc & 1](); }";

/// What a server does to leave its terminal.
const DAEMON: &str = "#include <unistd.h>
    #include <stdlib.h>
    __attribute__((noinline)) void leave(void) { if (fork() > 0) exit(0); setsid(); }
    int main(int argc, char **argv) { if (argc > 1) leave(); return 0; }";

#[test]
fn processes_are_found_where_they_are_made() {
    for flags in BUILDS {
        let direct = reach_of(DIRECT, flags);
        assert!(direct.fork.is_some(), "{flags:?} {direct:?}");
        let table = reach_of(TABLE, flags);
        assert_eq!(table.fork, None, "{flags:?}");
        let daemon = reach_of(DAEMON, flags);
        assert_eq!(daemon.fork, None, "{flags:?}");
        // A static one names no functions, and forks by clone.
        if !flags.contains(&"-static") {
            assert!(table.has_fork && daemon.has_fork, "{flags:?}");
        }
    }
    let stripped = reach_of(DIRECT, &["-static", "-s"]);
    assert!(stripped.fork.is_some(), "{stripped:?}");
    let named = reach_of(DIRECT, &[]);
    assert_eq!(named.fork.as_deref(), Some("deep in /p"));
}

#[test]
fn other_ways_to_make_a_process() {
    for body in [
        "vfork();",
        "syscall(SYS_fork);",
        "posix_spawn(&pid, \"/a\", 0, 0, argv, argv);",
        "asm volatile(\"syscall\" : : \"a\"(57) : \"rcx\", \"r11\", \"memory\");",
        "asm volatile(\"syscall\" : : \"a\"(56), \"D\"(17), \"S\"(0) : \"rcx\", \"r11\", \"memory\");",
    ] {
        let text = format!(
            "#define _GNU_SOURCE\n#include <unistd.h>\n#include <spawn.h>\n#include <sys/syscall.h>\n\
             int main(int argc, char **argv) {{ pid_t pid; {body} return 0; }}"
        );
        assert!(reach_of(&text, &[]).fork.is_some(), "{body}");
    }
    // A thread is no process, and a command is run when somebody says so.
    for body in [
        "asm volatile(\"syscall\" : : \"a\"(56), \"D\"(0x10000), \"S\"(0) : \"rcx\", \"r11\", \"memory\");",
        "system(argv[1]);",
        "getpid();",
    ] {
        let text = format!(
            "#include <stdlib.h>\n#include <unistd.h>\nint main(int argc, char **argv) {{ {body} return 0; }}"
        );
        assert_eq!(reach_of(&text, &[]).fork, None, "{body}");
    }
}

#[test]
fn calls_are_found_by_name_and_by_number() {
    let text =
        "#define _GNU_SOURCE\n#include <unistd.h>\n#include <sys/shm.h>\n#include <sys/syscall.h>
        __attribute__((noinline)) void rare(void) { semget(1, 2, 3); }
        void (*volatile pointer)(void) = rare;
        int main(int argc, char **argv) {
            shmget(1, 2, 3); syscall(999); syscall(SYS_io_uring_setup, 1, 0);
            asm volatile(\"syscall\" : : \"a\"(240) : \"rcx\", \"r11\", \"memory\");
            pointer(); return 0; }";
    let reach = reach_of(text, &[]);
    let names: Vec<String> = reach
        .calls
        .keys()
        .map(|number| calls::name(*number))
        .collect();
    assert_eq!(names, ["shmget", "mq_open", "io_uring_setup", "999"]);
    assert!(reach.present.contains(&64), "semget is there: {reach:?}");
    let openssl = "#include <sys/shm.h>\nint main(void) { int id = shmget(114, 1, 0); return shmat(id, 0, 0) != 0; }";
    assert!(reach_of(openssl, &[]).calls.is_empty());
}

#[test]
fn a_main_that_passes_another_function_on_is_followed() {
    let text = "#include <unistd.h>
        __attribute__((noinline)) int real(void) { return fork(); }
        __attribute__((noinline)) int start(int (*volatile f)(void)) { return f(); }
        int main(void) { return start(real); }";
    assert!(reach_of(text, &[]).fork.is_some());
}

#[test]
fn headers_tell_what_a_program_needs() {
    let plain = compile("int main(void) { return 0; }", &[]);
    let mapped = Mapped::parse(&plain).unwrap();
    assert!(mapped.is_relocatable && !mapped.has_executable_stack());
    assert!(!mapped.has_text_relocations());
    assert_eq!(mapped.isa_level(), 1);
    let versions = mapped.needed_versions();
    assert!(
        versions
            .iter()
            .any(|needed| needed.library == b"libc.so.6" && needed.version == b"GLIBC_2.2.5")
    );
    let flags = ["-no-pie", "-z", "execstack", "-Wl,-z,x86-64-v3"];
    let special = compile("int main(void) { return 0; }", &flags);
    let mapped = Mapped::parse(&special).unwrap();
    assert!(!mapped.is_relocatable && mapped.has_executable_stack());
    assert_eq!(mapped.isa_level(), 3);
    assert!(sweep::sweep(&mapped, &mapped.functions(), mapped.entry).bytes > 0);
}

#[test]
fn libraries_say_which_versions_they_have() {
    let libc = std::fs::read("/lib/x86_64-linux-gnu/libc.so.6").unwrap();
    let mapped = Mapped::parse(&libc).unwrap();
    assert_eq!(mapped.name(), Some(b"libc.so.6".as_slice()));
    let defined = mapped.defined_versions();
    assert!(
        defined.contains(&b"GLIBC_2.2.5".as_slice()) && defined.contains(&b"GLIBC_2.34".as_slice())
    );
    let exports = mapped.exports();
    assert!(exports.contains_key(b"fork".as_slice()) && exports.len() > 1000);
}

#[test]
fn a_file_always_gives_the_same_names() {
    let aliases: String = (0..64)
        .map(|number| format!("int alias{number}(void) __attribute__((alias(\"real\")));\n"))
        .collect();
    let text = format!(
        "#include <unistd.h>\n__attribute__((noinline)) int real(void) {{ return fork(); }}\n{aliases}
        int main(void) {{ return real(); }}"
    );
    let bytes = compile(&text, &["-rdynamic", "-s"]);
    for _ in 0..8 {
        let mapped = Mapped::parse(&bytes).unwrap();
        let reach = reach(&[File::new("/p".to_owned(), mapped)]);
        assert_eq!(reach.fork.as_deref(), Some("alias0 in /p"));
    }
}
