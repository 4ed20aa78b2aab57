//! The table of `/proc/PID`.

use alloc::vec::Vec;

use super::item::{Item, Kind};
use crate::errno::Errno;
use crate::fs::node::Node;
use crate::process;

pub(super) static PROCESS: Item = Item {
    name: "",
    mode: 0o555,
    owned: true,
    kind: Kind::Directory(ITEMS),
};

const ITEMS: &[Item] = &[Item {
    name: "fd",
    mode: 0o500,
    owned: true,
    kind: Kind::Numbered {
        items: &[],
        numbers: descriptors,
        child: &DESCRIPTOR,
    },
}];

static DESCRIPTOR: Item = Item {
    name: "",
    mode: 0o700,
    owned: true,
    kind: Kind::Magic {
        node: descriptor_node,
        text: descriptor_text,
    },
};

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
