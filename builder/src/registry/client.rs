//! One host of a registry over HTTP: TLS as `hosts.toml` says, authentication,
//! redirects, retries, and bodies that have an end.
//!
//! Redirects are followed here, not by reqwest: to another origin go neither
//! credentials nor the headers or the client certificate of `hosts.toml`, its
//! certificate is checked whatever `skip_verify` says, and TLS is never left for
//! plain HTTP.

use std::collections::HashMap;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use oci_distribution::errors::OciEnvelope;
use oci_distribution::secrets::RegistryAuth;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};

use super::credentials::{Credentials, CredentialsError, from_docker_config};
use super::error::{RegistryError, printable};
use super::hosts::Endpoint;
use super::retry::{Backoff, RETRY_AFTER_MAX};
use super::tls::{http_client, is_tls};
use super::token;

const REDIRECTS_MAX: usize = 5;
/// What is read of an answer that is an error.
const ERROR_MAX_BYTES: u64 = 16 << 10;

/// Who one is, by host.
#[derive(Clone, Debug, Default)]
pub(super) struct Keyring {
    /// For the registry itself, from the command line or from Kubernetes.
    pub(super) given: Option<Credentials>,
    /// Docker's configuration, for all hosts.
    pub(super) docker_config: Option<std::path::PathBuf>,
}

impl Keyring {
    fn credentials(&self, endpoint: &Endpoint) -> Result<Credentials, CredentialsError> {
        match (&self.given, &self.docker_config) {
            // A mirror is another server: what was given is not for it.
            (Some(given), _) if !endpoint.is_mirror => Ok(given.clone()),
            (_, Some(path)) if endpoint.is_mirror => from_docker_config(path, &endpoint.name()),
            (_, Some(path)) => from_docker_config(path, &endpoint.registry),
            _ => Ok(Credentials::Anonymous),
        }
    }
}

/// Why a request did not work out.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It may work later.
    Transient {
        error: RegistryError,
        after: Option<Duration>,
    },
    /// It will not.
    Final(RegistryError),
}

impl From<Trouble> for RegistryError {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Transient { error, .. } | Trouble::Final(error) => error,
        }
    }
}

/// A body that can be sent again.
pub(super) type MakeBody<'a> = &'a dyn Fn() -> reqwest::Body;

/// One request.
pub(super) struct Ask<'a> {
    pub(super) method: Method,
    pub(super) url: Url,
    /// Of the token: `repository:NAME:pull`.
    pub(super) scope: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Option<MakeBody<'a>>,
    /// For messages.
    pub(super) what: String,
}

/// See the module documentation.
pub(super) struct Client {
    pub(super) endpoint: Endpoint,
    keyring: Keyring,
    own: reqwest::Client,
    foreign: OnceLock<reqwest::Client>,
    headers: HeaderMap,
    /// What the host accepted, by scope.
    accepted: Mutex<HashMap<String, RegistryAuth>>,
}

impl Client {
    pub(super) fn new(endpoint: Endpoint, keyring: Keyring) -> Result<Self, RegistryError> {
        // Another part of the process may have been first; any provider will do.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut headers = HeaderMap::new();
        for (name, value) in &endpoint.headers {
            let bad = || RegistryError::Header {
                host: endpoint.name(),
                name: name.clone(),
            };
            let key = HeaderName::try_from(name.as_str()).map_err(|_| bad())?;
            let value = HeaderValue::try_from(value.as_str()).map_err(|_| bad())?;
            headers.append(key, value);
        }
        Ok(Self {
            own: http_client(&endpoint, true)?,
            foreign: OnceLock::new(),
            endpoint,
            keyring,
            headers,
            accepted: Mutex::default(),
        })
    }

    /// Host and port, for messages.
    pub(super) fn name(&self) -> String {
        self.endpoint.name()
    }

    /// The URL of `NAME/KIND/REST`.
    pub(super) fn url(&self, repository: &str, kind: &str, rest: &str) -> Url {
        let mut url = self.endpoint.base.clone();
        url.set_path(&format!("{}{repository}/{kind}/{rest}", url.path()));
        if self.endpoint.is_mirror {
            // As containerd tells mirrors of several registries.
            url.query_pairs_mut()
                .append_pair("ns", &self.endpoint.registry);
        }
        url
    }

