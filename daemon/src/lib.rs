//! The CRI server: kubelet's runtime, one process for all pods of a node.

#![deny(unsafe_code)]

pub mod cgroup;
pub mod handler;
pub mod image;
pub mod network;
pub mod proto;
pub mod streaming;
