//! A process's file descriptors: [`FdTable`].

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::lock;
use super::open_file::OpenFile;
use crate::errno::Errno;
use crate::process;

/// No table grows beyond this, whatever the limit says (Linux's `nr_open`).
pub const NR_OPEN: u32 = 1 << 20;

#[derive(Clone)]
struct Slot {
    /// None for a number that is reserved for a file to come.
    file: Option<Arc<OpenFile>>,
    close_on_exec: bool,
}

/// Closes what was behind a descriptor of the current process. The file itself
/// is closed with its last descriptor. Nothing may be locked.
pub fn close(file: Arc<OpenFile>) {
    lock::descriptor_closed(&file, process::current().pid());
    if Arc::strong_count(&file) == 1 {
        file.closing();
    }
    drop(file);
}

/// Open files by number, the lowest free number first.
#[derive(Clone, Default)]
pub struct FdTable {
    slots: Vec<Option<Slot>>,
    /// No number below is free.
    lowest_free: usize,
}

impl FdTable {
    /// A table without files.
    pub const fn new() -> FdTable {
        FdTable {
            slots: Vec::new(),
            lowest_free: 0,
        }
    }

    /// The file behind `fd`.
    #[inline]
    pub fn get(&self, fd: i32) -> Result<Arc<OpenFile>, Errno> {
        self.slot(fd)?.file.clone().ok_or(Errno::EBADF)
    }

    #[inline]
    fn slot(&self, fd: i32) -> Result<&Slot, Errno> {
        match usize::try_from(fd).ok().and_then(|fd| self.slots.get(fd)) {
            Some(Some(slot)) if slot.file.is_some() => Ok(slot),
            _ => Err(Errno::EBADF),
        }
    }

    /// Puts `file` at the lowest free number from `from` on, below `limit` (RLIMIT_NOFILE).
    pub fn insert(
        &mut self,
        file: Arc<OpenFile>,
        close_on_exec: bool,
        from: u32,
        limit: u32,
    ) -> Result<u32, Errno> {
        let slot = Slot {
            file: Some(file),
            close_on_exec,
        };
        self.insert_slot(slot, from, limit)
    }

    /// Takes the lowest free number for a file that [`FdTable::fill`] puts there, so
    /// that a table without room is noticed before the file is made. Until then, or
    /// until [`FdTable::give_back`], the number is neither open nor free.
    pub fn reserve(&mut self, close_on_exec: bool, limit: u32) -> Result<u32, Errno> {
        let slot = Slot {
            file: None,
            close_on_exec,
        };
        self.insert_slot(slot, 0, limit)
    }

    /// Opens a reserved number.
    pub fn fill(&mut self, fd: u32, file: Arc<OpenFile>) {
        if let Some(Some(slot)) = self.slots.get_mut(fd as usize) {
            slot.file = Some(file);
        }
    }

    /// Frees a reserved number.
    pub fn give_back(&mut self, fd: u32) {
        if let Some(place) = self.slots.get_mut(fd as usize) {
            *place = None;
            self.lowest_free = self.lowest_free.min(fd as usize);
        }
    }

    fn insert_slot(&mut self, slot: Slot, from: u32, limit: u32) -> Result<u32, Errno> {
        let limit = limit.min(NR_OPEN) as usize;
        let first = self.lowest_free.max(from as usize);
        let fd = match self.slots.iter().skip(first).position(Option::is_none) {
            Some(ahead) => first + ahead,
            None => self.slots.len().max(first),
        };
        if fd >= limit {
            return Err(Errno::EMFILE);
        }
        self.set(fd, slot);
        if from as usize <= self.lowest_free {
            self.lowest_free = fd + 1;
        }
        Ok(fd as u32)
    }

    fn set(&mut self, fd: usize, slot: Slot) -> Option<Slot> {
        if fd >= self.slots.len() {
            self.slots.resize(fd + 1, None);
        }
        self.slots.get_mut(fd).and_then(|place| place.replace(slot))
    }

