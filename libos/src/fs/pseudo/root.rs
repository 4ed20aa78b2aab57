//! The table of `/proc` itself.

use super::item::{Item, Kind, Mounted, directory, fixed, item, link, mount, text};
use super::{cpuinfo, machine, mounts, sysctl, sysvipc, task};
use crate::fs::attributes::PROC_DEVICE;
use crate::process::{self, table};
use crate::syscall::system::{RELEASE, VERSION};

pub(super) static ROOT: Item = item(
    "",
    0o555,
    Kind::Numbered {
        items: ITEMS,
        prefix: "",
        numbers: |_| table::pids(),
        child: &task::PROCESS,
    },
);

/// A container may not change settings of the kernel.
const SETTINGS: Mounted = Mounted {
    device: PROC_DEVICE,
    read_only: true,
};

/// The controllers of control groups, none of them in a hierarchy of the first
/// version: which is how programs tell that there is only the second.
const CONTROLLERS: &str = "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpuset\t0\t1\t1\ncpu\t0\t1\t1\ncpuacct\t0\t1\t1\nmemory\t0\t1\t1\npids\t0\t1\t1\n";

const DEVICES: &str = "Character devices:\n  1 mem\n  5 /dev/tty\n  5 /dev/console\n  5 /dev/ptmx\n128 ptm\n136 pts\n\nBlock devices:\n";

const ITEMS: &[Item] = &[
    link("self", || {
        alloc::format!("{}", process::current().pid()).into_bytes()
    }),
    link("thread-self", || {
        let pid = process::current().pid();
        alloc::format!("{pid}/task/{}", process::thread().tid()).into_bytes()
    }),
    link("net", || b"self/net".to_vec()),
    link("mounts", || b"self/mounts".to_vec()),
    link("net", || b"self/net".to_vec()),
    fixed!("cgroups", "{CONTROLLERS}"),
    fixed!("cmdline", "unikiln\n"),
    text("cpuinfo", cpuinfo::cpuinfo),
    fixed!("devices", "{DEVICES}"),
    fixed!("diskstats", ""),
    directory("driver", &[]),
    fixed!("filesystems", "{}", mounts::FILESYSTEMS),
    directory("fs", &[]),
    text("interrupts", machine::interrupts),
    text("loadavg", machine::loadavg),
    fixed!("locks", ""),
    text("meminfo", machine::meminfo),
    fixed!("modules", ""),
    fixed!("partitions", "major minor  #blocks  name\n\n"),
    text("stat", machine::stat),
    fixed!(
        "swaps",
        "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
    ),
    mount("sys", sysctl::ITEMS, SETTINGS),
    directory("sysvipc", sysvipc::ITEMS),
    text("uptime", machine::uptime),
    fixed!("version", "Linux version {RELEASE} (unikiln) {VERSION}\n"),
    text("vmstat", machine::vmstat),
];
