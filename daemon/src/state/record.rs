//! Records of pods and containers, and their form on the disk.

use std::path::PathBuf;
use std::time::SystemTime;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::cgroup::Cgroup;
use crate::handler::{Ended, Mount, Process};
use crate::image::LocalImage;
use crate::network::CniResult;
use crate::proto::{ContainerConfig, PodSandboxConfig};

/// Version of records. A daemon reads its own version only: fields may be added with
/// `serde(default)`, all else is a new version.
const VERSION: u32 = 1;

/// Why a record cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The file.
    #[error("it cannot be read")]
    Read(#[source] std::io::Error),
    /// Longer than any record is.
    #[error("it has {len_bytes} bytes, more than any record")]
    TooLong {
        /// How long.
        len_bytes: u64,
    },
    /// The first line.
    #[error("its first line is not `unikiln VERSION KIND CHECKSUM`")]
    Header,
    /// Of another version.
    #[error("it is of version {version}, this daemon reads version {VERSION}")]
    Version {
        /// Which.
        version: u32,
    },
    /// A record of something else.
    #[error("it is of a {kind}")]
    Kind {
        /// Of what.
        kind: String,
    },
    /// Changed since it was written.
    #[error("its checksum is wrong: it was changed or cut")]
    Checksum,
    /// JSON that does not fit.
    #[error("its JSON does not fit")]
    Json(#[source] serde_json::Error),
    /// Lies in a directory that is not its own.
    #[error("it is the record of {id}")]
    OtherId {
        /// Whose it is.
        id: String,
    },
}

/// An object's record.
pub trait Record: Serialize + DeserializeOwned {
    /// What it is of.
    const KIND: &'static str;
    /// Directory of all records of the kind.
    const DIRECTORY: &'static str;
    /// The object's id.
    fn id(&self) -> &str;
}

/// Where a pod is in its life.
///
/// ```text
/// Making ──► Ready ──► NotReady ──► (removed)
///    └─ failed, or found so by a new daemon: undone
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SandboxPhase {
    /// Its network is being set up.
    Making,
    /// Containers may run.
    Ready,
    /// Stopped: it has no network any more.
    NotReady,
}

/// A pod.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SandboxRecord {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Where it is in its life.
    pub phase: SandboxPhase,
    /// The handler that runs its containers.
    pub handler: String,
    /// As kubelet wants it.
    pub config: PodSandboxConfig,
    /// When the call came.
    pub created_at: SystemTime,
    /// The boot that its network is of.
    pub boot_id: String,
    /// Its network namespace; none: the host's.
    pub namespace: Option<PathBuf>,
    /// What the CNI plugins gave; also of one that is stopped.
    pub network: Option<CniResult>,
    /// Its cgroup.
    pub cgroup: Cgroup,
}

impl Record for SandboxRecord {
    const KIND: &'static str = "sandbox";
    const DIRECTORY: &'static str = "sandboxes";
    fn id(&self) -> &str {
        &self.id
    }
}

/// Where a container is in its life.
///
/// ```text
/// Making ──► Created ──► Starting ──► Running ──► Exited ──► (removed)
///    │           └───────────┴── failed ───────────▲
///    └─ failed, or found so by a new daemon: undone
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ContainerPhase {
    /// Its handler prepares it.
    Making,
    /// May be started.
    Created,
    /// Its handler starts it.
    Starting,
    /// Its program runs.
    Running,
    /// It ended, or could not be started.
    Exited,
}

/// A container.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ContainerRecord {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Its pod.
    pub sandbox_id: String,
    /// Where it is in its life.
    pub phase: ContainerPhase,
    /// As kubelet wants it, with the limits that were changed later.
    pub config: ContainerConfig,
    /// Its image, as it was then.
    pub image: LocalImage,
    /// Its mounts, checked.
    pub mounts: Vec<Mount>,
    /// Its log file, absolute.
    pub log: Option<PathBuf>,
    /// Its cgroup.
    pub cgroup: Cgroup,
    /// The boot that its process is of.
    pub boot_id: String,
    /// The process whose end is its end.
    pub process: Option<Process>,
    /// When it was created.
    pub created_at: SystemTime,
    /// When it was started.
    pub started_at: Option<SystemTime>,
    /// How it ended.
    pub ended: Option<Ended>,
}

impl Record for ContainerRecord {
    const KIND: &'static str = "container";
    const DIRECTORY: &'static str = "containers";
    fn id(&self) -> &str {
        &self.id
    }
}

/// The bytes of a record's file.
pub(super) fn encode<R: Record>(record: &R) -> serde_json::Result<Vec<u8>> {
    let body = serde_json::to_vec_pretty(record)?;
    let checksum = crc32fast::hash(&body);
    let mut bytes = format!("unikiln {VERSION} {} {checksum:08x}\n", R::KIND).into_bytes();
    bytes.extend_from_slice(&body);
    bytes.push(b'\n');
    Ok(bytes)
}

/// Reads what [`encode`] wrote.
pub(super) fn decode<R: Record>(bytes: &[u8]) -> Result<R, RecordError> {
    let line_end = bytes.iter().position(|&byte| byte == b'\n');
    let (line, rest) = bytes
        .split_at_checked(line_end.ok_or(RecordError::Header)?)
        .ok_or(RecordError::Header)?;
    let body = rest
        .strip_prefix(b"\n")
        .and_then(|rest| rest.strip_suffix(b"\n"))
        .ok_or(RecordError::Checksum)?;
    let line = str::from_utf8(line).map_err(|_| RecordError::Header)?;
    let words: Vec<&str> = line.split(' ').collect();
    let ["unikiln", version, kind, checksum] = words[..] else {
        return Err(RecordError::Header);
    };
    let version: u32 = version.parse().map_err(|_| RecordError::Header)?;
    if version != VERSION {
        return Err(RecordError::Version { version });
    }
    if checksum != format!("{:08x}", crc32fast::hash(body)) {
        return Err(RecordError::Checksum);
    }
    if kind != R::KIND {
        return Err(RecordError::Kind {
            kind: kind.to_owned(),
        });
    }
    serde_json::from_slice(body).map_err(RecordError::Json)
}
