//! What a unikernel runs and where it came from, as JSON in the file's note.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::verdict::Verdict;

/// The manifest. Holds no times, so that the same image gives the same bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Image configuration's `Entrypoint`.
    pub entrypoint: Vec<String>,
    /// Image configuration's `Cmd`: arguments, or the program where there is no entrypoint.
    pub cmd: Vec<String>,
    /// `KEY=VALUE`.
    pub env: Vec<String>,
    /// Absolute; `/` where the image names none.
    pub working_dir: String,
    /// Who runs the program, resolved against the image's /etc/passwd and /etc/group.
    pub user: User,
    /// Signal name or number as the image has it, such as `SIGTERM`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<String>,
    /// `80/tcp` and so on, sorted.
    pub exposed_ports: Vec<String>,
    /// Declared volumes, sorted.
    pub volumes: Vec<String>,
    /// Where the root file system came from.
    pub image: ImageSource,
    /// Which libOS is linked in.
    pub libos: LibosIdentity,
    /// Version of the builder that wrote the file.
    pub builder_version: String,
    /// Bytes of memory below which the program cannot start (an estimate that the builder makes).
    pub minimum_memory_bytes: u64,
    /// How its programs were bound to the libOS; none where that was not asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub linking: Option<Linking>,
    /// Whether it will run; none in files of builders that did not look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
}

/// What became of the `syscall` sites of an image's programs and shared objects.
/// A site that is not bound traps into the libOS, which works as well but slower.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Linking {
    /// Version of the rewriting.
    pub version: u32,
    /// x86-64 ELF programs and shared objects of the image.
    pub files: u64,
    /// Those with bound sites.
    pub changed_files: u64,
    /// Files that were not looked into, by reason.
    pub left_files: BTreeMap<String, u64>,
    /// Sites found.
    pub sites: u64,
    /// Sites that enter the libOS directly.
    pub bound_sites: u64,
    /// Sites that trap, by reason.
    pub left_sites: BTreeMap<String, u64>,
}

/// A user as the image names it, and the numbers that it stands for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct User {
    /// The image's own words (`nginx`, `1000:1000`); empty for root.
    pub spec: String,
    /// Numeric user.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// Its home directory, which is `HOME` where the image does not set that.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub home: String,
}

/// The image that a unikernel was made of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageSource {
    /// Digest of the image manifest (`sha256:…`); of the configuration where the
    /// image came without a manifest (docker archives).
    pub digest: String,
    /// Digest of the image configuration.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub config_digest: String,
    /// Digests of its layers' blobs, lowest first; of what they unpack to where
    /// the image came without a manifest.
    pub layers: Vec<String>,
    /// Digests of what the layers unpack to, lowest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub diff_ids: Vec<String>,
    /// OCI architecture, `amd64`.
    pub architecture: String,
    /// OCI variant, `v2` and so on, where the image has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// The libOS linked into a unikernel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LibosIdentity {
    /// Crate version.
    pub version: String,
    /// `unikiln_abi::ABI_VERSION`.
    pub abi_version: u32,
    /// `sha256:` of the libOS ELF file.
    pub digest: String,
}
