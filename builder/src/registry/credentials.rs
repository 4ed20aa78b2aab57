//! Who one is at a registry: what `docker login` left in `config.json`, what a
//! credential helper says, what the command line or Kubernetes gave.
//!
//! A helper is asked only when a registry asks for credentials, and only about
//! that registry. Nothing here is ever printed: `Debug` hides secrets.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::GeneralPurpose;
use base64::engine::{DecodePaddingMode, GeneralPurposeConfig};
use serde::Deserialize;

/// The name of docker's registry in files that docker writes.
const DOCKER_KEY: &str = "https://index.docker.io/v1/";
/// More than any configuration, and any helper's answer.
const ANSWER_MAX_BYTES: u64 = 1 << 20;
/// User name of a helper whose secret is an identity token.
const TOKEN_USER: &str = "<token>";
/// What a helper says when it knows nothing of a registry.
const NOT_FOUND: &str = "credentials not found";

/// What keeps credentials from being found.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// The configuration cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The configuration is no JSON of docker's shape.
    #[error("{} is not docker's configuration; run docker login again", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        source: serde_json::Error,
    },
    /// The `auth` of a registry is not `user:password` in base64.
    #[error("the auth of {registry} is not user:password in base64")]
    BadAuth {
        /// The registry.
        registry: String,
    },
    /// A helper's name that is a path.
    #[error("credential helper {name:?} is no name; it is run as docker-credential-NAME")]
    BadHelper {
        /// As written.
        name: String,
    },
    /// A helper cannot be started.
    #[error("cannot run docker-credential-{name}; install it, or use --creds")]
    Helper {
        /// Its name.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// A helper failed, or its answer is no JSON.
    #[error("docker-credential-{name} has no answer for {registry}: {reason}")]
    HelperFailed {
        /// Its name.
        name: String,
        /// What it was asked.
        registry: String,
        /// What it said.
        reason: String,
    },
    /// None of the fields that say who one is.
    #[error("credentials for {registry} have neither user, auth nor token")]
    Nothing {
        /// The registry.
        registry: String,
    },
}

/// Who one is at one registry.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Credentials {
    /// Nobody in particular.
    #[default]
    Anonymous,
    /// User and password.
    Basic {
        /// The user.
        username: String,
        /// The password.
        password: String,
    },
    /// A token that the token server gives others for.
    IdentityToken(String),
    /// A token that the registry itself takes.
    RegistryToken(String),
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Anonymous => "Anonymous",
            Self::Basic { .. } => "Basic(…)",
            Self::IdentityToken(_) => "IdentityToken(…)",
            Self::RegistryToken(_) => "RegistryToken(…)",
        })
    }
}

/// Credentials as Kubernetes passes them on (CRI's AuthConfig).
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub struct AuthConfig {
    /// The user.
    pub username: String,
    /// The password.
    pub password: String,
    /// `user:password` in base64.
    pub auth: String,
    /// The registry that they are for; any if empty.
    #[serde(rename = "serveraddress")]
    pub server_address: String,
    /// A token that the token server gives others for.
    #[serde(rename = "identitytoken")]
    pub identity_token: String,
    /// A token that the registry itself takes.
    #[serde(rename = "registrytoken")]
    pub registry_token: String,
}

impl fmt::Debug for AuthConfig {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "AuthConfig({:?}, …)", self.server_address)
    }
}

