//! The first page tables: what the guest sees at its first instruction.
//!
//! The tables are built in host memory and copied into the boot arena at once.
//! The libOS takes them over and edits them through the direct map.

use unikiln_abi::{LARGE_PAGE_BYTES, PAGE_BYTES};

const ENTRIES: usize = 512;
const PRESENT: u64 = 1 << 0;
const WRITABLE: u64 = 1 << 1;
const USER: u64 = 1 << 2;
const ACCESSED: u64 = 1 << 5;
const DIRTY: u64 = 1 << 6;
const LARGE: u64 = 1 << 7;
const NO_EXECUTE: u64 = 1 << 63;

/// Errors of this module.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PageTableError {
    /// More tables than the budget has.
    #[error("the first page tables need more than {budget} pages")]
    Budget {
        /// Tables allowed.
        budget: usize,
    },
    /// A large page where small ones are, or the other way round.
    #[error("page-table entry for {address:#x} is in use with another size")]
    SizeConflict {
        /// Guest-virtual address.
        address: u64,
    },
}

/// What a mapping allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// Ring 3 may use it.
    pub user: bool,
    /// It may be written.
    pub write: bool,
    /// It may be executed.
    pub execute: bool,
}

impl Access {
    /// Ring-3 data.
    pub const USER_RW: Self = Self {
        user: true,
        write: true,
        execute: false,
    };
    /// Ring-3 constants.
    pub const USER_R: Self = Self {
        user: true,
        write: false,
        execute: false,
    };
    /// What only the CPU's own accesses need.
    pub const SUPERVISOR_R: Self = Self {
        user: false,
        write: false,
        execute: false,
    };
    /// Text.
    pub const USER_RX: Self = Self {
        user: true,
        write: false,
        execute: true,
    };

    fn bits(self) -> u64 {
        // Accessed and dirty from the start: no page walk has to write them.
        PRESENT
            | ACCESSED
            | if self.user { USER } else { 0 }
            | if self.write { WRITABLE | DIRTY } else { 0 }
            | if self.execute { 0 } else { NO_EXECUTE }
    }
}

/// A tree of tables that will lie at consecutive guest-physical pages.
#[derive(Debug)]
pub struct PageTables {
    base_gpa: u64,
    budget: usize,
    tables: Vec<[u64; ENTRIES]>,
}

impl PageTables {
    /// An empty tree whose root will lie at `base_gpa`, of at most `budget` tables.
    pub fn new(base_gpa: u64, budget: usize) -> Self {
        let mut tables = Vec::with_capacity(budget);
        tables.push([0; ENTRIES]);
        Self {
            base_gpa,
            budget,
            tables,
        }
    }

    /// Maps whole pages with small entries.
    pub fn map_small(
        &mut self,
        address: u64,
        gpa: u64,
        bytes: u64,
        access: Access,
    ) -> Result<(), PageTableError> {
        for offset in (0..bytes).step_by(PAGE_BYTES as usize) {
            self.map_one(address + offset, 12, (gpa + offset) | access.bits())?;
        }
        Ok(())
    }

    /// Maps whole 2 MiB pages with large entries.
    pub fn map_large(
        &mut self,
        address: u64,
        gpa: u64,
        bytes: u64,
        access: Access,
    ) -> Result<(), PageTableError> {
        for offset in (0..bytes).step_by(LARGE_PAGE_BYTES as usize) {
            self.map_one(address + offset, 21, (gpa + offset) | LARGE | access.bits())?;
        }
        Ok(())
    }

    fn map_one(&mut self, address: u64, leaf_shift: u32, leaf: u64) -> Result<(), PageTableError> {
        let mut table = 0;
        let mut shift = 39;
        while shift > leaf_shift {
            table = self.descend(table, address, shift)?;
            shift -= 9;
        }
        match self.entry(table, address, shift) {
            Some(entry) if *entry & PRESENT == 0 || *entry & LARGE == leaf & LARGE => {
                *entry = leaf;
                Ok(())
            }
            _ => Err(PageTableError::SizeConflict { address }),
        }
    }

    fn entry(&mut self, table: usize, address: u64, shift: u32) -> Option<&mut u64> {
        let index = (address >> shift) as usize % ENTRIES;
        self.tables.get_mut(table)?.get_mut(index)
    }

    /// The table below an entry, made if there is none.
    fn descend(&mut self, table: usize, address: u64, shift: u32) -> Result<usize, PageTableError> {
        let conflict = PageTableError::SizeConflict { address };
        let (base_gpa, next) = (self.base_gpa, self.tables.len());
        let entry = self.entry(table, address, shift).ok_or(conflict)?;
        if *entry & PRESENT == 0 {
            let next_gpa = base_gpa + next as u64 * PAGE_BYTES;
            *entry = next_gpa | PRESENT | WRITABLE | USER | ACCESSED;
            if next >= self.budget {
                return Err(PageTableError::Budget {
                    budget: self.budget,
                });
            }
            self.tables.push([0; ENTRIES]);
            return Ok(next);
        }
        if *entry & LARGE != 0 {
            return Err(PageTableError::SizeConflict { address });
        }
        let child_gpa = *entry & !(PAGE_BYTES - 1) & !NO_EXECUTE;
        Ok(((child_gpa - base_gpa) / PAGE_BYTES) as usize)
    }

    /// Tables in use.
    pub fn table_count(&self) -> usize {
        self.tables.len()
    }

    /// The entries of all tables, root first, to be copied to their base.
    pub fn entries(&self) -> &[u64] {
        self.tables.as_flattened()
    }

    /// What an address maps to: guest-physical address and whether ring 3 may
    /// read, write, execute.
    #[cfg(test)]
    pub fn resolve(&self, address: u64) -> Option<(u64, Access)> {
        let (mut table, mut shift) = (0, 39);
        loop {
            let entry = self.tables[table][(address >> shift) as usize % ENTRIES];
            if entry & PRESENT == 0 {
                return None;
            }
            let target = entry & 0x000f_ffff_ffff_f000;
            if shift == 12 || entry & LARGE != 0 {
                let access = Access {
                    user: entry & USER != 0,
                    write: entry & WRITABLE != 0,
                    execute: entry & NO_EXECUTE == 0,
                };
                return Some((target + (address & ((1 << shift) - 1)), access));
            }
            table = ((target - self.base_gpa) / PAGE_BYTES) as usize;
            shift -= 9;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_and_large_pages_resolve() {
        let mut tables = PageTables::new(0x10_0000, 16);
        tables
            .map_small(0x6880_0000_0000, 0x5000, 0x2000, Access::USER_R)
            .unwrap();
        tables
            .map_large(0x6800_0020_0000, 0x20_0000, 4 << 20, Access::USER_RW)
            .unwrap();
        assert_eq!(
            tables.resolve(0x6880_0000_1234),
            Some((0x6234, Access::USER_R))
        );
        assert_eq!(
            tables.resolve(0x6800_0050_0001),
            Some((0x50_0001, Access::USER_RW))
        );
        assert_eq!(tables.resolve(0x6880_0000_2000), None);
        assert_eq!(tables.table_count(), 6);
    }

    #[test]
    fn conflicts_and_budgets_are_errors() {
        let mut tables = PageTables::new(0, 4);
        tables.map_small(0, 0, 4096, Access::USER_R).unwrap();
        assert!(matches!(
            tables.map_large(0, 0, 2 << 20, Access::USER_R),
            Err(PageTableError::SizeConflict { address: 0 })
        ));
        assert!(matches!(
            tables.map_small(1 << 30, 0, 4096, Access::USER_R),
            Err(PageTableError::Budget { budget: 4 })
        ));
    }
}
