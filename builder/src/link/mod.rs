//! Binds the `syscall` sites of programs and shared objects to the libOS.
//!
//! ```text
//! complete tree ─► load.rs: what of the file is looked at
//!                ─► object.rs: is it an ELF file, what of it is code
//!                    ├─ unwind.rs, go.rs: where functions begin
//!                    ├─ sites.rs: sites, what makes room before them
//!                    ├─ targets.rs: may anything jump into what moves
//!                    ├─ place.rs, gaps.rs: room for trampolines and jumps
//!                    └► rewrite.rs: new bytes ─► tree
//! ```
//!
//! What became of a file (`outcome.rs`) is kept for the image's other copies of
//! it, and in the store, where there is one, for other images.
//!
//! In doubt a site is left as it is: it traps, and works. A file that cannot be
//! read is left as a whole. Neither is ever an error; both are counted
//! (`report.rs`). The result depends on the file alone.

mod gaps;
mod go;
mod load;
mod object;
mod outcome;
mod place;
mod report;
mod rewrite;
mod sites;
mod targets;
mod unwind;

#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};

use sha2::{Digest as _, Sha256};
use unikiln_unikernel::Linking;

use crate::rootfs::RootFs;
use crate::rootfs::storage::{Contents, FileData, StorageError};
use crate::rootfs::tree::{InodeId, Kind, Tree};
use crate::store::{Store, StoreError};
use object::Object;
use outcome::Outcome;
use report::{Counts, LeftFile};

/// Bytes hashed at a time.
const CHUNK_BYTES: usize = 256 << 10;

/// What became of a file that was seen before in this tree, by its digest.
type Cache = HashMap<[u8; 32], Result<(Option<FileData>, Counts), LeftFile>>;

/// What keeps programs from being bound at all.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// Programs cannot be read or kept.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The store does not give or take what became of other images' programs.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What became of a program cannot be written down.
    #[error("cannot write down what is bound")]
    Encode(#[source] serde_json::Error),
}

/// Binds what it can in the whole tree. Hard links stay links, since each inode
/// is rewritten once.
pub(crate) fn link(rootfs: &mut RootFs, store: Option<&Store>) -> Result<Linking, LinkError> {
    rootfs.storage.flush()?;
    let files = programs(rootfs)?;
    let mut lengths: HashMap<u64, u32> = HashMap::new();
    for (_, data) in &files {
        *lengths.entry(data.len_bytes()).or_default() += 1;
    }
    let mut linking = report::new();
    let mut cache = Cache::new();
    for (id, data) in files {
        let may_be_copy = lengths.get(&data.len_bytes()) > Some(&1);
        let digest = match may_be_copy || store.is_some() {
            true => Some(digest(rootfs, &data)?),
            false => None,
        };
        let result = file(rootfs, &data, digest, &mut cache, store)?;
        report::add(
            &mut linking,
            result.as_ref().map(|(_, counts)| counts).map_err(|e| *e),
        );
        if let Ok((Some(new), _)) = result {
            rootfs.tree.inode_mut(id).kind = Kind::File(new);
        }
    }
    rootfs.storage.flush()?;
    Ok(linking)
}

/// All x86-64 programs and shared objects of the tree, in order of their inodes.
fn programs(rootfs: &RootFs) -> Result<Vec<(InodeId, FileData)>, StorageError> {
    let mut programs = Vec::new();
    for id in files(&rootfs.tree) {
        let Kind::File(data) = &rootfs.tree.inode(id).kind else {
            continue;
        };
        if data.len_bytes() < object::HEADER_BYTES as u64 {
            continue;
        }
        let start = rootfs
            .storage
            .read_start(data, object::HEADER_BYTES as u64)?;
        if Object::is_one(&start) {
            programs.push((id, data.clone()));
        }
    }
    Ok(programs)
}

/// Files that have a name.
fn files(tree: &Tree) -> BTreeSet<InodeId> {
    let mut seen = BTreeSet::from([InodeId::ROOT]);
    let mut pending = vec![InodeId::ROOT];
    while let Some(id) = pending.pop() {
        for dentry in tree.names(id).into_iter().flat_map(|names| names.values()) {
            if seen.insert(dentry.inode) {
                pending.push(dentry.inode);
            }
        }
    }
    seen
}

fn file(
    rootfs: &RootFs,
    data: &FileData,
    digest: Option<[u8; 32]>,
    cache: &mut Cache,
    store: Option<&Store>,
) -> Result<Result<(Option<FileData>, Counts), LeftFile>, LinkError> {
    if let Some(known) = digest.and_then(|digest| cache.get(&digest)) {
        return Ok(known.clone());
    }
    let result = match outcome(rootfs, data, digest.as_ref().zip(store))?.0 {
        Ok((edits, counts)) if counts.bound > 0 => Ok((Some(data.changed(edits)), counts)),
        Ok((_, counts)) => Ok((None, counts)),
        Err(reason) => Err(reason),
    };
    if let Some(digest) = digest {
        cache.insert(digest, result.clone());
    }
    Ok(result)
}

/// What another image's build has written down, or what is found out now.
fn outcome(
    rootfs: &RootFs,
    data: &FileData,
    known: Option<(&[u8; 32], &Store)>,
) -> Result<Outcome, LinkError> {
    if let Some((digest, store)) = known
        && let Some(text) = store.linked(digest)?
        && let Some(outcome) = Outcome::decode(&text)
    {
        return Ok(outcome);
    }
    let contents = rootfs.storage.open(data)?;
    let outcome = Outcome(match load::load(&contents, data.len_bytes())? {
        Ok(bytes) => rewrite::edits(&bytes),
        Err(reason) => Err(reason),
    });
    if let Some((digest, store)) = known {
        let text = outcome.encode().map_err(LinkError::Encode)?;
        store.keep_linked(digest, &text)?;
    }
    Ok(outcome)
}

fn digest(rootfs: &RootFs, data: &FileData) -> Result<[u8; 32], StorageError> {
    let contents = rootfs.storage.open(data)?;
    let mut hasher = Sha256::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut offset = 0;
    while offset < data.len_bytes() {
        let len = (data.len_bytes() - offset).min(CHUNK_BYTES as u64) as usize;
        contents.read_exact_at(&mut chunk[..len], offset)?;
        hasher.update(&chunk[..len]);
        offset += len as u64;
    }
    Ok(hasher.finalize().into())
}

/// Where a file with these bytes would end if it were bound; `None` where it is left.
pub(crate) fn fuzz_end(bytes: &[u8]) -> Option<usize> {
    let contents = Contents::Bytes(bytes);
    let loaded = load::load(&contents, bytes.len() as u64).ok()?.ok()?;
    let (edits, _) = rewrite::edits(&loaded).ok()?;
    edits.iter().map(|(at, bytes)| at + bytes.len()).max()
}
