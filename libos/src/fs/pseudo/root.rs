//! The table of `/proc` itself.

use alloc::vec;

use super::item::{Item, Kind, out, text};
use super::task;
use crate::process;

pub(super) static ROOT: Item = Item {
    name: "",
    mode: 0o555,
    owned: false,
    kind: Kind::Numbered {
        items: ITEMS,
        numbers: || vec![process::current().pid],
        child: &task::PROCESS,
    },
};

const fn link(name: &'static str, target: fn() -> alloc::vec::Vec<u8>) -> Item {
    Item {
        name,
        mode: 0o777,
        owned: false,
        kind: Kind::Link(target),
    }
}

const ITEMS: &[Item] = &[
    link("self", || {
        alloc::format!("{}", process::current().pid).into_bytes()
    }),
    text("filesystems", |_, content| {
        out!(
            content,
            "nodev\tproc\nnodev\ttmpfs\nnodev\toverlay\n\terofs\n"
        );
        Ok(())
    }),
];
