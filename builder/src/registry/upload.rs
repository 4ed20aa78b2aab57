//! One blob or manifest to a registry: asked for first, sent only if it is not
//! there, in one piece that is read from the file as it goes.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::stream;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION};
use reqwest::{Body, Method, StatusCode, Url};

use super::client::{Ask, Client, MakeBody, Trouble};
use super::error::RegistryError;
use super::retry::Backoff;
use super::session::{DIGEST_HEADER, Session};
use crate::progress::Transfer;

/// Bytes read of a file at a time.
const PIECE_BYTES: usize = 256 << 10;
/// How often progress is told.
const TELL_EVERY: Duration = Duration::from_millis(100);

/// What a blob holds.
#[derive(Clone, Debug)]
pub(super) enum Content {
    File(PathBuf),
    Bytes(&'static [u8]),
}

/// A blob to send.
#[derive(Clone, Debug)]
pub(super) struct Outgoing {
    pub(super) digest: String,
    pub(super) len_bytes: u64,
    pub(super) content: Content,
}

fn scope(session: &Session<'_>) -> String {
    format!("repository:{}:pull,push", session.reference.repository())
}

fn ask<'a>(session: &Session<'_>, method: Method, url: Url, what: &str) -> Ask<'a> {
    Ask {
        method,
        url,
        scope: scope(session),
        headers: HeaderMap::new(),
        body: None,
        what: what.to_owned(),
    }
}

/// Sends a blob, unless the registry has it.
pub(super) async fn blob(
    session: &Session<'_>,
    client: &Client,
    blob: &Outgoing,
) -> Result<(), RegistryError> {
    let repository = session.reference.repository();
    let what = format!("blob {}", blob.digest);
    session.tell(Transfer::Begin {
        digest: &blob.digest,
        total_bytes: blob.len_bytes,
    });
    let url = client.url(repository, "blobs", &blob.digest);
    let found = client
        .request(&ask(session, Method::HEAD, url, &what))
        .await?;
    let was_there = found.status().is_success();
    if !was_there {
        if found.status() != StatusCode::NOT_FOUND {
            return Err(client.refusal(found, what).await);
        }
        let mut backoff = Backoff::default();
        while let Err(trouble) = send(session, client, blob, &what).await {
            match trouble {
                Trouble::Final(error) => return Err(error),
                Trouble::Transient { error, after } => {
                    if !backoff.wait(after).await {
                        return Err(error);
                    }
                }
            }
        }
    }
    session.tell(Transfer::End {
        digest: &blob.digest,
        was_there,
    });
    Ok(())
}

async fn send(
    session: &Session<'_>,
    client: &Client,
    blob: &Outgoing,
    what: &str,
) -> Result<(), Trouble> {
    let url = client.url(session.reference.repository(), "blobs", "uploads/");
    let mut begin = ask(session, Method::POST, url.clone(), what);
    begin
        .headers
        .insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    let begun = client.attempt(&begin).await?;
    if begun.status() != StatusCode::ACCEPTED {
        return Err(Trouble::Final(client.refusal(begun, what.to_owned()).await));
    }
    let location = begun.headers().get(LOCATION);
    let location = location.and_then(|text| text.to_str().ok());
    let mut place = location
        .and_then(|location| url.join(location).ok())
        .filter(|place| place.scheme() == "https" || url.scheme() == "http")
        .ok_or_else(|| {
            Trouble::Final(RegistryError::BadHeader {
                host: client.name(),
                what: what.to_owned(),
                header: "Location",
            })
        })?;
    place.query_pairs_mut().append_pair("digest", &blob.digest);

    let sent = Arc::new(AtomicU64::new(0));
    let body = || body_of(&blob.content, &sent);
    let mut put = ask(session, Method::PUT, place, what);
    put.headers
        .insert(CONTENT_LENGTH, HeaderValue::from(blob.len_bytes));
    put.headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/octet-stream"),
    );
    put.body = Some(&body);
    let mut answer = std::pin::pin!(client.attempt(&put));
    let answer = loop {
        tokio::select! {
            answer = &mut answer => break answer?,
            () = tokio::time::sleep(TELL_EVERY) => session.tell(Transfer::At {
                digest: &blob.digest,
                bytes: sent.load(Ordering::Relaxed).min(blob.len_bytes),
            }),
        }
    };
    if answer.status() != StatusCode::CREATED {
        return Err(Trouble::Final(
            client.refusal(answer, what.to_owned()).await,
        ));
    }
    Ok(())
}

/// The content from its start; `sent` counts.
fn body_of(content: &Content, sent: &Arc<AtomicU64>) -> Body {
    sent.store(0, Ordering::Relaxed);
    let path = match content {
        Content::Bytes(bytes) => return Body::from(*bytes),
        Content::File(path) => path.clone(),
    };
    let state = (None, path, Arc::clone(sent));
    Body::wrap_stream(stream::try_unfold(
        state,
        |(open, path, sent): (Option<File>, PathBuf, Arc<AtomicU64>)| async move {
            let mut file = match open {
                Some(file) => file,
                None => File::open(&path)?,
            };
            let mut piece = vec![0; PIECE_BYTES];
            let len = loop {
                match file.read(&mut piece) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    result => break result?,
                }
            };
            piece.truncate(len);
            sent.fetch_add(len as u64, Ordering::Relaxed);
            let next = (Some(file), path, sent);
            Ok::<_, io::Error>((len > 0).then_some((piece, next)))
        },
    ))
}

/// Sends a manifest or index under a tag or its digest; what the registry answers.
pub(super) async fn manifest(
    session: &Session<'_>,
    client: &Client,
    target: &str,
    media_type: &str,
    bytes: &[u8],
    digest: &str,
) -> Result<HeaderMap, RegistryError> {
    let what = format!("manifest {target} of {}", session.reference.repository());
    let url = client.url(session.reference.repository(), "manifests", target);
    let mut put = ask(session, Method::PUT, url, &what);
    if let Ok(media_type) = HeaderValue::from_str(media_type) {
        put.headers.insert(CONTENT_TYPE, media_type);
    }
    let copy = bytes.to_vec();
    let body: MakeBody<'_> = &|| Body::from(copy.clone());
    put.body = Some(body);
    let answer = client.request(&put).await?;
    if !answer.status().is_success() {
        return Err(client.refusal(answer, what).await);
    }
    let headers = answer.headers().clone();
    let told = headers.get(DIGEST_HEADER);
    let told = told.and_then(|text| text.to_str().ok());
    if let Some(told) = told.filter(|told| *told != digest) {
        return Err(RegistryError::WrongDigest {
            host: client.name(),
            what,
            found: super::printable(told),
        });
    }
    Ok(headers)
}
