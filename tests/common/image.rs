//! Images made by other people's tools (mmdebstrap, umoci, skopeo), so that
//! what is tested is not our own idea of the format. Made once and kept below
//! the target directory; everything appears there by rename, so that two tests
//! may make the same thing at once.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::skip::Need;
use super::{cache_dir, downloads};

/// What making images takes.
pub const IMAGE_TOOLS: [Need<'static>; 3] = [
    Need::Program("mmdebstrap"),
    Need::Program("umoci"),
    Need::Program("skopeo"),
];

/// A tool that must succeed.
pub fn tool(program: &str, args: &[&str]) {
    attempt(program, args).unwrap_or_else(|failure| panic!("{failure}"));
}

/// A tool that may fail; what it said then.
pub fn attempt(program: &str, args: &[&str]) -> Result<(), String> {
    let output = Command::new(program).args(args).output();
    let output = output.map_err(|error| format!("cannot start {program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{program} {args:?}: {}\n{said}", output.status))
}

/// An OCI layout whose tag `debian` is Debian 12 with the programs of `tests/packages`.
pub fn debian_layout() -> PathBuf {
    make("debian-oci", |layout| {
        let tar = downloads::debian_tar();
        new_layout(layout, "debian", &[&tar]);
        let image = format!("{}:debian", layout.display());
        tool(
            "umoci",
            &[
                "config",
                "--image",
                &image,
                "--config.cmd",
                "/usr/bin/python3.11",
            ],
        );
        tool(
            "umoci",
            &[
                "config",
                "--image",
                &image,
                "--config.env",
                "PYTHONHASHSEED=0",
            ],
        );
    })
}

/// A word for what something is made of, to name it by in the cache.
pub fn key(parts: &[&str]) -> String {
    let mut hasher = DefaultHasher::new();
    parts.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

/// An OCI layout with one image of these layers (tar files), lowest first.
pub fn new_layout(layout: &Path, tag: &str, layers: &[&Path]) {
    let image = format!("{}:{tag}", layout.display());
    tool("umoci", &["init", "--layout", text(layout)]);
    tool("umoci", &["new", "--image", &image]);
    for layer in layers {
        tool(
            "umoci",
            &["raw", "add-layer", "--image", &image, text(layer)],
        );
    }
}

/// The same image in another transport, such as `docker-archive`.
pub fn convert(layout: &Path, tag: &str, transport: &str) -> PathBuf {
    let name = format!(
        "{}-{transport}.tar",
        layout.file_name().unwrap_or_default().to_string_lossy()
    );
    make(&name, |file| {
        let from = format!("oci:{}:{tag}", layout.display());
        tool(
            "skopeo",
            &[
                "copy",
                "--quiet",
                &from,
                &format!("{transport}:{}:{tag}:latest", file.display()),
            ],
        );
    })
}

/// Makes `name` below the cache unless it is there.
pub fn make(name: &str, write: impl FnOnce(&Path)) -> PathBuf {
    let dir = cache_dir("images");
    let place = dir.join(name);
    if place.exists() {
        return place;
    }
    let fresh = dir.join(format!("{}-{name}", super::unique()));
    write(&fresh);
    if fs::rename(&fresh, &place).is_err() {
        // Another test was faster; its result is as good.
        assert!(place.exists(), "cannot put {} in place", place.display());
        let _ = fs::remove_dir_all(&fresh).or_else(|_| fs::remove_file(&fresh));
    }
    place
}

/// A path as a word of a command.
pub fn text(path: &Path) -> &str {
    path.to_str().expect("the target directory's path is UTF-8")
}
