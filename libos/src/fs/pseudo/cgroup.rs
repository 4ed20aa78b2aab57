//! `/sys/fs/cgroup`: the one control group of the guest, of the second version,
//! as runtimes read their limits from it. The memory limit is the guest's; the
//! processors are limited by their number, not by time.

use alloc::vec::Vec;

use super::cpu;
use super::item::{Item, Numbers, fixed, out, text};
use super::source;
use crate::errno::Errno;
use crate::fs::PAGE_BYTES;
use crate::fs::memory::used_pages;
use crate::process::{table, thread_limit, threads};
use crate::{mm, process};

pub(super) const ITEMS: &[Item] = &[
    fixed!("cgroup.controllers", "cpuset cpu memory pids\n"),
    fixed!("cgroup.events", "populated 1\nfrozen 0\n"),
    fixed!("cgroup.freeze", "0\n"),
    fixed!("cgroup.max.depth", "max\n"),
    fixed!("cgroup.max.descendants", "max\n"),
    text("cgroup.procs", |_, content| {
        for pid in table::running(|_, _| true) {
            out!(content, "{pid}\n");
        }
        Ok(())
    }),
    fixed!("cgroup.stat", "nr_descendants 0\nnr_dying_descendants 0\n"),
    fixed!("cgroup.subtree_control", ""),
    text("cgroup.threads", |_, content| {
        for thread in process::everybody() {
            out!(content, "{}\n", thread.tid);
        }
        Ok(())
    }),
    fixed!("cgroup.type", "domain\n"),
    fixed!("cpu.max", "max 100000\n"),
    fixed!("cpu.max.burst", "0\n"),
    text("cpu.stat", |_, content| {
        let used = source::all_cpu_ns() / 1000;
        out!(
            content,
            "usage_usec {used}\nuser_usec {used}\nsystem_usec 0\nnr_periods 0\nnr_throttled 0\nthrottled_usec 0\n"
        );
        Ok(())
    }),
    fixed!("cpu.weight", "100\n"),
    fixed!("cpu.weight.nice", "0\n"),
    fixed!("cpuset.cpus", "\n"),
    text("cpuset.cpus.effective", cpu::online),
    fixed!("cpuset.mems", "\n"),
    fixed!("cpuset.mems.effective", "0\n"),
    text("memory.current", |_, content| {
        out!(content, "{}\n", mm::used_bytes());
        Ok(())
    }),
    text("memory.events", memory_events),
    text("memory.events.local", memory_events),
    fixed!("memory.high", "max\n"),
    fixed!("memory.low", "0\n"),
    text("memory.max", |_, content| {
        out!(content, "{}\n", mm::limit_bytes());
        Ok(())
    }),
    fixed!("memory.min", "0\n"),
    fixed!("memory.oom.group", "0\n"),
    text("memory.peak", |_, content| {
        out!(content, "{}\n", mm::peak_bytes().max(mm::used_bytes()));
        Ok(())
    }),
    text("memory.stat", memory_stat),
    fixed!("memory.swap.current", "0\n"),
    fixed!("memory.swap.high", "max\n"),
    fixed!("memory.swap.max", "0\n"),
    text("pids.current", |_, content| {
        // Those that were not waited for keep their place.
        out!(content, "{}\n", threads::pids());
        Ok(())
    }),
    text("pids.events", |_, content| {
        out!(content, "max {}\n", thread_limit::reached());
        Ok(())
    }),
    text("pids.max", |_, content| {
        match thread_limit::limit_of_guest() {
            Some(limit) => out!(content, "{limit}\n"),
            None => out!(content, "max\n"),
        }
        Ok(())
    }),
];

fn memory_events(_: Numbers, content: &mut Vec<u8>) -> Result<(), Errno> {
    let kills = process::oom::kills();
    out!(content, "low 0\nhigh 0\nmax {kills}\noom {kills}\n");
    out!(content, "oom_kill {kills}\noom_group_kill 0\n");
    Ok(())
}

fn memory_stat(_: Numbers, content: &mut Vec<u8>) -> Result<(), Errno> {
    let files = used_pages() * PAGE_BYTES;
    let used = source::used_bytes();
    let rows = [
        ("anon", used),
        ("file", files),
        ("kernel", 0),
        ("kernel_stack", 0),
        ("pagetables", 0),
        ("sock", 0),
        ("shmem", files),
        ("file_mapped", 0),
        ("file_dirty", 0),
        ("file_writeback", 0),
        ("swapcached", 0),
        ("anon_thp", 0),
        ("inactive_anon", files),
        ("active_anon", used),
        ("inactive_file", 0),
        ("active_file", 0),
        ("unevictable", 0),
        ("slab", 0),
        ("pgfault", 0),
        ("pgmajfault", 0),
    ];
    for (name, value) in rows {
        out!(content, "{name} {value}\n");
    }
    Ok(())
}
