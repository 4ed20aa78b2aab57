//! Mounts of a container, checked and in the order in which they are made.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use super::NodeError;
use super::error::shortened;
use crate::handler::Mount;
use crate::proto::{self, MountPropagation};

/// Most mounts of one container.
const MOUNTS_MAX: usize = 4096;

/// What the container's configuration asks for; image volumes are turned into directories by
/// `image`, which is given the image's name and the path in it.
pub(super) fn resolve(
    mounts: &[proto::Mount],
    mut image: impl FnMut(&proto::ImageSpec, &str) -> Result<PathBuf, NodeError>,
) -> Result<Vec<Mount>, NodeError> {
    if mounts.len() > MOUNTS_MAX {
        return Err(NodeError::BadValue {
            field: "config.mounts",
            value: format!("{} mounts", mounts.len()),
            reason: "a container has at most 4096",
        });
    }
    let mut resolved = Vec::with_capacity(mounts.len());
    for mount in mounts {
        let place = normal(&mount.container_path)?;
        let source = match &mount.image {
            Some(spec) if has_image(mount) => image(spec, &mount.image_sub_path)?,
            _ => host_path(&mount.host_path, &mount.container_path)?,
        };
        let is_image = has_image(mount);
        if is_image && !mount.readonly {
            return Err(NodeError::BadValue {
                field: "config.mounts.readonly",
                value: shortened(&mount.container_path),
                reason: "an image is mounted read-only: say readonly",
            });
        }
        if mount.recursive_read_only && !mount.readonly {
            return Err(NodeError::BadValue {
                field: "config.mounts.recursive_read_only",
                value: shortened(&mount.container_path),
                reason: "a mount that is read-only below must be read-only itself (readonly)",
            });
        }
        if mount.recursive_read_only && mount.propagation() != MountPropagation::PropagationPrivate
        {
            return Err(NodeError::BadValue {
                field: "config.mounts.recursive_read_only",
                value: shortened(&mount.container_path),
                reason: "it needs private propagation",
            });
        }
        resolved.push(Mount {
            source,
            place,
            read_only: mount.readonly,
            recursive_read_only: mount.recursive_read_only || is_image,
            propagated: mount.propagation() != MountPropagation::PropagationPrivate,
        });
    }
    // A mount hides what is below its place: parents come first, equals as they were given.
    resolved.sort_by_key(|mount| mount.place.components().count());
    Ok(resolved)
}

/// Whether the mount is an image's files.
pub(super) fn has_image(mount: &proto::Mount) -> bool {
    mount
        .image
        .as_ref()
        .is_some_and(|spec| !spec.image.is_empty())
}

/// The host's file or directory; a missing one becomes a directory, as with containerd.
fn host_path(path: &str, place: &str) -> Result<PathBuf, NodeError> {
    let source = Path::new(path);
    if !source.is_absolute() {
        return Err(NodeError::BadValue {
            field: "config.mounts.host_path",
            value: shortened(path),
            reason: "it must be absolute",
        });
    }
    let failed = |error| NodeError::Mount {
        source_path: source.to_owned(),
        place: shortened(place),
        source: error,
    };
    match fs::canonicalize(source) {
        Ok(found) => Ok(found),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(source).map_err(failed)?;
            fs::canonicalize(source).map_err(failed)
        }
        Err(error) => Err(failed(error)),
    }
}

/// An absolute path without `.`, `..` and `//`.
fn normal(path: &str) -> Result<PathBuf, NodeError> {
    let bad = |reason| NodeError::BadValue {
        field: "config.mounts.container_path",
        value: shortened(path),
        reason,
    };
    if !path.starts_with('/') || path.contains('\0') {
        return Err(bad("it must be absolute"));
    }
    let mut normal = PathBuf::from("/");
    for component in Path::new(path).components() {
        match component {
            Component::Normal(name) => normal.push(name),
            Component::ParentDir => return Err(bad("it must not contain `..`")),
            _ => {}
        }
    }
    if normal == Path::new("/") {
        return Err(bad("nothing can be mounted over the root"));
    }
    Ok(normal)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(host: &str, place: &str) -> proto::Mount {
        proto::Mount {
            host_path: host.to_owned(),
            container_path: place.to_owned(),
            ..proto::Mount::default()
        }
    }

    fn resolved(mounts: &[proto::Mount]) -> Result<Vec<Mount>, NodeError> {
        resolve(mounts, |_, _| Ok(PathBuf::from("/")))
    }

    #[test]
    fn parents_come_first_and_links_are_followed() {
        let directory = tempfile::tempdir().expect("directory");
        let link = directory.path().join("link");
        std::os::unix::fs::symlink("/proc", &link).expect("link");
        let link = link.to_str().expect("text");
        let found = resolved(&[mount(link, "/a//b/"), mount("/", "/a")]).expect("mounts");
        let places: Vec<_> = found.iter().map(|one| one.place.to_str()).collect();
        assert_eq!(places, [Some("/a"), Some("/a/b")]);
        assert_eq!(found.last().expect("two").source, Path::new("/proc"));
    }

    #[test]
    fn a_missing_source_becomes_a_directory() {
        let directory = tempfile::tempdir().expect("directory");
        let source = directory.path().join("new/deep");
        resolved(&[mount(source.to_str().expect("text"), "/a")]).expect("mounts");
        assert!(source.is_dir());
    }

    #[test]
    fn bad_paths_are_refused() {
        for (host, place) in [
            ("a", "/b"),
            ("/", "b"),
            ("/", "/a/../b"),
            ("/", "/"),
            ("/", ""),
            ("", "/a"),
        ] {
            let error = resolved(&[mount(host, place)]).expect_err(place);
            assert!(matches!(error, NodeError::BadValue { .. }), "{error}");
        }
    }

    #[test]
    fn an_image_is_mounted_read_only() {
        let mut one = mount("", "/a");
        one.image = Some(proto::ImageSpec {
            image: "files".to_owned(),
            ..proto::ImageSpec::default()
        });
        assert!(resolved(std::slice::from_ref(&one)).is_err());
        one.readonly = true;
        assert!(resolved(&[one]).expect("mounts")[0].recursive_read_only);
    }

    #[test]
    fn read_only_below_needs_read_only() {
        let mut one = mount("/", "/a");
        one.recursive_read_only = true;
        assert!(resolved(std::slice::from_ref(&one)).is_err());
        one.readonly = true;
        assert!(resolved(&[one]).expect("mounts")[0].recursive_read_only);
    }
}
