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
    file: Arc<OpenFile>,
    close_on_exec: bool,
}

/// Closes what was behind a descriptor of the current process. The file itself
/// is closed with its last descriptor.
pub fn close(file: Arc<OpenFile>) {
    lock::descriptor_closed(&file, process::current().pid);
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
        match usize::try_from(fd).ok().and_then(|fd| self.slots.get(fd)) {
            Some(Some(slot)) => Ok(slot.file.clone()),
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
        let limit = limit.min(NR_OPEN) as usize;
        let first = self.lowest_free.max(from as usize);
        let fd = match self.slots.iter().skip(first).position(Option::is_none) {
            Some(ahead) => first + ahead,
            None => self.slots.len().max(first),
        };
        if fd >= limit {
            return Err(Errno::EMFILE);
        }
        self.set(
            fd,
            Slot {
                file,
                close_on_exec,
            },
        );
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

    /// Puts `file` at `fd` and gives back what was there.
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
        Ok(self
            .set(
                fd as usize,
                Slot {
                    file,
                    close_on_exec,
                },
            )
            .map(|slot| slot.file))
    }

    /// Takes `fd` out. The file closes when the last reference is dropped: drop
    /// it after the table's lock is released.
    pub fn remove(&mut self, fd: i32) -> Result<Arc<OpenFile>, Errno> {
        let fd = usize::try_from(fd).map_err(|_| Errno::EBADF)?;
        let slot = self
            .slots
            .get_mut(fd)
            .and_then(Option::take)
            .ok_or(Errno::EBADF)?;
        self.lowest_free = self.lowest_free.min(fd);
        Ok(slot.file)
    }

    /// Whether `fd` closes at `execve`.
    pub fn closes_on_exec(&self, fd: i32) -> Result<bool, Errno> {
        match usize::try_from(fd).ok().and_then(|fd| self.slots.get(fd)) {
            Some(Some(slot)) => Ok(slot.close_on_exec),
            _ => Err(Errno::EBADF),
        }
    }

    /// Sets whether `fd` closes at `execve`.
    pub fn set_close_on_exec(&mut self, fd: i32, close_on_exec: bool) -> Result<(), Errno> {
        match usize::try_from(fd)
            .ok()
            .and_then(|fd| self.slots.get_mut(fd))
        {
            Some(Some(slot)) => {
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
            if let Some(slot) = place.take_if(|slot| slot.close_on_exec) {
                closed.push(slot.file);
                self.lowest_free = self.lowest_free.min(fd);
            }
        }
        closed
    }

    /// The numbers in use, ascending.
    pub fn numbers(&self) -> impl Iterator<Item = u32> + '_ {
        (0u32..)
            .zip(&self.slots)
            .filter(|(_, slot)| slot.is_some())
            .map(|(fd, _)| fd)
    }
}
