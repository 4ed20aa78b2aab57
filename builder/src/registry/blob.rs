//! One blob into the store: from the hosts in order, resumed where it broke, and
//! never longer than its descriptor says.

use std::time::Duration;

use futures_util::StreamExt;
use oci_spec::image::Descriptor;
use reqwest::header::{CONTENT_RANGE, HeaderMap, HeaderValue, RANGE};
use reqwest::{Method, Response, StatusCode};

use super::client::{Ask, Client, Trouble};
use super::error::RegistryError;
use super::hosts::Capability;
use super::retry::Backoff;
use super::session::Session;
use crate::oci::Digest;
use crate::progress::Transfer;
use crate::store::{BlobWriter, Claim, Lease, StoreError};

/// How often another process's download is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Brings a blob into the store, unless it is there.
pub(super) async fn fetch(
    session: &Session<'_>,
    lease: &Lease,
    descriptor: &Descriptor,
) -> Result<(), RegistryError> {
    let digest = parse(descriptor)?;
    let name = digest.to_string();
    session.tell(Transfer::Begin {
        digest: &name,
        total_bytes: descriptor.size(),
    });
    let clients = session.able(Capability::Pull)?;
    let mut last = None;
    for (number, client) in clients.iter().enumerate() {
        let Some(writer) = claim(lease, &digest, descriptor.size()).await? else {
            session.tell(Transfer::End {
                digest: &name,
                was_there: last.is_none(),
            });
            return Ok(());
        };
        let was_resumed = writer.offset() > 0;
        let mut result = download(session, client, writer).await;
        if was_resumed && matches!(result, Err(RegistryError::WrongDigest { .. })) {
            // What lay there may have been the wrong part.
            if let Some(writer) = claim(lease, &digest, descriptor.size()).await? {
                result = download(session, client, writer).await;
            }
        }
        match result {
            Ok(()) => {
                session.tell(Transfer::End {
                    digest: &name,
                    was_there: false,
                });
                return Ok(());
            }
            // No other host has a better disk.
            Err(error @ RegistryError::Store { .. }) => return Err(error),
            Err(error) => {
                session.tell_failure(client, &error, number + 1 == clients.len());
                last = Some(error);
            }
        }
    }
    // There is at least one client.
    Err(last.unwrap_or(RegistryError::Cancelled))
}

/// The digest of a descriptor.
pub(super) fn parse(descriptor: &Descriptor) -> Result<Digest, RegistryError> {
    let text = descriptor.digest().to_string();
    Digest::parse(&text).map_err(|source| RegistryError::Digest {
        what: "a descriptor".to_owned(),
        source,
    })
}

/// A writer, as soon as nobody else writes the blob; none if it is there.
pub(super) async fn claim(
    lease: &Lease,
    digest: &Digest,
    size_bytes: u64,
) -> Result<Option<BlobWriter>, RegistryError> {
    loop {
        match lease
            .try_writer(digest, size_bytes)
            .map_err(keeping(digest))?
        {
            Claim::Stored => return Ok(None),
            Claim::Writer(writer) => return Ok(Some(writer)),
            Claim::Busy => tokio::time::sleep(LOOK_AGAIN).await,
        }
    }
}

pub(super) fn keeping(what: &Digest) -> impl FnOnce(StoreError) -> RegistryError {
    let what = what.to_string();
    move |source| RegistryError::Store {
        what,
        source: Box::new(source),
    }
}

