//! The messages of a queue, those who wait for some, and which are wanted.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::super::ipc::{IPC_NOWAIT, Outcome, Owner, now};
use super::{QUEUE_BYTES, Status};
use crate::errno::Errno;
use crate::sched::WaitQueue;

const MSG_NOERROR: u32 = 0o10000;
const MSG_EXCEPT: u32 = 0o20000;
const MSG_COPY: u32 = 0o40000;

pub(super) struct Message {
    pub(super) kind: i64,
    pub(super) content: Vec<u8>,
}

/// Which message is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Any,
    Kind(i64),
    Except(i64),
    /// The lowest type up to this one.
    UpTo(i64),
    /// A copy of the one at this place.
    At(i64),
}

pub(super) struct Waiting {
    pub(super) wanted: Wanted,
    pub(super) room: u64,
    pub(super) flags: u32,
    pub(super) pid: u32,
    pub(super) outcome: Outcome<Message>,
}

pub(super) struct Queue {
    pub(super) messages: VecDeque<Message>,
    pub(super) bytes: u64,
    pub(super) bytes_max: u64,
    /// Processes: sent, received.
    users: [u32; 2],
    /// Seconds: sent, received.
    times: [u64; 2],
    /// Who waits for messages, none of which is there.
    pub(super) waiting: Vec<Waiting>,
    pub(super) changes: Arc<WaitQueue>,
}

pub(super) fn buffer(bytes: u64) -> Result<Vec<u8>, Errno> {
    let mut buffer = Vec::new();
    let room = buffer.try_reserve_exact(bytes as usize);
    room.map_err(|_| Errno::ENOMEM)?;
    buffer.resize(bytes as usize, 0);
    Ok(buffer)
}

impl Wanted {
    pub(super) fn new(kind: i64, flags: u32) -> Result<Wanted, Errno> {
        Ok(match kind {
            _ if flags & MSG_COPY != 0 => {
                if flags & (MSG_EXCEPT | IPC_NOWAIT) != IPC_NOWAIT {
                    return Err(Errno::EINVAL);
                }
                Wanted::At(kind)
            }
            0 => Wanted::Any,
            ..0 => Wanted::UpTo(kind.checked_neg().unwrap_or(i64::MAX)),
            _ if flags & MSG_EXCEPT != 0 => Wanted::Except(kind),
            _ => Wanted::Kind(kind),
        })
    }

    fn takes(self, kind: i64) -> bool {
        match self {
            Wanted::Any => true,
            Wanted::Kind(wanted) => kind == wanted,
            Wanted::Except(other) => kind != other,
            Wanted::UpTo(most) => kind <= most,
            Wanted::At(_) => false,
        }
    }
}

impl Queue {
    pub(super) fn new() -> Queue {
        Queue {
            messages: VecDeque::new(),
            bytes: 0,
            bytes_max: QUEUE_BYTES,
            users: [0; 2],
            times: [0; 2],
            waiting: Vec::new(),
            changes: Arc::new(WaitQueue::new()),
        }
    }

    pub(super) fn status(&self, owner: &Owner) -> Status {
        let [a, b, c, d, e, f] = owner.words(0);
        let ([sent, received], [sender, receiver]) = (self.times, self.users);
        let (changed, bytes, bytes_max) = (owner.changed, self.bytes, self.bytes_max);
        let users = u64::from(sender) | u64::from(receiver) << 32;
        let count = self.messages.len() as u64;
        [
            a, b, c, d, e, f, sent, received, changed, bytes, count, bytes_max, users, 0, 0,
        ]
    }

    pub(super) fn has_room(&self, bytes: u64) -> bool {
        bytes + self.bytes <= self.bytes_max && (self.messages.len() as u64) < self.bytes_max
    }

