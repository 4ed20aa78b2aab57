//! Tar streams: as layers, which are merged into a tree and written as EROFS; as
//! archives, which have an image in them; as what a decompressor gets.

use tar::{Builder, EntryType, Header};

use super::{documents, with_file};
use crate::{Random, Target};

/// The target.
pub const TARGET: Target = Target {
    name: "layer",
    max_bytes: 48 << 10,
    run,
    mend,
    seeds,
};

const BLOCK_BYTES: usize = 512;
/// Where a header has its checksum, and what it counts as.
const CHECKSUM: std::ops::Range<usize> = 148..156;
const TYPE: usize = 156;

fn run(input: &[u8]) {
    let _ = unikiln_builder::fuzz::layer(input);
    unikiln_builder::fuzz::compressed(input);
    with_file(input, |path| unikiln_builder::fuzz::archive(&path));
}

/// Gives every block that could be a header a right checksum, and some of them a
/// type, a name or a length that matters.
pub(crate) fn mend(input: &mut Vec<u8>, random: &mut Random) {
    if random.chance(10) {
        input.truncate(input.len() / BLOCK_BYTES * BLOCK_BYTES);
    }
    for block in input.chunks_exact_mut(BLOCK_BYTES) {
        let looks_right = block[TYPE].is_ascii_graphic() || block[TYPE] == 0;
        if !looks_right || block[0] == 0 || !block[100..108].iter().any(u8::is_ascii_digit) {
            continue;
        }
        match random.below(40) {
            0 => block[TYPE] = *random.one(b"01234567xgLKSVMZ\0"),
            1 => put(block, 0, random.one::<&[u8]>(&NAMES)),
            2 => put(block, 157, random.one::<&[u8]>(&NAMES)),
            3 => put(block, 124, random.one::<&[u8]>(&LENGTHS)),
            _ => {}
        }
        block[CHECKSUM].fill(b' ');
        let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
        put(block, CHECKSUM.start, format!("{sum:06o}\0 ").as_bytes());
    }
}

const NAMES: [&[u8]; 10] = [
    b"a\0",
    b"d/file\0",
    b"./\0",
    b"/etc\0",
    b"../x\0",
    b"d/.wh.file\0",
    b"d/.wh..wh..opq\0",
    b".wh..\0",
    b"loop/loop/loop/x\0",
    b"\xff\xfe\0",
];
const LENGTHS: [&[u8]; 5] = [
    b"00000000000\0",
    b"00000001000\0",
    b"77777777777\0",
    b"\x80\0\0\0\0\0\0\0\0\0\x02\0",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
];

fn put(block: &mut [u8], at: usize, bytes: &[u8]) {
    block[at..at + bytes.len()].copy_from_slice(bytes);
}

fn add(tar: &mut Builder<Vec<u8>>, kind: EntryType, name: &str, link: &str, data: &[u8]) {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(0o755);
    header.set_uid(1);
    header.set_gid(2);
    header.set_mtime(1_700_000_000);
    header.set_size(data.len() as u64);
    if kind == EntryType::GNUSparse
        && let Some(gnu) = header.as_gnu_mut()
    {
        put(&mut gnu.realsize, 0, b"00000020000\0");
        put(&mut gnu.sparse[0].offset, 0, b"00000010000\0");
        put(&mut gnu.sparse[0].numbytes, 0, b"00000001000\0");
    }
    let old = header.as_old_mut();
    put(&mut old.name, 0, name.as_bytes());
    put(&mut old.linkname, 0, link.as_bytes());
    header.set_cksum();
    tar.append(&header, data).expect("append");
}

/// Streams with every kind of member; one as small as it can be, one of GNU tar.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut small = Builder::new(Vec::new());
    add(&mut small, EntryType::Regular, "a", "", b"1");
    let mut all = Builder::new(Vec::new());
    let pax = b"11 path=d/p\n15 mtime=12.25\n12 uid=70000\n24 SCHILY.xattr.user.a=\n1\n";
    for (kind, name, link, data) in [
        (EntryType::Directory, "d/", "", &b""[..]),
        (EntryType::Regular, "d/file", "", &[b'f'; 700]),
        (EntryType::Symlink, "loop", ".", b""),
        (EntryType::Symlink, "up", "../../../d", b""),
        (EntryType::Link, "d/hard", "d/file", b""),
        (EntryType::Char, "d/char", "", b""),
        (EntryType::Fifo, "d/fifo", "", b""),
        (
            EntryType::GNULongName,
            "long",
            "",
            b"d/long-name-of-the-next-one\0",
        ),
        (EntryType::Regular, "short", "", b"x"),
        (EntryType::GNULongLink, "long", "", b"d/long-target\0"),
        (EntryType::Symlink, "d/longlink", "t", b""),
        (EntryType::XHeader, "pax", "", pax),
        (EntryType::Regular, "q", "", b"pax"),
        (EntryType::GNUSparse, "sparse", "", &[b's'; 512]),
        (EntryType::Regular, "up/through", "", b"y"),
        (EntryType::Regular, "d/.wh.file", "", b""),
        (EntryType::Regular, "d/.wh..wh..opq", "", b""),
    ] {
        add(&mut all, kind, name, link, data);
    }
    let mut seeds = vec![
        small.into_inner().expect("finish"),
        all.into_inner().expect("finish"),
    ];
    for format in [
        "--format=pax",
        "--format=gnu",
        "--format=v7",
        "--format=ustar",
    ] {
        let tar = std::process::Command::new("tar")
            .args([format, "--no-recursion", "-cf", "-", "-C", "/etc"])
            .args(["hostname", "mtab", "alternatives", "default"])
            .output();
        seeds.extend(tar.map(|done| done.stdout).ok());
    }
    seeds.extend(archives());
    seeds
}

/// The documents of a real image as a docker archive and as a layout.
fn archives() -> Vec<Vec<u8>> {
    let documents = (documents::TARGET.seeds)();
    let archive = |name: &str, first: usize| {
        let mut tar = Builder::new(Vec::new());
        add(&mut tar, EntryType::Regular, name, "", &documents[first]);
        for (number, document) in documents.iter().enumerate() {
            let member = format!("blobs/sha256/{number}");
            add(&mut tar, EntryType::Regular, &member, "", document);
        }
        tar.into_inner().expect("finish")
    };
    vec![archive("index.json", 0), archive("manifest.json", 2)]
}
