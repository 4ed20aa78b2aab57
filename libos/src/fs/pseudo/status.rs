//! `/proc/PID/stat` and `status`, of the process and of each thread.

use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use linux_raw_sys::general::{PROT_EXEC, PROT_WRITE};

use super::cpu;
use super::item::{Numbers, out};
use super::source::{self, Mapping, Resident};
use crate::dev::terminal;
use crate::errno::Errno;
use crate::fs::PAGE_BYTES;
use crate::mm::space::AddressSpace;
use crate::process::table::Seen;
use crate::process::usage::Used;
use crate::process::{self, Listed, Process, inspect};
use crate::sched;

/// Signals that may be queued.
const QUEUE_MAX: u32 = 63_000;
/// Flags of an ordinary process: PF_RANDOMIZE, PF_SUPERPRIV.
const FLAGS: u32 = 0x40_0100;
/// It was forked and has called no execve since.
const PF_FORKNOEXEC: u32 = 0x40;

/// `/proc/PID/stat`.
pub(super) fn stat(numbers: Numbers, content: &mut Vec<u8>) -> Result<(), Errno> {
    let seen = source::seen(numbers)?;
    let first = source::thread(&seen, numbers)?;
    let children = seen.process.waited_for.get();
    let own = Used {
        own: process::threads::counts(seen.process),
        cpu_ns: source::cpu_ns(seen.process),
    };
    put_stat(content, &seen, &first, own, children);
    Ok(())
}

/// `/proc/PID/task/TID/stat`.
pub(super) fn thread_stat(numbers: Numbers, content: &mut Vec<u8>) -> Result<(), Errno> {
    let seen = source::seen(numbers)?;
    let thread = source::thread(&seen, numbers)?;
    let own = Used {
        own: thread.counts,
        cpu_ns: thread.cpu_ns,
    };
    put_stat(content, &seen, &thread, own, seen.process.waited_for.get());
    Ok(())
}

/// A thread's state: letter and word.
fn state(seen: &Seen, thread: &Listed) -> (char, &'static str) {
    let is_first = thread.tid == seen.pid;
    if is_first && !process::threads::exists(thread.tid) {
        ('Z', "zombie")
    } else if seen.process.signals.lock().stop.is_stopped() {
        ('T', "stopped")
    } else if thread.running {
        ('R', "running")
    } else {
        ('S', "sleeping")
    }
}

/// The 52 fields of proc_pid_stat(5). All time is user time.
fn put_stat(content: &mut Vec<u8>, seen: &Seen, thread: &Listed, own: Used, children: Used) {
    let (process, kin) = (seen.process, seen.kin);
    let may_inspect = inspect::may_inspect(process, inspect::Identity::File);
    let space = seen.space();
    let mappings = space.as_ref().map(|space| source::mappings(space));
    let mappings = mappings.unwrap_or_default();
    let size: u64 = mappings.iter().map(Mapping::bytes).sum();
    let resident = space.as_ref().map_or(0, |space| {
        Resident::of(space, &mappings).bytes() / PAGE_BYTES
    });
    // Where things are is for those alone who may look at them.
    let shown = space.filter(|_| may_inspect);
    let brk_start = shown.as_ref().map_or(0, |space| space.lock().brk_start);
    let image = process.image.lock();
    let started = image.start_ns / source::TICK_NS;
    let (stack, arguments, environment) = match shown {
        Some(_) => (image.stack_start, image.arguments, image.environment),
        None => (0, (0, 0), (0, 0)),
    };
    drop(image);
    let sets = source::signal_sets(process);
    let (pending, blocked) = (thread.pending.bits(), thread.blocked.bits());
    let (terminal, foreground) = terminal::shown(kin.session);
    let flags = if kin.has_program {
        FLAGS
    } else {
        FLAGS | PF_FORKNOEXEC
    };
    let ended = seen.ended.filter(|_| may_inspect);

    out!(content, "{} (", thread.tid);
    content.extend(source::text(&thread.comm));
    // State, parent, group, session, terminal, its group.
    out!(
        content,
        ") {} {} {} {} {terminal} {foreground} ",
        state(seen, thread).0,
        kin.parent,
        kin.group,
        kin.session
    );
    // Flags, faults.
    let (faults, more) = (own.own.faults, children.own.faults);
    out!(content, "{flags} {faults} {more} 0 0 ");
    // Times, priority, nice, threads, timer, start, sizes.
    out!(
        content,
        "{} 0 {} 0 {} {} {} 0 {started} {size} {resident} {} ",
        own.cpu_ns / source::TICK_NS,
        children.cpu_ns / source::TICK_NS,
        20 + thread.nice,
        thread.nice,
        process.threads.load(Ordering::Relaxed).max(1),
        source::resident_limit(process)
    );
    // Code, stack, where it is, signals.
    let code = u32::from(size > 0);
    out!(
        content,
        "{code} {code} {stack} 0 0 {pending} {blocked} {} {} ",
        sets.ignored,
        sets.caught
    );
    // Waiting, swap, exit signal, processor, real-time, delays, guest time.
    out!(
        content,
        "0 0 0 {} {} 0 0 0 0 0 ",
        kin.exit_signal,
        thread.cpu
    );
    // Data, heap, arguments, environment, exit code.
    out!(content, "0 0 {brk_start} {} {} ", arguments.0, arguments.1);
    let code = ended.map_or(0, |ended| ended.status.0);
    out!(content, "{} {} {code}\n", environment.0, environment.1);
}

