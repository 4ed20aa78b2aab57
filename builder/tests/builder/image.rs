//! Makes layers and OCI layouts, byte by byte where a test wants them wrong.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};
use tempfile::TempDir;
use unikiln_builder::{BuildError, BuildOptions, BuildReport, ImageRef, NoProgress, build};

pub(crate) const GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
pub(crate) const ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
pub(crate) const PLAIN: &str = "application/vnd.oci.image.layer.v1.tar";
pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";

pub(crate) fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("sha256:{hex}")
}

/// A layer's tar stream under construction.
pub(crate) struct Tar(Builder<Vec<u8>>);

impl Tar {
    pub(crate) fn new() -> Self {
        Self(Builder::new(Vec::new()))
    }

    /// Any member, its names as they are: nothing is checked or cleaned.
    pub(crate) fn member(mut self, kind: EntryType, name: &str, link: &str, data: &[u8]) -> Self {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(if kind == EntryType::Directory {
            0o755
        } else {
            0o644
        });
        header.set_uid(1);
        header.set_gid(2);
        header.set_mtime(1_700_000_000);
        header.set_size(data.len() as u64);
        if matches!(kind, EntryType::Char | EntryType::Block) {
            header.set_device_major(5).expect("major");
            header.set_device_minor(300).expect("minor");
        }
        let old = header.as_old_mut();
        old.name[..name.len()].copy_from_slice(name.as_bytes());
        old.linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_cksum();
        self.0.append(&header, data).expect("append");
        self
    }

    pub(crate) fn file(self, name: &str, text: &str) -> Self {
        self.member(EntryType::Regular, name, "", text.as_bytes())
    }

    pub(crate) fn directory(self, name: &str) -> Self {
        self.member(EntryType::Directory, name, "", b"")
    }

    pub(crate) fn symlink(self, name: &str, target: &str) -> Self {
        self.member(EntryType::Symlink, name, target, b"")
    }

    pub(crate) fn hard_link(self, name: &str, target: &str) -> Self {
        self.member(EntryType::Link, name, target, b"")
    }

    /// A PAX header for the next member.
    pub(crate) fn pax(self, records: &[(&str, &[u8])]) -> Self {
        let mut data = Vec::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let mut len = rest + rest.to_string().len();
            if len.to_string().len() != rest.to_string().len() {
                len += 1;
            }
            write!(data, "{len} {key}=").expect("write");
            data.extend_from_slice(value);
            data.push(b'\n');
        }
        self.member(EntryType::XHeader, "pax", "", &data)
    }

    /// The builder below, for what it can do better.
    pub(crate) fn with(mut self, change: impl FnOnce(&mut Builder<Vec<u8>>)) -> Self {
        change(&mut self.0);
        self
    }

    pub(crate) fn bytes(self) -> Vec<u8> {
        self.0.into_inner().expect("finish")
    }

    pub(crate) fn gzip(self) -> Layer {
        Layer::gzip(self.bytes())
    }
}

/// A layer's blob.
pub(crate) struct Layer {
    pub(crate) blob: Vec<u8>,
    pub(crate) media_type: String,
    pub(crate) diff_id: String,
}

impl Layer {
    pub(crate) fn gzip(tar: Vec<u8>) -> Self {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&tar).expect("gzip");
        Self::new(encoder.finish().expect("gzip"), GZIP, &tar)
    }

    pub(crate) fn zstd(tar: Vec<u8>) -> Self {
        Self::new(
            zstd::encode_all(tar.as_slice(), 3).expect("zstd"),
            ZSTD,
            &tar,
        )
    }

    pub(crate) fn plain(tar: Vec<u8>) -> Self {
        Self::new(tar.clone(), PLAIN, &tar)
    }

    pub(crate) fn new(blob: Vec<u8>, media_type: &str, tar: &[u8]) -> Self {
        Self {
            blob,
            media_type: media_type.to_owned(),
            diff_id: digest(tar),
        }
    }
}

/// An OCI layout in a temporary directory, removed at the end of the test.
pub(crate) struct Layout {
    pub(crate) directory: TempDir,
    pub(crate) config: Value,
    pub(crate) manifest: Value,
}

impl Layout {
    /// A whole layout with one image; its documents may be changed and written again.
    pub(crate) fn new(layers: &[Layer]) -> Self {
        let config = json!({
            "architecture": "amd64", "os": "linux",
            "config": {"Cmd": ["/bin/true"]},
            "rootfs": {
                "type": "layers",
                "diff_ids": layers.iter().map(|layer| layer.diff_id.clone()).collect::<Vec<_>>(),
            },
        });
        let directory = tempfile::tempdir().expect("temporary directory");
        let mut layout = Self {
            directory,
            config,
            manifest: Value::Null,
        };
        fs::create_dir_all(layout.path().join("blobs/sha256")).expect("blobs");
        let descriptors: Vec<_> = layers
            .iter()
            .map(|layer| layout.blob(&layer.blob, &layer.media_type))
            .collect();
        layout.manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "layers": descriptors,
        });
        layout.write();
        layout
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Writes configuration, manifest and index as they are now.
    pub(crate) fn write(&mut self) {
        let config = serde_json::to_vec(&self.config).expect("config");
        self.manifest["config"] = self.blob(&config, "application/vnd.oci.image.config.v1+json");
        let manifest = serde_json::to_vec(&self.manifest).expect("manifest");
        let mut descriptor = self.blob(&manifest, MANIFEST);
        descriptor["annotations"] = json!({"org.opencontainers.image.ref.name": "v"});
        self.write_index(&[descriptor]);
    }

    pub(crate) fn write_index(&self, descriptors: &[Value]) {
        let index = json!({"schemaVersion": 2, "manifests": descriptors}).to_string();
        fs::write(self.path().join("index.json"), index).expect("index");
        let layout = r#"{"imageLayoutVersion":"1.0.0"}"#;
        fs::write(self.path().join("oci-layout"), layout).expect("oci-layout");
    }

    /// Writes a blob; its descriptor.
    pub(crate) fn blob(&self, bytes: &[u8], media_type: &str) -> Value {
        let digest = digest(bytes);
        fs::write(self.blob_path(&digest), bytes).expect("blob");
        json!({"mediaType": media_type, "digest": digest, "size": bytes.len()})
    }

    pub(crate) fn blob_path(&self, digest: &str) -> PathBuf {
        self.path().join("blobs").join(digest.replacen(':', "/", 1))
    }

    pub(crate) fn reference(&self) -> ImageRef {
        ImageRef::Oci {
            directory: self.path().to_owned(),
            tag: None,
        }
    }

    pub(crate) fn output(&self) -> PathBuf {
        self.path().join("out.uk")
    }

    pub(crate) fn build(&self) -> Result<BuildReport, BuildError> {
        self.build_with(&BuildOptions::default())
    }

    pub(crate) fn build_with(&self, options: &BuildOptions) -> Result<BuildReport, BuildError> {
        build(&self.reference(), &self.output(), options, &mut NoProgress)
    }

    /// Builds, expects failure, and that nothing is left behind; all of the message.
    pub(crate) fn refusal(&self, options: &BuildOptions) -> String {
        let error = self
            .build_with(options)
            .expect_err("the image must be refused");
        let left: Vec<_> = fs::read_dir(self.path())
            .expect("directory")
            .map(|entry| entry.expect("entry").file_name())
            .filter(|name| name != "blobs" && name != "index.json" && name != "oci-layout")
            .collect();
        assert!(left.is_empty(), "left behind: {left:?}");
        message(&error)
    }
}

/// An error with all its sources, as the command line prints it.
pub(crate) fn message(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
