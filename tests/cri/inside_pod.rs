//! What a program sees: its user, command, environment, names, files, mounts.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use libtest_mimic::Trial;
use unikiln_daemon::proto::{self, Int64Value};

use crate::common::image::tool;
use crate::node::{image, shared};
use crate::pod::{ContainerPlan, Handler, assert_lines};
use crate::{all, each};

pub fn trials() -> Vec<Trial> {
    all([
        each("inside::user_and_groups", user_and_groups),
        each("inside::the_images_user", the_images_user),
        each("inside::command_args_environment", command_args_environment),
        each("inside::names_and_dns", names_and_dns),
        each("inside::host_paths", host_paths),
        each("inside::a_read_only_root", a_read_only_root),
        each(
            "inside::a_volume_of_two_containers",
            a_volume_of_two_containers,
        ),
        each(
            "inside::a_config_map_changes_as_one",
            a_config_map_changes_as_one,
        ),
        each("inside::termination_log", termination_log),
        each("inside::an_image_as_a_volume", an_image_as_a_volume),
    ])
}

/// Changes the security context.
pub fn secure(
    plan: ContainerPlan<'_>,
    change: impl FnOnce(&mut proto::LinuxContainerSecurityContext),
) -> ContainerPlan<'_> {
    plan.with(|config| {
        let linux = config.linux.get_or_insert_default();
        change(linux.security_context.get_or_insert_default());
    })
}

fn user_and_groups(handler: Handler) {
    let node = shared();
    let pod = node.pod(handler).run();
    let plan = secure(pod.container(&["/bin/look"]), |context| {
        context.run_as_user = Some(Int64Value { value: 1000 });
        context.run_as_group = Some(Int64Value { value: 3000 });
        context.supplemental_groups = vec![4000, 4001];
    });
    let container = plan.start();
    let lines = container.output();
    assert_lines(&lines, &["uid 1000 gid 3000"]);
    let groups = lines.iter().find_map(|line| line.strip_prefix("groups"));
    let groups: Vec<_> = groups.expect("groups").split_whitespace().collect();
    // Those of the request, and the image's own of the user.
    for group in ["4000", "4001", "2000"] {
        assert!(groups.contains(&group), "no group {group}: {lines:#?}");
    }
    let user = container.status().user.and_then(|user| user.linux);
    let user = user.expect("the status has the user");
    assert_eq!((user.uid, user.gid), (1000, 3000));
    pod.remove();
}

fn the_images_user(handler: Handler) {
    let node = shared();
    node.pull("user");
    let pod = node.pod(handler).run();
    let lines = pod.of_image("user", &[]).start().output();
    assert_lines(&lines, &["uid 1000 gid 1000"]);
    // By name, over the image's.
    let plan = secure(pod.of_image("user", &["/bin/look"]), |context| {
        context.run_as_username = "root".to_owned();
    });
    assert_lines(&plan.start().output(), &["uid 0 gid 0"]);
    pod.remove();
}

fn command_args_environment(handler: Handler) {
    let node = shared();
    node.pull("entry");
    let pod = node.pod(handler).run();
    let plain = pod.of_image("entry", &[]).start().output();
    let wanted = [
        "cwd /tmp",
        "env FROM=image",
        "env BOTH=image",
        "/etc/greeting: of the image",
    ];
    assert_lines(&plain, &wanted);
    let plan = pod.of_image("entry", &[]).with(|config| {
        config.args = vec!["/etc/group".to_owned()];
        config.working_dir = "/home".to_owned();
        for (key, value) in [("BOTH", "pod"), ("MORE", "of = it"), ("EMPTY", "")] {
            let value = value.as_bytes().to_vec();
            let key = key.to_owned();
            config.envs.push(proto::KeyValue { key, value });
        }
    });
    let lines = plan.start().output();
    let wanted = [
        "cwd /home",
        "env FROM=image",
        "env BOTH=pod",
        "env MORE=of = it",
        "env EMPTY=",
        "/etc/group: root:x:0:",
    ];
    assert_lines(&lines, &wanted);
    assert!(
        !lines.iter().any(|line| line.contains("greeting")),
        "{lines:#?}"
    );
    // A command takes the place of the entrypoint, and of the image's arguments with it.
    let lines = pod.of_image("entry", &["/bin/look"]).start().output();
    assert!(
        !lines.iter().any(|line| line.contains("greeting")),
        "{lines:#?}"
    );
    pod.remove();
}

