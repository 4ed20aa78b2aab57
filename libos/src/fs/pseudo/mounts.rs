//! What is mounted, as `/proc/PID/mounts`, `mountinfo` and `mountstats` tell it.

use alloc::vec::Vec;

use super::item::{Numbers, out};
use crate::errno::Errno;
use crate::fs::attributes::{
    CGROUP_DEVICE, DEV_DEVICE, FIRST_VOLUME_DEVICE, PROC_DEVICE, PTS_DEVICE, ROOT_DEVICE,
    SHM_DEVICE, SYS_DEVICE,
};
use crate::fs::overlay::is_root_read_only;
use crate::fs::volume::{self, Volume};

/// `/proc/filesystems`.
pub(super) const FILESYSTEMS: &str = "nodev\tsysfs\nnodev\ttmpfs\nnodev\tproc\nnodev\tcgroup2\nnodev\tpipefs\nnodev\tdevpts\nnodev\toverlay\n\terofs\n";

impl Mount {
    /// Options of the mount itself.
    fn options(&self) -> &'static str {
        if self.device == ROOT_DEVICE && is_root_read_only() {
            "ro,noatime"
        } else {
            self.options
        }
    }
}

struct Mount {
    id: u32,
    parent: u32,
    device: u64,
    /// What of the file system is shown.
    root: &'static str,
    target: &'static str,
    kind: &'static str,
    source: &'static str,
    options: &'static str,
    /// Options of the file system itself.
    more: &'static str,
}

const MOUNTS: &[Mount] = &[
    Mount {
        id: 20,
        parent: 1,
        device: ROOT_DEVICE,
        root: "/",
        target: "/",
        kind: "overlay",
        source: "overlay",
        options: "rw,noatime",
        more: "rw",
    },
    Mount {
        id: 21,
        parent: 20,
        device: PROC_DEVICE,
        root: "/",
        target: "/proc",
        kind: "proc",
        source: "proc",
        options: "rw,nosuid,nodev,noexec,noatime",
        more: "rw",
    },
    Mount {
        id: 22,
        parent: 20,
        device: DEV_DEVICE,
        root: "/",
        target: "/dev",
        kind: "tmpfs",
        source: "tmpfs",
        options: "rw,nosuid,noatime",
        more: "rw,mode=755",
    },
    Mount {
        id: 23,
        parent: 22,
        device: PTS_DEVICE,
        root: "/",
        target: "/dev/pts",
        kind: "devpts",
        source: "devpts",
        options: "rw,nosuid,noexec,noatime",
        more: "rw,gid=5,mode=620,ptmxmode=666",
    },
    Mount {
        id: 24,
        parent: 20,
        device: SYS_DEVICE,
        root: "/",
        target: "/sys",
        kind: "sysfs",
        source: "sysfs",
        options: "ro,nosuid,nodev,noexec,noatime",
        more: "ro",
    },
    Mount {
        id: 25,
        parent: 24,
        device: CGROUP_DEVICE,
        root: "/",
        target: "/sys/fs/cgroup",
        kind: "cgroup2",
        source: "cgroup",
        options: "ro,nosuid,nodev,noexec,noatime",
        more: "rw",
    },
    Mount {
        id: 26,
        parent: 22,
        device: SHM_DEVICE,
        root: "/",
        target: "/dev/shm",
        kind: "tmpfs",
        source: "shm",
        options: "rw,nosuid,nodev,noexec,noatime",
        more: "rw",
    },
    Mount {
        id: 27,
        parent: 21,
        device: PROC_DEVICE,
        root: "/sys",
        target: "/proc/sys",
        kind: "proc",
        source: "proc",
        options: "ro,nosuid,nodev,noexec,noatime",
        more: "rw",
    },
];

/// Number of the mount that files of a device are found through; the root's for
/// files that are in no directory.
pub(super) fn id(device: u64) -> u32 {
    if volume::by_device(device).is_some() {
        return (FIRST_VOLUME_ID + device - FIRST_VOLUME_DEVICE) as u32;
    }
    let found = MOUNTS.iter().find(|mount| mount.device == device);
    found.map_or(MOUNTS[0].id, |mount| mount.id)
}

/// Mount ids of volumes follow those of the table.
const FIRST_VOLUME_ID: u64 = 40;
const VOLUME_KIND: &str = "fuse.unikiln";

/// Options of a volume's mount.
fn volume_options(volume: &Volume) -> &'static str {
    if volume.is_read_only() {
        "ro,nosuid,nodev"
    } else {
        "rw,nosuid,nodev"
    }
}

/// A path as these files have it: blanks in octal.
fn escaped(path: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    for &byte in path {
        match byte {
            b' ' | b'\t' | b'\n' | b'\\' => {
                text.extend_from_slice(alloc::format!("\\{byte:03o}").as_bytes());
            }
            byte => text.push(byte),
        }
    }
    text
}

/// `/proc/PID/mounts`.
pub(super) fn mounts(_: Numbers, content: &mut Vec<u8>) -> Result<(), Errno> {
    for mount in MOUNTS {
        let Mount {
            source,
            target,
            kind,
            more,
            ..
        } = mount;
        let options = mount.options();
        // The file system's own options but its access mode, which is in both.
        let more = more.split_once(',').map_or("", |(_, rest)| rest);
        let comma = if more.is_empty() { "" } else { "," };
        out!(
            content,
            "{source} {target} {kind} {options}{comma}{more} 0 0\n"
        );
    }
    for volume in volume::all() {
        out!(content, "volume ");
        content.extend_from_slice(&escaped(volume.place()));
        out!(content, " {VOLUME_KIND} {} 0 0\n", volume_options(volume));
    }
    Ok(())
}

/// `/proc/PID/mountinfo`.
pub(super) fn mountinfo(_: Numbers, content: &mut Vec<u8>) -> Result<(), Errno> {
    for mount in MOUNTS {
        let Mount {
            id,
            parent,
            device,
            root,
            target,
            kind,
            source,
            more,
            ..
        } = mount;
        let options = mount.options();
        out!(
            content,
            "{id} {parent} 0:{device} {root} {target} {options} - {kind} {source} {more}\n"
        );
    }
    let parent = MOUNTS[0].id;
    for (id, volume) in (FIRST_VOLUME_ID..).zip(volume::all()) {
        out!(content, "{id} {parent} 0:{} / ", volume.device());
        content.extend_from_slice(&escaped(volume.place()));
        let options = volume_options(volume);
        let access = options.get(..2).unwrap_or_default();
        out!(content, " {options} - {VOLUME_KIND} volume {access}\n");
    }
    Ok(())
}

/// `/proc/PID/mountstats`.
pub(super) fn mountstats(_: Numbers, content: &mut Vec<u8>) -> Result<(), Errno> {
    for mount in MOUNTS {
        let Mount {
            source,
            target,
            kind,
            ..
        } = mount;
        out!(
            content,
            "device {source} mounted on {target} with fstype {kind}\n"
        );
    }
    for volume in volume::all() {
        out!(content, "device volume mounted on ");
        content.extend_from_slice(&escaped(volume.place()));
        out!(content, " with fstype {VOLUME_KIND}\n");
    }
    Ok(())
}
