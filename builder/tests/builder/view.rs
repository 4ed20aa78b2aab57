//! Looks at a unikernel file through the kernel's EROFS.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A mounted file; unmounted when dropped.
pub(crate) struct View {
    directory: TempDir,
}

impl View {
    /// Checks the file with `fsck.erofs` and mounts it. `None`, loudly, where
    /// this machine cannot mount.
    pub(crate) fn new(file: &Path) -> Option<Self> {
        fsck(file);
        let directory = tempfile::tempdir().expect("temporary directory");
        let output = Command::new("mount")
            .args(["-t", "erofs", "-o", "loop,ro"])
            .args([file, directory.path()])
            .output();
        match output {
            Ok(output) if output.status.success() => Some(Self { directory }),
            Ok(output) => {
                let why = String::from_utf8_lossy(&output.stderr).into_owned();
                eprintln!("SKIP: cannot mount EROFS here: {why}");
                None
            }
            Err(error) => {
                eprintln!("SKIP: there is no mount: {error}");
                None
            }
        }
    }

    pub(crate) fn root(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// What `name` leads to, symbolic links followed as after a chroot.
    pub(crate) fn inside(&self, name: &str) -> PathBuf {
        let mut found = PathBuf::new();
        let mut pending: Vec<_> = name.split('/').rev().map(str::to_owned).collect();
        while let Some(part) = pending.pop() {
            match part.as_str() {
                "" | "." => continue,
                ".." => {
                    found.pop();
                    continue;
                }
                part => found.push(part),
            }
            if let Ok(target) = std::fs::read_link(self.root().join(&found)) {
                found.pop();
                let target = target.to_str().expect("utf-8");
                if target.starts_with('/') {
                    found.clear();
                }
                pending.extend(target.split('/').rev().map(str::to_owned));
            }
        }
        self.root().join(found)
    }

    /// Whether anything has the name, dangling links included.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.path(name).symlink_metadata().is_ok()
    }
}

impl Drop for View {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(self.directory.path()).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            eprintln!("{} stays mounted", self.directory.path().display());
        }
    }
}

/// Lets `fsck.erofs` judge the file as it is.
pub(crate) fn fsck(file: &Path) {
    match Command::new("fsck.erofs").arg(file).output() {
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(
                output.status.success() && !said.contains("<E>"),
                "fsck.erofs: {said}"
            );
        }
        Err(error) => eprintln!("SKIP: there is no fsck.erofs: {error}"),
    }
}
