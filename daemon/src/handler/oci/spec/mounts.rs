//! What is mounted where: the kernel's own file systems, then the container's mounts.

use std::fs;
use std::path::{Path, PathBuf};

use oci_spec::runtime::Mount as OciMount;

use super::Host;
use crate::handler::{HandlerError, Launch, Mount};
use crate::proto::{LinuxContainerSecurityContext, MountPropagation, NamespaceMode};

/// Mounts, and what is to become of the root's.
#[derive(Debug)]
pub(super) struct Mounts {
    pub(super) list: Vec<OciMount>,
    pub(super) root_propagation: Option<&'static str>,
}

pub(super) fn of(
    launch: &Launch<'_>,
    security: &LinuxContainerSecurityContext,
    host: &Host,
) -> Result<Mounts, HandlerError> {
    let mut mounts = Mounts {
        list: kernel_mounts(security, host),
        root_propagation: None,
    };
    // A container's own goes before what is there by default.
    let is_own = |mount: &OciMount| {
        let mut places = launch.mounts.iter().map(|own| own.place.as_path());
        places.any(|place| place == mount.destination())
    };
    mounts.list.retain(|mount| !is_own(mount));
    for (place, directory) in &host.volumes {
        let (place, directory) = (place.to_string_lossy(), directory.to_string_lossy());
        let options = ["rbind", "rprivate", "rw"];
        mounts
            .list
            .push(mount(&place, "bind", &directory, &options));
    }
    for mount in launch.mounts {
        let bound = bind(launch, mount, host, &mut mounts.root_propagation)?;
        mounts.list.push(bound);
    }
    Ok(mounts)
}

fn kernel_mounts(security: &LinuxContainerSecurityContext, host: &Host) -> Vec<OciMount> {
    let writable = if security.privileged { "rw" } else { "ro" };
    let ipc = security
        .namespace_options
        .as_ref()
        .map(|options| options.ipc);
    let mut list = vec![
        mount("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"]),
        mount(
            "/dev",
            "tmpfs",
            "tmpfs",
            &["nosuid", "strictatime", "mode=755", "size=65536k"],
        ),
        mount(
            "/dev/pts",
            "devpts",
            "devpts",
            &[
                "nosuid",
                "noexec",
                "newinstance",
                "ptmxmode=0666",
                "mode=0620",
                "gid=5",
            ],
        ),
        mount(
            "/dev/mqueue",
            "mqueue",
            "mqueue",
            &["nosuid", "noexec", "nodev"],
        ),
        mount(
            "/sys",
            "sysfs",
            "sysfs",
            &["nosuid", "noexec", "nodev", writable],
        ),
        mount(
            "/sys/fs/cgroup",
            "cgroup",
            "cgroup",
            &["nosuid", "noexec", "nodev", "relatime", writable],
        ),
    ];
    let shared = if ipc == Some(NamespaceMode::Node.into()) {
        Some(PathBuf::from("/dev/shm"))
    } else {
        host.shared_memory.clone()
    };
    list.push(match shared {
        Some(path) => {
            let path = path.to_string_lossy();
            mount("/dev/shm", "bind", &path, &["rbind", "rprivate", "rw"])
        }
        None => mount(
            "/dev/shm",
            "tmpfs",
            "shm",
            &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"],
        ),
    });
    list
}

fn bind(
    launch: &Launch<'_>,
    own: &Mount,
    host: &Host,
    root_propagation: &mut Option<&'static str>,
) -> Result<OciMount, HandlerError> {
    let mut options = vec!["rbind"];
    let wanted = propagation(launch, own);
    match wanted {
        MountPropagation::PropagationBidirectional => {
            check_propagation(&own.source, &["shared:"], "shared")?;
            options.push("rshared");
            *root_propagation = Some("rshared");
        }
        MountPropagation::PropagationHostToContainer => {
            check_propagation(&own.source, &["shared:", "master:"], "shared or a slave")?;
            options.push("rslave");
            root_propagation.get_or_insert("rslave");
        }
        MountPropagation::PropagationPrivate => options.push("rprivate"),
    }
    options.push(match (own.read_only, own.recursive_read_only) {
        (true, true) if wanted != MountPropagation::PropagationPrivate => {
            let text = format!(
                "mount {} cannot be read-only with all below it and propagated",
                own.place.display()
            );
            return Err(HandlerError::Invalid(text));
        }
        (true, true) if !host.has_recursive_read_only => {
            let text = format!(
                "mount {} cannot be read-only with all below it: the OCI runtime does not do that",
                own.place.display()
            );
            return Err(HandlerError::Invalid(text));
        }
        (true, true) => "rro",
        (true, false) => "ro",
        (false, _) => "rw",
    });
    Ok(mount(
        &own.place.to_string_lossy(),
        "bind",
        &own.source.to_string_lossy(),
        &options,
    ))
}

