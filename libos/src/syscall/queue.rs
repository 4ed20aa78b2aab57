//! System V message queues: msgget(2), msgsnd(2), msgrcv(2), msgctl(2).
//!
//! ```text
//! msgsnd ─→ the first who waits for such a message ─→ it is his
//!       └→ nobody: into the queue, for msgrcv ─→ who waits for room looks again
//! ```

mod messages;

use alloc::sync::Arc;
use alloc::vec::Vec;

use spin::Mutex;

use self::messages::{Message, Queue, Waiting, Wanted, buffer};
use super::ipc::{
    IPC_INFO, IPC_NOWAIT, IPC_RMID, IPC_SET, IPC_STAT, Outcome, Owner, Table, check_id, write_words,
};
use crate::errno::{Errno, SysResult};
use crate::mm::user;
use crate::process::{self, capabilities::SYS_RESOURCE};
use crate::sched::{self, WaitQueue};

const MSG_STAT: u32 = 11;
const MSG_INFO: u32 = 12;
const MSG_STAT_ANY: u32 = 13;
/// Linux's defaults: bytes of a message, bytes in a queue, queues.
pub const MESSAGE_MAX: u64 = 8192;
/// As above.
pub const QUEUE_BYTES: u64 = 16_384;
/// As above.
pub const QUEUES_MAX: usize = 32_000;
/// Where struct msqid64_ds has its most bytes.
const LIMIT_OFFSET: u64 = 88;
/// Where a message has its content, after its type.
const CONTENT_OFFSET: u64 = 8;

/// struct msqid64_ds of asm-generic/msgbuf.h, which begins with an ipc64_perm.
pub type Status = [u64; 15];

static QUEUES: Mutex<Table<Queue>> = Mutex::new(Table::new());

/// msgget(2).
pub(super) fn msgget(args: &[u64; 6]) -> SysResult {
    let (key, flags) = (args[0] as i32, args[1] as u32);
    let make = |_: &Table<Queue>| Ok(Queue::new());
    QUEUES.lock().open(key, flags, QUEUES_MAX, |_| true, make)
}

/// Sends a message, unless there is no room: whether it did, and whom that concerns.
fn offer(
    id: u64,
    pid: u32,
    message: &mut Option<Message>,
) -> Result<(bool, Arc<WaitQueue>), Errno> {
    let mut queues = QUEUES.lock();
    let (owner, queue) = queues.get(id)?;
    owner.check(0o222)?;
    let sent = message.take_if(|message| queue.has_room(message.content.len() as u64));
    let is_sent = sent.is_some();
    if let Some(message) = sent {
        queue.send(pid, message)?;
    }
    Ok((is_sent, queue.changes.clone()))
}

/// msgsnd(2).
pub(super) fn msgsnd(args: &[u64; 6]) -> SysResult {
    let [id, address, bytes, flags, ..] = *args;
    let kind: i64 = user::read(address)?;
    check_id(id)?;
    if bytes > MESSAGE_MAX || kind < 1 {
        return Err(Errno::EINVAL);
    }
    let mut content = buffer(bytes)?;
    user::copy_in(address.wrapping_add(CONTENT_OFFSET), &mut content)?;
    let pid = process::current().pid();
    let mut message = Some(Message { kind, content });
    let (is_sent, changes) = offer(id, pid, &mut message)?;
    if !is_sent {
        if flags as u32 & IPC_NOWAIT != 0 {
            return Err(Errno::EAGAIN);
        }
        sched::wait(&changes, None, || match offer(id, pid, &mut message) {
            Ok((false, _)) => None,
            Ok(_) => Some(Ok(())),
            Err(Errno::EINVAL) => Some(Err(Errno::EIDRM)),
            Err(errno) => Some(Err(errno)),
        })??;
    }
    changes.wake_all();
    Ok(0)
}

fn receive(id: u64, wanted: Wanted, room: u64, flags: u32) -> Result<Message, Errno> {
    let pid = process::current().pid();
    let outcome = Outcome::default();
    let changes = {
        let mut queues = QUEUES.lock();
        let (owner, queue) = queues.get(id)?;
        owner.check(0o444)?;
        let changes = queue.changes.clone();
        if let Some(message) = queue.receive(pid, wanted, room, flags)? {
            drop(queues);
            changes.wake_all();
            return Ok(message);
        }
        if flags & IPC_NOWAIT != 0 {
            return Err(Errno::ENOMSG);
        }
        let space = queue.waiting.try_reserve(1);
        space.map_err(|_| Errno::ENOMEM)?;
        queue.waiting.push(Waiting {
            wanted,
            room,
            flags,
            pid,
            outcome: outcome.clone(),
        });
        changes
    };
    let waited = sched::wait(&changes, None, || outcome.lock().take());
    let why = match waited {
        Ok(outcome) => return outcome,
        Err(errno) => errno,
    };
    if let Ok((_, queue)) = QUEUES.lock().get(id) {
        let waiting = &mut queue.waiting;
        waiting.retain(|one| !Arc::ptr_eq(&one.outcome, &outcome));
    }
    // It may have been sent at the last moment.
    outcome.lock().take().unwrap_or(Err(why))
}

