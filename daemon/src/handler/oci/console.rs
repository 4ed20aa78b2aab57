//! A terminal of the host for a command of a container: the runtime passes its bytes and its
//! size on to the terminal in the container.

use std::io;
use std::os::fd::OwnedFd;
use std::process::Stdio;

use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{OptionalActions, Winsize, tcgetattr, tcsetattr, tcsetwinsize};

use crate::handler::streams::Size;

/// The daemon's side of it. Its end hangs up.
#[derive(Debug)]
pub(super) struct Console {
    file: OwnedFd,
}

/// The runtime's side of it.
#[derive(Debug)]
pub(super) struct ConsoleEnd {
    file: OwnedFd,
}

impl Console {
    /// A new terminal, which changes nothing of what goes over it: the container's does.
    pub(super) fn open() -> io::Result<(Self, ConsoleEnd)> {
        // It must not become the daemon's own.
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let file = openpt(flags)?;
        grantpt(&file)?;
        unlockpt(&file)?;
        let end = ioctl_tiocgptpeer(&file, flags)?;
        let mut attributes = tcgetattr(&end)?;
        attributes.make_raw();
        tcsetattr(&end, OptionalActions::Now, &attributes)?;
        Ok((Self { file }, ConsoleEnd { file: end }))
    }

    /// Another descriptor of it.
    pub(super) fn duplicate(&self) -> io::Result<OwnedFd> {
        self.file.try_clone()
    }

    /// Gives it a size, which its session is told of.
    pub(super) fn resize(&self, size: Size) -> io::Result<()> {
        let size = Winsize {
            ws_row: size.rows,
            ws_col: size.columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        Ok(tcsetwinsize(&self.file, size)?)
    }
}

impl ConsoleEnd {
    /// As standard input, output and error.
    pub(super) fn into_stdio(self) -> io::Result<[Stdio; 3]> {
        let (second, third) = (self.file.try_clone()?, self.file.try_clone()?);
        Ok([self.file.into(), second.into(), third.into()])
    }
}
