//! What the guests are made of: Debian's package files, which are unpacked into an
//! image and never installed here, so that no service starts; and programs of ours.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::common::compile::{self, GO};
use crate::common::image::{IMAGE_TOOLS, new_layout, tool};
use crate::common::skip::{Need, has_all};
use crate::common::{Unikiln, cache_dir, downloads, registries};

pub(crate) const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/servers");
const JAVA_HOME: &str = "/usr/lib/jvm/java-17-openjdk-amd64";

/// Whether the image can be made and its servers be driven by these `clients`.
pub(crate) fn can_run(test: &str, clients: &[&str]) -> bool {
    let clients: Vec<Need<'_>> = clients.iter().map(|name| Need::Program(name)).collect();
    has_all(test, &[Need::Kvm, Need::Program("tar")])
        && has_all(test, &IMAGE_TOOLS)
        && has_all(test, &clients)
        && registries::can_install(test)
}

/// A layer of Debian's packages, two of other packages, and `files`: a unikernel file
/// for all servers.
pub(crate) fn debian() -> PathBuf {
    static FILE: OnceLock<PathBuf> = OnceLock::new();
    FILE.get_or_init(|| {
        let packages = downloads::servers_tar();
        let work = tempfile::tempdir().expect("temporary directory");
        let layout = work.path().join("oci");
        let trees = [
            registries::pypi(),
            registries::node_modules(),
            Path::new(FOLDER).join("files"),
        ];
        let tars = [0, 1, 2].map(|number| work.path().join(format!("{number}.tar")));
        for (tree, file) in trees.iter().zip(&tars) {
            let [tree, file] = [tree, file].map(|path| path.to_str().expect("UTF-8"));
            let owner = ["--owner=0", "--group=0", "--mode=go=rX"];
            tool(
                "tar",
                &[&owner[..], &["-C", tree, "-cf", file, "."]].concat(),
            );
        }
        let [pypi, node_modules, files] = tars.each_ref().map(PathBuf::as_path);
        let layers = [&packages, pypi, node_modules, files];
        new_layout(&layout, "servers", &layers);
        let image = format!("oci:{}:servers", layout.display());
        build("debian", &image, &[])
    })
    .clone()
}

fn build(name: &str, image: &str, includes: &[&str]) -> PathBuf {
    let file = cache_dir("servers").join(format!("{name}.uk"));
    let mut command = Unikiln::command(["build", image, "-o"]).options([&file]);
    for include in includes {
        command = command.options(["--include", include]);
    }
    command.output().assert_code(0);
    file
}

/// Whether there is a Go compiler.
pub(crate) fn has_go(test: &str) -> bool {
    has_all(test, &[Need::Kvm, Need::File(GO)])
}

/// The unikernel file of `go/NAME.go`.
pub(crate) fn go(name: &str) -> PathBuf {
    let cache = cache_dir("servers").join("go");
    let source = format!("{FOLDER}/go/{name}.go");
    let image = format!("host:{}", compile::go(&cache, name, &["build"], &source));
    build(&format!("go-{name}"), &image, &[])
}

/// Whether there is a JDK.
pub(crate) fn has_java(test: &str) -> bool {
    let javac = format!("{JAVA_HOME}/bin/javac");
    has_all(test, &[Need::Kvm, Need::File(&javac)])
}

/// The unikernel file of the virtual machine and `java/Greeter.java`, and the
/// directory of its classes.
pub(crate) fn java() -> (PathBuf, String) {
    let classes = cache_dir("servers").join("classes");
    let classes = classes.to_str().expect("UTF-8").to_owned();
    let source = format!("{FOLDER}/java/Greeter.java");
    let javac = format!("{JAVA_HOME}/bin/javac");
    tool(&javac, &["-d", &classes, &source]);
    let (library, settings) = (format!("{JAVA_HOME}/lib"), format!("{JAVA_HOME}/conf"));
    let includes = [
        library.as_str(),
        &settings,
        "/etc/java-17-openjdk",
        &classes,
    ];
    let image = format!("host:{JAVA_HOME}/bin/java");
    (build("java", &image, &includes), classes)
}

/// The unikernel file of the crate `hyper`, which has a lock file of its own.
pub(crate) fn hyper() -> PathBuf {
    let target = cache_dir("servers").join("hyper");
    let program = compile::cargo(&format!("{FOLDER}/hyper"), &target, "greeter");
    let image = format!("host:{program}");
    build("hyper", &image, &[])
}
