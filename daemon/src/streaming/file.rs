//! Files of any kind that `epoll` can watch: pipes, terminals, sockets, processes.

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A file that tasks wait for.
pub(super) type File = AsyncFd<OwnedFd>;

/// Has a file watched.
#[expect(
    deprecated,
    reason = "its successor is unsafe, for types whose descriptor may change or be closed; an \
        OwnedFd's is the same and open until it is dropped"
)]
pub(super) fn watch(file: OwnedFd, interest: Interest) -> io::Result<File> {
    AsyncFd::with_interest(file, interest)
}

/// The same for one that is read or written: no call on it waits any more.
pub(super) fn watch_data(file: OwnedFd, interest: Interest) -> io::Result<File> {
    rustix::io::ioctl_fionbio(&file, true)?;
    watch(file, interest)
}
