//! Reads of an ELF file what the dynamic linker acts on, and nothing else, so
//! that a large program is not read as a whole. Files come from images: every
//! offset is checked, and a file that makes no sense is simply no program.

use goblin::elf::dynamic::{DT_NEEDED, DT_RPATH, DT_RUNPATH, DT_STRSZ, DT_STRTAB};
use goblin::elf::header::{EM_X86_64, ET_DYN, ET_EXEC};
use goblin::elf::program_header::{PF_W, PT_DYNAMIC, PT_INTERP, PT_LOAD};

use super::Files;

const HEADER_BYTES: usize = 64;
const PHDR_BYTES: usize = 56;
const DYN_BYTES: usize = 16;
const INTERPRETER_MAX_BYTES: u64 = 4096;
const DYNAMIC_MAX_BYTES: u64 = 1 << 20;
const STRINGS_MAX_BYTES: u64 = 64 << 20;
/// Most bytes of a library's name or a list of directories. Entries may share the
/// string table's bytes, so that a small file could ask for many large ones.
const NAME_MAX_BYTES: usize = 16 << 10;
/// Most libraries that one file needs.
const NEEDED_MAX: usize = 1024;
/// Most directories in one list.
const DIRECTORIES_MAX: usize = 256;

/// What one ELF file asks of the dynamic linker.
#[derive(Debug, Default)]
pub(super) struct Linkage {
    /// PT_INTERP.
    pub(super) interpreter: Option<Vec<u8>>,
    /// DT_NEEDED, in order.
    pub(super) needed: Vec<Vec<u8>>,
    /// DT_RPATH: for the file and what it loads.
    pub(super) rpath: Vec<Vec<u8>>,
    /// DT_RUNPATH: for the file alone; switches `rpath` off.
    pub(super) runpath: Vec<Vec<u8>>,
    /// Memory of its writable segments.
    pub(super) writable_bytes: u64,
}

struct Segment {
    kind: u32,
    flags: u32,
    offset: u64,
    vaddr: u64,
    filesz: u64,
    memsz: u64,
}

impl Linkage {
    /// Reads the file at `path`; `None` where it is no 64-bit x86-64 ELF file.
    pub(super) fn read(files: &dyn Files, path: &[u8]) -> Option<Self> {
        let mut header = [0; HEADER_BYTES];
        files.read_exact_at(path, &mut header, 0)?;
        // 64-bit, little-endian.
        if header[..6] != *b"\x7fELF\x02\x01" || ![ET_EXEC, ET_DYN].contains(&u16_at(&header, 16)?)
        {
            return None;
        }
        if u16_at(&header, 18)? != EM_X86_64 || usize::from(u16_at(&header, 54)?) != PHDR_BYTES {
            return None;
        }
        let mut table = vec![0; usize::from(u16_at(&header, 56)?) * PHDR_BYTES];
        files.read_exact_at(path, &mut table, u64_at(&header, 32)?)?;
        let segments: Vec<_> = table
            .chunks_exact(PHDR_BYTES)
            .filter_map(Segment::parse)
            .collect();

        let mut linkage = Self::default();
        for segment in &segments {
            match segment.kind {
                PT_LOAD if segment.flags & PF_W != 0 => {
                    linkage.writable_bytes = linkage.writable_bytes.saturating_add(segment.memsz);
                }
                PT_INTERP => {
                    let mut bytes = segment.bytes(files, path, INTERPRETER_MAX_BYTES)?;
                    bytes.truncate(bytes.iter().position(|&byte| byte == 0)?);
                    linkage.interpreter = Some(bytes);
                }
                PT_DYNAMIC => {
                    let dynamic = segment.bytes(files, path, DYNAMIC_MAX_BYTES)?;
                    linkage.read_dynamic(files, path, &dynamic, &segments)?;
                }
                _ => {}
            }
        }
        Some(linkage)
    }

    fn read_dynamic(
        &mut self,
        files: &dyn Files,
        path: &[u8],
        dynamic: &[u8],
        segments: &[Segment],
    ) -> Option<()> {
        let entries: Vec<(u64, u64)> = dynamic
            .chunks_exact(DYN_BYTES)
            .filter_map(|entry| Some((u64_at(entry, 0)?, u64_at(entry, 8)?)))
            .take_while(|&(tag, _)| tag != 0)
            .collect();
        let value = |wanted| {
            entries
                .iter()
                .find(|&&(tag, _)| tag == wanted)
                .map(|entry| entry.1)
        };
        let Some(strings_vaddr) = value(DT_STRTAB) else {
            return Some(());
        };
        let strings_bytes = value(DT_STRSZ)?;
        let load = segments.iter().find(|segment| {
            segment.kind == PT_LOAD
                && strings_vaddr >= segment.vaddr
                && strings_vaddr - segment.vaddr < segment.filesz
        })?;
        let offset = load.offset.checked_add(strings_vaddr - load.vaddr)?;
        if strings_bytes > STRINGS_MAX_BYTES.min(files.len_bytes(path)?) {
            return None;
        }
        let mut strings = vec![0; strings_bytes as usize];
        files.read_exact_at(path, &mut strings, offset)?;
        let string = |at: u64| {
            let rest = strings.get(usize::try_from(at).ok()?..)?;
            let rest = &rest[..rest.len().min(NAME_MAX_BYTES)];
            Some(rest[..rest.iter().position(|&byte| byte == 0)?].to_vec())
        };
        let paths = |value: u64| -> Option<Vec<Vec<u8>>> {
            let list: Vec<_> = string(value)?
                .split(|&byte| byte == b':')
                .map(<[u8]>::to_vec)
                .collect();
            (list.len() <= DIRECTORIES_MAX).then_some(list)
        };
        for &(tag, value) in &entries {
            match tag {
                DT_NEEDED if self.needed.len() < NEEDED_MAX => self.needed.push(string(value)?),
                DT_NEEDED => return None,
                DT_RPATH => self.rpath = paths(value)?,
                DT_RUNPATH => self.runpath = paths(value)?,
                _ => {}
            }
        }
        Some(())
    }
}

