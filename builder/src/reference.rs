//! What a user writes to name an image: `oci:DIR[:TAG]`, `oci-archive:FILE[:TAG]`,
//! `docker-archive:FILE[:TAG]` as skopeo spells them, and `host:PROGRAM`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Forms of a reference, for messages.
const FORMS: &str =
    "oci:DIR[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:TAG] or host:PROGRAM";

/// What is wrong with a reference.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// No known word before the first colon.
    #[error("image {text:?} has no known transport; write {FORMS}")]
    UnknownTransport {
        /// The reference.
        text: String,
    },
    /// Nothing after the transport, or nothing after the tag's colon.
    #[error("image {text:?} lacks a path or a tag; write {FORMS}")]
    Empty {
        /// The reference.
        text: String,
    },
    /// Images can be written as OCI layouts only.
    #[error("cannot write an image to {text:?}; write oci:DIR[:TAG]")]
    NotWritable {
        /// The reference.
        text: String,
    },
}

/// A parsed reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageRef {
    /// An OCI image layout in a directory.
    Oci {
        /// The directory.
        directory: PathBuf,
        /// Which of its images.
        tag: Option<String>,
    },
    /// An OCI image layout in a tar file.
    OciArchive {
        /// The file.
        file: PathBuf,
        /// Which of its images.
        tag: Option<String>,
    },
    /// What `docker save` writes.
    DockerArchive {
        /// The file.
        file: PathBuf,
        /// Which of its images: a repository with a tag.
        tag: Option<String>,
    },
    /// A program of this machine.
    Host {
        /// Its path, or its name to be looked up by `PATH`.
        program: PathBuf,
    },
}

impl ImageRef {
    /// Parses a reference. A path cannot have a colon, as in skopeo.
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        let empty = || ReferenceError::Empty {
            text: text.to_owned(),
        };
        let unknown = || ReferenceError::UnknownTransport {
            text: text.to_owned(),
        };
        let (transport, rest) = text.split_once(':').ok_or_else(unknown)?;
        let (path, tag) = match rest.split_once(':') {
            Some((path, tag)) if transport != "host" => (path, Some(tag.to_owned())),
            _ => (rest, None),
        };
        let has_gap = path.is_empty() || tag.as_ref().is_some_and(String::is_empty);
        let path = PathBuf::from(path);
        let reference = match transport {
            "oci" => Self::Oci {
                directory: path,
                tag,
            },
            "oci-archive" => Self::OciArchive { file: path, tag },
            "docker-archive" => Self::DockerArchive { file: path, tag },
            "host" => Self::Host { program: path },
            _ => return Err(unknown()),
        };
        if has_gap { Err(empty()) } else { Ok(reference) }
    }
}

impl FromStr for ImageRef {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Display for ImageRef {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (transport, path, tag) = match self {
            Self::Oci { directory, tag } => ("oci", directory, tag.as_ref()),
            Self::OciArchive { file, tag } => ("oci-archive", file, tag.as_ref()),
            Self::DockerArchive { file, tag } => ("docker-archive", file, tag.as_ref()),
            Self::Host { program } => ("host", program, None),
        };
        write!(formatter, "{transport}:{}", path.display())?;
        tag.map_or(Ok(()), |tag| write!(formatter, ":{tag}"))
    }
}

#[cfg(test)]
mod tests {
    use super::{ImageRef, ReferenceError};

    #[test]
    fn what_is_parsed_prints_the_same() {
        for text in [
            "oci:/images/a:latest",
            "oci:a",
            "oci-archive:a.tar:v1",
            "docker-archive:a.tar:library/a:v1",
            "host:/bin/ls",
            "host:ls",
        ] {
            assert_eq!(ImageRef::parse(text).expect(text).to_string(), text);
        }
    }

    #[test]
    fn gaps_and_unknown_words_are_refused() {
        for text in ["oci:", "oci:a:", "host:", "docker-archive::tag"] {
            assert!(
                matches!(ImageRef::parse(text), Err(ReferenceError::Empty { .. })),
                "{text}"
            );
        }
        for text in ["", "busybox", "docker:busybox", "/bin/ls"] {
            let error = ImageRef::parse(text);
            assert!(
                matches!(error, Err(ReferenceError::UnknownTransport { .. })),
                "{text}"
            );
        }
    }
}
