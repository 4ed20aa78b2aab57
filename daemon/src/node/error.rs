//! What can go wrong with a call, and the gRPC code that says so.

use std::path::PathBuf;

use tonic::Code;

use crate::cgroup::CgroupError;
use crate::handler::HandlerError;
use crate::image::ImageError;
use crate::network::resolv::ResolvError;
use crate::network::sysctl::SysctlError;
use crate::network::{CniError, NamespaceError};
use crate::state::StateError;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// No such object.
    #[error("there is no {kind} {id:?}; list them to see which there are")]
    NotFound {
        /// `pod sandbox`, `container`, `image`.
        kind: &'static str,
        /// As the caller named it.
        id: String,
    },
    /// Part of several ids.
    #[error("{id:?} begins the ids of several objects ({kind}); write more of it")]
    Ambiguous {
        /// Of what kind.
        kind: &'static str,
        /// As the caller named it.
        id: String,
    },
    /// A field that must be there.
    #[error("{field} is missing from the request")]
    Missing {
        /// Its name in the request.
        field: &'static str,
    },
    /// A field that cannot be so.
    #[error("{field} is {value:?}: {reason}")]
    BadValue {
        /// Its name in the request.
        field: &'static str,
        /// As it was given, shortened.
        value: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A handler that is not configured.
    #[error(
        "no runtime for {name:?} is configured; there are {known}. A RuntimeClass names one of them"
    )]
    UnknownHandler {
        /// As the caller named it.
        name: String,
        /// Those that are.
        known: String,
    },
    /// Another object has the name.
    #[error(
        "the name {name:?} is reserved for {id}, which differs from what is asked for; remove it first, or raise the attempt"
    )]
    NameTaken {
        /// Name, namespace, uid, attempt.
        name: String,
        /// Whose it is.
        id: String,
    },
    /// Not in this state.
    #[error("{kind} {id} is {state}; {needed}")]
    WrongState {
        /// `pod sandbox` or `container`.
        kind: &'static str,
        /// Its id.
        id: String,
        /// How it is.
        state: &'static str,
        /// What would have to be.
        needed: &'static str,
    },
    /// It did not end.
    #[error(
        "container {id} did not end within {seconds} s of SIGKILL; look at the host's processes"
    )]
    WouldNotEnd {
        /// Its id.
        id: String,
        /// How long was waited.
        seconds: u64,
    },
    /// A mount that cannot be made.
    #[error("cannot mount {} at {place:?}", source_path.display())]
    Mount {
        /// The host's path.
        source_path: PathBuf,
        /// The container's path.
        place: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// Not supported at all.
    #[error("{0}")]
    Unimplemented(&'static str),
    /// A file of a pod, or a log's directory.
    #[error("cannot write {}", path.display())]
    PodFile {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Processes cannot be watched.
    #[error("cannot watch processes; raise the limit of open files (LimitNOFILE)")]
    Watch(#[source] std::io::Error),
    /// Random numbers for an id.
    #[error("cannot make an id")]
    Id(#[source] std::io::Error),
    /// The server of streams.
    #[error("cannot give a URL for streams")]
    Streaming(#[source] crate::streaming::StreamingError),
    /// The state directory.
    #[error(transparent)]
    State(#[from] StateError),
    /// A namespace.
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    /// A pod's name servers.
    #[error(transparent)]
    Resolv(#[from] ResolvError),
    /// A pod's sysctls.
    #[error(transparent)]
    Sysctl(#[from] SysctlError),
    /// A pod's network.
    #[error(transparent)]
    Cni(#[from] CniError),
    /// A cgroup.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    /// An image.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A handler.
    #[error(transparent)]
    Handler(#[from] HandlerError),
}

impl NodeError {
    /// The code that clients see.
    pub fn code(&self) -> Code {
        match self {
            Self::NotFound { .. } => Code::NotFound,
            Self::Ambiguous { .. }
            | Self::Missing { .. }
            | Self::BadValue { .. }
            | Self::UnknownHandler { .. }
            | Self::Resolv(_)
            | Self::Sysctl(_)
            | Self::Cni(CniError::BadPod(_))
            | Self::Cgroup(CgroupError::Invalid { .. })
            | Self::Mount { .. } => Code::InvalidArgument,
            Self::NameTaken { .. } => Code::AlreadyExists,
            Self::WrongState { .. } => Code::FailedPrecondition,
            Self::WouldNotEnd { .. } => Code::DeadlineExceeded,
            Self::Unimplemented(_) => Code::Unimplemented,
            Self::Image(error) => error.code(),
            Self::Handler(error) => match error {
                HandlerError::Invalid(_) => Code::InvalidArgument,
                HandlerError::Precondition(_) => Code::FailedPrecondition,
                HandlerError::Unimplemented(_) => Code::Unimplemented,
                HandlerError::Timeout(_) => Code::DeadlineExceeded,
                HandlerError::Failed(_) => Code::Internal,
            },
            Self::Streaming(_) => Code::Unavailable,
            Self::PodFile { .. }
            | Self::Watch(_)
            | Self::Id(_)
            | Self::State(_)
            | Self::Namespace(_)
            | Self::Cni(_)
            | Self::Cgroup(_) => Code::Internal,
        }
    }
}

/// A value for a message: no longer than a person reads.
pub(super) fn shortened(text: &str) -> String {
    const MAX_CHARS: usize = 120;
    match text.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}
