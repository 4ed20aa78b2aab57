//! The table of `/proc/PID` and `/proc/PID/task/TID`.

use alloc::sync::Arc;
use alloc::vec::Vec;

use linux_raw_sys::general::O_CLOEXEC;

use super::item::{
    Item, Kind, Lead, Numbers, directory, fixed, out, own_setting, own_text, owned, private,
};
use super::{limits, maps, mounts, namespace, net, source, status};
use crate::errno::Errno;
use crate::fs::node::Node;
use crate::fs::open_file::{OpenFile, Origin};
use crate::fs::{overlay, place};
use crate::process::{self, Image, table};

pub(super) static PROCESS: Item = owned("", 0o555, Kind::Directory(PROCESS_ITEMS));

static THREAD: Item = owned("", 0o555, Kind::Directory(THREAD_ITEMS));

/// What the process and each thread have, with the two that differ in owner.
macro_rules! items {
    ($($more:expr,)*) => {
        &[
            $($more,)*
            owned("fd", 0o500, descriptors(&DESCRIPTOR)),
            owned("fdinfo", 0o555, descriptors(&DESCRIPTOR_INFO)),
            owned("ns", 0o511, Kind::Directory(namespace::ITEMS)),
            owned("net", 0o555, Kind::Directory(net::ITEMS)),
            magic("cwd", |numbers| Ok((directory_of(numbers, false)?, None)), |numbers| {
                directory_text(numbers, false)
            }),
            magic("root", |numbers| Ok((directory_of(numbers, true)?, None)), |numbers| {
                directory_text(numbers, true)
            }),
            magic("exe", executable, |numbers| Ok(executable_file(numbers)?.path())),
            private(own_text("auxv", 0o400, |numbers, content| {
                let seen = source::seen(numbers)?;
                if seen.space().is_some() {
                    content.extend_from_slice(&seen.process.image.lock().auxv);
                }
                Ok(())
            })),
            private(own_text("environ", 0o400, |numbers, content| {
                strings(numbers, content, |image| image.environment)
            })),
            own_text("cmdline", 0o444, |numbers, content| {
                strings(numbers, content, |image| image.arguments)
            }),
            own_text("limits", 0o444, limits::limits),
            private(own_text("maps", 0o444, maps::maps)),
            private(own_text("smaps", 0o444, maps::smaps)),
            private(own_text("smaps_rollup", 0o444, maps::smaps_rollup)),
            own_text("statm", 0o444, maps::statm),
            own_text("mounts", 0o444, mounts::mounts),
            own_text("mountinfo", 0o444, mounts::mountinfo),
            own_text("mountstats", 0o400, mounts::mountstats),
            own_text("cgroup", 0o444, |_, content| {
                out!(content, "0::/\n");
                Ok(())
            }),
            own_text("cpuset", 0o444, |_, content| {
                out!(content, "/\n");
                Ok(())
            }),
            own_text("uid_map", 0o644, identity_map),
            own_text("gid_map", 0o644, identity_map),
            own_text("setgroups", 0o644, |_, content| {
                out!(content, "allow\n");
                Ok(())
            }),
            own_text("oom_score", 0o444, limits::oom_score),
            own_setting("oom_adj", 0o644, limits::oom_adj, limits::set_oom_adj),
            own_setting(
                "oom_score_adj",
                0o644,
                limits::oom_score_adj,
                limits::set_oom_score_adj,
            ),
            own_text("loginuid", 0o644, |_, content| {
                out!(content, "4294967295");
                Ok(())
            }),
            own_text("sessionid", 0o444, |_, content| {
                out!(content, "4294967295");
                Ok(())
            }),
            private(own_text("personality", 0o400, |numbers, content| {
                let settings = &source::seen(numbers)?.process.settings;
                out!(content, "{:08x}\n", settings.personality.get());
                Ok(())
            })),
            private(own_text("io", 0o400, |_, content| {
                // Nothing is read from or written to storage, and calls are not counted.
                out!(
                    content,
                    "rchar: 0\nwchar: 0\nsyscr: 0\nsyscw: 0\nread_bytes: 0\nwrite_bytes: 0\ncancelled_write_bytes: 0\n"
                );
                Ok(())
            })),
            own_text("wchan", 0o444, |_, content| {
                out!(content, "0");
                Ok(())
            }),
        ]
    };
}

