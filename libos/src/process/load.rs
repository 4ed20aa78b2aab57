//! Mapping a program and its interpreter, as Linux's binfmt_elf does it.
//!
//! | kind | where |
//! |---|---|
//! | ET_EXEC | its own addresses |
//! | ET_DYN program | `PROGRAM_BASE` up, at random |
//! | interpreter | in the mmap area, below the stack, whose top is random |

use alloc::sync::Arc;
use alloc::vec::Vec;

use linux_raw_sys::general::{MAP_ANONYMOUS, MAP_FIXED_NOREPLACE, MAP_PRIVATE};

use super::elf::{self, Header, Segment};
use crate::errno::Errno;
use crate::fs::OpenFile;
use crate::mm::map::Request;
use crate::mm::space::AddressSpace;
use crate::mm::vma::{PROT_EXEC, PROT_READ, PROT_WRITE};
use crate::mm::{PAGE, round_down, round_up, user};

/// Where position-independent programs go (Linux's ELF_ET_DYN_BASE).
const PROGRAM_BASE: u64 = 0x5555_5555_4000;

/// Pages by which the program and the mmap area are moved at random, each.
pub(super) const RANDOM_PAGES: u64 = 1 << 24;

/// A file whose headers were read and accepted.
pub struct Object {
    /// The file.
    pub file: Arc<OpenFile>,
    /// Its header.
    pub header: Header,
    /// Its program headers.
    pub segments: Vec<Segment>,
}

/// Where an object is now.
#[derive(Clone, Copy, Debug)]
pub struct Placed {
    /// Added to every address in the file.
    pub bias: u64,
    /// Entry.
    pub entry: u64,
    /// First address after its last page.
    pub end: u64,
    /// Address of its program headers.
    pub headers: u64,
}

impl Object {
    /// Path in PT_INTERP.
    pub fn interpreter(&self) -> Result<Option<Vec<u8>>, Errno> {
        let Some(segment) = self.segments.iter().find(|s| s.kind == elf::INTERPRETER) else {
            return Ok(None);
        };
        if segment.file_bytes < 2 || segment.file_bytes > 4096 {
            return Err(Errno::ENOEXEC);
        }
        let mut path = alloc::vec![0; segment.file_bytes as usize];
        let got = self.file.read_at(segment.offset, &mut path)?;
        let end = path[..got]
            .iter()
            .position(|b| *b == 0)
            .ok_or(Errno::ENOEXEC)?;
        path.truncate(end);
        Ok(Some(path))
    }

    fn span(&self) -> Result<(u64, u64), Errno> {
        let mut loads = self.segments.iter().filter(|s| s.kind == elf::LOAD);
        let first = loads.clone().next().ok_or(Errno::ENOEXEC)?;
        let last = loads.next_back().ok_or(Errno::ENOEXEC)?;
        let end = round_up(last.address + last.memory_bytes, PAGE).ok_or(Errno::ENOEXEC)?;
        Ok((round_down(first.address, PAGE), end))
    }

    /// Maps all segments.
    pub fn map(&self, space: &AddressSpace, is_interpreter: bool) -> Result<Placed, Errno> {
        let (low, high) = self.span()?;
        let bias = if !self.header.relocatable {
            0
        } else if is_interpreter {
            space
                .lock()
                .find_free(high - low)
                .ok_or(Errno::ENOMEM)?
                .wrapping_sub(low)
        } else {
            let align = self.segments.iter().filter(|s| s.kind == elf::LOAD);
            let align = align.map(|s| s.align).filter(|a| a.is_power_of_two()).max();
            let base = PROGRAM_BASE + space.chance().program % RANDOM_PAGES * PAGE;
            let base = round_up(base, align.unwrap_or(PAGE).max(PAGE));
            base.ok_or(Errno::ENOEXEC)?.wrapping_sub(low)
        };
        for segment in self.segments.iter().filter(|s| s.kind == elf::LOAD) {
            self.map_segment(space, segment, bias)?;
        }
        Ok(Placed {
            bias,
            entry: bias.wrapping_add(self.header.entry),
            end: bias.wrapping_add(high),
            headers: self.headers_address(bias),
        })
    }

    fn headers_address(&self, bias: u64) -> u64 {
        if let Some(own) = self.segments.iter().find(|s| s.kind == elf::HEADERS) {
            return bias.wrapping_add(own.address);
        }
        let offset = self.header.segments_offset;
        (self.segments.iter())
            .find(|s| s.kind == elf::LOAD && offset >= s.offset && offset - s.offset < s.file_bytes)
            .map_or(0, |s| bias.wrapping_add(s.address + (offset - s.offset)))
    }

    fn map_segment(&self, space: &AddressSpace, segment: &Segment, bias: u64) -> Result<(), Errno> {
        let start = bias.wrapping_add(segment.address);
        let page_start = round_down(start, PAGE);
        let file_end = start + segment.file_bytes;
        let memory_end = start + segment.memory_bytes;
        let file_pages_end = round_up(file_end, PAGE).ok_or(Errno::ENOMEM)?;
        let pages_end = round_up(memory_end, PAGE).ok_or(Errno::ENOMEM)?;
        let protection = protection_of(segment.flags);
        let flags = MAP_PRIVATE | MAP_FIXED_NOREPLACE;
        let anonymous_from = if segment.file_bytes > 0 {
            space.map(Request {
                address: page_start,
                bytes: file_pages_end - page_start,
                protection,
                flags,
                file: Some(self.file.clone()),
                offset: segment.offset - (start - page_start),
                name: "",
            })?;
            file_pages_end
        } else {
            page_start
        };
        if pages_end > anonymous_from {
            space.map(Request {
                address: anonymous_from,
                bytes: pages_end - anonymous_from,
                protection,
                flags: flags | MAP_ANONYMOUS,
                file: None,
                offset: 0,
                name: "",
            })?;
        }
        // The rest of the last file page is part of .bss. All of it is cleared, as
        // Linux does: glibc's loader takes its first heap from behind its .bss.
        let bss = memory_end > file_end && segment.file_bytes > 0;
        if bss && file_end < file_pages_end && protection & PROT_WRITE != 0 {
            user::zero_out(file_end, (file_pages_end - file_end) as usize)?;
        }
        Ok(())
    }
}

fn protection_of(flags: u32) -> u32 {
    let mut protection = 0;
    for (flag, bit) in [
        (elf::FLAG_READ, PROT_READ),
        (elf::FLAG_WRITE, PROT_WRITE),
        (elf::FLAG_EXECUTE, PROT_EXEC),
    ] {
        if flags & flag != 0 {
            protection |= bit;
        }
    }
    protection
}