impl Segment {
    fn parse(bytes: &[u8]) -> Option<Self> {
        Some(Self {
            kind: u32_at(bytes, 0)?,
            flags: u32_at(bytes, 4)?,
            offset: u64_at(bytes, 8)?,
            vaddr: u64_at(bytes, 16)?,
            filesz: u64_at(bytes, 32)?,
            memsz: u64_at(bytes, 40)?,
        })
    }

    fn bytes(&self, files: &dyn Files, path: &[u8], limit_bytes: u64) -> Option<Vec<u8>> {
        if self.filesz > limit_bytes {
            return None;
        }
        let mut bytes = vec![0; self.filesz as usize];
        files.read_exact_at(path, &mut bytes, self.offset)?;
        Some(bytes)
    }
}

fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    Some(u16::from_le_bytes(
        bytes.get(offset..offset + 2)?.try_into().ok()?,
    ))
}

fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_le_bytes(
        bytes.get(offset..offset + 4)?.try_into().ok()?,
    ))
}

fn u64_at(bytes: &[u8], offset: usize) -> Option<u64> {
    Some(u64::from_le_bytes(
        bytes.get(offset..offset + 8)?.try_into().ok()?,
    ))
}

#[cfg(test)]
mod tests {
    use super::{DIRECTORIES_MAX, HEADER_BYTES, Linkage, NAME_MAX_BYTES, NEEDED_MAX, PHDR_BYTES};
    use crate::program::Files;

    struct OneFile(Vec<u8>);

    impl Files for OneFile {
        fn is_executable(&self, _: &[u8]) -> bool {
            true
        }

        fn read_exact_at(&self, _: &[u8], buffer: &mut [u8], offset: u64) -> Option<()> {
            let start = offset as usize;
            buffer.copy_from_slice(self.0.get(start..start.checked_add(buffer.len())?)?);
            Some(())
        }

        fn len_bytes(&self, _: &[u8]) -> Option<u64> {
            Some(self.0.len() as u64)
        }
    }

    /// A shared object with these dynamic entries and strings.
    fn linkage(entries: &[(u64, u64)], strings: &[u8]) -> Option<Linkage> {
        let (strtab, strsz) = (5, 10);
        let dynamic = HEADER_BYTES + 2 * PHDR_BYTES;
        let dynamic_bytes = (entries.len() + 3) * 16;
        let at = dynamic + dynamic_bytes;
        let mut file = vec![0; HEADER_BYTES];
        file[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
        for (at, value) in [(16, 3u16), (18, 62), (54, PHDR_BYTES as u16), (56, 2)] {
            file[at..at + 2].copy_from_slice(&value.to_le_bytes());
        }
        file[32] = HEADER_BYTES as u8;
        let whole = (at + strings.len()) as u64;
        for (kind, offset, filesz) in [
            (1u64 | 4 << 32, 0, whole),
            (2 | 4 << 32, dynamic as u64, dynamic_bytes as u64),
        ] {
            for word in [kind, offset, offset, offset, filesz, filesz, 8] {
                file.extend_from_slice(&word.to_le_bytes());
            }
        }
        let table = [(strtab, at as u64), (strsz, strings.len() as u64)];
        for (tag, value) in table.iter().chain(entries).chain(&[(0, 0)]) {
            file.extend_from_slice(&tag.to_le_bytes());
            file.extend_from_slice(&value.to_le_bytes());
        }
        file.extend_from_slice(strings);
        Linkage::read(&OneFile(file), b"/x")
    }

    const NEEDED: u64 = 1;
    const RUNPATH: u64 = 29;

    #[test]
    fn entries_that_share_a_long_string_do_not_multiply_it() {
        let found = linkage(&[(NEEDED, 1), (RUNPATH, 9)], b"\0libc.so\0/a:/b\0").expect("right");
        assert_eq!(found.needed, [b"libc.so".to_vec()]);
        assert_eq!(found.runpath, [b"/a".to_vec(), b"/b".to_vec()]);

        let mut long = vec![b'a'; 1 << 20];
        long.push(0);
        let shared: Vec<_> = (0..60_000).map(|at| (NEEDED, at)).collect();
        assert!(linkage(&shared, &long).is_none());
        let end = long.len() - NAME_MAX_BYTES;
        assert!(linkage(&[(NEEDED, end as u64)], &long).is_some());
        assert!(linkage(&[(NEEDED, end as u64 - 1)], &long).is_none());

        let many = vec![(NEEDED, 1); NEEDED_MAX + 1];
        assert!(linkage(&many[1..], b"\0a\0").is_some());
        assert!(linkage(&many, b"\0a\0").is_none());
        let mut list = vec![b':'; DIRECTORIES_MAX];
        list.push(0);
        assert!(linkage(&[(RUNPATH, 0)], &list).is_none());
        assert!(linkage(&[(RUNPATH, 1)], &list).is_some());
    }
}
