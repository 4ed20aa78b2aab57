//! An image or a unikernel to a registry: blobs first, then what names them.
//!
//! A unikernel names its image as `subject` if the registry has it. A registry
//! that does not list what refers to an image (it says so by leaving out the
//! header `OCI-Subject`) gets the list under the tag `sha256-HEX`, as the OCI
//! distribution specification has it; two that push at once may lose one entry.

use std::path::{Path, PathBuf};

use futures_util::{StreamExt, TryStreamExt};
use oci_distribution::Reference;
use oci_distribution::manifest::OCI_IMAGE_INDEX_MEDIA_TYPE;
use oci_spec::image::{Descriptor, ImageIndex, ImageManifest, MediaType};
use reqwest::header::HeaderName;
use serde_json::{Value, json};
use unikiln_unikernel::UnikernelFile;

use super::artifact::{self, ArtifactError};
use super::client::Client;
use super::document::{self, Document};
use super::error::RegistryError;
use super::hosts::Capability;
use super::layout::Layout;
use super::session::{Expected, Session, digest_of};
use super::upload::{self, Content, Outgoing};
use super::{RegistryOptions, blob, cancel};
use crate::oci::{Digest, Hasher};
use crate::progress::{Progress, Transfer};

/// Blobs on their way at once.
const PARALLEL: usize = 3;
const SUBJECT_HEADER: HeaderName = HeaderName::from_static("oci-subject");
/// Bytes hashed at a time.
const PIECE_BYTES: usize = 256 << 10;

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
struct Named {
    media_type: String,
    bytes: Vec<u8>,
    digest: String,
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
            let chosen = options.platform.choose(index.manifests());
            let chosen = chosen.filter(|entry| layout.has(entry)).unwrap_or(&top);
            let text = format!("only the image for {} is pushed", options.platform);
            session.tell(Transfer::Note(&text));
            let (named, document) = read(&layout, chosen)?;
            match document {
                Document::Manifest(manifest) => {
                    push_manifest(session, client, &layout, &named, &manifest, Call::Name).await
                }
                Document::Index(_) => Err(RegistryError::Document {
                    what: named.digest,
                    source: document::DocumentError::Platform {
                        wanted: options.platform.to_string(),
                        found: "images that are not in the layout".to_owned(),
                    },
                }),
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

async fn push_blobs(
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
fn target(session: &Session<'_>, digest: &str) -> Result<String, RegistryError> {
    match (session.reference.digest(), session.reference.tag()) {
        (Some(named), _) if named != digest => Err(RegistryError::OtherDigest {
            reference: session.reference.to_string(),
            digest: digest.to_owned(),
        }),
        (_, Some(tag)) => Ok(tag.to_owned()),
        (_, None) => Ok(digest.to_owned()),
    }
}

async fn put(
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

async fn put_with_subject(
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

async fn push_unikernel(
    session: &Session<'_>,
    client: &Client,
    path: &Path,
) -> Result<Pushed, RegistryError> {
    let file = UnikernelFile::open(path).map_err(ArtifactError::Open)?;
    file.verify_head().map_err(ArtifactError::Open)?;
    let (digest, len_bytes) = hash(path)?;
    let empty_digest = digest_of(artifact::EMPTY, Hasher::sha256());
    let subject = subject(session, client, &file.manifest().image.digest).await?;
    let manifest = artifact::manifest(&file, &digest, len_bytes, &empty_digest, subject.as_ref());
    let outgoing = vec![
        Outgoing {
            digest: empty_digest,
            len_bytes: artifact::EMPTY.len() as u64,
            content: Content::Bytes(artifact::EMPTY),
        },
        Outgoing {
            digest,
            len_bytes,
            content: Content::File(path.to_owned()),
        },
    ];
    push_blobs(session, client, outgoing).await?;
    let named = named(&manifest, oci_distribution::manifest::OCI_IMAGE_MEDIA_TYPE);
    let target = target(session, &named.digest)?;
    put_with_subject(session, client, &target, &named, subject.as_ref()).await
}

fn named(document: &Value, media_type: &str) -> Named {
    let bytes = document.to_string().into_bytes();
    Named {
        media_type: media_type.to_owned(),
        digest: digest_of(&bytes, Hasher::sha256()),
        bytes,
    }
}

/// Digest and length of a file.
fn hash(path: &Path) -> Result<(String, u64), RegistryError> {
    use std::io::Read;
    let failed = |source| RegistryError::Read {
        path: path.to_owned(),
        source,
    };
    let mut file = std::fs::File::open(path).map_err(failed)?;
    let mut hasher = Hasher::sha256();
    let mut len_bytes = 0;
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let len = file.read(&mut piece).map_err(failed)?;
        if len == 0 {
            return Ok((hasher.finish(), len_bytes));
        }
        hasher.update(&piece[..len]);
        len_bytes += len as u64;
    }
}

/// The image that a unikernel was made of, if this repository has it.
async fn subject(
    session: &Session<'_>,
    client: &Client,
    digest: &str,
) -> Result<Option<Descriptor>, RegistryError> {
    let Ok(wanted) = Digest::parse(digest) else {
        return Ok(None);
    };
    let expected = Expected::Digest(wanted);
    let fetched = match session.document_of(client, digest, &expected).await {
        Ok(fetched) => fetched,
        Err(RegistryError::NotFound { .. }) => {
            let text = format!(
                "{} does not have the image {digest}: the unikernel refers to none",
                session.reference.repository()
            );
            session.tell(Transfer::Note(&text));
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let typed =
        document::read(&fetched.bytes, fetched.media_type.as_deref()).map_err(|source| {
            RegistryError::Document {
                what: digest.to_owned(),
                source,
            }
        })?;
    let media_type = MediaType::from(typed.media_type.as_str());
    let len_bytes = fetched.bytes.len() as u64;
    // Parsed above, and more strictly.
    let digest: Result<oci_spec::image::Digest, _> = digest.parse();
    Ok(digest
        .ok()
        .map(|digest| Descriptor::new(media_type, len_bytes, digest)))
}

/// Adds a manifest to the list of what refers to `subject`.
async fn list_referrer(
    session: &Session<'_>,
    client: &Client,
    named: &Named,
    subject: &str,
) -> Result<(), RegistryError> {
    let tag = subject.replacen(':', "-", 1);
    let found = session.document_of(client, &tag, &Expected::Any).await;
    let mut list = match found {
        Ok(fetched) => {
            let unusable = |source| RegistryError::Document {
                what: tag.clone(),
                source,
            };
            let typed =
                document::read(&fetched.bytes, fetched.media_type.as_deref()).map_err(unusable)?;
            if matches!(typed.document, Document::Manifest(_)) {
                return Err(unusable(document::DocumentError::MediaType {
                    media_type: typed.media_type,
                }));
            }
            serde_json::from_slice(&fetched.bytes)
                .map_err(|source| unusable(document::DocumentError::Json(source)))?
        }
        Err(RegistryError::NotFound { .. }) => json!({
            "schemaVersion": 2,
            "mediaType": OCI_IMAGE_INDEX_MEDIA_TYPE,
            "manifests": [],
        }),
        Err(error) => return Err(error),
    };
    let entry = json!({
        "mediaType": named.media_type,
        "digest": named.digest,
        "size": named.bytes.len(),
        "artifactType": artifact::ARTIFACT_TYPE,
    });
    if let Some(entries) = list["manifests"].as_array_mut() {
        entries.retain(|old| old["digest"] != entry["digest"]);
        entries.push(entry);
    }
    let list = self::named(&list, OCI_IMAGE_INDEX_MEDIA_TYPE);
    put(session, client, &tag, &list).await.map(|_| ())
}