impl AuthConfig {
    /// Who one is at `registry`; nobody where this is for another one.
    pub fn credentials(&self, registry: &str) -> Result<Credentials, CredentialsError> {
        if !self.server_address.is_empty() && bare(&self.server_address) != key_host(registry) {
            return Ok(Credentials::Anonymous);
        }
        if !self.username.is_empty() {
            return Ok(Credentials::Basic {
                username: self.username.clone(),
                password: self.password.clone(),
            });
        }
        if !self.identity_token.is_empty() {
            return Ok(Credentials::IdentityToken(self.identity_token.clone()));
        }
        if !self.auth.is_empty() {
            return decode(&self.auth, registry);
        }
        if !self.registry_token.is_empty() {
            return Ok(Credentials::RegistryToken(self.registry_token.clone()));
        }
        Err(CredentialsError::Nothing {
            registry: registry.to_owned(),
        })
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct DockerConfig {
    auths: HashMap<String, AuthConfig>,
    creds_store: String,
    cred_helpers: HashMap<String, String>,
}

/// `$DOCKER_CONFIG/config.json`, or the one in the home directory.
pub(super) fn docker_config_path() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let directory = set("DOCKER_CONFIG")
        .map(PathBuf::from)
        .or_else(|| set("HOME").map(|home| Path::new(&home).join(".docker")))?;
    Some(directory.join("config.json"))
}

/// What docker's configuration at `path` says about `registry`.
pub(super) fn from_docker_config(
    path: &Path,
    registry: &str,
) -> Result<Credentials, CredentialsError> {
    let failed = |source| CredentialsError::Read {
        path: path.to_owned(),
        source,
    };
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(Credentials::Anonymous);
        }
        Err(source) => return Err(failed(source)),
    };
    let mut text = Vec::new();
    file.take(ANSWER_MAX_BYTES)
        .read_to_end(&mut text)
        .map_err(failed)?;
    let config: DockerConfig =
        serde_json::from_slice(&text).map_err(|source| CredentialsError::Json {
            path: path.to_owned(),
            source,
        })?;
    let host = key_host(registry);
    let own = config
        .cred_helpers
        .iter()
        .find(|(key, _)| bare(key) == host)
        .map(|(_, helper)| helper.as_str());
    let helper = own.or(Some(config.creds_store.as_str()));
    if let Some(helper) = helper.filter(|helper| !helper.is_empty()) {
        let found = ask_helper(helper, server_key(registry))?;
        if found != Credentials::Anonymous {
            return Ok(found);
        }
    }
    match config.auths.iter().find(|(key, _)| bare(key) == host) {
        // With a store, docker keeps an empty entry in the file.
        Some((_, entry)) if is_empty(entry) => Ok(Credentials::Anonymous),
        Some((_, entry)) => AuthConfig {
            server_address: String::new(),
            ..entry.clone()
        }
        .credentials(registry),
        None => Ok(Credentials::Anonymous),
    }
}

fn is_empty(entry: &AuthConfig) -> bool {
    [
        &entry.username,
        &entry.auth,
        &entry.identity_token,
        &entry.registry_token,
    ]
    .iter()
    .all(|field| field.is_empty())
}

/// The registry as docker writes it.
fn server_key(registry: &str) -> &str {
    if matches!(registry, "docker.io" | "registry-1.docker.io") {
        DOCKER_KEY
    } else {
        registry
    }
}

fn key_host(registry: &str) -> &str {
    bare(server_key(registry))
}

/// Host and port of a key, which may be a URL.
fn bare(key: &str) -> &str {
    let key = key.split_once("://").map_or(key, |(_, rest)| rest);
    let host = key.split('/').next().unwrap_or(key);
    match host {
        "docker.io" | "registry-1.docker.io" => "index.docker.io",
        host => host,
    }
}

fn decode(auth: &str, registry: &str) -> Result<Credentials, CredentialsError> {
    let bad = || CredentialsError::BadAuth {
        registry: registry.to_owned(),
    };
    let config =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let engine = GeneralPurpose::new(&base64::alphabet::STANDARD, config);
    let bytes = engine.decode(auth.trim()).map_err(|_| bad())?;
    let text = String::from_utf8(bytes).map_err(|_| bad())?;
    let (username, password) = text.split_once(':').ok_or_else(bad)?;
    Ok(Credentials::Basic {
        username: username.to_owned(),
        // Some tools fill up with NUL.
        password: password.trim_end_matches('\0').to_owned(),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HelperAnswer {
    username: String,
    secret: String,
}

/// Asks `docker-credential-NAME get`: the registry on standard input, JSON back.
fn ask_helper(name: &str, registry: &str) -> Result<Credentials, CredentialsError> {
    if name.contains('/') {
        return Err(CredentialsError::BadHelper {
            name: name.to_owned(),
        });
    }
    let failed = |source| CredentialsError::Helper {
        name: name.to_owned(),
        source,
    };
    let mut child = Command::new(format!("docker-credential-{name}"))
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    if let Some(mut input) = child.stdin.take() {
        // A helper that needs no question may be gone already; its answer says more.
        let _ = writeln!(input, "{registry}");
    }
    let mut answer = Vec::new();
    if let Some(output) = child.stdout.take() {
        output
            .take(ANSWER_MAX_BYTES)
            .read_to_end(&mut answer)
            .map_err(failed)?;
    }
    let status = child.wait().map_err(failed)?;
    let said = String::from_utf8_lossy(&answer);
    if !status.success() && said.to_ascii_lowercase().contains(NOT_FOUND) {
        return Ok(Credentials::Anonymous);
    }
    let no_answer = |reason| CredentialsError::HelperFailed {
        name: name.to_owned(),
        registry: registry.to_owned(),
        reason,
    };
    if !status.success() {
        return Err(no_answer(super::printable(&said)));
    }
    let answer: HelperAnswer = serde_json::from_slice(&answer)
        .map_err(|_| no_answer("it is not JSON with Username and Secret".to_owned()))?;
    Ok(if answer.username == TOKEN_USER {
        Credentials::IdentityToken(answer.secret)
    } else {
        Credentials::Basic {
            username: answer.username,
            password: answer.secret,
        }
    })
}

#[cfg(test)]
mod tests;
