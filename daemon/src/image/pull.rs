//! Pulling: the name, credentials as kubelet gives them, the registry, and then the unikernel,
//! so that a container starts fast. An image that cannot become one is pulled all the same:
//! another handler may run it, and who wants to run it as a unikernel is told why not.

use std::sync::Arc;
use std::time::Instant;

use unikiln_builder::registry::{self, Cancel, Credentials, Reference, RegistryError};
use unikiln_builder::{NoProgress, StoreError};

use super::flight::{Key, Pull};
use super::{ImageError, Images, LocalImage, name};
use crate::proto::{AuthConfig, ImageSpec};

impl Images {
    /// Brings an image from its registry, on this thread's time.
    pub fn pull(
        &self,
        spec: &ImageSpec,
        auth: Option<&AuthConfig>,
    ) -> Result<LocalImage, ImageError> {
        self.begin_pull(spec, auth)?.wait()
    }

    /// Begins to pull an image, or joins who is at it already.
    pub fn begin_pull(
        &self,
        spec: &ImageSpec,
        auth: Option<&AuthConfig>,
    ) -> Result<Pull, ImageError> {
        if spec.image.is_empty() {
            return Err(ImageError::NoName);
        }
        let reference = name::parse(&spec.image)?;
        let key = Key {
            name: reference.to_string(),
            credentials: credentials(auth, reference.registry())?,
            converts: self.shared.is_unikernel_handler(&spec.runtime_handler),
        };
        let images = self.clone();
        let (credentials, converts) = (key.credentials.clone(), key.converts);
        self.shared.flights.board(key, move |cancel| {
            let begun = Instant::now();
            let pulled = images.fetch(&reference, credentials, cancel);
            images
                .shared
                .counters
                .pulled(pulled.is_ok(), begun.elapsed());
            let image = pulled?;
            if converts && let Err(error) = images.unikernel(&image) {
                tracing::warn!(image = %reference, error = error.story(), "no unikernel");
            }
            Ok(image)
        })
    }

    fn fetch(
        &self,
        reference: &Reference,
        credentials: Credentials,
        cancel: &Cancel,
    ) -> Result<LocalImage, ImageError> {
        let store = &self.shared.store;
        let name = reference.to_string();
        let options = registry::RegistryOptions {
            credentials: Some(credentials),
            // Pods have what kubelet gives them, not what the node's user has.
            docker_config: None,
            config_directory: self.shared.registry_config.clone(),
            cancel: cancel.clone(),
            ..registry::RegistryOptions::default()
        };
        let lease = store.lease()?;
        let before = match store.reference(&name) {
            Ok(before) => {
                lease.keep(&before.digest()?)?;
                Some(before)
            }
            Err(StoreError::UnknownReference { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        let pulled = registry::pull(store, reference, &options, &mut NoProgress);
        let pulled = pulled.map_err(|source| match source {
            RegistryError::Cancelled => ImageError::Cancelled { name: name.clone() },
            source => ImageError::Pull {
                name: name.clone(),
                source: Arc::new(source),
            },
        })?;
        self.shared.forget_usage();
        // The tag is another image's now. The old one stays, for who knows it by its digest, until
        // kubelet removes it.
        if let Some(before) = before
            && before.digest()?.to_string() != pulled.digest
        {
            let repository = name::repository(reference);
            let old = format!("{repository}@{}", before.digest()?);
            match store.set_reference(&old, &before.descriptor) {
                // There was nothing of it.
                Err(StoreError::MissingBlob { .. }) => {}
                set => set?,
            }
        }
        tracing::info!(image = %name, digest = %pulled.digest, "pulled");
        self.find(&name)?.ok_or(ImageError::NotHere { image: name })
    }
}

/// Who one is at `registry`.
fn credentials(auth: Option<&AuthConfig>, registry: &str) -> Result<Credentials, ImageError> {
    let Some(auth) = auth else {
        return Ok(Credentials::Anonymous);
    };
    let given = registry::AuthConfig {
        username: auth.username.clone(),
        password: auth.password.clone(),
        auth: auth.auth.clone(),
        server_address: auth.server_address.clone(),
        identity_token: auth.identity_token.clone(),
        registry_token: auth.registry_token.clone(),
    };
    match given.credentials(registry) {
        Ok(credentials) => Ok(credentials),
        // kubelet sends an empty one for a registry that asks for nothing.
        Err(registry::CredentialsError::Nothing { .. }) => Ok(Credentials::Anonymous),
        Err(source) => Err(ImageError::Credentials {
            registry: registry.to_owned(),
            source: Arc::new(source),
        }),
    }
}

#[cfg(test)]
mod tests {
    use tonic::Code;
    use unikiln_builder::registry::Credentials;

    use super::credentials;
    use crate::proto::AuthConfig;

    #[test]
    fn kubelets_credentials_are_ours() {
        let word = |text: &str| text.to_owned();
        let basic = Credentials::Basic {
            username: word("kiln"),
            password: word("hot"),
        };
        let cases = [
            (AuthConfig::default(), Credentials::Anonymous),
            (
                AuthConfig {
                    username: word("kiln"),
                    password: word("hot"),
                    ..AuthConfig::default()
                },
                basic.clone(),
            ),
            (
                AuthConfig {
                    auth: word("a2lsbjpob3Q="),
                    server_address: word("https://h:1/v1/"),
                    ..AuthConfig::default()
                },
                basic.clone(),
            ),
            (
                AuthConfig {
                    auth: word("a2lsbjpob3Q="),
                    server_address: word("other:1"),
                    ..AuthConfig::default()
                },
                Credentials::Anonymous,
            ),
            (
                AuthConfig {
                    identity_token: word("t"),
                    ..AuthConfig::default()
                },
                Credentials::IdentityToken(word("t")),
            ),
            (
                AuthConfig {
                    registry_token: word("t"),
                    ..AuthConfig::default()
                },
                Credentials::RegistryToken(word("t")),
            ),
        ];
        for (auth, expected) in cases {
            assert_eq!(credentials(Some(&auth), "h:1").expect("read"), expected);
        }
        assert_eq!(
            credentials(None, "h:1").expect("read"),
            Credentials::Anonymous
        );
        let bad = AuthConfig {
            auth: word("%"),
            ..AuthConfig::default()
        };
        let error = credentials(Some(&bad), "h:1").expect_err("no base64");
        assert_eq!(error.code(), Code::InvalidArgument);
    }
}