    /// The HTTP client for an origin.
    pub(super) fn at(&self, url: &Url) -> Result<&reqwest::Client, Trouble> {
        if self.is_own(url) {
            return Ok(&self.own);
        }
        if let Some(client) = self.foreign.get() {
            return Ok(client);
        }
        let client = http_client(&self.endpoint, false).map_err(Trouble::Final)?;
        Ok(self.foreign.get_or_init(|| client))
    }

    fn is_own(&self, url: &Url) -> bool {
        url.origin() == self.endpoint.base.origin()
    }

    /// Sends until there is an answer that stays. Errors of the registry's
    /// making are answers too: see [`Self::refusal`].
    pub(super) async fn request(&self, ask: &Ask<'_>) -> Result<Response, RegistryError> {
        let mut backoff = Backoff::default();
        loop {
            match self.attempt(ask).await {
                Ok(response) => return Ok(response),
                Err(Trouble::Transient { error, after }) => {
                    if !backoff.wait(after).await {
                        return Err(error);
                    }
                }
                Err(Trouble::Final(error)) => return Err(error),
            }
        }
    }

    /// The whole answer of a request that must succeed, body within bounds.
    pub(super) async fn document(
        &self,
        ask: &Ask<'_>,
        limit_bytes: u64,
    ) -> Result<(HeaderMap, Vec<u8>), RegistryError> {
        let mut backoff = Backoff::default();
        loop {
            let response = self.request(ask).await?;
            if !response.status().is_success() {
                return Err(self.refusal(response, ask.what.clone()).await);
            }
            let headers = response.headers().clone();
            match self.body(response, &ask.what, limit_bytes).await {
                Ok(body) => return Ok((headers, body)),
                Err(Trouble::Transient { error, after }) => {
                    if !backoff.wait(after).await {
                        return Err(error);
                    }
                }
                Err(Trouble::Final(error)) => return Err(error),
            }
        }
    }

