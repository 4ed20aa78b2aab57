//! Debian's Node.js, which is made of some twenty packages: from an image of
//! them, because another one may be installed here. So there is nothing native
//! to compare with; what a program must print is in the file beside it.

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use libtest_mimic::{Failed, Trial};

use crate::common::image::{IMAGE_TOOLS, new_layout, tool};
use crate::common::skip::{Need, has_all};
use crate::common::{Unikiln, cache_dir, downloads};
use crate::image::PROGRAMS;

const NAMES: [&str; 5] = ["crypto", "files", "jit", "timers", "workers"];

/// One for each program.
pub(crate) fn trials() -> Vec<Trial> {
    NAMES
        .map(|name| Trial::test(format!("node::{name}"), move || prints(name)))
        .into()
}

/// The packages as one layer, the programs as another, in `/node`.
fn unikernel() -> &'static PathBuf {
    static FILE: OnceLock<PathBuf> = OnceLock::new();
    FILE.get_or_init(|| {
        let packages = downloads::node_tar();
        let work = tempfile::tempdir().expect("temporary directory");
        let (layout, programs) = (work.path().join("oci"), work.path().join("programs.tar"));
        let words = [
            "-C",
            PROGRAMS,
            "-cf",
            programs.to_str().expect("UTF-8"),
            "node",
        ];
        tool("tar", &words);
        new_layout(&layout, "node", &[&packages, &programs]);
        let file = cache_dir("runtimes").join("node.uk");
        Unikiln::command(["build", &format!("oci:{}:node", layout.display()), "-o"])
            .options([&file])
            .output()
            .assert_code(0);
        file
    })
}

fn prints(name: &str) -> Result<(), Failed> {
    if has_all(name, &[Need::Kvm, Need::Program("tar")]) && has_all(name, &IMAGE_TOOLS) {
        let want = fs::read_to_string(format!("{PROGRAMS}/node/{name}.out"))?;
        Unikiln::run(unikernel())
            .options(["--memory", "512M", "--cpus", "2"])
            .options(["--entrypoint", "/usr/bin/node"])
            .args([format!("/node/{name}.js")])
            .output()
            .assert_code(0)
            .assert_stdout(&want);
    }
    Ok(())
}
