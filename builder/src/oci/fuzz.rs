//! Entries for `tests/fuzz`; see `crate::fuzz`.

use std::io::{self, Read, Write};
use std::path::Path;

use super::apply::Applier;
use super::compression::Compression;
use super::config::{self, Documents};
use super::container::Container;
use super::{docker, index};
use crate::build::Limits;
use crate::platform::Platform;
use crate::rootfs::RootFs;
use crate::rootfs::storage::Storage;
use crate::rootfs::tree::Tree;

const DECOMPRESSED_MAX_BYTES: u64 = 4 << 20;

/// Reads the bytes as each kind of document.
pub(crate) fn fuzz_documents(bytes: &[u8]) {
    let platforms = ["linux/amd64", "linux/amd64/v4"].map(|text| text.parse().unwrap_or_default());
    let is_index = platforms.map(|platform| index::fuzz_index(bytes, platform));
    let is_manifest = index::fuzz_manifest(bytes);
    assert!(!(is_index[0] && is_manifest), "both index and manifest");
    docker::fuzz_manifest(bytes);
    for layers in 0..3 {
        let documents = Documents {
            config: bytes.to_vec(),
            config_name: "fuzz".to_owned(),
            config_digest: String::new(),
            image_digest: String::new(),
            layer_digests: vec![String::new(); layers],
            platform: Platform::default(),
        };
        if let Ok((run, diff_ids)) = config::read(&documents) {
            assert_eq!(run.image.diff_ids.len(), layers);
            assert_eq!(diff_ids.len(), layers);
            assert!(run.working_dir.starts_with('/'));
            assert_eq!(run.image.architecture, "amd64");
        }
    }
}

/// Merges the stream into an empty tree as two layers; `None` where it is refused.
pub(crate) fn fuzz_layer(stream: &[u8], limits: &Limits) -> Option<RootFs> {
    let mut tree = Tree::new();
    let mut storage = Storage::new_in(&std::env::temp_dir()).ok()?;
    let mut applier = Applier::new(&mut tree, &mut storage, limits);
    for layer in 0..2 {
        applier.layer = layer;
        let result = applier.apply(stream);
        assert!(applier.file_bytes <= limits.unpacked_bytes || result.is_err());
        assert!(applier.entries <= limits.entries || result.is_err());
        result.ok()?;
    }
    Some(RootFs {
        tree,
        storage,
        hot: Vec::new(),
    })
}

/// Lists the members of a tar file, and looks for those that images have.
pub(crate) fn fuzz_archive(file: &Path) {
    let Ok(container) = Container::archive(file, &std::env::temp_dir(), DECOMPRESSED_MAX_BYTES)
    else {
        return;
    };
    for tag in [None, Some("a:1")] {
        let _ = index::read(&container, tag, Platform::default());
        let _ = docker::read(&container, tag, Platform::default());
    }
}

/// Unpacks the bytes by what their start says.
pub(crate) fn fuzz_decompress(bytes: &[u8], output: &mut impl Write) -> io::Result<u64> {
    let decoder = Compression::sniff(bytes).decoder(bytes)?;
    io::copy(&mut decoder.take(DECOMPRESSED_MAX_BYTES), output)
}
