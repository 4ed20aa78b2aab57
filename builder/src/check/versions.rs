//! Versions of symbols (the LSB's "Symbol Versioning"): which a file needs of its
//! libraries, which a library has. glibc's dynamic linker compares them before
//! it starts a program.

use goblin::elf::dynamic::{DT_VERDEF, DT_VERDEFNUM, DT_VERNEED, DT_VERNEEDNUM};

use super::elf::{ENTRIES_MAX, Mapped, u16_at, u32_at};

/// VER_FLG_WEAK.
const VERSION_WEAK: u16 = 2;

/// A version of a library's symbols that a file needs.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NeededVersion<'a> {
    /// As DT_NEEDED names the library.
    pub(super) library: &'a [u8],
    pub(super) version: &'a [u8],
}

impl<'a> Mapped<'a> {
    /// Versions without which glibc's dynamic linker does not start it.
    pub(super) fn needed_versions(&self) -> Vec<NeededVersion<'a>> {
        let mut needed = Vec::new();
        let (Some(mut at), Some(count)) = (self.value(DT_VERNEED), self.value(DT_VERNEEDNUM))
        else {
            return needed;
        };
        let mut left = ENTRIES_MAX;
        for _ in 0..count.min(ENTRIES_MAX as u64) {
            let Some(entry) = self.at(at) else { break };
            let field = |offset| u32_at(entry, offset).map(u64::from);
            let (Some(file), Some(first), Some(next)) = (field(4), field(8), field(12)) else {
                break;
            };
            let library = self.string(file).unwrap_or_default();
            let first = at.wrapping_add(first);
            self.versions_of(library, first, &mut left, &mut needed);
            if next == 0 {
                break;
            }
            at = at.wrapping_add(next);
        }
        needed
    }

    /// Adds the versions of one library, of the list at `at`; all lists have `left` entries.
    fn versions_of(
        &self,
        library: &'a [u8],
        mut at: u64,
        left: &mut usize,
        needed: &mut Vec<NeededVersion<'a>>,
    ) {
        while *left > 0
            && let Some(entry) = self.at(at)
            && let (Some(flags), Some(name)) = (u16_at(entry, 4), u32_at(entry, 8))
            && let Some(next) = u32_at(entry, 12)
        {
            *left -= 1;
            if flags & VERSION_WEAK == 0
                && let Some(version) = self.string(name.into())
            {
                needed.push(NeededVersion { library, version });
            }
            if next == 0 {
                break;
            }
            at = at.wrapping_add(next.into());
        }
    }

    /// Versions that it defines; empty where its symbols have none.
    pub(super) fn defined_versions(&self) -> Vec<&'a [u8]> {
        let mut defined = Vec::new();
        let (Some(mut at), Some(count)) = (self.value(DT_VERDEF), self.value(DT_VERDEFNUM)) else {
            return defined;
        };
        for _ in 0..count.min(ENTRIES_MAX as u64) {
            let Some(entry) = self.at(at) else { break };
            let (Some(first), Some(next)) = (u32_at(entry, 12), u32_at(entry, 16)) else {
                break;
            };
            let name = self.at(at.wrapping_add(first.into()));
            let name = name.and_then(|entry| u32_at(entry, 0));
            defined.extend(name.and_then(|name| self.string(name.into())));
            if next == 0 {
                break;
            }
            at = at.wrapping_add(next.into());
        }
        defined
    }
}