/// Makes a blob of what was written, apart from the thread that talks to
/// registries: it waits for the disk.
pub(super) async fn commit(writer: BlobWriter) -> Result<(), StoreError> {
    match tokio::task::spawn_blocking(move || writer.commit()).await {
        Ok(result) => result,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

async fn download(
    session: &Session<'_>,
    client: &Client,
    mut writer: BlobWriter,
) -> Result<(), RegistryError> {
    let digest = writer.digest().clone();
    let mut backoff = Backoff::default();
    while writer.offset() < writer.size_bytes() {
        let before = writer.offset();
        let Err(trouble) = piece(session, client, &mut writer).await else {
            continue;
        };
        match trouble {
            Trouble::Final(error) => return Err(error),
            Trouble::Transient { error, after } => {
                if writer.offset() > before {
                    backoff.reset();
                }
                if !backoff.wait(after).await {
                    return Err(error);
                }
            }
        }
    }
    match commit(writer).await {
        Ok(()) => Ok(()),
        Err(StoreError::WrongDigest { digest, found }) => Err(RegistryError::WrongDigest {
            host: client.name(),
            what: digest,
            found,
        }),
        Err(error) => Err(keeping(&digest)(error)),
    }
}

/// One request, as far as it goes.
async fn piece(
    session: &Session<'_>,
    client: &Client,
    writer: &mut BlobWriter,
) -> Result<(), Trouble> {
    let name = writer.digest().to_string();
    let fail = |error| Trouble::Final(error);
    let mut headers = HeaderMap::new();
    let range = format!("bytes={}-", writer.offset());
    if writer.offset() > 0
        && let Ok(range) = HeaderValue::try_from(range)
    {
        headers.insert(RANGE, range);
    }
    let repository = session.reference.repository();
    let ask = Ask {
        method: Method::GET,
        url: client.url(repository, "blobs", &name),
        scope: session.pull_scope(),
        headers,
        body: None,
        what: format!("blob {name}"),
    };
    let response = client.attempt(&ask).await?;
    match response.status() {
        StatusCode::PARTIAL_CONTENT => {
            if range_start(&response, writer.size_bytes()) != Some(writer.offset()) {
                return Err(fail(RegistryError::BadHeader {
                    host: client.name(),
                    what: ask.what,
                    header: "Content-Range",
                }));
            }
        }
        // No ranges here, or one that it does not like: from the start.
        StatusCode::OK => restart(writer).map_err(fail)?,
        StatusCode::RANGE_NOT_SATISFIABLE if writer.offset() > 0 => {
            return restart(writer).map_err(fail);
        }
        _ => return Err(fail(client.refusal(response, ask.what).await)),
    }
    body(session, client, writer, response, &ask.what).await
}

fn restart(writer: &mut BlobWriter) -> Result<(), RegistryError> {
    if writer.offset() == 0 {
        return Ok(());
    }
    let digest = writer.digest().clone();
    writer.restart().map_err(keeping(&digest))
}

/// Where a part begins, if it is a part of the right whole.
fn range_start(response: &Response, size_bytes: u64) -> Option<u64> {
    let text = response.headers().get(CONTENT_RANGE)?.to_str().ok()?;
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (start, _) = range.split_once('-')?;
    if total != "*" && total.parse() != Ok(size_bytes) {
        return None;
    }
    start.parse().ok()
}

async fn body(
    session: &Session<'_>,
    client: &Client,
    writer: &mut BlobWriter,
    response: Response,
    what: &str,
) -> Result<(), Trouble> {
    let digest = writer.digest().clone();
    let name = digest.to_string();
    let size_bytes = writer.size_bytes();
    let wrong_length = |found_bytes| {
        Trouble::Final(RegistryError::WrongLength {
            host: client.name(),
            what: what.to_owned(),
            expected_bytes: size_bytes,
            found_bytes,
        })
    };
    if let Some(announced) = response.content_length() {
        let whole = writer.offset().saturating_add(announced);
        if whole != size_bytes {
            return Err(wrong_length(whole));
        }
    }
    let mut stream = response.bytes_stream();
    while let Some(piece) = stream.next().await {
        let piece = piece.map_err(|error| client.trouble(error, what))?;
        let end = writer.offset() + piece.len() as u64;
        if end > size_bytes {
            return Err(wrong_length(end));
        }
        writer
            .write(&piece)
            .map_err(|error| Trouble::Final(keeping(&digest)(error)))?;
        session.tell(Transfer::At {
            digest: &name,
            bytes: end,
        });
    }
    if writer.offset() < size_bytes {
        // It ended as if that were all.
        return Err(wrong_length(writer.offset()));
    }
    Ok(())
}