fn names_and_dns(handler: Handler) {
    let node = shared();
    let plan = node.pod(handler).with(|config| {
        config.hostname = "wheel".to_owned();
        config.dns_config = Some(proto::DnsConfig {
            servers: vec!["10.96.0.10".to_owned(), "10.96.0.11".to_owned()],
            searches: vec!["kiln.local".to_owned(), "local".to_owned()],
            options: vec!["ndots:5".to_owned(), "edns0".to_owned()],
        });
    });
    let pod = plan.run();
    let files = ["/bin/look", "/etc/resolv.conf", "/etc/hostname"];
    let lines = pod.container(&files).start().output();
    let wanted = [
        "hostname wheel",
        "/etc/hostname: wheel",
        "/etc/resolv.conf: nameserver 10.96.0.10",
        "/etc/resolv.conf: nameserver 10.96.0.11",
        "/etc/resolv.conf: search kiln.local local",
        "/etc/resolv.conf: options ndots:5 edns0",
    ];
    assert_lines(&lines, &wanted);
    // kubelet brings its own /etc/hosts.
    let hosts = node.path("hosts");
    fs::write(&hosts, "10.1.2.3 clay\n").expect("a file");
    let plan = pod.container(&["/bin/look", "/etc/hosts"]);
    let lines = plan.mount(&hosts, "/etc/hosts", false).start().output();
    assert_lines(&lines, &["/etc/hosts: 10.1.2.3 clay"]);
    pod.remove();
}

fn host_paths(handler: Handler) {
    let node = shared();
    let pod = node.pod(handler).run();
    let place = node.path(&format!("host-{}", pod.id));
    fs::create_dir_all(place.join("sub")).expect("a directory");
    fs::write(place.join("sub/file"), "of the host\n").expect("a file");
    let look = ["/bin/look", "/data/sub/file", "/one"];
    let plan = pod.container(&look).mount(&place, "/data", true);
    let container = plan.mount(&place.join("sub/file"), "/one", true).start();
    let lines = container.output();
    assert_lines(
        &lines,
        &["/data/sub/file: of the host", "/one: of the host"],
    );
    let mounts = container.status().mounts;
    let mount = mounts.iter().find(|mount| mount.container_path == "/data");
    let mount = mount.expect("the status has the mount");
    assert!(mount.readonly && mount.host_path == place.to_str().expect("UTF-8"));
    // Read-only, and then not.
    for (readonly, line) in [
        (true, "/data/new: Read-only file system"),
        (false, "/data/new: made"),
    ] {
        let plan = pod.container(&["/bin/touch", "/data/new"]);
        let lines = plan.mount(&place, "/data", readonly).start().output();
        assert_lines(&lines, &[line]);
        assert_eq!(place.join("new").exists(), !readonly);
    }
    // A source that is missing is made, as other runtimes do.
    let missing = place.join("missing");
    let plan = pod.container(&["/bin/touch", "/data/new"]);
    let lines = plan.mount(&missing, "/data", false).start().output();
    assert_lines(&lines, &["/data/new: made"]);
    assert_eq!(
        fs::read_to_string(missing.join("new")).expect("a file"),
        "touched\n"
    );
    pod.remove();
}

fn a_read_only_root(handler: Handler) {
    let node = shared();
    let pod = node.pod(handler).run();
    let place = node.path(&format!("scratch-{}", pod.id));
    fs::create_dir(&place).expect("a directory");
    let touch = ["/bin/touch", "/home/new", "/etc/new", "/scratch/new"];
    let plan = secure(pod.container(&touch), |context| {
        context.readonly_rootfs = true
    });
    let lines = plan.mount(&place, "/scratch", false).start().output();
    let wanted = [
        "/home/new: Read-only file system",
        "/etc/new: Read-only file system",
        "/scratch/new: made",
    ];
    assert_lines(&lines, &wanted);
    // Without it each container writes what no other sees.
    for _ in 0..2 {
        let plan = pod.container(&["/bin/look", "/home/new"]);
        assert_lines(
            &plan.start().output(),
            &["/home/new: No such file or directory"],
        );
        let plan = pod.container(&["/bin/touch", "/home/new"]);
        assert_lines(&plan.start().output(), &["/home/new: made"]);
    }
    pod.remove();
}

