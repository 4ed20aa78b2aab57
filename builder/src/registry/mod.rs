//! Registries: images come from them and go to them, and unikernels too.
//!
//! ```text
//! name ─► hosts ─► client: TLS, token, redirects, retries ─► document ─► blobs, three at once ─► store
//!           │ mirrors in order, then the registry itself          │ digest, type, platform
//! ```
//!
//! Everything that a registry says is untrusted. A manifest's bytes must have the
//! digest that names them, a blob's length and digest are its descriptor's, every
//! body has a bound, and what a registry writes is not printed as it is. URLs that
//! a descriptor names for itself are never followed.
//!
//! Names, media types, the error envelope and credentials as they are sent are
//! `oci-distribution`'s (the crate `oci-client`). Its HTTP client is not used: it
//! reads manifests and errors without a bound, sends passwords to any token
//! server, hides `Retry-After`, and knows no client certificates, headers or paths
//! of `hosts.toml`. What replaces it stands on the same reqwest.
//!
//! The functions here block. They set an asynchronous runtime up on the calling
//! thread for as long as they run; a program that does not call them has none.
//!
//! | module | what it owns |
//! |---|---|
//! | [`pull()`] (`pull`), `blob` | an image into the store; one blob, resumed |
//! | [`push()`] (`push`), `layout`, `upload`, `referrer` | an image or a unikernel to a registry |
//! | [`local()`] (`artifact`) | unikernels as artifacts; what a stored name is |
//! | [`Credentials`] (`credentials`), `token` | who one is, and bearer tokens |
//! | [`HostsError`] (`hosts`) | `hosts.toml` |
//! | [`DocumentError`] (`document`) | manifests and indexes |
//! | `session`, `client`, `tls`, `retry` | HTTP |
//! | [`Cancel`] (`cancel`) | giving up |

mod artifact;
mod blob;
mod cancel;
mod client;
mod credentials;
mod document;
mod error;
mod hosts;
mod layout;
mod pull;
mod push;
mod referrer;
mod retry;
mod session;
mod tls;
mod token;
mod upload;

use std::path::PathBuf;

use crate::platform::Platform;

pub use artifact::{ARTIFACT_TYPE, ArtifactError, Local, local};
pub use cancel::Cancel;
pub use credentials::{AuthConfig, Credentials, CredentialsError};
pub use document::DocumentError;
pub use error::RegistryError;
use error::printable;
pub use hosts::HostsError;
pub use layout::LayoutError;
/// A name in a registry, parsed.
pub use oci_distribution::Reference;
pub use pull::{Pulled, pull};
pub use push::{Pushed, Source, push};

/// Where the directory of `hosts.toml` files is unless the user says otherwise.
const CONFIG_DIRECTORY: &str = "/etc/unikiln/registries.d";
/// Variable that names it.
const CONFIG_VARIABLE: &str = "UNIKILN_REGISTRY_CONFIG_DIR";

/// How to talk to registries.
#[derive(Clone, Debug)]
pub struct RegistryOptions {
    /// Which image of an index.
    pub platform: Platform,
    /// Who one is at the registry itself; mirrors never see it.
    pub credentials: Option<Credentials>,
    /// Docker's `config.json`, which is asked where `credentials` are none.
    pub docker_config: Option<PathBuf>,
    /// Directory of `HOST/hosts.toml`.
    pub config_directory: PathBuf,
    /// Ends a pull or push that runs in another thread.
    pub cancel: Cancel,
}

impl Default for RegistryOptions {
    fn default() -> Self {
        let directory = std::env::var_os(CONFIG_VARIABLE).filter(|value| !value.is_empty());
        Self {
            platform: Platform::default(),
            credentials: None,
            docker_config: credentials::docker_config_path(),
            config_directory: directory.map_or_else(|| CONFIG_DIRECTORY.into(), PathBuf::from),
            cancel: Cancel::default(),
        }
    }
}
