//! Finds in a root file system what its program reads to start: the hot files
//! of the image, and from their sizes how much memory the program needs.

use unikiln_unikernel::Manifest;

use crate::program::closure::{LD_CACHE, closure};
use crate::program::tree_files::TreeFiles;
use crate::program::{DEFAULT_PATH, find, script_chain, variable};
use crate::rootfs::RootFs;
use crate::rootfs::tree::InodeId;

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
    let search = variable(&manifest.env, "PATH")
        .unwrap_or(DEFAULT_PATH)
        .as_bytes();
    let library_path = variable(&manifest.env, "LD_LIBRARY_PATH").unwrap_or_default();
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
            let found = closure(&files, &path, library_path.as_bytes()).unwrap_or_default();
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
    Hot {
        inodes,
        minimum_memory_bytes: minimum_memory_bytes(writable_bytes),
    }
}

/// What a program with these writable segments needs.
pub(crate) fn minimum_memory_bytes(writable_bytes: u64) -> u64 {
    BASE_MEMORY_BYTES
        .saturating_add(writable_bytes)
        .checked_next_multiple_of(MEMORY_STEP_BYTES)
        .unwrap_or(u64::MAX)
}
