//! `host:PATH`: an image made on the spot from a program of this machine, the
//! files that it needs to start, and what the caller includes.
//!
//! | module | what it owns |
//! |---|---|
//! | [`import`] | taking files of the host into a tree, symbolic links and all |
//! | [`files`] | the host's files as a place to look for programs |

mod files;
mod import;

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use unikiln_unikernel::Manifest;

use crate::program::{self, DEFAULT_PATH};
use crate::rootfs::storage::{FileData, Storage};
use crate::rootfs::tree::{Attributes, InodeId, Kind, Names, Tree};
use crate::rootfs::{PathError, RootFs, StorageError};
use files::HostFiles;
use import::Importer;

/// Where `/usr` is merged, programs still use the old names.
const MERGED: [&str; 4] = ["/bin", "/lib", "/lib64", "/sbin"];
/// Directories that programs expect, with their modes.
const DIRECTORIES: [(&str, u16); 9] = [
    ("dev", 0o755),
    ("etc", 0o755),
    ("proc", 0o555),
    ("root", 0o700),
    ("run", 0o755),
    ("sys", 0o555),
    ("tmp", 0o1777),
    ("var", 0o755),
    ("var/tmp", 0o1777),
];
/// Files that programs expect: who the numbers are, and what localhost is.
const FILES: [(&str, &str); 3] = [
    (
        "passwd",
        "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
    ),
    ("group", "root:x:0:\nnogroup:x:65534:\n"),
    ("hosts", "127.0.0.1\tlocalhost\n::1\tlocalhost\n"),
];

/// What keeps a program of the host from becoming an image.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// No such program.
    #[error("no executable file {name:?} on this machine; name a program by its path")]
    NotFound {
        /// As the caller wrote it.
        name: String,
    },
    /// A file cannot be looked at.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A library of the program is missing.
    #[error("{by} needs {name}, which is not on this machine")]
    MissingLibrary {
        /// The library or interpreter.
        name: String,
        /// Who needs it.
        by: String,
    },
    /// Sockets and other things that no image holds.
    #[error("{} is neither a file, a directory nor a symbolic link", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// Symbolic links in a circle.
    #[error("{} leads through too many symbolic links", path.display())]
    SymlinkLoop {
        /// The path.
        path: PathBuf,
    },
    /// A path does not fit into a tree.
    #[error(transparent)]
    Path(#[from] PathError),
    /// Contents cannot be stored.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Makes the image of `programs` and `includes`; the first program is the
/// entrypoint. `spool_directory` is for temporary files.
pub(crate) fn image(
    programs: &[PathBuf],
    includes: &[PathBuf],
    spool_directory: &Path,
) -> Result<(RootFs, Manifest), HostError> {
    let mut importer = Importer::new();
    let mut entrypoint = None;
    let mut hot = Vec::new();
    for name in programs {
        let path = find_program(name)?;
        if path.is_dir() {
            importer.include(&path)?;
        } else {
            hot.extend(importer.program(&path)?);
            entrypoint.get_or_insert_with(|| path.to_string_lossy().into_owned());
        }
    }
    for path in includes {
        importer.include(&absolute(path)?)?;
    }
    for link in MERGED.map(Path::new) {
        if link.is_symlink() {
            importer.include_link(link)?;
        }
    }
    let mut tree = importer.finish();
    add_basics(&mut tree)?;
    let rootfs = RootFs {
        tree,
        storage: Storage::new_in(spool_directory)?,
        hot,
    };
    let manifest = Manifest {
        entrypoint: entrypoint.into_iter().collect(),
        env: vec![format!("PATH={DEFAULT_PATH}")],
        working_dir: "/".to_owned(),
        ..Manifest::default()
    };
    Ok((rootfs, manifest))
}

/// A program by its path or, without a slash, by this process's `PATH`.
fn find_program(name: &Path) -> Result<PathBuf, HostError> {
    let not_found = || HostError::NotFound {
        name: name.display().to_string(),
    };
    if name.as_os_str().as_bytes().contains(&b'/') {
        let path = absolute(name)?;
        return if path.exists() {
            Ok(path)
        } else {
            Err(not_found())
        };
    }
    let search = std::env::var_os("PATH").unwrap_or_else(|| DEFAULT_PATH.into());
    program::find(
        &HostFiles,
        name.as_os_str().as_bytes(),
        search.as_bytes(),
        b"/",
    )
    .map(|path| files::to_path(&path).to_owned())
    .ok_or_else(not_found)
}

fn absolute(path: &Path) -> Result<PathBuf, HostError> {
    std::path::absolute(path).map_err(|source| HostError::Read {
        path: path.to_owned(),
        source,
    })
}

/// Adds [`DIRECTORIES`] and [`FILES`] where the host's own were not included.
fn add_basics(tree: &mut Tree) -> Result<(), PathError> {
    for (path, mode) in DIRECTORIES {
        if tree.resolve_link(path.as_bytes())?.is_none() {
            let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
            let parent = tree.resolve(parent.as_bytes())?.unwrap_or(InodeId::ROOT);
            let id = tree.add(Attributes::with_mode(mode), Kind::Directory(Names::new()));
            tree.link(parent, name.as_bytes(), id, 0);
        }
    }
    for (name, text) in FILES {
        let Some(etc) = tree.resolve(b"etc")? else {
            continue;
        };
        if tree.child(etc, name.as_bytes()).is_none() {
            let kind = Kind::File(FileData::Bytes(text.as_bytes().into()));
            let id = tree.add(Attributes::with_mode(0o644), kind);
            tree.link(etc, name.as_bytes(), id, 0);
        }
    }
    Ok(())
}
