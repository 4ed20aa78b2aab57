//! The file systems: one tree of the root file system, `/dev`, `/proc` and `/sys`.
//!
//! ```text
//!  path ──▶ node (image │ memory │ made up │ volume) ──▶ open file ──▶ descriptor table
//!           │                                   File: regular, directory, pipe, device, …
//!           └ overlay: the image's inodes, replaced in memory once they change
//! ```
//!
//! | module | what it owns |
//! |---|---|
//! | `erofs` | reading the image |
//! | `memory` | inodes in memory, their data and names, the space limit |
//! | `overlay` | which inodes of the image were replaced |
//! | `node`, `path`, `rest`, `place` | the tree: asking a node, walking to it, walking back |
//! | `path_cache` | walks that are remembered |
//! | `access` | permissions |
//! | `tree`, `rename` | making, removing, renaming |
//! | `open`, `open_file`, `position`, `file`, `table`, `context` | open files, descriptors, working directory |
//! | `regular`, `directory`, `pipe`, `event`, `epoll`, `timer_file`, `signal_file`, `process_file`, `inotify` | kinds of files |
//! | `readiness` | telling who waits for a file |
//! | `signal_io` | telling by signals |
//! | `notify` | telling `inotify` what happens to files |
//! | `lock` | advisory locks |
//! | `pseudo` | `/proc` and `/sys` |
//! | `volume` | directories and files of the host |
//! | `transfer` | bytes between files and program memory |
//!
//! Locks are leaves and short; none is held while program memory is touched, but
//! for those of a position and of an inode's writers (`position`).

pub mod access;
pub mod allocate;
pub mod attributes;
mod context;
mod directory;
pub mod epoll;
mod erofs;
pub mod event;
mod file;
pub mod host_files;
pub mod inotify;
pub mod limits;
pub mod lock;
pub mod memory;
mod mount;
mod name;
pub mod node;
pub mod notify;
mod open;
pub mod open_file;
pub mod overlay;
pub mod path;
mod path_cache;
pub mod pipe;
pub mod place;
mod position;
pub mod process_file;
pub mod pseudo;
pub mod readiness;
pub mod regular;
pub mod rename;
mod rest;
pub mod signal_file;
pub mod signal_io;
pub mod table;
#[cfg(test)]
mod tests;
pub mod timer_file;
pub mod transfer;
pub mod tree;
mod unnamed;
pub mod volume;

pub use access::Caller;
pub use allocate::{Change, allocate, punch_hole};
pub use context::{
    FsContext, Spot, change_directory, enter_directory, enter_or_make_directory, look_up, resolve,
    resolve_name,
};
pub use limits::open_files;
pub use mount::init;
pub use open::{check_not_running, execute_check, open, open_from, open_node, open_with};
pub use open_file::{OpenFile, Page};
pub use overlay::{is_root_read_only, make_root_read_only};
pub use regular::resize;
pub use table::{FdTable, close};
pub use unnamed::{open_memory, open_shared_memory};

/// Reads all of an EROFS image in memory, whatever its bytes are.
#[cfg(feature = "fuzzing")]
pub fn read_image(image: &'static [u8]) {
    if let Ok(image) = erofs::Image::from_slice(image) {
        erofs::read_everything(&image);
    }
}

/// Bytes of a page.
pub const PAGE_BYTES: u64 = 4096;
