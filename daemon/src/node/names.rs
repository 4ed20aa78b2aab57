//! Ids, and the names under which a second object is refused.

use std::fmt::Write as _;

use super::NodeError;
use crate::proto::{ContainerMetadata, PodSandboxMetadata};

/// Bytes of an id, each two digits.
const ID_BYTES: usize = 32;

/// A new id.
pub(super) fn new_id() -> Result<String, NodeError> {
    let mut bytes = [0; ID_BYTES];
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        filled += rustix::rand::getrandom(rest, rustix::rand::GetRandomFlags::empty())
            .map_err(|errno| NodeError::Id(errno.into()))?;
    }
    Ok(bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

/// Whether a directory's name is an id of ours.
pub(super) fn is_id(text: &str) -> bool {
    text.len() == 2 * ID_BYTES && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// What no two pods share.
pub(super) fn pod_name(metadata: &PodSandboxMetadata) -> String {
    let PodSandboxMetadata {
        name,
        uid,
        namespace,
        attempt,
    } = metadata;
    format!("{name}_{namespace}_{uid}_{attempt}")
}

/// What no two containers share.
pub(super) fn container_name(pod_id: &str, metadata: &ContainerMetadata) -> String {
    format!("{}_{pod_id}_{}", metadata.name, metadata.attempt)
}

#[cfg(test)]
mod tests {
    use super::{is_id, new_id};

    #[test]
    fn ids_differ_and_are_ids() {
        let (one, other) = (new_id().expect("random"), new_id().expect("random"));
        assert!(is_id(&one) && is_id(&other));
        assert_ne!(one, other);
        assert!(!is_id("..") && !is_id(""));
    }
}
