//! The vocabulary of the tables: [`Item`], [`Kind`] and [`Numbers`].

use alloc::vec::Vec;

use crate::errno::Errno;
use crate::fs::node::Node;
use crate::fs::open_file::Origin;

/// Most numbers on the way to an item: process, thread, descriptor.
const DEPTH_MAX: usize = 3;

/// The numbers on the way to an item, outermost first: a process, a thread in
/// it, a descriptor of that; or a processor and a cache of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Numbers {
    path: [u32; DEPTH_MAX],
    depth: usize,
}

impl Numbers {
    /// One level further in.
    pub(super) fn with(mut self, number: u32) -> Numbers {
        if let Some(slot) = self.path.get_mut(self.depth) {
            *slot = number;
            self.depth += 1;
        }
        self
    }

    /// One level further out.
    pub(super) fn without_last(mut self) -> Numbers {
        self.depth = self.depth.saturating_sub(1);
        if let Some(slot) = self.path.get_mut(self.depth) {
            *slot = 0;
        }
        self
    }

    /// The outermost one: below `/proc`, the process; none outside of any.
    pub(super) fn process(&self) -> Option<u32> {
        self.path.first().copied().filter(|_| self.depth > 0)
    }

    /// The innermost one.
    pub(super) fn last(&self) -> u32 {
        let index = self.depth.saturating_sub(1);
        self.path.get(index).copied().unwrap_or(0)
    }

    /// A number for all of them: differs between those that differ in the last one.
    pub(super) fn mixed(&self) -> u32 {
        self.path.iter().fold(0, |mixed, number| {
            u32::wrapping_mul(mixed, 0x9e37_79b1).wrapping_add(*number)
        })
    }
}

/// Writes a content.
pub(super) type Text = fn(numbers: Numbers, out: &mut Vec<u8>) -> Result<(), Errno>;

/// Follows a magic link: the node, and where it is, as far as that is known.
pub(super) type Lead = fn(numbers: Numbers) -> Result<(Node, Option<Origin>), Errno>;

/// One name of `/proc` or `/sys`.
pub(super) struct Item {
    pub(super) name: &'static str,
    /// Permission bits.
    pub(super) mode: u32,
    /// Belongs to the process's user; otherwise to user 0.
    pub(super) owned: bool,
    /// For those alone who may look into the process.
    pub(super) private: bool,
    /// Something else is mounted here.
    pub(super) mounted: Option<Mounted>,
    pub(super) kind: Kind,
}

/// What is mounted at an item, as far as it differs from what is around it.
#[derive(Clone, Copy)]
pub(super) struct Mounted {
    /// Device number (`st_dev`).
    pub(super) device: u64,
    /// Nothing can be written.
    pub(super) read_only: bool,
}

/// What an item is.
pub(super) enum Kind {
    /// A directory of items.
    Directory(&'static [Item]),
    /// A directory of items and of numbers that come and go.
    Numbered {
        /// Items with a name.
        items: &'static [Item],
        /// What comes before a number in its name.
        prefix: &'static str,
        /// The numbers that exist now.
        numbers: fn(Numbers) -> Vec<u32>,
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
        store: fn(Numbers, &[u8]) -> Result<(), Errno>,
    },
    /// A symlink to a path.
    Link(fn() -> Vec<u8>),
    /// A symlink that leads straight to a node, and what it shows.
    Magic {
        /// Where it leads.
        node: Lead,
        /// What `readlink` shows.
        text: fn(Numbers) -> Result<Vec<u8>, Errno>,
        /// Permission bits, where they depend on what it leads to.
        mode: Option<fn(Numbers) -> u32>,
    },
}

/// A directory that everybody may list.
pub(super) const fn directory(name: &'static str, items: &'static [Item]) -> Item {
    item(name, 0o555, Kind::Directory(items))
}

/// A content that everybody may read.
pub(super) const fn text(name: &'static str, text: Text) -> Item {
    item(name, 0o444, Kind::Text(text))
}

/// A symlink to a path.
pub(super) const fn link(name: &'static str, target: fn() -> Vec<u8>) -> Item {
    item(name, 0o777, Kind::Link(target))
}

/// Anything of user 0.
pub(super) const fn item(name: &'static str, mode: u32, kind: Kind) -> Item {
    Item {
        name,
        mode,
        owned: false,
        private: false,
        mounted: None,
        kind,
    }
}

/// Anything of the process's user.
pub(super) const fn owned(name: &'static str, mode: u32, kind: Kind) -> Item {
    Item {
        owned: true,
        ..item(name, mode, kind)
    }
}

/// A content of the process.
pub(super) const fn own_text(name: &'static str, mode: u32, text: Text) -> Item {
    owned(name, mode, Kind::Text(text))
}

/// The same for those alone who may look into the process.
pub(super) const fn private(item: Item) -> Item {
    Item {
        private: true,
        ..item
    }
}

/// A content of the process that its user may write.
pub(super) const fn own_setting(
    name: &'static str,
    mode: u32,
    text: Text,
    store: fn(Numbers, &[u8]) -> Result<(), Errno>,
) -> Item {
    owned(name, mode, Kind::Setting { text, store })
}

/// A directory where something else is mounted.
pub(super) const fn mount(name: &'static str, items: &'static [Item], mounted: Mounted) -> Item {
    Item {
        mounted: Some(mounted),
        ..directory(name, items)
    }
}

/// A text that is always the same.
macro_rules! fixed {
    ($name:literal, $($format:tt)*) => {
        $crate::fs::pseudo::item::text($name, |_, content| {
            $crate::fs::pseudo::item::out!(content, $($format)*);
            Ok(())
        })
    };
}
pub(super) use fixed;

/// The directory below `top` that has `wanted`, and whether by a number; none
/// for `top` itself.
pub(super) fn holder(top: &'static Item, wanted: &Item) -> Option<(&'static Item, bool)> {
    let (items, child) = match &top.kind {
        Kind::Directory(items) => (*items, None),
        Kind::Numbered { items, child, .. } => (*items, Some(*child)),
        _ => return None,
    };
    if items.iter().any(|item| core::ptr::eq(item, wanted)) {
        return Some((top, false));
    }
    if child.is_some_and(|child| core::ptr::eq(child, wanted)) {
        return Some((top, true));
    }
    (items.iter().chain(child)).find_map(|item| holder(item, wanted))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_in_and_out() {
        let thread = Numbers::default().with(1).with(7);
        assert_eq!(thread.with(3).last(), 3);
        assert_eq!(thread.with(3).without_last(), thread);
        assert_eq!(
            thread.without_last().without_last().without_last(),
            Numbers::default()
        );
        assert_ne!(thread.with(3).mixed(), thread.with(4).mixed());
        assert_ne!(thread.mixed(), Numbers::default().with(1).with(8).mixed());
    }

    #[test]
    fn only_plain_numbers_are_names() {
        assert_eq!(parse_number(b"10"), Some(10));
        for wrong in ["", "01", "-1", "+1", "1x", "99999999999"] {
            assert_eq!(parse_number(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
