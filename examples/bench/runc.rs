//! The container that cold starts are compared with: the very root file system
//! of a unikernel file that was not linked, taken out of it by fsck.erofs, under the configuration
//! that `runc spec` writes (namespaces, mounts, masks, no seccomp filter, no
//! network set up), without a terminal.

use std::cell::Cell;
use std::fs;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::bench::{Bench, text};
use crate::command::{Finished, tool};

/// A bundle that can be run again and again.
#[derive(Debug)]
pub(crate) struct Container<'a> {
    bench: &'a Bench,
    bundle: String,
    state: String,
    started: Cell<u32>,
}

impl<'a> Container<'a> {
    /// The root file system of `unikernel`, which must not be linked, running `args`.
    pub(crate) fn new(bench: &'a Bench, unikernel: &str, args: &[&str]) -> Result<Self> {
        let bundle = text(bench.path("bundle"))?;
        fs::create_dir(&bundle).with_context(|| format!("cannot make {bundle}"))?;
        tool(&[
            "fsck.erofs",
            &format!("--extract={bundle}/rootfs"),
            unikernel,
        ])?;
        tool(&["runc", "spec", "--bundle", &bundle])?;
        let config = format!("{bundle}/config.json");
        let spec = fs::read_to_string(&config).with_context(|| format!("cannot read {config}"))?;
        let mut spec: Value =
            serde_json::from_str(&spec).with_context(|| format!("cannot understand {config}"))?;
        spec["process"]["terminal"] = json!(false);
        spec["process"]["args"] = json!(args);
        fs::write(&config, spec.to_string()).with_context(|| format!("cannot write {config}"))?;
        let state = text(bench.path("runc"))?;
        Ok(Self {
            bench,
            bundle,
            state,
            started: Cell::new(0),
        })
    }

    /// `runc run` to its end; runc removes the container itself.
    pub(crate) fn run(&self) -> Result<Finished> {
        let number = self.started.get();
        self.started.set(number + 1);
        let name = format!("unikiln-bench-{}-{number}", std::process::id());
        self.bench.runner.run(&[
            "runc",
            "--root",
            &self.state,
            "run",
            "--bundle",
            &self.bundle,
            &name,
        ])
    }

    /// Where a file of the image is on this machine.
    pub(crate) fn host_path(&self, path: &str) -> String {
        format!("{}/rootfs{path}", self.bundle)
    }
}
