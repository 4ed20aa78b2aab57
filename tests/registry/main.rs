//! Images and unikernels from registries and to them: Debian's docker-registry on
//! loopback, filled by skopeo, and a registry that lies.
//!
//! | file | what is tested |
//! |---|---|
//! | `images.rs` | pull, run, push: platforms, formats, many layers |
//! | `unikernels.rs` | unikernels as artifacts |
//! | `uploads.rs` | pushes to registries of other kinds |
//! | `trust.rs` | TLS, client certificates, passwords, credential helpers |
//! | `mirrors.rs` | `hosts.toml` with mirrors |
//! | `lies.rs` | wrong digests and lengths, endless bodies, ambiguous documents |
//! | `trouble.rs` | 429, 500, cut connections, Ctrl-C |
//! | `tokens.rs` | redirects and bearer tokens: who gets which secret |
//! | `server.rs` | docker-registry, started and ended |
//! | `liar.rs` | a small HTTP server that says what a test wants |
//! | `layout.rs` | OCI layouts, written here |

#[path = "../common/mod.rs"]
mod common;
mod images;
mod layout;
mod liar;
mod lies;
mod mirrors;
mod server;
mod tokens;
mod trouble;
mod trust;
mod unikernels;
mod uploads;

use std::fs;
use std::path::{Path, PathBuf};

use common::skip::{Need, has_all};
use common::{Outcome, Unikiln};

/// docker-registry, and who fills it.
const REGISTRY: [Need<'static>; 2] = [Need::Program("docker-registry"), Need::Program("skopeo")];

/// Whether a registry can run here, and guests.
fn registry_and_kvm(test: &str) -> bool {
    has_all(test, &REGISTRY) && has_all(test, &[Need::Kvm, Need::File("/bin/busybox")])
}

/// A user of `unikiln`: a store, docker's configuration, `hosts.toml` files.
struct User {
    directory: tempfile::TempDir,
}

impl User {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("temporary directory");
        for name in ["docker", "registries.d"] {
            fs::create_dir(directory.path().join(name)).expect("a directory");
        }
        Self { directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn store(&self) -> PathBuf {
        self.path("store")
    }

    /// Writes the `hosts.toml` of a registry.
    fn hosts(&self, registry: &str, text: &str) {
        let name = match registry.split_once(':') {
            Some((host, port)) => format!("{host}_{port}_"),
            None => registry.to_owned(),
        };
        let directory = self.path("registries.d").join(name);
        fs::create_dir_all(&directory).expect("a directory");
        fs::write(directory.join("hosts.toml"), text).expect("a file");
    }

    /// Writes docker's configuration.
    fn docker_config(&self, text: &str) {
        fs::write(self.path("docker/config.json"), text).expect("a file");
    }

    /// A command of this user.
    fn command(&self, words: &[&str]) -> Unikiln {
        Unikiln::command(words)
            .host_env("UNIKILN_ROOT", text(&self.store()))
            .host_env("DOCKER_CONFIG", text(&self.path("docker")))
            .host_env(
                "UNIKILN_REGISTRY_CONFIG_DIR",
                text(&self.path("registries.d")),
            )
    }

    fn run(&self, words: &[&str]) -> Outcome {
        self.command(words).output()
    }

    /// Pulls what must come, and gives the digest that is printed.
    fn pull(&self, words: &[&str]) -> String {
        let words: Vec<_> = ["pull"].iter().chain(words).copied().collect();
        let outcome = self.run(&words);
        outcome.assert_code(0);
        outcome.out().trim().to_owned()
    }

    /// Pulls what must be refused, and gives the message.
    fn refused(&self, words: &[&str]) -> String {
        let words: Vec<_> = ["pull"].iter().chain(words).copied().collect();
        let outcome = self.run(&words);
        outcome.assert_code(125);
        assert!(outcome.out().is_empty(), "{}", outcome.story());
        String::from_utf8_lossy(&outcome.stderr).into_owned()
    }

    /// Whether the store has a blob.
    fn has_blob(&self, digest: &str) -> bool {
        let name = digest.replacen(':', "/", 1);
        self.store().join("blobs").join(name).is_file()
    }
}

fn text(path: &Path) -> &str {
    path.to_str()
        .expect("temporary directories have plain names")
}

/// A message must have all of these.
#[track_caller]
fn assert_has(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "no {part:?} in: {message}");
    }
}
