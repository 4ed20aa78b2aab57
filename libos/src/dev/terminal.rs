//! The controlling terminal of the process: what `/dev/tty` is.
//!
//! At start it is the terminal that the monitor passed on, if it did. A process
//! without one gets the first pseudo-terminal that it opens without O_NOCTTY or
//! takes by TIOCSCTTY.

use alloc::sync::Arc;

use linux_raw_sys::general::{SIGCONT, SIGHUP};
use spin::Mutex;

use super::CONSOLE;
use super::pty::Terminal;
use super::stream::TERMINAL_FLAGS;
use crate::errno::Errno;
use crate::signal::{self, SigInfo};
use crate::{boot, process};

/// The terminal of the process.
#[derive(Clone)]
pub enum Controlling {
    /// There is none.
    None,
    /// The one that the monitor passed on.
    Console,
    /// A pseudo-terminal.
    Pty(Arc<Terminal>),
}

/// None until something is known: see [`current`].
static CURRENT: Mutex<Option<Controlling>> = Mutex::new(None);

/// The terminal now.
pub fn current() -> Controlling {
    CURRENT.lock().clone().unwrap_or_else(at_start)
}

fn at_start() -> Controlling {
    if boot::has_flag(TERMINAL_FLAGS) {
        Controlling::Console
    } else {
        Controlling::None
    }
}

/// Another one, or none.
pub fn set(controlling: Controlling) {
    *CURRENT.lock() = Some(controlling);
}

/// Whether it is this pseudo-terminal.
pub fn is(terminal: &Arc<Terminal>) -> bool {
    matches!(current(), Controlling::Pty(own) if Arc::ptr_eq(&own, terminal))
}

/// Device number; 0 without a terminal.
pub fn device() -> u32 {
    match current() {
        Controlling::None => 0,
        Controlling::Console => CONSOLE,
        Controlling::Pty(terminal) => terminal.device(),
    }
}

/// Makes a pseudo-terminal the process's (TIOCSCTTY).
///
/// # Errors
/// EPERM where the process has another one.
pub fn take(terminal: &Arc<Terminal>) -> Result<(), Errno> {
    {
        let mut own = CURRENT.lock();
        match own.clone().unwrap_or_else(at_start) {
            Controlling::None => *own = Some(Controlling::Pty(terminal.clone())),
            Controlling::Pty(own) if Arc::ptr_eq(&own, terminal) => return Ok(()),
            _ => return Err(Errno::EPERM),
        }
    }
    terminal.set_foreground(Some(process::current().pid()));
    Ok(())
}

/// Does without a terminal from now on (TIOCNOTTY); the foreground group, which
/// is the process, is told so.
///
/// # Errors
/// ENOTTY where this is not the process's terminal.
pub fn give_up(terminal: &Arc<Terminal>) -> Result<(), Errno> {
    if !is(terminal) {
        return Err(Errno::ENOTTY);
    }
    set(Controlling::None);
    terminal.set_foreground(None);
    for signal in [SIGHUP, SIGCONT] {
        // A full queue loses the signal, as Linux's does.
        let _ = signal::send_to_process(process::init(), SigInfo::from_kernel(signal));
    }
    Ok(())
}
