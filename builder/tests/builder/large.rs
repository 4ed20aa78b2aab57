//! What a large image may cost: one of 1 GiB, made as a stream, is built by the
//! program itself within 256 MiB of memory.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tar::{Builder, Header};

use crate::command::builder;
use crate::image::{GZIP, MANIFEST, PLAIN, ZSTD, digest};
use crate::tools::tool;

const MEMORY_MAX_KIB: u64 = 256 << 10;
const MIB: usize = 1 << 20;
/// Unpacked: files that do not compress, files that do, small files.
const RANDOM_MIB: usize = 384;
const TEXT_MIB: usize = 384;
const SMALL_FILES: usize = 150_000;
const SMALL_BYTES: usize = 1300;

/// Hashes and counts what passes.
struct Hashing<W> {
    inner: W,
    hasher: Sha256,
    len_bytes: u64,
}

impl<W: Write> Hashing<W> {
    fn new(inner: W) -> Self {
        Self {
            inner,
            hasher: Sha256::new(),
            len_bytes: 0,
        }
    }

    fn finish(self) -> (W, String) {
        let hex: String = self
            .hasher
            .finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        (self.inner, format!("sha256:{hex}"))
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let len = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..len]);
        self.len_bytes += len as u64;
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Random enough that nothing compresses it.
fn random(bytes: &mut [u8], state: &mut u64) {
    for word in bytes.chunks_exact_mut(8) {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        word.copy_from_slice(&state.to_le_bytes());
    }
}

fn append(tar: &mut Builder<impl Write>, name: &str, bytes: &[u8]) {
    let mut header = Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    header.set_mtime(1_700_000_000);
    tar.append_data(&mut header, name, bytes).expect("append");
}

fn fill(kind: &str, output: impl Write) {
    let mut tar = Builder::new(output);
    let mut state = 0x9e37_79b9_7f4a_7c15;
    let mut bytes = vec![0; 16 * MIB];
    match kind {
        PLAIN => {
            for number in 0..RANDOM_MIB / 16 {
                random(&mut bytes, &mut state);
                append(&mut tar, &format!("random/{number}"), &bytes);
            }
        }
        GZIP => {
            for number in 0..TEXT_MIB / 16 {
                let text = format!("line {number} of a log that says little\n");
                let bytes: Vec<_> = text.bytes().cycle().take(16 * MIB).collect();
                append(&mut tar, &format!("text/{number}"), &bytes);
            }
        }
        _ => {
            random(&mut bytes, &mut state);
            for number in 0..SMALL_FILES {
                let name = format!("small/{}/{number}", number / 500);
                append(&mut tar, &name, &bytes[number % 999..][..SMALL_BYTES]);
            }
        }
    }
    tar.finish().expect("finish");
}

/// Writes one layer as a stream; its descriptor and its diff ID.
fn layer(blobs: &Path, kind: &str) -> (Value, String) {
    let temporary = blobs.join("new");
    let file = Hashing::new(File::create(&temporary).expect("create"));
    let (file, diff_id) = match kind {
        GZIP => {
            let fast = flate2::Compression::fast();
            let mut tar = Hashing::new(flate2::write::GzEncoder::new(file, fast));
            fill(kind, &mut tar);
            let (encoder, diff_id) = tar.finish();
            (encoder.finish().expect("gzip"), diff_id)
        }
        ZSTD => {
            let encoder = zstd::stream::write::Encoder::new(file, 1).expect("zstd");
            let mut tar = Hashing::new(encoder);
            fill(kind, &mut tar);
            let (encoder, diff_id) = tar.finish();
            (encoder.finish().expect("zstd"), diff_id)
        }
        _ => {
            let mut tar = Hashing::new(file);
            fill(kind, &mut tar);
            tar.finish()
        }
    };
    (put_layer(blobs, kind, file), diff_id)
}

/// Names the blob `new` by its digest; its descriptor.
fn put_layer(blobs: &Path, kind: &str, file: Hashing<File>) -> Value {
    let len_bytes = file.len_bytes;
    let (_, digest) = file.finish();
    let name = digest.trim_start_matches("sha256:");
    fs::rename(blobs.join("new"), blobs.join(name)).expect("rename");
    json!({"mediaType": kind, "digest": digest, "size": len_bytes})
}

fn blob(blobs: &Path, value: &Value, media_type: &str) -> Value {
    let bytes = value.to_string().into_bytes();
    let digest = digest(&bytes);
    fs::write(blobs.join(digest.trim_start_matches("sha256:")), &bytes).expect("blob");
    json!({"mediaType": media_type, "digest": digest, "size": bytes.len()})
}

fn write_layout(layout: &Path) {
    let blobs = layout.join("blobs/sha256");
    fs::create_dir_all(&blobs).expect("blobs");
    let (layers, diff_ids): (Vec<_>, Vec<_>) = [PLAIN, GZIP, ZSTD]
        .map(|kind| layer(&blobs, kind))
        .into_iter()
        .unzip();
    write_documents(layout, layers, diff_ids);
}