const PROCESS_ITEMS: &[Item] = items! {
    owned(
        "task",
        0o555,
        Kind::Numbered {
            items: &[],
            prefix: "",
            numbers: |numbers| source::seen(numbers).map_or_else(|_| Vec::new(), |seen| source::tids(&seen)),
            child: &THREAD,
        },
    ),
    own_setting("comm", 0o644, comm, set_comm),
    own_text("stat", 0o444, status::stat),
    own_text("status", 0o444, status::status),
    own_text("sched", 0o644, sched),
    own_text("schedstat", 0o444, schedstat),
    own_setting(
        "coredump_filter",
        0o644,
        limits::coredump_filter,
        limits::set_coredump_filter,
    ),
    directory("attr", &[]),
    fixed!("timers", ""),
};

const THREAD_ITEMS: &[Item] = items! {
    own_setting("comm", 0o644, comm, set_comm),
    own_text("stat", 0o444, status::thread_stat),
    own_text("status", 0o444, status::status),
    own_text("sched", 0o644, sched),
    own_text("schedstat", 0o444, schedstat),
    own_text("children", 0o444, |numbers, content| {
        // Those that other threads made are the first one's, too.
        for child in table::children(numbers.last()) {
            out!(content, "{child} ");
        }
        Ok(())
    }),
    directory("attr", &[]),
};

const fn magic(
    name: &'static str,
    node: Lead,
    text: fn(Numbers) -> Result<Vec<u8>, Errno>,
) -> Item {
    private(owned(
        name,
        0o777,
        Kind::Magic {
            node,
            text,
            mode: None,
        },
    ))
}

static DESCRIPTOR: Item = private(owned(
    "",
    0o700,
    Kind::Magic {
        node: descriptor_node,
        text: descriptor_text,
        mode: Some(descriptor_mode),
    },
));

static DESCRIPTOR_INFO: Item = private(own_text("", 0o444, descriptor_info));

const fn descriptors(child: &'static Item) -> Kind {
    Kind::Numbered {
        items: &[],
        prefix: "",
        numbers: |numbers| {
            let seen = source::seen(numbers);
            seen.map_or_else(
                |_| Vec::new(),
                |seen| seen.process.files.lock().numbers().collect(),
            )
        },
        child,
    }
}

/// Strings of the program, where they are in its memory.
fn strings(
    numbers: Numbers,
    content: &mut Vec<u8>,
    area: fn(&Image) -> (u64, u64),
) -> Result<(), Errno> {
    let seen = source::seen(numbers)?;
    if let Some(space) = seen.space() {
        let area = area(&seen.process.image.lock());
        content.extend(source::program_bytes(&space, area));
    }
    Ok(())
}

fn comm(numbers: Numbers, content: &mut Vec<u8>) -> Result<(), Errno> {
    let seen = source::seen(numbers)?;
    content.extend(source::text(&source::thread(&seen, numbers)?.comm));
    content.push(b'\n');
    Ok(())
}

/// Cut to 15 bytes; written with `echo`, the line end is a part of the name, as in Linux.
/// Nobody names threads of others.
fn set_comm(numbers: Numbers, name: &[u8]) -> Result<(), Errno> {
    if numbers.process() != Some(process::current().pid()) {
        return Err(Errno::EINVAL);
    }
    let mut comm = [0; process::COMM_BYTES];
    for (to, from) in comm.iter_mut().take(process::COMM_BYTES - 1).zip(name) {
        *to = *from;
    }
    process::rename_thread(numbers.last(), comm)
}

