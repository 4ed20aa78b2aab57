//! Redirects and bearer tokens: secrets go to whom they are for, and to nobody
//! else.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;

use crate::common::skip::{Need, has_all};
use crate::liar::{Image, Liar, Reply, Request};
use crate::server::{Server, Wants};
use crate::{REGISTRY, User, assert_has, text};

fn basic(user: &str, password: &str) -> String {
    let pair = BASE64_STANDARD.encode(format!("{user}:{password}"));
    format!("Basic {pair}")
}

/// A registry that wants a token of the server `realm`, and takes `token`.
fn wants_token(image: &Image, realm: String, token: &'static str) -> Liar {
    let image = image.clone();
    Liar::start(move |request| {
        if request.header("authorization") == Some(&format!("Bearer {token}")) {
            return image.honest(request);
        }
        let challenge =
            format!(r#"Bearer realm="{realm}",service="kiln.example",scope="repository:a:pull""#);
        Reply::new(401, "").with("www-authenticate", &challenge)
    })
}

#[test]
fn redirected_blobs_take_no_secrets_along() {
    let image = Image::new();
    let elsewhere = {
        let image = image.clone();
        Liar::start(move |request| image.honest(request))
    };
    let place = format!(
        "http://localhost:{}",
        elsewhere.name().rsplit_once(':').expect("a port").1
    );
    let liar = {
        let image = image.clone();
        Liar::start(move |request| {
            if request.header("authorization") != Some(&basic("kiln", "hot")) {
                return Reply::new(401, "").with("www-authenticate", "Basic realm=\"r\"");
            }
            if request.path.contains("/blobs/") {
                return Reply::redirect(&format!("{place}{}?signature=s", request.path));
            }
            image.honest(request)
        })
    };
    let user = User::new();
    let header = "[header]\nx-secret = \"42\"\n";
    user.hosts(&liar.name(), header);
    assert_eq!(
        user.pull(&["--creds", "kiln:hot", &liar.image()]),
        image.digest()
    );
    let asked = elsewhere.asked();
    assert_eq!(asked.len(), 2, "configuration and layer");
    for request in &asked {
        assert_eq!(request.header("authorization"), None);
        assert_eq!(request.header("x-secret"), None);
        assert!(request.path.ends_with("?signature=s"));
    }
    let own = liar.asked();
    assert!(
        own.iter()
            .all(|request| request.header("x-secret") == Some("42"))
    );
    // The registry saw the password only after it had asked.
    assert_eq!(own[0].header("authorization"), None);
}

#[test]
fn redirects_have_an_end_and_stay_http() {
    let circle = Liar::start(|request: &Request| Reply::redirect(&request.path));
    let message = User::new().refused(&[&circle.image()]);
    assert_has(&message, &["there are too many in a row"]);
    for place in ["file:///etc/passwd", "ftp://a.example/"] {
        let liar = Liar::start(move |_| Reply::redirect(place));
        let message = User::new().refused(&[&liar.image()]);
        assert_has(&message, &["neither http nor https"]);
    }
}

#[test]
fn a_token_is_fetched_with_the_password_and_used() {
    let image = Image::new();
    let tokens = Liar::start(|request: &Request| {
        match request.header("authorization") == Some(&basic("kiln", "hot")) {
            true => Reply::new(200, json!({ "token": "t1" }).to_string()),
            false => Reply::new(401, ""),
        }
    });
    let liar = wants_token(&image, format!("http://{}/token?x=1", tokens.name()), "t1");
    let user = User::new();
    let message = user.refused(&[&liar.image()]);
    assert_has(&message, &["refuses a token", "--creds"]);
    // kiln:hot
    let entry = json!({ "auths": { liar.name(): { "auth": BASE64_STANDARD.encode("kiln:hot") } } });
    user.docker_config(&entry.to_string());
    assert_eq!(user.pull(&[&liar.image()]), image.digest());
    let asked = tokens.asked();
    assert_eq!(asked.len(), 2, "one token for all of a pull");
    assert_has(
        &asked[1].path,
        &[
            "/token?x=1",
            "service=kiln.example",
            "scope=repository%3Aa%3Apull",
            "account=kiln",
        ],
    );
    // The registry itself never sees the password.
    for request in liar.asked() {
        let sent = request.header("authorization").unwrap_or_default();
        assert!(!sent.starts_with("Basic"), "{sent}");
    }
}

#[test]
fn an_identity_token_is_changed_for_another() {
    let image = Image::new();
    let tokens = Liar::start(|request: &Request| {
        let is_right = request.method == "POST"
            && request.body.contains("grant_type=refresh_token")
            && request.body.contains("refresh_token=id42");
        match is_right {
            true => Reply::new(200, json!({ "access_token": "t2" }).to_string()),
            false => Reply::new(400, ""),
        }
    });
    let liar = wants_token(&image, format!("http://{}/", tokens.name()), "t2");
    let user = User::new();
    let entry = json!({ "auths": { liar.name(): { "identitytoken": "id42" } } });
    user.docker_config(&entry.to_string());
    assert_eq!(user.pull(&[&liar.image()]), image.digest());
}

#[test]
fn answers_that_are_no_token_are_told() {
    let image = Image::new();
    for (body, part) in [("{}", "no token"), ("<html>", "gives no token")] {
        let tokens = Liar::start(move |_| Reply::new(200, body));
        let liar = wants_token(&image, format!("http://{}/", tokens.name()), "t");
        assert_has(&User::new().refused(&[&liar.image()]), &[part]);
    }
    let liar = wants_token(&image, "file:///etc/passwd".to_owned(), "t");
    let message = User::new().refused(&[&liar.image()]);
    assert_has(&message, &["which is not asked", "neither http nor https"]);
}

#[test]
fn a_registry_with_tls_cannot_send_passwords_into_the_open() {
    let test = "a_registry_with_tls_cannot_send_passwords_into_the_open";
    if has_all(test, &REGISTRY) && has_all(test, &[Need::Program("openssl")]) {
        let server = Server::start(Wants {
            tls: true,
            token_realm: Some("http://127.0.0.1:9/token"),
            ..Wants::default()
        });
        let user = User::new();
        let hosts = format!(
            "server = \"https://{}\"\nca = \"{}\"\n",
            server.name(),
            text(&server.file("ca.pem"))
        );
        user.hosts(&server.name(), &hosts);
        let message = user.refused(&["--creds", "kiln:hot", &server.image("a:1")]);
        assert_has(
            &message,
            &["127.0.0.1:9/token", "plain HTTP, and the registry is not"],
        );
    }
}
