//! Images, as ImageService and the handlers see them.

pub mod layers;

use serde::{Deserialize, Serialize};

/// An image of the store, as a container's record keeps it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalImage {
    /// Digest of its configuration, `sha256:…`: CRI's image id.
    pub id: String,
    /// Digest of its manifest for this platform.
    pub manifest: String,
    /// `NAME:TAG`s.
    pub tags: Vec<String>,
    /// `NAME@DIGEST`s; DIGEST is of the manifest or index that was pulled.
    pub digests: Vec<String>,
    /// Bytes of its blobs.
    pub size_bytes: u64,
    /// The user of its configuration, as it is written there.
    pub user: String,
    /// `Entrypoint`.
    pub entrypoint: Vec<String>,
    /// `Cmd`.
    pub cmd: Vec<String>,
    /// `KEY=VALUE`.
    pub env: Vec<String>,
    /// `WorkingDir`; empty where there is none.
    pub working_dir: String,
    /// `StopSignal`; empty where there is none.
    pub stop_signal: String,
    /// Declared volumes.
    pub volumes: Vec<String>,
}