/// `/proc/PID/status` and `/proc/PID/task/TID/status`.
pub(super) fn status(numbers: Numbers, content: &mut Vec<u8>) -> Result<(), Errno> {
    let seen = source::seen(numbers)?;
    let thread = source::thread(&seen, numbers)?;
    let (process, kin) = (seen.process, seen.kin);
    let (pid, tid) = (seen.pid, thread.tid);
    let space = seen.space();
    out!(content, "Name:\t");
    content.extend(source::text(&thread.comm));
    if space.is_some() {
        out!(content, "\nUmask:\t{:04o}", process.fs.lock().umask);
    }
    let (letter, word) = state(&seen, &thread);
    out!(content, "\nState:\t{letter} ({word})\n");
    out!(
        content,
        "Tgid:\t{pid}\nNgid:\t0\nPid:\t{tid}\nPPid:\t{}\nTracerPid:\t0\n",
        kin.parent
    );
    put_users(content, process);
    out!(
        content,
        "NStgid:\t{pid}\nNSpid:\t{tid}\nNSpgid:\t{}\nNSsid:\t{}\nKthread:\t0\n",
        kin.group,
        kin.session
    );
    if let Some(space) = space {
        put_memory(content, process, &space);
    }
    out!(
        content,
        "CoreDumping:\t0\nTHP_enabled:\t1\nuntag_mask:\t0xffffffffffffffff\nThreads:\t{}\n",
        process.threads.load(Ordering::Relaxed).max(1)
    );
    put_signals(content, process, &thread);
    put_capabilities(content, process);
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
    Ok(())
}

fn put_users(content: &mut Vec<u8>, process: &Process) {
    let own = process.credentials.lock().clone();
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
    let highest = process.files.lock().numbers().last();
    let room = highest.map_or(0, |fd| (fd + 1).next_power_of_two().max(64));
    out!(content, "FDSize:\t{room}\nGroups:\t");
    for group in &own.groups {
        out!(content, "{group} ");
    }
    out!(content, "\n");
}

fn put_memory(content: &mut Vec<u8>, process: &Process, space: &AddressSpace) {
    let mappings = source::mappings(space);
    let file = process.image.lock().file.clone();
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
    let Resident { own, shared, .. } = Resident::of(space, &mappings);
    let resident = (own + shared) / 1024;
    // The peak is the guest's, which is the first process's as long as that is alone.
    let peak = if process.is_init() {
        (crate::mm::peak_bytes() / 1024).max(resident)
    } else {
        resident
    };
    let rows = [
        ("VmPeak", size),
        ("VmSize", size),
        ("VmLck", space.lock().locked_bytes() / 1024),
        ("VmPin", 0),
        ("VmHWM", peak),
        ("VmRSS", resident),
        ("RssAnon", own / 1024),
        ("RssFile", shared / 1024),
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

fn put_signals(content: &mut Vec<u8>, process: &Process, thread: &Listed) {
    let sets = source::signal_sets(process);
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

fn put_capabilities(content: &mut Vec<u8>, process: &Process) {
    let own = process.credentials.lock().capabilities;
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
        process.settings.no_new_privileges.get()
    );
}
