//! What goes wrong between us and a registry.

use std::path::PathBuf;

use super::artifact::ArtifactError;
use super::credentials::CredentialsError;
use super::document::DocumentError;
use super::hosts::HostsError;
use super::layout::LayoutError;
use crate::oci::BlobError;
use crate::store::StoreError;

/// What keeps an image from being pulled or pushed.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The registry's `hosts.toml`.
    #[error("cannot tell where {registry} is")]
    Hosts {
        /// The registry.
        registry: String,
        /// Why.
        source: HostsError,
    },
    /// No host of the registry may do what is asked for.
    #[error("no host of {registry} has the capability {capability}; see its hosts.toml")]
    NoHost {
        /// The registry.
        registry: String,
        /// `pull`, `resolve` or `push`.
        capability: &'static str,
    },
    /// A certificate or key that `hosts.toml` names.
    #[error("cannot use {} for {host}: {reason}", path.display())]
    Certificate {
        /// The host.
        host: String,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A header that `hosts.toml` names.
    #[error("header {name:?} for {host} cannot be sent; see hosts.toml")]
    Header {
        /// The host.
        host: String,
        /// The header.
        name: String,
    },
    /// The HTTP client cannot be made.
    #[error("cannot set up TLS for {host}; install ca-certificates, or give a ca in hosts.toml")]
    Setup {
        /// The host.
        host: String,
        /// What it said.
        source: reqwest::Error,
    },
    /// The asynchronous runtime cannot be made.
    #[error("cannot set up network input and output")]
    Runtime(#[source] std::io::Error),
    /// No connection.
    #[error("cannot reach {host}; is it there, and does it speak {scheme}?")]
    Connect {
        /// The host.
        host: String,
        /// `http` or `https`.
        scheme: String,
        /// What the system said.
        source: reqwest::Error,
    },
    /// The host's certificate is not trusted, or what it speaks is no TLS.
    #[error(
        "no TLS with {host}: give its CA, or server = \"http://…\" for plain HTTP, in hosts.toml"
    )]
    Tls {
        /// The host.
        host: String,
        /// What the TLS library said.
        source: reqwest::Error,
    },
    /// A connection that broke again and again.
    #[error("the connection to {host} broke while {what} was read; run the command again to go on")]
    Transfer {
        /// The host.
        host: String,
        /// What was read.
        what: String,
        /// What the system said.
        source: reqwest::Error,
    },
    /// 401 or 403.
    #[error(
        "{host} refuses {what}: {message}; it may not exist, or take --creds USER or docker login"
    )]
    Denied {
        /// The host.
        host: String,
        /// What was asked for.
        what: String,
        /// 401 or 403.
        status: u16,
        /// What the registry said.
        message: String,
    },
    /// 404.
    #[error("{host} has no {what}: {message}")]
    NotFound {
        /// The host.
        host: String,
        /// What was asked for.
        what: String,
        /// What the registry said.
        message: String,
    },
    /// Any other status.
    #[error("{host} answers {status} for {what}: {message}")]
    Status {
        /// The host.
        host: String,
        /// What was asked for.
        what: String,
        /// The status.
        status: u16,
        /// What the registry said.
        message: String,
    },
    /// 429 with more patience asked for than we have.
    #[error("{host} wants {seconds} s of rest before {what}; try again then, or use a mirror")]
    Busy {
        /// The host.
        host: String,
        /// What was asked for.
        what: String,
        /// How long.
        seconds: u64,
    },
    /// A redirect that is not followed.
    #[error("{host} redirects {what} where it is not followed: {reason}")]
    Redirect {
        /// The host.
        host: String,
        /// What was asked for.
        what: String,
        /// Why.
        reason: &'static str,
    },
    /// A header that must be there and make sense.
    #[error("{host} answers without a sensible {header} for {what}")]
    BadHeader {
        /// The host.
        host: String,
        /// What was asked for.
        what: String,
        /// The header.
        header: &'static str,
    },
    /// No credentials, because they cannot be found.
    #[error("cannot find credentials for {host}")]
    Credentials {
        /// The host.
        host: String,
        /// Why.
        source: CredentialsError,
    },
    /// The registry names a token server that gets no credentials.
    #[error("{host} wants a token of {realm}, which is not asked: {reason}")]
    Realm {
        /// The host.
        host: String,
        /// The token server.
        realm: String,
        /// Why.
        reason: &'static str,
    },
    /// An answer of the token server that is no token.
    #[error("the token server of {host} gives no token: {reason}")]
    Token {
        /// The host.
        host: String,
        /// What is wrong with it.
        reason: String,
    },
    /// An answer without end.
    #[error("{host} sends more than {limit_bytes} bytes for {what}")]
    TooLarge {
        /// The host.
        host: String,
        /// What was asked for.
        what: String,
        /// Most that is read.
        limit_bytes: u64,
    },
    /// A blob of another length than its descriptor says.
    #[error("{host} sends {found_bytes} bytes for {what}, which has {expected_bytes}")]
    WrongLength {
        /// The host.
        host: String,
        /// The blob.
        what: String,
        /// What its descriptor says.
        expected_bytes: u64,
        /// What comes.
        found_bytes: u64,
    },
    /// Something else than what was asked for.
    #[error("{host} sends something else for {what}: its digest is {found}")]
    WrongDigest {
        /// The host.
        host: String,
        /// What was asked for.
        what: String,
        /// The digest of what came.
        found: String,
    },
    /// A manifest or index.
    #[error("cannot use {what}")]
    Document {
        /// Its name.
        what: String,
        /// Why.
        source: DocumentError,
    },
    /// A digest that is none.
    #[error("{what} has a digest that cannot be checked")]
    Digest {
        /// Where it stands.
        what: String,
        /// Why.
        source: BlobError,
    },
    /// The content store.
    #[error("cannot keep {what}")]
    Store {
        /// What was to be kept.
        what: String,
        /// Why.
        source: Box<StoreError>,
    },
    /// A file that is to be pushed.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The layout that is to be pushed.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// A name with the digest of something else.
    #[error("{reference} names a digest, but what is pushed has {digest}; name a tag")]
    OtherDigest {
        /// The name.
        reference: String,
        /// What is pushed.
        digest: String,
    },
    /// A unikernel as an artifact.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// The caller's wish.
    #[error("cancelled; run the command again to go on")]
    Cancelled,
}

/// What a stranger wrote, fit for a terminal: one line, no control characters,
/// not endless.
pub(super) fn printable(text: &str) -> String {
    const CHARS_MAX: usize = 200;
    let clean = |char: char| if char.is_control() { ' ' } else { char };
    let text = text.trim().chars().map(clean);
    text.take(CHARS_MAX).collect()
}
