//! Images made by other people's tools (mmdebstrap, umoci, skopeo), so that
//! what is tested is not our own idea of the format. Made once and kept below
//! the target directory; everything appears there by rename, so that two tests
//! may make the same thing at once.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::cache_dir;
use super::skip::Need;

/// Packages of the Debian image, unmodified.
const PACKAGES: &str = "python3.11,perl,sqlite3,lua5.4,gawk,coreutils,busybox-static";

/// What making images takes.
pub const IMAGE_TOOLS: [Need<'static>; 3] = [
    Need::Program("mmdebstrap"),
    Need::Program("umoci"),
    Need::Program("skopeo"),
];

/// A tool that must succeed.
pub fn tool(program: &str, args: &[&str]) {
    let output = Command::new(program).args(args).output();
    let output = output.unwrap_or_else(|error| panic!("cannot start {program}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{program} {args:?}: {}\n{said}",
        output.status
    );
}

/// An OCI layout whose tag `debian` is Debian 12 with [`PACKAGES`].
pub fn debian_layout() -> PathBuf {
    make("debian-oci", |layout| {
        let tar = packages_tar("debian", PACKAGES);
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

/// Debian 12 packages and all that they depend on, as the tar file of a layer.
pub fn packages_tar(name: &str, packages: &str) -> PathBuf {
    packages_tar_without(name, packages, &[])
}

/// The same without files of these patterns.
pub fn packages_tar_without(name: &str, packages: &str, patterns: &[&str]) -> PathBuf {
    let parts = [&[packages], patterns].concat();
    make(&format!("{name}-{}.tar", key(&parts)), |tar| {
        let options = patterns.iter();
        let options: Vec<String> = options
            .map(|pattern| format!("--dpkgopt=path-exclude={pattern}"))
            .collect();
        let mut words = vec!["--quiet", "--variant=extract", "--include", packages];
        words.extend(options.iter().map(String::as_str));
        words.extend(["bookworm", text(tar)]);
        tool("mmdebstrap", &words);
    })
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

fn text(path: &Path) -> &str {
    path.to_str().expect("the target directory's path is UTF-8")
}
