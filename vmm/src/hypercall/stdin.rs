//! `STDIN_READ [gpa, len, nonblock]`: standard input, where it is passed on.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use vm_memory::{ReadVolatile, VolatileMemoryError};

use super::wait::is_called;
use super::{Cpu, Host, negated_errno};
use crate::events::{Source, Woken};
use crate::fault::GuestFault;

const EAGAIN: i64 = -(libc::EAGAIN as i64);
const EINTR: i64 = -(libc::EINTR as i64);

/// What the guest reads.
#[derive(Debug, Default)]
pub enum Stdin {
    /// Nothing: every read is at its end.
    #[default]
    Empty,
    /// The monitor's own standard input.
    Inherit,
    /// A file or pipe.
    File(File),
}

impl Stdin {
    /// The same, as an open file; inherited input is duplicated.
    pub fn open(self) -> io::Result<Self> {
        match self {
            Self::Inherit => {
                let fd = io::stdin().as_fd().try_clone_to_owned()?;
                Ok(Self::File(fd.into()))
            }
            other => Ok(other),
        }
    }

    /// Whether a read never blocks because there is no input at all.
    pub fn is_always_ready(&self) -> bool {
        !matches!(self, Self::File(_))
    }

    /// What to poll.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::File(file) => Some(file.as_fd()),
            Self::Empty | Self::Inherit => None,
        }
    }
}

pub(super) fn handle(
    host: &Host,
    cpu: &Cpu,
    gpa: u64,
    len_bytes: u64,
    nonblock: u64,
) -> Result<i64, GuestFault> {
    host.buffer("stdin_read", gpa, len_bytes)?;
    if len_bytes == 0 || host.stdin.is_always_ready() {
        return Ok(0);
    }
    loop {
        let timeout_ns = (nonblock != 0).then_some(0);
        let called = || host.vcpus.is_called(cpu.index) || host.vcpus.is_ending();
        match cpu
            .events
            .wait(Source::Input(host.stdin.fd()), timeout_ns, called)
        {
            Woken::Ready(_) => {}
            Woken::Timeout => return Ok(EAGAIN),
            Woken::Signal if is_called(host, cpu)? => return Ok(EINTR),
            Woken::Signal => {
                host.renew_clock()?;
                continue;
            }
        }
        let mut target = host.buffer("stdin_read", gpa, len_bytes)?;
        let Stdin::File(file) = &host.stdin else {
            return Ok(0);
        };
        let mut file = file;
        match file.read_volatile(&mut target) {
            Ok(count) => return Ok(count as i64),
            Err(VolatileMemoryError::IOError(error)) => match error.kind() {
                // Another reader of the same pipe was faster.
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => {}
                _ => return Ok(negated_errno(&error)),
            },
            Err(_) => return Ok(-i64::from(libc::EIO)),
        }
    }
}
