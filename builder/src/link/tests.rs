//! Rewriting of what the compiler of this machine makes, of this machine's own
//! programs, and of files that are broken in every way.

mod broken;
mod compiled;
mod debian;
mod tree;

use std::process::Command;

use iced_x86::{Code, Decoder, DecoderOptions, Instruction, Register};

use super::object::Object;
use super::report::{Counts, LeftFile, LeftSite};

/// Compiles C or assembly text without a C library. A machine that links Rust
/// has a C compiler.
pub(super) fn compile(language: &str, text: &str, flags: &[&str]) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().join("source");
    let output = directory.path().join("output");
    std::fs::write(&source, text).unwrap();
    let done = Command::new("cc")
        .args(["-x", language, "-O2", "-nostdlib", "-nostartfiles"])
        .args(flags)
        .arg("-o")
        .args([&output, &source])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}");
    std::fs::read(output).unwrap()
}

/// A static program of these instructions, as a function.
fn program(body: &str) -> Vec<u8> {
    let text = format!(
        ".globl _start\n.type _start, @function\n_start:\n.cfi_startproc\n{body}\nret\n.cfi_endproc\n\
         .size _start, .-_start\n.balign 16\n.type after, @function\nafter:\n.cfi_startproc\nret\n.cfi_endproc\n"
    );
    compile("assembler", &text, &["-static"])
}

/// What became of a file: its new bytes, where anything changed.
struct Rewritten {
    bytes: Option<Vec<u8>>,
    counts: Counts,
}

fn rewrite(file: &[u8]) -> Result<Rewritten, LeftFile> {
    let mut bytes = file.to_vec();
    let (edits, counts) = super::rewrite::edits(file)?;
    for (offset, new) in edits {
        let end = offset + new.len();
        bytes.resize(bytes.len().max(end), 0);
        bytes[offset..end].copy_from_slice(&new);
    }
    assert_eq!(bytes == file, counts.bound == 0);
    Ok(Rewritten {
        bytes: (counts.bound > 0).then_some(bytes),
        counts,
    })
}

/// Rewrites a file all of whose sites can be bound.
fn bound(file: &[u8], sites: u64) -> Vec<u8> {
    let rewritten = rewrite(file).unwrap();
    assert_eq!(
        (rewritten.counts.bound, rewritten.counts.left.len()),
        (sites, 0)
    );
    rewritten.bytes.unwrap()
}

/// Why the one site of a file is left.
fn left(file: &[u8]) -> LeftSite {
    let rewritten = rewrite(file).unwrap();
    assert_eq!(rewritten.counts.bound, 0);
    assert!(rewritten.bytes.is_none());
    *rewritten.counts.left.first_key_value().unwrap().0
}

/// Instructions at an address of a file.
fn instructions(file: &[u8], address: u64, count: usize) -> Vec<Instruction> {
    let object = Object::parse(file).unwrap();
    let code = object.mapped_at(address).unwrap_or_default();
    let decoder = Decoder::with_ip(64, code, address, DecoderOptions::NONE);
    decoder.into_iter().take(count).collect()
}

/// A site of a rewritten file: what its program executes up to the entry.
#[derive(Debug)]
struct Way {
    /// Of the jump.
    start: u64,
    /// What moved.
    moved: Vec<Instruction>,
    /// The return address.
    next: u64,
}

/// Follows the jump at `start` to the entry; `None` where it is no bound site's.
fn follow(file: &[u8], start: u64) -> Option<Way> {
    let object = Object::parse(file).unwrap();
    let jump = |at| {
        let jump: Instruction = *instructions(file, at, 1).first()?;
        let is_jump = matches!(jump.code(), Code::Jmp_rel32_64 | Code::Jmp_rel8_64);
        let target = jump.near_branch_target();
        (is_jump && object.mapped_at(target).is_some()).then_some(target)
    };
    let first = jump(start)?;
    let at = jump(first).unwrap_or(first);
    let mut moved = Vec::new();
    for pair in instructions(file, at, 12).windows(2) {
        if pair[0].code() == Code::Lea_r64_m && pair[1].memory_segment() == Register::GS {
            let next = pair[0].ip_rel_memory_address();
            return Some(Way { start, moved, next });
        }
        moved.push(pair[0]);
    }
    None
}