fn a_volume_of_two_containers(handler: Handler) {
    let node = shared();
    let pod = node.pod(handler).run();
    let place = node.path(&format!("volume-{}", pod.id));
    fs::create_dir(&place).expect("a directory");
    let writer = pod.container(&["/bin/touch", "/out/word"]);
    writer.mount(&place, "/out", false).start().output();
    let reader = pod.container(&["/bin/look", "/in/word"]);
    let lines = reader.mount(&place, "/in", true).start().output();
    assert_lines(&lines, &["/in/word: touched"]);
    pod.remove();
}

/// What kubelet does: a new directory of all files, and one link that is put in place.
fn new_version(volume: &Path, version: &str) {
    let data = volume.join(format!("..{version}"));
    fs::create_dir(&data).expect("a directory");
    for name in ["a", "b"] {
        fs::write(data.join(name), version).expect("a file");
    }
    let fresh = volume.join("..data_tmp");
    symlink(format!("..{version}"), &fresh).expect("a link");
    fs::rename(&fresh, volume.join("..data")).expect("a rename");
}

fn a_config_map_changes_as_one(handler: Handler) {
    let node = shared();
    let pod = node.pod(handler).run();
    let volume = node.path(&format!("config-{}", pod.id));
    fs::create_dir(&volume).expect("a directory");
    new_version(&volume, "one");
    for name in ["a", "b"] {
        symlink(format!("..data/{name}"), volume.join(name)).expect("a link");
    }
    let plan = pod.container(&["/bin/watch", "/config"]);
    let container = plan.mount(&volume, "/config", true).start();
    let mut last = "one".to_owned();
    container.says("value one");
    for version in ["two", "three", "four"] {
        new_version(&volume, version);
        container.says(&format!("value {version}"));
        fs::remove_dir_all(volume.join(format!("..{last}"))).expect("the old one");
        last = version.to_owned();
    }
    let lines = container.lines();
    let wrong = lines
        .iter()
        .any(|line| line.contains("torn") || line.contains("missing"));
    assert!(!wrong, "{lines:#?}");
    pod.remove();
}

fn termination_log(handler: Handler) {
    let node = shared();
    let pod = node.pod(handler).run();
    let file = node.path(&format!("termination-{}", pod.id));
    fs::write(&file, "").expect("a file");
    tool("chmod", &["666", file.to_str().expect("UTF-8")]);
    let plan = pod.container(&["/bin/touch", "/dev/termination-log"]);
    let lines = plan
        .mount(&file, "/dev/termination-log", false)
        .start()
        .output();
    assert_lines(&lines, &["/dev/termination-log: made"]);
    assert_eq!(fs::read_to_string(&file).expect("a file"), "touched\n");
    pod.remove();
}

fn an_image_as_a_volume(handler: Handler) {
    let node = shared();
    let reference = node.pull("other");
    let pod = node.pod(handler).run();
    for (sub_path, file) in [("", "/image/etc/greeting"), ("etc", "/image/greeting")] {
        let touch = format!("{file}.new");
        let plan = |command: &[&str]| {
            pod.container(command).with(|config| {
                config.mounts.push(proto::Mount {
                    container_path: "/image".to_owned(),
                    readonly: true,
                    image: Some(proto::ImageSpec {
                        image: reference.clone(),
                        ..image("other")
                    }),
                    image_sub_path: sub_path.to_owned(),
                    ..Default::default()
                });
            })
        };
        let lines = plan(&["/bin/look", file]).start().output();
        assert_lines(&lines, &[&format!("{file}: of the image")]);
        let lines = plan(&["/bin/touch", &touch]).start().output();
        assert_lines(&lines, &[&format!("{touch}: Read-only file system")]);
    }
    pod.remove();
}
