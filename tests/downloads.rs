//! Everything that other tests take from the network, each as a test of its own.

mod common;

use common::downloads;
use common::image::IMAGE_TOOLS;
use common::registries;
use common::skip::{Need, has_all};

const APT: [Need<'static>; 1] = [Need::Program("apt-get")];

#[test]
fn packages() {
    if has_all("downloads", &IMAGE_TOOLS) {
        for tar in [
            downloads::debian_tar(),
            downloads::node_tar(),
            downloads::servers_tar(),
            downloads::processes_tar(),
        ] {
            assert!(tar.is_file(), "no {}", tar.display());
        }
    }
}

#[test]
fn registries() {
    if registries::can_install("downloads") {
        let flask = registries::pypi().join("srv/pypi/flask");
        let express = registries::node_modules().join("srv/node_modules/express");
        for folder in [flask, express] {
            assert!(folder.is_dir(), "no {}", folder.display());
        }
        downloads::crates();
    }
}

#[test]
fn speedtest_source() {
    if has_all("downloads", &APT) {
        let source = downloads::speedtest_source();
        assert!(source.is_file(), "no {}", source.display());
    }
}

#[test]
fn kernel() {
    if has_all("downloads", &APT) {
        let boot = downloads::svm_machine().join("kernel/boot");
        assert!(boot.is_dir(), "no {}", boot.display());
    }
}