/// Configuration, manifest and index.
fn write_documents(layout: &Path, layers: Vec<Value>, diff_ids: Vec<String>) {
    let blobs = layout.join("blobs/sha256");
    let config = json!({
        "architecture": "amd64", "os": "linux", "config": {"Cmd": ["/bin/true"]},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    });
    let config = blob(&blobs, &config, "application/vnd.oci.image.config.v1+json");
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers,
    });
    let manifest = blob(&blobs, &manifest, MANIFEST);
    let index = json!({"schemaVersion": 2, "manifests": [manifest]}).to_string();
    fs::write(layout.join("index.json"), index).expect("index");
    fs::write(
        layout.join("oci-layout"),
        r#"{"imageLayoutVersion":"1.0.0"}"#,
    )
    .expect("layout");
}

/// Builds, and watches the highest memory of the process.
fn peak_kib(image: &str, output: &Path) -> u64 {
    let mut child = builder()
        .args(["build", image, "-o"])
        .arg(output)
        .stderr(Stdio::inherit())
        .spawn()
        .expect("run");
    let status = PathBuf::from(format!("/proc/{}/status", child.id()));
    let mut peak = 0;
    let mut looks = 0;
    let ended = loop {
        if let Some(ended) = child.try_wait().expect("wait") {
            break ended;
        }
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let number = line.and_then(|line| line.split_whitespace().next());
        if let Some(number) = number.and_then(|number| number.parse::<u64>().ok()) {
            peak = peak.max(number);
            looks += 1;
        }
        thread::sleep(Duration::from_millis(5));
    };
    assert!(ended.success(), "{image}: {ended}");
    assert!(looks > 20, "the build was hardly seen");
    peak
}

/// A layout of one gzip layer with one file.
fn write_layout_of(layout: &Path, name: &str, file: &Path) {
    let blobs = layout.join("blobs/sha256");
    fs::create_dir_all(&blobs).expect("blobs");
    let temporary = blobs.join("new");
    let output = Hashing::new(File::create(&temporary).expect("create"));
    let fast = flate2::Compression::fast();
    let mut tar = Builder::new(Hashing::new(flate2::write::GzEncoder::new(output, fast)));
    tar.append_path_with_name(file, name).expect("append");
    let (encoder, diff_id) = tar.into_inner().expect("finish").finish();
    let output = encoder.finish().expect("gzip");
    write_documents(layout, vec![put_layer(&blobs, GZIP, output)], vec![diff_id]);
}

#[test]
fn debugging_information_of_a_large_program_takes_no_memory() {
    let directory = tempfile::tempdir().expect("directory");
    let [section, program, layout, output] =
        ["section", "libc.so.6", "layout", "a.uk"].map(|name| directory.path().join(name));
    let file = File::create(&section).expect("create");
    file.set_len(320 << 20).expect("set length");
    let add = format!(".debug_large={}", section.display());
    let paths = [
        "/lib/x86_64-linux-gnu/libc.so.6",
        program.to_str().expect("utf-8"),
    ];
    if !tool(
        "objcopy",
        &[&["--add-section", &add], paths.as_slice()].concat(),
    ) {
        return;
    }
    write_layout_of(&layout, "lib/libc.so.6", &program);
    let peak = peak_kib(&format!("oci:{}", layout.display()), &output);
    assert!(peak < MEMORY_MAX_KIB / 4, "{peak} KiB");
    let manifest = unikiln_builder::inspect(&output).expect("inspect").manifest;
    let linking = manifest.linking.expect("linked");
    assert!(linking.bound_sites > 400, "{linking:?}");
}

#[test]
fn an_image_of_a_gibibyte_takes_less_than_256_mib() {
    let directory = tempfile::tempdir().expect("directory");
    let layout = directory.path().join("layout");
    write_layout(&layout);
    let [from_layout, from_archive] = ["a.uk", "b.uk"].map(|name| directory.path().join(name));
    let peak = peak_kib(&format!("oci:{}", layout.display()), &from_layout);
    assert!(peak < MEMORY_MAX_KIB, "{peak} KiB for the layout");

    let archive = directory.path().join("image.tar");
    let [archive_text, layout_text] = [&archive, &layout].map(|path| path.display().to_string());
    tool("tar", &["-C", &layout_text, "-cf", &archive_text, "."]);
    fs::remove_dir_all(&layout).expect("remove");
    let peak = peak_kib(&format!("oci-archive:{archive_text}"), &from_archive);
    assert!(peak < MEMORY_MAX_KIB, "{peak} KiB for the archive");

    let len_bytes = from_layout.metadata().expect("built").len();
    let unpacked = (RANDOM_MIB + TEXT_MIB) * MIB + SMALL_FILES * SMALL_BYTES;
    assert!(len_bytes > unpacked as u64);
    let same = std::process::Command::new("cmp")
        .args([&from_layout, &from_archive])
        .status();
    assert!(same.expect("cmp").success(), "layout and archive differ");
}