    pub(super) fn send(&mut self, pid: u32, message: Message) -> Result<(), Errno> {
        let bytes = message.content.len() as u64;
        // Whoever waits must not need memory to get it, and who sends not fail afterwards.
        self.messages.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
        (self.users[0], self.times[0]) = (pid, now());
        let takes = |one: &Waiting| one.wanted.takes(message.kind);
        while let Some(index) = self.waiting.iter().position(takes) {
            let one = self.waiting.remove(index);
            if bytes > one.room && one.flags & MSG_NOERROR == 0 {
                *one.outcome.lock() = Some(Err(Errno::E2BIG));
                continue;
            }
            (self.users[1], self.times[1]) = (one.pid, now());
            *one.outcome.lock() = Some(Ok(message));
            return Ok(());
        }
        self.bytes += bytes;
        self.messages.push_back(message);
        Ok(())
    }

    fn find(&self, wanted: Wanted) -> Option<usize> {
        let mut all = self.messages.iter().enumerate();
        let found = match wanted {
            Wanted::At(place) => all.nth(usize::try_from(place).ok()?),
            Wanted::UpTo(_) => {
                let fitting = all.filter(|(_, message)| wanted.takes(message.kind));
                fitting.min_by_key(|(_, message)| message.kind)
            }
            _ => all.find(|(_, message)| wanted.takes(message.kind)),
        };
        found.map(|(index, _)| index)
    }

    /// The wanted message, or a copy, if there is one.
    pub(super) fn receive(
        &mut self,
        pid: u32,
        wanted: Wanted,
        room: u64,
        flags: u32,
    ) -> Result<Option<Message>, Errno> {
        let Some(index) = self.find(wanted) else {
            return Ok(None);
        };
        let Some(message) = self.messages.get(index) else {
            return Ok(None);
        };
        let bytes = message.content.len() as u64;
        let is_copy = matches!(wanted, Wanted::At(_));
        if bytes > room {
            if flags & MSG_NOERROR == 0 {
                return Err(Errno::E2BIG);
            }
            if is_copy {
                return Err(Errno::EINVAL);
            }
        }
        if is_copy {
            let mut content = buffer(bytes)?;
            content.copy_from_slice(&message.content);
            let kind = message.kind;
            return Ok(Some(Message { kind, content }));
        }
        self.bytes -= bytes;
        (self.users[1], self.times[1]) = (pid, now());
        Ok(self.messages.remove(index))
    }

    /// Ends the waiting of all who wait for messages.
    pub(super) fn dismiss(&mut self, errno: Errno) {
        for one in self.waiting.drain(..) {
            *one.outcome.lock() = Some(Err(errno));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Errno, IPC_NOWAIT, MSG_COPY, MSG_EXCEPT, Message, Queue, Vec, Wanted};

    #[test]
    fn a_type_and_flags_say_which_is_wanted() {
        let wanted = |kind, flags| Wanted::new(kind, flags).unwrap();
        assert_eq!(wanted(0, MSG_EXCEPT), Wanted::Any);
        assert_eq!(wanted(7, 0), Wanted::Kind(7));
        assert_eq!(wanted(7, MSG_EXCEPT), Wanted::Except(7));
        assert_eq!(wanted(-7, MSG_EXCEPT), Wanted::UpTo(7));
        assert_eq!(wanted(i64::MIN, 0), Wanted::UpTo(i64::MAX));
        assert_eq!(wanted(0, MSG_COPY | IPC_NOWAIT), Wanted::At(0));
        let refused = Wanted::new(0, MSG_COPY | MSG_EXCEPT | IPC_NOWAIT);
        assert_eq!(refused, Err(Errno::EINVAL));
        assert_eq!(Wanted::new(0, MSG_COPY), Err(Errno::EINVAL));
    }

    #[test]
    fn the_lowest_type_is_found_and_of_it_the_first() {
        let mut queue = Queue::new();
        for kind in [5, 3, 7, 3] {
            let content = Vec::new();
            queue.messages.push_back(Message { kind, content });
        }
        assert_eq!(queue.find(Wanted::UpTo(6)), Some(1));
        assert_eq!(queue.find(Wanted::UpTo(2)), None);
        assert_eq!(queue.find(Wanted::Except(5)), Some(1));
        assert_eq!(queue.find(Wanted::Kind(7)), Some(2));
        assert_eq!(queue.find(Wanted::At(3)), Some(3));
        assert_eq!(queue.find(Wanted::At(-1)), None);
    }
}
