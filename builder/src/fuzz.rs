//! Entries to what reads untrusted input, for `tests/fuzz`. Each takes bytes as an
//! attacker would choose them, and panics where a promise is broken. Not for
//! anybody else: nothing here is stable.

use std::io;

use crate::build::Limits;
use crate::link;
use crate::oci;
use crate::program::Files;
use crate::program::closure::closure;
use crate::progress::NoProgress;
use crate::reference::ImageRef;
use crate::rootfs::RootFs;
use crate::rootfs::erofs::{BLOCK_BYTES, Plan, SUPERBLOCK_OFFSET};
use crate::user;

/// What a layer may unpack to here.
const LIMITS: Limits = Limits {
    unpacked_bytes: 1 << 20,
    entries: 2000,
    metadata_bytes: 1 << 20,
};
/// The most that linking adds to a file: a page or two, trampolines, padding.
const GROWTH_MAX_BYTES: usize = 64 << 20;

/// References and platforms: what is parsed prints as something that parses the same.
pub fn reference(text: &str) {
    if let Ok(reference) = ImageRef::parse(text) {
        let again = ImageRef::parse(&reference.to_string());
        assert_eq!(
            again.ok(),
            Some(reference),
            "{text:?} changes as it is printed"
        );
    }
    if let Ok(platform) = text.parse::<crate::Platform>() {
        assert_eq!(platform.to_string().parse(), Ok(platform), "{text:?}");
    }
}

/// Index, manifest, configuration, `manifest.json` of a docker archive, user files:
/// no document passes for both an index and a manifest.
pub fn documents(bytes: &[u8]) {
    oci::fuzz_documents(bytes);
    let text = String::from_utf8_lossy(bytes);
    for spec in ["", "web", "7:logs", "4294967295"] {
        if let Ok(user) = user::resolve_in(&text, &text, spec) {
            assert!(user.uid != u32::MAX && user.gid != u32::MAX, "{spec:?}");
        }
    }
}

/// A layer's tar stream, merged into a tree twice; the EROFS image of what came out.
pub fn layer(stream: &[u8]) -> Option<Vec<u8>> {
    let rootfs = oci::fuzz_layer(stream, &LIMITS)?;
    image(&rootfs).ok()
}

fn image(rootfs: &RootFs) -> Result<Vec<u8>, crate::ErofsError> {
    let plan = Plan::new(rootfs, 1)?;
    let mut bytes = vec![0; BLOCK_BYTES as usize];
    let superblock = plan.superblock().encode();
    bytes[SUPERBLOCK_OFFSET..][..superblock.len()].copy_from_slice(&superblock);
    plan.write(&mut bytes, &mut NoProgress)?;
    assert_eq!(
        bytes.len() as u64,
        plan.end_bytes(),
        "blocks and plan differ"
    );
    Ok(bytes)
}

/// A tar file with an image in it: listing its members.
pub fn archive(file: &std::path::Path) {
    oci::fuzz_archive(file);
}

/// An ELF file: what to change of it to bind it, and what it needs to start.
pub fn program(bytes: &[u8]) {
    if let Some(end) = link::fuzz_end(bytes) {
        assert!(
            end <= bytes.len() + GROWTH_MAX_BYTES,
            "grows to {end} bytes"
        );
    }
    let _ = closure(&OneFile(bytes), b"/x", b"");
}

/// A root file system in which every path is the same file.
struct OneFile<'a>(&'a [u8]);

impl Files for OneFile<'_> {
    fn is_executable(&self, _: &[u8]) -> bool {
        true
    }

    fn read_exact_at(&self, _: &[u8], buffer: &mut [u8], offset: u64) -> Option<()> {
        let start = usize::try_from(offset).ok()?;
        let source = self.0.get(start..start.checked_add(buffer.len())?)?;
        buffer.copy_from_slice(source);
        Some(())
    }

    fn len_bytes(&self, _: &[u8]) -> Option<u64> {
        Some(self.0.len() as u64)
    }
}

/// Compressed bytes, unpacked as a layer's are; at most 4 MiB of them.
pub fn compressed(bytes: &[u8]) {
    let _ = oci::fuzz_decompress(bytes, &mut io::sink());
}
