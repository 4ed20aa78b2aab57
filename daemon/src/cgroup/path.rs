//! Names: which path a pod's and a container's cgroup has under each driver.
//!
//! | | cgroupfs | systemd |
//! |---|---|---|
//! | a pod of kubelet's | `cgroup_parent` as it is | the slice's place: `a-b.slice` is `/a.slice/a-b.slice` |
//! | a pod without a parent | `/unikiln/POD` | `/unikiln.slice/unikiln-POD.slice` |
//! | a container | `PARENT/ID` | `PARENT/unikiln-ID.scope/main` |

use super::Driver;
use super::error::CgroupError;

const PARENT: &str = "cgroup_parent";

/// Where a container is in its scope, beside the process that holds the scope.
const MAIN: &str = "/main";

/// The longest name of a directory.
const NAME_MAX_BYTES: usize = 255;

/// The path of a pod's cgroup, and whether kubelet gave it.
pub fn pod(driver: Driver, parent: &str, id: &str) -> Result<(String, bool), CgroupError> {
    let id = component("pod_sandbox_id", id)?;
    let is_root = parent.trim_matches('/').is_empty();
    let path = match driver {
        Driver::Cgroupfs if is_root => format!("/unikiln/{id}"),
        Driver::Cgroupfs => directories(parent)?,
        Driver::Systemd if is_root => slice_path(&format!("unikiln-{id}.slice"))?,
        Driver::Systemd => {
            // Kubelet gives the whole path or the last slice; the last one says it all.
            let name = parent.trim_end_matches('/');
            slice_path(name.rsplit('/').next().unwrap_or(name))?
        }
    };
    Ok((path, !is_root))
}

/// The path of a container's cgroup below that of its pod.
pub fn container(driver: Driver, pod: &str, id: &str) -> Result<String, CgroupError> {
    let id = component("container_id", id)?;
    Ok(match driver {
        Driver::Cgroupfs => format!("{pod}/{id}"),
        Driver::Systemd => format!("{pod}/unikiln-{id}.scope{MAIN}"),
    })
}

/// Whether a path is that of a pod in the directory that we made for those without a parent.
pub fn is_own_pod(path: &str) -> bool {
    let below = path.strip_prefix("/unikiln/");
    below.is_some_and(|name| !name.is_empty() && !name.contains('/'))
}

/// The path of the unit that a cgroup belongs to: a slice, or the scope around a container.
pub fn unit_path(path: &str) -> &str {
    path.strip_suffix(MAIN).unwrap_or(path)
}

/// The name of that unit.
pub fn unit(path: &str) -> &str {
    let path = unit_path(path);
    path.rsplit('/').next().unwrap_or(path)
}

/// One name of a path.
fn component<'a>(field: &'static str, name: &'a str) -> Result<&'a str, CgroupError> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    let problem = if name.is_empty() {
        "it is empty".to_owned()
    } else if name.len() > NAME_MAX_BYTES - "unikiln-.scope".len() {
        format!(
            "its {} bytes are too long for the name of a cgroup",
            name.len()
        )
    } else if !name.bytes().all(is_plain) || name.starts_with('.') {
        format!("{name:?} cannot be the name of a cgroup")
    } else {
        return Ok(name);
    };
    Err(CgroupError::Invalid { field, problem })
}

/// A parent under cgroupfs.
fn directories(parent: &str) -> Result<String, CgroupError> {
    let invalid = |problem: String| CgroupError::Invalid {
        field: PARENT,
        problem,
    };
    let mut path = String::new();
    for name in parent.split('/').filter(|name| !name.is_empty()) {
        if name == "." || name == ".." || name.contains(['\0', '\n']) {
            return Err(invalid(format!("{parent:?} has the part {name:?}")));
        }
        if name.len() > NAME_MAX_BYTES {
            return Err(invalid(format!(
                "a part has {} bytes, more than {NAME_MAX_BYTES}",
                name.len()
            )));
        }
        path.push('/');
        path.push_str(name);
    }
    if path.ends_with(".slice") {
        return Err(invalid(format!(
            "{parent:?} is a slice of systemd, but the driver is cgroupfs: set the same cgroup driver here and in kubelet"
        )));
    }
    Ok(path)
}

