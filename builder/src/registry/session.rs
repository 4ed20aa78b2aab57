//! One name and the hosts that serve it: documents by tag or digest, from the
//! first host that has them right.

use std::cell::RefCell;

use oci_distribution::Reference;
use reqwest::Method;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};

use super::RegistryOptions;
use super::client::{Ask, Client, Keyring};
use super::document;
use super::error::RegistryError;
use super::hosts::{self, Capability};
use crate::oci::{DOCUMENT_MAX_BYTES, Digest, Hasher};
use crate::progress::{Progress, Transfer};

/// What registries tell a document's digest by.
pub(super) const DIGEST_HEADER: HeaderName = HeaderName::from_static("docker-content-digest");

/// See the module documentation.
pub(super) struct Session<'a> {
    pub(super) reference: &'a Reference,
    clients: Vec<Client>,
    progress: RefCell<&'a mut dyn Progress>,
}

/// A document whose digest is right.
pub(super) struct Fetched {
    pub(super) bytes: Vec<u8>,
    pub(super) digest: Digest,
    /// As the registry announced it.
    pub(super) media_type: Option<String>,
}

/// What a document must be.
pub(super) enum Expected {
    /// Whatever the tag is for.
    Any,
    Digest(Digest),
}

impl<'a> Session<'a> {
    pub(super) fn new(
        reference: &'a Reference,
        options: &RegistryOptions,
        progress: &'a mut dyn Progress,
    ) -> Result<Self, RegistryError> {
        let registry = reference.registry();
        let endpoints =
            hosts::endpoints(&options.config_directory, registry).map_err(|source| {
                RegistryError::Hosts {
                    registry: registry.to_owned(),
                    source,
                }
            })?;
        let keyring = Keyring {
            given: options.credentials.clone(),
            docker_config: options.docker_config.clone(),
        };
        let clients = endpoints
            .into_iter()
            .map(|endpoint| Client::new(endpoint, keyring.clone()))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            reference,
            clients,
            progress: RefCell::new(progress),
        })
    }

    /// The hosts with a capability, in order.
    pub(super) fn able(&self, capability: Capability) -> Result<Vec<&Client>, RegistryError> {
        let able: Vec<_> = self
            .clients
            .iter()
            .filter(|client| client.endpoint.can(capability))
            .collect();
        if able.is_empty() {
            return Err(RegistryError::NoHost {
                registry: self.reference.registry().to_owned(),
                capability: match capability {
                    Capability::Pull => "pull",
                    Capability::Resolve => "resolve",
                    Capability::Push => "push",
                },
            });
        }
        Ok(able)
    }

    pub(super) fn tell(&self, news: Transfer<'_>) {
        self.progress.borrow_mut().transfer(news);
    }

    /// Says that a host failed, where there is another one to go on with.
    pub(super) fn tell_failure(&self, client: &Client, error: &RegistryError, is_last: bool) {
        if !is_last {
            let text = format!("{} failed, going on with the next: {error}", client.name());
            self.tell(Transfer::Note(&text));
        }
    }

    pub(super) fn pull_scope(&self) -> String {
        format!("repository:{}:pull", self.reference.repository())
    }

    /// The manifest or index `target`, a tag or a digest.
    pub(super) async fn document(
        &self,
        target: &str,
        expected: &Expected,
        capability: Capability,
    ) -> Result<Fetched, RegistryError> {
        let clients = self.able(capability)?;
        let mut last = None;
        for (number, client) in clients.iter().enumerate() {
            match self.document_of(client, target, expected).await {
                Ok(fetched) => return Ok(fetched),
                Err(error) => {
                    self.tell_failure(client, &error, number + 1 == clients.len());
                    last = Some(error);
                }
            }
        }
        // There is at least one client.
        Err(last.unwrap_or(RegistryError::Cancelled))
    }

    pub(super) async fn document_of(
        &self,
        client: &Client,
        target: &str,
        expected: &Expected,
    ) -> Result<Fetched, RegistryError> {
        let repository = self.reference.repository();
        let mut headers = HeaderMap::new();
        for media_type in document::ACCEPT {
            headers.append(ACCEPT, HeaderValue::from_static(media_type));
        }
        let ask = Ask {
            method: Method::GET,
            url: client.url(repository, "manifests", target),
            scope: self.pull_scope(),
            headers,
            body: None,
            what: format!("manifest {target} of {repository}"),
        };
        let (headers, bytes) = client.document(&ask, DOCUMENT_MAX_BYTES).await?;
        let text = |name| {
            let value: Option<&HeaderValue> = headers.get(name);
            value.and_then(|value| value.to_str().ok())
        };
        let wrong = |found: String| RegistryError::WrongDigest {
            host: client.name(),
            what: ask.what.clone(),
            found,
        };
        let digest = match expected {
            Expected::Digest(digest) => {
                let found = digest_of(&bytes, digest.hasher());
                if found != digest.to_string() {
                    return Err(wrong(found));
                }
                digest.clone()
            }
            Expected::Any => {
                let found = digest_of(&bytes, Hasher::sha256());
                if let Some(told) = text(DIGEST_HEADER).and_then(|text| Digest::parse(text).ok()) {
                    let found = digest_of(&bytes, told.hasher());
                    if found != told.to_string() {
                        return Err(wrong(found));
                    }
                }
                Digest::parse(&found).map_err(|source| RegistryError::Digest {
                    what: ask.what.clone(),
                    source,
                })?
            }
        };
        Ok(Fetched {
            media_type: text(CONTENT_TYPE).map(str::to_owned),
            bytes,
            digest,
        })
    }
}

pub(super) fn digest_of(bytes: &[u8], mut hasher: Hasher) -> String {
    hasher.update(bytes);
    hasher.finish()
}
