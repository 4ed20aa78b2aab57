//! A registry in trouble: busy, broken, cut off. A pull goes on where it can.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::liar::{Body, Image, Liar, Reply, Request};
use crate::{User, assert_has, text};

/// A registry whose first `count` answers for the layer are `reply`s.
fn troubled(image: &Image, count: usize, reply: fn(&Image, &Request) -> Reply) -> Liar {
    let image = image.clone();
    let asked = AtomicUsize::new(0);
    Liar::start(move |request| {
        let is_trouble = image.is_layer(request) && asked.fetch_add(1, Ordering::Relaxed) < count;
        match is_trouble {
            true => reply(&image, request),
            false => image.honest(request),
        }
    })
}

/// Ranges that the layer was asked for.
fn ranges(liar: &Liar, image: &Image) -> Vec<Option<String>> {
    let asked = liar.asked_for(&image.layer_digest());
    let range = |request: &Request| request.header("range").map(str::to_owned);
    asked.iter().map(range).collect()
}

#[test]
fn busy_and_broken_registries_are_asked_again() {
    let image = Image::new();
    let busy = |_: &Image, _: &Request| Reply::new(429, "").with("retry-after", "1");
    let liar = troubled(&image, 1, busy);
    let started = Instant::now();
    assert_eq!(User::new().pull(&[&liar.image()]), image.digest());
    assert!(started.elapsed() >= Duration::from_secs(1));
    for status in [500, 502, 503] {
        let liar = troubled(
            &image,
            2,
            match status {
                500 => |_, _| Reply::new(500, ""),
                502 => |_, _| Reply::new(502, ""),
                _ => |_, _| Reply::new(503, ""),
            },
        );
        assert_eq!(User::new().pull(&[&liar.image()]), image.digest());
        assert_eq!(liar.asked_for(&image.layer_digest()).len(), 3);
    }
}

#[test]
fn patience_has_an_end() {
    let image = Image::new();
    let never = |_: &Image, _: &Request| Reply::new(500, "");
    let liar = troubled(&image, usize::MAX, never);
    let message = User::new().refused(&[&liar.image()]);
    assert_has(&message, &["answers 500 for blob"]);
    assert_eq!(liar.asked_for(&image.layer_digest()).len(), 5);
    let hour = |_: &Image, _: &Request| Reply::new(429, "").with("retry-after", "3600");
    let liar = troubled(&image, usize::MAX, hour);
    let message = User::new().refused(&[&liar.image()]);
    assert_has(&message, &["wants 3600 s of rest"]);
    assert_eq!(liar.asked_for(&image.layer_digest()).len(), 1);
}

#[test]
fn a_cut_blob_is_resumed_where_it_broke() {
    let image = Image::new();
    let cut = |image: &Image, _: &Request| Reply::body(Body::Cut(image.layer.clone(), 100_000));
    let liar = troubled(&image, 1, cut);
    assert_eq!(User::new().pull(&[&liar.image()]), image.digest());
    let asked = ranges(&liar, &image);
    assert_eq!(asked, [None, Some("bytes=100000-".to_owned())]);
}

#[test]
fn a_registry_without_ranges_sends_it_again() {
    let image = Image::new();
    let liar = {
        let image = image.clone();
        let asked = AtomicUsize::new(0);
        Liar::start(move |request| {
            if !image.is_layer(request) {
                return image.honest(request);
            }
            match asked.fetch_add(1, Ordering::Relaxed) {
                0 => Reply::body(Body::Cut(image.layer.clone(), 100_000)),
                _ => Reply::new(200, image.layer.clone()),
            }
        })
    };
    assert_eq!(User::new().pull(&[&liar.image()]), image.digest());
    assert_eq!(ranges(&liar, &image).len(), 2);
}

#[test]
fn another_part_than_asked_for_is_refused() {
    let image = Image::new();
    let asked = AtomicUsize::new(0);
    let liar = {
        let image = image.clone();
        Liar::start(move |request| {
            if !image.is_layer(request) {
                return image.honest(request);
            }
            let len = image.layer.len();
            match asked.fetch_add(1, Ordering::Relaxed) {
                0 => Reply::body(Body::Cut(image.layer.clone(), 100_000)),
                _ => Reply::new(206, &image.layer[50_000..])
                    .with("content-range", &format!("bytes 50000-{}/{len}", len - 1)),
            }
        })
    };
    let message = User::new().refused(&[&liar.image()]);
    assert_has(&message, &["without a sensible Content-Range"]);
}

#[test]
fn an_interrupted_pull_is_resumed_by_the_next() {
    let image = Image::new();
    let stuck = |image: &Image, _: &Request| Reply::body(Body::Stuck(image.layer.clone(), 100_000));
    let liar = troubled(&image, 1, stuck);
    let user = User::new();
    // Whoever runs the tests in the background may have it ignored.
    let mut pull = Command::new("env")
        .args([
            "--default-signal=INT",
            env!("CARGO_BIN_EXE_unikiln"),
            "pull",
            "--quiet",
            "--root",
            text(&user.store()),
            &liar.image(),
        ])
        .env("DOCKER_CONFIG", user.path("docker"))
        .stderr(Stdio::null())
        .spawn()
        .expect("unikiln starts");
    let partial = user
        .store()
        .join("partial")
        .join(image.layer_digest().replacen(':', "-", 1));
    let started = Instant::now();
    while partial.metadata().map_or(0, |file| file.len()) < 100_000 {
        assert!(started.elapsed() < Duration::from_secs(60), "no progress");
        std::thread::sleep(Duration::from_millis(10));
    }
    let killed = Command::new("kill")
        .args(["-INT", &pull.id().to_string()])
        .status()
        .expect("kill starts");
    assert!(killed.success());
    let status = pull.wait().expect("the child is ours");
    assert!(!status.success(), "{status}");
    assert_eq!(user.pull(&[&liar.image()]), image.digest());
    let asked = ranges(&liar, &image);
    assert_eq!(asked, [None, Some("bytes=100000-".to_owned())]);
}

#[test]
fn nobody_there_is_told_at_once() {
    let liar = Liar::start(|_| Reply::new(404, ""));
    let name = liar.image();
    drop(liar);
    let message = User::new().refused(&[&name]);
    assert_has(&message, &["cannot reach 127.0.0.1:", "does it speak http"]);
}
