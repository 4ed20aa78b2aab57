//! The network of pods with Debian's CNI plugins, as root.
//!
//! Each test runs in a process of its own, in network and mount namespaces that are made for
//! it and a fresh `/run`: no bridge, rule, lease or namespace of it is ever the machine's.

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use unikiln_daemon::network::cni::PortMapping;
use unikiln_daemon::network::sysctl::{SysctlError, Sysctls};
use unikiln_daemon::network::{Cni, CniError, Namespace, NamespaceError, PodNetwork, namespace};

#[path = "../../../tests/common/skip.rs"]
#[allow(dead_code, unreachable_pub)]
mod skip;

mod plugins;
mod streaming;

use skip::Need;

const PLUGINS: &str = "/usr/lib/cni";
const INSIDE: &str = "UNIKILN_TEST_INSIDE";
const A: &str = "aaaaaaaaaaaaaaaa0123456789abcdef0123456789abcdef0123456789abcdef";
const B: &str = "bbbbbbbbbbbbbbbb0123456789abcdef0123456789abcdef0123456789abcdef";

/// Where skips are noted.
fn cache_dir(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&dir).unwrap();
    dir
}

/// Runs `test`, which is this one, again in namespaces of its own.
fn apart(test: &str, needs: &[Need<'_>], story: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        return story();
    }
    if !skip::has_all(test, &[&[Need::Namespaces, Need::Mounts], needs].concat()) {
        return;
    }
    let script = "mount -t tmpfs unikiln-test /run && ip link set lo up && exec \"$@\"";
    let done = Command::new("unshare")
        .args([
            "--net",
            "--mount",
            "--propagation",
            "private",
            "sh",
            "-ec",
            script,
            "sh",
        ])
        .arg(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&done.stdout), text(&done.stderr));
    assert!(
        done.status.success(),
        "{test}: {}\n{stdout}\n{stderr}",
        done.status
    );
    assert!(
        stdout.contains("1 passed"),
        "{test} is not the test's name:\n{stdout}"
    );
}

#[test]
fn namespaces_are_made_found_and_removed() {
    apart("namespaces_are_made_found_and_removed", &[], || {
        assert_eq!(Namespace::list().unwrap(), Vec::<PathBuf>::new());
        let namespace = Namespace::create(A).unwrap();
        let path = namespace.path();
        assert!(Namespace::is_at(path));
        assert!(matches!(
            Namespace::create(A),
            Err(NamespaceError::Exists { .. })
        ));
        assert!(
            Namespace::is_at(path),
            "the one that was there is as it was"
        );
        let ip = Command::new("ip").args(["netns", "list"]).output().unwrap();
        assert!(String::from_utf8_lossy(&ip.stdout).contains("unikiln-aaaaaaaaaaaaaaaa"));
        // lo works, and ports are the namespace's own.
        let listener = namespace::inside(path, || {
            TcpListener::bind((Ipv4Addr::LOCALHOST, 80)).unwrap()
        });
        let listener = listener.unwrap();
        let address = listener.local_addr().unwrap();
        assert!(TcpStream::connect(address).is_err());
        namespace::inside(path, || TcpStream::connect(address).unwrap()).unwrap();

        let other = Namespace::create(B).unwrap();
        // What a kill between two steps leaves.
        let half = Namespace::path_of("cccccccccccccccc").unwrap();
        fs::write(&half, "").unwrap();
        fs::write("/run/netns/blue", "").unwrap();
        assert_eq!(Namespace::list().unwrap(), [path, other.path(), &half]);
        assert!(!Namespace::is_at(&half));
        for path in Namespace::list().unwrap() {
            Namespace::remove(&path).unwrap();
            Namespace::remove(&path).unwrap();
            assert!(!Namespace::is_at(&path) && !path.exists());
        }
        assert_eq!(
            fs::read_dir("/run/netns").unwrap().count(),
            1,
            "blue is not ours"
        );
        let error = namespace::inside(path, || ()).unwrap_err();
        assert!(matches!(error, NamespaceError::Gone { .. }), "{error}");
        // It is mounted once, however many were made; the machine's own is below our /run.
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let mounts: Vec<_> = mounts
            .lines()
            .filter(|line| line.contains(" /run/netns ") && line.contains(" unikiln-test "))
            .collect();
        assert!(
            mounts.len() == 1 && mounts[0].contains("shared:"),
            "{mounts:?}"
        );
    });
}

#[test]
fn namespaces_are_made_at_once() {
    apart("namespaces_are_made_at_once", &[], || {
        let ids: Vec<_> = (0..16).map(|number| format!("{number:016x}")).collect();
        std::thread::scope(|scope| {
            for id in &ids {
                scope.spawn(|| Namespace::create(id).unwrap());
            }
        });
        assert_eq!(Namespace::list().unwrap().len(), 16);
        Namespace::list()
            .unwrap()
            .iter()
            .for_each(|path| Namespace::remove(path).unwrap());
        // The machine's own namespace is still that of every thread of this process.
        let own = fs::read_link("/proc/self/ns/net").unwrap();
        for task in fs::read_dir("/proc/self/task").unwrap() {
            let namespace = fs::read_link(task.unwrap().path().join("ns/net"));
            assert!(namespace.is_err() || namespace.unwrap() == own);
        }
    });
}

#[test]
fn sysctls_are_the_pods() {
    apart("sysctls_are_the_pods", &[], || {
        let namespace = Namespace::create(A).unwrap();
        let parse = |name: &str, value: &str| {
            Sysctls::parse(&[(name.to_owned(), value.to_owned())].into(), false).unwrap()
        };
        let read = |name: &str| fs::read_to_string(format!("/proc/sys/net/{name}")).unwrap();
        let inside = |name: &str| namespace::inside(namespace.path(), || read(name)).unwrap();
        let before = read("ipv4/ip_forward");
        assert_eq!(inside("ipv4/ip_unprivileged_port_start").trim(), "0");
        let flipped = if inside("ipv4/ip_forward").trim() == "0" {
            "1"
        } else {
            "0"
        };
        parse("net.ipv4.ip_forward", flipped)
            .apply(namespace.path())
            .unwrap();
        parse("net/core/somaxconn", "77")
            .apply(namespace.path())
            .unwrap();
        assert_eq!(inside("ipv4/ip_forward").trim(), flipped);
        assert_eq!(inside("core/somaxconn").trim(), "77");
        assert_eq!(read("ipv4/ip_forward"), before);

        let error = parse("net.ipv4.no_such", "1")
            .apply(namespace.path())
            .unwrap_err();
        assert!(matches!(error, SysctlError::Unknown { .. }), "{error}");
        let error = parse("net.ipv4.ip_forward", "often")
            .apply(namespace.path())
            .unwrap_err();
        assert!(
            error.to_string().contains("ip_forward to \"often\""),
            "{error}"
        );
        Namespace::remove(namespace.path()).unwrap();
        let error = parse("net.ipv4.ip_forward", "1")
            .apply(namespace.path())
            .unwrap_err();
        assert!(matches!(error, SysctlError::Namespace(_)), "{error}");
    });
}
