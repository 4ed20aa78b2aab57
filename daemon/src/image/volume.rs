//! Images as volumes: a directory of the host with an image's files, which the store unpacks
//! once, and a place in it. Links of the image are followed inside the image alone.

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use unikiln_builder::{Limits, NoProgress, image_tree};

use super::unikernel::manifest;
use super::{ImageError, Images, LocalImage};

impl Images {
    /// The directory or file `sub_path` of the image, empty for all of it, to be mounted
    /// read-only. It stays until `holder` is released.
    pub fn volume(
        &self,
        holder: &str,
        image: &LocalImage,
        sub_path: &str,
    ) -> Result<PathBuf, ImageError> {
        self.hold(holder, image)?;
        let lease = self.shared.store.lease()?;
        let limits = Limits::default();
        let unpacked = image_tree(&lease, &manifest(image)?, &limits, &mut NoProgress);
        let root = unpacked.map_err(|source| ImageError::Unpack {
            image: image.name().to_owned(),
            source: Arc::new(source),
        })?;
        self.shared.forget_usage();
        inside(&root, sub_path).map_err(|error| ImageError::SubPath {
            image: image.name().to_owned(),
            path: sub_path.chars().take(PATH_SHOWN_CHARS).collect(),
            source: Arc::new(error),
        })
    }
}

/// As much of a path as a message shows.
const PATH_SHOWN_CHARS: usize = 256;

/// Where `path` leads to if `root` is the root: the kernel goes that way.
fn inside(root: &Path, path: &str) -> std::io::Result<PathBuf> {
    if path.is_empty() {
        return Ok(root.to_owned());
    }
    // `..` at the root stays there, but who writes it means something else.
    if Path::new(path).is_absolute()
        || Path::new(path)
            .components()
            .any(|part| part.as_os_str() == "..")
    {
        return Err(Errno::INVAL.into());
    }
    let open = OFlags::PATH | OFlags::CLOEXEC;
    let directory = rustix::fs::openat(CWD, root, open | OFlags::DIRECTORY, Mode::empty())?;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
    let found = rustix::fs::openat2(&directory, path, open, Mode::empty(), resolve)?;
    place(found)
}

/// Where an open file is. Nobody moves what the store has unpacked.
fn place(file: OwnedFd) -> std::io::Result<PathBuf> {
    let file = File::from(file);
    let kind = file.metadata()?.file_type();
    if !kind.is_dir() && !kind.is_file() {
        return Err(Errno::NOTSUP.into());
    }
    std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::ErrorKind;
    use std::os::unix::fs::symlink;

    use super::inside;

    #[test]
    fn links_lead_nowhere_but_inside() {
        let directory = tempfile::tempdir().expect("a directory");
        let root = directory
            .path()
            .canonicalize()
            .expect("a path")
            .join("root");
        fs::create_dir_all(root.join("etc/deep")).expect("directories");
        fs::write(root.join("etc/passwd"), "inside").expect("a file");
        fs::write(directory.path().join("secret"), "outside").expect("a file");
        for (target, name) in [
            ("/etc", "absolute"),
            ("../../../etc", "up"),
            ("/proc/self/fd", "magic"),
            ("loop", "loop"),
            ("../secret", "leak"),
        ] {
            symlink(target, root.join(name)).expect("a link");
        }
        let etc = root.join("etc");
        for path in [
            "etc",
            "absolute",
            "up",
            "./etc/",
            "etc/deep/.",
            "absolute/deep",
        ] {
            let found = inside(&root, path).expect(path);
            assert!(found.starts_with(&etc), "{path}: {}", found.display());
        }
        assert_eq!(inside(&root, "").expect("all of it"), root);
        let file = inside(&root, "up/passwd").expect("a file");
        assert_eq!(fs::read_to_string(file).expect("text"), "inside");
        for path in ["none", "magic", "leak", "etc/passwd/x"] {
            let error = inside(&root, path).expect_err(path);
            let is_missing = matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory);
            assert!(is_missing, "{path}: {error}");
        }
        for path in ["../secret", "/etc", "etc/../etc", "loop"] {
            inside(&root, path).expect_err(path);
        }
    }
}
