//! What the guests are made of: Debian's package files, unpacked and not installed, and
//! the layer `files`, which has what their installation would have made.

use std::path::PathBuf;
use std::sync::OnceLock;

use crate::common::image::{IMAGE_TOOLS, key, make, new_layout, packages_tar_without, tool};
use crate::common::skip::{Need, has_all};
use crate::common::{Unikiln, cache_dir};

pub(crate) const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/processes");
const PACKAGES: &str = "bash,busybox-static,coreutils,dash,diffutils,findutils,grep,gzip,sed,\
                        util-linux,gettext-base,gosu,tini,dumb-init,\
                        gcc,git,libc6-dev,make,nodejs,php8.2-fpm,python3.11,supervisor,\
                        mariadb-client-core,mariadb-server-core,nginx-light,postgresql-15,\
                        redis-server";
/// Half of the bytes, and none of the programs' work: documents, translations, a compiler
/// for PostgreSQL's expressions, gcc's own checkers.
const LEFT_OUT: [&str; 8] = [
    "/usr/share/doc/*",
    "/usr/share/i18n/*",
    "/usr/share/locale/*",
    "/usr/share/man/*",
    "/usr/lib/*/libLLVM*",
    "/usr/lib/*/lib?san.so*",
    "/usr/lib/postgresql/15/lib/bitcode/*",
    "/usr/lib/postgresql/15/lib/llvmjit*",
];

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
        let parts = [&[PACKAGES], &LEFT_OUT[..]].concat();
        let base = make(&format!("processes-{}-oci", key(&parts)), |layout| {
            let packages = packages_tar_without("processes", PACKAGES, &LEFT_OUT);
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
