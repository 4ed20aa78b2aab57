//! System V shared memory: shmget(2), shmat(2), shmdt(2), shmctl(2).
//!
//! ```text
//! made by shmget ─→ found by key and id ─→ IPC_RMID: by id alone ─→ last detached: gone
//! ```
//!
//! A segment is a memory file without a name. Whoever attaches it has a shared mapping of
//! that file, so a process that ends or runs another program detaches by itself, and how
//! often it is attached is counted in the address spaces.

use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;

use linux_raw_sys::general::{MAP_FIXED, MAP_FIXED_NOREPLACE, MAP_SHARED};
use spin::{Mutex, MutexGuard};

use super::ipc::{
    IPC_INFO, IPC_RMID, IPC_SET, IPC_STAT, Owner, PRIVATE, Table, check_id, now, write_words,
};
use crate::errno::{Errno, SysResult};
use crate::fs::{self, OpenFile};
use crate::mm::map::Request;
use crate::mm::vma::{PROT_EXEC, PROT_READ, PROT_WRITE};
use crate::mm::{PAGE, attach, bounds, round_up};
use crate::process;

/// Huge pages, of which there are none.
const SHM_HUGETLB: u32 = 0o4000;
const SHM_RDONLY: u32 = 0o10000;
const SHM_RND: u32 = 0o20000;
const SHM_REMAP: u32 = 0o40000;
const SHM_EXEC: u32 = 0o100_000;
/// In the mode of a segment that goes with its last attachment.
const SHM_DEST: u32 = 0o1000;
/// In the mode of one that is locked.
const SHM_LOCKED: u32 = 0o2000;
const SHM_LOCK: u32 = 11;
const SHM_UNLOCK: u32 = 12;
const SHM_STAT: u32 = 13;
const SHM_INFO: u32 = 14;
const SHM_STAT_ANY: u32 = 15;
/// Most segments, as in Linux.
const SEGMENTS_MAX: usize = 4096;
/// Most bytes of one: Linux's default for both limits, less a margin for sums.
const SEGMENT_MAX_BYTES: u64 = u64::MAX - (1 << 24);

static SEGMENTS: Mutex<Table<Segment>> = Mutex::new(Table::new());

/// Holds a segment's memory: until IPC_RMID, then its attachments alone do.
enum Memory {
    Kept(Arc<OpenFile>),
    Leaving(Weak<OpenFile>),
}

struct Segment {
    bytes: u64,
    memory: Memory,
    creator: u32,
    last_user: u32,
    /// Seconds: attached, detached.
    times: [u64; 2],
    /// The user that has locked it.
    locker: Option<u32>,
}

/// struct shmid64_ds of asm-generic/shmbuf.h, which begins with an ipc64_perm.
pub type Status = [u64; 14];
/// Where it has how often the segment is attached.
const ATTACHED: usize = 11;

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

    /// All but how often it is attached, and the memory to count that with.
    fn status(&self, owner: &Owner) -> (Status, Option<Arc<OpenFile>>) {
        let mut more = 0;
        if matches!(self.memory, Memory::Leaving(_)) {
            more |= SHM_DEST;
        }
        if self.locker.is_some() {
            more |= SHM_LOCKED;
        }
        let [a, b, c, d, e, f] = owner.words(more);
        let [attach, detach] = self.times;
        let users = u64::from(self.creator) | u64::from(self.last_user) << 32;
        let (bytes, change) = (self.bytes, owner.changed);
        let status = [
            a, b, c, d, e, f, bytes, attach, detach, change, users, 0, 0, 0,
        ];
        (status, self.file())
    }
}

/// Counts attachments, while segments are not locked: spaces are.
fn complete((mut status, file): (Status, Option<Arc<OpenFile>>)) -> (Status, u64) {
    let Some(file) = file else {
        return (status, 0);
    };
    if let Some(attached) = status.get_mut(ATTACHED) {
        *attached = attach::count_areas_of(&file) as u64;
    }
    let blocks = file.attributes().map_or(0, |attributes| attributes.blocks);
    (status, blocks * 512)
}

/// Locks them, and forgets those that were removed and are attached nowhere.
fn segments() -> MutexGuard<'static, Table<Segment>> {
    let mut segments = SEGMENTS.lock();
    segments.by_id.retain(|(_, segment)| match &segment.memory {
        Memory::Kept(_) => true,
        Memory::Leaving(file) => file.strong_count() > 0,
    });
    segments
}

fn make(key: i32, bytes: u64, flags: u32) -> Result<Segment, Errno> {
    if flags & SHM_HUGETLB != 0 {
        return Err(Errno::ENOMEM);
    }
    if bytes == 0 || bytes > SEGMENT_MAX_BYTES {
        return Err(Errno::EINVAL);
    }
    let rounded = round_up(bytes, PAGE).ok_or(Errno::EINVAL)?;
    let name = alloc::format!("/SYSV{key:08x} (deleted)").into_bytes();
    Ok(Segment {
        bytes,
        memory: Memory::Kept(fs::open_shared_memory(rounded, name)),
        creator: process::current().pid(),
        last_user: 0,
        times: [0; 2],
        locker: None,
    })
}

