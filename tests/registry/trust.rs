//! Who a registry is, and who its user is: certificates, passwords, credential
//! helpers.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;

use crate::common::skip::{Need, has_all};
use crate::layout;
use crate::server::{Server, Wants};
use crate::{REGISTRY, User, assert_has, text};

fn tools(test: &str) -> bool {
    let more = [Need::Program("openssl"), Need::Program("htpasswd")];
    has_all(test, &REGISTRY) && has_all(test, &more)
}

/// A `hosts.toml` for TLS.
fn hosts(server: &Server, more: &str) -> String {
    format!("server = \"https://{}\"\n{more}\n", server.name())
}

fn ca(server: &Server) -> String {
    format!("ca = \"{}\"", text(&server.file("ca.pem")))
}

#[test]
fn certificates_are_checked() {
    if tools("certificates_are_checked") {
        let server = Server::start(Wants {
            tls: true,
            ..Wants::default()
        });
        server.fill(&layout::busybox(0).name("latest"), "a:1", &[]);
        let name = server.image("a:1");
        let user = User::new();
        // Plain HTTP on loopback is not what this one speaks.
        let message = user.refused(&[&name]);
        assert_has(&message, &["answers 400"]);
        user.hosts(&server.name(), &hosts(&server, ""));
        let message = user.refused(&[&name]);
        assert_has(&message, &["no TLS with", "hosts.toml"]);
        user.hosts(&server.name(), &hosts(&server, &ca(&server)));
        let digest = user.pull(&[&name]);
        let user = User::new();
        user.hosts(&server.name(), &hosts(&server, "skip_verify = true"));
        assert_eq!(user.pull(&[&name]), digest);
        user.hosts(&server.name(), &hosts(&server, "ca = \"not-there.pem\""));
        let message = user.refused(&[&name]);
        assert_has(&message, &["cannot use", "not-there.pem"]);
        user.hosts(&server.name(), "skip_verfy = true\n");
        let message = user.refused(&[&name]);
        assert_has(&message, &["hosts.toml", "skip_verfy"]);
    }
}

#[test]
fn a_client_certificate_is_shown() {
    if tools("a_client_certificate_is_shown") {
        let server = Server::start(Wants {
            tls: true,
            client_certificate: true,
            ..Wants::default()
        });
        let user = User::new();
        user.hosts(&server.name(), &hosts(&server, &ca(&server)));
        user.refused(&[&server.image("a:1")]);
        let client = format!(
            "{}\nclient = [[\"{}\", \"{}\"]]",
            ca(&server),
            text(&server.file("client.pem")),
            text(&server.file("client.key"))
        );
        user.hosts(&server.name(), &hosts(&server, &client));
        let source = layout::busybox(0);
        let pushed = user.run(&["push", &source.name("latest"), &server.image("a:1")]);
        pushed.assert_code(0);
        let user = User::new();
        user.hosts(&server.name(), &hosts(&server, &client));
        assert_eq!(user.pull(&[&server.image("a:1")]), pushed.out().trim());
    }
}

#[test]
fn passwords_come_from_everywhere() {
    if tools("passwords_come_from_everywhere") {
        let server = Server::start(Wants {
            tls: true,
            password: true,
            ..Wants::default()
        });
        let name = server.image("a:1");
        let new_user = || {
            let user = User::new();
            user.hosts(&server.name(), &hosts(&server, &ca(&server)));
            user
        };
        let source = layout::busybox(0);
        let source = source.name("latest");
        let user = new_user();
        let refused = user.run(&["push", &source, &name]);
        refused.assert_code(125).assert_stderr_has("--creds");
        let pushed = user.run(&["push", "--creds", "kiln:hot", &source, &name]);
        pushed.assert_code(0);
        let digest = pushed.out().trim().to_owned();

        assert_has(
            &user.refused(&[&name]),
            &["refuses manifest 1 of a", "--creds"],
        );
        let message = user.refused(&["--creds", "kiln:cold", &name]);
        assert_has(&message, &["refuses manifest 1 of a"]);
        assert!(!message.contains("cold"), "{message}");
        assert_eq!(user.pull(&["--creds", "kiln:hot", &name]), digest);
        // The password on standard input.
        let user = new_user();
        let words = ["pull", "--creds", "kiln", &name];
        let outcome = user.command(&words).stdin("hot\n").output();
        outcome.assert_code(0).assert_stdout(&format!("{digest}\n"));
        let outcome = user.command(&words).stdin("").output();
        outcome.assert_code(125).assert_stderr_has("no password");

        // What docker login writes.
        let user = new_user();
        let auth = BASE64_STANDARD.encode("kiln:hot");
        let config = json!({ "auths": { server.name(): { "auth": auth } } });
        user.docker_config(&config.to_string());
        assert_eq!(user.pull(&[&name]), digest);
        user.docker_config("{");
        assert_has(&user.refused(&[&name]), &["config.json is not docker's"]);
    }
}

#[test]
fn a_credential_helper_is_asked() {
    if tools("a_credential_helper_is_asked") {
        let server = Server::start(Wants {
            tls: true,
            password: true,
            ..Wants::default()
        });
        let user = User::new();
        user.hosts(&server.name(), &hosts(&server, &ca(&server)));
        let script = |body: &str| {
            let path = user.path("docker-credential-kiln");
            let text = format!(
                "#!/bin/sh\nread -r server\necho \"$1 $server\" >>\"$(dirname \"$0\")/asked\"\n{body}\n"
            );
            fs::write(&path, text).expect("a file");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("ours");
        };
        let path = format!(
            "{}:{}",
            text(user.directory.path()),
            std::env::var("PATH").unwrap_or_default()
        );
        let push = |source: &str| {
            let words = ["push", source, &server.image("a:1")];
            user.command(&words).host_env("PATH", &path).output()
        };
        let source = layout::busybox(0);
        let source = source.name("latest");
        let by_name = json!({ "credHelpers": { server.name(): "kiln" } });
        let by_store = json!({ "credsStore": "kiln" });
        for config in [by_name, by_store] {
            user.docker_config(&config.to_string());
            script(r#"echo '{"ServerURL":"x","Username":"kiln","Secret":"hot"}'"#);
            push(&source).assert_code(0);
            script("echo credentials not found in native keychain; exit 1");
            push(&source).assert_code(125).assert_stderr_has("refuses");
            script("echo the vault is locked; exit 1");
            push(&source)
                .assert_code(125)
                .assert_stderr_has("the vault is locked");
            script("echo hello");
            push(&source).assert_code(125).assert_stderr_has("not JSON");
        }
        let asked = fs::read_to_string(user.path("asked")).expect("it was asked");
        let expected = format!("get {}", server.name());
        assert!(asked.lines().all(|line| line == expected), "{asked}");
    }
}
