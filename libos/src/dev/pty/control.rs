//! What ioctl does to a pseudo-terminal.
//!
//! Source: ioctl_tty(2). Settings are the terminal's, whichever end they are
//! asked of.

use alloc::sync::Arc;

use linux_raw_sys::general::{O_CLOEXEC, SIGWINCH};
use linux_raw_sys::ioctl::{
    FIONREAD, TCFLSH, TCGETS, TCGETS2, TCSBRK, TCSBRKP, TCSETS, TCSETS2, TCSETSF, TCSETSF2,
    TCSETSW, TCSETSW2, TCXONC, TIOCEXCL, TIOCGDEV, TIOCGETD, TIOCGPGRP, TIOCGPTLCK, TIOCGPTN,
    TIOCGPTPEER, TIOCGSID, TIOCGWINSZ, TIOCNOTTY, TIOCNXCL, TIOCOUTQ, TIOCSCTTY, TIOCSIG,
    TIOCSPGRP, TIOCSPTLCK, TIOCSTI, TIOCSWINSZ,
};

use super::Terminal;
use super::settings::{SETTINGS_BYTES, SETTINGS2_BYTES, Settings, WindowSize};
use crate::dev::terminal::Controlling;
use crate::errno::{Errno, SysResult};
use crate::fs;
use crate::mm::user;
use crate::process;
use crate::signal::number::is_signal;

/// Queues of tcflush(3) and actions of tcflow(3).
const INPUT: u64 = 0;
/// See [`INPUT`].
const OUTPUT: u64 = 1;
/// See [`INPUT`].
const BOTH: u64 = 2;

fn read_bytes<const BYTES: usize>(address: u64) -> Result<[u8; BYTES], Errno> {
    let mut raw = [0; BYTES];
    user::copy_in(address, &mut raw)?;
    Ok(raw)
}

impl Terminal {
    /// A request of the master.
    pub(super) fn control_master(self: &Arc<Self>, request: u32, argument: u64) -> SysResult {
        match request {
            TIOCGPTN => user::write::<u32>(argument, &self.number)?,
            TIOCSPTLCK => {
                let locked = user::read::<u32>(argument)? != 0;
                self.state.lock().locked = locked;
            }
            TIOCGPTLCK => {
                let locked = u32::from(self.state.lock().locked);
                user::write::<u32>(argument, &locked)?;
            }
            TIOCGPTPEER => return self.open_peer(argument as u32),
            TIOCSIG => {
                if !u32::try_from(argument).is_ok_and(is_signal) {
                    return Err(Errno::EINVAL);
                }
                self.signal(argument as u32);
            }
            FIONREAD => {
                let count = self.state.lock().line.output_len() as u32;
                user::write::<u32>(argument, &count)?;
            }
            TCFLSH => self.flush(match argument {
                // The master's input is the slave's output.
                INPUT => OUTPUT,
                OUTPUT => INPUT,
                other => other,
            })?,
            // The master is told of the session as well, without any check.
            TIOCGPGRP => {
                let group = self.with_tie(|tie| tie.map_or(0, |tie| tie.foreground));
                user::write::<u32>(argument, &group)?;
            }
            TIOCGSID => {
                let tie = self.with_tie(|tie| *tie).ok_or(Errno::ENOTTY)?;
                user::write::<u32>(argument, &tie.session)?;
            }
            TIOCSCTTY | TIOCNOTTY => return Err(Errno::ENOTTY),
            _ => return self.control(request, argument),
        }
        Ok(0)
    }

    fn open_peer(self: &Arc<Self>, flags: u32) -> SysResult {
        let (node, origin) = self.place().ok_or(Errno::EIO)?;
        let file = self.open(node, flags & !O_CLOEXEC, Some(origin))?;
        let limit = fs::open_files();
        let close = flags & O_CLOEXEC != 0;
        let fd = (process::current().files.lock()).insert(file, close, 0, limit)?;
        Ok(fd as usize)
    }

    /// A request of the slave, or one that both ends have.
    pub(super) fn control(self: &Arc<Self>, request: u32, argument: u64) -> SysResult {
        match request {
            TCGETS | TCGETS2 => {
                let raw = self.state.lock().line.settings().to_bytes();
                let len = if request == TCGETS {
                    SETTINGS_BYTES
                } else {
                    SETTINGS2_BYTES
                };
                user::copy_out(argument, raw.get(..len).ok_or(Errno::EIO)?)?;
            }
            TCSETS | TCSETSW | TCSETSF => {
                self.set(&read_bytes::<SETTINGS_BYTES>(argument)?, request == TCSETSF);
            }
            TCSETS2 | TCSETSW2 | TCSETSF2 => {
                self.set(
                    &read_bytes::<SETTINGS2_BYTES>(argument)?,
                    request == TCSETSF2,
                );
            }
            TIOCGWINSZ => {
                let size = self.state.lock().size;
                user::copy_out(argument, &size)?;
            }
            TIOCSWINSZ => {
                let size: WindowSize = read_bytes(argument)?;
                let changed =
                    self.change(|state| core::mem::replace(&mut state.size, size) != size);
                if changed {
                    self.signal(SIGWINCH);
                }
            }
            FIONREAD => {
                let count = self.state.lock().line.input_len() as u32;
                user::write::<u32>(argument, &count)?;
            }
            // What the slave writes is with the master at once.
            TIOCOUTQ => user::write::<u32>(argument, &0)?,
            TCFLSH => self.flush(argument)?,
            TCXONC => match argument {
                0 | 1 => self.change(|state| state.line.set_stopped(argument == 0)),
                // It would ask the master to stop, which is its own affair.
                2 | 3 => {}
                _ => return Err(Errno::EINVAL),
            },
            TCSBRK | TCSBRKP | TIOCEXCL | TIOCNXCL => {}
            TIOCSCTTY | TIOCNOTTY | TIOCGPGRP | TIOCGSID | TIOCSPGRP => {
                return Controlling::Pty(self.clone()).control(request, argument);
            }
            TIOCGDEV => user::write::<u32>(argument, &self.device())?,
            TIOCGETD => user::write::<u32>(argument, &0)?,
            // Linux lets nobody type for others any more.
            TIOCSTI => return Err(Errno::EIO),
            _ => return Err(Errno::ENOTTY),
        }
        Ok(0)
    }

    fn set(&self, raw: &[u8], flush: bool) {
        self.change(|state| {
            if flush {
                state.line.flush_input();
            }
            let settings: Settings = state.line.settings().changed_by(raw);
            state.line.set(settings);
        });
    }

    fn flush(&self, queue: u64) -> Result<(), Errno> {
        if queue > BOTH {
            return Err(Errno::EINVAL);
        }
        self.change(|state| {
            if queue != OUTPUT {
                state.line.flush_input();
            }
            if queue != INPUT {
                state.line.flush_output();
            }
        });
        Ok(())
    }
}
