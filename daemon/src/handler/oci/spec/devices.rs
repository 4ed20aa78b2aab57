//! Devices of the host in the container, and its device rules: all is forbidden but what
//! it is given here, and what the runtime always gives (`/dev/null` and its like).

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use oci_spec::runtime::{LinuxDevice, LinuxDeviceCgroup, LinuxDeviceType};

use crate::handler::{HandlerError, Launch};

/// Directories of `/dev` that a privileged container has its own of, or no use for.
const LEFT_OUT: [&str; 6] = ["pts", "shm", "fd", "mqueue", ".lxc", ".udev"];
/// Most devices of a directory.
const DEVICES_MAX: usize = 4096;

/// What a container may use.
#[derive(Debug)]
pub(super) struct Devices {
    pub(super) nodes: Vec<LinuxDevice>,
    pub(super) rules: Vec<LinuxDeviceCgroup>,
}

pub(super) fn of(launch: &Launch<'_>, is_privileged: bool) -> Result<Devices, HandlerError> {
    if let Some(device) = launch.config.cdi_devices.first() {
        let text = format!(
            "CDI device {} cannot be given: CDI is not supported",
            device.name
        );
        return Err(HandlerError::Unimplemented(text));
    }
    let mut devices = Devices {
        nodes: Vec::new(),
        rules: vec![rule(is_privileged, None, "rwm")],
    };
    if is_privileged {
        for (path, node) in below(Path::new("/dev"), Path::new("/dev")) {
            let place = path.strip_prefix("/dev").unwrap_or(&path);
            let first = place.iter().next().and_then(|name| name.to_str());
            if path != Path::new("/dev/console")
                && !first.is_some_and(|name| LEFT_OUT.contains(&name))
            {
                devices.nodes.push(node);
            }
        }
    }
    for device in &launch.config.devices {
        let host = Path::new(&device.host_path);
        let place = if device.container_path.is_empty() {
            host
        } else {
            Path::new(&device.container_path)
        };
        if !host.is_absolute() || !place.is_absolute() {
            let text = format!("device {:?} has no absolute path", device.host_path);
            return Err(HandlerError::Invalid(text));
        }
        let access = device.permissions.as_str();
        let access = if access.is_empty() { "rwm" } else { access };
        if !access.bytes().all(|byte| b"rwm".contains(&byte)) {
            let text = format!("device permissions {access:?} are not made of r, w and m");
            return Err(HandlerError::Invalid(text));
        }
        let found = below(host, place);
        if found.is_empty() {
            let text = format!("there is no device {} on this node", host.display());
            return Err(HandlerError::Invalid(text));
        }
        for (_, node) in found {
            devices.rules.push(rule(true, Some(&node), access));
            devices.nodes.retain(|there| there.path() != node.path());
            devices.nodes.push(node);
        }
    }
    Ok(devices)
}

fn rule(allow: bool, node: Option<&LinuxDevice>, access: &str) -> LinuxDeviceCgroup {
    let mut rule = LinuxDeviceCgroup::default();
    rule.set_allow(allow);
    rule.set_access(Some(access.to_owned()));
    if let Some(node) = node {
        rule.set_typ(Some(node.typ()));
        rule.set_major(Some(node.major()));
        rule.set_minor(Some(node.minor()));
    }
    rule
}

/// The device at `host`, or all devices of a directory, with their paths there and as
/// they are below `place`.
fn below(host: &Path, place: &Path) -> Vec<(PathBuf, LinuxDevice)> {
    let mut found = Vec::new();
    let mut pending = vec![(host.to_owned(), place.to_owned())];
    while let Some((host, place)) = pending.pop() {
        // Links are followed where kubelet names one, not where one lies in a directory.
        let metadata = if found.is_empty() && pending.is_empty() {
            fs::metadata(&host)
        } else {
            fs::symlink_metadata(&host)
        };
        let Ok(metadata) = metadata else { continue };
        let kind = metadata.file_type();
        if kind.is_dir() {
            let entries = fs::read_dir(&host).into_iter().flatten().flatten();
            let children = entries.map(|entry| (entry.path(), place.join(entry.file_name())));
            pending.extend(children);
            continue;
        }
        let typ = if kind.is_char_device() {
            LinuxDeviceType::C
        } else if kind.is_block_device() {
            LinuxDeviceType::B
        } else {
            continue;
        };
        let device = metadata.rdev();
        let mut node = LinuxDevice::default();
        node.set_path(place);
        node.set_typ(typ);
        node.set_major(rustix::fs::major(device).into());
        node.set_minor(rustix::fs::minor(device).into());
        node.set_file_mode(Some(metadata.mode() & 0o7777));
        node.set_uid(Some(metadata.uid()));
        node.set_gid(Some(metadata.gid()));
        found.push((host, node));
        if found.len() >= DEVICES_MAX {
            break;
        }
    }
    found
}
