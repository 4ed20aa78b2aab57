//! From a name to a whole image, or a unikernel, in the store: the name's
//! document, the platform's manifest, then all blobs, three at a time.

use futures_util::{StreamExt, TryStreamExt};
use oci_distribution::Reference;
use oci_spec::image::{Descriptor, ImageIndex, ImageManifest, MediaType};

use super::RegistryOptions;
use super::artifact;
use super::blob::{self, claim, commit, keeping};
use super::cancel;
use super::document::{self, DEPTH_MAX, Document, DocumentError, Kind};
use super::error::RegistryError;
use super::hosts::Capability;
use super::session::{Expected, Fetched, Session};
use crate::oci::{DOCUMENT_MAX_BYTES, Digest};
use crate::progress::Progress;
use crate::store::{Lease, Store};

/// Blobs on their way at once, as with docker.
const PARALLEL: usize = 3;

/// What was pulled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pulled {
    /// The whole name, by which the store knows it.
    pub name: String,
    /// What the name is for: the digest of a manifest or an index.
    pub digest: String,
    /// The manifest of the platform.
    pub manifest_digest: String,
    /// Whether it is a unikernel, which needs no conversion.
    pub is_unikernel: bool,
}

/// Brings the image or unikernel `reference` into `store`. What is there is not
/// fetched again, except for the document that the name is for.
pub fn pull(
    store: &Store,
    reference: &Reference,
    options: &RegistryOptions,
    progress: &mut dyn Progress,
) -> Result<Pulled, RegistryError> {
    let session = Session::new(reference, options, progress)?;
    let lease = store.lease().map_err(store_error("an image"))?;
    cancel::run(&options.cancel, pull_all(&session, &lease, options))
}

fn store_error(what: &str) -> impl FnOnce(crate::store::StoreError) -> RegistryError {
    let what = what.to_owned();
    move |source| RegistryError::Store {
        what,
        source: Box::new(source),
    }
}

async fn pull_all(
    session: &Session<'_>,
    lease: &Lease,
    options: &RegistryOptions,
) -> Result<Pulled, RegistryError> {
    let name = session.reference.to_string();
    let (target, expected) = match session.reference.digest() {
        Some(text) => {
            let digest = Digest::parse(text).map_err(|source| RegistryError::Digest {
                what: name.clone(),
                source,
            })?;
            (text, Expected::Digest(digest))
        }
        None => (session.reference.tag().unwrap_or("latest"), Expected::Any),
    };
    let top = session
        .document(target, &expected, Capability::Resolve)
        .await?;
    let unusable = |what: &str| {
        let what = what.to_owned();
        move |source| RegistryError::Document { what, source }
    };
    let typed = document::read(&top.bytes, top.media_type.as_deref()).map_err(unusable(&name))?;
    let descriptor = Descriptor::new(
        MediaType::from(typed.media_type.as_str()),
        top.bytes.len() as u64,
        oci_digest(&top.digest)?,
    );
    keep_document(lease, &top).await?;
    let (manifest, manifest_digest) = match typed.document {
        Document::Manifest(manifest) => (*manifest, top.digest.clone()),
        Document::Index(index) => platform_manifest(session, lease, options, index).await?,
    };
    let manifest_name = manifest_digest.to_string();
    let kind = document::kind(&manifest).map_err(unusable(&manifest_name))?;
    if kind == Kind::Unikernel {
        artifact::unikernel_layer(&manifest)?;
    }
    futures_util::stream::iter(document::blobs(&manifest))
        .map(|descriptor| async move { blob::fetch(session, lease, &descriptor).await })
        .buffer_unordered(PARALLEL)
        .try_collect::<Vec<()>>()
        .await?;
    let is_unikernel = kind == Kind::Unikernel;
    if is_unikernel {
        // One that cannot run here gets no name.
        artifact::open(lease.store(), &manifest)?;
    }
    lease
        .store()
        .set_reference(&name, &descriptor)
        .map_err(store_error(&name))?;
    Ok(Pulled {
        name,
        digest: top.digest.to_string(),
        manifest_digest: manifest_name,
        is_unikernel,
    })
}

fn oci_digest(digest: &Digest) -> Result<oci_spec::image::Digest, RegistryError> {
    // Ours are the stricter ones.
    digest
        .to_string()
        .parse()
        .map_err(|_| RegistryError::Digest {
            what: digest.to_string(),
            source: crate::oci::BlobError::BadDigest {
                text: digest.to_string(),
            },
        })
}

/// From an index, and the indexes in it, to the platform's manifest.
async fn platform_manifest(
    session: &Session<'_>,
    lease: &Lease,
    options: &RegistryOptions,
    mut index: Box<ImageIndex>,
) -> Result<(ImageManifest, Digest), RegistryError> {
    let name = session.reference.to_string();
    for _ in 0..DEPTH_MAX {
        let chosen = document::choose(&index, options.platform).map_err(|source| {
            RegistryError::Document {
                what: name.clone(),
                source,
            }
        })?;
        let digest = blob::parse(&chosen)?;
        let fetched = child(session, lease, &chosen, &digest).await?;
        let declared = chosen.media_type().to_string();
        let typed = document::read(&fetched.bytes, Some(&declared)).map_err(|source| {
            RegistryError::Document {
                what: digest.to_string(),
                source,
            }
        })?;
        keep_document(lease, &fetched).await?;
        match typed.document {
            Document::Manifest(manifest) => return Ok((*manifest, digest)),
            Document::Index(next) => index = next,
        }
    }
    Err(RegistryError::Document {
        what: name,
        source: DocumentError::TooDeep { depth: DEPTH_MAX },
    })
}

/// A document that an index names: from the store, if it is there.
async fn child(
    session: &Session<'_>,
    lease: &Lease,
    descriptor: &Descriptor,
    digest: &Digest,
) -> Result<Fetched, RegistryError> {
    if lease.has_blob(digest).map_err(keeping(digest))? {
        let blob = lease.store().blob(digest).map_err(keeping(digest))?;
        // A damaged one is moved away by this, and fetched again below.
        if let Ok(bytes) = blob.read(DOCUMENT_MAX_BYTES) {
            return Ok(Fetched {
                bytes,
                digest: digest.clone(),
                media_type: None,
            });
        }
    }
    let expected = Expected::Digest(digest.clone());
    let fetched = session
        .document(&digest.to_string(), &expected, Capability::Pull)
        .await?;
    let found_bytes = fetched.bytes.len() as u64;
    if found_bytes != descriptor.size() {
        return Err(RegistryError::WrongLength {
            host: session.reference.registry().to_owned(),
            what: digest.to_string(),
            expected_bytes: descriptor.size(),
            found_bytes,
        });
    }
    Ok(fetched)
}

async fn keep_document(lease: &Lease, fetched: &Fetched) -> Result<(), RegistryError> {
    let size_bytes = fetched.bytes.len() as u64;
    let digest = &fetched.digest;
    if let Some(mut writer) = claim(lease, digest, size_bytes).await? {
        // The whole is at hand; what an earlier attempt left is not needed.
        writer.restart().map_err(keeping(digest))?;
        writer.write(&fetched.bytes).map_err(keeping(digest))?;
        commit(writer).await.map_err(keeping(digest))?;
    }
    Ok(())
}
