//! What needs no root; the rest is in `daemon/tests/network`.

use super::*;

#[test]
fn names_are_made_of_ids_alone() {
    let path = Namespace::path_of("0123456789abcdef0123").unwrap();
    assert_eq!(path, Path::new("/run/netns/unikiln-0123456789abcdef"));
    for id in [
        "",
        "0123456789abcde",
        "../../../../etc/x",
        "0123456789ABCDEF",
        "0123456789abcdé0",
    ] {
        assert!(
            matches!(Namespace::path_of(id), Err(NamespaceError::BadId { .. })),
            "{id}"
        );
    }
}

#[test]
fn what_is_not_ours_is_left_alone() {
    for path in [
        "/run/netns/unikiln-0123456789abcdef/../x",
        "/run/netns/blue",
        "/run/netns/unikiln-",
        "/run/netns/unikiln-0123456789abcdeg",
        "/etc/unikiln-0123456789abcdef",
        "unikiln-0123456789abcdef",
    ] {
        let error = Namespace::remove(Path::new(path)).unwrap_err();
        assert!(
            matches!(error, NamespaceError::NotOurs { .. }),
            "{path}: {error}"
        );
    }
}

#[test]
fn only_a_network_namespace_is_one() {
    assert!(Namespace::is_at(Path::new("/proc/self/ns/net")));
    let file = tempfile::NamedTempFile::new().unwrap();
    for path in [
        "/proc/self/ns/mnt",
        "/proc/self/status",
        "/run",
        "/no/such/file",
    ]
    .map(Path::new)
    {
        assert!(!Namespace::is_at(path), "{}", path.display());
        assert!(inside(path, || ()).is_err());
    }
    assert!(matches!(
        inside(file.path(), || ()),
        Err(NamespaceError::Gone { .. })
    ));
}
