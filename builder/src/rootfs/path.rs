//! Paths as images write them: relative to the root, whatever they look like.
//! Symbolic links are followed inside the tree, as after a chroot.

use std::collections::VecDeque;

use super::tree::{Attributes, InodeId, Kind, Names, Tree};

/// Most symbolic links on one way, as in Linux.
const SYMLINKS_MAX: usize = 40;
/// Most bytes of one name, as in Linux and EROFS.
const NAME_MAX_BYTES: usize = 255;
/// Most bytes of a path with its NUL, as in Linux.
const PATH_MAX_BYTES: usize = 4096;
/// Most directories below one another. Symbolic links can build deeper trees
/// than any one path names; what walks the tree recursively relies on this.
const DEPTH_MAX: usize = 1024;

/// What is wrong with a path.
#[derive(Debug, thiserror::Error)]
pub enum PathError {
    /// `..` in a path that must not leave the root.
    #[error("path {path:?} has a `..` component (path traversal)")]
    Traversal {
        /// The path.
        path: String,
    },
    /// Empty, with a NUL, or with too long a name.
    #[error("path {path:?} has an empty, overlong or NUL-bearing name")]
    BadName {
        /// The path.
        path: String,
    },
    /// More symbolic links than Linux follows.
    #[error("path {path:?} leads through too many symbolic links")]
    SymlinkLoop {
        /// The path.
        path: String,
    },
    /// Deeper than the builder goes.
    #[error("path {path:?} lies more than {DEPTH_MAX} directories deep")]
    TooDeep {
        /// The path.
        path: String,
    },
    /// A parent is there, but is no directory.
    #[error("path {path:?} has a parent that is not a directory")]
    ParentNotDirectory {
        /// The path.
        path: String,
    },
}

/// A path for messages.
pub(crate) fn display(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

/// Splits a path that an archive gives to an entry: `/` and `./` in front are
/// dropped, `..` is refused. Empty for the root itself.
pub(crate) fn components(path: &[u8]) -> Result<Vec<&[u8]>, PathError> {
    if path.len() >= PATH_MAX_BYTES {
        return Err(PathError::BadName {
            path: display(&path[..256]) + "…",
        });
    }
    let mut components = Vec::new();
    for name in path.split(|&byte| byte == b'/') {
        match name {
            b"" | b"." => {}
            b".." => {
                return Err(PathError::Traversal {
                    path: display(path),
                });
            }
            name if name.len() > NAME_MAX_BYTES || name.contains(&0) => {
                return Err(PathError::BadName {
                    path: display(path),
                });
            }
            name => components.push(name),
        }
    }
    Ok(components)
}

impl Tree {
    /// Finds what `path` leads to, following every symbolic link.
    pub(crate) fn resolve(&self, path: &[u8]) -> Result<Option<InodeId>, PathError> {
        self.walk(path, true)
    }

    /// Finds what `path` leads to, not following the last component.
    pub(crate) fn resolve_link(&self, path: &[u8]) -> Result<Option<InodeId>, PathError> {
        self.walk(path, false)
    }

    fn walk(&self, path: &[u8], follow_last: bool) -> Result<Option<InodeId>, PathError> {
        let mut walk = Walk::new(path);
        while let Some(name) = walk.pending.pop_front() {
            let Some(next) = walk.step(self, &name) else {
                continue;
            };
            let Some(id) = next else { return Ok(None) };
            match &self.inode(id).kind {
                Kind::Symlink(target) if follow_last || !walk.pending.is_empty() => {
                    walk.follow(target, path)?;
                }
                _ => walk.stack.push(id),
            }
        }
        Ok(Some(walk.here()))
    }

    /// The directory that `components` name, following symbolic links and
    /// making what is missing (mode 0755, owned by root, in `layer`).
    pub(crate) fn make_directories(
        &mut self,
        components: &[&[u8]],
        layer: u32,
    ) -> Result<InodeId, PathError> {
        let path = components.join(&b'/');
        let mut walk = Walk::new(&path);
        while let Some(name) = walk.pending.pop_front() {
            let Some(next) = walk.step(self, &name) else {
                continue;
            };
            let id = match next {
                Some(id) => id,
                // A symbolic link's target may hold what no path of an entry does.
                None if name.len() > NAME_MAX_BYTES => {
                    return Err(PathError::BadName {
                        path: display(&name),
                    });
                }
                None if walk.stack.len() >= DEPTH_MAX => {
                    return Err(PathError::TooDeep {
                        path: display(&path),
                    });
                }
                None => {
                    let kind = Kind::Directory(Names::new());
                    let id = self.add(Attributes::with_mode(0o755), kind);
                    self.link(walk.here(), &name, id, layer);
                    id
                }
            };
            match &self.inode(id).kind {
                Kind::Symlink(target) => walk.follow(target, &path)?,
                Kind::Directory(_) => walk.stack.push(id),
                _ => {
                    return Err(PathError::ParentNotDirectory {
                        path: display(&path),
                    });
                }
            }
        }
        if walk.stack.len() >= DEPTH_MAX {
            return Err(PathError::TooDeep {
                path: display(&path),
            });
        }
        Ok(walk.here())
    }
}

/// A walk through the tree: where it is, and the names still to come.
struct Walk {
    /// From below the root to here, so that `..` finds its way back.
    stack: Vec<InodeId>,
    pending: VecDeque<Vec<u8>>,
    symlinks: usize,
}

impl Walk {
    fn new(path: &[u8]) -> Self {
        Self {
            stack: Vec::new(),
            pending: names(path).collect(),
            symlinks: 0,
        }
    }

    fn here(&self) -> InodeId {
        self.stack.last().copied().unwrap_or(InodeId::ROOT)
    }

    /// Looks `name` up; `None` where it was `.` or `..`, which is done at once.
    fn step(&mut self, tree: &Tree, name: &[u8]) -> Option<Option<InodeId>> {
        match name {
            b"." => None,
            b".." => {
                // Above the root is the root.
                self.stack.pop();
                None
            }
            name => Some(tree.child(self.here(), name)),
        }
    }

    fn follow(&mut self, target: &[u8], path: &[u8]) -> Result<(), PathError> {
        self.symlinks += 1;
        if self.symlinks > SYMLINKS_MAX {
            return Err(PathError::SymlinkLoop {
                path: display(path),
            });
        }
        if target.starts_with(b"/") {
            self.stack.clear();
        }
        for name in names(target).rev() {
            self.pending.push_front(name);
        }
        Ok(())
    }
}

fn names(path: &[u8]) -> impl DoubleEndedIterator<Item = Vec<u8>> + '_ {
    path.split(|&byte| byte == b'/')
        .filter(|name| !name.is_empty())
        .map(<[u8]>::to_vec)
}