/// msgrcv(2).
pub(super) fn msgrcv(args: &[u64; 6]) -> SysResult {
    let [id, address, room, kind, flags, ..] = *args;
    let flags = flags as u32;
    check_id(id)?;
    if (room as i64) < 0 {
        return Err(Errno::EINVAL);
    }
    let wanted = Wanted::new(kind as i64, flags)?;
    let mut received = receive(id, wanted, room, flags);
    // Who may receive was changed meanwhile.
    while matches!(received, Err(Errno::EAGAIN)) {
        received = receive(id, wanted, room, flags).map_err(|errno| match errno {
            Errno::EINVAL => Errno::EIDRM,
            errno => errno,
        });
    }
    let message = received?;
    let fitting = message.content.len().min(room as usize);
    let content = message.content.get(..fitting).unwrap_or_default();
    user::write(address, &message.kind)?;
    user::copy_out(address.wrapping_add(CONTENT_OFFSET), content)?;
    Ok(fitting)
}

/// struct msginfo; what is in use, or what limits say.
fn info(queues: &Table<Queue>, is_use: bool) -> [u32; 8] {
    let (mut pool, mut map, mut total) = (
        QUEUES_MAX as u32 * (QUEUE_BYTES as u32 / 1024),
        QUEUE_BYTES as u32,
        QUEUE_BYTES as u32,
    );
    if is_use {
        (pool, map, total) = (queues.by_id.len() as u32, 0, 0);
        for (_, queue) in queues.by_id.values() {
            map += queue.messages.len() as u32;
            total = total.saturating_add(queue.bytes as u32);
        }
    }
    [
        pool,
        map,
        MESSAGE_MAX as u32,
        QUEUE_BYTES as u32,
        QUEUES_MAX as u32,
        16,
        total,
        0xffff,
    ]
}

/// msgctl(2).
pub(super) fn msgctl(args: &[u64; 6]) -> SysResult {
    let [id, command, address, ..] = *args;
    check_id(id)?;
    let command = command as u32;
    match command {
        IPC_INFO | MSG_INFO => {
            let (info, highest) = {
                let queues = QUEUES.lock();
                (info(&queues, command == MSG_INFO), queues.highest())
            };
            write_words(address, &info)?;
            Ok(highest)
        }
        IPC_STAT | MSG_STAT | MSG_STAT_ANY => {
            let status = {
                let mut queues = QUEUES.lock();
                let (owner, queue) = queues.get(id)?;
                if command != MSG_STAT_ANY {
                    owner.check(0o444)?;
                }
                queue.status(owner)
            };
            write_words(address, &status)?;
            let is_by_place = command != IPC_STAT;
            Ok(if is_by_place { id as i32 as usize } else { 0 })
        }
        IPC_SET => {
            let wanted = Owner::read(address)?;
            let bytes_max: u64 = user::read(address.wrapping_add(LIMIT_OFFSET))?;
            let may_exceed = {
                let own = process::current().credentials.lock();
                own.capabilities.has(SYS_RESOURCE)
            };
            let mut queues = QUEUES.lock();
            let (owner, queue) = queues.get(id)?;
            owner.check_change()?;
            if bytes_max > QUEUE_BYTES && !may_exceed {
                return Err(Errno::EPERM);
            }
            owner.change(wanted)?;
            queue.bytes_max = bytes_max;
            queue.dismiss(Errno::EAGAIN);
            let changes = queue.changes.clone();
            drop(queues);
            changes.wake_all();
            Ok(0)
        }
        IPC_RMID => {
            let mut queue = QUEUES.lock().remove(id)?;
            queue.dismiss(Errno::EIDRM);
            queue.changes.wake_all();
            Ok(0)
        }
        _ => Err(Errno::EINVAL),
    }
}

/// Ids and status of all queues.
pub fn list() -> Vec<(i32, Status)> {
    let queues = QUEUES.lock();
    let all = queues.by_id.iter();
    all.map(|(id, (owner, queue))| (*id, queue.status(owner)))
        .collect()
}
