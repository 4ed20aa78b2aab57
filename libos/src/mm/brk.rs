//! The program break: brk(2).

use super::space::{AddressSpace, is_program_range};
use super::vma::{Area, Backing, PROT_READ, PROT_WRITE, Traits};
use super::{PAGE, arena, bounds, round_up};

impl AddressSpace {
    /// brk(2): the break after the call, the old one when it cannot move.
    pub fn set_break(&self, wanted: u64) -> u64 {
        let mut space = self.lock();
        let old = space.brk;
        if wanted < space.brk_start {
            return old;
        }
        let (Some(old_end), Some(new_end)) = (round_up(old, PAGE), round_up(wanted, PAGE)) else {
            return old;
        };
        if wanted > old && wanted - space.brk_start > bounds::data_bytes() {
            return old;
        }
        if new_end > old_end {
            let bytes = new_end - old_end;
            let locked = space.lock_future;
            let fits = is_program_range(old_end, new_end)
                && space.areas.is_free(old_end, new_end)
                && new_end - space.brk_start <= arena::limit_bytes()
                && space.check_growth(bytes, true, (old_end, old_end)).is_ok()
                && space.has_room_for_area()
                && (!locked || space.check_locked(bytes).is_ok());
            if !fits {
                return old;
            }
            let area = Area {
                start: old_end,
                end: new_end,
                protection: PROT_READ | PROT_WRITE,
                shared: false,
                name: "[heap]",
                backing: Backing::Anonymous,
                traits: Traits {
                    locked,
                    ..Traits::default()
                },
            };
            space.add(area.clone());
            space.populate_new(&area, 0);
        } else if new_end < old_end && space.unmap_range(new_end, old_end).is_err() {
            return old;
        }
        space.brk = wanted;
        wanted
    }
}
