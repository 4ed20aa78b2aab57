//! `/proc/PID/ns`: the namespaces of the guest, one of each kind, for programs
//! that compare them. They can be opened and compared, not entered.

use alloc::sync::Arc;
use alloc::vec::Vec;

use linux_raw_sys::general::O_RDONLY;

use super::item::{Item, Kind, item, private};
use crate::errno::Errno;
use crate::fs::attributes::{Attributes, NAMESPACE_DEVICE};
use crate::fs::node::Node;
use crate::fs::open_file::{File, OpenFile};

/// Kind and inode number; the number is that of Linux's first namespace of the kind.
type Namespace = (&'static str, u64);

const CGROUP: Namespace = ("cgroup", 4_026_531_835);
const IPC: Namespace = ("ipc", 4_026_531_839);
const MNT: Namespace = ("mnt", 4_026_531_841);
const NET: Namespace = ("net", 4_026_531_840);
const PID: Namespace = ("pid", 4_026_531_836);
const TIME: Namespace = ("time", 4_026_531_834);
const USER: Namespace = ("user", 4_026_531_837);
const UTS: Namespace = ("uts", 4_026_531_838);

/// A link to a namespace.
macro_rules! namespace {
    ($name:literal, $namespace:expr) => {
        private(item(
            $name,
            0o777,
            Kind::Magic {
                node: |_| Ok((Node::Open(open($namespace, O_RDONLY)), None)),
                text: |_| Ok(text($namespace)),
                mode: None,
            },
        ))
    };
}

/// The names of `/proc/PID/ns`.
pub(super) const ITEMS: &[Item] = &[
    namespace!("cgroup", CGROUP),
    namespace!("ipc", IPC),
    namespace!("mnt", MNT),
    namespace!("net", NET),
    namespace!("pid", PID),
    namespace!("pid_for_children", PID),
    namespace!("time", TIME),
    namespace!("time_for_children", TIME),
    namespace!("user", USER),
    namespace!("uts", UTS),
];

/// An open namespace.
struct NamespaceFile(Namespace);

fn open(namespace: Namespace, flags: u32) -> Arc<OpenFile> {
    OpenFile::new(NamespaceFile(namespace), flags, None)
}

fn text((kind, ino): Namespace) -> Vec<u8> {
    alloc::format!("{kind}:[{ino}]").into_bytes()
}

impl File for NamespaceFile {
    fn attributes(&self) -> Result<Attributes, Errno> {
        let Self((_, ino)) = *self;
        let mode = linux_raw_sys::general::S_IFREG | 0o444;
        Ok(Attributes::generated(NAMESPACE_DEVICE, ino, mode))
    }

    fn label(&self) -> Option<Vec<u8>> {
        Some(text(self.0))
    }

    fn reopen(&self, flags: u32) -> Result<Arc<OpenFile>, Errno> {
        Ok(open(self.0, flags))
    }

    fn pollable(&self) -> bool {
        false
    }
}
