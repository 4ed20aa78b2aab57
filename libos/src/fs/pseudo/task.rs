//! The table of `/proc/PID` and `/proc/PID/task/TID`.

use alloc::vec;
use alloc::vec::Vec;

use linux_raw_sys::general::{O_CLOEXEC, PROT_EXEC, PROT_READ, PROT_WRITE};

use super::item::{Item, Kind, directory, out, owned, setting, text};
use super::source::{self, Mapping};
use super::{mounts, status};
use crate::errno::Errno;
use crate::fs::access::Caller;
use crate::fs::memory::used_pages;
use crate::fs::node::Node;
use crate::fs::path::Resolver;
use crate::fs::{PAGE_BYTES, overlay, place};
use crate::net::unix::listing;
use crate::process;

pub(super) static PROCESS: Item = Item {
    name: "",
    mode: 0o555,
    owned: true,
    kind: Kind::Directory(PROCESS_ITEMS),
};

static THREAD: Item = Item {
    name: "",
    mode: 0o555,
    owned: true,
    kind: Kind::Directory(THREAD_ITEMS),
};

const PROCESS_ITEMS: &[Item] = &[
    Item {
        name: "fd",
        mode: 0o500,
        owned: true,
        kind: Kind::Numbered {
            items: &[],
            numbers: descriptors,
            child: &DESCRIPTOR,
        },
    },
    Item {
        name: "fdinfo",
        mode: 0o555,
        owned: true,
        kind: Kind::Numbered {
            items: &[],
            numbers: descriptors,
            child: &DESCRIPTOR_INFO,
        },
    },
    Item {
        name: "task",
        mode: 0o555,
        owned: true,
        kind: Kind::Numbered {
            items: &[],
            numbers: || vec![process::thread().tid()],
            child: &THREAD,
        },
    },
    magic(
        "cwd",
        |_| process::current().fs.lock().directory(),
        |_| directory_text(false),
    ),
    magic(
        "root",
        |_| process::current().fs.lock().root(),
        |_| directory_text(true),
    ),
    magic(
        "exe",
        |_| executable(),
        |_| Ok(process::current().image.lock().exe.clone()),
    ),
    owned("auxv", 0o400, |_, content| {
        content.extend_from_slice(&process::current().image.lock().auxv);
        Ok(())
    }),
    owned("environ", 0o400, |_, content| {
        let area = process::current().image.lock().environment;
        content.extend(source::program_bytes(area));
        Ok(())
    }),
    text("cmdline", cmdline),
    COMM,
    text("limits", status::limits),
    text("maps", maps),
    text("smaps", smaps),
    text("smaps_rollup", smaps_rollup),
    text("mounts", mounts::mounts),
    text("mountinfo", mounts::mountinfo),
    text("cgroup", |_, content| {
        out!(content, "0::/\n");
        Ok(())
    }),
    text("stat", status::stat),
    text("statm", statm),
    text("status", status::status),
    text("uid_map", identity_map),
    text("gid_map", identity_map),
    text("wchan", |_, content| {
        out!(content, "0");
        Ok(())
    }),
    text("oom_score", |_, content| {
        out!(content, "0\n");
        Ok(())
    }),
    setting(
        "oom_score_adj",
        0o644,
        true,
        status::oom_score_adj,
        status::set_oom_score_adj,
    ),
    text("loginuid", |_, content| {
        out!(content, "4294967295");
        Ok(())
    }),
    text("io", |_, content| {
        out!(
            content,
            "rchar: 0\nwchar: 0\nsyscr: 0\nsyscw: 0\nread_bytes: 0\nwrite_bytes: 0\ncancelled_write_bytes: 0\n"
        );
        Ok(())
    }),
    directory(
        "net",
        &[text("unix", |_, content| {
            content.extend(listing::text());
            Ok(())
        })],
    ),
];

const COMM: Item = setting(
    "comm",
    0o644,
    true,
    |_, content| {
        content.extend(source::command());
        content.push(b'\n');
        Ok(())
    },
    source::set_command,
);

const THREAD_ITEMS: &[Item] = &[
    COMM,
    text("cmdline", cmdline),
    text("maps", maps),
    text("stat", status::stat),
    text("statm", statm),
    text("status", status::status),
    text("limits", status::limits),
    text("cgroup", |_, content| {
        out!(content, "0::/\n");
        Ok(())
    }),
];

const fn magic(
    name: &'static str,
    node: fn(u32) -> Result<Node, Errno>,
    text: fn(u32) -> Result<Vec<u8>, Errno>,
) -> Item {
    Item {
        name,
        mode: 0o777,
        owned: true,
        kind: Kind::Magic { node, text },
    }
}

static DESCRIPTOR: Item = Item {
    name: "",
    mode: 0o700,
    owned: true,
    kind: Kind::Magic {
        node: descriptor_node,
        text: descriptor_text,
    },
};

static DESCRIPTOR_INFO: Item = owned("", 0o444, descriptor_info);

fn descriptors() -> Vec<u32> {
    process::current().files.lock().numbers().collect()
}

