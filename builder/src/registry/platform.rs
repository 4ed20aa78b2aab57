//! Which of an index's images: `linux/amd64`, or another that is only to be kept.

use std::fmt;
use std::str::FromStr;

use oci_spec::image::{Descriptor, Platform as Described};

/// Operating system, architecture and perhaps its variant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Platform {
    /// Such as `linux`.
    pub os: String,
    /// Such as `amd64`, as Go names it.
    pub architecture: String,
    /// Such as `v8`.
    pub variant: Option<String>,
}

impl Default for Platform {
    /// What a unikernel is.
    fn default() -> Self {
        Self {
            os: "linux".to_owned(),
            architecture: "amd64".to_owned(),
            variant: None,
        }
    }
}

/// A platform that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("platform {text:?} is not OS/ARCH[/VARIANT], such as linux/amd64")]
pub struct PlatformError {
    text: String,
}

impl FromStr for Platform {
    type Err = PlatformError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_word = |part: &&str| {
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
            !part.is_empty() && part.bytes().all(fits)
        };
        let parts: Vec<_> = text.split('/').collect();
        match parts.as_slice() {
            [os, architecture, variant @ ..] if variant.len() < 2 && parts.iter().all(is_word) => {
                Ok(Self {
                    os: (*os).to_owned(),
                    architecture: (*architecture).to_owned(),
                    variant: variant.first().map(|variant| (*variant).to_owned()),
                })
            }
            _ => Err(PlatformError {
                text: text.to_owned(),
            }),
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(formatter, "/{variant}"),
            None => Ok(()),
        }
    }
}

impl Platform {
    fn fits(&self, platform: &Described) -> bool {
        let variant_fits = self.variant.is_none() || self.variant == *platform.variant();
        platform.os().to_string() == self.os
            && platform.architecture().to_string() == self.architecture
            && variant_fits
    }

    /// The one of `entries` for this platform: the plainest variant where none is
    /// asked for, else one that does not say what it is for.
    pub(super) fn choose<'a>(&self, entries: &'a [Descriptor]) -> Option<&'a Descriptor> {
        let fitting = entries
            .iter()
            .filter(|entry| entry.platform().as_ref().is_some_and(|it| self.fits(it)));
        let plainest = fitting.min_by_key(|entry| {
            entry
                .platform()
                .as_ref()
                .and_then(|platform| platform.variant().clone())
        });
        let unnamed = || {
            let is_image =
                |entry: &&Descriptor| entry.platform().is_none() && entry.artifact_type().is_none();
            entries.iter().find(is_image)
        };
        plainest.or_else(unnamed)
    }
}

/// What there is, for messages.
pub(super) fn names(entries: &[Descriptor]) -> String {
    let names: Vec<_> = entries
        .iter()
        .filter_map(|entry| entry.platform().as_ref())
        .map(|platform| format!("{}/{}", platform.os(), platform.architecture()))
        .collect();
    if names.is_empty() {
        "none that is named".to_owned()
    } else {
        names.join(", ")
    }
}
