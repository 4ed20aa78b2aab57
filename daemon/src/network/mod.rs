//! A pod's network: its namespace, the CNI plugins that give it an address, its sysctls, the
//! addresses that it has, its resolv.conf.
//!
//! | module | owns |
//! |---|---|
//! | [`namespace`] | network namespaces pinned below `/run/netns`, and work inside of one |
//! | [`netlink`] | what the kernel is asked inside a namespace: `lo` up, addresses |
//! | [`sysctl`] | sysctls of a pod: which have a meaning, and setting them |
//! | [`cni`] | networks by the CNI specification: configuration, plugins, results |
//! | [`resolv`] | the text of a pod's resolv.conf |

pub mod cni;
pub mod namespace;
pub mod netlink;
pub mod resolv;
pub mod sysctl;

pub use cni::{Cni, CniError, CniResult, PodNetwork};
pub use namespace::{Namespace, NamespaceError};
