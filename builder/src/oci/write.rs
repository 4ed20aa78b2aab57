//! Writes an OCI image layout. Blobs and the index appear under their names
//! only when they are whole; an index that is there keeps its other images.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use flate2::{Compression, GzBuilder};
use oci_spec::OciSpecError;
use oci_spec::image::{
    Arch, ConfigBuilder, Descriptor, DescriptorBuilder, Digest, ImageConfigurationBuilder,
    ImageIndex, ImageIndexBuilder, ImageManifestBuilder, MediaType, Os, RootFsBuilder,
};
use tempfile::NamedTempFile;
use unikiln_unikernel::Manifest;

use super::digest::Hasher;
use super::index::TAG_ANNOTATION;
use super::write_layer::{self, WriteLayerError};
use crate::rootfs::RootFs;

const SCHEMA_VERSION: u32 = 2;
const LAYOUT_FILE: &str = "oci-layout";
const LAYOUT: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;
const INDEX_FILE: &str = "index.json";

/// What keeps a layout from being written.
#[derive(Debug, thiserror::Error)]
pub enum WriteLayoutError {
    /// A file or directory of the layout cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// What.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The layer cannot be written.
    #[error("cannot write the layer")]
    Layer(#[from] WriteLayerError),
    /// The index that is there already cannot be read.
    #[error("cannot add to {}; remove it or choose another directory", path.display())]
    Index {
        /// The index.
        path: PathBuf,
        /// What the parser said.
        source: serde_json::Error,
    },
    /// A document cannot be put together.
    #[error("cannot write the image's documents")]
    Document(#[from] OciSpecError),
    /// A document cannot be written as JSON.
    #[error("cannot write the image's documents")]
    Json(#[from] serde_json::Error),
}

/// A written layer.
#[derive(Debug)]
pub(crate) struct WrittenLayer {
    digest: String,
    diff_id: String,
    pub(crate) len_bytes: u64,
}

/// See the module documentation.
pub(crate) struct LayoutWriter<'a> {
    directory: &'a Path,
    blobs: PathBuf,
}

impl<'a> LayoutWriter<'a> {
    /// Makes the layout's directories where they are missing.
    pub(crate) fn new(directory: &'a Path) -> Result<Self, WriteLayoutError> {
        let blobs = directory.join("blobs/sha256");
        fs::create_dir_all(&blobs).map_err(write_error(&blobs))?;
        Ok(Self { directory, blobs })
    }

    /// Writes `rootfs` as a gzip layer.
    pub(crate) fn layer(&self, rootfs: &RootFs) -> Result<WrittenLayer, WriteLayoutError> {
        let file = NamedTempFile::new_in(&self.blobs).map_err(write_error(&self.blobs))?;
        let compressed = HashingWriter::new(file);
        // No name and no time, so that the bytes depend on the contents alone.
        let gzip = GzBuilder::new()
            .mtime(0)
            .write(compressed, Compression::default());
        let unpacked = write_layer::write(rootfs, HashingWriter::new(gzip))?;
        let (gzip, diff_id, _) = unpacked.finish();
        let compressed = gzip.finish().map_err(write_error(&self.blobs))?;
        let (file, digest, len_bytes) = compressed.finish();
        self.keep(file, &digest)?;
        Ok(WrittenLayer {
            digest,
            diff_id,
            len_bytes,
        })
    }

    /// Writes the documents of an image of one layer and enters it into the
    /// index; gives the manifest's digest.
    pub(crate) fn image(
        &self,
        layer: &WrittenLayer,
        manifest: &Manifest,
        tag: Option<&str>,
    ) -> Result<String, WriteLayoutError> {
        let config = ConfigBuilder::default()
            .entrypoint(manifest.entrypoint.clone())
            .env(manifest.env.clone())
            .working_dir(manifest.working_dir.clone())
            .build()?;
        let rootfs = RootFsBuilder::default()
            .typ("layers".to_owned())
            .diff_ids(vec![layer.diff_id.clone()])
            .build()?;
        let config = ImageConfigurationBuilder::default()
            .architecture(Arch::Amd64)
            .os(Os::Linux)
            .config(config)
            .rootfs(rootfs)
            .build()?;
        let config = self.document(MediaType::ImageConfig, &config)?;
        let layer = descriptor(MediaType::ImageLayerGzip, &layer.digest, layer.len_bytes)?;
        let image = ImageManifestBuilder::default()
            .schema_version(SCHEMA_VERSION)
            .media_type(MediaType::ImageManifest)
            .config(config)
            .layers(vec![layer])
            .build()?;
        let mut image = self.document(MediaType::ImageManifest, &image)?;
        let digest = image.digest().to_string();
        if let Some(tag) = tag {
            let tag = (TAG_ANNOTATION.to_owned(), tag.to_owned());
            image.set_annotations(Some(HashMap::from([tag])));
        }
        self.enter(image)?;
        Ok(digest)
    }

    fn document(
        &self,
        media_type: MediaType,
        document: &impl serde::Serialize,
    ) -> Result<Descriptor, WriteLayoutError> {
        let bytes = serde_json::to_vec(document)?;
        let file = NamedTempFile::new_in(&self.blobs).map_err(write_error(&self.blobs))?;
        let mut writer = HashingWriter::new(file);
        writer.write_all(&bytes).map_err(write_error(&self.blobs))?;
        let (file, digest, len_bytes) = writer.finish();
        self.keep(file, &digest)?;
        descriptor(media_type, &digest, len_bytes)
    }

    fn keep(&self, file: NamedTempFile, digest: &str) -> Result<(), WriteLayoutError> {
        let hex = digest.rsplit(':').next().unwrap_or(digest);
        persist(file, &self.blobs.join(hex))
    }

    /// Puts the image into the index in place of the one with the same tag.
    fn enter(&self, image: Descriptor) -> Result<(), WriteLayoutError> {
        let path = self.directory.join(INDEX_FILE);
        let mut images = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice::<ImageIndex>(&bytes)
                .map_err(|source| WriteLayoutError::Index {
                    path: path.clone(),
                    source,
                })?
                .manifests()
                .clone(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(source) => return Err(write_error(&path)(source)),
        };
        let tag = |image: &Descriptor| {
            image
                .annotations()
                .as_ref()
                .and_then(|all| all.get(TAG_ANNOTATION).cloned())
        };
        images.retain(|other| tag(other) != tag(&image));
        images.push(image);
        let index = ImageIndexBuilder::default()
            .schema_version(SCHEMA_VERSION)
            .media_type(MediaType::ImageIndex)
            .manifests(images)
            .build()?;
        self.file(LAYOUT_FILE, LAYOUT.as_bytes())?;
        self.file(INDEX_FILE, &serde_json::to_vec(&index)?)
    }

    fn file(&self, name: &str, bytes: &[u8]) -> Result<(), WriteLayoutError> {
        let path = self.directory.join(name);
        let mut file = NamedTempFile::new_in(self.directory).map_err(write_error(&path))?;
        file.write_all(bytes).map_err(write_error(&path))?;
        persist(file, &path)
    }
}

/// Gives a temporary file its name and the permissions of any other file.
fn persist(file: NamedTempFile, path: &Path) -> Result<(), WriteLayoutError> {
    use std::os::unix::fs::PermissionsExt;
    file.as_file()
        .set_permissions(fs::Permissions::from_mode(0o644))
        .map_err(write_error(path))?;
    file.persist(path)
        .map(drop)
        .map_err(|error| write_error(path)(error.error))
}

fn descriptor(
    media_type: MediaType,
    digest: &str,
    len_bytes: u64,
) -> Result<Descriptor, WriteLayoutError> {
    let digest: Digest = digest.parse()?;
    let builder = DescriptorBuilder::default()
        .media_type(media_type)
        .digest(digest);
    Ok(builder.size(len_bytes).build()?)
}

fn write_error(path: &Path) -> impl Fn(io::Error) -> WriteLayoutError {
    let path = path.to_owned();
    move |source| WriteLayoutError::Write {
        path: path.clone(),
        source,
    }
}

/// Hashes and counts what is written through it.
pub(super) struct HashingWriter<W> {
    inner: W,
    hasher: Hasher,
    len_bytes: u64,
}

impl<W: Write> HashingWriter<W> {
    fn new(inner: W) -> Self {
        Self {
            inner,
            hasher: Hasher::sha256(),
            len_bytes: 0,
        }
    }

    /// The writer below, the digest, and the bytes written.
    fn finish(self) -> (W, String, u64) {
        (self.inner, self.hasher.finish(), self.len_bytes)
    }
}

impl<W: Write> Write for HashingWriter<W> {
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
