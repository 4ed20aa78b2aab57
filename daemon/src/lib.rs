//! The CRI server: kubelet's runtime, one process for all pods of a node.
//!
//! ```text
//! kubelet, crictl ─ gRPC ─► service ─► node ─► handler ─► unikiln-vmm, one for each container
//!                              │        │ │ └─► handler ─► conmon ─► an OCI runtime
//!                              │        │ ├───► network: namespaces, CNI plugins
//!                              │        │ └───► cgroup
//!                              └─► image└─► state: a record of each pod and container
//! ```
//!
//! The daemon can be killed at any time: containers run on, and the next one finds them by their
//! records. The core blocks and knows nothing of gRPC; [`service`] gives each call a thread.
//!
//! | module | what it owns |
//! |---|---|
//! | [`proto`], [`service`] | the wire |
//! | [`node`] | pods, containers, and their calls |
//! | [`state`] | records |
//! | [`handler`] | how containers run |
//! | [`image`] | images |
//! | [`network`], [`cgroup`] | a pod's network; limits and usage |
//! | [`streaming`] | connections of PortForward, Exec and Attach |
//! | [`metrics`], [`trace`] | what an operator sees |
//! | [`config`], [`server`] | options; the process |
//! | [`client`] | the command line's side of the socket |

#![deny(unsafe_code)]

pub mod cgroup;
pub mod client;
pub mod config;
pub mod handler;
pub mod image;
pub mod metrics;
pub mod network;
pub mod node;
pub mod proto;
pub mod server;
pub mod service;
pub mod state;
pub mod streaming;
pub mod trace;