/// shmget(2).
pub(super) fn shmget(args: &[u64; 6]) -> SysResult {
    let [key, bytes, flags, ..] = *args;
    let (key, flags) = (key as i32, flags as u32);
    let fits = |segment: &Segment| bytes <= segment.bytes;
    segments().open(key, flags, SEGMENTS_MAX, fits, |_| make(key, bytes, flags))
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
        let mut segments = segments();
        let (owner, segment) = segments.get(id)?;
        owner.check(wanted)?;
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
    if let Ok((_, segment)) = segments().get(id) {
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
        let segments = segments();
        let mut all = segments.by_id.iter();
        let found = all.find(|(_, (_, segment))| segment.is_of(&file));
        found.map(|(id, _)| *id).ok_or(Errno::EINVAL)?
    };
    space.unmap_file(address, &file)?;
    drop(file);
    if let Ok((_, segment)) = segments().get(id as u64) {
        segment.used(1);
    }
    Ok(0)
}

/// Bytes of all segments, and those that are there, in pages.
fn sum_pages() -> (u64, u64) {
    let all = list();
    let bytes = all.iter().map(|(_, status, _)| status[6].div_ceil(PAGE));
    let there = all.iter().map(|(_, _, resident)| resident / PAGE);
    (bytes.sum(), there.sum())
}

/// SHM_LOCK, SHM_UNLOCK. Nothing is ever paged out: it is counted and shown.
fn lock(id: u64, is_lock: bool) -> SysResult {
    let limit = bounds::locked_bytes();
    let (uid, euid) = {
        let own = process::current().credentials.lock();
        (own.uid, own.euid)
    };
    let mut segments = segments();
    let others = segments.by_id.iter();
    let others = others.filter(|(other, (_, one))| **other as u64 != id && one.locker == Some(uid));
    let locked: u64 = others.map(|(_, (_, one))| one.bytes).sum();
    let (owner, segment) = segments.get(id)?;
    if euid != 0 {
        owner.check_change()?;
    }
    if is_lock && limit == 0 {
        return Err(Errno::EPERM);
    }
    if is_lock && locked.saturating_add(segment.bytes) > limit {
        return Err(Errno::ENOMEM);
    }
    segment.locker = is_lock.then_some(uid);
    Ok(0)
}

/// shmctl(2).
pub(super) fn shmctl(args: &[u64; 6]) -> SysResult {
    let [id, command, address, ..] = *args;
    check_id(id)?;
    let command = command as u32;
    match command {
        IPC_STAT | SHM_STAT | SHM_STAT_ANY => {
            let unfinished = {
                let mut segments = segments();
                let (owner, segment) = segments.get(id)?;
                if command != SHM_STAT_ANY {
                    owner.check(0o444)?;
                }
                segment.status(owner)
            };
            write_words(address, &complete(unfinished).0)?;
            let is_by_place = command != IPC_STAT;
            return Ok(if is_by_place { id as i32 as usize } else { 0 });
        }
        IPC_INFO => {
            let most = SEGMENTS_MAX as u64;
            let (bytes, pages) = (SEGMENT_MAX_BYTES, SEGMENT_MAX_BYTES);
            write_words(address, &[bytes, 1, most, most, pages, 0, 0, 0, 0])?;
            return Ok(segments().highest());
        }
        SHM_INFO => {
            let (all, there) = sum_pages();
            let count = segments().by_id.len() as u64;
            write_words(address, &[count, all, there, 0, 0, 0])?;
            return Ok(segments().highest());
        }
        SHM_LOCK | SHM_UNLOCK => return lock(id, command == SHM_LOCK),
        IPC_SET => {
            let wanted = Owner::read(address)?;
            segments().get(id)?.0.change(wanted)?;
        }
        IPC_RMID => {
            let mut segments = segments();
            let (owner, segment) = segments.get(id)?;
            owner.check_change()?;
            if let Memory::Kept(file) = &segment.memory {
                segment.memory = Memory::Leaving(Arc::downgrade(file));
                owner.key = PRIVATE;
            }
        }
        _ => return Err(Errno::EINVAL),
    }
    Ok(0)
}

/// Ids and status of all segments, and how many of their bytes are there.
pub fn list() -> Vec<(i32, Status, u64)> {
    let unfinished: Vec<_> = {
        let segments = segments();
        let all = segments.by_id.iter();
        all.map(|(id, (owner, segment))| (*id, segment.status(owner)))
            .collect()
    };
    let all = unfinished.into_iter();
    all.map(|(id, unfinished)| {
        let (status, resident) = complete(unfinished);
        (id, status, resident)
    })
    .collect()
}
