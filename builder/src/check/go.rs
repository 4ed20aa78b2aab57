//! Names and beginnings of the functions of a Go program, from the table by
//! which Go itself finds them: stripped programs have it, too.
//!
//! Source: `internal/abi` and `debug/gosym` describe the header of each version.

use super::elf::{Mapped, u32_at, u64_at};

/// Versions of the table whose entries are offsets from the beginning of the text.
const MAGIC_OFFSETS: [u32; 2] = [0xffff_fff0, 0xffff_fff1];
/// The version before, whose entries are addresses.
const MAGIC_ADDRESSES: u32 = 0xffff_fffa;
/// Instructions of one byte, pointers of eight.
const SIZES: [u8; 4] = [0, 0, 1, 8];
/// The table begins at a multiple of this.
const ALIGN_BYTES: usize = 16;
/// Longest name of a function.
const NAME_MAX_BYTES: usize = 4096;
/// Places that look like a table and may be none.
const TABLES_MAX: usize = 8;
/// The program's first instruction is this function's.
const START: &[u8] = b"_rt0_amd64_linux";

/// A function: where it begins, and its name.
pub(super) type Function<'a> = (u64, &'a [u8]);

/// All functions, sorted; none where this is no Go program.
pub(super) fn functions<'a>(file: &Mapped<'a>) -> Vec<Function<'a>> {
    let mut functions = file
        .data()
        .find_map(|(address, bytes)| {
            // Alignment is that of addresses.
            let skip = (address.wrapping_neg() % ALIGN_BYTES as u64) as usize;
            let starts = (skip..bytes.len()).step_by(ALIGN_BYTES);
            let tables = starts.map(|at| &bytes[at..]);
            let mut tables = tables.filter(|table| is_header(table)).take(TABLES_MAX);
            tables.find_map(|table| read(file, table))
        })
        .unwrap_or_default();
    functions.sort_unstable();
    functions
}

fn is_header(start: &[u8]) -> bool {
    let magic = u32_at(start, 0).unwrap_or(0);
    (MAGIC_OFFSETS.contains(&magic) || magic == MAGIC_ADDRESSES)
        && start.get(4..8).is_some_and(|sizes| sizes == SIZES)
}

fn read<'a>(file: &Mapped<'a>, table: &'a [u8]) -> Option<Vec<Function<'a>>> {
    let magic = u32_at(table, 0)?;
    let field = |at| usize::try_from(u64_at(table, at)?).ok();
    let count = field(8)?;
    let has_offsets = MAGIC_OFFSETS.contains(&magic);
    let (names, entries, entry_bytes) = if has_offsets {
        (field(32)?, field(64)?, 8)
    } else {
        (field(24)?, field(56)?, 16)
    };
    let names = table.get(names..)?;
    let all = table.get(entries..)?;
    let index = all.get(..count.checked_mul(entry_bytes)?)?;
    let mut functions: Vec<Function<'a>> = Vec::new();
    for entry in index.chunks_exact(entry_bytes) {
        let (address, at) = if has_offsets {
            (u64::from(u32_at(entry, 0)?), u64::from(u32_at(entry, 4)?))
        } else {
            (u64_at(entry, 0)?, u64_at(entry, 8)?)
        };
        let at = usize::try_from(at).ok()?;
        let name_at = at.checked_add(if has_offsets { 4 } else { 8 })?;
        let name = names.get(u32_at(all, name_at)? as usize..)?;
        let name = &name[..name.len().min(NAME_MAX_BYTES)];
        functions.push((address, &name[..name.iter().position(|&byte| byte == 0)?]));
    }
    if has_offsets {
        let text = match u64_at(table, 24)? {
            // Filled in by a relocation, or by nobody in newer versions.
            0 => {
                let start = functions.iter().find(|(_, name)| *name == START)?;
                file.entry.wrapping_sub(start.0)
            }
            text => text,
        };
        for function in &mut functions {
            function.0 = function.0.wrapping_add(text);
        }
    }
    functions.retain(|&(address, _)| file.is_code(address));
    Some(functions)
}

/// Whether a function begins what the program's author wrote.
pub(super) fn is_root(name: &[u8]) -> bool {
    name == b"main.main" || name.starts_with(b"main.init")
}

/// Whether a function makes a process.
pub(super) fn makes_process(name: &[u8]) -> bool {
    const FORKS: [&[u8]; 4] = [
        b"os.StartProcess",
        b"syscall.forkExec",
        b"syscall.forkAndExecInChild",
        b"syscall.forkAndExecInChild1",
    ];
    FORKS.contains(&name)
}

/// Whether a function makes the call whose number is its first argument.
pub(super) fn takes_number(name: &[u8]) -> bool {
    const PACKAGES: [&[u8]; 4] = [
        b"syscall.",
        b"golang.org/x/sys/unix.",
        b"internal/runtime/syscall.",
        b"runtime/internal/syscall.",
    ];
    const FUNCTIONS: [&[u8]; 6] = [
        b"Syscall",
        b"Syscall6",
        b"RawSyscall",
        b"RawSyscall6",
        b"SyscallNoError",
        b"RawSyscallNoError",
    ];
    let rest = PACKAGES
        .iter()
        .find_map(|package| name.strip_prefix(*package));
    rest.is_some_and(|function| FUNCTIONS.contains(&function))
}
