//! What a `hosts.toml` says, and what is said where there is none.

use std::path::Path;

use super::{Endpoint, HostsError, endpoints, parse};

fn read(text: &str, registry: &str) -> Vec<Endpoint> {
    parse(text, Path::new("/etc/r/x/hosts.toml"), registry).expect("a good file")
}

fn urls(endpoints: &[Endpoint]) -> Vec<&str> {
    endpoints.iter().map(|host| host.base.as_str()).collect()
}

#[test]
fn without_a_file_the_registry_serves_itself() {
    let cases = [
        ("docker.io", "https://registry-1.docker.io/v2/"),
        ("quay.example", "https://quay.example/v2/"),
        ("quay.example:80", "https://quay.example:80/v2/"),
        ("localhost:5000", "http://localhost:5000/v2/"),
        ("127.0.0.9:5000", "http://127.0.0.9:5000/v2/"),
        ("localhost:443", "https://localhost/v2/"),
        ("10.0.0.1:5000", "https://10.0.0.1:5000/v2/"),
    ];
    for (registry, url) in cases {
        let found = read("", registry);
        assert_eq!(urls(&found), [url]);
        assert!(!found[0].is_mirror, "{registry}");
        assert!(found[0].can_push);
    }
}

#[test]
fn mirrors_come_in_the_files_order_and_the_server_last() {
    let found = read(
        r#"
        server = "https://registry-1.docker.io"
        [host."http://z.example:5000"]
        capabilities = ["pull"]
        [host."https://a.example/mirror/v2"]
        override_path = true
        skip_verify = true
        ca = "a.pem"
        client = [["c.crt", "c.key"], ["d.pem", ""]]
        [host."https://a.example/mirror/v2".header]
        x-one = "1"
        x-two = ["2", "3"]
        "#,
        "docker.io",
    );
    assert_eq!(
        urls(&found),
        [
            "http://z.example:5000/v2/",
            "https://a.example/mirror/v2/",
            "https://registry-1.docker.io/v2/"
        ]
    );
    assert!(found[0].can_pull && !found[0].can_resolve && !found[0].can_push);
    assert!(found[0].is_mirror && found[0].registry == "docker.io");
    assert!(found[1].skip_verify);
    assert_eq!(found[1].ca, [Path::new("/etc/r/x/a.pem")]);
    let (certificate, key) = found[1].client.clone().expect("a certificate");
    assert_eq!(certificate, Path::new("/etc/r/x/c.crt"));
    assert_eq!(key.as_deref(), Some(Path::new("/etc/r/x/c.key")));
    let headers = [("x-one", "1"), ("x-two", "2"), ("x-two", "3")];
    assert_eq!(
        found[1].headers,
        headers.map(|(name, value)| (name.to_owned(), value.to_owned()))
    );
    assert!(!found[2].is_mirror);
}

#[test]
fn a_path_is_kept_only_where_it_stands_for_v2() {
    let found = read("[host.\"https://a.example/p\"]", "q.example");
    assert_eq!(urls(&found)[0], "https://a.example/p/v2/");
    let found = read(
        "[host.\"https://a.example/p\"]\noverride_path = true",
        "q.example",
    );
    assert_eq!(urls(&found)[0], "https://a.example/p/");
}

#[test]
fn what_is_not_understood_is_refused() {
    for text in ["skip_verfy = true", "[host.\"a\"]\nca_file = 1", "server ="] {
        let error = parse(text, Path::new("h"), "q.example");
        assert!(matches!(error, Err(HostsError::Parse { .. })), "{text}");
    }
    for text in ["server = \"ftp://a\"", "[host.\"https://\"]"] {
        let error = parse(text, Path::new("h"), "q.example");
        assert!(matches!(error, Err(HostsError::BadHost { .. })), "{text}");
    }
}

#[test]
fn the_registrys_own_file_goes_before_the_default() {
    let directory = tempfile::tempdir().expect("temporary directory");
    for (name, server) in [
        ("_default", "https://d.example"),
        ("q.example_5000_", "https://own.example"),
    ] {
        let place = directory.path().join(name);
        std::fs::create_dir(&place).expect("a directory");
        let text = format!("server = {server:?}");
        std::fs::write(place.join("hosts.toml"), text).expect("a file");
    }
    for (registry, url) in [
        ("q.example:5000", "https://own.example/v2/"),
        ("other.example", "https://d.example/v2/"),
    ] {
        let found = endpoints(directory.path(), registry).expect("good files");
        assert_eq!(urls(&found), [url]);
    }
}
