//! Waiting for children: wait4(2), waitid(2).

use super::current;
use super::end::Ended;
use super::table::{self, Found, Which};
use crate::errno::Errno;
use crate::sched;

/// A child that has ended, and is forgotten unless `keeps` it; none where all run and
/// `returns_at_once`.
///
/// # Errors
/// ECHILD where there is no such child; EINTR.
pub fn wait(
    which: Which,
    keeps: bool,
    returns_at_once: bool,
) -> Result<Option<(u32, Ended)>, Errno> {
    let process = current();
    let look = || match table::take_ended(process.pid(), which, keeps) {
        Found::None => Some(Err(Errno::ECHILD)),
        Found::Running => returns_at_once.then_some(Ok(None)),
        Found::Ended(pid, ended) => Some(Ok(Some((pid, ended)))),
    };
    let found = sched::wait(&process.children, None, look)??;
    if let (Some((_, ended)), false) = (found, keeps) {
        process.waited_for.add(ended.used);
    }
    Ok(found)
}
