//! OCI layouts, written here byte by byte: images with as many layers and
//! platforms as a test wants.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// `sha256:…` of bytes.
pub fn digest(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// A descriptor of bytes.
pub fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({ "mediaType": media_type, "digest": digest(bytes), "size": bytes.len() })
}

/// A layer with one file.
pub fn layer(path: &str, content: &[u8]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(content.len() as u64);
    header.set_mode(0o755);
    archive
        .append_data(&mut header, path, content)
        .expect("memory takes it");
    archive.into_inner().expect("memory takes it")
}

/// The configuration of an image of these layers.
pub fn config(variant: &str, layers: &[Vec<u8>]) -> Vec<u8> {
    let diff_ids: Vec<_> = layers.iter().map(|layer| digest(layer)).collect();
    json!({
        "os": "linux",
        "architecture": "amd64",
        "variant": variant,
        "config": { "Entrypoint": ["/bin/busybox"] },
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
    })
    .to_string()
    .into_bytes()
}

/// The manifest of an image.
pub fn manifest(config: &[u8], layers: &[Vec<u8>]) -> Vec<u8> {
    let layers: Vec<_> = layers.iter().map(|it| descriptor(LAYER, it)).collect();
    json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": descriptor(CONFIG, config),
        "layers": layers,
    })
    .to_string()
    .into_bytes()
}

/// A layout that is being written.
pub struct Layout {
    pub directory: tempfile::TempDir,
}

impl Layout {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().expect("temporary directory");
        let layout = Self { directory };
        let blobs = layout.path().join("blobs/sha256");
        fs::create_dir_all(blobs).expect("a directory");
        let marker = r#"{"imageLayoutVersion":"1.0.0"}"#;
        fs::write(layout.path().join("oci-layout"), marker).expect("a file");
        layout
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// `oci:DIR:TAG`.
    pub fn name(&self, tag: &str) -> String {
        format!("oci:{}:{tag}", self.path().display())
    }

    pub fn blob(&self, bytes: &[u8]) {
        let name = digest(bytes).replacen(':', "/", 1);
        fs::write(self.path().join("blobs").join(name), bytes).expect("a file");
    }

    /// Writes an image; its descriptor, with the platform.
    pub fn image(&self, variant: &str, layers: &[Vec<u8>]) -> Value {
        let config = config(variant, layers);
        let manifest = manifest(&config, layers);
        for layer in layers {
            self.blob(layer);
        }
        self.blob(&config);
        self.blob(&manifest);
        let mut descriptor = descriptor(MANIFEST, &manifest);
        descriptor["platform"] =
            json!({ "os": "linux", "architecture": "amd64", "variant": variant });
        descriptor
    }

    /// Gives a descriptor the tag `latest`.
    pub fn tag(&self, mut descriptor: Value) {
        descriptor["annotations"] = json!({ "org.opencontainers.image.ref.name": "latest" });
        let index = json!({ "schemaVersion": 2, "manifests": [descriptor] });
        fs::write(self.path().join("index.json"), index.to_string()).expect("a file");
    }
}

/// A layout whose `latest` is busybox with `files` layers above.
pub fn busybox(files: usize) -> Layout {
    let busybox = fs::read("/bin/busybox").expect("busybox is installed");
    let mut layers = vec![layer("bin/busybox", &busybox)];
    for number in 0..files {
        let content = format!("{number}\n");
        layers.push(layer(&format!("layers/{number:03}"), content.as_bytes()));
    }
    let layout = Layout::new();
    let image = layout.image("v1", &layers);
    layout.tag(image);
    layout
}
