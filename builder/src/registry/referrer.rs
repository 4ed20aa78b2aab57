//! Unikernels that are pushed, and the image that they refer to.
//!
//! A unikernel names its image as `subject` if the registry has it. A registry
//! that does not list what refers to an image (it says so by leaving out the
//! header `OCI-Subject`) gets the list under the tag `sha256-HEX`, as the OCI
//! distribution specification has it; two that push at once may lose one entry.

use std::path::Path;

use oci_distribution::manifest::{OCI_IMAGE_INDEX_MEDIA_TYPE, OCI_IMAGE_MEDIA_TYPE};
use oci_spec::image::{Descriptor, MediaType};
use serde_json::{Value, json};
use unikiln_unikernel::UnikernelFile;

use super::artifact::{self, ArtifactError};
use super::client::Client;
use super::document::{self, Document};
use super::error::RegistryError;
use super::push::{Named, Pushed, push_blobs, put, put_with_subject, target};
use super::session::{Expected, Session, digest_of};
use super::upload::{Content, Outgoing};
use crate::oci::{Digest, Hasher};
use crate::progress::Transfer;

/// Bytes hashed at a time.
const PIECE_BYTES: usize = 256 << 10;

/// The file's blob, and a manifest that names the image it was made of.
pub(super) async fn push_unikernel(
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
    let named = named(&manifest, OCI_IMAGE_MEDIA_TYPE);
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
pub(super) async fn list_referrer(
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
