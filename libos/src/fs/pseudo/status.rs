//! `/proc/PID/stat`, `status`, `limits` and `oom_score_adj`.

use alloc::vec::Vec;
use core::sync::atomic::{AtomicI32, Ordering};

use super::item::out;
use super::source::{self, Mapping};
use crate::errno::Errno;
use crate::fs::PAGE_BYTES;
use crate::process;
use crate::syscall::credentials::capabilities;

/// Capabilities of user 0 in a container, as Docker gives them.
const CAPABILITIES: u64 = 0xa804_25fb;

static OOM_SCORE_ADJ: AtomicI32 = AtomicI32::new(0);

/// The 52 fields of proc_pid_stat(5). Time is user time since the start.
pub(super) fn stat(_: u32, content: &mut Vec<u8>) -> Result<(), Errno> {
    let process = process::current();
    let pid = process.pid;
    out!(content, "{pid} (");
    content.extend(source::command());
    let (arguments, environment, stack) = {
        let image = process.image.lock();
        (image.arguments, image.environment, image.stack_start)
    };
    let mappings = source::mappings();
    let size: u64 = mappings.iter().map(Mapping::bytes).sum();
    let resident = source::resident_bytes() / PAGE_BYTES;
    let started = source::start_ns() / source::TICK_NS;
    let user = source::uptime_ns().saturating_sub(source::start_ns()) / source::TICK_NS;
    let [pending, blocked, ignored, caught] = source::signal_sets();
    let (brk_start, _) = source::heap();
    // State, parent, group, session, terminal, its group, flags, faults.
    out!(content, ") R 0 {pid} {pid} 0 -1 4194560 0 0 0 0 ");
    // Times, priority, nice, threads, timer, start, sizes.
    out!(
        content,
        "{user} 0 0 0 20 0 1 0 {started} {size} {resident} 18446744073709551615 "
    );
    // Code, stack, where it is, signals.
    out!(
        content,
        "0 0 {stack} 0 0 {pending} {blocked} {ignored} {caught} "
    );
    // Waiting, swap, exit signal, processor, real-time, delays, guest time.
    out!(content, "0 0 0 17 0 0 0 0 0 0 ");
    // Data, heap, arguments, environment, exit code.
    out!(content, "0 0 {brk_start} {} {} ", arguments.0, arguments.1);
    out!(content, "{} {} 0\n", environment.0, environment.1);
    Ok(())
}

