//! System V shared memory: shmget(2), shmat(2), shmdt(2), shmctl(2).
//!
//! ```text
//! made by shmget ─→ found by key and id ─→ IPC_RMID: by id alone ─→ last detached: gone
//! ```
//!
//! A segment is a memory file without a name. Whoever attaches it has a shared mapping of
//! that file, so a process that ends or runs another program detaches by itself, and how
//! often it is attached is counted in the address spaces.

use alloc::collections::BTreeMap;
use alloc::sync::{Arc, Weak};

use linux_raw_sys::general::{MAP_FIXED, MAP_FIXED_NOREPLACE, MAP_SHARED};
use spin::Mutex;

use super::ipc::{IPC_CREAT, IPC_EXCL, IPC_RMID, IPC_SET, IPC_STAT, Owner, PRIVATE, now};
use crate::errno::{Errno, SysResult};
use crate::fs::{self, OpenFile};
use crate::mm::map::Request;
use crate::mm::vma::{PROT_EXEC, PROT_READ, PROT_WRITE};
use crate::mm::{PAGE, attach, round_up, user};
use crate::process;

/// Huge pages, of which there are none.
const SHM_HUGETLB: u32 = 0o4000;
const SHM_RDONLY: u32 = 0o10000;
const SHM_RND: u32 = 0o20000;
const SHM_REMAP: u32 = 0o40000;
const SHM_EXEC: u32 = 0o100_000;
/// In the mode of a segment that goes with its last attachment.
const SHM_DEST: u32 = 0o1000;
/// Most segments, as in Linux.
const SEGMENTS_MAX: usize = 4096;
/// Most bytes of one: Linux's default for both limits, less a margin for sums.
const SEGMENT_MAX_BYTES: u64 = u64::MAX - (1 << 24);
/// struct shmid64_ds.
const STATUS_BYTES: usize = 112;

static SEGMENTS: Mutex<Segments> = Mutex::new(Segments {
    by_id: BTreeMap::new(),
    last_id: -1,
});

struct Segments {
    by_id: BTreeMap<i32, Segment>,
    last_id: i32,
}

/// Holds a segment's memory: until IPC_RMID, then its attachments alone do.
enum Memory {
    Kept(Arc<OpenFile>),
    Leaving(Weak<OpenFile>),
}

struct Segment {
    key: i32,
    owner: Owner,
    bytes: u64,
    memory: Memory,
    creator: u32,
    last_user: u32,
    /// Seconds: attached, detached, changed.
    times: [u64; 3],
}

impl Segment {
    fn file(&self) -> Option<Arc<OpenFile>> {
        match &self.memory {
            Memory::Kept(file) => Some(file.clone()),
            Memory::Leaving(file) => file.upgrade(),
        }
    }

    fn is_of(&self, file: &Arc<OpenFile>) -> bool {
        match &self.memory {
            Memory::Kept(own) => Arc::ptr_eq(own, file),
            Memory::Leaving(own) => core::ptr::eq(own.as_ptr(), Arc::as_ptr(file)),
        }
    }

    fn used(&mut self, time: usize) {
        if let Some(time) = self.times.get_mut(time) {
            *time = now();
        }
        self.last_user = process::current().pid();
    }

    /// struct shmid64_ds of asm-generic/shmbuf.h, which begins with an ipc64_perm.
    fn status(&self, attached: u64) -> [u8; STATUS_BYTES] {
        let is_leaving = matches!(self.memory, Memory::Leaving(_));
        let more = if is_leaving { SHM_DEST } else { 0 };
        let [a, b, c, d, e, f] = self.owner.words(self.key, more);
        let [attach, detach, change] = self.times;
        let words = [
            a,
            b,
            c,
            d,
            e,
            f,
            self.bytes,
            attach,
            detach,
            change,
            u64::from(self.creator) | u64::from(self.last_user) << 32,
            attached,
            0,
            0,
        ];
        let mut status = [0; STATUS_BYTES];
        for (to, word) in status.chunks_exact_mut(8).zip(words) {
            to.copy_from_slice(&word.to_le_bytes());
        }
        status
    }
}

impl Segments {
    /// Forgets those that were removed and are attached nowhere.
    fn sweep(&mut self) {
        self.by_id.retain(|_, segment| match &segment.memory {
            Memory::Kept(_) => true,
            Memory::Leaving(file) => file.strong_count() > 0,
        });
    }

    fn get(&mut self, id: u64) -> Result<&mut Segment, Errno> {
        self.sweep();
        self.by_id.get_mut(&(id as i32)).ok_or(Errno::EINVAL)
    }

    fn make(&mut self, key: i32, bytes: u64, mode: u32) -> SysResult {
        if bytes == 0 || bytes > SEGMENT_MAX_BYTES {
            return Err(Errno::EINVAL);
        }
        if self.by_id.len() >= SEGMENTS_MAX {
            return Err(Errno::ENOSPC);
        }
        let rounded = round_up(bytes, PAGE).ok_or(Errno::EINVAL)?;
        let name = alloc::format!("/SYSV{key:08x} (deleted)").into_bytes();
        let segment = Segment {
            key,
            owner: Owner::new(mode),
            bytes,
            memory: Memory::Kept(fs::open_shared_memory(rounded, name)),
            creator: process::current().pid(),
            last_user: 0,
            times: [0, 0, now()],
        };
        let id = loop {
            self.last_id = self.last_id.checked_add(1).unwrap_or(0);
            if !self.by_id.contains_key(&self.last_id) {
                break self.last_id;
            }
        };
        self.by_id.insert(id, segment);
        Ok(id as usize)
    }
}

