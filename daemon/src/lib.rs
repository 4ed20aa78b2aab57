//! The CRI server: kubelet's runtime, one process for all pods of a node.

#![deny(unsafe_code)]

pub mod cgroup;
pub mod handler;
pub mod image;
pub mod metrics;
pub mod proto;
pub mod trace;
