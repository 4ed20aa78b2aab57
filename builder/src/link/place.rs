//! Room for trampolines in a file, without moving anything that is there.
//!
//! 1. The padding between the end of an executable segment and the end of its
//!    last page, which is mapped anyway: the segment grows over it, the file does
//!    not grow.
//! 2. A new PT_LOAD behind all others, with its bytes appended to the file. For
//!    its program header there is
//!    - free space behind the table (Go leaves some), or
//!    - the place of PT_GNU_PROPERTY, which only repeats a PT_NOTE from which the
//!      dynamic linker reads the same when it is missing, or
//!    - a copy of the table at the beginning of the new segment. Musl's dynamic
//!      linker and older kernels take for granted that the table's address is as
//!      far from its offset as the first segment's. To make it so the file is
//!      padded by the length of .bss or, where the file holds more than what is
//!      mapped, some addresses are left out. Where .bss is long it is not so: only
//!      kernels before 5.18 would then give the program a wrong AT_PHDR. A file that
//!      may be a dynamic linker gets no segment then.
//!
//! Padding alone would do for most files, but not for a C library, which has
//! hundreds of sites; a segment alone would make each file larger, and move tables
//! that need not move.

use goblin::elf::ProgramHeader;
use goblin::elf::header::ET_DYN;
use goblin::elf::program_header::{PF_R, PF_W, PF_X, PT_GNU_PROPERTY, PT_LOAD, PT_PHDR};

use super::object::{HEADER_BYTES, Object, PHDR_BYTES};
use crate::rootfs::storage::Edit;

const PAGE_BYTES: u64 = 4096;
/// Alignment of the room.
const ALIGN_BYTES: u64 = 16;
/// Most that a file is padded by.
const PADDING_MAX_BYTES: u64 = 256 << 10;
/// Most addresses that are left out before a new segment.
const HOLE_MAX_BYTES: u64 = 1 << 30;
/// Most program headers.
const HEADERS_MAX: u16 = 64;

/// Where trampolines may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Room {
    pub(super) address: u64,
    pub(super) offset: u64,
    pub(super) bytes: u64,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Behind the segment of this index.
    Padding(usize),
    /// A segment of its own, with its header there.
    Segment(Header),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Header {
    /// Behind the table.
    Appended,
    /// Instead of the one of this index.
    Replaces(usize),
    /// In a copy of the table before the room.
    Moved,
}

/// Room for `bytes`; for less where there is not more.
pub(super) fn find(object: &Object<'_>, bytes: u64) -> Option<Room> {
    let padding = (0..object.segments.len())
        .filter_map(|index| padding(object, index))
        .max_by_key(|room| room.bytes);
    match padding {
        Some(room) if room.bytes >= bytes => Some(room),
        padding => segment(object).or(padding),
    }
}

fn padding(object: &Object<'_>, index: usize) -> Option<Room> {
    let segment = &object.segments[index];
    let is_code = segment.p_type == PT_LOAD && segment.p_flags & (PF_X | PF_W) == PF_X;
    if !is_code || segment.p_filesz != segment.p_memsz || segment.p_filesz == 0 {
        return None;
    }
    let end = segment.p_vaddr + segment.p_memsz;
    let address = end.next_multiple_of(ALIGN_BYTES);
    let address_end = end.next_multiple_of(PAGE_BYTES);
    let is_free = |load: &ProgramHeader| load.p_vaddr / PAGE_BYTES * PAGE_BYTES >= address_end;
    let mut later = object
        .loads()
        .into_iter()
        .filter(|load| load.p_vaddr >= end);
    if !later.all(|load| is_free(&load)) {
        return None;
    }
    let offset_end = segment.p_offset + segment.p_filesz;
    let offset = offset_end + (address - end);
    let limit = (offset_end + (address_end - end)).min(next_content(object, offset_end));
    let bytes = limit.checked_sub(offset)?;
    let is_zero = object
        .bytes
        .get(offset as usize..limit as usize)?
        .iter()
        .all(|&byte| byte == 0);
    (is_zero && bytes > 0).then_some(Room {
        address,
        offset,
        bytes,
        kind: Kind::Padding(index),
    })
}

/// First offset from `from` on where the file holds something.
fn next_content(object: &Object<'_>, from: u64) -> u64 {
    let header = &object.header;
    let tables = [
        (
            header.e_phoff,
            u64::from(header.e_phnum) * PHDR_BYTES as u64,
        ),
        (
            header.e_shoff,
            u64::from(header.e_shnum) * HEADER_BYTES as u64,
        ),
    ];
    let segments = object.segments.iter();
    let segments = segments.map(|segment| (segment.p_offset, segment.p_filesz));
    let sections = object.file_sections();
    let sections = sections.map(|section| (section.sh_offset, section.sh_size));
    let contents = segments.chain(sections).chain(tables);
    contents
        .filter(|&(offset, bytes)| bytes > 0 && offset.saturating_add(bytes) > from)
        .map(|(offset, _)| offset.max(from))
        .min()
        .unwrap_or(object.bytes.len() as u64)
        .min(object.bytes.len() as u64)
}

