//! What a container sees.

use std::fs;
use std::path::{Path, PathBuf};

use unikiln_daemon::cgroup::Cgroup;
use unikiln_daemon::handler::Handler;
use unikiln_daemon::proto::{LinuxContainerResources, NamespaceOption, SecurityProfile};

use crate::node::Node;

#[test]
fn the_root_is_the_images_and_can_be_read_only() {
    let Some(node) = Node::new("oci root") else {
        return;
    };
    let writing = node.container("echo mine > /etc/mine && cat /etc/mine; ls /bin | head -n 1");
    assert_eq!(writing.run().exit_code, 0);
    assert_eq!(writing.said(), ["mine", "busybox"]);
    let mut other = node.container("[ ! -e /etc/mine ] && ! touch /etc/new && touch /dev/shm/new");
    other.security().readonly_rootfs = true;
    assert_eq!(other.run().exit_code, 0, "{:?}", other.said());
    drop((writing, other));
    node.assert_clean();
}

#[test]
fn mounts_are_the_hosts_directories_and_files() {
    let Some(node) = Node::new("oci mounts") else {
        return;
    };
    let shared = node.path().join("a volume, with: words");
    fs::create_dir(&shared).expect("directory");
    fs::write(shared.join("there"), "from the host\n").expect("write");
    let hosts = node.path().join("hosts");
    fs::write(&hosts, "127.0.0.1 localhost\n").expect("write");
    let mut container = node.container(
        "cat /data/there /etc/hosts; echo from inside > /data/here; ! touch /frozen/new",
    );
    container.mount(&shared, "/data", false);
    container.mount(&shared, "/frozen", true);
    container.mount(&hosts, "/etc/hosts", true);
    assert_eq!(container.run().exit_code, 0, "{:?}", container.said());
    assert!(container.said().contains(&"from the host".to_owned()));
    assert!(container.said().contains(&"127.0.0.1 localhost".to_owned()));
    assert_eq!(
        fs::read_to_string(shared.join("here")).expect("read"),
        "from inside\n"
    );
    drop(container);
    node.assert_clean();
    assert!(
        shared.join("there").exists(),
        "deleting a container touched a volume"
    );
}

#[test]
fn memory_is_limited_and_running_out_of_it_is_told() {
    let Some(node) = Node::new("oci memory") else {
        return;
    };
    let name = format!("unikiln-test-{}", std::process::id());
    let hierarchy = ["/sys/fs/cgroup/memory", "/sys/fs/cgroup"];
    let hierarchy = hierarchy.into_iter().find(|path| Path::new(path).is_dir());
    let directory = PathBuf::from(hierarchy.expect("cgroups")).join(&name);
    fs::create_dir_all(&directory).expect("cgroup");
    let mut container = node.container("x=$(busybox yes | head -c 100000000); echo survived");
    container.cgroup = Cgroup {
        directories: vec![directory.clone()],
        path: format!("/{name}"),
    };
    container.config.linux.get_or_insert_default().resources = Some(LinuxContainerResources {
        memory_limit_in_bytes: 24 << 20,
        memory_swap_limit_in_bytes: 24 << 20,
        ..LinuxContainerResources::default()
    });
    let ended = container.run();
    assert_eq!((ended.exit_code, ended.reason.as_str()), (137, "OOMKilled"));
    drop(container);
    // The runtime has removed it already, as it removes all that it knows of.
    let _ = fs::remove_dir(&directory);
    node.assert_clean();
}

#[test]
fn limits_change_while_it_runs() {
    let Some(node) = Node::new("oci update") else {
        return;
    };
    let container = node.container("sleep 1000");
    let process = container.start();
    let resources = LinuxContainerResources {
        memory_limit_in_bytes: 48 << 20,
        ..LinuxContainerResources::default()
    };
    let handler = node.handler();
    handler
        .update(&container.launch(), process, &resources)
        .expect("update");
    let found = container.exec(process, "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null; true", None);
    let found = String::from_utf8(found.expect("exec").stdout).expect("utf-8");
    assert_eq!(found.trim(), (48 << 20).to_string());
}

#[test]
fn rights_are_those_that_were_given() {
    let Some(node) = Node::new("oci rights") else {
        return;
    };
    let mut container =
        node.container("cat /proc/self/status; cat /proc/version; ! hostname other 2>/dev/null");
    let security = container.security();
    security.no_new_privs = true;
    security.seccomp = Some(SecurityProfile::default());
    security.masked_paths = vec!["/proc/version".to_owned()];
    assert_eq!(container.run().exit_code, 0);
    let said = container.said();
    let value = |name: &str| {
        let line = said.iter().find_map(|line| line.strip_prefix(name));
        line.map(|value| value.trim().to_owned())
            .unwrap_or_default()
    };
    assert_eq!(value("NoNewPrivs:"), "1");
    assert_eq!(value("Seccomp:"), "2");
    let bounding = u64::from_str_radix(&value("CapBnd:"), 16).expect("a number");
    assert_eq!(bounding >> 21 & 1, 0, "CAP_SYS_ADMIN");
    assert!(!said.iter().any(|line| line.starts_with("Linux version")));
    let mut free = node.container("cat /proc/self/status");
    free.security().privileged = true;
    let handler = node.handler();
    assert!(
        handler.create(&free.launch()).is_err(),
        "its pod is not privileged"
    );
    let pod = free.pod.linux.get_or_insert_default();
    pod.security_context.get_or_insert_default().privileged = true;
    assert_eq!(free.run().exit_code, 0);
    let said = free.said();
    assert!(
        said.iter()
            .any(|line| line.split_whitespace().eq(["Seccomp:", "0"]))
    );
}

