//! Images of every transport, made by umoci and skopeo, run as their
//! configuration says; bad ones give one clear error and leave nothing behind.

#[path = "../common/mod.rs"]
mod common;
mod refused;
mod running;
mod users;

use std::fs;
use std::path::{Path, PathBuf};

use common::image::{IMAGE_TOOLS, make, new_layout, tool};
use common::skip::{Need, has_all};

/// Busybox below /bin, and a second layer that whites out `data/gone` and all
/// that the first one had in `data/opaque`.
fn layout() -> PathBuf {
    make("small-oci", |layout| {
        let work = tempfile::tempdir().expect("temporary directory");
        let first = work.path().join("1");
        let second = work.path().join("2");
        for dir in ["bin", "etc", "data/opaque", "tmp"] {
            fs::create_dir_all(first.join(dir)).expect("temporary directory is writable");
        }
        fs::create_dir_all(second.join("data/opaque")).expect("temporary directory is writable");
        let write = |path: PathBuf, text: &str| {
            fs::write(path, text).expect("temporary directory is writable")
        };
        fs::copy("/bin/busybox", first.join("bin/busybox")).expect("busybox is installed");
        write(
            first.join("etc/passwd"),
            "root:x:0:0:root:/root:/bin/sh\npotter:x:1000:1001::/home:/bin/sh\n",
        );
        write(
            first.join("etc/group"),
            "root:x:0:\npotters:x:1001:\nkiln:x:1002:potter\n",
        );
        write(first.join("data/gone"), "gone\n");
        write(first.join("data/kept"), "kept\n");
        write(first.join("data/opaque/below"), "below\n");
        write(second.join("data/.wh.gone"), "");
        write(second.join("data/opaque/.wh..wh..opq"), "");
        write(second.join("data/opaque/above"), "above\n");
        write(second.join("data/not-elf"), "neither ELF nor script\n");
        std::os::unix::fs::symlink("/bin/busybox", second.join("data/cat")).expect("writable");
        tool(
            "chmod",
            &["755", second.join("data/not-elf").to_str().expect("UTF-8")],
        );
        // Programs that Linux would refuse: of 32 bits, and without its interpreter.
        let mut elf = fs::read("/bin/busybox").expect("busybox is installed");
        elf[4] = 1; // EI_CLASS
        fs::write(second.join("data/elf32"), &elf).expect("temporary directory is writable");
        fs::copy("/bin/cat", second.join("data/no-interpreter")).expect("coreutils are installed");
        tool(
            "chmod",
            &["755", second.join("data/elf32").to_str().expect("UTF-8")],
        );
        let tars = [work.path().join("1.tar"), work.path().join("2.tar")];
        for (dir, tar) in [&first, &second].into_iter().zip(&tars) {
            let text = |path: &Path| path.to_str().expect("UTF-8").to_owned();
            tool(
                "tar",
                &[
                    "--owner=0",
                    "--group=0",
                    "-C",
                    &text(dir),
                    "-cf",
                    &text(tar),
                    ".",
                ],
            );
        }
        new_layout(layout, "small", &[&tars[0], &tars[1]]);
        let image = format!("{}:small", layout.display());
        let settings = [
            "--config.entrypoint=/bin/busybox",
            "--config.cmd=ls",
            "--config.cmd=/data",
            "--config.env=GLAZE=blue",
            "--config.workingdir=/data",
        ];
        tool(
            "umoci",
            &[&["config", "--image", &image], settings.as_slice()].concat(),
        );
        let potter = format!("{}:small", layout.display());
        tool(
            "umoci",
            &[
                "config",
                "--image",
                &potter,
                "--tag",
                "potter",
                "--config.user",
                "potter",
            ],
        );
        tool(
            "umoci",
            &[
                "config",
                "--image",
                &potter,
                "--tag",
                "foreign",
                "--architecture",
                "arm64",
            ],
        );
    })
}

fn small() -> String {
    format!("oci:{}:small", layout().display())
}

const TOOLS: [Need<'static>; 4] = [
    Need::File("/bin/busybox"),
    IMAGE_TOOLS[0],
    IMAGE_TOOLS[1],
    IMAGE_TOOLS[2],
];

fn can_build(test: &str) -> bool {
    has_all(test, &TOOLS)
}

fn can_run(test: &str) -> bool {
    can_build(test) && has_all(test, &[Need::Kvm])
}
