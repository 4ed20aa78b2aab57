//! Turns OCI images into unikernel files.
//!
//! ```text
//! reference ─► oci/ layers, verified and merged ─┐
//!              host/ a program and its files ────┴► rootfs/ tree ─► link/ ─► EROFS ─┐
//!                                         build.rs: the libOS ─► libos, manifest ───┴► NAME.uk
//! ```
//!
//! Everything read from an image is untrusted: sizes and digests are checked,
//! paths stay inside the root, what it unpacks to is bounded. A unikernel is made
//! without unpacking anything onto the host; for OCI runtimes, layers are, each into
//! a directory of its own that nothing leads out of.
//!
//! | module | what it owns |
//! |---|---|
//! | [`ImageRef`] (`reference`) | names of images |
//! | [`build()`] (`build`) | the way from a reference to a file |
//! | [`build_cached()`] (`cached`) | the same for an image of the store, once |
//! | `oci` | images from OCI layouts and docker archives, and writing a layout |
//! | [`pack()`] (`pack`) | host programs as an OCI image |
//! | [`Platform`] (`platform`) | which of an index's images is taken |
//! | [`inspect()`] (`inspect`) | what a unikernel file holds |
//! | [`check()`] (`check`) | whether an image will run |
//! | `hot`, `user` | what a boot reads first; who runs the program |
//! | `host` | images made of this machine's programs |
//! | `program` | what a program needs to start |
//! | `rootfs` | inode tree and EROFS |
//! | `link` | binding `syscall` sites to the libOS |
//! | [`Store`] (`store`) | images by digest, shared by all processes |
//! | [`layer_trees()`] (`layers`) | layers as directories, for OCI runtimes |
//! | [`registry`] | pulling and pushing images and unikernels |
//! | `libos` | the embedded libOS |
//! | `unikernel` | the file's writer |
//! | `fuzz` | entries for `tests/fuzz` |
//! | [`Progress`] (`progress`) | how callers see what takes long |

#![forbid(unsafe_code)]

mod build;
mod cached;
mod check;
#[doc(hidden)]
pub mod fuzz;
mod host;
mod hot;
mod inspect;
mod layers;
mod libos;
mod link;
mod oci;
mod pack;
mod platform;
mod program;
mod progress;
mod reference;
pub mod registry;
mod rootfs;
mod store;
mod unikernel;
mod user;

pub use build::{BuildError, BuildOptions, Limits, build};
pub use cached::{build_cached, find_cached};
pub use check::{CheckError, CheckOptions, check, check_file, refusal};
pub use host::HostError;
pub use inspect::{Inspection, SegmentInfo, inspect};
pub use layers::{LayersError, image_tree, layer_trees};
pub use libos::LibosError;
pub use link::LinkError;
pub use oci::{
    ApplyError, BlobError, ContainerError, Digest, ImageError, LayerError, TarError,
    WriteLayerError, WriteLayoutError,
};
pub use pack::{PackError, PackOptions, PackReport, pack};
pub use platform::{Platform, PlatformError};
pub use progress::{NoProgress, Progress, Step, Transfer};
pub use reference::{ImageRef, ReferenceError};
pub use rootfs::{ErofsError, PathError, StorageError, UnpackError};
pub use store::{
    Amount, Blob, BlobReader, BlobWriter, Claim, LayerTree, Lease, Reference, Store, StoreError,
    StoredImage, Usage,
};
pub use unikernel::{BuildReport, WriteError};
pub use user::{ImageUser, UserError, resolve_user};
