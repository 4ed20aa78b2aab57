//! Shared memory that is attached to address spaces as a whole: what System V's segments
//! ask (`syscall/shm.rs`).

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::space::AddressSpace;
use super::spaces;
use super::vma::{Area, Backing};
use crate::errno::Errno;
use crate::fs::OpenFile;

/// How many areas of all spaces show a file.
pub fn count_areas_of(file: &Arc<OpenFile>) -> usize {
    let shows = |area: &&Area| matches!(&area.backing, Backing::File { file: own, .. } if Arc::ptr_eq(own, file));
    let mut count = 0;
    spaces::each(|space| count += space.areas.iter().filter(shows).count());
    count
}

impl AddressSpace {
    /// The file that the area beginning here shows from its own start, mapped shared.
    pub fn mapped_file(&self, address: u64) -> Option<Arc<OpenFile>> {
        let space = self.lock();
        let area = space.areas.find(address)?;
        match &area.backing {
            Backing::File { file, offset: 0 } if area.shared && area.start == address => {
                Some(file.clone())
            }
            _ => None,
        }
    }

    /// Takes away what is left of a mapping of `file` that began at `address`.
    ///
    /// # Errors
    /// EPERM over a sealed area; ENOMEM.
    pub fn unmap_file(&self, address: u64, file: &Arc<OpenFile>) -> Result<(), Errno> {
        let mut space = self.lock();
        let end = address.saturating_add(file.size());
        let is_part = |area: &&Area| match &area.backing {
            Backing::File { file: own, offset } => {
                Arc::ptr_eq(own, file) && area.start.checked_sub(*offset) == Some(address)
            }
            Backing::Anonymous => false,
        };
        let areas = space.areas.overlapping(address, end).filter(is_part);
        let parts: Vec<(u64, u64)> = areas.map(|area| (area.start, area.end)).collect();
        for (start, end) in parts {
            space.unmap_range(start, end)?;
        }
        Ok(())
    }
}