/// The first lines of what Linux shows.
fn sched(numbers: Numbers, content: &mut Vec<u8>) -> Result<(), Errno> {
    let seen = source::seen(numbers)?;
    let thread = source::thread(&seen, numbers)?;
    content.extend(source::text(&thread.comm));
    out!(
        content,
        " ({}, #threads: {})\n{:-<67}\n",
        thread.tid,
        process::roster(seen.process).len(),
        ""
    );
    let ms = thread.cpu_ns / 1_000_000;
    let fraction = thread.cpu_ns % 1_000_000;
    out!(
        content,
        "{:<45}:{ms:>14}.{fraction:06}\n",
        "se.sum_exec_runtime"
    );
    let switches = thread.counts.waits + thread.counts.preemptions;
    for (name, value) in [("nr_switches", switches), ("policy", 0), ("prio", 120)] {
        out!(content, "{name:<45}:{value:>21}\n");
    }
    Ok(())
}

/// Time on a processor; waiting and slices are not counted.
fn schedstat(numbers: Numbers, content: &mut Vec<u8>) -> Result<(), Errno> {
    let seen = source::seen(numbers)?;
    out!(content, "{} 0 0\n", source::thread(&seen, numbers)?.cpu_ns);
    Ok(())
}

/// The file behind a descriptor; ENOENT where that is closed.
fn descriptor(numbers: Numbers) -> Result<Arc<OpenFile>, Errno> {
    let files = source::seen(numbers)?.process.files.lock();
    files.get(numbers.last() as i32).map_err(|_| Errno::ENOENT)
}

fn descriptor_node(numbers: Numbers) -> Result<(Node, Option<Origin>), Errno> {
    let file = descriptor(numbers)?;
    let origin = file.origin().cloned();
    Ok((file.node().unwrap_or(Node::Open(file)), origin))
}

fn descriptor_text(numbers: Numbers) -> Result<Vec<u8>, Errno> {
    Ok(descriptor(numbers)?.path())
}

/// Read and write permission tell how the descriptor was opened.
fn descriptor_mode(numbers: Numbers) -> u32 {
    let Ok(file) = descriptor(numbers) else {
        return 0;
    };
    let bit = |opened: bool, bit: u32| if opened { bit } else { 0 };
    bit(file.readable(), 0o500) | bit(file.writable(), 0o300)
}

fn descriptor_info(numbers: Numbers, content: &mut Vec<u8>) -> Result<(), Errno> {
    let fd = numbers.last() as i32;
    let seen = source::seen(numbers)?;
    let (file, close) = {
        let files = seen.process.files.lock();
        // Closed since it was opened here, be it with the process.
        let file = files.get(fd).map_err(|_| Errno::ENOENT)?;
        let close = if files.closes_on_exec(fd)? {
            O_CLOEXEC
        } else {
            0
        };
        (file, close)
    };
    let attributes = file.attributes()?;
    out!(
        content,
        "pos:\t{}\nflags:\t0{:o}\nmnt_id:\t{}\nino:\t{}\n",
        file.position(),
        file.flags() & !O_CLOEXEC | close,
        mounts::id(attributes.device),
        attributes.ino
    );
    content.extend(file.file().info());
    Ok(())
}

/// Working directory or root; ENOENT where the process has ended.
fn directory_of(numbers: Numbers, root: bool) -> Result<Node, Errno> {
    let seen = source::seen(numbers)?;
    let fs = seen.process.fs.lock();
    match seen.ended {
        Some(_) => Err(Errno::ENOENT),
        None if root => fs.root(),
        None => fs.directory(),
    }
}

fn directory_text(numbers: Numbers, root: bool) -> Result<Vec<u8>, Errno> {
    place::directory_path(&directory_of(numbers, root)?, &overlay::overlay()?.root())
}

fn executable_file(numbers: Numbers) -> Result<Arc<OpenFile>, Errno> {
    let image = source::seen(numbers)?.process.image.lock();
    image.file.clone().ok_or(Errno::ENOENT)
}

fn executable(numbers: Numbers) -> Result<(Node, Option<Origin>), Errno> {
    let file = executable_file(numbers)?;
    let origin = file.origin().cloned();
    Ok((file.node().ok_or(Errno::ENOENT)?, origin))
}

fn identity_map(_: Numbers, content: &mut Vec<u8>) -> Result<(), Errno> {
    out!(content, "         0          0 4294967295\n");
    Ok(())
}
