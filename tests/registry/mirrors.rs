//! Mirrors of a `hosts.toml`: asked in its order, before the registry itself.

use crate::common::skip::has_all;
use crate::layout;
use crate::liar::{Image, Liar, Reply};
use crate::server::{Server, Wants};
use crate::{REGISTRY, User, assert_has};

/// Nobody has this registry; only mirrors do.
const NAME: &str = "kiln.invalid:5000/a:1";

fn mirror(host: &str, capabilities: &str) -> String {
    format!("[host.\"http://{host}\"]\ncapabilities = [{capabilities}]\n")
}

#[test]
fn mirrors_are_asked_in_order() {
    if has_all("mirrors_are_asked_in_order", &REGISTRY) {
        let server = Server::start(Wants::default());
        server.fill(&layout::busybox(0).name("latest"), "a:1", &[]);
        let empty = Liar::start(|_| Reply::new(404, ""));
        let liar = {
            let image = Image::new();
            // Another digest than its header says.
            Liar::start(move |_| {
                Reply::new(200, image.manifest.clone())
                    .with("docker-content-digest", &layout::digest(b"other"))
            })
        };
        let user = User::new();
        let both = "\"pull\", \"resolve\"";
        let hosts = [
            mirror(&empty.name(), both),
            mirror(&liar.name(), both),
            mirror(&server.name(), both),
        ];
        user.hosts("kiln.invalid:5000", &hosts.concat());
        let outcome = user.run(&["pull", "--creds", "kiln:hot", NAME]);
        outcome
            .assert_code(0)
            .assert_stderr_has("failed, going on with the next");
        // Both are told of, by the name of the registry that they stand for.
        for liar in [&empty, &liar] {
            outcome.assert_stderr_has(&liar.name());
            let asked = liar.asked_for("/v2/a/manifests/1?ns=kiln.invalid%3A5000");
            assert_eq!(asked.len(), 1);
            // What was given is for the registry, not for its mirrors.
            assert_eq!(asked[0].header("authorization"), None);
        }
        user.run(&["images"]).assert_stdout_has(NAME);
    }
}

#[test]
fn blobs_come_from_hosts_that_may_pull() {
    let image = Image::new();
    let (names, blobs) = {
        let (one, other) = (image.clone(), image.clone());
        (
            Liar::start(move |request| one.honest(request)),
            Liar::start(move |request| other.honest(request)),
        )
    };
    let user = User::new();
    let hosts = mirror(&names.name(), "\"resolve\"") + &mirror(&blobs.name(), "\"pull\"");
    user.hosts("kiln.invalid:5000", &hosts);
    assert_eq!(user.pull(&[NAME]), image.digest());
    assert!(names.asked_for("/blobs/").is_empty());
    assert!(blobs.asked_for("/manifests/").is_empty());
    assert_eq!(blobs.asked_for("/blobs/").len(), 2);
}

#[test]
fn the_registrys_own_error_is_the_one_that_counts() {
    let empty = Liar::start(|_| Reply::new(404, ""));
    let own = Liar::start(|_| Reply::new(403, ""));
    let user = User::new();
    let hosts = format!(
        "server = \"http://{}\"\n{}",
        own.name(),
        mirror(&empty.name(), "\"pull\", \"resolve\"")
    );
    user.hosts("kiln.invalid:5000", &hosts);
    let message = user.refused(&[NAME]);
    assert_has(&message, &[&own.name(), "refuses manifest 1 of a"]);
    // Nobody may push here.
    let user = User::new();
    let hosts = format!(
        "server = \"http://{}\"\ncapabilities = [\"pull\", \"resolve\"]\n",
        own.name()
    );
    user.hosts("kiln.invalid:5000", &hosts);
    let pushed = user.run(&["push", &layout::busybox(0).name("latest"), NAME]);
    pushed
        .assert_code(125)
        .assert_stderr_has("no host of kiln.invalid:5000 has the capability push");
    let directory = user.path("not-there");
    let words = [
        "pull",
        "--registry-config-dir",
        crate::text(&directory),
        NAME,
    ];
    user.run(&words)
        .assert_code(125)
        .assert_stderr_has("there is no directory");
}
