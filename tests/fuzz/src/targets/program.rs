//! ELF files: binding their system calls, and what they need to start.

use std::fs;
use std::process::Command;

use crate::{Random, Target, mutate};

/// The target.
pub const TARGET: Target = Target {
    name: "program",
    max_bytes: 96 << 10,
    run: unikiln_builder::fuzz::program,
    mend: |input, random| mend(input, random),
    seeds,
};

const HEADER_BYTES: usize = 64;
const PHDR_BYTES: usize = 56;

/// Changes fields of the headers, where blind changes seldom hit.
fn mend(input: &mut [u8], random: &mut Random) {
    if input.len() < 2 * HEADER_BYTES || random.chance(30) {
        return;
    }
    input[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    let word = |input: &[u8], at: usize| {
        let bytes = input[at..at + 8].try_into().expect("eight bytes");
        u64::from_le_bytes(bytes) as usize
    };
    let (table, each) = match random.below(3) {
        0 => (0, HEADER_BYTES),
        1 => (word(input, 32), PHDR_BYTES),
        _ => (word(input, 40), HEADER_BYTES),
    };
    let entry = table.saturating_add(random.below(24) * each);
    let Some(header) = input.get_mut(entry..entry.saturating_add(each)) else {
        return;
    };
    let mut header = header.to_vec();
    mutate::bytes(&mut header, each, random);
    header.resize(each, 0);
    input[entry..entry + each].copy_from_slice(&header);
}

/// Small programs with every kind of site, and one of this machine.
fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = vec![fs::read("/bin/true").expect("/bin/true")];
    let body = ".globl _start\n.type _start, @function\n_start:\n.cfi_startproc\n\
        mov $39, %eax\nsyscall\ntest %eax, %eax\nje 1f\nxor %edi, %edi\n1: mov $60, %eax\n\
        syscall\nmov $15, %rax\nsyscall\nlea table(%rip), %rdx\njmp *%rax\nret\n.cfi_endproc\n\
        .size _start, .-_start\n.section .rodata\ntable: .long 1b - table, _start - table\n";
    let directory = tempfile::tempdir().expect("directory");
    for flags in [
        ["-static", "-no-pie"],
        ["-static-pie", "-fPIE"],
        ["-shared", "-fPIC"],
    ] {
        let source = directory.path().join("a.s");
        let output = directory.path().join("a");
        fs::write(&source, body).expect("write");
        let done = Command::new("cc")
            .args([
                "-nostdlib",
                "-nostartfiles",
                "-Wl,--build-id=none,-z,noseparate-code",
            ])
            .args(flags)
            .arg("-o")
            .args([&output, &source])
            .output();
        if done.is_ok_and(|done| done.status.success()) {
            seeds.push(fs::read(&output).expect("program"));
        }
    }
    assert!(seeds.len() > 1, "no C compiler");
    seeds
}
