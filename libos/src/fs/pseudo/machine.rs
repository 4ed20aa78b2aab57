//! Memory, processors and time of the whole guest: `/proc/meminfo`, `stat`,
//! `loadavg`, `uptime`, `vmstat`.

use alloc::vec::Vec;

use super::item::{Numbers, out};
use super::source::{self, TICK_NS};
use crate::errno::Errno;
use crate::fs::PAGE_BYTES;
use crate::fs::memory::used_pages;
use crate::time::SECOND_NS;
use crate::{mm, process, sched};

const KIB: u64 = 1024;

/// `/proc/meminfo`.
pub(super) fn meminfo(_: Numbers, content: &mut Vec<u8>) -> Result<(), Errno> {
    let total = mm::limit_bytes() / KIB;
    let free = mm::available_bytes() / KIB;
    let files = used_pages() * PAGE_BYTES / KIB;
    let used = (mm::used_bytes() / KIB).saturating_sub(files);
    let rows = [
        ("MemTotal", total),
        ("MemFree", free),
        ("MemAvailable", free),
        ("Buffers", 0),
        ("Cached", files),
        ("SwapCached", 0),
        ("Active", used),
        ("Inactive", files),
        ("Active(anon)", used),
        ("Inactive(anon)", files),
        ("Active(file)", 0),
        ("Inactive(file)", 0),
        ("Unevictable", 0),
        ("Mlocked", 0),
        ("SwapTotal", 0),
        ("SwapFree", 0),
        ("Dirty", 0),
        ("Writeback", 0),
        ("AnonPages", used),
        ("Mapped", 0),
        ("Shmem", files),
        ("KReclaimable", 0),
        ("Slab", 0),
        ("SReclaimable", 0),
        ("SUnreclaim", 0),
        ("KernelStack", 0),
        ("PageTables", 0),
        ("CommitLimit", total),
        ("Committed_AS", used),
        ("VmallocTotal", 0),
        ("VmallocUsed", 0),
        ("VmallocChunk", 0),
        ("AnonHugePages", 0),
        ("ShmemHugePages", 0),
    ];
    for (name, kib) in rows {
        let label = alloc::format!("{name}:");
        out!(content, "{label:<16}{kib:>8} kB\n");
    }
    for name in ["Total", "Free", "Rsvd", "Surp"] {
        let label = alloc::format!("HugePages_{name}:");
        out!(content, "{label:<16}{:>8}\n", 0);
    }
    out!(content, "{:<16}{:>8} kB\n", "Hugepagesize:", 2048);
    Ok(())
}

/// `/proc/stat`. The time that was used is spread evenly, the rest is idle.
pub(super) fn stat(_: Numbers, content: &mut Vec<u8>) -> Result<(), Errno> {
    let uptime = source::uptime_ns();
    let count = sched::cpu_count();
    let share = (source::all_cpu_ns() / u64::from(count)).min(uptime);
    let (user, idle) = (share / TICK_NS, (uptime - share) / TICK_NS);
    let all = u64::from(count);
    out!(
        content,
        "cpu  {} 0 0 {} 0 0 0 0 0 0\n",
        user * all,
        idle * all
    );
    for number in 0..count {
        out!(content, "cpu{number} {user} 0 0 {idle} 0 0 0 0 0 0\n");
    }
    let boot = crate::time::realtime_ns().saturating_sub(uptime) / SECOND_NS;
    let threads = process::everybody();
    let running = threads.iter().filter(|thread| thread.running).count();
    out!(
        content,
        "intr 0\nctxt 0\nbtime {boot}\nprocesses {}\nprocs_running {running}\nprocs_blocked 0\nsoftirq 0 0 0 0 0 0 0 0 0 0 0\n",
        process::threads::last_tid()
    );
    Ok(())
}

/// `/proc/loadavg`. The averages are not measured.
pub(super) fn loadavg(_: Numbers, content: &mut Vec<u8>) -> Result<(), Errno> {
    let threads = process::everybody();
    let running = threads.iter().filter(|thread| thread.running).count();
    let newest = process::threads::last_tid();
    out!(
        content,
        "0.00 0.00 0.00 {running}/{} {newest}\n",
        threads.len()
    );
    Ok(())
}

/// `/proc/uptime`.
pub(super) fn uptime(_: Numbers, content: &mut Vec<u8>) -> Result<(), Errno> {
    let uptime = source::uptime_ns();
    let all = uptime.saturating_mul(u64::from(sched::cpu_count()));
    let idle = all.saturating_sub(source::all_cpu_ns());
    let hundredths = |ns: u64| ns % SECOND_NS / TICK_NS;
    out!(
        content,
        "{}.{:02} {}.{:02}\n",
        uptime / SECOND_NS,
        hundredths(uptime),
        idle / SECOND_NS,
        hundredths(idle)
    );
    Ok(())
}

/// `/proc/vmstat`: what there is to count.
pub(super) fn vmstat(_: Numbers, content: &mut Vec<u8>) -> Result<(), Errno> {
    let files = used_pages();
    let used = (mm::used_bytes() / PAGE_BYTES).saturating_sub(files);
    let rows = [
        ("nr_free_pages", mm::available_bytes() / PAGE_BYTES),
        ("nr_inactive_anon", files),
        ("nr_active_anon", used),
        ("nr_anon_pages", used),
        ("nr_mapped", 0),
        ("nr_file_pages", files),
        ("nr_dirty", 0),
        ("nr_writeback", 0),
        ("nr_shmem", files),
        ("pgpgin", 0),
        ("pgpgout", 0),
        ("pswpin", 0),
        ("pswpout", 0),
        ("oom_kill", process::oom::kills()),
    ];
    for (name, value) in rows {
        out!(content, "{name} {value}\n");
    }
    Ok(())
}

/// `/proc/interrupts`: no device raises any.
pub(super) fn interrupts(_: Numbers, content: &mut Vec<u8>) -> Result<(), Errno> {
    out!(content, "           ");
    for number in 0..sched::cpu_count() {
        out!(content, "{:<11}", alloc::format!("CPU{number}"));
    }
    content.push(b'\n');
    Ok(())
}