#[test]
fn containers_of_a_pod_share_what_they_should() {
    let Some(node) = Node::new("oci pod") else {
        return;
    };
    let with = |script: &str, pid: i32| {
        let mut container = node.container(script);
        container.security().namespace_options = Some(NamespaceOption {
            pid,
            ..NamespaceOption::default()
        });
        container
    };
    let first = with("echo shared > /dev/shm/note; echo up; exec sleep 98765", 0);
    let process = first.start();
    first.wait_line("up");
    let second = with("cat /dev/shm/note; ps; readlink /proc/self/ns/ipc", 0);
    assert_eq!(second.run().exit_code, 0);
    let said = second.said();
    assert_eq!(said[0], "shared");
    assert!(
        said.iter().any(|line| line.contains("sleep 98765")),
        "{said:?}"
    );
    // One of another kind sees its own processes only.
    let third = with("ps", 1);
    assert_eq!(third.run().exit_code, 0);
    assert!(!third.said().iter().any(|line| line.contains("98765")));
    // And one looks at another's.
    let mut fourth = with("ps", 3);
    let options = fourth
        .security()
        .namespace_options
        .as_mut()
        .expect("options");
    options.target_id.clone_from(&first.id);
    assert_eq!(fourth.run().exit_code, 0);
    assert!(fourth.said().iter().any(|line| line.contains("98765")));
    let handler = node.handler();
    // The end of one is not the end of all.
    second.delete().expect("delete");
    handler.signal(&first.launch(), process, 9).expect("KILL");
    assert_eq!(first.wait(process).exit_code, 137);
    drop((first, second, third, fourth));
    node.assert_clean();
}

#[test]
fn volumes_of_the_image_can_be_written_under_a_read_only_root() {
    let Some(node) = Node::new("oci image volumes") else {
        return;
    };
    let mut container = node.container("touch /etc/new /not/there/new && ! touch /tmp/new");
    container.security().readonly_rootfs = true;
    container.image.volumes = ["/etc", "/not/there"].map(str::to_owned).to_vec();
    assert_eq!(container.run().exit_code, 0, "{:?}", container.said());
    drop(container);
    node.assert_clean();
}

#[test]
fn a_mount_can_be_read_only_with_all_below_it() {
    let Some(node) = Node::new("oci recursive") else {
        return;
    };
    let below = node.path().join("volume/below");
    fs::create_dir_all(&below).expect("directory");
    let flags = rustix::mount::MountFlags::empty();
    rustix::mount::mount("test", &below, "tmpfs", flags, None).expect("mount");
    let run = |recursive: bool| {
        let mut container = node.container("touch /data/below/new");
        container.mount(below.parent().expect("parent"), "/data", true);
        container.mounts[0].recursive_read_only = recursive;
        container.run().exit_code
    };
    let (plain, recursive) = (run(false), run(true));
    rustix::mount::unmount(&below, rustix::mount::UnmountFlags::DETACH).expect("unmount");
    assert_eq!((plain, recursive), (0, 1));
    node.assert_clean();
}

#[test]
fn a_container_is_in_its_pods_network_and_has_its_name() {
    let Some(node) = Node::new("oci network") else {
        return;
    };
    let namespace = node.path().join("network");
    fs::write(&namespace, "").expect("write");
    let option = format!("--net={}", namespace.display());
    let made = std::process::Command::new("unshare")
        .args([&option, "true"])
        .status();
    assert!(made.expect("unshare").success());
    let mut container = node.container("hostname; cat /proc/net/dev /proc/sys/net/ipv4/ip_forward");
    container.network = Some(namespace.clone());
    container.pod.hostname = "a-pod".to_owned();
    let linux = container.pod.linux.get_or_insert_default();
    linux.sysctls = [("net.ipv4.ip_forward".to_owned(), "1".to_owned())].into();
    let exit_code = container.run().exit_code;
    rustix::mount::unmount(&namespace, rustix::mount::UnmountFlags::DETACH).expect("unmount");
    let said = container.said();
    assert_eq!((exit_code, said[0].as_str()), (0, "a-pod"), "{said:?}");
    // Two lines of a head, and `lo`.
    assert_eq!(
        said.iter().filter(|line| line.contains(": ")).count(),
        1,
        "{said:?}"
    );
    assert_eq!(said.last().map(String::as_str), Some("1"));
}
