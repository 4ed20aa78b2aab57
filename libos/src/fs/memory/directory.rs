//! The names of a directory in memory, over those of the image's directory that
//! it replaces.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;

use crate::fs::node::Node;

/// What a name stands for.
#[derive(Clone)]
pub enum Entry {
    /// A file.
    Node(Node),
    /// Nothing, although the directory below has the name.
    Whiteout,
}

/// See the module documentation.
#[derive(Default)]
pub struct Directory {
    /// Names that differ from the directory below.
    pub entries: BTreeMap<Box<[u8]>, Entry>,
    /// The image's directory that shows through; none for a new directory.
    pub below: Option<u64>,
    /// The directory that holds this one. None: where the image has it.
    pub parent: Option<Node>,
    /// Removed: nothing can be made in it any more.
    pub removed: bool,
}

impl Directory {
    /// A new directory inside `parent`.
    pub fn inside(parent: Node) -> Directory {
        Directory {
            parent: Some(parent),
            ..Directory::default()
        }
    }
}
