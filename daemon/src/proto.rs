//! CRI v1: the messages and services that `proto/` defines.

#![allow(missing_docs, clippy::all)]

use std::fmt;

tonic::include_proto!("runtime.v1");

/// Without the secrets.
impl fmt::Debug for AuthConfig {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("AuthConfig")
            .field("username", &self.username)
            .field("server_address", &self.server_address)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::{AuthConfig, PullImageRequest};

    #[test]
    fn secrets_are_not_printed() {
        let secret = || "hot-secret".to_owned();
        let request = PullImageRequest {
            auth: Some(AuthConfig {
                username: "kiln".to_owned(),
                password: secret(),
                auth: secret(),
                server_address: String::new(),
                identity_token: secret(),
                registry_token: secret(),
            }),
            ..PullImageRequest::default()
        };
        let printed = format!("{request:?}");
        assert!(
            printed.contains("kiln") && !printed.contains("hot-secret"),
            "{printed}"
        );
    }
}
