//! The root file system on its way from an image to a unikernel file: an
//! inode tree in memory, file contents beside it on disk, and the EROFS writer.
//!
//! | module | what it owns |
//! |---|---|
//! | [`tree`] | inodes, directories, attributes |
//! | [`path`] | paths that stay inside the root, and walking them |
//! | [`storage`] | where file contents wait |
//! | [`erofs`] | the on-disk form |
//! | [`unpack`] | a directory of the host instead |

pub(crate) mod erofs;
pub(crate) mod path;
pub(crate) mod storage;
pub(crate) mod tree;
pub(crate) mod unpack;

pub use erofs::ErofsError;
pub use path::PathError;
pub use storage::StorageError;
pub use unpack::UnpackError;

use storage::Storage;
use tree::{InodeId, Tree};

/// A root file system that is complete but not written yet.
#[derive(Debug)]
pub(crate) struct RootFs {
    pub(crate) tree: Tree,
    pub(crate) storage: Storage,
    /// Files whose data goes first, so that a boot touches few windows.
    pub(crate) hot: Vec<InodeId>,
}
