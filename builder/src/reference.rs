//! What a user writes to name an image: a name in a registry as docker reads it
//! (`redis`, `host:5000/name:tag`, `name@sha256:…`, with or without `docker://`),
//! `oci:DIR[:TAG]`, `oci-archive:FILE[:TAG]`, `docker-archive:FILE[:TAG]` as
//! skopeo spells them, and `host:PROGRAM`.

mod name;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use oci_distribution::Reference;

/// Forms of a reference, for messages.
const FORMS: &str = "[REGISTRY/]NAME[:TAG][@DIGEST], oci:DIR[:TAG], oci-archive:FILE[:TAG], \
                     docker-archive:FILE[:TAG] or host:PROGRAM";

/// What is wrong with a reference.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// Neither a transport that is known nor a name that a registry may have.
    #[error("image {text:?} cannot be in a registry ({reason}), nor elsewhere; write {FORMS}")]
    BadName {
        /// The reference.
        text: String,
        /// What the name's grammar says.
        reason: &'static str,
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
    /// An image in a registry.
    Registry(Reference),
    /// A program of this machine.
    Host {
        /// Its path, or its name to be looked up by `PATH`.
        program: PathBuf,
    },
}

/// Words before the first colon that say where an image is; any other begins a
/// name in a registry.
const TRANSPORTS: [&str; 4] = ["oci", "oci-archive", "docker-archive", "host"];

/// Whether a transport that is no registry is named first.
fn is_elsewhere(text: &str) -> bool {
    let (transport, _) = text.split_once(':').unwrap_or_default();
    TRANSPORTS.contains(&transport)
}

impl ImageRef {
    /// Parses a reference. A path cannot have a colon, as in skopeo.
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        let empty = || ReferenceError::Empty {
            text: text.to_owned(),
        };
        if !is_elsewhere(text) {
            return registry_name(text);
        }
        let (transport, rest) = text.split_once(':').unwrap_or_default();
        let (path, tag) = match rest.split_once(':') {
            Some((path, tag)) if transport != "host" => (path, Some(tag.to_owned())),
            _ => (rest, None),
        };
        if path.is_empty() || tag.as_ref().is_some_and(String::is_empty) {
            return Err(empty());
        }
        let path = PathBuf::from(path);
        Ok(match transport {
            "oci" => Self::Oci {
                directory: path,
                tag,
            },
            "oci-archive" => Self::OciArchive { file: path, tag },
            "docker-archive" => Self::DockerArchive { file: path, tag },
            _ => Self::Host { program: path },
        })
    }
}

/// A name in a registry, with docker's defaults filled in.
fn registry_name(text: &str) -> Result<ImageRef, ReferenceError> {
    let name = text.strip_prefix("docker://").unwrap_or(text);
    name::parse(name)
        .map(ImageRef::Registry)
        .map_err(|reason| ReferenceError::BadName {
            text: text.to_owned(),
            reason,
        })
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
            Self::Registry(reference) => {
                let text = reference.to_string();
                // A registry may be called `oci`, with a port: `docker://` tells it from a path.
                if is_elsewhere(&text) {
                    formatter.write_str("docker://")?;
                }
                return formatter.write_str(&text);
            }
        };
        write!(formatter, "{transport}:{}", path.display())?;
        tag.map_or(Ok(()), |tag| write!(formatter, ":{tag}"))
    }
}

#[cfg(test)]
mod tests {
    use super::{ImageRef, ReferenceError};

    const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn what_is_parsed_prints_the_same() {
        for text in [
            "oci:/images/a:latest",
            "oci:a",
            "oci-archive:a.tar:v1",
            "docker-archive:a.tar:library/a:v1",
            "host:/bin/ls",
            "host:ls",
            "localhost:5000/a/b:v1",
            "docker://oci:64/a:v1",
        ] {
            assert_eq!(ImageRef::parse(text).expect(text).to_string(), text);
        }
    }

    #[test]
    fn names_get_dockers_defaults() {
        let cases = [
            ("redis", "docker.io/library/redis:latest".to_owned()),
            ("redis:7", "docker.io/library/redis:7".to_owned()),
            ("docker:24", "docker.io/library/docker:24".to_owned()),
            ("a/b", "docker.io/a/b:latest".to_owned()),
            ("docker://localhost/a", "localhost/a:latest".to_owned()),
            ("quay.example/a/b/c:1", "quay.example/a/b/c:1".to_owned()),
            ("index.docker.io/a", "docker.io/library/a:latest".to_owned()),
            (&format!("h:1/a@{DIGEST}"), format!("h:1/a@{DIGEST}")),
            (&format!("h:1/a:t@{DIGEST}"), format!("h:1/a:t@{DIGEST}")),
        ];
        for (text, full) in cases {
            assert_eq!(ImageRef::parse(text).expect(text).to_string(), full);
        }
    }

    #[test]
    fn gaps_are_refused() {
        for text in ["oci:", "oci:a:", "host:", "docker-archive::tag"] {
            assert!(
                matches!(ImageRef::parse(text), Err(ReferenceError::Empty { .. })),
                "{text}"
            );
        }
    }

    #[test]
    fn bad_names_are_refused_and_the_forms_listed() {
        for text in [
            "",
            "/bin/ls",
            "./a",
            "../a",
            "Redis",
            "host.example/A:1",
            "a//b",
            "a/../b",
            "a:",
            "a@sha256:12",
            "a b",
            "a:-tag",
            "https://host/a",
            "docker://",
            "a@md5:0123456789abcdef0123456789abcdef",
        ] {
            let error = ImageRef::parse(text).expect_err(text);
            assert!(matches!(error, ReferenceError::BadName { .. }), "{text}");
            assert!(error.to_string().contains("oci:DIR[:TAG]"), "{error}");
        }
    }
}
