//! Containers under a real OCI runtime and a real conmon.
//!
//! | module | what it owns |
//! |---|---|
//! | [`node`] | a node and its containers |
//! | [`life`] | starting, logs, signals, ends |
//! | [`commands`] | commands in a container |
//! | [`streams`] | streams of commands, and of a container's own program |
//! | [`inside`] | what a container sees: root, mounts, users, limits |
//! | [`layers`] | layers that try to leave their directory, and what becomes of them |
//! | [`faults`] | what is killed, missing or broken |

#[path = "../../../builder/tests/builder/image.rs"]
#[allow(dead_code, reason = "each test binary uses its own part")]
mod image;
#[path = "../../../tests/common/skip.rs"]
#[allow(dead_code, reason = "each test binary uses its own part")]
mod skip;

mod commands;
mod faults;
mod inside;
mod layers;
mod life;
mod node;
mod streams;

use std::path::PathBuf;

/// Where tests keep what they make.
fn cache_dir(name: &str) -> PathBuf {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&directory).expect("directory");
    directory
}
