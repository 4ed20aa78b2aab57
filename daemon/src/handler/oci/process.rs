//! What `/proc` says of processes.

use std::fs;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::handler::Process;

/// Fields of `/proc/PID/stat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) pid: i32,
    pub(super) is_zombie: bool,
    pub(super) parent: i32,
    pub(super) session: i32,
    pub(super) start_ticks: u64,
}

/// The process with this number now.
pub(super) fn stat(pid: i32) -> Option<Stat> {
    parse(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn parse(pid: i32, text: &str) -> Option<Stat> {
    // The name, in parentheses, may hold anything.
    let (_, rest) = text.rsplit_once(')')?;
    let fields: Vec<_> = rest.split_ascii_whitespace().collect();
    Some(Stat {
        pid,
        is_zombie: matches!(*fields.first()?, "Z" | "X"),
        parent: fields.get(1)?.parse().ok()?,
        session: fields.get(3)?.parse().ok()?,
        start_ticks: fields.get(19)?.parse().ok()?,
    })
}

/// All processes.
pub(super) fn all() -> Vec<Stat> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| stat(entry.file_name().to_str()?.parse().ok()?))
        .collect()
}

/// The process with this number, as records keep it.
pub(super) fn identify(pid: i32) -> Option<Process> {
    let stat = stat(pid).filter(|stat| !stat.is_zombie)?;
    Some(Process {
        pid,
        start_ticks: stat.start_ticks,
    })
}

/// Whether it is there and has not ended.
pub(super) fn is_alive(process: Process) -> bool {
    identify(process.pid) == Some(process)
}

/// Waits until it has ended; whether it has.
pub(super) fn wait_end(process: Process, limit: Duration) -> bool {
    let Some(handle) = open(process.pid).filter(|_| is_alive(process)) else {
        return true;
    };
    let deadline = Instant::now() + limit;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut handles = [PollFd::new(&handle, PollFlags::IN)];
        match poll(&mut handles, Some(&timespec(left))) {
            Err(Errno::INTR) => {}
            Ok(0) => return !is_alive(process),
            _ => return true,
        }
    }
}

/// A handle on a process; none where it is gone.
pub(super) fn open(pid: i32) -> Option<OwnedFd> {
    pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()
}

/// For `poll`.
pub(super) fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: duration.subsec_nanos().into(),
    }
}

/// Kills processes, what they started, and all of their sessions; stopped first, so that
/// nothing of it gets away.
pub(super) fn kill_family(heads: &[i32]) {
    let mut family: Vec<i32> = Vec::new();
    // Each round finds what the one before missed; a fork bomb ends with the container.
    for _ in 0..100 {
        let before = family.len();
        for stat in all() {
            let belongs = heads.contains(&stat.pid)
                || heads.contains(&stat.session)
                || family.contains(&stat.parent);
            if belongs && !family.contains(&stat.pid) {
                family.push(stat.pid);
                send(stat.pid, rustix::process::Signal::STOP);
            }
        }
        if family.len() == before {
            break;
        }
    }
    for pid in family {
        send(pid, rustix::process::Signal::KILL);
    }
}

fn send(pid: i32, signal: rustix::process::Signal) {
    if let Some(handle) = open(pid) {
        // One that is gone has nothing left to end.
        let _ = rustix::process::pidfd_send_signal(&handle, signal);
    }
}

#[cfg(test)]
mod tests {
    use super::{identify, is_alive, parse, wait_end};
    use std::process::Command;
    use std::time::Duration;

    #[test]
    fn a_name_may_hold_anything() {
        let rest = "S 7 9 8 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 4711 0";
        let stat = parse(9, &format!("9 (a) Z 1 (b) {rest}")).expect("parses");
        assert_eq!((stat.parent, stat.session, stat.start_ticks), (7, 8, 4711));
        assert!(!stat.is_zombie);
        for broken in ["", "9 (a", "9 (a) S", "9 (a) S x 1 1"] {
            assert_eq!(parse(9, broken), None, "{broken:?}");
        }
    }

    #[test]
    fn an_ended_process_is_not_alive_before_it_is_reaped() {
        let mut child = Command::new("sleep").arg("60").spawn().expect("sleep");
        let process = identify(child.id() as i32).expect("is there");
        assert!(is_alive(process));
        assert!(!wait_end(process, Duration::from_millis(20)));
        child.kill().expect("kill");
        assert!(wait_end(process, Duration::from_secs(60)));
        assert!(!is_alive(process));
        child.wait().expect("wait");
    }
}
