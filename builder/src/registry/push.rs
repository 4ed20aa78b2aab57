//! An image or a unikernel to a registry: blobs first, then what names them.

use std::path::{Path, PathBuf};

use futures_util::{StreamExt, TryStreamExt};
use oci_distribution::Reference;
use oci_spec::image::{Descriptor, ImageIndex, ImageManifest};
use reqwest::header::HeaderName;

use super::client::Client;
use super::document::{self, Document};
use super::error::RegistryError;
use super::hosts::Capability;
use super::layout::Layout;
use super::referrer::{list_referrer, push_unikernel};
use super::session::Session;
use super::upload::{self, Content, Outgoing};
use super::{RegistryOptions, blob, cancel};
use crate::progress::{Progress, Transfer};

/// Blobs on their way at once.
const PARALLEL: usize = 3;
const SUBJECT_HEADER: HeaderName = HeaderName::from_static("oci-subject");

/// What is pushed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// An image, or what else has this tag in an OCI layout; a store is one.
    Layout {
        /// The layout.
        directory: PathBuf,
        /// Which of its images.
        tag: Option<String>,
    },
    /// A unikernel file.
    Unikernel(PathBuf),
}

/// What was pushed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// Digest of the manifest or index.
    pub digest: String,
    /// The image that a unikernel refers to.
    pub subject: Option<String>,
}

/// How a manifest is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    /// As the user's name says.
    Name,
    /// By its digest: it is part of an index.
    Digest,
}

/// A document to send.
pub(super) struct Named {
    pub(super) media_type: String,
    pub(super) bytes: Vec<u8>,
    pub(super) digest: String,
}

/// Pushes `source` as `reference`.
pub fn push(
    source: &Source,
    reference: &Reference,
    options: &RegistryOptions,
    progress: &mut dyn Progress,
) -> Result<Pushed, RegistryError> {
    let session = Session::new(reference, options, progress)?;
    cancel::run(&options.cancel, async {
        let client = session.able(Capability::Push)?.remove(0);
        match source {
            Source::Layout { directory, tag } => {
                push_layout(&session, client, directory, tag.as_deref(), options).await
            }
            Source::Unikernel(path) => push_unikernel(&session, client, path).await,
        }
    })
}

async fn push_layout(
    session: &Session<'_>,
    client: &Client,
    directory: &Path,
    tag: Option<&str>,
    options: &RegistryOptions,
) -> Result<Pushed, RegistryError> {
    let layout = Layout::new(directory);
    let top = layout.tagged(tag)?;
    let (named, document) = read(&layout, &top)?;
    match document {
        Document::Manifest(manifest) => {
            push_manifest(session, client, &layout, &named, &manifest, Call::Name).await
        }
        Document::Index(index) if index.manifests().iter().all(|entry| layout.has(entry)) => {
            push_index(session, client, &layout, &index).await?;
            let target = target(session, &named.digest)?;
            put(session, client, &target, &named).await?;
            Ok(Pushed {
                digest: named.digest,
                subject: None,
            })
        }
        // A store has only what was pulled.
        Document::Index(index) => {
            let unusable = |source| RegistryError::Document {
                what: named.digest.clone(),
                source,
            };
            let chosen = document::choose(&index, options.platform).map_err(unusable)?;
            let not_there = || document::DocumentError::NotThere {
                wanted: options.platform.to_string(),
            };
            if !layout.has(&chosen) {
                return Err(unusable(not_there()));
            }
            let text = format!("only the image for {} is pushed", options.platform);
            session.tell(Transfer::Note(&text));
            let (named, document) = read(&layout, &chosen)?;
            match document {
                Document::Manifest(manifest) => {
                    push_manifest(session, client, &layout, &named, &manifest, Call::Name).await
                }
                Document::Index(_) => Err(unusable(not_there())),
            }
        }
    }
}

