//! Controlling terminals: what `/dev/tty` is to the processes of a session, and which of
//! their groups is in the foreground.
//!
//! The first session has the terminal that the monitor passed on, if it did. The leader of
//! another gets the first pseudo-terminal that it opens without O_NOCTTY or takes by
//! TIOCSCTTY. A group in the background that reads from it, or changes it, gets a signal
//! that stops it.

use alloc::sync::Arc;
use alloc::vec::Vec;

use linux_raw_sys::general::{SIGCONT, SIGHUP, SIGTTOU};
use linux_raw_sys::ioctl::{TIOCGPGRP, TIOCGSID, TIOCNOTTY, TIOCSCTTY, TIOCSPGRP};
use spin::Mutex;

use super::CONSOLE;
use super::pty::Terminal;
use super::stream::TERMINAL_FLAGS;
use crate::errno::{Errno, SysResult};
use crate::mm::user;
use crate::process::Process;
use crate::process::table::{self, Kin};
use crate::signal::state::SIG_IGN;
use crate::signal::{self, SigInfo};
use crate::{boot, process};

/// A terminal that a session can have.
#[derive(Clone)]
pub enum Controlling {
    /// There is none.
    None,
    /// The one that the monitor passed on.
    Console,
    /// A pseudo-terminal.
    Pty(Arc<Terminal>),
    /// One that was hung up while this group was in the foreground.
    Gone(u32),
}

/// Whose a terminal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tie {
    /// The session.
    pub session: u32,
    /// The group in the foreground.
    pub foreground: u32,
}

/// Terminals by session. Taken before a terminal's own lock.
static SESSIONS: Mutex<Option<Vec<(u32, Controlling)>>> = Mutex::new(None);
/// Whose the console is.
static CONSOLE_TIE: Mutex<Option<Tie>> = Mutex::new(None);

fn with_sessions<R>(with: impl FnOnce(&mut Vec<(u32, Controlling)>) -> R) -> R {
    let mut sessions = SESSIONS.lock();
    with(sessions.get_or_insert_with(|| {
        if !boot::has_flag(TERMINAL_FLAGS) {
            return Vec::new();
        }
        let (session, foreground) = (1, 1);
        *CONSOLE_TIE.lock() = Some(Tie {
            session,
            foreground,
        });
        alloc::vec![(session, Controlling::Console)]
    }))
}

/// The terminal of a session.
fn of(session: u32) -> Controlling {
    with_sessions(|sessions| {
        let mut sessions = sessions.iter();
        let own = sessions.find(|(of, _)| *of == session);
        own.map_or(Controlling::None, |(_, terminal)| terminal.clone())
    })
}

/// The running process among others.
fn own_kin() -> Result<Kin, Errno> {
    table::kin(process::current().pid()).ok_or(Errno::ESRCH)
}

/// The terminal of the running process.
pub fn current() -> Controlling {
    own_kin().map_or(Controlling::None, |kin| of(kin.session))
}

impl Controlling {
    fn with_tie<R>(&self, with: impl FnOnce(&mut Option<Tie>) -> R) -> R {
        match self {
            Controlling::Console => with(&mut CONSOLE_TIE.lock()),
            Controlling::Pty(terminal) => terminal.with_tie(with),
            Controlling::None | Controlling::Gone(_) => with(&mut None),
        }
    }

    fn tie(&self) -> Option<Tie> {
        self.with_tie(|tie| *tie)
    }

