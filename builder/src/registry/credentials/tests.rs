//! Where credentials come from, and for which registry.

use std::path::PathBuf;

use super::{AuthConfig, Credentials, CredentialsError, from_docker_config};

fn basic(username: &str, password: &str) -> Credentials {
    Credentials::Basic {
        username: username.to_owned(),
        password: password.to_owned(),
    }
}

fn config(text: &str) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("temporary directory");
    let path = directory.path().join("config.json");
    std::fs::write(&path, text).expect("a file");
    (directory, path)
}

#[test]
fn entries_are_found_by_host() {
    // u:p, and d:q
    let (_keep, path) = config(
        r#"{"auths": {
            "h.example:5000": {"auth": "dTpw"},
            "https://s.example/v1/": {"auth": "dTpw"},
            "https://index.docker.io/v1/": {"auth": "ZDpx"},
            "t.example": {"identitytoken": "abc"},
            "empty.example": {}
        }}"#,
    );
    for (registry, found) in [
        ("h.example:5000", basic("u", "p")),
        ("h.example", Credentials::Anonymous),
        ("s.example", basic("u", "p")),
        ("docker.io", basic("d", "q")),
        ("registry-1.docker.io", basic("d", "q")),
        ("t.example", Credentials::IdentityToken("abc".to_owned())),
        ("empty.example", Credentials::Anonymous),
        ("other.example", Credentials::Anonymous),
    ] {
        let credentials = from_docker_config(&path, registry).expect("a good file");
        assert!(credentials == found, "{registry}");
    }
}

#[test]
fn damaged_configurations_are_errors_and_missing_ones_are_not() {
    let (keep, path) = config("{");
    let error = from_docker_config(&path, "a");
    assert!(matches!(error, Err(CredentialsError::Json { .. })));
    let none = from_docker_config(&keep.path().join("none.json"), "a").expect("no file, no error");
    assert!(none == Credentials::Anonymous);
    for auth in ["!", "dQ==", "////"] {
        let (_keep, path) = config(&format!("{{\"auths\":{{\"a\":{{\"auth\":{auth:?}}}}}}}"));
        let error = from_docker_config(&path, "a");
        assert!(
            matches!(error, Err(CredentialsError::BadAuth { .. })),
            "{auth}"
        );
    }
}

#[test]
fn helpers_are_names_and_must_be_there() {
    let (_keep, path) = config(r#"{"credHelpers": {"a": "../x"}, "credsStore": "not-there"}"#);
    let error = from_docker_config(&path, "a");
    assert!(matches!(error, Err(CredentialsError::BadHelper { .. })));
    let error = from_docker_config(&path, "b");
    assert!(matches!(error, Err(CredentialsError::Helper { .. })));
}

#[test]
fn kubernetes_credentials_are_for_their_server_only() {
    let auth = AuthConfig {
        username: "u".to_owned(),
        password: "p".to_owned(),
        server_address: "https://a.example:5000/v2/".to_owned(),
        ..AuthConfig::default()
    };
    assert!(auth.credentials("a.example:5000").expect("good") == basic("u", "p"));
    assert!(auth.credentials("a.example").expect("good") == Credentials::Anonymous);
    let auth = AuthConfig {
        auth: "dTpw".to_owned(),
        registry_token: "t".to_owned(),
        ..AuthConfig::default()
    };
    assert!(auth.credentials("b").expect("good") == basic("u", "p"));
    let token = AuthConfig {
        registry_token: "t".to_owned(),
        ..AuthConfig::default()
    };
    let token = token.credentials("b").expect("good");
    assert!(token == Credentials::RegistryToken("t".to_owned()));
    let nothing = AuthConfig::default().credentials("b");
    assert!(matches!(nothing, Err(CredentialsError::Nothing { .. })));
}

#[test]
fn secrets_are_not_printed() {
    let auth = AuthConfig {
        username: "someone".to_owned(),
        password: "hunter2".to_owned(),
        ..AuthConfig::default()
    };
    let text = format!("{auth:?} {:?}", auth.credentials("a"));
    assert!(
        !text.contains("hunter2") && !text.contains("someone"),
        "{text}"
    );
}
