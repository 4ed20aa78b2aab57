//! Memory of a process that does not run here, as `/proc/PID` and process_vm_readv(2) reach
//! it: through its table and the direct map, a page at a time. What is not there yet is
//! brought as a touch of its own would bring it.

use super::fault::populate;
use super::space::{AddressSpace, Space};
use super::{PAGE, pagetable, phys, round_down};
use crate::mm::user::check_range;

/// Guest-physical address of `address`, and how many bytes from there on are in one page.
fn reach(space: &mut Space, address: u64, write: bool) -> Option<(u64, usize)> {
    let page = round_down(address, PAGE);
    populate(space, page, page + PAGE, write).ok()?;
    let (entry, large) = space.root.lookup(address);
    let bytes = pagetable::entry_bytes(large);
    let inside = address % bytes;
    let is_there = entry.is_present() && (entry.is_writable() || !write);
    is_there.then(|| (entry.gpa() + inside, (PAGE - address % PAGE) as usize))
}

impl AddressSpace {
    /// Copies from `address` on as far as it can be read: bytes copied.
    pub fn read(&self, address: u64, target: &mut [u8]) -> usize {
        self.each_page(address, target.len(), false, |gpa, done, here| {
            if let Some(part) = target.get_mut(done..done + here) {
                phys::read(gpa, part);
            }
        })
    }

    /// Copies to `address` as far as it can be written: bytes copied.
    pub fn write(&self, address: u64, source: &[u8]) -> usize {
        self.each_page(address, source.len(), true, |gpa, done, here| {
            if let Some(part) = source.get(done..done + here) {
                phys::write(gpa, part);
            }
        })
    }

    fn each_page(
        &self,
        address: u64,
        len: usize,
        write: bool,
        mut copy: impl FnMut(u64, usize, usize),
    ) -> usize {
        let mut done = 0;
        while done < len {
            let at = address.wrapping_add(done as u64);
            // Locked for one page alone: others fault meanwhile.
            let mut space = self.lock();
            let reached = check_range(at, 1).ok();
            let Some((gpa, here)) = reached.and_then(|()| reach(&mut space, at, write)) else {
                break;
            };
            let here = here.min(len - done);
            copy(gpa, done, here);
            done += here;
        }
        done
    }
}
