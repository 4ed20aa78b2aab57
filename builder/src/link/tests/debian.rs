//! This machine's own programs and libraries: nothing but what the rewriting says
//! is different, and what is different does the same.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use iced_x86::{Code, Instruction, Mnemonic};

use super::super::object::Object;
use super::super::sites::JUMP_BYTES;
use super::{Way, follow, instructions, rewrite};

const FOLDERS: [&str; 2] = ["/usr/bin", "/usr/lib/x86_64-linux-gnu"];
/// Enough for all of them on an idle machine; a busy one looks at fewer.
const TIME: Duration = Duration::from_secs(120);
/// A program may be rewritten twice at the same time in other tests: no more than this.
const FILE_MAX_BYTES: u64 = 64 << 20;

fn programs() -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = FOLDERS
        .iter()
        .filter_map(|folder| std::fs::read_dir(folder).ok())
        .flat_map(|entries| entries.filter_map(|entry| Some(entry.ok()?.path())))
        .filter(|path| {
            std::fs::symlink_metadata(path)
                .is_ok_and(|file| file.is_file() && file.len() <= FILE_MAX_BYTES)
        })
        .collect();
    paths.sort();
    paths
}

#[test]
fn rewritten_programs_do_the_same() {
    let start = Instant::now();
    let (mut files, mut sites) = (0, 0);
    for path in programs() {
        if start.elapsed() > TIME {
            break;
        }
        let Ok(bytes) = std::fs::read(&path) else {
            continue;
        };
        if !Object::is_one(&bytes) {
            continue;
        }
        files += 1;
        let Ok(rewritten) = rewrite(&bytes) else {
            continue;
        };
        if let Some(new) = rewritten.bytes {
            sites += rewritten.counts.bound;
            let found = compare(&bytes, &new);
            assert_eq!(found, rewritten.counts.bound, "{}", path.display());
        }
    }
    println!("{files} files, {sites} sites, {:?}", start.elapsed());
    assert!(files > 100 && sites > 500);
}

/// Compares the two files; the number of sites that are bound in the second.
fn compare(old: &[u8], new: &[u8]) -> u64 {
    let (before, after) = (Object::parse(old).unwrap(), Object::parse(new).unwrap());
    let mut sites = 0;
    for (code, new_code) in before.code.iter().zip(&after.code) {
        assert_eq!(
            (code.address, code.offset),
            (new_code.address, new_code.offset)
        );
        let mut at = 0;
        while at < code.bytes.len() {
            if code.bytes[at] == new_code.bytes[at] {
                at += 1;
                continue;
            }
            let address = code.address + at as u64;
            let (start, way) = way(new, address).unwrap();
            at = if does_the_same(old, &way) {
                sites += 1;
                (way.next - 2 - code.address) as usize
            } else {
                // A jump in padding: no other site's, and only there.
                assert!(is_padding(old, start), "{start:#x} {way:x?}");
                (start - code.address) as usize + JUMP_BYTES
            };
        }
    }
    sites
}

/// Whether the bytes of a jump at `start` were padding: some decoding of what is
/// before gives nothing but padding.
fn is_padding(old: &[u8], start: u64) -> bool {
    (0..16).any(|back| {
        let all = instructions(old, start - back, 16);
        let end = start + JUMP_BYTES as u64;
        let mut all = all.iter().take_while(|i| i.ip() < end).peekable();
        all.peek().is_some() && all.all(|i| matches!(i.mnemonic(), Mnemonic::Nop | Mnemonic::Int3))
    })
}

/// The bound site that a changed byte belongs to: a displacement's first bytes,
/// and even the jump's opcode, can be what was there before.
fn way(file: &[u8], address: u64) -> Option<(u64, Way)> {
    (0..5).find_map(|back| {
        let start = address - back;
        let way = follow(file, start)?;
        Some((start, way))
    })
}

/// Whether the instructions that were between the jump and the call are those in
/// the trampoline.
fn does_the_same(old: &[u8], way: &Way) -> bool {
    let before = instructions(old, way.start, way.moved.len() + 1);
    let (call, before) = before.split_last().unwrap();
    call.code() == Code::Syscall
        && call.next_ip() == way.next
        && before.iter().zip(&way.moved).all(|(a, b)| same(a, b))
}

fn same(a: &Instruction, b: &Instruction) -> bool {
    if a.is_jcc_short_or_near() {
        return a.condition_code() == b.condition_code()
            && a.near_branch_target() == b.near_branch_target();
    }
    // Equality does not look at addresses, but RIP-relative operands are absolute.
    a == b
}