/// proc_pid_status(5).
pub(super) fn status(_: u32, content: &mut Vec<u8>) -> Result<(), Errno> {
    let process = process::current();
    let pid = process.pid;
    out!(content, "Name:\t");
    content.extend(source::command());
    out!(
        content,
        "\nUmask:\t{:04o}\nState:\tR (running)\n",
        process.fs.lock().umask
    );
    out!(
        content,
        "Tgid:\t{pid}\nNgid:\t0\nPid:\t{pid}\nPPid:\t0\nTracerPid:\t0\n"
    );
    let credentials = process.credentials.lock().clone();
    let (uid, gid) = (&credentials, &credentials);
    out!(
        content,
        "Uid:\t{}\t{}\t{}\t{}\n",
        uid.uid,
        uid.euid,
        uid.suid,
        uid.fsuid
    );
    out!(
        content,
        "Gid:\t{}\t{}\t{}\t{}\n",
        gid.gid,
        gid.egid,
        gid.sgid,
        gid.fsgid
    );
    out!(content, "FDSize:\t64\nGroups:\t");
    for group in &credentials.groups {
        out!(content, "{group} ");
    }
    let size = source::mappings().iter().map(Mapping::bytes).sum::<u64>() / 1024;
    let resident = source::resident_bytes() / 1024;
    let (brk_start, brk) = source::heap();
    let rows = [
        ("VmPeak", size),
        ("VmSize", size),
        ("VmLck", source::locked_bytes() / 1024),
        ("VmPin", 0),
        ("VmHWM", resident),
        ("VmRSS", resident),
        ("RssAnon", resident),
        ("RssFile", 0),
        ("RssShmem", 0),
        ("VmData", brk.saturating_sub(brk_start) / 1024),
        ("VmStk", 0),
        ("VmExe", 0),
        ("VmLib", 0),
        ("VmPTE", 0),
        ("VmSwap", 0),
    ];
    out!(content, "\n");
    for (name, kib) in rows {
        out!(content, "{name}:\t{kib:>8} kB\n");
    }
    let [pending, blocked, ignored, caught] = source::signal_sets();
    out!(
        content,
        "Threads:\t1\nSigQ:\t0/63000\nSigPnd:\t0000000000000000\nShdPnd:\t{pending:016x}\n"
    );
    out!(
        content,
        "SigBlk:\t{blocked:016x}\nSigIgn:\t{ignored:016x}\nSigCgt:\t{caught:016x}\n"
    );
    let [effective, permitted, inheritable] = capabilities(&credentials);
    out!(
        content,
        "CapInh:\t{inheritable:016x}\nCapPrm:\t{permitted:016x}\nCapEff:\t{effective:016x}\n"
    );
    out!(
        content,
        "CapBnd:\t{CAPABILITIES:016x}\nCapAmb:\t{:016x}\n",
        0
    );
    out!(
        content,
        "NoNewPrivs:\t1\nSeccomp:\t0\nSeccomp_filters:\t0\n"
    );
    out!(
        content,
        "Cpus_allowed:\t1\nCpus_allowed_list:\t0\nMems_allowed:\t1\nMems_allowed_list:\t0\n"
    );
    out!(
        content,
        "voluntary_ctxt_switches:\t0\nnonvoluntary_ctxt_switches:\t0\n"
    );
    Ok(())
}

/// Names and units of limits by RLIMIT_* number, as Linux words them.
const LIMITS: [(&str, &str); 16] = [
    ("Max cpu time", "seconds"),
    ("Max file size", "bytes"),
    ("Max data size", "bytes"),
    ("Max stack size", "bytes"),
    ("Max core file size", "bytes"),
    ("Max resident set", "bytes"),
    ("Max processes", "processes"),
    ("Max open files", "files"),
    ("Max locked memory", "bytes"),
    ("Max address space", "bytes"),
    ("Max file locks", "locks"),
    ("Max pending signals", "signals"),
    ("Max msgqueue size", "bytes"),
    ("Max nice priority", ""),
    ("Max realtime priority", ""),
    ("Max realtime timeout", "us"),
];

/// `/proc/PID/limits`.
pub(super) fn limits(_: u32, content: &mut Vec<u8>) -> Result<(), Errno> {
    let limits = process::current().limits.lock().0;
    let shown = |limit: u64| match limit {
        u64::MAX => "unlimited".into(),
        limit => alloc::format!("{limit}"),
    };
    out!(
        content,
        "{:<26}{:<21}{:<21}{:<10}\n",
        "Limit",
        "Soft Limit",
        "Hard Limit",
        "Units"
    );
    for ((name, unit), (soft, hard)) in LIMITS.iter().zip(limits) {
        out!(
            content,
            "{name:<26}{:<21}{:<21}{unit:<10}\n",
            shown(soft),
            shown(hard)
        );
    }
    Ok(())
}

/// `/proc/PID/oom_score_adj`.
pub(super) fn oom_score_adj(_: u32, content: &mut Vec<u8>) -> Result<(), Errno> {
    out!(content, "{}\n", OOM_SCORE_ADJ.load(Ordering::Relaxed));
    Ok(())
}

/// Keeps the value, which has no effect: there is nobody else to kill.
pub(super) fn set_oom_score_adj(bytes: &[u8]) -> Result<(), Errno> {
    let text = core::str::from_utf8(bytes).map_err(|_| Errno::EINVAL)?;
    let value: i32 = text.trim().parse().map_err(|_| Errno::EINVAL)?;
    if !(-1000..=1000).contains(&value) {
        return Err(Errno::EINVAL);
    }
    OOM_SCORE_ADJ.store(value, Ordering::Relaxed);
    Ok(())
}
