//! Layers with random damage behind right digests and right header checksums:
//! whatever the bytes are, a build ends with a sound file or with an error.

use proptest::collection::vec;
use proptest::prelude::any;
use proptest::proptest;
use tar::EntryType;
use unikiln_builder::{BuildOptions, Limits};

use crate::image::{Layer, Layout, Tar};
use crate::view::fsck;

const BLOCK_BYTES: usize = 512;

/// A stream with every kind of member.
fn stream() -> Vec<u8> {
    Tar::new()
        .directory("d/")
        .file("d/file", &"contents ".repeat(100))
        .symlink("d/link", "file")
        .hard_link("d/hard", "d/file")
        .member(EntryType::Char, "d/device", "", b"")
        .member(
            EntryType::GNULongName,
            "long",
            "",
            b"d/a-long-name-for-the-next-one\0",
        )
        .file("short", "long")
        .pax(&[
            ("path", b"d/pax"),
            ("mtime", b"12.5"),
            ("SCHILY.xattr.user.a", b"\n1"),
        ])
        .file("other", "pax")
        .member(EntryType::GNUSparse, "sparse", "", &[b's'; 512])
        .file("d/.wh.file", "")
        .file("d/.wh..wh..opq", "")
        .bytes()
}

/// Makes every block that could be a header carry the right checksum.
fn mend(stream: &mut [u8]) {
    for block in stream.chunks_exact_mut(BLOCK_BYTES) {
        if block[156].is_ascii_graphic() && block[148..154].iter().all(u8::is_ascii_digit) {
            block[148..156].fill(b' ');
            let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
            block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
    }
}

proptest! {
    #![proptest_config(proptest::test_runner::Config { cases: 300, ..Default::default() })]

    #[test]
    fn damaged_layers_never_panic(damage in vec((any::<proptest::sample::Index>(), any::<u8>()), 1..6)) {
        let mut bytes = stream();
        for (index, byte) in &damage {
            let index = index.index(bytes.len());
            bytes[index] = *byte;
        }
        mend(&mut bytes);
        let layout = Layout::new(&[Layer::plain(bytes)]);
        let limits = Limits { unpacked_bytes: 64 << 20, entries: 1000, ..Limits::default() };
        let built = layout.build_with(&BuildOptions { limits, ..BuildOptions::default() });
        if built.is_ok() {
            fsck(&layout.output());
        }
    }
}