fn segment(object: &Object<'_>) -> Option<Room> {
    let header = &object.header;
    let table_end = header.e_phoff + u64::from(header.e_phnum) * PHDR_BYTES as u64;
    let after = table_end as usize..table_end as usize + PHDR_BYTES;
    // Segments that hold the table as part of them do not count.
    let contents = object.segments.iter().map(|s| s.p_offset);
    let contents = contents.chain(object.file_sections().map(|s| s.sh_offset));
    let next = contents.filter(|&offset| offset >= table_end).min();
    let is_loaded = object.loads().iter().any(|load| {
        load.p_offset <= header.e_phoff && after.end as u64 <= load.p_offset + load.p_filesz
    });
    let has_space = is_loaded
        && next.is_some_and(|next| next >= after.end as u64)
        && object
            .bytes
            .get(after)
            .is_some_and(|bytes| bytes.iter().all(|&byte| byte == 0))
        && !is_in_section(object, table_end);
    let is_property = |segment: &ProgramHeader| segment.p_type == PT_GNU_PROPERTY;
    let kind = match object.segments.iter().position(is_property) {
        _ if has_space => Header::Appended,
        Some(index) => Header::Replaces(index),
        None => Header::Moved,
    };
    if header.e_phnum >= HEADERS_MAX {
        return None;
    }
    let loads = object.loads();
    let (first, last) = (loads.first()?, loads.last()?);
    let end = (last.p_vaddr + last.p_memsz).next_multiple_of(PAGE_BYTES);
    let file_end = object.bytes.len() as u64;
    let mut room = Room {
        address: end,
        offset: file_end.next_multiple_of(PAGE_BYTES),
        bytes: u64::MAX,
        kind: Kind::Segment(kind),
    };
    if kind == Header::Moved {
        let distance = first.p_vaddr.checked_sub(first.p_offset)?;
        // Behind the file's end and behind the last address, whichever comes later.
        let mut offset = room.offset.max(end.checked_sub(distance)?);
        let mut address = offset.checked_add(distance)?;
        let is_near = distance % PAGE_BYTES == 0
            && offset - file_end <= PADDING_MAX_BYTES
            && address - end <= HOLE_MAX_BYTES;
        if !is_near {
            if is_dynamic_linker(object) {
                return None;
            }
            (offset, address) = (room.offset, end);
        }
        room.address = address + moved_table_bytes(object);
        room.offset = offset + moved_table_bytes(object);
    }
    Some(room)
}

/// Whether this may be a dynamic linker: entered, but neither a program at fixed
/// addresses nor one that says where its table is.
fn is_dynamic_linker(object: &Object<'_>) -> bool {
    let header = &object.header;
    let says = object.segments.iter().any(|s| s.p_type == PT_PHDR);
    header.e_type == ET_DYN && header.e_entry != 0 && !says
}

/// Bytes of the table with one header more, aligned.
fn moved_table_bytes(object: &Object<'_>) -> u64 {
    ((object.segments.len() + 1) * PHDR_BYTES).next_multiple_of(ALIGN_BYTES as usize) as u64
}

fn is_in_section(object: &Object<'_>, offset: u64) -> bool {
    object
        .file_sections()
        .any(|section| section.sh_offset <= offset && offset - section.sh_offset < section.sh_size)
}

/// Adds what puts `trampolines` into the room.
pub(super) fn fill(object: &Object<'_>, room: &Room, trampolines: Vec<u8>, edits: &mut Vec<Edit>) {
    let bytes = trampolines.len() as u64;
    edits.push((room.offset as usize, trampolines));
    match room.kind {
        Kind::Padding(index) => {
            let segment = &object.segments[index];
            let grown = (room.address + bytes - segment.p_vaddr).to_le_bytes();
            let header = object.header.e_phoff as usize + index * PHDR_BYTES;
            // p_filesz and p_memsz.
            edits.push((header + 32, grown.to_vec()));
            edits.push((header + 40, grown.to_vec()));
        }
        Kind::Segment(header) => add_header(object, room, header, bytes, edits),
    }
}

fn add_header(object: &Object<'_>, room: &Room, kind: Header, bytes: u64, edits: &mut Vec<Edit>) {
    let mut table: Vec<Vec<u8>> = (0..object.segments.len())
        .map(|index| {
            let at = object.header.e_phoff as usize + index * PHDR_BYTES;
            object.bytes[at..at + PHDR_BYTES].to_vec()
        })
        .collect();
    if let Header::Replaces(index) = kind {
        table.remove(index);
    }
    let table_bytes = ((table.len() + 1) * PHDR_BYTES) as u64;
    // A copy of the table is part of the segment.
    let before = match kind {
        Header::Moved => moved_table_bytes(object),
        _ => 0,
    };
    let (offset, address) = (room.offset - before, room.address - before);
    let mut new = vec![0; PHDR_BYTES];
    new[..4].copy_from_slice(&PT_LOAD.to_le_bytes());
    new[4..8].copy_from_slice(&(PF_R | PF_X).to_le_bytes());
    put(&mut new, 8, offset);
    put(&mut new, 16, address);
    put(&mut new, 24, address);
    put(&mut new, 32, bytes + before);
    put(&mut new, 40, bytes + before);
    put(&mut new, 48, PAGE_BYTES);
    table.push(new);
    let own = table
        .iter_mut()
        .find(|header| header[..4] == PT_PHDR.to_le_bytes());
    if let Some(own) = own {
        put(own, 32, table_bytes);
        put(own, 40, table_bytes);
        if kind == Header::Moved {
            put(own, 8, offset);
            put(own, 16, address);
            put(own, 24, address);
        }
    }
    let start = match kind {
        Header::Moved => offset as usize,
        _ => object.header.e_phoff as usize,
    };
    let count = table.len() as u16;
    edits.push((start, table.concat()));
    // e_phoff and e_phnum.
    edits.push((32, (start as u64).to_le_bytes().to_vec()));
    edits.push((56, count.to_le_bytes().to_vec()));
}

fn put(bytes: &mut [u8], at: usize, value: u64) {
    bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
}
