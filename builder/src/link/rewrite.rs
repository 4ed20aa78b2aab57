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
//! and a jump to the `syscall` itself still works. Where fewer than five bytes can
//! move, a jump of two bytes leads to one of five in padding nearby (`gaps.rs`).

use super::gaps::Gaps;
use super::object::Object;
use super::place;
use super::report::{Counts, LeftFile, LeftSite};
use super::sites::{self, JUMP_BYTES, SHORT_JUMP_BYTES, Site};
use super::{targets, unwind};
use crate::rootfs::storage::Edit;

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
/// `jmp rel8`.
const SHORT_JUMP: u8 = 0xeb;
/// `jmp rel32`.
const JUMP: u8 = 0xe9;
/// `int3`, for bytes that nothing reaches.
const TRAP: u8 = 0xcc;
/// Trampolines begin at multiples of this.
const ALIGN_BYTES: usize = 8;

/// What is to be changed of the file. See the module documentation.
pub(super) fn edits(bytes: &[u8]) -> Result<(Vec<Edit>, Counts), LeftFile> {
    let object = Object::parse(bytes)?;
    let mut counts = Counts::default();
    if !sites::may_have_sites(&object) {
        return Ok((Vec::new(), counts));
    }
    let functions = unwind::functions(&object);
    let boundaries = sites::boundaries(&object, &functions);
    let found = sites::find(&object, &boundaries, &functions);
    for (_, reason) in &found.left {
        counts.leave(*reason);
    }
    let mut gaps = Gaps::near(&object, &functions, &found);
    let mut sites = found.sites;
    let inner = sites.iter().flat_map(Site::inner);
    let watched = inner.chain(gaps.addresses()).collect();
    let beginnings = sites.iter().flat_map(|site| site.moved.iter().skip(1));
    let beginnings = beginnings.map(|moved| moved.address);
    let beginnings = beginnings.chain(gaps.addresses()).collect();
    let hit = targets::jumped_to(&object, &boundaries, &functions, watched, beginnings);
    let touched = touched_by_relocations(&object, &sites);
    let mut plans = Vec::new();
    for (index, site) in sites.iter_mut().enumerate() {
        site.keep_whole(&hit);
        let spring = match site.room_bytes() {
            JUMP_BYTES.. => Ok(None),
            SHORT_JUMP_BYTES.. => gaps
                .take(site.start(), &hit)
                .map(Some)
                .ok_or(LeftSite::NoGap),
            _ => Err(LeftSite::JumpTarget),
        };
        match spring {
            _ if touched.contains(&index) => counts.leave(LeftSite::JumpTarget),
            Ok(spring) => plans.push(Plan { site, spring }),
            Err(reason) => counts.leave(reason),
        }
    }
    let edits = bind(&object, &plans, &mut counts);
    Ok((edits, counts))
}

/// A site that is to be bound.
struct Plan<'a> {
    site: &'a Site,
    /// Where a jump of two bytes leads first.
    spring: Option<u64>,
}

/// Indices of sites whose bytes a relocation changes.
fn touched_by_relocations(object: &Object<'_>, sites: &[Site]) -> Vec<usize> {
    let mut touched = Vec::new();
    object.relocations(|address, _| {
        let after = sites.partition_point(|site| site.start() < address.saturating_add(8));
        if let Some(index) = after.checked_sub(1)
            && address < sites[index].address + sites::SYSCALL.len() as u64
        {
            touched.push(index);
        }
    });
    touched
}

fn bind(object: &Object<'_>, plans: &[Plan<'_>], counts: &mut Counts) -> Vec<Edit> {
    let mut edits = Vec::new();
    let needed: usize = plans.iter().map(|plan| trampoline_bytes(plan.site)).sum();
    if needed == 0 {
        return edits;
    }
    let Some(room) = place::find(object, needed as u64) else {
        plans.iter().for_each(|_| counts.leave(LeftSite::NoRoom));
        return edits;
    };
    let mut trampolines = Vec::new();
    for plan in plans {
        let at = room.address + trampolines.len() as u64;
        let left = room.bytes - trampolines.len() as u64;
        let bytes = trampoline(at, left, plan.site);
        match bytes.and_then(|bytes| Some((bytes, jumps(object, plan, at)?))) {
            Some((bytes, jumps)) => {
                trampolines.extend_from_slice(&bytes);
                edits.extend(jumps);
                counts.bound += 1;
            }
            None => counts.leave(LeftSite::NoRoom),
        }
    }
    if !trampolines.is_empty() {
        place::fill(object, &room, trampolines, &mut edits);
    }
    edits
}

fn trampoline_bytes(site: &Site) -> usize {
    let moved: usize = site.moved.iter().map(|moved| moved.bytes.len()).sum();
    (moved + LOAD_RETURN_BYTES + ENTER.len()).next_multiple_of(ALIGN_BYTES)
}

/// The trampoline of `site` at `address`, if `left` bytes are enough.
fn trampoline(address: u64, left: u64, site: &Site) -> Option<Vec<u8>> {
    let len = trampoline_bytes(site);
    if len as u64 > left {
        return None;
    }
    let mut bytes = Vec::with_capacity(len);
    for moved in &site.moved {
        let from = bytes.len();
        bytes.extend_from_slice(&moved.bytes);
        if let Some((at, target)) = moved.relative {
            let end = address + bytes.len() as u64;
            let field = bytes.get_mut(from + at..from + at + 4)?;
            field.copy_from_slice(&distance(end, target)?.to_le_bytes());
        }
    }
    let end = address + (bytes.len() + LOAD_RETURN_BYTES) as u64;
    let next = site.address + sites::SYSCALL.len() as u64;
    bytes.extend_from_slice(&LOAD_RETURN);
    bytes.extend_from_slice(&distance(end, next)?.to_le_bytes());
    bytes.extend_from_slice(&ENTER);
    bytes.resize(len, TRAP);
    Some(bytes)
}

fn distance(from: u64, to: u64) -> Option<i32> {
    i32::try_from(to.wrapping_sub(from) as i64).ok()
}

/// The jump to `trampoline` over the instructions that moved, maybe by way of padding.
fn jumps(object: &Object<'_>, plan: &Plan<'_>, trampoline: u64) -> Option<Vec<Edit>> {
    let start = plan.site.start();
    let mut over = vec![TRAP; plan.site.room_bytes()];
    let Some(spring) = plan.spring else {
        let jump = near_jump(start, trampoline)?;
        over.get_mut(..JUMP_BYTES)?.copy_from_slice(&jump);
        return Some(vec![(offset(object, start)?, over)]);
    };
    let distance = distance(start + SHORT_JUMP_BYTES as u64, spring)?;
    let short = [SHORT_JUMP, i8::try_from(distance).ok()? as u8];
    over.get_mut(..SHORT_JUMP_BYTES)?.copy_from_slice(&short);
    let jump = near_jump(spring, trampoline)?;
    Some(vec![
        (offset(object, start)?, over),
        (offset(object, spring)?, jump.to_vec()),
    ])
}

fn near_jump(from: u64, to: u64) -> Option<[u8; JUMP_BYTES]> {
    let mut jump = [JUMP; JUMP_BYTES];
    let distance = distance(from + JUMP_BYTES as u64, to)?;
    jump[1..].copy_from_slice(&distance.to_le_bytes());
    Some(jump)
}

/// Where in the file an address in code is.
fn offset(object: &Object<'_>, address: u64) -> Option<usize> {
    let code = object.code_at(address)?;
    Some(code.offset + (address - code.address) as usize)
}
