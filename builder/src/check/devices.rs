//! Device files that a program names and a unikernel does not have.

/// Beginnings of their paths.
const ABSENT: [&[u8]; 9] = [
    b"/dev/dri",
    b"/dev/fuse",
    b"/dev/kfd",
    b"/dev/kmsg",
    b"/dev/kvm",
    b"/dev/mem",
    b"/dev/net/tun",
    b"/dev/nvidia",
    b"/dev/vhost",
];

/// Those that these bytes name.
pub(super) fn named(bytes: &[u8]) -> Vec<String> {
    let mut found: Vec<&[u8]> = Vec::new();
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|&byte| byte == b'/') {
        rest = &rest[at..];
        let device = ABSENT.iter().find(|device| rest.starts_with(device));
        found.extend(device);
        rest = &rest[1..];
    }
    found.sort_unstable();
    found.dedup();
    let text = |device: &[u8]| String::from_utf8_lossy(device).into_owned();
    found.into_iter().map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::named;

    #[test]
    fn devices_are_named_once() {
        let bytes = b"x/dev/kvm\0//dev/net/tun\0/dev/kvm\0/dev/null\0/dev/kv";
        assert_eq!(named(bytes), ["/dev/kvm", "/dev/net/tun"]);
    }
}