    fn is(&self, other: &Controlling) -> bool {
        match (self, other) {
            (Controlling::Console, Controlling::Console) => true,
            (Controlling::Pty(one), Controlling::Pty(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }

    /// What ioctl does about sessions and groups (ioctl_tty(2)).
    ///
    /// # Errors
    /// ENOTTY where it is not the caller's terminal.
    pub fn control(&self, request: u32, argument: u64) -> SysResult {
        if request == TIOCSCTTY {
            return self.take().map(|()| 0);
        }
        let kin = own_kin()?;
        let tie = self.tie().filter(|_| self.is(&of(kin.session)));
        let tie = tie.ok_or(Errno::ENOTTY)?;
        if request == TIOCSPGRP {
            self.check_foreground(SIGTTOU)
                .map_err(|errno| match errno {
                    Errno::EIO => Errno::ENOTTY,
                    errno => errno,
                })?;
        }
        match request {
            TIOCGPGRP => user::write::<u32>(argument, &tie.foreground)?,
            TIOCGSID => user::write::<u32>(argument, &tie.session)?,
            TIOCSPGRP => self.set_foreground(kin.session, user::read(argument)?)?,
            // Others of the session keep it, and it them.
            TIOCNOTTY if kin.session != process::current().pid() => {}
            TIOCNOTTY => {
                forget(kin.session);
                self.with_tie(|tie| *tie = None);
                signal_group(tie.foreground, &[SIGHUP, SIGCONT]);
            }
            _ => return Err(Errno::ENOTTY),
        }
        Ok(0)
    }

    /// Whether the running process may do with the terminal what `signal` stands for: read
    /// (SIGTTIN), or write and change (SIGTTOU). Where it is the process's own, and others
    /// are in the foreground, its group gets the signal.
    ///
    /// # Errors
    /// EINTR once that is sent; EIO where it would do nothing and the process may not.
    pub fn check_foreground(&self, signal: u32) -> Result<(), Errno> {
        let kin = own_kin()?;
        let tie = self.tie().filter(|_| self.is(&of(kin.session)));
        if tie.is_none_or(|tie| tie.foreground == kin.group) {
            return Ok(());
        }
        let is_deaf = signal::with_state(|process, thread| {
            thread.mask.has(signal) || process.action(signal).handler == SIG_IGN
        });
        if is_deaf && signal == SIGTTOU {
            return Ok(());
        }
        // Nothing stops the first process: it would try again and again.
        if is_deaf || process::current().is_init() || table::is_orphaned(kin.group) {
            return Err(Errno::EIO);
        }
        signal_group(kin.group, &[signal]);
        Err(Errno::EINTR)
    }

    fn set_foreground(&self, session: u32, group: u32) -> Result<(), Errno> {
        if (group as i32) < 0 {
            return Err(Errno::EINVAL);
        }
        if !table::has_any_of_group(group) {
            return Err(Errno::ESRCH);
        }
        if !table::has_group(session, group) {
            return Err(Errno::EPERM);
        }
        self.with_tie(|tie| {
            if let Some(tie) = tie {
                tie.foreground = group;
            }
        });
        Ok(())
    }

    /// Makes it the terminal of the running process's session (TIOCSCTTY).
    ///
    /// # Errors
    /// EPERM unless the process leads the session, which has none, and nobody else has it.
    pub fn take(&self) -> Result<(), Errno> {
        let kin = own_kin()?;
        let session = kin.session;
        if session != process::current().pid() {
            return Err(Errno::EPERM);
        }
        with_sessions(|sessions| {
            let own = sessions.iter().find(|(of, _)| *of == session);
            match own {
                Some((_, own)) if own.is(self) => return Ok(()),
                Some((_, own)) if !matches!(own, Controlling::Gone(_)) => return Err(Errno::EPERM),
                _ => {}
            }
            self.with_tie(|tie| match tie {
                Some(_) => Err(Errno::EPERM),
                None => {
                    *tie = Some(Tie {
                        session,
                        foreground: kin.group,
                    });
                    Ok(())
                }
            })?;
            sessions.retain(|(of, _)| *of != session);
            sessions.push((session, self.clone()));
            Ok(())
        })
    }
}

/// A session has no terminal any more.
fn forget(session: u32) {
    with_sessions(|sessions| sessions.retain(|(of, _)| *of != session));
}

/// Device number, and the group in the foreground, as `/proc` shows them for a session: 0
/// and -1 without a terminal.
pub fn shown(session: u32) -> (u32, i64) {
    let terminal = of(session);
    let device = match &terminal {
        Controlling::None | Controlling::Gone(_) => 0,
        Controlling::Console => CONSOLE,
        Controlling::Pty(terminal) => terminal.device(),
    };
    let tie = terminal.tie();
    (device, tie.map_or(-1, |tie| i64::from(tie.foreground)))
}

/// Sends signals to all processes of a group.
pub fn signal_group(group: u32, signals: &[u32]) {
    table::each_running(|target, kin| {
        if kin.group == group {
            signal_one(target, signals);
        }
    });
}

/// Nothing inside ends the first process that it does not take itself.
fn signal_one(target: &'static Process, signals: &[u32]) {
    let is_init = process::current().is_init();
    for signal in signals {
        let takes = || target.signals.lock().action(*signal).is_handler();
        if is_init || !target.is_init() || takes() {
            // A full queue loses the signal, as Linux's does.
            let _ = signal::send_to_process(target, SigInfo::from_kernel(*signal));
        }
    }
}

/// Who gets a signal that is typed at the console: the group in the foreground, if it is a
/// session's. Also called without a running thread.
pub fn console_group() -> Option<u32> {
    with_sessions(|_| ());
    CONSOLE_TIE.lock().map(|tie| tie.foreground)
}

/// A pseudo-terminal is hung up: its session's leader hears of it, and the group in the
/// foreground when that ends.
pub fn hung_up(tie: Tie) {
    with_sessions(|sessions| {
        for (session, terminal) in sessions {
            if *session == tie.session {
                *terminal = Controlling::Gone(tie.foreground);
            }
        }
    });
    table::with_running(tie.session, |leader| signal_one(leader, &[SIGHUP, SIGCONT]));
}

/// The leader of a session has ended: the session loses its terminal, and the group in the
/// foreground hears of it.
pub fn leader_ended(session: u32) {
    let terminal = of(session);
    if matches!(terminal, Controlling::None) {
        return;
    }
    forget(session);
    let tie = terminal.with_tie(Option::take);
    match (terminal, tie) {
        (Controlling::Gone(group), _) => signal_group(group, &[SIGHUP, SIGCONT]),
        (_, Some(tie)) => signal_group(tie.foreground, &[SIGHUP]),
        _ => {}
    }
}