/// How kubelet wants it: a mount of the handler's says only that it is propagated.
fn propagation(launch: &Launch<'_>, own: &Mount) -> MountPropagation {
    if !own.propagated {
        return MountPropagation::PropagationPrivate;
    }
    let mut wanted = launch.config.mounts.iter();
    let wanted = wanted.find(|mount| Path::new(&mount.container_path) == own.place);
    match wanted.map(|mount| mount.propagation()) {
        Some(MountPropagation::PropagationBidirectional) => {
            MountPropagation::PropagationBidirectional
        }
        _ => MountPropagation::PropagationHostToContainer,
    }
}

/// The kernel passes mounts on only from where the host wants it to.
fn check_propagation(source: &Path, tags: &[&str], words: &str) -> Result<(), HandlerError> {
    let table = fs::read_to_string("/proc/self/mountinfo")
        .map_err(|error| HandlerError::Failed(format!("cannot read the mount table: {error}")))?;
    let is_so = mount_tags(&table, source)
        .iter()
        .any(|tag| tags.iter().any(|wanted| tag.starts_with(wanted)));
    if is_so {
        return Ok(());
    }
    let text = format!(
        "mounts below {} are not propagated: the mount that it is on is not {words}; \
         `mount --make-rshared` changes that",
        source.display()
    );
    Err(HandlerError::Invalid(text))
}

/// The optional fields of the mount that a path is on.
fn mount_tags(table: &str, path: &Path) -> Vec<String> {
    let mut best: (usize, Vec<String>) = (0, Vec::new());
    for line in table.lines() {
        let fields: Vec<_> = line.split(' ').collect();
        let Some(place) = fields.get(4).map(|place| unescape(place)) else {
            continue;
        };
        let depth = place.components().count();
        // The last of those on one place is the one that is seen.
        if path.starts_with(&place) && depth >= best.0 {
            let tags = fields[6.min(fields.len())..].iter();
            let tags = tags.take_while(|tag| **tag != "-");
            best = (depth, tags.map(|tag| (*tag).to_owned()).collect());
        }
    }
    best.1
}

/// Blanks and their like are written as `\040`.
fn unescape(text: &str) -> PathBuf {
    let mut plain = text.to_owned();
    for (escape, letter) in [
        ("\\040", " "),
        ("\\011", "\t"),
        ("\\012", "\n"),
        ("\\134", "\\"),
    ] {
        plain = plain.replace(escape, letter);
    }
    PathBuf::from(plain)
}

fn mount(place: &str, kind: &str, source: &str, options: &[&str]) -> OciMount {
    let mut mount = OciMount::default();
    mount.set_destination(place.into());
    mount.set_typ(Some(kind.to_owned()));
    mount.set_source(Some(source.into()));
    mount.set_options(Some(
        options.iter().map(|&option| option.to_owned()).collect(),
    ));
    mount
}

#[cfg(test)]
mod tests {
    use super::mount_tags;
    use std::path::Path;

    #[test]
    fn the_innermost_mount_counts() {
        let table = "22 1 0:1 / / rw shared:1 - ext4 a rw\n\
                     23 22 0:2 / /a\\040b rw master:2 propagate_from:1 - tmpfs t rw\n\
                     24 22 0:3 / /a\\040b/c rw - tmpfs t rw\n";
        let tags = |path| mount_tags(table, Path::new(path));
        assert_eq!(tags("/x"), ["shared:1"]);
        assert_eq!(tags("/a b/x"), ["master:2", "propagate_from:1"]);
        assert!(tags("/a b/c/d").is_empty());
    }
}
