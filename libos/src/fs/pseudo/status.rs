//! `/proc/PID/stat` and `status`, of the process and of each thread.

use alloc::vec::Vec;

use linux_raw_sys::general::{PROT_EXEC, PROT_WRITE};

use super::cpu;
use super::item::{Numbers, out};
use super::source::{self, Mapping};
use crate::errno::Errno;
use crate::fs::PAGE_BYTES;
use crate::process::{self, Listed};
use crate::sched;

/// Signals that may be queued.
const QUEUE_MAX: u32 = 63_000;

/// `/proc/PID/stat`.
pub(super) fn stat(_: Numbers, content: &mut Vec<u8>) -> Result<(), Errno> {
    let first = source::thread(process::current().pid())?;
    let cpu_ns = source::process_cpu_ns();
    put_stat(
        content,
        &first,
        cpu_ns,
        process::threads::counts(process::current()).faults,
    );
    Ok(())
}

/// `/proc/PID/task/TID/stat`.
pub(super) fn thread_stat(numbers: Numbers, content: &mut Vec<u8>) -> Result<(), Errno> {
    let thread = source::thread(numbers.last())?;
    put_stat(content, &thread, thread.cpu_ns, thread.counts.faults);
    Ok(())
}

/// The 52 fields of proc_pid_stat(5). All time is user time.
fn put_stat(content: &mut Vec<u8>, thread: &Listed, cpu_ns: u64, faults: u64) {
    let process = process::current();
    let pid = process.pid();
    let (arguments, environment, stack) = {
        let image = process.image.lock();
        (image.arguments, image.environment, image.stack_start)
    };
    let mappings = source::mappings();
    let size: u64 = mappings.iter().map(Mapping::bytes).sum();
    let resident = source::resident_bytes() / PAGE_BYTES;
    let limit = source::resident_limit();
    let started = source::start_ns() / source::TICK_NS;
    let sets = source::signal_sets();
    let (ignored, caught) = (sets.ignored, sets.caught);
    let (pending, blocked) = (thread.pending.bits(), thread.blocked.bits());
    let (brk_start, _) = source::heap();
    let terminal = source::terminal();
    // The process leads its group, which is its terminal's.
    let foreground = if terminal == 0 { -1 } else { i64::from(pid) };
    let count = process::roster(process::current()).len();

    out!(content, "{} (", thread.tid);
    content.extend(source::text(&thread.comm));
    let state = if thread.running { 'R' } else { 'S' };
    // State, parent, group, session, terminal, its group, flags, faults.
    out!(
        content,
        ") {state} 0 {pid} {pid} {terminal} {foreground} 4194560 {faults} 0 0 0 "
    );
    // Times, priority, nice, threads, timer, start, sizes.
    out!(
        content,
        "{} 0 0 0 20 0 {count} 0 {started} {size} {resident} {limit} ",
        cpu_ns / source::TICK_NS
    );
    // Code, stack, where it is, signals.
    out!(
        content,
        "1 1 {stack} 0 0 {pending} {blocked} {ignored} {caught} "
    );
    // Waiting, swap, exit signal, processor, real-time, delays, guest time.
    out!(content, "0 0 0 17 0 0 0 0 0 0 ");
    // Data, heap, arguments, environment, exit code.
    out!(content, "0 0 {brk_start} {} {} ", arguments.0, arguments.1);
    out!(content, "{} {} 0\n", environment.0, environment.1);
}

/// `/proc/PID/status`.
pub(super) fn status(_: Numbers, content: &mut Vec<u8>) -> Result<(), Errno> {
    put_status(content, &source::thread(process::current().pid())?);
    Ok(())
}

/// `/proc/PID/task/TID/status`.
pub(super) fn thread_status(numbers: Numbers, content: &mut Vec<u8>) -> Result<(), Errno> {
    put_status(content, &source::thread(numbers.last())?);
    Ok(())
}

