//! Rewrites one file.
//!
//! ```text
//! before                      after                       trampoline
//!   mov  $39, %eax              jmp  T                    T: mov  $39, %eax
//!   syscall                     syscall                      lea  next(%rip), %rcx
//! next:                       next:                          jmp  *%gs:8
//! ```
//!
//! Only instructions before the site move, and the `syscall` stays where it is.
//! So the return address that RCX names is the one that the instruction would
//! have left there; a call that is to start again is rewound by two bytes to a
//! `syscall`, which traps; unwind tables, symbols and address ranges that a
//! program compares its program counter with hold for every call in progress;
//! and a jump to the `syscall` itself still works.

use super::object::Object;
use super::place::{self, Room};
use super::report::{Counts, LeftFile, LeftSite};
use super::sites::{self, JUMP_BYTES, Site};
use super::{targets, unwind};

/// `lea disp32(%rip), %rcx`.
const LOAD_RETURN: [u8; 3] = [0x48, 0x8d, 0x0d];
const LOAD_RETURN_BYTES: usize = 7;
/// `jmp *%gs:8`, `unikiln_abi::vcpu::SYSCALL_ENTRY_OFFSET`.
const ENTER: [u8; 8] = [
    0x65,
    0xff,
    0x24,
    0x25,
    unikiln_abi::vcpu::SYSCALL_ENTRY_OFFSET as u8,
    0,
    0,
    0,
];
/// `jmp rel32`.
const JUMP: u8 = 0xe9;
/// `int3`, for bytes that nothing reaches.
const TRAP: u8 = 0xcc;
/// Trampolines begin at multiples of this.
const ALIGN_BYTES: usize = 8;

/// What became of a file: its new bytes, where anything changed.
#[derive(Debug)]
pub(super) struct Rewritten {
    pub(super) bytes: Option<Vec<u8>>,
    pub(super) counts: Counts,
}

/// See the module documentation.
pub(super) fn rewrite(bytes: &[u8]) -> Result<Rewritten, LeftFile> {
    let object = Object::parse(bytes)?;
    let mut counts = Counts::default();
    if !sites::may_have_sites(&object) {
        return Ok(Rewritten {
            bytes: None,
            counts,
        });
    }
    let functions = unwind::functions(&object);
    let boundaries = sites::boundaries(&object, &functions);
    let found = sites::find(&object, &boundaries, &functions);
    for (_, reason) in &found.left {
        counts.leave(*reason);
    }
    let inner = found.sites.iter().flat_map(|site| site.inner.clone());
    let hit = targets::jumped_to(&object, &boundaries, &functions, inner.collect());
    let touched = touched_by_relocations(&object, &found.sites);
    let mut chosen = Vec::new();
    for (index, site) in found.sites.into_iter().enumerate() {
        if site.inner.iter().any(|address| hit.contains(address)) || touched.contains(&index) {
            counts.leave(LeftSite::JumpTarget);
        } else {
            chosen.push(site);
        }
    }
    let bytes = bind(&object, &chosen, &mut counts);
    Ok(Rewritten { bytes, counts })
}

/// Indices of sites whose bytes a relocation changes.
fn touched_by_relocations(object: &Object<'_>, sites: &[Site]) -> Vec<usize> {
    let mut touched = Vec::new();
    object.relocations(|address, _| {
        let after = sites.partition_point(|site| site.start < address.saturating_add(8));
        if let Some(index) = after.checked_sub(1)
            && address < sites[index].address + sites::SYSCALL.len() as u64
        {
            touched.push(index);
        }
    });
    touched
}

fn bind(object: &Object<'_>, sites: &[Site], counts: &mut Counts) -> Option<Vec<u8>> {
    let needed: usize = sites.iter().map(trampoline_bytes).sum();
    let room = (needed > 0).then(|| place::find(object, needed as u64))??;
    let mut file = object.bytes.to_vec();
    let mut trampolines = Vec::new();
    for site in sites {
        match trampoline(&room, trampolines.len(), site) {
            Some((bytes, jump)) if patch(object, site, jump, &mut file) => {
                trampolines.extend_from_slice(&bytes);
                counts.bound += 1;
            }
            _ => counts.leave(LeftSite::NoRoom),
        }
    }
    if trampolines.is_empty() {
        return None;
    }
    place::fill(object, &room, &trampolines, &mut file);
    Some(file)
}

fn trampoline_bytes(site: &Site) -> usize {
    let moved: usize = site.moved.iter().map(|moved| moved.bytes.len()).sum();
    (moved + LOAD_RETURN_BYTES + ENTER.len()).next_multiple_of(ALIGN_BYTES)
}

/// The trampoline at `at` in the room, and the displacement of the jump to it.
fn trampoline(room: &Room, at: usize, site: &Site) -> Option<(Vec<u8>, i32)> {
    if (at + trampoline_bytes(site)) as u64 > room.bytes {
        return None;
    }
    let address = room.address + at as u64;
    let mut bytes = Vec::with_capacity(trampoline_bytes(site));
    for moved in &site.moved {
        let from = bytes.len();
        bytes.extend_from_slice(&moved.bytes);
        if let Some((at, target)) = moved.relative {
            let end = address + bytes.len() as u64;
            let field = bytes.get_mut(from + at..from + at + 4)?;
            field.copy_from_slice(&distance(end, target)?.to_le_bytes());
        }
    }
    bytes.extend_from_slice(&LOAD_RETURN);
    let end = address + (bytes.len() - LOAD_RETURN.len() + LOAD_RETURN_BYTES) as u64;
    let next = site.address + sites::SYSCALL.len() as u64;
    bytes.extend_from_slice(&distance(end, next)?.to_le_bytes());
    bytes.extend_from_slice(&ENTER);
    bytes.resize(trampoline_bytes(site), TRAP);
    Some((bytes, distance(site.start + JUMP_BYTES as u64, address)?))
}

fn distance(from: u64, to: u64) -> Option<i32> {
    i32::try_from(to.wrapping_sub(from) as i64).ok()
}

/// Puts the jump over the instructions that moved; whether they are where the
/// object says.
fn patch(object: &Object<'_>, site: &Site, jump: i32, file: &mut [u8]) -> bool {
    let Some(code) = object.code_at(site.start) else {
        return false;
    };
    let from = code.offset + (site.start - code.address) as usize;
    let Some(bytes) = file.get_mut(from..from + (site.address - site.start) as usize) else {
        return false;
    };
    bytes.fill(TRAP);
    bytes[0] = JUMP;
    bytes[1..JUMP_BYTES].copy_from_slice(&jump.to_le_bytes());
    true
}