fn descriptor_node(fd: u32) -> Result<Node, Errno> {
    let file = process::current().files.lock().get(fd as i32)?;
    Ok(file.node().unwrap_or(Node::Open(file)))
}

fn descriptor_text(fd: u32) -> Result<Vec<u8>, Errno> {
    let file = process::current().files.lock().get(fd as i32)?;
    Ok(file.path())
}

fn descriptor_info(fd: u32, content: &mut Vec<u8>) -> Result<(), Errno> {
    let files = &process::current().files;
    let file = files.lock().get(fd as i32)?;
    let close = if files.lock().closes_on_exec(fd as i32)? {
        O_CLOEXEC
    } else {
        0
    };
    let ino = file.attributes()?.ino;
    out!(
        content,
        "pos:\t{}\nflags:\t0{:o}\nmnt_id:\t20\nino:\t{ino}\n",
        file.position(),
        file.flags() | close
    );
    content.extend(file.file().info());
    Ok(())
}

fn directory_text(root: bool) -> Result<Vec<u8>, Errno> {
    let (directory, top) = {
        let fs = process::current().fs.lock();
        (
            if root { fs.root()? } else { fs.directory()? },
            overlay::overlay()?.root(),
        )
    };
    place::directory_path(&directory, &top)
}

fn executable() -> Result<Node, Errno> {
    let path = process::current().image.lock().exe.clone();
    let root = overlay::overlay()?.root();
    Resolver::new(&Caller::default(), &root)
        .find(&root, &path, true)?
        .node
        .ok_or(Errno::ENOENT)
}

fn cmdline(_: u32, content: &mut Vec<u8>) -> Result<(), Errno> {
    let area = process::current().image.lock().arguments;
    content.extend(source::program_bytes(area));
    Ok(())
}

fn put_mapping(content: &mut Vec<u8>, mapping: &Mapping) {
    let flag = |bit: u32, letter: char| {
        if mapping.protection & bit != 0 {
            letter
        } else {
            '-'
        }
    };
    let start = content.len();
    out!(content, "{:08x}-{:08x} ", mapping.start, mapping.end);
    out!(
        content,
        "{}{}{}",
        flag(PROT_READ, 'r'),
        flag(PROT_WRITE, 'w'),
        flag(PROT_EXEC, 'x')
    );
    let (device, ino) = mapping.file;
    out!(
        content,
        "{} {:08x} ",
        if mapping.shared { 's' } else { 'p' },
        mapping.offset
    );
    out!(content, "{:02x}:{:02x} {ino}", device >> 8, device & 0xff);
    if !mapping.name.is_empty() {
        // Linux puts the name at column 73.
        let width = (content.len() - start + 1).max(73);
        content.resize(start + width, b' ');
        content.extend_from_slice(&mapping.name);
    }
    content.push(b'\n');
}

fn maps(_: u32, content: &mut Vec<u8>) -> Result<(), Errno> {
    for mapping in source::mappings() {
        put_mapping(content, &mapping);
    }
    Ok(())
}

/// Sizes without what is resident: mappings are not walked page by page.
fn smaps(_: u32, content: &mut Vec<u8>) -> Result<(), Errno> {
    for mapping in source::mappings() {
        put_mapping(content, &mapping);
        put_sizes(content, mapping.bytes() / 1024, 0);
    }
    Ok(())
}

fn smaps_rollup(_: u32, content: &mut Vec<u8>) -> Result<(), Errno> {
    let mappings = source::mappings();
    let (start, end) = (
        mappings.first().map_or(0, |m| m.start),
        mappings.last().map_or(0, |m| m.end),
    );
    out!(
        content,
        "{start:08x}-{end:08x} ---p 00000000 00:00 0                                  [rollup]\n"
    );
    put_sizes(content, 0, source::resident_bytes() / 1024);
    Ok(())
}

fn put_sizes(content: &mut Vec<u8>, size_kib: u64, resident_kib: u64) {
    if size_kib > 0 {
        out!(content, "Size:           {size_kib:>8} kB\n");
    }
    for name in ["Rss:", "Pss:", "Private_Dirty:"] {
        out!(content, "{name:<16}{resident_kib:>8} kB\n");
    }
}

fn statm(_: u32, content: &mut Vec<u8>) -> Result<(), Errno> {
    let mappings = source::mappings();
    let pages = |wanted: u32| {
        let bytes = mappings
            .iter()
            .filter(|m| m.protection & wanted == wanted)
            .map(Mapping::bytes);
        bytes.sum::<u64>() / PAGE_BYTES
    };
    let resident = source::resident_bytes() / PAGE_BYTES;
    out!(
        content,
        "{} {resident} {} {} 0 {} 0\n",
        pages(0),
        used_pages(),
        pages(PROT_EXEC),
        pages(PROT_WRITE)
    );
    Ok(())
}

fn identity_map(_: u32, content: &mut Vec<u8>) -> Result<(), Errno> {
    out!(content, "         0          0 4294967295\n");
    Ok(())
}