/// The place of a slice: each `-` is a level (systemd.slice(5)).
pub fn slice_path(name: &str) -> Result<String, CgroupError> {
    let invalid = |problem: String| CgroupError::Invalid {
        field: PARENT,
        problem,
    };
    let Some(stem) = name.strip_suffix(".slice") else {
        return Err(invalid(format!(
            "{name:?} is no slice, but the driver is systemd: set the same cgroup driver here and in kubelet"
        )));
    };
    if stem == "-" {
        return Ok(String::new());
    }
    let is_plain = |byte: u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'_' | b'.' | b'\\' | b'-')
    };
    let is_whole = stem.split('-').all(|part| !part.is_empty());
    if !is_whole || !stem.bytes().all(is_plain) || name.len() > NAME_MAX_BYTES {
        return Err(invalid(format!("{name:?} is no valid name of a slice")));
    }
    let mut path = String::new();
    for (end, _) in stem.match_indices('-').chain([(stem.len(), "")]) {
        path.push('/');
        path.push_str(&stem[..end]);
        path.push_str(".slice");
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn pod_path(driver: Driver, parent: &str) -> String {
        pod(driver, parent, ID).unwrap().0
    }

    #[test]
    fn pods_and_containers_of_cgroupfs() {
        let (path, is_given) = pod(Driver::Cgroupfs, "/kubepods/burstable/pod1a-2b/", ID).unwrap();
        assert_eq!(
            (path.as_str(), is_given),
            ("/kubepods/burstable/pod1a-2b", true)
        );
        assert_eq!(
            container(Driver::Cgroupfs, &path, "ab").unwrap(),
            "/kubepods/burstable/pod1a-2b/ab"
        );
        for none in ["", "/"] {
            let own = (format!("/unikiln/{ID}"), false);
            assert_eq!(pod(Driver::Cgroupfs, none, ID).unwrap(), own);
        }
        assert_eq!(pod_path(Driver::Cgroupfs, "relative//x"), "/relative/x");
        assert!(is_own_pod(&pod_path(Driver::Cgroupfs, "")));
        for other in [
            "/unikiln",
            "/unikiln/",
            "/unikiln/a/b",
            "/a/unikiln",
            "/unikilnx/a",
        ] {
            assert!(!is_own_pod(other), "{other}");
        }
    }

    #[test]
    fn pods_and_containers_of_systemd() {
        let place = "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1_2.slice";
        assert_eq!(
            pod_path(Driver::Systemd, "kubepods-burstable-pod1_2.slice"),
            place
        );
        assert_eq!(pod_path(Driver::Systemd, place), place);
        assert_eq!(
            pod_path(Driver::Systemd, ""),
            format!("/unikiln.slice/unikiln-{ID}.slice")
        );
        let path = container(Driver::Systemd, place, "ab").unwrap();
        assert_eq!(path, format!("{place}/unikiln-ab.scope/main"));
        assert_eq!(unit(&path), "unikiln-ab.scope");
        assert_eq!(unit_path(&path), format!("{place}/unikiln-ab.scope"));
        assert_eq!(unit(place), "kubepods-burstable-pod1_2.slice");
        assert_eq!(slice_path("-.slice").unwrap(), "");
    }

    #[test]
    fn what_cannot_be_a_path() {
        for parent in [
            "/a/../b",
            "/./a",
            "a\0b",
            "/kubepods.slice",
            &"x".repeat(256),
        ] {
            assert!(pod(Driver::Cgroupfs, parent, ID).is_err(), "{parent:?}");
        }
        for parent in ["/kubepods", "a--b.slice", "-a.slice", "a b.slice", ".slice"] {
            assert!(pod(Driver::Systemd, parent, ID).is_err(), "{parent:?}");
        }
        for id in ["", "..", "a/b", ".a", "ä", &"x".repeat(250)] {
            assert!(pod(Driver::Cgroupfs, "", id).is_err(), "{id:?}");
            assert!(container(Driver::Cgroupfs, "/p", id).is_err(), "{id:?}");
        }
    }

    #[test]
    fn a_wrong_driver_is_named() {
        let error = pod(Driver::Cgroupfs, "a.slice", ID)
            .unwrap_err()
            .to_string();
        assert!(error.contains("the driver is cgroupfs"), "{error}");
        let error = pod(Driver::Systemd, "/a/b", ID).unwrap_err().to_string();
        assert!(error.contains("the driver is systemd"), "{error}");
    }
}
