//! Signal-driven I/O: whom F_SETOWN names for an open file, and the signal that they get when
//! a file with O_ASYNC may have become ready. Source: fcntl(2), "Managing signals".

use alloc::sync::Arc;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use linux_raw_sys::general::{
    EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLPRI, F_OWNER_PGRP, F_OWNER_PID, F_OWNER_TID, SIGIO,
};
use spin::Mutex;

use super::attributes::FileType;
use super::open_file::OpenFile;
use super::readiness::Watcher;
use crate::errno::Errno;
use crate::process::{self, Process, table, threads};
use crate::signal::{self, SigInfo};

/// O_ASYNC, which Linux calls FASYNC.
pub const O_ASYNC: u32 = 0x2000;

/// Events, with si_code and si_band of their signal.
const REASONS: [(u32, i32, u64); 5] = [
    (EPOLLIN, 1, 0x41),
    (EPOLLOUT, 2, 0x304),
    (EPOLLERR, 4, 0x8),
    (EPOLLPRI, 5, 0x82),
    (EPOLLHUP, 6, 0x18),
];

/// Who gets the signals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// F_OWNER_TID, _PID or _PGRP.
    pub kind: u32,
    /// Its id; 0 for nobody.
    pub id: u32,
    /// Users of the process that said so, which decide whether it may be.
    users: [u32; 2],
}

impl Owner {
    /// An owner that the running process names.
    ///
    /// # Errors
    /// EINVAL, ESRCH.
    pub fn new(kind: u32, id: u32) -> Result<Owner, Errno> {
        let users = {
            let own = process::current().credentials.lock();
            [own.uid, own.euid]
        };
        let owner = Owner { kind, id, users };
        match kind {
            F_OWNER_TID | F_OWNER_PID | F_OWNER_PGRP if id == 0 || owner.exists() => Ok(owner),
            F_OWNER_TID | F_OWNER_PID | F_OWNER_PGRP => Err(Errno::ESRCH),
            _ => Err(Errno::EINVAL),
        }
    }

    /// Whether it is there still.
    pub fn exists(&self) -> bool {
        match self.kind {
            F_OWNER_TID => threads::exists(self.id),
            F_OWNER_PID => table::kin(self.id).is_some(),
            _ => table::has_any_of_group(self.id),
        }
    }

    fn may_signal(&self, target: &Process) -> bool {
        let theirs = target.credentials.lock();
        let [_, euid] = self.users;
        let is_same = |id: &u32| [theirs.uid, theirs.suid].contains(id);
        euid == 0 || self.users.iter().any(is_same)
    }

    fn send(&self, info: SigInfo) {
        let to_process = |target: &'static Process| {
            // A full queue loses the signal.
            let _ = self.may_signal(target) && signal::send_to_process(target, info).is_ok();
        };
        match self.kind {
            _ if self.id == 0 => {}
            F_OWNER_TID => {
                if let Some(thread) = threads::with(self.id, |thread| thread)
                    && self.may_signal(thread.process())
                {
                    let _ = signal::send_to(thread, info);
                }
            }
            F_OWNER_PID => {
                table::with_running(self.id, to_process);
            }
            _ => {
                table::each_running(|process, kin| {
                    if kin.group == self.id {
                        to_process(process);
                    }
                });
            }
        }
    }
}

/// What an open file has of it, once it has any.
#[derive(Default)]
pub struct Notice {
    /// Who gets the signals.
    pub owner: Mutex<Owner>,
    /// Which signal (F_SETSIG); 0 is SIGIO, without the rest.
    pub signal: AtomicU32,
    /// The descriptor that O_ASYNC was set by.
    fd: AtomicU32,
}

impl Watcher for Notice {
    fn told(self: Arc<Self>, events: u32) -> bool {
        let reason = REASONS.iter().find(|(event, ..)| events & event != 0);
        if let Some((_, code, band)) = reason {
            let info = match self.signal.load(Relaxed) {
                0 => SigInfo::from_kernel(SIGIO),
                signal => SigInfo::from_file(signal, *code, *band, self.fd.load(Relaxed)),
            };
            let owner = *self.owner.lock();
            owner.send(info);
        }
        false
    }
}

impl OpenFile {
    /// Turns O_ASYNC on or off, by this descriptor.
    ///
    /// # Errors
    /// ENOTTY where such a file sends no signals.
    pub fn set_async(&self, on: bool, fd: i32) -> Result<(), Errno> {
        let kind = self.attributes()?.file_type();
        let sends = matches!(
            kind,
            FileType::Fifo | FileType::Socket | FileType::CharDevice
        );
        let watchers = self.file().watchers();
        if !sends || watchers.iter().all(Option::is_none) {
            return if on { Err(Errno::ENOTTY) } else { Ok(()) };
        }
        let notice = self.notice();
        notice.fd.store(fd as u32, Relaxed);
        if self.change_async(on) == on {
            return Ok(());
        }
        let mut events = EPOLLERR | EPOLLHUP | EPOLLPRI;
        events |= if self.readable() { EPOLLIN } else { 0 };
        events |= if self.writable() { EPOLLOUT } else { 0 };
        for watchers in watchers.into_iter().flatten() {
            if on {
                watchers.add(notice.clone(), events, false);
            } else {
                watchers.remove(&*notice);
            }
        }
        Ok(())
    }
}
