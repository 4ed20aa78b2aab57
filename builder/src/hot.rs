//! Finds in a root file system what its program reads to start: the hot files
//! of the image, and from their sizes how much memory the program needs.

use unikiln_unikernel::Manifest;

use crate::program::closure::{LD_CACHE, closure};
use crate::program::{DEFAULT_PATH, Files, find, script_chain};
use crate::rootfs::RootFs;
use crate::rootfs::tree::{Inode, InodeId, Kind};

/// What a guest needs before its program: boot arena, page tables, libOS data
/// and stacks, the program's first stack pages.
const BASE_MEMORY_BYTES: u64 = 12 << 20;
/// Memory is counted in these steps.
const MEMORY_STEP_BYTES: u64 = 1 << 20;

/// What a boot reads and needs.
pub(crate) struct Hot {
    pub(crate) inodes: Vec<InodeId>,
    pub(crate) minimum_memory_bytes: u64,
}

/// Looks at the manifest's program. One that cannot be found has no hot files;
/// running it will fail, which is not the builder's business.
pub(crate) fn find_hot(rootfs: &RootFs, manifest: &Manifest) -> Hot {
    let files = TreeFiles(rootfs);
    let search = manifest
        .env
        .iter()
        .find_map(|entry| entry.strip_prefix("PATH="))
        .unwrap_or(DEFAULT_PATH)
        .as_bytes();
    let program = manifest.entrypoint.first().or(manifest.cmd.first());
    let program = program.and_then(|name| {
        find(
            &files,
            name.as_bytes(),
            search,
            manifest.working_dir.as_bytes(),
        )
    });
    let mut paths = Vec::new();
    let mut writable_bytes = 0;
    if let Some(program) = program {
        for path in script_chain(&files, &program, search) {
            let found = closure(&files, &path).unwrap_or_default();
            writable_bytes = found.writable_bytes.max(writable_bytes);
            paths.push(path);
            paths.extend(found.paths);
            if found.uses_ld_cache {
                paths.push(LD_CACHE.to_vec());
            }
        }
    }
    let inodes = paths
        .iter()
        .filter_map(|path| files.inode_id(path))
        .collect();
    let minimum_memory_bytes = BASE_MEMORY_BYTES
        .saturating_add(writable_bytes)
        .checked_next_multiple_of(MEMORY_STEP_BYTES)
        .unwrap_or(u64::MAX);
    Hot {
        inodes,
        minimum_memory_bytes,
    }
}

/// A root file system as a place to look for programs.
struct TreeFiles<'a>(&'a RootFs);

impl TreeFiles<'_> {
    fn inode_id(&self, path: &[u8]) -> Option<InodeId> {
        self.0.tree.resolve(path).ok().flatten()
    }

    fn inode(&self, path: &[u8]) -> Option<&Inode> {
        Some(self.0.tree.inode(self.inode_id(path)?))
    }
}

impl Files for TreeFiles<'_> {
    fn is_executable(&self, path: &[u8]) -> bool {
        self.inode(path).is_some_and(|inode| {
            matches!(inode.kind, Kind::File(_)) && inode.attributes.mode & 0o111 != 0
        })
    }

    fn read_exact_at(&self, path: &[u8], buffer: &mut [u8], offset: u64) -> Option<()> {
        let Kind::File(data) = &self.inode(path)?.kind else {
            return None;
        };
        let end = offset.checked_add(buffer.len() as u64)?;
        if end > data.len_bytes() {
            return None;
        }
        self.0
            .storage
            .open(data)
            .ok()?
            .read_exact_at(buffer, offset)
            .ok()
    }

    fn len_bytes(&self, path: &[u8]) -> Option<u64> {
        match &self.inode(path)?.kind {
            Kind::File(data) => Some(data.len_bytes()),
            _ => None,
        }
    }
}
