//! Where a registry's images come from: its `hosts.toml`, which is containerd's.
//!
//! ```toml
//! server = "https://registry.example"        # the registry itself; tried last
//! ca = "registry.pem"                        # keys here are the server's
//!
//! [host."http://mirror.example:5000"]        # mirrors, tried in this order
//! capabilities = ["pull", "resolve"]         # "push" too; all three if left out
//! skip_verify = false                        # certificates are not checked
//! ca = ["mirror.pem"]                        # trusted beside the system's
//! client = [["client.crt", "client.key"]]    # shown to the server
//! override_path = false                      # the URL's path stands for /v2
//! [host."http://mirror.example:5000".header]
//! x-team = "kiln"
//! ```
//!
//! The file of `host:port` is `DIR/host_port_/hosts.toml` or
//! `DIR/host:port/hosts.toml`; `DIR/_default/hosts.toml` is for all that have none.
//! Paths in it are relative to it. A key that is not known is an error: a
//! misspelt `skip_verify` must not go unseen.

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use reqwest::Url;
use serde::Deserialize;

/// Docker's registry has a name of its own.
const DOCKER_REGISTRY: &str = "docker.io";
const DOCKER_HOST: &str = "registry-1.docker.io";
const FILE_NAME: &str = "hosts.toml";
/// Far more than such a file has.
const FILE_MAX_BYTES: u64 = 1 << 20;

/// What is wrong with a `hosts.toml`.
#[derive(Debug, thiserror::Error)]
pub enum HostsError {
    /// It cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is no TOML, or has a key that is not known.
    #[error("{} is no hosts.toml", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        source: Box<toml::de::Error>,
    },
    /// A host that is no URL.
    #[error("{text:?} names no registry host (http://… or https://…)")]
    BadHost {
        /// As written.
        text: String,
    },
}

/// What a host is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Capability {
    Pull,
    Resolve,
    Push,
}

/// One host that serves a registry's images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    /// Ends with `/`; `NAME/manifests/…` comes behind it.
    pub(super) base: Url,
    pub(super) can_pull: bool,
    pub(super) can_resolve: bool,
    pub(super) can_push: bool,
    pub(super) skip_verify: bool,
    pub(super) ca: Vec<PathBuf>,
    /// Certificate, and key where it has a file of its own.
    pub(super) client: Option<(PathBuf, Option<PathBuf>)>,
    pub(super) headers: Vec<(String, String)>,
    /// The registry that it serves.
    pub(super) registry: String,
    /// Whether it stands in for the registry's own host.
    pub(super) is_mirror: bool,
}

