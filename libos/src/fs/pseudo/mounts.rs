//! What is mounted, as `/proc/PID/mounts` and `mountinfo` tell it.

use alloc::vec::Vec;

use super::item::out;
use crate::errno::Errno;
use crate::fs::attributes::{DEV_DEVICE, PROC_DEVICE, ROOT_DEVICE, SHM_DEVICE, SYS_DEVICE};

/// `/proc/filesystems`.
pub(super) const FILESYSTEMS: &str =
    "nodev\tsysfs\nnodev\ttmpfs\nnodev\tproc\nnodev\toverlay\n\terofs\n";

struct Mount {
    id: u32,
    parent: u32,
    device: u64,
    source: &'static str,
    target: &'static str,
    kind: &'static str,
    options: &'static str,
}

const MOUNTS: &[Mount] = &[
    Mount {
        id: 20,
        parent: 1,
        device: ROOT_DEVICE,
        source: "overlay",
        target: "/",
        kind: "overlay",
        options: "rw,noatime",
    },
    Mount {
        id: 21,
        parent: 20,
        device: PROC_DEVICE,
        source: "proc",
        target: "/proc",
        kind: "proc",
        options: "rw,nosuid,nodev,noexec,noatime",
    },
    Mount {
        id: 22,
        parent: 20,
        device: DEV_DEVICE,
        source: "tmpfs",
        target: "/dev",
        kind: "tmpfs",
        options: "rw,nosuid,noatime",
    },
    Mount {
        id: 23,
        parent: 22,
        device: SHM_DEVICE,
        source: "shm",
        target: "/dev/shm",
        kind: "tmpfs",
        options: "rw,nosuid,nodev,noexec,noatime",
    },
    Mount {
        id: 24,
        parent: 20,
        device: SYS_DEVICE,
        source: "sysfs",
        target: "/sys",
        kind: "sysfs",
        options: "ro,nosuid,nodev,noexec,noatime",
    },
    Mount {
        id: 25,
        parent: 24,
        device: SYS_DEVICE,
        source: "cgroup",
        target: "/sys/fs/cgroup",
        kind: "cgroup2",
        options: "ro,nosuid,nodev,noexec,noatime",
    },
];

/// `/proc/PID/mounts`.
pub(super) fn mounts(_: u32, content: &mut Vec<u8>) -> Result<(), Errno> {
    for mount in MOUNTS {
        let Mount {
            source,
            target,
            kind,
            options,
            ..
        } = mount;
        out!(content, "{source} {target} {kind} {options} 0 0\n");
    }
    Ok(())
}

/// `/proc/PID/mountinfo`.
pub(super) fn mountinfo(_: u32, content: &mut Vec<u8>) -> Result<(), Errno> {
    for mount in MOUNTS {
        let Mount {
            id,
            parent,
            device,
            source,
            target,
            kind,
            options,
        } = mount;
        let access = options.split(',').next().unwrap_or("rw");
        out!(
            content,
            "{id} {parent} 0:{device} / {target} {options} - {kind} {source} {access}\n"
        );
    }
    Ok(())
}
