//! What the guests are made of: Debian's package files, unpacked and not installed, and
//! the layer `files`, which has what their installation would have made.

use std::path::PathBuf;
use std::sync::OnceLock;

use crate::common::image::{IMAGE_TOOLS, make, new_layout, tool};
use crate::common::skip::{Need, has_all};
use crate::common::{Unikiln, cache_dir, downloads};

pub(crate) const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/processes");
/// Two vCPUs, so that parent and child truly run at once.
pub(crate) const OPTIONS: [&str; 4] = ["--memory", "1G", "--cpus", "2"];

/// Whether the image can be made and its programs be driven by these `clients`.
pub(crate) fn can_run(test: &str, clients: &[&str]) -> bool {
    let clients: Vec<Need<'_>> = clients.iter().map(|name| Need::Program(name)).collect();
    has_all(test, &[Need::Kvm, Need::Program("tar")])
        && has_all(test, &IMAGE_TOOLS)
        && has_all(test, &clients)
}

/// The unikernel file of everything.
pub(crate) fn debian() -> PathBuf {
    static FILE: OnceLock<PathBuf> = OnceLock::new();
    FILE.get_or_init(|| {
        // To pack half a gigabyte takes longer than any of the trials.
        let packages = downloads::processes_tar();
        let name = packages.file_stem().expect("it has a name");
        let base = make(&format!("{}-oci", name.display()), |layout| {
            new_layout(layout, "processes", &[&packages]);
        });
        let work = tempfile::tempdir().expect("temporary directory");
        let (layout, files) = (work.path().join("oci"), work.path().join("files.tar"));
        let [from, to, tar] = [&base, &layout, &files].map(|path| path.to_str().expect("UTF-8"));
        let tree = format!("{FOLDER}/files");
        let owner = ["--owner=0", "--group=0", "--mode=go=rX"];
        let words = ["-C", &tree, "-cf", tar, "."];
        tool("tar", &[&owner[..], &words].concat());
        tool("cp", &["-a", from, to]);
        let image = format!("{to}:processes");
        tool("umoci", &["raw", "add-layer", "--image", &image, tar]);
        let file = cache_dir("processes").join("debian.uk");
        Unikiln::command(["build", &format!("oci:{image}"), "-o"])
            .options([&file])
            .output()
            .assert_code(0);
        file
    })
    .clone()
}

/// A guest whose first process is `program`.
pub(crate) fn guest(program: &str) -> Unikiln {
    Unikiln::run(debian())
        .options(OPTIONS)
        .options(["--entrypoint", program])
}