impl Endpoint {
    /// Host and port, as credentials and messages name it.
    pub(super) fn name(&self) -> String {
        let host = self.base.host_str().unwrap_or_default();
        match self.base.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        }
    }

    pub(super) fn can(&self, capability: Capability) -> bool {
        match capability {
            Capability::Pull => self.can_pull,
            Capability::Resolve => self.can_resolve,
            Capability::Push => self.can_push,
        }
    }

    pub(super) fn is_plain(&self) -> bool {
        self.base.scheme() == "http"
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    server: Option<String>,
    #[serde(default)]
    host: toml::Table,
    capabilities: Option<Vec<CapabilityName>>,
    skip_verify: Option<bool>,
    ca: Option<OneOrMany<PathBuf>>,
    client: Option<Client>,
    override_path: Option<bool>,
    #[serde(default)]
    header: toml::Table,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Host {
    capabilities: Option<Vec<CapabilityName>>,
    skip_verify: Option<bool>,
    ca: Option<OneOrMany<PathBuf>>,
    client: Option<Client>,
    override_path: Option<bool>,
    #[serde(default)]
    header: toml::Table,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum CapabilityName {
    Pull,
    Resolve,
    Push,
    // What containerd's client does not use for images of ours, but its files may name.
    Referrers,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

impl<T> OneOrMany<T> {
    fn into_vec(self) -> Vec<T> {
        match self {
            Self::One(item) => vec![item],
            Self::Many(items) => items,
        }
    }
}

/// A file with both, or pairs of certificate and key.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Client {
    One(PathBuf),
    Many(Vec<OneOrMany<PathBuf>>),
}

/// The hosts of `registry`, mirrors first.
pub(super) fn endpoints(directory: &Path, registry: &str) -> Result<Vec<Endpoint>, HostsError> {
    let escaped = match registry.split_once(':') {
        Some((host, port)) => format!("{host}_{port}_"),
        None => registry.to_owned(),
    };
    for name in [escaped.as_str(), registry, "_default"] {
        let path = directory.join(name).join(FILE_NAME);
        match read(&path) {
            Ok(text) => return parse(&text, &path, registry),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(HostsError::Read { path, source }),
        }
    }
    parse("", &directory.join(FILE_NAME), registry)
}

fn read(path: &Path) -> io::Result<String> {
    use std::io::Read;
    let mut text = String::new();
    let file = std::fs::File::open(path)?;
    file.take(FILE_MAX_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

fn parse(text: &str, path: &Path, registry: &str) -> Result<Vec<Endpoint>, HostsError> {
    let damaged = |source| HostsError::Parse {
        path: path.to_owned(),
        source: Box::new(source),
    };
    let file: File = toml::from_str(text).map_err(damaged)?;
    let own = default_server(registry);
    let directory = path.parent().unwrap_or(Path::new("."));
    let mut endpoints = Vec::new();
    for (name, table) in file.host {
        let host = Host::deserialize(table).map_err(damaged)?;
        endpoints.push(endpoint(&name, host, directory, registry)?);
    }
    let server = Host {
        capabilities: file.capabilities,
        skip_verify: file.skip_verify,
        ca: file.ca,
        client: file.client,
        override_path: file.override_path,
        header: file.header,
    };
    let name = file.server.unwrap_or(own);
    endpoints.push(endpoint(&name, server, directory, registry)?);
    Ok(endpoints)
}

/// Plain HTTP for this machine, as with docker; TLS for all others.
fn default_server(registry: &str) -> String {
    if registry == DOCKER_REGISTRY {
        return format!("https://{DOCKER_HOST}");
    }
    let (host, port) = registry.rsplit_once(':').unwrap_or((registry, ""));
    let scheme = if is_loopback(host) && port != "443" {
        "http"
    } else {
        "https"
    };
    format!("{scheme}://{registry}")
}

/// Whether the host is this machine.
pub(super) fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host
            .trim_matches(['[', ']'])
            .parse()
            .is_ok_and(|address: IpAddr| address.is_loopback())
}

fn endpoint(
    text: &str,
    host: Host,
    directory: &Path,
    registry: &str,
) -> Result<Endpoint, HostsError> {
    let bad = || HostsError::BadHost {
        text: text.to_owned(),
    };
    let full = if text.contains("://") {
        text.to_owned()
    } else {
        default_server(text)
    };
    let mut base = Url::parse(&full).map_err(|_| bad())?;
    if !matches!(base.scheme(), "http" | "https") || base.host_str().is_none() {
        return Err(bad());
    }
    let mut path = base.path().trim_end_matches('/').to_owned();
    if !host.override_path.unwrap_or(false) && !path.ends_with("/v2") {
        path.push_str("/v2");
    }
    base.set_path(&format!("{path}/"));
    // Everything where nothing is said, as containerd does.
    let all = [
        CapabilityName::Pull,
        CapabilityName::Resolve,
        CapabilityName::Push,
    ];
    let capabilities = host.capabilities.unwrap_or_else(|| all.to_vec());
    let file = |path: PathBuf| directory.join(path);
    let client = match host.client {
        None => None,
        Some(Client::One(file)) => Some((file, None)),
        // One identity is all that a connection can show; containerd's first is ours.
        Some(Client::Many(pairs)) => pairs.into_iter().next().map(|pair| {
            let mut files = pair.into_vec().into_iter();
            let certificate = files.next().unwrap_or_default();
            let key = files.next().filter(|key| !key.as_os_str().is_empty());
            (certificate, key)
        }),
    };
    let endpoint = Endpoint {
        can_pull: capabilities.contains(&CapabilityName::Pull),
        can_resolve: capabilities.contains(&CapabilityName::Resolve),
        can_push: capabilities.contains(&CapabilityName::Push),
        skip_verify: host.skip_verify.unwrap_or(false),
        ca: host
            .ca
            .map(OneOrMany::into_vec)
            .unwrap_or_default()
            .into_iter()
            .map(file)
            .collect(),
        client: client.map(|(certificate, key)| (file(certificate), key.map(file))),
        headers: headers(host.header),
        registry: registry.to_owned(),
        is_mirror: !is_own(&base, registry),
        base,
    };
    Ok(endpoint)
}

/// Whether `url` is at the registry's own host and port, by either scheme.
fn is_own(url: &Url, registry: &str) -> bool {
    let host = url.host_str().unwrap_or_default();
    if registry == DOCKER_REGISTRY {
        return matches!(host, DOCKER_HOST | DOCKER_REGISTRY | "index.docker.io");
    }
    match registry.rsplit_once(':') {
        Some((name, port)) => {
            name == host && url.port_or_known_default() == port.parse::<u16>().ok()
        }
        None => registry == host && url.port().is_none(),
    }
}

/// A header's value is a string or a list of strings.
fn headers(table: toml::Table) -> Vec<(String, String)> {
    let mut headers = Vec::new();
    for (name, value) in table {
        let values = match value {
            toml::Value::Array(values) => values,
            value => vec![value],
        };
        for value in values {
            if let toml::Value::String(text) = value {
                headers.push((name.clone(), text));
            }
        }
    }
    headers
}

#[cfg(test)]
mod tests;
