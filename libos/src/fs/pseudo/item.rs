//! The vocabulary of the tables: [`Item`] and [`Kind`].

use alloc::vec::Vec;

use crate::errno::Errno;
use crate::fs::node::Node;

/// Writes a content.
pub(super) type Text = fn(number: u32, out: &mut Vec<u8>) -> Result<(), Errno>;

/// One name of `/proc` or `/sys`.
pub(super) struct Item {
    pub(super) name: &'static str,
    /// Permission bits.
    pub(super) mode: u32,
    /// Belongs to the process's user; otherwise to user 0.
    pub(super) owned: bool,
    pub(super) kind: Kind,
}

/// What an item is.
pub(super) enum Kind {
    /// A directory of items.
    Directory(&'static [Item]),
    /// A directory of items and of numbers that come and go.
    Numbered {
        /// Items with a name.
        items: &'static [Item],
        /// The numbers that exist now.
        numbers: fn() -> Vec<u32>,
        /// What each number is.
        child: &'static Item,
    },
    /// A content.
    Text(Text),
    /// A content that can be written.
    Setting {
        /// Content.
        text: Text,
        /// Takes what was written.
        store: fn(&[u8]) -> Result<(), Errno>,
    },
    /// A symlink to a path.
    Link(fn() -> Vec<u8>),
    /// A symlink that leads straight to a node, and what it shows.
    Magic {
        /// Where it leads.
        node: fn(u32) -> Result<Node, Errno>,
        /// What `readlink` shows.
        text: fn(u32) -> Result<Vec<u8>, Errno>,
    },
}

/// A directory that everybody may list.
pub(super) const fn directory(name: &'static str, items: &'static [Item]) -> Item {
    Item {
        name,
        mode: 0o555,
        owned: false,
        kind: Kind::Directory(items),
    }
}

/// A content that everybody may read.
pub(super) const fn text(name: &'static str, text: Text) -> Item {
    Item {
        name,
        mode: 0o444,
        owned: false,
        kind: Kind::Text(text),
    }
}

/// A symlink to a path.
pub(super) const fn link(name: &'static str, target: fn() -> Vec<u8>) -> Item {
    Item {
        name,
        mode: 0o777,
        owned: false,
        kind: Kind::Link(target),
    }
}

/// A content of the process.
pub(super) const fn owned(name: &'static str, mode: u32, text: Text) -> Item {
    Item {
        name,
        mode,
        owned: true,
        kind: Kind::Text(text),
    }
}

/// A content that user 0 may write.
pub(super) const fn setting(
    name: &'static str,
    mode: u32,
    owned: bool,
    text: Text,
    store: fn(&[u8]) -> Result<(), Errno>,
) -> Item {
    Item {
        name,
        mode,
        owned,
        kind: Kind::Setting { text, store },
    }
}

/// The directory below `top` that has `wanted`; none for `top` itself.
pub(super) fn holder(top: &'static Item, wanted: &Item) -> Option<&'static Item> {
    let (items, child) = match &top.kind {
        Kind::Directory(items) => (*items, None),
        Kind::Numbered { items, child, .. } => (*items, Some(*child)),
        _ => return None,
    };
    let mut children = items.iter().chain(child);
    if children.clone().any(|item| core::ptr::eq(item, wanted)) {
        return Some(top);
    }
    children.find_map(|item| holder(item, wanted))
}

/// A decimal number as `/proc` shows it: no sign, no leading zero.
pub(super) fn parse_number(name: &[u8]) -> Option<u32> {
    if name.len() > 1 && name.first() == Some(&b'0') || !name.iter().all(u8::is_ascii_digit) {
        return None;
    }
    core::str::from_utf8(name).ok()?.parse().ok()
}

/// Formats into bytes: `write!` for a `Vec<u8>` without std.
pub(super) struct Formatted<'a>(pub(super) &'a mut Vec<u8>);

impl core::fmt::Write for Formatted<'_> {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

/// `out!(buffer, "format", …)`: appends formatted text; cannot fail.
macro_rules! out {
    ($out:expr, $($format:tt)*) => {{
        use core::fmt::Write as _;
        // Writing to memory cannot fail.
        let _ = write!($crate::fs::pseudo::item::Formatted($out), $($format)*);
    }};
}
pub(super) use out;