fn put_status(content: &mut Vec<u8>, thread: &Listed) {
    let process = process::current();
    let (pid, tid) = (process.pid(), thread.tid);
    out!(content, "Name:\t");
    content.extend(source::text(&thread.comm));
    let umask = process.fs.lock().umask;
    let state = if thread.running {
        "R (running)"
    } else {
        "S (sleeping)"
    };
    out!(content, "\nUmask:\t{umask:04o}\nState:\t{state}\n");
    out!(
        content,
        "Tgid:\t{pid}\nNgid:\t0\nPid:\t{tid}\nPPid:\t0\nTracerPid:\t0\n"
    );
    put_users(content);
    out!(
        content,
        "NStgid:\t{pid}\nNSpid:\t{tid}\nNSpgid:\t{pid}\nNSsid:\t{pid}\nKthread:\t0\n"
    );
    put_memory(content);
    out!(
        content,
        "CoreDumping:\t0\nTHP_enabled:\t1\nuntag_mask:\t0xffffffffffffffff\nThreads:\t{}\n",
        process::roster(process::current()).len()
    );
    put_signals(content, thread);
    put_capabilities(content);
    let count = sched::cpu_count();
    let mask = thread.affinity & u64::MAX >> (64 - count.clamp(1, 64));
    out!(content, "Cpus_allowed:\t");
    cpu::put_mask(content, mask);
    out!(content, "Cpus_allowed_list:\t");
    cpu::put_ranges(content, mask);
    out!(
        content,
        "\nMems_allowed:\t1\nMems_allowed_list:\t0\nvoluntary_ctxt_switches:\t{}\nnonvoluntary_ctxt_switches:\t{}\n",
        thread.counts.waits,
        thread.counts.preemptions
    );
}

fn put_users(content: &mut Vec<u8>) {
    let own = process::current().credentials.lock().clone();
    out!(
        content,
        "Uid:\t{}\t{}\t{}\t{}\nGid:\t{}\t{}\t{}\t{}\n",
        own.uid,
        own.euid,
        own.suid,
        own.fsuid,
        own.gid,
        own.egid,
        own.sgid,
        own.fsgid
    );
    let highest = process::current().files.lock().numbers().last();
    let room = highest.map_or(0, |fd| fd + 1).next_power_of_two().max(64);
    out!(content, "FDSize:\t{room}\nGroups:\t");
    for group in &own.groups {
        out!(content, "{group} ");
    }
    out!(content, "\n");
}

fn put_memory(content: &mut Vec<u8>) {
    let mappings = source::mappings();
    let file = process::current().image.lock().file.clone();
    let exe = file.map(|file| file.path()).unwrap_or_default();
    let sum = |wanted: &dyn Fn(&Mapping) -> bool| {
        let chosen = mappings.iter().filter(|mapping| wanted(mapping));
        chosen.map(Mapping::bytes).sum::<u64>() / 1024
    };
    let size = sum(&|_| true);
    let is_code = |mapping: &Mapping| mapping.protection & PROT_EXEC != 0;
    let is_stack = |mapping: &Mapping| mapping.name == b"[stack]";
    let data = sum(&|mapping| {
        mapping.protection & PROT_WRITE != 0 && !mapping.shared && !is_stack(mapping)
    });
    let own_code = sum(&|mapping| is_code(mapping) && mapping.name == exe);
    let code = sum(&|mapping| is_code(mapping) && mapping.file.1 != 0);
    let resident = source::resident_bytes() / 1024;
    let peak = (crate::mm::peak_bytes() / 1024).max(resident);
    let rows = [
        ("VmPeak", size),
        ("VmSize", size),
        ("VmLck", source::locked_bytes() / 1024),
        ("VmPin", 0),
        ("VmHWM", peak),
        ("VmRSS", resident),
        ("RssAnon", resident),
        ("RssFile", 0),
        ("RssShmem", 0),
        ("VmData", data),
        ("VmStk", sum(&is_stack)),
        ("VmExe", own_code),
        ("VmLib", code.saturating_sub(own_code)),
        ("VmPTE", 0),
        ("VmSwap", 0),
        ("HugetlbPages", 0),
    ];
    for (name, kib) in rows {
        out!(content, "{name}:\t{kib:>8} kB\n");
    }
}

fn put_signals(content: &mut Vec<u8>, thread: &Listed) {
    let sets = source::signal_sets();
    out!(
        content,
        "SigQ:\t0/{QUEUE_MAX}\nSigPnd:\t{:016x}\nShdPnd:\t{:016x}\n",
        thread.pending.bits(),
        sets.pending
    );
    out!(
        content,
        "SigBlk:\t{:016x}\nSigIgn:\t{:016x}\nSigCgt:\t{:016x}\n",
        thread.blocked.bits(),
        sets.ignored,
        sets.caught
    );
}

fn put_capabilities(content: &mut Vec<u8>) {
    let own = process::current().credentials.lock().capabilities;
    let rows = [
        ("CapInh", own.inheritable),
        ("CapPrm", own.permitted),
        ("CapEff", own.effective),
        ("CapBnd", own.bounding),
        ("CapAmb", own.ambient),
    ];
    for (name, set) in rows {
        out!(content, "{name}:\t{set:016x}\n");
    }
    out!(
        content,
        "NoNewPrivs:\t{}\nSeccomp:\t0\nSeccomp_filters:\t0\n",
        u32::from(source::no_new_privileges())
    );
}
