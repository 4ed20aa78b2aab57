//! ImageService over a Unix socket: our generated client, Debian's docker-registry on loopback.
//!
//! | file | what is tested |
//! |---|---|
//! | `pulls.rs` | pull: platforms, digests, refusals, many at once, clients that vanish |
//! | `stored.rs` | list, status, removal, what is held, the disk, the command line's view |
//! | `node.rs` | a daemon's images, its service and a client |

mod common;
#[path = "../../../tests/registry/layout.rs"]
mod layout;
mod node;
mod pulls;
#[path = "../../../tests/registry/server.rs"]
#[expect(dead_code, reason = "tests/registry uses more of it")]
mod server;
mod stored;

use std::path::Path;

use common::skip::{Need, has_all};
use layout::Layout;

/// docker-registry, and who fills it.
const REGISTRY: [Need<'static>; 2] = [Need::Program("docker-registry"), Need::Program("skopeo")];

fn registry(test: &str) -> bool {
    has_all(test, &REGISTRY)
}

/// The same, and an image that becomes a unikernel.
fn registry_and_busybox(test: &str) -> bool {
    registry(test) && has_all(test, &[Need::File("/bin/busybox")])
}

/// A small image with a file of this content.
fn small(content: &str) -> Layout {
    let layout = Layout::new();
    let image = layout.image("v1", &[layout::layer("file", content.as_bytes())]);
    layout.tag(image);
    layout
}

fn text(path: &Path) -> &str {
    path.to_str()
        .expect("temporary directories have plain names")
}
