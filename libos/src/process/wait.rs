//! Waiting for children: wait4(2), waitid(2).

use linux_raw_sys::general::{EPOLLHUP, WNOHANG, WNOWAIT};

use super::end::Ended;
use super::table::{self, Found, Which};
use super::{current, thread};
use crate::errno::Errno;
use crate::fs::process_file;
use crate::sched;

/// A child that has done what the options of waitid(2) name; none where there is no such
/// child yet, with WNOHANG.
///
/// # Errors
/// ECHILD where there will not be one; EINTR.
pub fn wait(which: Which, options: u32) -> Result<Option<(u32, Ended)>, Errno> {
    let process = current();
    let look = || match table::take_changed(process.pid(), thread().tid(), which, options) {
        Found::None => Some(Err(Errno::ECHILD)),
        Found::Running => (options & WNOHANG != 0).then_some(Ok(None)),
        Found::Changed(pid, ended) => Some(Ok(Some((pid, ended)))),
    };
    let found = sched::wait(&process.children, None, look)??;
    if let (Some((_, ended)), 0) = (found, options & WNOWAIT)
        && ended.status.is_end()
    {
        process.waited_for.add(ended.used);
        process_file::ENDED.notify(EPOLLHUP);
    }
    Ok(found)
}
