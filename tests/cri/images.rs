//! One image with all of `programs/*.c`, one whose user is not root, one with entrypoint and
//! environment, in a docker-registry of this test's own.

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::cache_dir;
use crate::common::image::{key, make, new_layout, tool};

const PROGRAMS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cri/programs");

/// Files of the image besides programs.
const FILES: [(&str, &str); 3] = [
    (
        "etc/passwd",
        "root:x:0:0:root:/root:/bin/sh\nkiln:x:1000:1000::/home:/bin/sh\n",
    ),
    (
        "etc/group",
        "root:x:0:\nkiln:x:1000:\nfire:x:2000:kiln\nclay:x:3000:\n",
    ),
    ("etc/greeting", "of the image\n"),
];

/// Tags, and how `umoci config` makes each.
const TAGS: [(&str, &[&str]); 4] = [
    ("all", &["--config.cmd", "/bin/look"]),
    (
        "user",
        &["--config.cmd", "/bin/look", "--config.user", "kiln"],
    ),
    (
        "entry",
        &[
            "--config.entrypoint",
            "/bin/look",
            "--config.cmd",
            "/etc/greeting",
            "--config.env",
            "FROM=image",
            "--config.env",
            "BOTH=image",
            "--config.workingdir",
            "/tmp",
            "--config.stopsignal",
            "SIGUSR1",
        ],
    ),
    ("other", &["--config.cmd", "/bin/sleeper"]),
];

static REGISTRY: Mutex<Option<Child>> = Mutex::new(None);

/// The name of a tag: `127.0.0.1:PORT/kiln/programs:TAG`.
pub fn name(tag: &str) -> String {
    format!("127.0.0.1:{}/kiln/programs:{tag}", port())
}

/// Starts the registry: no trial's time is spent on it.
pub fn start() {
    port();
}

/// Ends the registry.
pub fn end() {
    if let Some(mut child) = REGISTRY.lock().expect("no panic").take() {
        // It may be gone.
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// Starts the registry with all images in it, once.
fn port() -> u16 {
    static PORT: OnceLock<u16> = OnceLock::new();
    *PORT.get_or_init(|| {
        let layout = layout();
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = free.local_addr().expect("an address").port();
        drop(free);
        let place = cache_dir("cri").join(format!("registry-{}", std::process::id()));
        let config = place.with_extension("yml");
        let text = format!(
            "version: 0.1\nlog: {{level: error}}\nhttp: {{addr: \"127.0.0.1:{port}\"}}\n\
             storage: {{filesystem: {{rootdirectory: {}}}}}\n",
            place.display()
        );
        fs::write(&config, text).expect("a file");
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("docker-registry starts");
        *REGISTRY.lock().expect("no panic") = Some(child);
        let started = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            assert!(started.elapsed() < Duration::from_secs(60), "no registry");
            thread::sleep(Duration::from_millis(20));
        }
        for (tag, _) in TAGS {
            let from = format!("oci:{}:{tag}", layout.display());
            let to = format!("docker://127.0.0.1:{port}/kiln/programs:{tag}");
            tool(
                "skopeo",
                &["copy", "--quiet", "--dest-tls-verify=false", &from, &to],
            );
        }
        port
    })
}

/// An OCI layout of all tags, made once for these sources.
fn layout() -> PathBuf {
    let mut sources: Vec<_> = fs::read_dir(PROGRAMS)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    sources.sort();
    let texts: Vec<_> = sources
        .iter()
        .map(|path| fs::read_to_string(path).expect("a source"))
        .collect();
    let mut parts: Vec<_> = texts.iter().map(String::as_str).collect();
    let tags = format!("{TAGS:?}{FILES:?}");
    parts.push(&tags);
    make(&format!("cri-{}", key(&parts)), |layout| {
        let work = tempfile::tempdir().expect("temporary directory");
        let tree = work.path().join("tree");
        for folder in ["bin", "etc", "tmp", "proc", "dev", "sys", "home"] {
            fs::create_dir_all(tree.join(folder)).expect("a folder");
        }
        for source in &sources {
            compile(source, &tree);
        }
        fs::copy("/bin/busybox", tree.join("bin/busybox")).expect("busybox");
        for (path, text) in FILES {
            fs::write(tree.join(path), text).expect("a file");
        }
        let tar = work.path().join("layer.tar");
        let [tree, tar_text] = [&tree, &tar].map(|path| path.to_str().expect("UTF-8"));
        let owner = ["--owner=0", "--group=0", "--mode=go=rX"];
        tool(
            "tar",
            &[&owner[..], &["-C", tree, "-cf", tar_text, "."]].concat(),
        );
        new_layout(layout, TAGS[0].0, &[&tar]);
        for (tag, options) in TAGS {
            let base = format!("{}:{}", layout.display(), TAGS[0].0);
            let image = format!("{}:{tag}", layout.display());
            if image != base {
                tool("umoci", &["tag", "--image", &base, tag]);
            }
            tool("umoci", &[&["config", "--image", &image], options].concat());
        }
    })
}

fn compile(source: &Path, tree: &Path) {
    let name = source.file_stem().expect("a name");
    let program = tree.join("bin").join(name);
    let [source, program] = [source, &program].map(|path| path.to_str().expect("UTF-8"));
    let flags = ["-static", "-O1", "-Wall", "-Wextra", "-Werror", "-o"];
    tool("gcc", &[&flags[..], &[program, source]].concat());
}
