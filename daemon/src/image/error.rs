//! What goes wrong with images, and which gRPC code says so.

use std::error::Error;
use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use tonic::Code;
use unikiln_builder::registry::{CredentialsError, DocumentError, RegistryError};
use unikiln_builder::{BuildError, CheckError, LayersError, StoreError};

/// What goes wrong with images. Clones are cheap: several may wait for one pull.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ImageError {
    /// The request names none.
    #[error("the request names no image")]
    NoName,
    /// No name that a registry may have.
    #[error("image name {text:?} cannot be used ({reason}); write [REGISTRY/]NAME[:TAG][@DIGEST]")]
    BadName {
        /// As written; its start where it is long.
        text: String,
        /// What the name's grammar says.
        reason: &'static str,
    },
    /// The start of several ids.
    #[error("{text} is the start of several images' ids; write more of it")]
    Ambiguous {
        /// As written.
        text: String,
    },
    /// An image that was removed meanwhile, or is damaged.
    #[error("image {image} is not here, or not all of it, or it is none; pull it again")]
    NotHere {
        /// Its name or id.
        image: String,
    },
    /// Credentials that say nothing.
    #[error("the credentials for {registry} cannot be used")]
    Credentials {
        /// The registry.
        registry: String,
        /// Why.
        source: Arc<CredentialsError>,
    },
    /// The registry does not give the image.
    #[error("cannot pull {name}")]
    Pull {
        /// The whole name.
        name: String,
        /// Why.
        source: Arc<RegistryError>,
    },
    /// Nobody waited for the pull any more.
    #[error("pulling {name} was cancelled; what is here of it stays for the next pull")]
    Cancelled {
        /// The whole name.
        name: String,
    },
    /// More pulls than anybody needs.
    #[error("{limit} images are being pulled; pull {name} again when some are done")]
    TooManyPulls {
        /// The whole name.
        name: String,
        /// How many at once.
        limit: usize,
    },
    /// No thread for a pull, or it ended too early.
    #[error("the thread that pulls {name} cannot do its work; the daemon's log says why")]
    Thread {
        /// The whole name.
        name: String,
    },
    /// The image cannot become a unikernel.
    #[error("image {image} cannot run as a unikernel")]
    Build {
        /// Its name or id.
        image: String,
        /// Why.
        source: Arc<BuildError>,
    },
    /// The verdict on an image cannot be read.
    #[error("cannot tell whether image {image} runs as a unikernel")]
    Check {
        /// Its name or id.
        image: String,
        /// Why.
        source: Arc<CheckError>,
    },
    /// The image cannot be unpacked for a volume.
    #[error("cannot unpack image {image}")]
    Unpack {
        /// Its name or id.
        image: String,
        /// Why.
        source: Arc<LayersError>,
    },
    /// A path of an image that cannot be mounted.
    #[error(
        "image {image} has no directory or file {path:?}; write a path without .. below its root"
    )]
    SubPath {
        /// Its name or id.
        image: String,
        /// As written.
        path: String,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// The store.
    #[error("cannot use the image store")]
    Store(#[source] Arc<StoreError>),
    /// Files cannot be counted.
    #[error("cannot count the files of {}", path.display())]
    Count {
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: Arc<io::Error>,
    },
}

impl From<StoreError> for ImageError {
    fn from(error: StoreError) -> Self {
        Self::Store(Arc::new(error))
    }
}

impl ImageError {
    /// The gRPC code, as containerd would give it.
    pub fn code(&self) -> Code {
        match self {
            Self::NoName
            | Self::BadName { .. }
            | Self::Ambiguous { .. }
            | Self::Credentials { .. }
            | Self::SubPath { .. } => Code::InvalidArgument,
            Self::NotHere { .. } => Code::NotFound,
            Self::Pull { source, .. } => registry_code(source),
            Self::Cancelled { .. } => Code::Cancelled,
            Self::TooManyPulls { .. } => Code::ResourceExhausted,
            Self::Build { source, .. } => match &**source {
                BuildError::Store(error) => store_code(error),
                BuildError::Write(_) => Code::Internal,
                _ => Code::FailedPrecondition,
            },
            Self::Unpack { source, .. } => match &**source {
                LayersError::Store(error) => store_code(error),
                LayersError::Image(_) => Code::FailedPrecondition,
                LayersError::Unpack { .. } => Code::Internal,
            },
            Self::Store(error) => store_code(error),
            Self::Thread { .. } | Self::Check { .. } | Self::Count { .. } => Code::Internal,
        }
    }

    /// The error with all that led to it, as one line.
    pub fn story(&self) -> String {
        story(self)
    }
}

fn registry_code(error: &RegistryError) -> Code {
    match error {
        RegistryError::NotFound { .. } => Code::NotFound,
        RegistryError::Denied { status: 401, .. } => Code::Unauthenticated,
        RegistryError::Denied { .. } => Code::PermissionDenied,
        RegistryError::Connect { .. }
        | RegistryError::Transfer { .. }
        | RegistryError::Busy { .. } => Code::Unavailable,
        RegistryError::Status { status, .. } if *status >= 500 || *status == 429 => {
            Code::Unavailable
        }
        // No image for this node is as good as none.
        RegistryError::Document {
            source: DocumentError::Platform(_),
            ..
        } => Code::NotFound,
        RegistryError::WrongLength { .. } | RegistryError::WrongDigest { .. } => Code::DataLoss,
        RegistryError::Store { source, .. } => store_code(source),
        RegistryError::Runtime(_) => Code::Internal,
        RegistryError::Cancelled => Code::Cancelled,
        // The node's hosts.toml and certificates, or what the registry has, must change first.
        _ => Code::FailedPrecondition,
    }
}

fn store_code(error: &StoreError) -> Code {
    if error.is_full() {
        Code::ResourceExhausted
    } else {
        Code::Internal
    }
}

/// An error with its sources, one after the other. Who repeats their source is not printed twice.
fn story(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut last = text.clone();
    let mut next = error.source();
    while let Some(source) = next {
        let words = source.to_string();
        if words != last {
            // Writing to a String cannot fail.
            let _ = write!(text, ": {words}");
        }
        last = words;
        next = source.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::PathBuf;
    use std::sync::Arc;

    use super::{Code, ImageError, RegistryError, StoreError};

    fn pull(source: RegistryError) -> ImageError {
        ImageError::Pull {
            name: "h:1/a:1".to_owned(),
            source: Arc::new(source),
        }
    }

    #[test]
    fn the_registrys_refusals_have_codes() {
        let (host, what) = (|| "h:1".to_owned(), || "manifest 1 of a".to_owned());
        let message = || "no".to_owned();
        let denied = |status| RegistryError::Denied {
            host: host(),
            what: what(),
            status,
            message: message(),
        };
        let status = |status| RegistryError::Status {
            host: host(),
            what: what(),
            status,
            message: message(),
        };
        let missing = RegistryError::NotFound {
            host: host(),
            what: what(),
            message: message(),
        };
        for (error, code) in [
            (denied(401), Code::Unauthenticated),
            (denied(403), Code::PermissionDenied),
            (status(503), Code::Unavailable),
            (status(400), Code::FailedPrecondition),
            (missing, Code::NotFound),
            (RegistryError::Cancelled, Code::Cancelled),
        ] {
            assert_eq!(pull(error).code(), code);
        }
    }

    #[test]
    fn a_story_has_all_causes_once() {
        let full = StoreError::Full {
            path: PathBuf::from("/x"),
            source: io::Error::from(io::ErrorKind::StorageFull),
        };
        let error = pull(RegistryError::Store {
            what: "an image".to_owned(),
            source: Box::new(full),
        });
        assert_eq!(error.code(), Code::ResourceExhausted);
        let story = error.story();
        assert!(story.starts_with("cannot pull h:1/a:1: cannot keep an image: no space left"));
        assert_eq!(story.matches("no space left").count(), 1, "{story}");
    }
}