    /// Puts `file` at `fd` and gives back what was there; EBUSY where it is reserved.
    pub fn replace(
        &mut self,
        fd: i32,
        file: Arc<OpenFile>,
        close_on_exec: bool,
        limit: u32,
    ) -> Result<Option<Arc<OpenFile>>, Errno> {
        let fd = u32::try_from(fd).map_err(|_| Errno::EBADF)?;
        if fd >= limit.min(NR_OPEN) {
            return Err(Errno::EBADF);
        }
        if let Some(Some(Slot { file: None, .. })) = self.slots.get(fd as usize) {
            return Err(Errno::EBUSY);
        }
        let slot = Slot {
            file: Some(file),
            close_on_exec,
        };
        Ok(self.set(fd as usize, slot).and_then(|slot| slot.file))
    }

    /// Takes `fd` out. The file closes when the last reference is dropped: drop
    /// it after the table's lock is released.
    pub fn remove(&mut self, fd: i32) -> Result<Arc<OpenFile>, Errno> {
        self.slot(fd)?;
        let fd = usize::try_from(fd).map_err(|_| Errno::EBADF)?;
        let taken = self.slots.get_mut(fd).and_then(Option::take);
        self.lowest_free = self.lowest_free.min(fd);
        taken.and_then(|slot| slot.file).ok_or(Errno::EBADF)
    }

    /// Whether `fd` closes at `execve`.
    pub fn closes_on_exec(&self, fd: i32) -> Result<bool, Errno> {
        self.slot(fd).map(|slot| slot.close_on_exec)
    }

    /// Sets whether `fd` closes at `execve`.
    pub fn set_close_on_exec(&mut self, fd: i32, close_on_exec: bool) -> Result<(), Errno> {
        match usize::try_from(fd)
            .ok()
            .and_then(|fd| self.slots.get_mut(fd))
        {
            Some(Some(slot)) if slot.file.is_some() => {
                slot.close_on_exec = close_on_exec;
                Ok(())
            }
            _ => Err(Errno::EBADF),
        }
    }

    /// Takes out what closes at `execve`: to be closed without the table's lock.
    pub fn close_on_exec(&mut self) -> Vec<Arc<OpenFile>> {
        let mut closed = Vec::new();
        for (fd, place) in self.slots.iter_mut().enumerate() {
            let closes = |slot: &mut Slot| slot.close_on_exec && slot.file.is_some();
            if let Some(slot) = place.take_if(closes) {
                closed.extend(slot.file);
                self.lowest_free = self.lowest_free.min(fd);
            }
        }
        closed
    }

    /// A child's: all that are open, none that are reserved.
    pub fn for_child(&self) -> FdTable {
        let mut child = self.clone();
        for (fd, place) in child.slots.iter_mut().enumerate() {
            if place.take_if(|slot| slot.file.is_none()).is_some() {
                child.lowest_free = child.lowest_free.min(fd);
            }
        }
        child
    }

    /// All files, of a process that has ended.
    pub fn into_files(self) -> impl Iterator<Item = Arc<OpenFile>> {
        self.slots
            .into_iter()
            .flatten()
            .filter_map(|slot| slot.file)
    }

    /// The numbers in use, ascending.
    pub fn numbers(&self) -> impl Iterator<Item = u32> + '_ {
        (0u32..)
            .zip(&self.slots)
            .filter(|(_, slot)| slot.as_ref().is_some_and(|slot| slot.file.is_some()))
            .map(|(fd, _)| fd)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::event;

    #[test]
    fn a_reserved_number_is_neither_open_nor_free() {
        let mut table = FdTable::new();
        let fd = table.reserve(true, 8).unwrap();
        assert_eq!(table.get(fd as i32).err(), Some(Errno::EBADF));
        assert_eq!(table.remove(fd as i32).err(), Some(Errno::EBADF));
        assert_eq!(table.closes_on_exec(fd as i32), Err(Errno::EBADF));
        assert_eq!(table.numbers().count(), 0);
        let file = event::open(0, 0);
        let replaced = table.replace(fd as i32, file.clone(), false, 8);
        assert_eq!(replaced.err(), Some(Errno::EBUSY));
        assert_eq!(table.insert(file.clone(), false, 0, 8), Ok(fd + 1));
        table.close_on_exec();
        table.fill(fd, file.clone());
        assert_eq!(table.closes_on_exec(fd as i32), Ok(true));
        table.close_on_exec();
        assert_eq!(table.reserve(false, 1), Ok(fd));
        assert_eq!(table.reserve(false, 1), Err(Errno::EMFILE));
        table.give_back(fd);
        assert_eq!(table.insert(file, false, 0, 8), Ok(fd));
    }
}
