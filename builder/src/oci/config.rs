//! What the image configuration says about running, and the digests of the
//! unpacked layers.

use oci_spec::image::ImageConfiguration;
use unikiln_unikernel::{ImageSource, Manifest, User};

use super::ImageError;
use super::digest::Digest;
use crate::platform::{Platform, describe};

/// The documents of one image, verified.
pub(super) struct Documents {
    pub(super) config: Vec<u8>,
    /// For messages.
    pub(super) config_name: String,
    pub(super) config_digest: String,
    pub(super) image_digest: String,
    pub(super) layer_digests: Vec<String>,
    pub(super) platform: Platform,
}

/// Reads the configuration into a manifest; the user is not resolved yet.
pub(super) fn read(documents: &Documents) -> Result<(Manifest, Vec<Digest>), ImageError> {
    let image: ImageConfiguration =
        serde_json::from_slice(&documents.config).map_err(|source| ImageError::Json {
            name: documents.config_name.clone(),
            source,
        })?;
    let (os, arch, variant) = (image.os(), image.architecture(), image.variant());
    let wanted = documents.platform;
    if wanted.level_of(os, arch, variant.as_deref()).is_none() {
        let found = describe(os, arch, variant.as_deref());
        return Err(wrong_platform(found, wanted));
    }
    let diff_ids = image.rootfs().diff_ids();
    if diff_ids.len() != documents.layer_digests.len() {
        return Err(ImageError::LayerCount {
            layers: documents.layer_digests.len(),
            diff_ids: diff_ids.len(),
        });
    }
    let diff_ids: Vec<_> = diff_ids
        .iter()
        .map(|diff_id| Digest::parse(diff_id))
        .collect::<Result<_, _>>()?;

    let config = image.config().clone().unwrap_or_default();
    let sorted = |list: &Option<Vec<String>>| {
        let mut list = list.clone().unwrap_or_default();
        list.sort();
        list
    };
    let manifest = Manifest {
        entrypoint: config.entrypoint().clone().unwrap_or_default(),
        cmd: config.cmd().clone().unwrap_or_default(),
        env: config.env().clone().unwrap_or_default(),
        working_dir: absolute(config.working_dir().as_deref().unwrap_or_default()),
        user: User {
            spec: config.user().clone().unwrap_or_default(),
            ..User::default()
        },
        stop_signal: config.stop_signal().clone(),
        exposed_ports: sorted(config.exposed_ports()),
        volumes: sorted(config.volumes()),
        image: ImageSource {
            digest: documents.image_digest.clone(),
            config_digest: documents.config_digest.clone(),
            layers: documents.layer_digests.clone(),
            diff_ids: diff_ids.iter().map(Digest::to_string).collect(),
            architecture: arch.to_string(),
            variant: variant.clone(),
        },
        ..Manifest::default()
    };
    Ok((manifest, diff_ids))
}

/// No image fits; says what does where there are images of a higher level.
pub(super) fn wrong_platform(found: String, wanted: Platform) -> ImageError {
    let hint = if found.contains("linux/amd64/v") {
        ", or choose one of them by --platform if the machine that will run it can"
    } else {
        ""
    };
    ImageError::WrongPlatform {
        found,
        wanted,
        hint,
    }
}

fn absolute(directory: &str) -> String {
    if directory.starts_with('/') {
        directory.to_owned()
    } else {
        format!("/{directory}")
    }
}