    /// Sends once, with a second try where the host asks who is there.
    pub(super) async fn attempt(&self, ask: &Ask<'_>) -> Result<Response, Trouble> {
        let known = self.lock().get(&ask.scope).cloned();
        let response = self.follow(ask, known.as_ref()).await?;
        if response.status() != StatusCode::UNAUTHORIZED || !self.is_own(response.url()) {
            return Ok(response);
        }
        let Some(challenge) = token::challenge(response.headers()) else {
            return Ok(response);
        };
        let credentials = self.keyring.credentials(&self.endpoint).map_err(|source| {
            Trouble::Final(RegistryError::Credentials {
                host: self.name(),
                source,
            })
        })?;
        let answer = token::answer(self, challenge, &credentials, &ask.scope).await?;
        let Some(answer) = answer.filter(|answer| Some(answer) != known.as_ref()) else {
            return Ok(response);
        };
        let response = self.follow(ask, Some(&answer)).await?;
        self.lock().insert(ask.scope.clone(), answer);
        Ok(response)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, RegistryAuth>> {
        self.accepted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn follow(
        &self,
        ask: &Ask<'_>,
        auth: Option<&RegistryAuth>,
    ) -> Result<Response, Trouble> {
        let refused = |reason| {
            Trouble::Final(RegistryError::Redirect {
                host: self.name(),
                what: ask.what.clone(),
                reason,
            })
        };
        let mut url = ask.url.clone();
        for _ in 0..=REDIRECTS_MAX {
            let client = self.at(&url)?;
            let mut request = client
                .request(ask.method.clone(), url.clone())
                .headers(ask.headers.clone());
            if self.is_own(&url) {
                request = request.headers(self.headers.clone());
                request = match auth {
                    Some(RegistryAuth::Basic(user, password)) => {
                        request.basic_auth(user, Some(password))
                    }
                    Some(RegistryAuth::Bearer(token)) => request.bearer_auth(token),
                    Some(RegistryAuth::Anonymous) | None => request,
                };
            }
            if let Some(body) = ask.body {
                request = request.body(body());
            }
            let response = self.send(request, &ask.what).await?;
            let is_reading = matches!(ask.method, Method::GET | Method::HEAD);
            if !response.status().is_redirection() || !is_reading {
                return Ok(response);
            }
            let target = response.headers().get(LOCATION);
            let target = target.and_then(|location| location.to_str().ok());
            let next = target.and_then(|location| url.join(location).ok());
            let next = next.ok_or_else(|| refused("it names no place"))?;
            if !matches!(next.scheme(), "http" | "https") {
                return Err(refused("it is neither http nor https"));
            }
            if url.scheme() == "https" && next.scheme() == "http" {
                return Err(refused("it leaves TLS"));
            }
            url = next;
        }
        Err(refused("there are too many in a row"))
    }

    /// Sends once; what may be better later is [`Trouble::Transient`].
    pub(super) async fn send(
        &self,
        request: RequestBuilder,
        what: &str,
    ) -> Result<Response, Trouble> {
        let response = request
            .send()
            .await
            .map_err(|error| self.trouble(error, what))?;
        let status = response.status();
        let is_busy = status == StatusCode::TOO_MANY_REQUESTS
            || status == StatusCode::REQUEST_TIMEOUT
            || (status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED);
        if !is_busy {
            return Ok(response);
        }
        let seconds = response.headers().get(RETRY_AFTER);
        let seconds = seconds.and_then(|text| text.to_str().ok()?.trim().parse().ok());
        let after = seconds.map(Duration::from_secs);
        if let Some(after) = after.filter(|after| *after > RETRY_AFTER_MAX) {
            return Err(Trouble::Final(RegistryError::Busy {
                host: self.name(),
                what: what.to_owned(),
                seconds: after.as_secs(),
            }));
        }
        Err(Trouble::Transient {
            error: self.refusal(response, what.to_owned()).await,
            after,
        })
    }

    /// A body of at most `limit_bytes`.
    pub(super) async fn body(
        &self,
        response: Response,
        what: &str,
        limit_bytes: u64,
    ) -> Result<Vec<u8>, Trouble> {
        let mut body = Vec::new();
        let mut stream = response.bytes_stream();
        while let Some(piece) = stream.next().await {
            let piece = piece.map_err(|error| self.trouble(error, what))?;
            if (body.len() + piece.len()) as u64 > limit_bytes {
                return Err(Trouble::Final(RegistryError::TooLarge {
                    host: self.name(),
                    what: what.to_owned(),
                    limit_bytes,
                }));
            }
            body.extend_from_slice(&piece);
        }
        Ok(body)
    }

    /// What an answer that is no success means.
    pub(super) async fn refusal(&self, response: Response, what: String) -> RegistryError {
        let host = self.name();
        let status = response.status();
        let reason = status.canonical_reason().unwrap_or("no reason given");
        // A body that breaks or does not end leaves the status to tell.
        let body = self.body(response, &what, ERROR_MAX_BYTES).await;
        let message = body
            .ok()
            .and_then(|body| serde_json::from_slice::<OciEnvelope>(&body).ok())
            .and_then(|envelope| envelope.errors.into_iter().next())
            .map(|error| printable(&error.message))
            .filter(|message| !message.is_empty())
            .unwrap_or_else(|| reason.to_owned());
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => RegistryError::Denied {
                host,
                what,
                status: status.as_u16(),
                message,
            },
            StatusCode::NOT_FOUND => RegistryError::NotFound {
                host,
                what,
                message,
            },
            _ => RegistryError::Status {
                host,
                what,
                status: status.as_u16(),
                message,
            },
        }
    }

    /// What a failure of the connection means.
    pub(super) fn trouble(&self, error: reqwest::Error, what: &str) -> Trouble {
        let host = self.name();
        // A redirect's URL may hold a signature.
        let source = error.without_url();
        if is_tls(&source) {
            return Trouble::Final(RegistryError::Tls { host, source });
        }
        if source.is_connect() && !source.is_timeout() {
            let scheme = self.endpoint.base.scheme().to_owned();
            return Trouble::Final(RegistryError::Connect {
                host,
                scheme,
                source,
            });
        }
        if source.is_builder() {
            return Trouble::Final(RegistryError::Setup { host, source });
        }
        Trouble::Transient {
            error: RegistryError::Transfer {
                host,
                what: what.to_owned(),
                source,
            },
            after: None,
        }
    }
}