fn read(layout: &Layout, descriptor: &Descriptor) -> Result<(Named, Document), RegistryError> {
    let bytes = layout.document(descriptor)?;
    let digest = descriptor.digest().to_string();
    let declared = descriptor.media_type().to_string();
    let typed =
        document::read(&bytes, Some(&declared)).map_err(|source| RegistryError::Document {
            what: digest.clone(),
            source,
        })?;
    let named = Named {
        media_type: typed.media_type,
        bytes,
        digest,
    };
    Ok((named, typed.document))
}

/// Everything that an index names, nested indexes included.
async fn push_index(
    session: &Session<'_>,
    client: &Client,
    layout: &Layout,
    index: &ImageIndex,
) -> Result<(), RegistryError> {
    let mut waiting: Vec<Descriptor> = index.manifests().clone();
    // Indexes are sent after what they name.
    let mut indexes = Vec::new();
    while let Some(entry) = waiting.pop() {
        let (named, document) = read(layout, &entry)?;
        match document {
            Document::Manifest(manifest) => {
                push_manifest(session, client, layout, &named, &manifest, Call::Digest).await?;
            }
            Document::Index(nested) => {
                waiting.extend(nested.manifests().iter().cloned());
                indexes.push(named);
            }
        }
    }
    for named in indexes.iter().rev() {
        put(session, client, &named.digest, named).await?;
    }
    Ok(())
}

/// Blobs and manifest.
async fn push_manifest(
    session: &Session<'_>,
    client: &Client,
    layout: &Layout,
    named: &Named,
    manifest: &ImageManifest,
    call: Call,
) -> Result<Pushed, RegistryError> {
    let mut outgoing = Vec::new();
    for descriptor in document::blobs(manifest) {
        let digest = blob::parse(&descriptor)?;
        outgoing.push(Outgoing {
            digest: digest.to_string(),
            len_bytes: descriptor.size(),
            content: Content::File(layout.blob_path(&digest)),
        });
    }
    push_blobs(session, client, outgoing).await?;
    let target = match call {
        Call::Digest => named.digest.clone(),
        Call::Name => target(session, &named.digest)?,
    };
    put_with_subject(session, client, &target, named, manifest.subject().as_ref()).await
}

pub(super) async fn push_blobs(
    session: &Session<'_>,
    client: &Client,
    outgoing: Vec<Outgoing>,
) -> Result<(), RegistryError> {
    futures_util::stream::iter(outgoing)
        .map(|blob| async move { upload::blob(session, client, &blob).await })
        .buffer_unordered(PARALLEL)
        .try_collect::<Vec<()>>()
        .await
        .map(|_| ())
}

/// What to call it: the tag, or the digest if that is what the name has.
pub(super) fn target(session: &Session<'_>, digest: &str) -> Result<String, RegistryError> {
    match (session.reference.digest(), session.reference.tag()) {
        (Some(named), _) if named != digest => Err(RegistryError::OtherDigest {
            reference: session.reference.to_string(),
            digest: digest.to_owned(),
        }),
        (_, Some(tag)) => Ok(tag.to_owned()),
        (_, None) => Ok(digest.to_owned()),
    }
}

pub(super) async fn put(
    session: &Session<'_>,
    client: &Client,
    target: &str,
    named: &Named,
) -> Result<bool, RegistryError> {
    let headers = upload::manifest(
        session,
        client,
        target,
        &named.media_type,
        &named.bytes,
        &named.digest,
    )
    .await?;
    Ok(headers.contains_key(SUBJECT_HEADER))
}

pub(super) async fn put_with_subject(
    session: &Session<'_>,
    client: &Client,
    target: &str,
    named: &Named,
    subject: Option<&Descriptor>,
) -> Result<Pushed, RegistryError> {
    let is_listed = put(session, client, target, named).await?;
    if let Some(subject) = subject.filter(|_| !is_listed) {
        list_referrer(session, client, named, subject.digest().as_ref()).await?;
    }
    Ok(Pushed {
        digest: named.digest.clone(),
        subject: subject.map(|subject| subject.digest().to_string()),
    })
}