/// shmget(2).
pub(super) fn shmget(args: &[u64; 6]) -> SysResult {
    let [key, bytes, flags, ..] = *args;
    let (key, flags) = (key as i32, flags as u32);
    let mut segments = SEGMENTS.lock();
    segments.sweep();
    let has_key = |(_, segment): &(&i32, &Segment)| segment.key == key;
    let found = match key {
        PRIVATE => None,
        _ => segments.by_id.iter().find(has_key),
    };
    match found {
        Some(_) if flags & (IPC_CREAT | IPC_EXCL) == IPC_CREAT | IPC_EXCL => Err(Errno::EEXIST),
        Some((_, segment)) if segment.bytes < bytes => Err(Errno::EINVAL),
        Some((id, segment)) => segment.owner.check(flags).map(|()| *id as usize),
        None if key != PRIVATE && flags & IPC_CREAT == 0 => Err(Errno::ENOENT),
        None if flags & SHM_HUGETLB != 0 => Err(Errno::ENOMEM),
        None => segments.make(key, bytes, flags),
    }
}

/// shmat(2): the address.
pub(super) fn shmat(args: &[u64; 6]) -> SysResult {
    let [id, mut address, flags, ..] = *args;
    let flags = flags as u32;
    let replaces = flags & SHM_REMAP != 0;
    if flags & SHM_RND != 0 {
        address &= !(PAGE - 1);
    }
    if !address.is_multiple_of(PAGE) || (address == 0 && replaces) {
        return Err(Errno::EINVAL);
    }
    let (mut protection, mut wanted) = (PROT_READ, 0o444);
    if flags & SHM_RDONLY == 0 {
        (protection, wanted) = (protection | PROT_WRITE, wanted | 0o222);
    }
    if flags & SHM_EXEC != 0 {
        (protection, wanted) = (protection | PROT_EXEC, wanted | 0o111);
    }
    let (file, bytes) = {
        let mut segments = SEGMENTS.lock();
        let segment = segments.get(id)?;
        segment.owner.check(wanted)?;
        (segment.file().ok_or(Errno::EINVAL)?, segment.bytes)
    };
    let at = match address {
        0 => 0,
        _ if replaces => MAP_FIXED,
        _ => MAP_FIXED_NOREPLACE,
    };
    let mapped = process::current().space().map(Request {
        address,
        bytes,
        protection,
        flags: MAP_SHARED | at,
        file: Some(file),
        offset: 0,
        name: "",
    });
    let start = mapped.map_err(|errno| match errno {
        Errno::EEXIST => Errno::EINVAL,
        errno => errno,
    })?;
    if let Ok(segment) = SEGMENTS.lock().get(id) {
        segment.used(0);
    }
    Ok(start)
}

/// shmdt(2).
pub(super) fn shmdt(args: &[u64; 6]) -> SysResult {
    let address = args[0];
    let space = process::current().space();
    let file = space.mapped_file(address).ok_or(Errno::EINVAL)?;
    let id = {
        let segments = SEGMENTS.lock();
        let mut all = segments.by_id.iter();
        let found = all.find(|(_, segment)| segment.is_of(&file));
        found.map(|(id, _)| *id).ok_or(Errno::EINVAL)?
    };
    space.unmap_file(address, &file)?;
    drop(file);
    if let Ok(segment) = SEGMENTS.lock().get(id as u64) {
        segment.used(1);
    }
    Ok(0)
}

/// shmctl(2).
pub(super) fn shmctl(args: &[u64; 6]) -> SysResult {
    let [id, command, address, ..] = *args;
    match command as u32 {
        IPC_STAT => {
            let file = SEGMENTS.lock().get(id)?.file().ok_or(Errno::EINVAL)?;
            let attached = attach::count_areas_of(&file) as u64;
            drop(file);
            let status = {
                let mut segments = SEGMENTS.lock();
                let segment = segments.get(id)?;
                segment.owner.check(0o444)?;
                segment.status(attached)
            };
            user::copy_out(address, &status)?;
        }
        IPC_SET => {
            let wanted = Owner::read(address)?;
            let mut segments = SEGMENTS.lock();
            let segment = segments.get(id)?;
            segment.owner.change(wanted)?;
            let [_, _, change] = &mut segment.times;
            *change = now();
        }
        IPC_RMID => {
            let mut segments = SEGMENTS.lock();
            let segment = segments.get(id)?;
            segment.owner.check_change()?;
            if let Memory::Kept(file) = &segment.memory {
                segment.memory = Memory::Leaving(Arc::downgrade(file));
                segment.key = PRIVATE;
            }
            segments.sweep();
        }
        _ => return Err(Errno::EINVAL),
    }
    Ok(0)
}
