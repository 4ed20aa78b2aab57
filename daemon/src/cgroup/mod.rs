//! Control groups of pods and containers.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A cgroup of a pod or container, as its record keeps it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cgroup {
    /// Its directory in each hierarchy: one of version 2, several of version 1.
    pub directories: Vec<PathBuf>,
    /// Its path below the mounts, as OCI's `cgroupsPath` and `/proc/PID/cgroup` have it.
    pub path: String,
}
