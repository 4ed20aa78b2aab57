//! HTTP clients with the certificates that `hosts.toml` names, and what a failure
//! of TLS looks like.

use std::path::Path;
use std::time::Duration;

use reqwest::{Certificate, Identity};

use super::error::RegistryError;
use super::hosts::{Endpoint, is_loopback};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// Silence that ends a connection.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// Whether TLS is what failed. Its error comes wrapped more than once.
pub(super) fn is_tls(error: &(dyn std::error::Error + 'static)) -> bool {
    let wrapped = error
        .downcast_ref::<std::io::Error>()
        .and_then(std::io::Error::get_ref);
    error.is::<rustls::Error>()
        || wrapped.is_some_and(|inner| is_tls(inner))
        || error.source().is_some_and(is_tls)
}

/// A client for the endpoint's own origin, or for those that it redirects to.
pub(super) fn http_client(
    endpoint: &Endpoint,
    is_own: bool,
) -> Result<reqwest::Client, RegistryError> {
    let host = endpoint.name();
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("unikiln/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT);
    if is_own && is_loopback(endpoint.base.host_str().unwrap_or_default()) {
        builder = builder.no_proxy();
    }
    if is_own && endpoint.is_plain() {
        // No TLS ever goes through this one: spare reading the system's roots.
        builder = builder.tls_certs_only([]);
    } else {
        let mut roots = Vec::new();
        for path in &endpoint.ca {
            let bundle = Certificate::from_pem_bundle(&read(path, &host)?);
            roots.extend(bundle.map_err(bad(path, &host))?);
        }
        builder = builder.tls_certs_merge(roots);
    }
    if is_own {
        builder = builder.tls_danger_accept_invalid_certs(endpoint.skip_verify);
        if let Some((certificate, key)) = &endpoint.client {
            let mut pem = read(certificate, &host)?;
            if let Some(key) = key {
                pem.push(b'\n');
                pem.extend(read(key, &host)?);
            }
            let identity = Identity::from_pem(&pem).map_err(bad(certificate, &host))?;
            builder = builder.identity(identity);
        }
    }
    builder
        .build()
        .map_err(|source| RegistryError::Setup { host, source })
}

fn read(path: &Path, host: &str) -> Result<Vec<u8>, RegistryError> {
    std::fs::read(path).map_err(|error| RegistryError::Certificate {
        host: host.to_owned(),
        path: path.to_owned(),
        reason: error.to_string(),
    })
}

fn bad(path: &Path, host: &str) -> impl FnOnce(reqwest::Error) -> RegistryError {
    let (path, host) = (path.to_owned(), host.to_owned());
    move |error| RegistryError::Certificate {
        host,
        path,
        reason: error.to_string(),
    }
}
