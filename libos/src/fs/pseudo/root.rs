//! The table of `/proc` itself.

use alloc::vec;
use alloc::vec::Vec;

use unikiln_abi::boot::BootInfo;

use super::item::{Item, Kind, directory, link, out, text};
use super::{mounts, source, sysctl, task};
use crate::errno::Errno;
use crate::fs::PAGE_BYTES;
use crate::fs::memory::used_pages;
use crate::syscall::system::{RELEASE, VERSION};
use crate::time::SECOND_NS;
use crate::{boot, mm, process};

pub(super) static ROOT: Item = Item {
    name: "",
    mode: 0o555,
    owned: false,
    kind: Kind::Numbered {
        items: ITEMS,
        numbers: || vec![process::current().pid],
        child: &task::PROCESS,
    },
};

const ITEMS: &[Item] = &[
    link("self", || {
        alloc::format!("{}", process::current().pid).into_bytes()
    }),
    link("thread-self", || {
        let pid = process::current().pid;
        alloc::format!("{pid}/task/{}", process::thread().tid()).into_bytes()
    }),
    link("net", || b"self/net".to_vec()),
    link("mounts", || b"self/mounts".to_vec()),
    text("cmdline", |_, content| {
        out!(content, "unikiln\n");
        Ok(())
    }),
    text("cpuinfo", cpuinfo),
    text("filesystems", |_, content| {
        out!(content, "{}", mounts::FILESYSTEMS);
        Ok(())
    }),
    text("loadavg", |_, content| {
        out!(content, "0.00 0.00 0.00 1/1 {}\n", process::current().pid);
        Ok(())
    }),
    text("meminfo", meminfo),
    text("stat", stat),
    directory("sys", sysctl::ITEMS),
    text("uptime", |_, content| {
        let uptime = source::uptime_ns();
        let seconds = uptime / SECOND_NS;
        let hundredths = uptime % SECOND_NS / source::TICK_NS;
        out!(content, "{seconds}.{hundredths:02} 0.00\n");
        Ok(())
    }),
    text("version", |_, content| {
        out!(content, "Linux version {RELEASE} (unikiln) {VERSION}\n");
        Ok(())
    }),
    text("vmstat", |_, content| {
        out!(
            content,
            "nr_free_pages {}\n",
            mm::available_bytes() / PAGE_BYTES
        );
        Ok(())
    }),
];

fn cpu_count() -> u32 {
    boot::info().map_or(1, |info: &BootInfo| info.vcpu_count.max(1))
}

fn meminfo(_: u32, content: &mut Vec<u8>) -> Result<(), Errno> {
    const KIB: u64 = 1024;
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
        ("Inactive", 0),
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
        ("CommitLimit", total),
        ("Committed_AS", used),
        ("VmallocTotal", 0),
        ("VmallocUsed", 0),
        ("Hugepagesize", 2048),
    ];
    for (name, kib) in rows {
        let label = alloc::format!("{name}:");
        out!(content, "{label:<16}{kib:>8} kB\n");
    }
    Ok(())
}

fn cpuinfo(_: u32, content: &mut Vec<u8>) -> Result<(), Errno> {
    let processor = source::processor();
    let khz = boot::info().map_or(0, |info| info.tsc_khz);
    for number in 0..cpu_count() {
        out!(content, "processor\t: {number}\n");
        out!(content, "vendor_id\t: {}\n", processor.vendor);
        out!(content, "cpu family\t: {}\n", processor.family);
        out!(content, "model\t\t: {}\n", processor.model);
        out!(content, "model name\t: {}\n", processor.model_name);
        out!(content, "stepping\t: {}\n", processor.stepping);
        out!(content, "cpu MHz\t\t: {}.{:03}\n", khz / 1000, khz % 1000);
        out!(
            content,
            "physical id\t: 0\nsiblings\t: {0}\ncore id\t\t: {number}\ncpu cores\t: {0}\n",
            cpu_count()
        );
        out!(content, "fpu\t\t: yes\n");
        out!(content, "flags\t\t: {}\n", processor.flags.join(" "));
        out!(content, "bogomips\t: {}.{:02}\n", khz / 500, khz / 5 % 100);
        out!(content, "clflush size\t: 64\ncache_alignment\t: 64\n");
        out!(
            content,
            "address sizes\t: 39 bits physical, 48 bits virtual\n\n"
        );
    }
    Ok(())
}

/// All time is user time of the one process.
fn stat(_: u32, content: &mut Vec<u8>) -> Result<(), Errno> {
    let uptime = source::uptime_ns();
    let user = uptime.saturating_sub(source::start_ns()) / source::TICK_NS;
    out!(content, "cpu  {user} 0 0 0 0 0 0 0 0 0\n");
    for number in 0..cpu_count() {
        let share = if number == 0 { user } else { 0 };
        out!(content, "cpu{number} {share} 0 0 0 0 0 0 0 0 0\n");
    }
    let boot = crate::time::realtime_ns().saturating_sub(uptime) / SECOND_NS;
    out!(
        content,
        "intr 0\nctxt 0\nbtime {boot}\nprocesses 1\nprocs_running 1\nprocs_blocked 0\n"
    );
    Ok(())
}
